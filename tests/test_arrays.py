"""Shared array functions against their definitions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import sparse

from salon import arrays
from salon.arrays import (
    block_size,
    blocks,
    centred_unit_rows,
    keep_top_per_row,
    nearest_rows,
    power_or_zero,
    scale_columns,
    scale_rows,
    top_k,
    unit_rows,
)

SCORES = st.sampled_from([-np.inf, -1.0, 0.0, 1.0, 2.0, np.nan])
MATRICES = hnp.arrays(np.float32, st.tuples(st.integers(0, 5), st.integers(0, 12)), elements=SCORES)


@pytest.mark.parametrize("what", ["numbers", "many zeros", "few allowed", "rounded", "all equal", "nearly nothing"])
@pytest.mark.parametrize("k", [1, 20, 200])
def test_top_k_of_long_rows_equals_sorting(what: str, k: int) -> None:
    rng = np.random.default_rng(k)
    row = rng.normal(size=20_011).astype(np.float32)
    if what == "many zeros":
        row[rng.random(len(row)) < 0.9] = 0.0
    elif what == "few allowed":
        row[rng.random(len(row)) < 0.995] = -np.inf
    elif what == "rounded":
        row = np.round(row, 1)
    elif what == "all equal":
        row[:] = 0.0
    elif what == "nearly nothing":
        row[5:] = -np.inf
    order = np.lexsort((np.arange(len(row)), -row))[:k]
    found = top_k(np.stack([row, row[::-1]]), k)
    np.testing.assert_array_equal(found.ids[0], np.where(row[order] > -np.inf, order, -1))
    np.testing.assert_array_equal(found.scores[0], row[order])


@given(scores=MATRICES, k=st.integers(1, 15))
def test_top_k_equals_sorting(scores: np.ndarray, k: int) -> None:
    given_before = scores.copy()
    found = top_k(scores, k)
    assert found.ids.shape == found.scores.shape == (len(scores), k)
    assert (found.ids.dtype, found.scores.dtype) == (np.int64, np.float32)
    for row, ids, best in zip(scores, found.ids, found.scores, strict=True):
        real = [(-s, j) for j, s in enumerate(row) if s > -np.inf]
        expected = [j for _, j in sorted(real)[:k]]
        assert ids.tolist() == expected + [-1] * (k - len(expected))
        assert best.tolist() == [row[j] for j in expected] + [-np.inf] * (k - len(expected))
    assert np.array_equal(scores, given_before, equal_nan=True)


@given(seed=st.integers(0, 1000))
def test_top_k_of_distinct_numbers(seed: int) -> None:
    scores = np.random.default_rng(seed).permutation(200).reshape(4, 50).astype(np.float32)
    assert np.array_equal(top_k(scores, 7).ids, np.argsort(-scores, axis=1)[:, :7])


@given(hnp.arrays(np.float32, (4, 3), elements=st.sampled_from([0.0, 1.0, -3.0, 1e-3, 1e4])))
def test_unit_rows_have_length_one_or_stay_zero(matrix: np.ndarray) -> None:
    norms = np.linalg.norm(unit_rows(matrix), axis=1)
    assert norms == pytest.approx((matrix != 0).any(axis=1).astype(float), abs=1e-5)


def test_centred_unit_rows_ignore_absent_rows() -> None:
    vectors = np.array([[1, 0], [3, 0], [99, 99], [2, 5]], np.float32)
    present = np.array([True, True, False, True])
    rows = centred_unit_rows(vectors, present)
    centred = vectors[present] - vectors[present].mean(axis=0)
    np.testing.assert_allclose(rows[present], centred / np.linalg.norm(centred, axis=1, keepdims=True), rtol=1e-6)
    assert not rows[2].any()
    frozen = centred_unit_rows(vectors, present, mean=np.array([1, 0], np.float32))
    assert frozen[:2].tolist() == [[0, 0], [1, 0]]
    assert not centred_unit_rows(vectors, np.zeros(4, bool)).any()


@given(n=st.integers(0, 50), size=st.integers(1, 20))
def test_blocks_cover_everything_once(n: int, size: int) -> None:
    pieces = list(blocks(n, size))
    assert [i for piece in pieces for i in range(piece.start, piece.stop)] == list(range(n))
    assert all(piece.stop - piece.start <= size for piece in pieces)


def test_block_size_keeps_the_budget_and_never_stops() -> None:
    assert block_size(100, budget_bytes=4000) == 10
    assert block_size(10**9, budget_bytes=1) == 1
    assert block_size(0, budget_bytes=8) == 8


@pytest.mark.parametrize("skip_self", [False, True])
@pytest.mark.parametrize("k", [1, 4, 30])
def test_nearest_rows_equal_brute_force(skip_self: bool, k: int, monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = np.random.default_rng(0).integers(-2, 3, (20, 3)).astype(np.float32)
    products = vectors @ vectors.T
    if skip_self:
        np.fill_diagonal(products, -np.inf)
    expected = top_k(products, k)
    monkeypatch.setattr(arrays, "block_size", lambda *_: 3)
    found = nearest_rows(vectors, vectors, k, skip_self=skip_self)
    assert np.array_equal(found.ids, expected.ids)
    assert np.array_equal(found.scores, expected.scores)


@given(st.integers(0, 1000), st.integers(1, 6), st.booleans())
def test_a_guess_changes_no_neighbour(seed: int, k: int, skip_self: bool) -> None:
    rng = np.random.default_rng(seed)
    vectors = rng.integers(-1, 2, (40, 2)).astype(np.float32)  # many products are equal
    guess = np.argsort(rng.random((40, 40)), axis=1)[:, :k]
    expected = nearest_rows(vectors, vectors, k, skip_self=skip_self)
    for guessed in (guess, expected.ids):
        found = nearest_rows(vectors, vectors, k, skip_self=skip_self, guess=guessed)
        assert np.array_equal(found.ids, expected.ids)
        assert np.array_equal(found.scores, expected.scores)


def test_a_guess_is_used_whether_many_or_few_rows_are_as_near(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = np.random.default_rng(0).standard_normal((200, 4)).astype(np.float32)
    vectors[50:150] = vectors[50]
    expected = nearest_rows(vectors, vectors, 2)
    asked: list[int] = []
    monkeypatch.setattr(arrays, "top_k", lambda scores, k: asked.append(len(scores)) or top_k(scores, k))
    found = nearest_rows(vectors, vectors, 2, guess=expected.ids)
    assert np.array_equal(found.ids, expected.ids)
    assert len(asked) == 1
    assert 100 <= asked[0] < 110  # the equal ones, and those few to whom the equal ones are nearest


def test_nearest_rows_of_nothing() -> None:
    assert nearest_rows(np.zeros((0, 3), np.float32), np.zeros((4, 3), np.float32), 2).ids.shape == (0, 2)


@given(seed=st.integers(0, 1000), k=st.integers(1, 8))
def test_keep_top_per_row_equals_sorting(seed: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    dense = rng.integers(-2, 4, (6, 9)) * (rng.random((6, 9)) < 0.6)
    kept = keep_top_per_row(sparse.csr_array(dense.astype(np.float32)), k).toarray()
    for row, answer in zip(dense, kept, strict=True):
        stored = sorted((-value, j) for j, value in enumerate(row) if value != 0)[:k]
        expected = np.zeros(9)
        expected[[j for _, j in stored]] = [-value for value, _ in stored]
        assert np.array_equal(answer, expected)


def test_scaling_is_multiplying_by_a_diagonal() -> None:
    dense = np.arange(6.0).reshape(2, 3)
    matrix = sparse.csr_array(dense)
    assert np.array_equal(scale_rows(matrix, np.array([2.0, -1])).toarray(), np.diag([2, -1]) @ dense)
    assert np.array_equal(scale_columns(matrix, np.array([2.0, 0, 3])).toarray(), dense @ np.diag([2, 0, 3]))


def test_power_or_zero() -> None:
    assert power_or_zero(np.array([4.0, 0, -1]), -0.5).tolist() == [0.5, 0, 0]
    assert power_or_zero(np.array([4, 0]), 0).tolist() == [1, 0]


def test_a_row_at_the_mean_has_no_direction() -> None:
    rng = np.random.default_rng(0)
    one = (100 + rng.standard_normal(50)).astype(np.float32)
    same = np.tile(one, (7, 1))
    assert not centred_unit_rows(same, np.ones(7, bool)).any()
    assert not centred_unit_rows(same[:1], np.ones(1, bool), one.astype(np.float64)).any()
    other = np.concatenate([same, same[:1] + 1])
    assert np.linalg.norm(centred_unit_rows(other, np.ones(8, bool)), axis=1) == pytest.approx(np.ones(8), abs=1e-5)


def test_what_is_not_a_number_is_not_taken_for_zero() -> None:
    rows = unit_rows(np.array([[3.0, 4.0], [np.nan, 1.0], [0.0, 0.0]]))
    assert rows[0] == pytest.approx([0.6, 0.8])
    assert np.isnan(rows[1]).all()
    assert not rows[2].any()
