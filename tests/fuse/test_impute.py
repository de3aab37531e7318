"""Imputers in closed form: gaps are filled rightly on worlds whose answer is known, and nothing else is touched."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from salon.component import load_component
from salon.data import Events
from salon.encode.base import Features, FeatureSet, space_of
from salon.errors import DataError, FingerprintError, NotFittedError, SettingError
from salon.fuse.impute import ImputeMean
from salon.fuse.impute_graph import ImputeGraph, co_liked, propagate
from salon.fuse.impute_report import MEAN, impute_report
from salon.fuse.impute_ridge import GRID, ImputeRidge, ridge_map

IMPUTERS = [ImputeMean(), ImputeGraph(neighbours=3), ImputeRidge(least=5), ImputeGraph(neighbours=3, events=0.0)]


def again(imputer):
    return type(imputer)(imputer.settings)


def world(seed: int, n: int = 30, *, share: float = 0.6, dims: tuple[int, ...] = (5, 4, 3)) -> FeatureSet:
    """Modalities that follow linearly from one hidden vector, each missing at random."""
    rng = np.random.default_rng(seed)
    hidden = rng.standard_normal((n, 2))
    found = {}
    for name, dim in zip(("text", "image", "audio"), dims, strict=False):
        present = rng.random(n) < share
        vectors = hidden @ rng.standard_normal((2, dim)) + 3
        found[name] = Features(np.where(present[:, None], vectors, 0).astype(np.float32), present, f"{name}-encoder")
    return FeatureSet(found, n)


def likes(seed: int, n: int = 30) -> Events:
    rng = np.random.default_rng(seed)
    return Events.of(rng.integers(0, 8, 60), rng.integers(0, n, 60))


def clusters(n: int = 40) -> tuple[FeatureSet, np.ndarray]:
    """Two clusters, far apart in both modalities; every third item lacks its image."""
    kind = np.arange(n) % 2
    text = np.where(kind[:, None] == 1, [[5.0, 1.0, 0.0]], [[-5.0, 0.0, 1.0]]).astype(np.float32)
    text = text + np.random.default_rng(0).standard_normal(text.shape).astype(np.float32) * 0.01
    image = np.where(kind[:, None] == 1, [[7.0, 2.0]], [[1.0, -4.0]]).astype(np.float32)
    there = np.arange(n) % 3 != 0
    features = {
        "text": Features(text, np.ones(n, bool), "t"),
        "image": Features(np.where(there[:, None], image, 0).astype(np.float32), there, "i"),
    }
    return FeatureSet(features), image


@pytest.mark.parametrize("imputer", IMPUTERS, ids=lambda i: repr(type(i).__name__))
@settings(max_examples=25)
@given(
    seed=st.integers(0, 10_000),
    share=st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0]),
    n=st.integers(1, 30),
    all_=st.booleans(),
)
def test_observed_rows_never_change_and_unknown_items_stay_masked(imputer, seed, share, n, all_):
    features = world(seed, n, share=share)
    fitted = again(imputer).fit(features, likes(seed, n) if all_ else None)
    found, filled = fitted.transform(features), fitted.filled(features)
    for name in features:
        before, after = features[name], found[name]
        assert np.array_equal(after.vectors[before.present], before.vectors[before.present])
        assert np.array_equal(after.present, before.present | filled[name])
        assert not (filled[name] & before.present).any()
        assert not after.present[~features.having_any()].any()
        assert np.isfinite(after.vectors).all()
        assert not after.vectors[~after.present].any()
        assert after.fingerprint != before.fingerprint
        assert space_of(after.fingerprint) == space_of(before.fingerprint)


@pytest.mark.parametrize("imputer", IMPUTERS, ids=lambda i: repr(type(i).__name__))
def test_items_are_filled_one_by_one_and_after_loading(imputer, tmp_path):
    features = world(1)
    fitted = again(imputer).fit(features, likes(1))
    fitted.save(tmp_path / "imputer")
    rows = np.array([2, 17, 29])
    whole, part = fitted.transform(features), fitted.transform(features.take(rows))
    loaded = load_component(tmp_path / "imputer", "fuser").transform(features)
    for name in whole:
        np.testing.assert_allclose(whole[name].vectors[rows], part[name].vectors, atol=1e-5)
        assert np.array_equal(whole[name].present[rows], part[name].present)
        assert np.array_equal(whole[name].vectors, loaded[name].vectors)
        assert whole[name].fingerprint == loaded[name].fingerprint


@pytest.mark.parametrize("imputer", IMPUTERS, ids=lambda i: repr(type(i).__name__))
def test_with_one_modality_nothing_can_be_filled(imputer):
    features = world(2).only(["text"])
    found = again(imputer).fit(features, likes(2)).transform(features)
    assert np.array_equal(found["text"].present, features["text"].present)
    assert np.array_equal(found["text"].vectors, features["text"].vectors)


@pytest.mark.parametrize("imputer", IMPUTERS, ids=lambda i: repr(type(i).__name__))
def test_a_modality_that_nobody_has_is_not_made_up(imputer):
    features = world(3)
    empty = FeatureSet({**features, "image": features["image"].hide(np.ones(30, bool))})
    found = again(imputer).fit(empty, likes(3)).transform(empty)
    assert not found["image"].present.any()


@pytest.mark.parametrize("imputer", IMPUTERS, ids=lambda i: repr(type(i).__name__))
def test_only_the_modalities_that_are_named_are_filled(imputer):
    features = world(4)
    wanted = type(imputer)(imputer.settings.model_copy(update={"only": ["image"]}))
    filled = wanted.fit(features, likes(4)).filled(features)
    assert filled["image"].any()
    assert not filled["text"].any()
    with pytest.raises(SettingError, match="imag"):
        type(imputer)(only=["imag"]).fit(features)


@pytest.mark.parametrize("imputer", IMPUTERS, ids=lambda i: repr(type(i).__name__))
def test_a_modality_that_is_not_given_is_filled_for_all(imputer):
    features = world(5, share=1.0)
    found = again(imputer).fit(features).transform(features.take(np.arange(4)).only(["text"]))
    assert list(found) == ["text", "image", "audio"]
    assert found["audio"].present.all()


def test_the_mean_of_copies_of_the_mean_leaves_no_rounding_noise():
    features = world(6, 101, share=0.5)
    vectors = ImputeMean().fit(features).transform(features)["image"]
    filled = ImputeMean().fit(features).filled(features)["image"]
    own = features["image"].vectors[features["image"].present].mean(axis=0, dtype=np.float64).astype(np.float32)
    assert filled.any()
    assert np.array_equal(vectors.vectors[filled], np.tile(own, (filled.sum(), 1)))
    assert np.array_equal(vectors.vectors[vectors.present].mean(axis=0, dtype=np.float64).astype(np.float32), own)


def test_ridge_finds_a_linear_relation_exactly():
    complete = world(7, 60, share=1.0)
    hidden = np.arange(60) % 4 == 0
    features = FeatureSet({**complete, "image": complete["image"].hide(hidden)})
    found = ImputeRidge(penalty=1e-9).fit(features).transform(features)["image"]
    np.testing.assert_allclose(found.vectors, complete["image"].vectors, atol=1e-3)
    chosen = ImputeRidge().fit(features).transform(features)["image"]
    np.testing.assert_allclose(chosen.vectors, complete["image"].vectors, atol=0.02)


@pytest.mark.parametrize("shape", [(40, 6), (8, 20), (7, 7)])
def test_ridge_map_agrees_with_the_normal_equations(shape):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal(shape) + 2, rng.standard_normal((shape[0], 3))
    found = ridge_map(x, y, 0.5)
    centred = x - x.mean(axis=0)
    unit = np.trace(centred.T @ centred) / shape[1]
    expected = np.linalg.solve(centred.T @ centred + 0.5 * unit * np.eye(shape[1]), centred.T @ (y - y.mean(axis=0)))
    np.testing.assert_allclose(found[:-1], expected, atol=1e-8)
    np.testing.assert_allclose(found[-1], y.mean(axis=0) - x.mean(axis=0) @ expected, atol=1e-8)


@pytest.mark.parametrize("shape", [(40, 6), (10, 20)])
def test_the_penalty_is_that_of_the_smallest_generalised_cross_validation_error(shape):
    rng = np.random.default_rng(1)
    x = rng.standard_normal(shape)
    y = x[:, :2] @ rng.standard_normal((2, 3)) + 2 * rng.standard_normal((shape[0], 3))
    c, d = x - x.mean(axis=0), y - y.mean(axis=0)
    unit, errors = np.trace(c.T @ c) / shape[1], []
    for penalty in GRID:
        hat = c @ np.linalg.solve(c.T @ c + penalty * unit * np.eye(shape[1]), c.T)
        errors.append(((d - hat @ d) ** 2).sum() / (shape[0] - 1 - np.trace(hat)) ** 2)
    np.testing.assert_allclose(ridge_map(x, y), ridge_map(x, y, GRID[int(np.argmin(errors))]), atol=1e-10)


def test_noise_at_as_many_items_as_numbers_does_not_blow_up():
    rng = np.random.default_rng(2)
    x, y, fresh = rng.standard_normal((30, 30)), rng.standard_normal((30, 4)), rng.standard_normal((200, 30))
    weights = ridge_map(x, y)
    assert np.abs(fresh @ weights[:-1] + weights[-1]).mean() < 1


def test_an_unseen_combination_is_predicted_from_its_largest_learned_part():
    n = 40
    rng = np.random.default_rng(3)
    text, audio = rng.standard_normal((n, 3)), rng.standard_normal((n, 2))
    parts = {"text": text, "audio": audio, "image": text @ rng.standard_normal((3, 4))}
    first = np.arange(n) < 20
    present = {"text": first, "audio": ~first, "image": np.ones(n, bool)}
    features = FeatureSet(
        {m: Features(np.where(present[m][:, None], v, 0).astype(np.float32), present[m], m) for m, v in parts.items()}
    )
    fitted = ImputeRidge(penalty=1e-9).fit(features)
    new = {m: Features(v.astype(np.float32), np.full(n, m != "image"), m) for m, v in parts.items()}
    new["image"] = new["image"].hide(np.ones(n, bool))
    found = fitted.transform(FeatureSet(new))["image"]
    np.testing.assert_allclose(found.vectors, parts["image"], atol=1e-3)


def test_the_graph_finds_the_cluster_of_old_and_new_items():
    features, image = clusters()
    fitted = ImputeGraph(neighbours=4).fit(features)
    np.testing.assert_allclose(fitted.transform(features)["image"].vectors, image, atol=1e-5)
    moved = Features(features["text"].vectors + np.float32(0.003), features["text"].present, "t")
    found = fitted.transform(FeatureSet({"text": moved}))["image"]
    assert found.present.all()
    np.testing.assert_allclose(found.vectors, image, atol=1e-5)


def test_clicks_say_what_content_does_not():
    """All texts are alike but for noise; people like the items of one cluster, so its pictures spread to the gaps."""
    features, image = clusters(30)
    noise = np.random.default_rng(1).standard_normal((30, 3)).astype(np.float32)
    blind = FeatureSet({**features, "text": Features(noise, np.ones(30, bool), "t")})
    people, items = np.nonzero(np.arange(6)[:, None] % 2 == np.arange(30)[None] % 2)
    events = Events.of(people, items)
    gaps = ~features["image"].present

    def error(**chosen):
        found = ImputeGraph(neighbours=5, rounds=40, **chosen).fit(blind, events).transform(blind)["image"]
        return np.abs(found.vectors - image)[gaps].mean()

    assert error(events=50.0) < 0.15
    assert error(events=50.0) < 0.1 * error(events=0.0)


def test_propagation_equals_the_weighted_mean_written_out():
    rng = np.random.default_rng(4)
    weights = rng.random((9, 9)) * (rng.random((9, 9)) < 0.4)
    vectors, present = rng.standard_normal((9, 2)).astype(np.float32), np.arange(9) < 4
    values, reached = np.where(present[:, None], vectors, 0.0), present.copy()
    for _ in range(3):
        new, there = values.copy(), reached.copy()
        for i in np.flatnonzero(~present):
            total = sum(weights[i, j] for j in range(9) if reached[j])
            there[i] = total > 0
            new[i] = sum(weights[i, j] * values[j] for j in range(9)) / total if total else 0
        values, reached = new, there
    found, seen = propagate(sparse.csr_array(weights.astype(np.float32)), vectors, present, 3)
    np.testing.assert_allclose(found, values, atol=1e-5)
    assert np.array_equal(seen, reached)


def test_items_that_no_observed_vector_reaches_stay_masked():
    graph = sparse.csr_array(np.array([[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]], np.float32))
    found, reached = propagate(graph, np.ones((4, 2), np.float32), np.array([True, False, False, False]), 10)
    assert reached.tolist() == [True, True, False, False]
    assert not found[2:].any()


def test_common_likes_are_cosines_of_who_likes_them():
    rng = np.random.default_rng(5)
    likes = rng.random((7, 6)) < 0.5
    people, items = np.nonzero(likes)
    weights = np.ones(len(people))
    weights[0] = -1  # a dislike joins nothing
    likes[people[0], items[0]] = False
    graph = co_liked(Events.of(people, items, weights=weights), 6, 5).toarray()
    norms = np.linalg.norm(likes.astype(float), axis=0)
    expected = likes.T.astype(float) @ likes / np.maximum(np.outer(norms, norms), 1e-12)
    np.fill_diagonal(expected, 0)
    np.testing.assert_allclose(graph, expected, atol=1e-6)


def test_twins_share_one_guess():
    """Two items with the same text and no image cannot be told apart later, whatever their likes say."""
    features, _ = clusters(20)
    text = features["text"].vectors.copy()
    text[6] = text[0]
    same = FeatureSet({**features, "text": Features(text, features["text"].present, "t")})
    events = Events.of([0, 0, 0, 1, 1], [0, 2, 4, 6, 7])
    found = ImputeGraph(neighbours=2).fit(same, events).transform(same)["image"].vectors
    assert np.array_equal(found[0], found[6])


def test_the_report_knows_a_good_imputer_from_the_mean():
    features = world(8, 200, share=1.0, dims=(5, 4))
    rows = impute_report({"ridge": ImputeRidge(), "graph": ImputeGraph()}, features, share=0.3, rng=1)
    assert [(r.imputer, r.modality) for r in rows] == [(i, m) for m in features for i in (MEAN, "ridge", "graph")]
    for row in rows:
        assert row.n == row.filled == 60
        assert row.k == 10
        if row.imputer == MEAN:
            assert abs(row.r2) < 0.05
            assert row.centred == pytest.approx(0, abs=1e-6)
            assert row.recall == pytest.approx(row.chance)
        else:
            assert row.r2 > 0.7
            assert row.centred > 0.8
            assert row.recall > 5 * row.chance
    assert all(r.k == 2 for r in impute_report({}, features, share=0.05, rng=1))
    with pytest.raises(DataError, match="text"):
        impute_report({}, features.only(["text"]))


def test_what_cannot_be_used_is_refused():
    features = world(9)
    with pytest.raises(NotFittedError):
        ImputeRidge().transform(features)
    with pytest.raises(DataError, match="no features"):
        ImputeMean().fit(FeatureSet({}, 3))
    with pytest.raises(DataError, match="row 90"):
        ImputeGraph().fit(features, Events.of([0], [90]))
    fitted = ImputeRidge().fit(features)
    with pytest.raises(DataError, match="txt"):
        fitted.transform(FeatureSet({"txt": features["text"]}))
    other = Features(features["text"].vectors, features["text"].present, "another-encoder")
    with pytest.raises(FingerprintError, match="another-encoder"):
        fitted.transform(FeatureSet({"text": other}))
