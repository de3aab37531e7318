"""A whole catalogue from its sections [items], [events] and [users]."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from salon.data.dataset import Dataset
from salon.data.events import Events
from salon.data.formats import read_ducho, read_mmrec, read_recbole
from salon.data.ids import IdMap
from salon.data.items import Users
from salon.data.read import read_events, read_items, read_users
from salon.data.result import ReadResult, Reject, Rejects, merge
from salon.data.sources import EventsSource, ItemsSource, UsersSource
from salon.errors import SettingError

__all__ = ["EventsSource", "ItemsSource", "ReadResult", "Reject", "Rejects", "UsersSource", "read_dataset"]


def read_dataset(
    items: ItemsSource, events: EventsSource | None = None, users: UsersSource | None = None, base: Path = Path()
) -> ReadResult:
    """Items, events and users, and everything of them that could not be used.

    Args:
        items: The catalogue.
        events: The log; without it the dataset has no events, which is enough for similarity by content.
        users: Attributes of people; people that only the log knows are added.
        base: The folder of the catalogue file, which relative paths start from.

    Raises:
        DataError: A file, table or column is absent, a file is broken, or nothing could be imported.
    """
    if items.format in ("mmrec", "recbole"):
        return _read_format(items, events, users, base)
    notes: tuple[str, ...] = ()
    if items.format == "ducho":
        catalogue, sieves = read_ducho(base / items.path).dataset.items, []
    else:
        catalogue, sieve = read_items(items, base)
        sieves = [sieve]
    people = Users(IdMap((), what="user"))
    if users is not None:
        people, sieve = read_users(users, base)
        sieves.append(sieve)
    log = Events.of(np.zeros(0), np.zeros(0))
    if events is not None:
        log, people, sieve, notes = read_events(events, catalogue, people, base)
        sieves.append(sieve)
    data = Dataset(catalogue, log, people, repeat=events.repeat if events is not None else "max")
    return ReadResult(data, merge(sieves), notes)


def _read_format(items: ItemsSource, events: EventsSource | None, users: UsersSource | None, base: Path) -> ReadResult:
    """A folder that holds items and events both; [events] may say how its values are weighed."""
    if users is not None:
        raise SettingError(f"A folder of {items.format!r} brings its users along.", hint="Leave out [users].")
    if events is not None and events.path != items.path:
        raise SettingError(
            f"The events of {items.format!r} are those of {items.path!r}, not of {events.path!r}.",
            hint="Give [events] the same path; its like, dislike and repeat are used.",
        )
    if events is not None:
        known = {"path", "value", "like", "dislike", "repeat", *(("time", "text") if items.format == "recbole" else ())}
        for name in sorted(events.model_fields_set - known):
            raise SettingError(
                f"[events] {name} means nothing to a folder of {items.format!r}.", hint=f"Known: {sorted(known)}."
            )
    if items.format == "mmrec":
        return read_mmrec(base / items.path, events)
    return read_recbole(base / items.path, events, items.declared())
