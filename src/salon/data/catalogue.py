"""A whole catalogue from its sections [items], [events] and [users]."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from salon.data.dataset import Dataset
from salon.data.events import Events
from salon.data.ids import IdMap
from salon.data.items import Users
from salon.data.read import read_events, read_items, read_users
from salon.data.result import ReadResult, Reject, Rejects, merge
from salon.data.sources import EventsSource, ItemsSource, UsersSource

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
    catalogue, sieve = read_items(items, base)
    sieves = [sieve]
    notes: tuple[str, ...] = ()
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
