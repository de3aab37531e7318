"""Vectors and losses of the collaborative and simple multimodal models against slow, obvious versions."""

import numpy as np
import pytest
from deep_world import (
    BATCH,
    ITEMS,
    USERS,
    adjacency,
    bpr,
    built,
    loss_of,
    nce,
    neighbours,
    propagated,
    ridge,
    small_material,
    unit,
    vectors,
    weights,
)
from scipy import sparse

from salon.models.deep_graph import weighted_graph
from salon.models.freedom import modality_weights, thinned

MATERIAL = small_material()
LIKES, TOUCHED = MATERIAL.rows.toarray(), MATERIAL.touched


def close(found: tuple[np.ndarray, np.ndarray], wanted: tuple[np.ndarray, np.ndarray]) -> None:
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, atol=2e-6)


def test_bprmf_is_two_tables() -> None:
    network = built("bprmf", MATERIAL, reg=0.3)
    w = weights(network)
    close(vectors(network), (w["users"], w["items"]))
    assert loss_of(network) == pytest.approx(
        bpr(w["users"], w["items"], BATCH) + 0.3 * ridge(w["users"], w["items"], BATCH), abs=1e-5
    )


@pytest.mark.parametrize("depth", [0, 1, 3])
def test_lightgcn_is_the_mean_of_the_layers(depth: int) -> None:
    network = built("lightgcn", MATERIAL, layers=depth, reg=0.3)
    w = weights(network)
    wanted = propagated(LIKES, w["users"], w["items"], depth)
    close(vectors(network), wanted)
    assert loss_of(network) == pytest.approx(bpr(*wanted, BATCH) + 0.3 * ridge(w["users"], w["items"], BATCH), abs=1e-5)


def test_xsimgcl_contrasts_a_layer_with_the_mean() -> None:
    network = built("xsimgcl", MATERIAL, layers=3, contrast_layer=2, contrast_weight=0.5, reg=0.3)
    w = weights(network)
    wanted = propagated(LIKES, w["users"], w["items"], 3, first=1)
    close(vectors(network), wanted)
    graph = adjacency(LIKES)
    second = graph @ graph @ np.concatenate([w["users"], w["items"]])
    alike = nce(second[:USERS], wanted[0], BATCH[0], 0.2) + nce(second[USERS:], wanted[1], BATCH[1], 0.2)
    expected = bpr(*wanted, BATCH) + 0.5 * alike + 0.3 * ridge(w["users"], w["items"], BATCH)
    assert loss_of(network) == pytest.approx(expected, abs=1e-5)


def test_xsimgcl_adds_noise_of_the_given_length_in_training_only() -> None:
    network = built("xsimgcl", MATERIAL, layers=1, noise=0.25)
    calm = vectors(network)
    network.train()
    noisy = vectors(network)
    apart = np.concatenate(noisy) - np.concatenate(calm)
    moved = np.abs(np.concatenate(calm)).sum(axis=1) > 0
    np.testing.assert_allclose(np.linalg.norm(apart, axis=1)[moved], 0.25, rtol=1e-4)
    assert (apart * np.concatenate(calm) >= 0).all()


def test_vbpr_adds_a_taste_for_features_and_biases() -> None:
    network = built("vbpr", MATERIAL, reg=0.0)
    w = weights(network)
    features = [one.vectors for one in MATERIAL.media.values()]
    for user in range(USERS):
        for item in range(ITEMS):
            own = TOUCHED[item]
            score = own * (w["bias"][item, 0] + w["users"][user] @ w["items"][item])
            for m, f in enumerate(features):
                score += w["tastes"][user] @ (w[f"maps.{m}.weight"] @ f[item]) + w[f"beta.{m}.weight"][0] @ f[item]
            users, items = vectors(network)
            assert users[user] @ items[item] == pytest.approx(score, abs=2e-6)
    assert loss_of(network) == pytest.approx(bpr(*vectors(network), BATCH), abs=1e-5)


