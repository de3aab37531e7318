"""Which answer an action follows from: the one it names, or the last one that showed the item to the person."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from salon.errors import DataError
from salon.types import BoolArray, FloatArray, IntArray

HOUR = 3600.0
WINDOW = 24 * HOUR
"""Seconds after an answer within which an action that names no answer can follow from it."""


@dataclass(frozen=True)
class Shown:
    """Items that were shown, in parallel arrays: one row per place of an answer.

    Attributes:
        answers: (n,) int, which answer.
        users: (n,) int, to whom; -1 for nobody known, whose actions must name the answer.
        items: (n,) int.
        times: (n,) float seconds.
    """

    answers: IntArray
    users: IntArray
    items: IntArray
    times: FloatArray


@dataclass(frozen=True)
class Acts:
    """What people did, in parallel arrays.

    Attributes:
        users: (m,) int.
        items: (m,) int.
        times: (m,) float seconds.
        answers: (m,) int, the answer that an action names, -1 for none.
    """

    users: IntArray
    items: IntArray
    times: FloatArray
    answers: IntArray


def attributed(shown: Shown, acts: Acts, *, window: float = WINDOW) -> IntArray:
    """(m,) int64 row of `shown` that each action follows from, -1 for none.

    An action that names an answer follows from that answer if it showed the item, and from nothing otherwise. Any other
    follows from the last answer that showed the item to the same person, at most `window` seconds before (last touch).

    Raises:
        DataError: The window is below 0.
    """
    if window < 0:
        raise DataError(f"The window is {window} seconds.", hint="Give 0 or more.")
    rows = np.full(len(acts.users), -1, np.int64)
    named = acts.answers >= 0
    rows[named] = _match(
        (shown.answers, shown.items), (acts.answers[named], acts.items[named]), shown.times, acts.times[named], np.inf
    )
    known = np.flatnonzero(shown.users >= 0)
    free = ~named & (acts.users >= 0)
    found = _match(
        (shown.users[known], shown.items[known]),
        (acts.users[free], acts.items[free]),
        shown.times[known],
        acts.times[free],
        window,
    )
    rows[free] = np.where(found >= 0, np.append(known, -1)[found], -1)
    return rows


def _match(
    keys: tuple[IntArray, IntArray],
    wanted: tuple[IntArray, IntArray],
    times: FloatArray,
    until: FloatArray,
    window: float,
) -> IntArray:
    """(m,) the last row with the wanted pair of keys, not after `until` and at most `window` before; -1 for none.

    With an infinite window times do not count: an action that names its answer may carry the clock of another machine.
    """
    n, m = len(keys[0]), len(wanted[0])
    if not n or not m:
        return np.full(m, -1, np.int64)
    timed = np.isfinite(window)
    place = np.concatenate([times if timed else np.zeros(n), until if timed else np.zeros(m)])
    is_act = np.concatenate([np.zeros(n, bool), np.ones(m, bool)])
    first, second = (np.concatenate([a, b]) for a, b in zip(keys, wanted, strict=True))
    order = np.lexsort((is_act, place, second, first))  # of equal times the showing comes first
    row = np.where(is_act[order], -1, np.arange(n + m))
    last = np.maximum.accumulate(row)
    source = order[np.maximum(last, 0)]
    good = (last >= 0) & (first[source] == first[order]) & (second[source] == second[order])
    if timed:
        good &= place[order] - place[source] <= window
    found = np.full(n + m, -1, np.int64)
    found[order] = np.where(good, source, -1)
    return found[n:]


def clicked(shown: Shown, acts: Acts, *, window: float = WINDOW) -> BoolArray:
    """(n,) whether something follows from each place that was shown."""
    rows = attributed(shown, acts, window=window)
    found = np.zeros(len(shown.items), bool)
    found[rows[rows >= 0]] = True
    return found
