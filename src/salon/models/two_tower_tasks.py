"""What came of showing an item to a person, read from the log: clicked, liked, rated, and for how long.

One row per pair of a person and an item of the log, exposures included:

    click   1 where an action of the kinds `clicks` was done (if none is named, any with a weight above 0), else 0
    like    1 where an action of the kinds `likes` was done, 0 where only others were
    rating  the last explicit rating
    dwell   ln(1 + s), s being the seconds of all actions together

What a pair does not know is NaN.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from salon.data import Dataset, Events
from salon.errors import DataError, SettingError, did_you_mean
from salon.models.two_tower_data import Pairs
from salon.models.two_tower_settings import MMoESettings
from salon.types import BoolArray, FloatArray, IntArray

TASKS = ("click", "like", "rating", "dwell")
BINARY = ("click", "like")
"""Tasks learned by logistic loss; the others by squared error."""


def labelled(data: Dataset, settings: MMoESettings, placed: BoolArray) -> Pairs:
    """The pairs of the log on items that have a vector, with the labels of the wanted tasks.

    Raises:
        DataError: The log has no data for a wanted task.
    """
    events = data.events.take(placed[data.events.items])
    keys, place = np.unique(events.users * data.n_items + events.items, return_inverse=True)
    columns = {
        "click": _clicks(events, place, settings),
        "like": _likes(events, place, settings),
        "rating": _ratings(events, place),
        "dwell": _dwell(events, place, settings),
    }
    there = tuple(task for task in TASKS if _says_something(task, columns[task]))
    tasks: tuple[str, ...] = settings.tasks or there or ("click",)
    for task in tasks:
        if not _says_something(task, columns[task]):
            raise _nothing_for(task, events, settings)
    labels = np.stack([columns[task] for task in tasks], axis=1)
    return Pairs(keys // data.n_items, keys % data.n_items, labels.astype(np.float32), tasks)


def _says_something(task: str, labels: FloatArray) -> bool:
    """Whether there is anything to learn: somebody clicked; likes and others; any number."""
    known = labels[~np.isnan(labels)]
    if task == "click":
        return bool((known > 0).any())
    return len(np.unique(known)) == 2 if task == "like" else len(known) > 0


def _nothing_for(task: str, events: Events, settings: MMoESettings) -> DataError:
    kinds = ", ".join(events.kind_names)
    columns = ", ".join(events.context) or "none"
    reasons = {
        "click": (f"no action of a kind in {settings.clicks}", f"Kinds there are: {kinds}. Set `clicks`."),
        "like": (
            f"not both actions of a kind in {settings.likes} and others",
            f"Kinds there are: {kinds}. Set `likes`.",
        ),
        "rating": ("no explicit rating", f"Declare the rating of the events. Kinds there are: {kinds}."),
        "dwell": (f"no number in a column {settings.dwell!r}", f"Further columns there are: {columns}. Set `dwell`."),
    }
    reason, hint = reasons[task]
    return DataError(f"The log has nothing for the task {task!r}: {reason}.", hint=hint)


def _clicks(events: Events, place: IntArray, settings: MMoESettings) -> FloatArray:
    wanted = _of_kinds(events, settings.clicks) if settings.clicks else events.weights > 0
    return _any(wanted & ~events.shown, place).astype(np.float32)


def _likes(events: Events, place: IntArray, settings: MMoESettings) -> FloatArray:
    likes = _any(_of_kinds(events, settings.likes) & ~events.shown, place)
    return np.where(_any(~events.shown, place), likes, np.nan)


def _ratings(events: Events, place: IntArray) -> FloatArray:
    rows = events.in_order()
    rows = rows[~np.isnan(events.values[rows])]
    found: FloatArray = np.full(int(place.max(initial=-1)) + 1, np.nan)
    found[place[rows]] = events.values[rows]  # of several the last one stays
    return found


def _dwell(events: Events, place: IntArray, settings: MMoESettings) -> FloatArray:
    if settings.dwell not in events.context:
        return np.full(int(place.max(initial=-1)) + 1, np.nan)
    try:
        seconds = np.asarray(events.context[settings.dwell], np.float64)
    except ValueError as error:
        raise DataError(f"The column {settings.dwell!r} holds no numbers: {error}.") from None
    if (seconds < 0).any():
        raise DataError(f"The column {settings.dwell!r} holds {seconds.min():g} seconds, which is below 0.")
    known = np.isfinite(seconds)
    total = np.bincount(place[known], weights=seconds[known], minlength=int(place.max(initial=-1)) + 1)
    return np.where(_any(known, place), np.log1p(total), np.nan)


def _of_kinds(events: Events, names: Sequence[str]) -> BoolArray:
    return np.isin(events.kinds, [row for row, name in enumerate(events.kind_names) if name in names])


def _any(flags: BoolArray, place: IntArray) -> BoolArray:
    """(pairs,) whether any event of a pair has the flag."""
    return np.bincount(place, weights=flags, minlength=int(place.max(initial=-1)) + 1) > 0


def by_task(given: dict[str, float], tasks: Sequence[str], name: str) -> FloatArray:
    """(tasks,) float32 numbers of a setting that names tasks, 1 where not named.

    Raises:
        SettingError: It names a task that is not learned.
    """
    for task in given:
        if task not in tasks:
            raise SettingError(
                f"`{name}` names the task {task!r}, which is not learned.", hint=did_you_mean(task, tasks)
            )
    return np.array([given.get(task, 1.0) for task in tasks], np.float32)
