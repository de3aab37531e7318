"""How much people did, and which columns of the catalogue know it already."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from salon.data import Dataset, Events
from salon.data.parting import pair_keys, unique_keys
from salon.types import FloatArray, IntArray, Modality

FEW_FOR_A_MEAN = 5
"""Ratings that an item needs before its mean is compared with a column."""


@dataclass(frozen=True)
class Activity:
    """The log in numbers.

    Attributes:
        events: Actions, exposures included.
        exposures: Rows that are exposures only.
        likes: Actions with a positive weight.
        dislikes: Actions with a negative weight.
        density: Different (user, item) pairs over all pairs of the users and items that occur.
        repeated: Share of the actions whose (user, item) came before.
        same_twice: Rows that are the same in user, item, kind and time.
        users_few: Users with fewer actions than the limit; users without any are among them.
        items_few: Items with fewer actions than the limit; items without any are among them.
        items_untouched: Items without any action.
        top_share: Share of the actions on the 1 % most popular items.
        time_kind: "timestamp", "order" or "none".
        first: First moment, ISO 8601; "" without timestamps.
        last: Last moment.
    """

    events: int
    exposures: int
    likes: int
    dislikes: int
    density: float
    repeated: float
    same_twice: int
    users_few: int
    items_few: int
    items_untouched: int
    top_share: float
    time_kind: str
    first: str
    last: str


@dataclass(frozen=True)
class Leak:
    """A column that looks like an aggregate of what is to be predicted.

    Attributes:
        field: The number column.
        of: "mean rating" or "number of actions".
        correlation: Spearman's rank correlation over the items that have enough actions.
        items: How many items those are.
    """

    field: str
    of: str
    correlation: float
    items: int


def activity(data: Dataset, few: int) -> Activity:
    """The log in numbers; `few` is how many actions a user or an item should have."""
    events = data.events
    acted = events.take(~events.shown)
    keys = pair_keys(acted.users, acted.items, data.n_items)
    pairs = len(unique_keys(keys))
    per_user = np.bincount(acted.users, minlength=data.n_users)
    per_item = np.bincount(acted.items, minlength=data.n_items)
    cells = int((per_user > 0).sum()) * int((per_item > 0).sum())
    top = np.sort(per_item)[::-1][: max(1, data.n_items // 100)].sum()
    first, last = _range(events)
    return Activity(
        events=len(events),
        exposures=int(events.shown.sum()),
        likes=int((events.weights > 0).sum()),
        dislikes=int((events.weights < 0).sum()),
        density=pairs / cells if cells else 0.0,
        repeated=1 - pairs / len(acted) if len(acted) else 0.0,
        same_twice=_same_twice(events),
        users_few=int((per_user < few).sum()),
        items_few=int((per_item < few).sum()),
        items_untouched=int((per_item == 0).sum()),
        top_share=float(top / len(acted)) if len(acted) else 0.0,
        time_kind=events.time_kind,
        first=first,
        last=last,
    )


def _same_twice(events: Events) -> int:
    if events.time_kind == "none" or not len(events):
        return 0
    columns = (events.times, events.kinds, events.items, events.users)
    order = np.lexsort(columns)
    same = np.logical_and.reduce([column[order][1:] == column[order][:-1] for column in columns])
    return int(same.sum())


def _range(events: Events) -> tuple[str, str]:
    if events.time_kind != "timestamp" or not len(events):
        return "", ""
    return _moment(float(events.times.min())), _moment(float(events.times.max()))


def _moment(seconds: float) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat()
    except (ValueError, OverflowError, OSError):
        return f"{seconds:g} seconds (no date)"


def leaks(data: Dataset, *, mean_limit: float, count_limit: float) -> list[Leak]:
    """Number columns whose rank correlation with mean rating or number of actions is surely above a limit.

    "Surely" means that the correlation less two standard errors (1 / sqrt(items - 3)) is still above the limit. Items
    with fewer than five actions are left out, because their mean and count say little.

    Args:
        data: Everything.
        mean_limit: Limit for the mean rating.
        count_limit: Limit for the number of actions; popularity is noisier, so it is lower.
    """
    events = data.events.take(~data.events.shown)
    counts = np.bincount(events.items, minlength=data.n_items)
    rated = np.isfinite(events.values)
    ratings = np.bincount(events.items[rated], minlength=data.n_items)
    sums = np.bincount(events.items[rated], weights=events.values[rated], minlength=data.n_items)
    means = np.divide(sums, ratings, out=np.full(data.n_items, np.nan), where=ratings > 0)
    found = []
    for field in data.items.of(Modality.NUMBER):
        for what, target, enough, limit in (
            ("mean rating", means, ratings >= FEW_FOR_A_MEAN, mean_limit),
            ("number of actions", counts.astype(float), counts >= FEW_FOR_A_MEAN, count_limit),
        ):
            rows = np.flatnonzero(enough & field.present)
            correlation = rank_correlation(field.values[rows], target[rows])
            if len(rows) > 10 and abs(correlation) - 2 / np.sqrt(len(rows) - 3) > limit:
                found.append(Leak(field.name, what, correlation, len(rows)))
    return found


def rank_correlation(a: FloatArray, b: FloatArray) -> float:
    """Spearman's rank correlation, equal values sharing their mean rank; 0 where one side is constant."""
    if len(a) < 2:
        return 0.0
    first, second = _ranks(a), _ranks(b)
    first, second = first - first.mean(), second - second.mean()
    scale = float(np.sqrt((first @ first) * (second @ second)))
    return float(first @ second) / scale if scale > 0 else 0.0


def _ranks(values: FloatArray) -> FloatArray:
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    mean_rank: FloatArray = np.cumsum(count) - (count - 1) / 2
    return mean_rank[place]


def sample_rows(n: int, size: int) -> IntArray:
    """Up to `size` of n rows, evenly spread over the catalogue."""
    return np.arange(n) if n <= size else np.unique(np.linspace(0, n - 1, size).astype(np.int64))
