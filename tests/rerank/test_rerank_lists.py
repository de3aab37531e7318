"""Candidates, rules and diversity against slow versions and known answers."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from salon.errors import SettingError
from salon.rerank.candidates import blended
from salon.rerank.diversity import dpp, intra_list_distance, mmr, relevance
from salon.rerank.rules import boosted, capped


def rows(*items: int) -> np.ndarray:
    return np.array(items, np.int64)


def test_each_source_gets_its_share_of_places_evenly() -> None:
    found = blended({"model": rows(*range(20)), "new": rows(50, 51, 52)}, {"new": 0.2}, 10)
    assert found.ids.tolist() == [0, 1, 2, 3, 50, 4, 5, 6, 7, 51]
    assert found.names[found.sources[4]] == "new"


def test_an_item_comes_once_and_lists_that_run_out_are_filled_up() -> None:
    found = blended({"model": rows(1, 2), "new": rows(2, 1, 3), "popular": rows(3, 4)}, {"new": 0.5}, 10)
    assert found.ids.tolist() == [1, 2, 3, 4]
    assert [found.names[s] for s in found.sources] == ["model", "new", "new", "popular"]
    assert blended({"model": rows()}, {}, 3).ids.tolist() == []


@pytest.mark.parametrize(
    ("shares", "message"), [({"x": 0.1}, "'x'"), ({"new": 1.5}, "is 1.5"), ({"new": 0.7, "old": 0.7}, "sum to 1.4")]
)
def test_shares_that_make_no_sense_are_refused(shares: dict[str, float], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        blended({"model": rows(1), "new": rows(2), "old": rows(3)}, shares, 3)


@given(
    st.lists(st.integers(0, 15), max_size=10, unique=True),
    st.lists(st.integers(0, 15), max_size=10, unique=True),
    st.floats(0, 1),
    st.integers(1, 12),
)
def test_a_blend_repeats_nothing_and_loses_nothing(main: list[int], other: list[int], share: float, k: int) -> None:
    found = blended({"a": rows(*main), "b": rows(*other)}, {"b": share}, k)
    assert len(set(found.ids.tolist())) == len(found.ids) == min(k, len({*main, *other}))
    for source, items in enumerate((main, other)):
        mine = [int(i) for i, s in zip(found.ids, found.sources, strict=True) if s == source]
        assert mine == [i for i in items if i in mine], "each source keeps its order"


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=6), st.floats(1.01, 50))
def test_a_boost_above_one_never_lowers_a_score(scores: list[float], boost: float) -> None:
    given_scores = np.array(scores, np.float32)
    up = boosted(given_scores, np.full(len(scores), boost))
    down = boosted(given_scores, np.full(len(scores), 1 / boost))
    assert (up >= given_scores - 1e-6).all()
    assert (down <= given_scores + 1e-6).all()


def test_boosts_that_are_missing_or_wild_are_held() -> None:
    found = boosted(np.array([1.0, 1.0, 1.0, -np.inf], np.float32), np.array([np.nan, 1e9, -3.0, 2.0]))
    assert found.tolist() == [1.0, 1000.0, np.float32(0.001), -np.inf]


@given(
    st.lists(st.lists(st.integers(0, 3), max_size=2, unique=True), min_size=1, max_size=10),
    st.integers(1, 3),
    st.integers(1, 10),
)
def test_caps_agree_with_counting(labels: list[list[int]], cap: int, k: int) -> None:
    matrix = sparse.csr_array((len(labels), 4), dtype=np.float32)
    place = [(i, label) for i, row in enumerate(labels) for label in row]
    if place:
        matrix = sparse.csr_array((np.ones(len(place)), tuple(zip(*place, strict=True))), shape=(len(labels), 4))
    kept = capped(np.arange(len(labels)), matrix, cap, k)
    used: dict[int, int] = {}
    expected = []
    for i, row in enumerate(labels):
        if len(expected) < k and all(used.get(label, 0) < cap for label in row):
            expected.append(i)
            used |= {label: used.get(label, 0) + 1 for label in row}
    assert kept.tolist() == expected


VECTORS = st.integers(1, 7).flatmap(
    lambda n: st.tuples(
        st.lists(st.floats(0, 1), min_size=n, max_size=n),
        st.lists(st.lists(st.integers(-2, 2), min_size=3, max_size=3), min_size=n, max_size=n),
    )
)


@given(VECTORS, st.integers(1, 7), st.floats(0.05, 1))
def test_mmr_agrees_with_the_slow_version(world: tuple[list[float], list[list[int]]], k: int, d: float) -> None:
    """Each pick is the best of what is left, given those before it; of equal ones any."""
    scores, vectors = np.array(world[0]), np.array(world[1], float)
    norms = np.linalg.norm(vectors, axis=1)
    found = mmr(scores, vectors, k, d).tolist()
    assert len(found) == len(set(found)) == min(k, len(scores))

    def value(i: int, before: list[int]) -> float:
        similar = [vectors[i] @ vectors[j] / (norms[i] * norms[j] or 1) for j in before]
        return float((1 - d) * relevance(scores)[i] - d * max(similar, default=0.0))

    for place, item in enumerate(found):
        before = found[:place]
        best = max(value(i, before) for i in range(len(scores)) if i not in before)
        assert value(item, before) >= best - 1e-5


def test_mmr_takes_the_other_kind_second() -> None:
    vectors = np.array([[1, 0], [1, 0.01], [0, 1]])
    assert mmr(np.array([1.0, 0.99, 0.5]), vectors, 2, 0.5).tolist() == [0, 2]
    assert mmr(np.array([1.0, 0.99, 0.5]), vectors, 2, 0.0).tolist() == [0, 1]


def test_dpp_takes_the_set_with_the_largest_determinant_greedily() -> None:
    rng = np.random.default_rng(0)
    scores, vectors = rng.random(7), rng.normal(size=(7, 4))
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    for d in (0.3, 0.6, 0.9):
        quality = np.exp((1 - d) / d * relevance(scores))
        kernel = quality[:, None] * ((1 + unit @ unit.T) / 2 + 1e-6 * np.eye(7)) * quality
        chosen: list[int] = []
        for _ in range(4):
            left = [i for i in range(7) if i not in chosen]
            chosen.append(max(left, key=lambda i: np.linalg.det(kernel[np.ix_([*chosen, i], [*chosen, i])])))
        assert dpp(scores, vectors, 4, d).tolist() == chosen


def test_diversity_spreads_a_list_and_repeats_nothing() -> None:
    rng = np.random.default_rng(1)
    scores, vectors = rng.random(60), rng.normal(size=(60, 8)) + np.repeat(np.eye(8)[:3] * 6, 20, axis=0)
    for method in (mmr, dpp):
        spread = [intra_list_distance(vectors[method(scores, vectors, 9, d)]) for d in (0.0, 0.5, 0.95)]
        assert spread[0] < spread[-1]
        assert len(set(method(scores, vectors, 60, 1.0).tolist())) == 60
        assert method(scores[:0], vectors[:0], 5, 0.5).tolist() == []
        with pytest.raises(SettingError, match="diversity is 2"):
            method(scores, vectors, 3, 2.0)


def test_the_distance_within_a_list_is_the_mean_over_its_pairs() -> None:
    vectors = np.random.default_rng(2).normal(size=(5, 3))
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    pairs = [1 - unit[i] @ unit[j] for i, j in itertools.combinations(range(5), 2)]
    assert intra_list_distance(vectors) == pytest.approx(np.mean(pairs), abs=1e-6)
    assert intra_list_distance(vectors[:1]) == 0.0
