"""Ridge maps agree with leaving items out one by one, and reach a pivot modality or what people did."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from salon.component import load_component
from salon.data import Events
from salon.encode.base import Features, FeatureSet
from salon.errors import DataError, SettingError
from salon.fuse.align_report import match_ranks
from salon.fuse.align_ridge import RidgeMap, ridge_map
from salon.fuse.collaborative import collaborative_features


def views(n: int, *, seed: int = 0, noise: float = 0.3) -> FeatureSet:
    rng = np.random.default_rng(seed)
    common = rng.standard_normal((n, 5))
    found = {}
    for name, dim, share in (("text", 20, 1.0), ("image", 30, 0.8), ("audio", 15, 0.6)):
        vectors = common @ rng.standard_normal((5, dim)) + noise * rng.standard_normal((n, dim)) + 2
        present = rng.random(n) < share
        found[name] = Features(np.where(present[:, None], vectors, 0).astype(np.float32), present, name)
    return FeatureSet(found, n)


def tastes(n_items: int, latent: np.ndarray, *, users: int = 400, seed: int = 1) -> Events:
    """Everybody likes the 20 items that fit them best."""
    liked = np.argsort(-(np.random.default_rng(seed).standard_normal((users, latent.shape[1])) @ latent.T))[:, :20]
    return Events.of(np.repeat(np.arange(users), 20), liked.ravel())


def median_rank(features: FeatureSet, one: str, other: str) -> float:
    both = features[one].present & features[other].present
    return float(np.median(match_ranks(features[one].vectors[both], features[other].vectors[both])))


def test_the_error_is_that_of_leaving_every_item_out() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((25, 6)) + 1, rng.standard_normal((25, 3))
    found = ridge_map(x, y, reg=0.5)
    unit = 0.5 * np.square(x - x.mean(axis=0)).sum() / 6
    total, base = 0.0, 0.0
    for out in range(25):
        keep = np.arange(25) != out
        rows = np.c_[np.ones(24), x[keep] - x.mean(axis=0)]
        coefficients = np.linalg.solve(rows.T @ rows + np.diag([0] + [unit] * 6), rows.T @ y[keep])
        total += np.square(y[out] - np.r_[1, x[out] - x.mean(axis=0)] @ coefficients).sum()
        base += np.square(y[out] - y[keep].mean(axis=0)).sum()
    assert found.error == pytest.approx(total / base, rel=1e-9)


def test_the_map_is_the_ridge_solution() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((40, 7)), rng.standard_normal((40, 2))
    found = ridge_map(x, y, reg=2.0)
    centred = x - x.mean(axis=0)
    penalty = 2.0 * np.square(centred).sum() / 7 * np.eye(7)
    expected = np.linalg.solve(centred.T @ centred + penalty, centred.T @ (y - y.mean(axis=0)))
    np.testing.assert_allclose(found.map, expected, atol=1e-9)
    np.testing.assert_allclose(x.mean(axis=0) @ found.map + found.offset, y.mean(axis=0), atol=1e-9)


def test_the_penalty_follows_the_noise() -> None:
    rng = np.random.default_rng(2)
    x = rng.standard_normal((60, 30))
    clean, noise = x @ rng.standard_normal((30, 4)), rng.standard_normal((60, 4))
    assert ridge_map(x, clean).reg < ridge_map(x, noise).reg
    assert ridge_map(x, clean).error < 0.05
    assert 0.8 < ridge_map(x, noise).error < 1.05


def test_every_modality_reaches_the_pivot_on_items_never_seen() -> None:
    features = views(900)
    aligner = RidgeMap(dim=16).fit(features.take(np.arange(700)))
    assert aligner.pivot_ == "text"  # most items have it
    aligned = aligner.transform(features.take(np.arange(700, 900)))
    assert median_rank(aligned, "image", "text") <= 2
    assert median_rank(aligned, "audio", "text") <= 2
    assert median_rank(aligned, "image", "audio") <= 3
    assert aligner.errors_[0] == 0
    assert all(error < 0.3 for error in aligner.errors_[1:])
    assert RidgeMap(pivot="audio", dim=99).fit(features).dim == 15


def test_modalities_reach_the_collaborative_space() -> None:
    features = views(600)
    rng = np.random.default_rng(0)
    latent = rng.standard_normal((600, 5))  # the common part of `views(600)`
    events = tastes(600, latent)
    aligner = RidgeMap(pivot="events", dim=10).fit(features, events)
    aligned = aligner.transform(features)
    assert set(aligned) == {"text", "image", "audio"}
    target = collaborative_features(events, 600, 10)
    target = FeatureSet({"events": target, "text": aligned["text"]})
    assert median_rank(target, "text", "events") < 30
    assert median_rank(aligned, "text", "image") <= 5


def test_collaborative_vectors_keep_the_similarities_of_the_normalised_matrix() -> None:
    """V sqrt(S) times itself is the best low-rank part of the square root of X'X, here of full rank."""
    rng = np.random.default_rng(3)
    dense = (rng.random((12, 7)) < 0.4).astype(float)
    dense[:, 6] = 0
    users, items = np.nonzero(dense)
    found = collaborative_features(Events.of(users, items), 7, 6)
    scale = lambda sums: np.where(sums > 0, np.where(sums > 0, sums, 1) ** -0.5, 0)  # noqa: E731
    normal = scale(dense.sum(axis=1))[:, None] * dense * scale(dense.sum(axis=0))
    _, values, right = np.linalg.svd(normal, full_matrices=False)
    expected = right.T * values @ right
    norms = np.sqrt(np.diag(expected)[:6])
    np.testing.assert_allclose(
        found.vectors[:6] @ found.vectors[:6].T, expected[:6, :6] / np.outer(norms, norms), atol=1e-5
    )
    assert found.present.tolist() == [True] * 6 + [False]
    assert not found.vectors[6].any()


def test_truncated_and_dense_decompositions_agree_and_repeat() -> None:
    rng = np.random.default_rng(4)
    matrix = sparse.random_array((50, 40), density=0.2, rng=rng)
    users, items = matrix.nonzero()
    events = Events.of(users, items)
    few, many = collaborative_features(events, 40, 8), collaborative_features(events, 40, 40)
    leading = many.vectors[:, :8] / np.linalg.norm(many.vectors[:, :8], axis=1, keepdims=True)
    np.testing.assert_allclose(np.abs(few.vectors), np.abs(leading), atol=1e-4)
    assert np.array_equal(few.vectors, collaborative_features(events, 40, 8).vectors)


def test_what_cannot_be_mapped_is_named(tmp_path) -> None:
    features = views(60)
    with pytest.raises(SettingError, match="'events', but there are none"):
        RidgeMap(pivot="events").fit(features)
    with pytest.raises(SettingError, match="no modality 'imag'"):
        RidgeMap(pivot="imag").fit(features)
    with pytest.raises(DataError, match="at least two modalities"):
        RidgeMap().fit(features.only(["text"]))
    apart = FeatureSet({"text": features["text"], "image": features["image"].hide(np.arange(59))})
    with pytest.raises(DataError, match=r"'image' and 'text' are there together for [01] items"):
        RidgeMap().fit(apart)
    fitted = RidgeMap(dim=4).fit(features)
    fitted.save(tmp_path / "ridge")
    again = load_component(tmp_path / "ridge", "fuser")
    query = features["audio"].vectors[features["audio"].present][:3]
    assert np.array_equal(again.align("audio", query), fitted.align("audio", query))
