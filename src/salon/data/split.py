"""Protocols: random per user, leave last out, global time, cold items, folds, missing modality.

Every protocol answers with a `Split`; what it did is in `Split.about`. The same seed gives the same split.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np

from salon.data.dataset import Dataset
from salon.data.parting import TEST, TRAIN, UNUSED, VALID, Split, acted_pairs, among, pair_keys, split_by_labels
from salon.data.stored_split import read_split
from salon.errors import DataError, SettingError
from salon.types import BoolArray, IntArray

__all__ = [
    "Split",
    "cold_split",
    "hide_modality",
    "k_folds",
    "leave_last_out",
    "random_split",
    "read_split",
    "split_by_labels",
    "time_split",
]

Rng = np.random.Generator | int
WARM = 3


def random_split(data: Dataset, *, valid: float = 0.1, test: float = 0.1, rng: Rng = 0) -> Split:
    """Some of the liked items of each user, at random.

    All actions of a user on one item stay together. Users with fewer than three liked items are in train only, everyone
    else has at least one target in each part that is asked for. Where there are ratings, the same share of the items
    that are not liked is held out too, so that predicted ratings can be measured (`Holdout.ratings`).

    Args:
        data: Everything.
        valid: Share of the liked items per user for validation.
        test: Share for the test.
        rng: A seed or generator.

    Raises:
        SettingError: The shares are no shares.
        DataError: No user has enough liked items.
    """
    _check_shares(valid=valid, test=test)
    pairs = acted_pairs(data)
    liked = _liked(data, pairs)
    rank, count = _shuffled_ranks(pairs // data.n_items * 2 + liked, np.random.default_rng(rng))
    enough = liked & (count >= 3)
    n_test = np.where(enough, _at_least_one(count, test, count - 2), 0)
    n_valid = np.where(enough, _at_least_one(count, valid, count - 1 - n_test), 0)
    if np.isfinite(data.events.values).any():
        n_test = np.where(liked, n_test, (count * test).astype(np.int64))
        n_valid = np.where(liked, n_valid, (count * valid).astype(np.int64))
    labels = np.where(rank < n_test, TEST, np.where(rank < n_test + n_valid, VALID, TRAIN))
    about = {"protocol": "random per user", "valid": valid, "test": test, "seed": _seed(rng)}
    return _checked(split_by_labels(data, _label_rows(data, pairs, labels), about=about), valid, test)


def leave_last_out(data: Dataset) -> Split:
    """The item that each user liked last is the test, the one before it validation.

    "Last" is the last item liked for the first time; what a user did after that moment is used nowhere. The history at
    test holds everything up to the test item. Users with fewer than three liked items are in train only. Without times
    the order of the input counts.

    Raises:
        DataError: No user has three liked items.
    """
    events = data.events
    order = events.in_order()
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    liked = order[(events.weights[order] > 0) & ~events.shown[order]]
    keys, first = np.unique(pair_keys(events.users[liked], events.items[liked], data.n_items), return_index=True)
    starts = place[liked[first]]  # of each liked pair, the place of the first like
    cut_valid, cut_test = np.full((2, data.n_users), len(order), np.int64)
    by_user = np.lexsort((starts, keys // data.n_items))
    owner = (keys // data.n_items)[by_user]
    count = np.bincount(owner, minlength=data.n_users)
    end = np.cumsum(count)
    users = np.flatnonzero(count >= 3)
    cut_test[users], cut_valid[users] = starts[by_user[end[users] - 1]], starts[by_user[end[users] - 2]]
    here = place - cut_test[events.users]
    labels = np.where(here > 0, UNUSED, np.where(here == 0, TEST, TRAIN))
    labels = np.where((here < 0) & (place >= cut_valid[events.users]), VALID, labels)
    target_test, target_valid = np.full((2, data.n_users), -1, np.int64)
    target_test[users] = events.items[order[cut_test[users]]]
    target_valid[users] = events.items[order[cut_valid[users]]]
    is_test, is_valid = events.items == target_test[events.users], events.items == target_valid[events.users]
    labels = np.where((here < 0) & is_test | (labels == TRAIN) & is_valid, UNUSED, labels)
    about = {"protocol": "leave last out", "order": events.time_kind if events.has_order else "input order"}
    return _checked(split_by_labels(data, labels, grow=True, about=about), 1, 1)


def time_split(data: Dataset, *, valid: float = 0.1, test: float = 0.1) -> Split:
    """One moment parts train from validation and another one validation from the test, for all users.

    Actions at a moment of parting belong to the later part. The history at test holds the actions of validation. Users
    who appear after the moment of parting have an empty history and are kept.

    Args:
        data: Everything; its times must be timestamps.
        valid: Share of the actions for validation.
        test: Share for the test.

    Raises:
        SettingError: The shares are no shares.
        DataError: There are no timestamps, or too few different ones.
    """
    _check_shares(valid=valid, test=test)
    events = data.events
    if events.time_kind != "timestamp":
        raise DataError("These events have no timestamps.", hint="Split with `leave_last_out` or `random_split`.")
    times = np.sort(events.times[~events.shown])
    if len(times) == 0:
        raise DataError("There are no actions to split.")
    from_test = times[min(len(times) - 1, int(len(times) * (1 - test)))] if test else np.inf
    from_valid = times[min(len(times) - 1, int(len(times) * (1 - test - valid)))] if valid else from_test
    labels = np.where(events.times >= from_test, TEST, np.where(events.times >= from_valid, VALID, TRAIN))
    about = {"protocol": "global time", "valid_from": float(from_valid), "test_from": float(from_test)}
    return _checked(split_by_labels(data, labels, grow=True, about=about), valid, test)


def cold_split(
    data: Dataset,
    *,
    valid: float = 0.1,
    test: float = 0.2,
    warm: float = 0.1,
    candidates: Literal["cold", "all"] = "cold",
    rng: Rng = 0,
) -> Split:
    """Some items lose every action in train; can a model recommend them from their content?

    Args:
        data: Everything.
        valid: Share of the liked items that are cold for validation, which ranks them alone.
        test: Share that are cold for the test.
        warm: Share of the other liked items per user that is held out too, whichever `candidates` are asked for: so
            both test the same model.
        candidates: "cold" ranks the cold items of the test alone; "all" ranks all items, and the held-out warm items
            are targets too.
        rng: A seed or generator.

    Raises:
        SettingError: A share is no share, or `candidates` is unknown.
        DataError: There are too few items.
    """
    _check_shares(valid=valid, test=test)
    _check_shares(warm=warm)
    if candidates not in ("cold", "all"):
        raise SettingError(f"There are no candidates {candidates!r}.", hint="Known: cold, all.")
    generator = np.random.default_rng(rng)
    items = generator.permutation(np.flatnonzero(data.touched()))
    n_test, n_valid = round(len(items) * test), round(len(items) * valid)
    is_test, is_valid = np.zeros((2, data.n_items), bool)
    is_test[items[:n_test]] = True
    is_valid[items[n_test : n_test + n_valid]] = True
    rows = _cold_labels(data, is_test, is_valid, warm, generator)
    rows = np.where(rows == WARM, TEST if candidates == "all" else UNUSED, rows)
    about = {
        "protocol": "cold items",
        "cold_test_items": n_test,
        "cold_valid_items": n_valid,
        "warm": warm,
        "ranked": candidates,
        "seed": _seed(rng),
    }
    split = split_by_labels(
        data,
        rows,
        valid_candidates=is_valid,
        test_candidates=is_test if candidates == "cold" else None,
        about=about,
    )
    return _checked(split, valid, test)


def _cold_labels(
    data: Dataset, is_test: BoolArray, is_valid: BoolArray, warm: float, rng: np.random.Generator
) -> IntArray:
    """(events,) labels, with `WARM` for the held-out actions on items that are not cold."""
    pairs = acted_pairs(data)
    places = pairs % data.n_items
    labels = np.where(is_test[places], TEST, np.where(is_valid[places], VALID, TRAIN))
    free = _liked(data, pairs) & (labels == TRAIN)
    rank, count = _shuffled_ranks(pairs // data.n_items * 2 + free, rng)
    held = free & (count >= 3) & (rank < _at_least_one(count, warm, count - 1))
    rows = _label_rows(data, pairs, np.where(held, WARM, labels))
    exposed = (is_test | is_valid)[data.events.items] & (rows == TRAIN)
    return np.where(exposed, UNUSED, rows)


def k_folds(data: Dataset, k: int = 5, *, rng: Rng = 0) -> Iterator[Split]:
    """k splits; each (user, item) pair is in the test of one of them and in the validation of another.

    Args:
        data: Everything.
        k: Number of folds, at least 3: one to test, one to validate, the rest to train.
        rng: A seed or generator.

    Raises:
        SettingError: k is below 3.
        DataError: A fold has no liked item to ask for.
    """
    if k < 3:
        raise SettingError(f"k is {k}.", hint="At least 3 folds: one to test, one to validate, the rest to train.")
    generator = np.random.default_rng(rng)
    pairs = acted_pairs(data)
    users = pairs // data.n_items
    rank, _ = _shuffled_ranks(users, generator)
    fold = (rank + generator.integers(k, size=data.n_users)[users]) % k
    for test in range(k):
        labels = np.where(fold == test, TEST, np.where(fold == (test + 1) % k, VALID, TRAIN))
        about = {"protocol": f"{k} folds", "fold": test, "seed": _seed(rng)}
        yield _checked(split_by_labels(data, _label_rows(data, pairs, labels), about=about), 1, 1)


def hide_modality(present: BoolArray, share: float, *, rng: Rng = 0) -> BoolArray:
    """Which rows of one modality to hide, to see what a model does without them (`Features.hide` takes the mask).

    Args:
        present: (items,) bool, the rows that the modality has.
        share: Share of these rows to hide, 0 to 1.
        rng: A seed or generator; with the same seed a larger share hides the same rows and more.

    Returns:
        (items,) bool, true where a row is hidden; only present rows are.
    """
    if not 0 <= share <= 1:
        raise SettingError(f"share is {share}.", hint="Give a number from 0 to 1.")
    rows = np.random.default_rng(rng).permutation(np.flatnonzero(present))
    hidden = np.zeros(len(present), bool)
    hidden[rows[: round(share * len(rows))]] = True
    return hidden


def _check_shares(**shares: float) -> None:
    for name, share in shares.items():
        if not 0 <= share < 1:
            raise SettingError(f"The share {name} is {share}.", hint="Give a number from 0 to below 1.")
    if sum(shares.values()) >= 1:
        raise SettingError(f"The shares {shares} leave nothing to train on.", hint="Their sum must be below 1.")


def _checked(split: Split, valid: float, test: float) -> Split:
    for part, share, name in ((split.valid, valid, "validation"), (split.test, test, "the test")):
        if share and not len(part):
            raise DataError(f"No user is left for {name}.", hint="Users need at least three liked items.")
    return split


def _seed(rng: Rng) -> int | str:
    return rng if isinstance(rng, int) else "a generator"


def _liked(data: Dataset, pairs: IntArray) -> BoolArray:
    """(pairs,) bool, where the merged weight of a pair is positive."""
    rows, columns = data.positives().nonzero()
    return among(pairs, np.sort(pair_keys(rows, columns, data.n_items)))


def _shuffled_ranks(groups: IntArray, rng: np.random.Generator) -> tuple[IntArray, IntArray]:
    """(n,) the place of each row in a random order of its group, and (n,) the size of its group."""
    order = np.lexsort((rng.permutation(len(groups)), groups))
    _, start, inverse, count = np.unique(groups[order], return_index=True, return_inverse=True, return_counts=True)
    rank = np.empty(len(groups), np.int64)
    rank[order] = np.arange(len(groups)) - start[inverse]
    size = np.empty(len(groups), np.int64)
    size[order] = count[inverse]
    return rank, size


def _at_least_one(count: IntArray, share: float, limit: IntArray) -> IntArray:
    """(n,) share of `count`, rounded, at least 1 and at most `limit`; 0 where the share is 0."""
    return np.clip(np.rint(count * share).astype(np.int64), 1, np.maximum(limit, 0)) if share else np.zeros_like(count)


def _label_rows(data: Dataset, pairs: IntArray, labels: IntArray) -> IntArray:
    """(events,) the label of each event's pair; exposures of a pair that is held out are in no part."""
    if len(pairs) == 0:
        return np.full(len(data.events), TRAIN)
    keys = pair_keys(data.events.users, data.events.items, data.n_items)
    place = np.minimum(np.searchsorted(pairs, keys), len(pairs) - 1)
    found = np.where(pairs[place] == keys, labels[place], TRAIN)
    return np.where(data.events.shown & (found != TRAIN), UNUSED, found)
