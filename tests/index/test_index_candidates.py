"""Merging candidates: the rules against loops, and what holds for all of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from salon.arrays import top_k
from salon.errors import DataError, SettingError
from salon.index.candidates import merge_candidates
from salon.types import TopK


def answer(rows: list[list[tuple[int, float]]], k: int) -> TopK:
    ids, scores = np.full((len(rows), k), -1), np.full((len(rows), k), -np.inf, np.float32)
    for i, row in enumerate(rows):
        for j, (item, score) in enumerate(row):
            ids[i, j], scores[i, j] = item, score
    return TopK(ids, scores)


def slow_merge(sources: dict[str, TopK], k: int, rule: str, weights: dict[str, float]) -> list[list[tuple[int, str]]]:
    merged = []
    for row in range(len(next(iter(sources.values())))):
        worth: dict[int, tuple[float, int, int, str]] = {}
        for order, (name, found) in enumerate(sources.items()):
            real = [s for i, s in zip(found.ids[row], found.scores[row], strict=True) if i >= 0]
            for place, (item, score) in enumerate(zip(found.ids[row], found.scores[row], strict=True)):
                if item < 0:
                    continue
                span = np.float32(max(real) - min(real))
                value = np.float32((score - min(real)) / span) if span > 0 else np.float32(1)
                value = np.float32(1) / np.float32(1 + place) if rule == "round_robin" else value
                key = (-float(value * np.float32(weights.get(name, 1))), order, place, name)
                worth[int(item)] = min(worth.get(int(item), key), key)
        ranked = sorted(worth.items(), key=lambda pair: pair[1])[:k]
        merged.append([(item, key[3]) for item, key in ranked])
    return merged


@st.composite
def some_sources(draw: st.DrawFn) -> dict[str, TopK]:
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    n = draw(st.integers(0, 4))
    found = {}
    for name in ["linear", "popular", "content"][: draw(st.integers(1, 3))]:
        scores = rng.integers(0, 6, (n, 8)).astype(np.float32)
        scores[rng.random((n, 8)) < 0.4] = -np.inf
        found[name] = top_k(scores, int(rng.integers(1, 10)))
    return found


RULES = [("round_robin", {}), ("score", {}), ("weight", {"linear": 2.0})]


@pytest.mark.parametrize(("rule", "weights"), RULES)
@given(sources=some_sources(), k=st.integers(1, 12))
def test_merging_equals_loops_and_keeps_its_promises(rule, weights, sources: dict[str, TopK], k: int) -> None:
    merged = merge_candidates(sources, k, rule=rule, weights=weights)
    assert merged.ids.shape == (len(next(iter(sources.values()))), k)
    assert merged.source_names == tuple(sources)
    assert np.array_equal(merged.ids == -1, merged.scores == -np.inf)
    for row, expected in enumerate(slow_merge(sources, k, rule, weights)):
        real = merged.ids[row] >= 0
        assert merged.ids[row][real].tolist() == [item for item, _ in expected]
        assert [merged.source(row, c) for c in np.flatnonzero(real)] == [name for _, name in expected]
        assert not real[int(real.sum()) :].any()
        assert len(set(merged.ids[row][real])) == real.sum()
        assert (np.diff(merged.scores[row][real]) <= 0).all()
        for item, name in expected:
            assert item in sources[name].ids[row]
        proposed = {int(i) for found in sources.values() for i in found.ids[row] if i >= 0}
        assert real.sum() == min(k, len(proposed))


def test_round_robin_takes_turns() -> None:
    sources = {"a": answer([[(1, 9), (2, 8), (3, 7)]], 3), "b": answer([[(4, 1), (1, 0.5)]], 3)}
    merged = merge_candidates(sources, 5)
    assert merged.ids.tolist() == [[1, 4, 2, 3, -1]]
    assert [merged.source(0, c) for c in range(4)] == ["a", "b", "a", "a"]


def test_a_duplicate_is_credited_to_its_best_source() -> None:
    sources = {"a": answer([[(1, 9), (2, 0)]], 2), "b": answer([[(2, 5), (3, 4), (1, 3)]], 3)}
    merged = merge_candidates(sources, 3, rule="score")
    assert merged.ids.tolist() == [[1, 2, 3]]
    assert [merged.source(0, c) for c in range(3)] == ["a", "b", "b"]


def test_weights_decide() -> None:
    sources = {"a": answer([[(1, 9), (2, 8)]], 2), "b": answer([[(3, 1), (4, 0)]], 2)}
    assert merge_candidates(sources, 1, rule="weight", weights={"b": 1.5}).ids.tolist() == [[3]]
    assert merge_candidates(sources, 1, rule="weight", weights={"b": 0.5}).ids.tolist() == [[1]]


def test_one_source_passes_through() -> None:
    found = answer([[(5, 2), (3, 1)], []], 2)
    assert np.array_equal(merge_candidates({"a": found}, 2).ids, found.ids)


def test_mistakes_are_refused() -> None:
    one, two = answer([[(1, 1)]], 1), answer([[(1, 1)], [(1, 1)]], 1)
    with pytest.raises(DataError, match=r"\[1, 2\]"):
        merge_candidates({"a": one, "b": two}, 1)
    with pytest.raises(DataError, match="at least one source"):
        merge_candidates({}, 1)
    with pytest.raises(SettingError, match="'round_robin'"):
        merge_candidates({"a": one}, 1, rule="round-robin")  # type: ignore[arg-type]
    with pytest.raises(SettingError, match="'a'"):
        merge_candidates({"a": one}, 1, rule="weight", weights={"aa": 1})
    with pytest.raises(SettingError, match="0"):
        merge_candidates({"a": one}, 1, rule="weight", weights={"a": 0})
    with pytest.raises(SettingError, match="no use"):
        merge_candidates({"a": one}, 1, weights={"a": 1})
    with pytest.raises(SettingError, match="k is 0"):
        merge_candidates({"a": one}, 0)