def freedom_vectors(w: dict, depth: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    own = w["items"] * TOUCHED[:, None]
    users, items = propagated(LIKES, w["users"], own, depth)
    alike = np.zeros((ITEMS, ITEMS))
    for weight, one in zip((0.9, 0.1), MATERIAL.media.values(), strict=True):
        alike += weight * neighbours(one.raw, one.present, TOUCHED, k)
    total = alike.sum(axis=1, keepdims=True)
    return users, items + np.divide(alike, total, out=np.zeros_like(alike), where=total > 0) @ own


def test_freedom_adds_the_mean_of_like_items() -> None:
    network = built("freedom", MATERIAL, layers=2, k=3, drop=0.0, media_weight=0.7, reg=0.3)
    w = weights(network)
    wanted = freedom_vectors(w, 2, 3)
    close(vectors(network), wanted)
    expected = bpr(*wanted, BATCH) + 0.3 * ridge(w["users"], w["items"], BATCH)
    for m, one in enumerate(MATERIAL.media.values()):
        projected = one.vectors @ w[f"maps.{m}.weight"].T + w[f"maps.{m}.bias"]
        expected += 0.7 * bpr(wanted[0], projected, BATCH)
    assert loss_of(network) == pytest.approx(expected, abs=1e-5)


def test_freedom_thins_likes_for_an_epoch_and_answers_over_all_of_them() -> None:
    network = built("freedom", MATERIAL, drop=0.5)
    whole = vectors(network)
    network.begin_epoch(np.random.default_rng(0))
    close(vectors(network), whole)
    network.train()
    assert np.abs(vectors(network)[0] - whole[0]).max() > 1e-3


def test_thinning_keeps_links_of_rare_ends() -> None:
    """Two rows: one of 90 links, one of 1 to a column of its own."""
    rows = np.zeros((40, 91), np.float32)
    rows[:39, :90] = 1
    rows[39, 90] = 1
    rng = np.random.default_rng(0)
    kept = [thinned(sparse.csr_array(rows), 0.1, rng) for _ in range(40)]
    assert {part.nnz for part in kept} == {round(0.1 * rows.sum())}
    assert all(set(zip(*part.nonzero(), strict=True)) <= set(zip(*rows.nonzero(), strict=True)) for part in kept)
    # weights 1 and 1 / sqrt(90 * 39): the lonely link is nearly always drawn, a plain draw would have it in a tenth
    assert np.mean([part[39, 90] for part in kept]) > 0.9


def test_pictures_share_their_weight() -> None:
    assert modality_weights(["text", "image"], 0.1) == pytest.approx([0.9, 0.1])
    assert modality_weights(["image", "text", "audio"], 0.2) == pytest.approx([0.1, 0.8, 0.1])
    assert modality_weights(["image", "video"], 0.1) == modality_weights(["text", "tokens"], 0.1) == [0.5, 0.5]


def test_rows_of_a_joined_graph_sum_to_one_where_anything_is_known() -> None:
    joined = weighted_graph(MATERIAL.graphs(3), [0.9, 0.1]).toarray()
    np.testing.assert_allclose(joined.sum(axis=1), [1, 1, 0, 1, 1, 1, 1, 1, 1], atol=1e-6)
    assert not joined[:, 8].any()  # nobody liked it, so nobody learns from it
    np.testing.assert_allclose(joined[0], neighbours(*_raw("image"), TOUCHED, 3)[0], atol=1e-6)


def _raw(name: str) -> tuple[np.ndarray, np.ndarray]:
    return MATERIAL.media[name].raw, MATERIAL.media[name].present


def cosine_distance(one: np.ndarray, other: np.ndarray) -> float:
    return float(
        np.mean([1 - a @ b / (np.linalg.norm(a) * np.linalg.norm(b)) for a, b in zip(one, other, strict=True)])
    )


def test_bm3_pulls_views_together_without_negatives() -> None:
    network = built("bm3", MATERIAL, layers=2, contrast_weight=1.5, reg=0.3)
    w = weights(network)
    users, items = propagated(LIKES, w["users"], w["items"], 2)
    items = items + w["items"]

    def q(part: np.ndarray) -> np.ndarray:
        return part @ w["predictor.weight"].T + w["predictor.bias"]

    close(vectors(network), (q(users), q(items)))
    batch = (BATCH[0], BATCH[1], np.zeros((5, 0), np.int64))
    u, i = users[batch[0]], items[batch[1]]
    expected = cosine_distance(q(u), i) + cosine_distance(q(i), u) + 0.3 * ridge(users, items, batch)
    for m, one in enumerate(MATERIAL.media.values()):
        here = one.present[batch[1]]
        f = one.vectors[batch[1]][here] @ w[f"maps.{m}.weight"].T + w[f"maps.{m}.bias"]
        expected += 1.5 * (cosine_distance(q(f), i[here]) + cosine_distance(q(f), f))
    assert loss_of(network, batch) == pytest.approx(expected, abs=1e-5)


def test_alpharec_places_everything_by_features() -> None:
    network = built("alpharec", MATERIAL, layers=2, hidden=6, temperature=0.5)
    w = weights(network)
    f = np.concatenate([one.vectors for one in MATERIAL.media.values()], axis=1)
    hidden = f @ w["mlp.0.weight"].T + w["mlp.0.bias"]
    items = np.where(hidden > 0, hidden, 0.01 * hidden) @ w["mlp.2.weight"].T + w["mlp.2.bias"]
    items[2] = 0  # no feature
    users = LIKES @ items / LIKES.sum(axis=1, keepdims=True)
    wanted = tuple(unit(part) for part in propagated(LIKES, users, items, 2))
    close(vectors(network), wanted)
    others = np.array([4, 7, 1])
    losses = []
    for u, i in zip(BATCH[0], BATCH[1], strict=True):
        scores = np.array([wanted[0][u] @ wanted[1][j] / 0.5 for j in [i, *(j for j in others if j != i)]])
        losses.append(np.log(np.exp(scores).sum()) - scores[0])
    assert loss_of(network, (BATCH[0], BATCH[1], others)) == pytest.approx(np.mean(losses), abs=1e-5)
