"""Bootstrap samples of people: a data set in which everybody comes as often as drawn."""

from __future__ import annotations

import numpy as np

from salon.data import Dataset, Field, IdMap, Users
from salon.data.events import Events
from salon.types import IntArray, Modality

BLANK = {Modality.NUMBER: np.nan, Modality.CATEGORY: ()}


def bootstrap(data: Dataset, rng: np.random.Generator) -> Dataset:
    """As many people as are active, drawn with replacement (Efron 1979); the item table stays whole.

    Everybody keeps the row of `data`, without actions where not drawn. Whoever is drawn again is appended as a further
    person with the same actions. These copies have no attributes, so that the attribute columns stay those of `data`.
    """
    active = data.active_users()
    drawn = np.bincount(rng.choice(active, len(active)), minlength=data.n_users)
    copies = np.repeat(np.arange(data.n_users), np.maximum(drawn - 1, 0))
    order = data.events.in_order()
    owners = data.events.users[order]
    starts, ends = np.searchsorted(owners, copies), np.searchsorted(owners, copies, side="right")
    firsts = order[(drawn > 0)[owners]]
    again = np.concatenate([np.zeros(0, np.int64), *(order[a:b] for a, b in zip(starts, ends, strict=True))])
    rows = np.concatenate([firsts, again])
    people = np.concatenate(
        [data.events.users[firsts], np.repeat(data.n_users + np.arange(len(copies)), ends - starts)]
    )
    return Dataset(data.items, _owned(data.events.take(rows), people), _with_copies(data.users, copies), data.repeat)


def _owned(events: Events, people: IntArray) -> Events:
    """The events with other people as their users."""
    columns = {name: value for name, value in vars(events).items() if name != "users"}
    return Events(users=people.astype(np.int64), **columns)


def _with_copies(users: Users, copies: IntArray) -> Users:
    taken = set(users.ids.names)
    mark = next(mark for mark in (" copy" + "'" * n for n in range(len(taken) + 1)) if not _clash(taken, mark))
    names = [f"{int(row)}{mark} {number}" for number, row in enumerate(copies)]
    fields = {
        name: Field.of(name, field.modality, [*field.values, *[BLANK[field.modality]] * len(copies)])
        for name, field in users.fields.items()
        if field.modality in BLANK
    }
    return Users(IdMap([*users.ids.names, *names], what="user"), fields)


def _clash(taken: set[str], mark: str) -> bool:
    return any(mark in name for name in taken)
