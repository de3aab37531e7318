"""Exact search equals comparing everything, whatever the blocks, filters and exclusions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from salon.component import load_component
from salon.errors import DataError, FingerprintError, SettingError
from salon.index import exact
from salon.index.exact import ExactIndex


def brute_force(queries: np.ndarray, vectors: np.ndarray, k: int, out: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    ids, best = np.full((len(queries), k), -1), np.full((len(queries), k), -np.inf)
    for q, query in enumerate(queries):
        scores = [(-float(query @ v), j) for j, v in enumerate(vectors) if not out[q, j]]
        for place, (score, j) in enumerate(sorted(scores)[:k]):
            ids[q, place], best[q, place] = j, -score
    return ids, best


@given(
    seed=st.integers(0, 10_000),
    n=st.integers(0, 6),
    m=st.integers(1, 30),
    k=st.integers(1, 35),
    sizes=st.tuples(st.integers(1, 7), st.integers(1, 9)),
    filtered=st.booleans(),
    excluding=st.booleans(),
)
def test_search_equals_brute_force(
    seed: int, n: int, m: int, k: int, sizes: tuple[int, int], filtered: bool, excluding: bool
) -> None:
    rng = np.random.default_rng(seed)
    queries, vectors = rng.integers(-2, 3, (n, 3)), rng.integers(-2, 3, (m, 3))  # whole numbers: many exact ties
    allow = rng.random(m) < 0.5 if filtered else None
    out = (rng.random((n, m)) < 0.4) & excluding
    exclude = sparse.csr_array(out.astype(np.float32)) if excluding else None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exact, "QUERIES_AT_ONCE", sizes[0])
        patch.setattr(exact, "ITEMS_AT_ONCE", sizes[1])
        found = ExactIndex().build(vectors).search(queries, k, exclude=exclude, allow=allow)
    ids, scores = brute_force(queries, vectors, k, out | (~allow if allow is not None else False))
    assert np.array_equal(found.ids, ids)
    assert np.array_equal(found.scores, scores)


def test_another_fingerprint_is_refused(tmp_path) -> None:
    index = ExactIndex().build(np.eye(3), fingerprint="a")
    index.save(tmp_path / "index")
    for known in (index, load_component(tmp_path / "index", "index")):
        assert known.search(np.eye(3), 1, fingerprint="a").ids.ravel().tolist() == [0, 1, 2]
        for call in (
            lambda index=known: index.search(np.eye(3), 1, fingerprint="b"),
            lambda index=known: index.add(np.eye(3), fingerprint="b"),
        ):
            with pytest.raises(FingerprintError, match="'a', not of 'b'"):
                call()


def test_added_vectors_are_found() -> None:
    index = ExactIndex().build(np.eye(3)[:2]).add(np.eye(3)[2:])
    assert index.search(np.eye(3), 1).ids.ravel().tolist() == [0, 1, 2]


@pytest.mark.parametrize("bad", [np.array([[1.0, np.nan]]), np.ones(3), np.array([[np.inf, 0]])])
def test_vectors_that_are_no_finite_matrix_are_refused(bad: np.ndarray) -> None:
    with pytest.raises(DataError, match="finite matrix"):
        ExactIndex().build(bad)
    with pytest.raises(DataError):
        ExactIndex().build(np.eye(2)).search(bad, 1)


def test_wrong_length_and_k_are_refused() -> None:
    index = ExactIndex().build(np.eye(3))
    with pytest.raises(DataError, match=r"length 2.*length 3"):
        index.search(np.eye(2), 1)
    with pytest.raises(SettingError, match="k is 0"):
        index.search(np.eye(3), 0)


def test_a_failed_build_leaves_the_index_as_it_was() -> None:
    index = ExactIndex().build(np.eye(3))
    with pytest.raises(DataError):
        index.build(np.full((1, 3), np.nan))
    assert index.search(np.eye(3), 1).ids.ravel().tolist() == [0, 1, 2]
