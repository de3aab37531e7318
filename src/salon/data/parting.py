"""From labelled actions to a split: what may be learned from, and questions whose answers stay hidden.

The rules are the same for every protocol. Only liked items are targets. An item of the history is never a target of the
same question. At test, items of validation are in the history (where the protocol lets it grow) or are not ranked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import sparse

from salon.data.dataset import Dataset
from salon.data.queries import Holdout
from salon.errors import DataError
from salon.types import BoolArray, IntArray

TRAIN, VALID, TEST, UNUSED = 0, 1, 2, -1
"""Labels of actions."""


@dataclass(frozen=True)
class Split:
    """One way to part a log.

    Attributes:
        train: All that a model may learn from; items and users are those of the whole dataset.
        valid: Questions to choose settings by.
        test: Questions to report on.
        about: How the split was made, as plain values for the report.
    """

    train: Dataset
    valid: Holdout
    test: Holdout
    about: Mapping[str, Any] = field(default_factory=dict)


def split_by_labels(
    data: Dataset,
    labels: IntArray,
    *,
    grow: bool = False,
    valid_candidates: BoolArray | None = None,
    test_candidates: BoolArray | None = None,
    about: Mapping[str, Any] | None = None,
) -> Split:
    """The split that a label per action prescribes.

    Args:
        data: Everything.
        labels: (events,) int: 0 train, 1 valid, 2 test, -1 in none of them.
        grow: Whether the history at test holds the actions of validation; otherwise their items are excluded there.
        valid_candidates: (items,) bool, the items ranked in validation; None for all.
        test_candidates: (items,) bool, the items ranked in the test.
        about: How the labels were made.

    Raises:
        DataError: There is nothing to train on.
    """
    labels = np.asarray(labels)
    if len(labels) != len(data.events):
        raise DataError(f"{len(labels)} labels for {len(data.events)} events.")
    if not (labels == TRAIN).any():
        raise DataError("No action is left to train on.", hint="Hold out less.")
    train, middle, last = (data.with_events(data.events.take(labels == label)) for label in (TRAIN, VALID, TEST))
    past = data.with_events(data.events.take((labels == TRAIN) | (labels == VALID))) if grow else train
    valid = _holdout(train, middle, None, valid_candidates)
    test = _holdout(past, last, None if grow else middle, test_candidates)
    counts = {
        "train_events": len(train.events),
        "valid_users": len(valid),
        "test_users": len(test),
        "valid_targets": int(valid.targets.nnz),
        "test_targets": int(test.targets.nnz),
        "test_users_without_history": int((np.diff(test.queries.indptr) == 0).sum()),
    }
    rules = {
        "targets": "liked items that are not in the history",
        "seen": "items of the history are not ranked",
        "validation_at_test": "in the history" if grow else "not ranked",
        "candidates": "all items" if test_candidates is None else f"{int(test_candidates.sum())} items",
        "ties": "equal times by input order",
    }
    return Split(train, valid, test, {**(about or {}), **rules, **counts})


def pair_keys(users: IntArray, items: IntArray, n_items: int) -> IntArray:
    """(n,) int64, one number per (user, item)."""
    return np.asarray(users, np.int64) * n_items + np.asarray(items, np.int64)


def acted_pairs(data: Dataset) -> IntArray:
    """Sorted keys of the (user, item) pairs with an action that is more than an exposure."""
    acted = ~data.events.shown
    return unique_keys(pair_keys(data.events.users[acted], data.events.items[acted], data.n_items))


def unique_keys(keys: IntArray) -> IntArray:
    """The different keys, sorted; by sorting, which is several times faster than np.unique on millions of integers."""
    ordered = np.sort(keys)
    return ordered[np.append(True, ordered[1:] != ordered[:-1])] if len(ordered) else ordered


def among(keys: IntArray, known: IntArray) -> BoolArray:
    """(n,) bool, whether each key is one of `known`, which is sorted."""
    if not len(known):
        return np.zeros(len(keys), bool)
    place = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    return np.asarray(known[place] == keys)


def _holdout(past: Dataset, future: Dataset, shut: Dataset | None, candidates: BoolArray | None) -> Holdout:
    """Questions to the users who like something in `future` that is new to them.

    Args:
        past: Gives the histories.
        future: Gives the answers.
        shut: Its items are excluded from the ranking, or None.
        candidates: (items,) bool or None for all.
    """
    n_items = past.n_items
    seen = acted_pairs(past)
    liked = sparse.coo_array(future.positives())
    keys = pair_keys(liked.row, liked.col, n_items)
    new = ~among(keys, seen)
    if candidates is not None:
        new &= candidates[liked.col]
    keys = np.sort(keys[new])
    users = unique_keys(keys // n_items)
    targets = _rows(keys, np.ones(len(keys), np.float32), users, n_items)
    exclude = None
    if shut is not None:
        closed = acted_pairs(shut)
        closed = closed[~among(closed, seen) & ~among(closed, keys) & among(closed // n_items, users)]
        exclude = _rows(closed, np.ones(len(closed), np.float32), users, n_items)
    return Holdout(past.queries(users), targets, exclude, candidates, _ratings(future, seen, users))


def _ratings(future: Dataset, seen: IntArray, users: IntArray) -> sparse.csr_array | None:
    """(users, items) explicit values of what is new, liked or not, the last one of each pair; None without any."""
    order = future.events.in_order()
    rows = order[np.isfinite(future.events.values[order]) & ~future.events.shown[order]]
    keys = pair_keys(future.events.users[rows], future.events.items[rows], future.n_items)
    wanted = ~among(keys, seen) & among(keys // future.n_items, users)
    rows, keys = rows[wanted][::-1], keys[wanted][::-1]
    keys, last = np.unique(keys, return_index=True)
    return _rows(keys, future.events.values[rows[last]], users, future.n_items) if len(keys) else None


def _rows(keys: IntArray, values: Any, users: IntArray, n_items: int) -> sparse.csr_array:
    """(len(users), items) sparse float32 from keys of pairs, each at most once."""
    place = np.searchsorted(users, keys // n_items)
    shape = (len(users), n_items)
    return sparse.csr_array((np.asarray(values, np.float32), (place, keys % n_items)), shape=shape)
