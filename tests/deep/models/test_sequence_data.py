"""Histories as arrays: windows, padding, times, held-out last items."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sequence_world import dataset, sequences

from salon.data import Holdout, Queries
from salon.errors import DataError
from salon.models.sequence_data import Sequences, Windows, alike_in_length, windows
from salon.models.sequence_question import NextQuestion, hold_out
from salon.training.batches import Negatives


@given(st.lists(st.integers(0, 23), min_size=1, max_size=8), st.integers(1, 7))
def test_every_step_but_the_first_is_asked_for_in_exactly_one_window(sizes: list[int], length: int) -> None:
    indptr = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    starts, stops = windows(indptr, length)
    asked = sorted(place for start, stop in zip(starts, stops, strict=True) for place in range(start + 1, stop))
    assert asked == [i for a, b in itertools.pairwise(indptr) for i in range(a + 1, b)]
    assert all(0 < stop - start - 1 <= length for start, stop in zip(starts, stops, strict=True))
    owner = np.repeat(np.arange(len(sizes)), sizes)
    assert all(owner[start] == owner[stop - 1] for start, stop in zip(starts, stops, strict=True))


def test_padding_stands_behind_and_keeps_times_beside_items() -> None:
    items, times = sequences([[3, 1, 2], [], [5]], [[10, 11, 12], [], [7]]).last(2)
    np.testing.assert_array_equal(items, [[1, 2], [-1, -1], [5, -1]])
    np.testing.assert_array_equal(times, [[11, 12], [np.nan, np.nan], [7, np.nan]])
    nothing, _ = sequences([[], []]).last(4)
    assert nothing.shape == (2, 0)


def test_only_liked_items_with_a_vector_are_read_in_their_order() -> None:
    queries = Queries.from_lists([[4, 0, 2, 3], [1]], [[1, -1, 2, 1], [0]])
    placed = np.array([True, True, True, False, True])
    found = Sequences.of(queries, placed)
    assert found.items.tolist() == [4, 2]
    assert found.indptr.tolist() == [0, 2, 2]
    assert np.isnan(found.times).all()


def test_taking_and_keeping_some_works_as_on_lists() -> None:
    all_of = sequences([[0, 1, 2], [3], [4, 5]])
    assert all_of.take(np.array([2, 0])).items.tolist() == [4, 5, 0, 1, 2]
    assert all_of.take(slice(1, 3)).indptr.tolist() == [0, 1, 3]
    kept = all_of.only(np.array([True, False, True, False, True, False]))
    assert kept.items.tolist() == [0, 2, 4]
    assert kept.indptr.tolist() == [0, 2, 2, 3]


def test_shuffling_keeps_who_did_what() -> None:
    all_of = sequences([list(range(20)), [20, 21]], [list(range(20)), [20, 21]])
    mixed = all_of.shuffled(np.random.default_rng(0))
    assert sorted(mixed.items[:20]) == list(range(20))
    assert mixed.items[:20].tolist() != list(range(20))
    np.testing.assert_array_equal(mixed.items, mixed.times)


def test_steps_keep_the_times_of_their_actions() -> None:
    queries = Queries.from_lists([[4, 0, 2], [1]], [[1, -1, 1], [1]], [[5, 6, 7], [8]])
    assert Sequences.of(queries, np.ones(5, bool)).times.tolist() == [5, 7, 8]


def test_the_last_step_of_long_histories_is_held_out() -> None:
    kept, asked, wanted = sequences([[1, 2], [3, 4, 5], [6], [0, 7, 8, 9]]).hold_out_last() or pytest.fail("nothing")
    assert kept.items.tolist() == [1, 2, 3, 4, 6, 0, 7, 8]
    assert asked.items.tolist() == [3, 4, 0, 7, 8]
    assert wanted.tolist() == [5, 9]
    assert sequences([[1, 2]]).hold_out_last() is None
    short = sequences([[1, 2]])
    assert hold_out(short, 3, np.random.default_rng(0), ordered=True) == (short, None)


def test_the_question_counts_right_items_and_bars_what_was_seen() -> None:
    _, question = hold_out(sequences([[0, 1, 2], [3, 4, 5]]), 6, np.random.default_rng(0), ordered=True)
    assert question is not None
    right = np.array([[9, 9, 8, 0, 0, 0], [0, 0, 7, 9, 9, 6]], np.float32)
    second = 1 / np.log2(3)
    assert question.score(lambda asked: right.copy()) == pytest.approx((1 + second) / 2)
    data = dataset([[0, 1], [2, 3]], 6)
    targets = question.targets
    barred = Holdout(data.queries(), targets, exclude=None, candidates=np.array([1, 1, 1, 1, 1, 0], bool))
    again = NextQuestion.of(barred, np.ones(6, bool), np.random.default_rng(0))
    assert again is not None
    assert again.score(lambda asked: right.copy()) == pytest.approx(0.5)


def test_batches_pair_each_step_with_the_one_after() -> None:
    all_of = sequences([[0, 1, 2, 3], [4, 5]], [[0, 1, 2, 3], [4, 5]])
    negatives = Negatives(all_of.matrix(6))
    batches = Windows(all_of, 5, 2, ordered=True, negatives=negatives, count=3)
    found = list(batches(np.random.default_rng(0)))
    assert len(found) == 1
    steps, targets, times, others = found[0]
    rows = {tuple(zip(s.tolist(), t.tolist(), strict=True)) for s, t in zip(steps, targets, strict=True)}
    assert rows == {((0, 1), (1, 2), (2, 3)), ((4, 5), (5, -1), (-1, -1))}
    assert times.shape == steps.shape
    assert others.shape == (3,)
    with pytest.raises(DataError, match="No history has two liked items"):
        Windows(sequences([[1], []]), 5, 2, ordered=True, negatives=negatives, count=3)


def test_without_order_the_pairs_change_from_epoch_to_epoch() -> None:
    all_of = sequences([list(range(12))])
    batches = Windows(all_of, 11, 2, ordered=False, negatives=Negatives(all_of.matrix(12)), count=0)
    first, second = (next(iter(batches(np.random.default_rng(seed))))[0].tolist() for seed in (0, 1))
    assert first != second


@given(
    st.lists(st.integers(1, 60), min_size=1, max_size=300).map(np.array), st.integers(1, 40), st.integers(0, 2**32 - 1)
)
def test_every_row_is_in_one_batch_and_batches_have_as_many_steps(lengths: np.ndarray, size: int, seed: int) -> None:
    batches = alike_in_length(lengths, size, np.random.default_rng(seed))
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))
    steps, budget = np.array([lengths[part].sum() for part in batches]), size * lengths.mean()
    assert steps.max() <= 1.5 * budget + lengths.max()
    padded = np.array([len(part) * lengths[part].max() for part in batches])
    assert padded.max() <= (size + 1) * lengths.max()  # what the estimate of memory reckons with


def test_a_batch_is_not_padded_beyond_its_share_where_long_rows_follow_short_ones() -> None:
    lengths = np.repeat([2, 50], 4000)
    batches = alike_in_length(lengths, 256, np.random.default_rng(0))
    assert max(len(part) * lengths[part].max() for part in batches) <= 257 * 50


def test_batches_of_mixed_lengths_are_hardly_padded_and_come_in_random_order() -> None:
    lengths = np.random.default_rng(0).geometric(0.15, 4000)
    batches = alike_in_length(lengths, 100, np.random.default_rng(1))
    padded = sum(len(part) * lengths[part].max() for part in batches)
    assert padded < 1.25 * lengths.sum()
    means = np.array([lengths[part].mean() for part in batches])
    assert abs(np.corrcoef(np.arange(len(means)), means)[0, 1]) < 0.5
    assert not np.array_equal(batches[0], alike_in_length(lengths, 100, np.random.default_rng(2))[0])
