"""What people did, as questions to a model: histories from the store, kept for a while."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Any

import numpy as np
from scipy import sparse

from salon.data import Queries
from salon.data.profiles import Profiles
from salon.errors import DataError
from salon.language.sentences import Sentence
from salon.serve.bounded import Bounded
from salon.serve.catalogue import Catalogue
from salon.serve.tastes import Taste, Tastes
from salon.store import Store
from salon.types import FloatArray, IntArray

ATTRIBUTE = re.compile("<=|=")
"""What stands between an attribute and its value in the names of `Profiles`."""


@dataclass(frozen=True)
class Person:
    """Somebody who asks.

    Attributes:
        id: Of the person, or "" for a bare history.
        taste: What they did.
        fields: Their attributes.
        known: Whether the store has heard of them.
    """

    id: str
    taste: Taste = field(default_factory=Taste)
    fields: Mapping[str, Any] = field(default_factory=dict)
    known: bool = False


class People:
    """Histories from the store, the latest in memory.

    A value that was read before its person was forgotten is not kept, so no stale history survives a write.
    """

    def __init__(self, store: Store, tastes: Tastes, *, size: int, latest: int) -> None:
        self.store, self.tastes, self.latest = store, tastes, latest
        self.kept: Bounded[str, Person] = Bounded(size)
        self._writes = 0
        self._lock = Lock()

    def get(self, user: str) -> Person:
        """The person with this id; somebody nobody heard of has no history."""
        found = self.kept.get(user)
        if found is not None:
            return found
        writes = self._writes
        person = self._read(user)
        with self._lock:
            if writes == self._writes:
                self.kept.put(user, person)
        return person

    def forget(self, users: Sequence[str]) -> None:
        """Reads these people again when they are next asked for."""
        with self._lock:
            self._writes += 1
            self.kept.drop(users)

    def forget_all(self) -> None:
        """The same for everybody."""
        with self._lock:
            self._writes += 1
            self.kept.clear()

    def _read(self, user: str) -> Person:
        stored = self.store.users.get([user]).get(user)
        if stored is not None and stored.merged_into:
            return replace(self.get(stored.merged_into), id=stored.merged_into)
        events = self.store.events.of_user(user, limit=self.latest)
        fields = {} if stored is None else stored.fields
        return Person(user, self.tastes.of(events), fields, stored is not None or bool(events))


@dataclass(frozen=True)
class Asked:
    """A question in rows of the catalogue.

    Attributes:
        query: One history.
        seen: (m,) int64 rows of the history, liked or not.
        never: (m,) int64 rows that must not come back in any case.
        notes: What was left out of the question.
    """

    query: Queries
    seen: IntArray
    never: IntArray
    notes: tuple[str, ...] = ()


def asked(
    catalogue: Catalogue,
    person: Person,
    history: Sequence[str],
    profile: sparse.csr_array | None,
    *,
    ordered: bool,
) -> Asked:
    """The question that a person and a session ask; items that are no longer there are left out.

    Args:
        catalogue: The rows.
        person: What is on record.
        history: Item ids of the session, oldest first, each a like of weight 1, later than what is on record.
        profile: (1, attributes) of the person, or None.
        ordered: Whether the order of the record means anything.
    """
    taste = person.taste
    rows = catalogue.index([*taste.items, *history])
    weights = np.concatenate([taste.weights, np.ones(len(history), np.float32)])
    notes: tuple[str, ...] = ()
    unknown = [name for name, row in zip(history, rows[len(taste.items) :], strict=True) if row < 0]
    if unknown:
        notes = (Sentence("unknown_history", count=len(unknown), first=unknown[0][:40]),)
    there = np.flatnonzero(rows >= 0)
    last = {int(rows[i]): int(i) for i in there}  # an item counts at its last place, with its latest weight
    kept = np.fromiter(sorted(last.values()), np.int64, len(last))
    query = Queries(
        np.array([0, len(kept)], np.int64),
        rows[kept],
        weights[kept].astype(np.float32),
        np.full(1, -1, np.int64),
        ordered or not len(taste.items),
        profile,
    )
    bad = rows[: len(taste.items)][(taste.weights < 0) & (rows[: len(taste.items)] >= 0)]
    never = catalogue.index(taste.never)
    return Asked(query, rows[there], np.concatenate([bad, never[never >= 0]]), notes)


def profile_row(
    profiles: Profiles | None, fields: Mapping[str, Any]
) -> tuple[sparse.csr_array | None, tuple[str, ...]]:
    """(1, attributes) of somebody's attributes, and a note for each value that the model never met."""
    if profiles is None:
        return None, ()
    declared = {ATTRIBUTE.split(name, maxsplit=1)[0] for name in profiles.names}
    total, notes = np.zeros((1, len(profiles.names)), np.float32), []
    for name, value in fields.items():
        if name not in declared:
            continue
        for one in value if isinstance(value, (list, tuple)) else [value]:
            try:
                total += profiles.row({name: _written(one)}).toarray()
            except DataError:
                notes.append(Sentence("unknown_profile", name=name, value=str(one)[:40]))
    return sparse.csr_array(np.minimum(total, 1)), tuple(notes)


def _written(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def joined(queries: Sequence[Queries]) -> Queries:
    """Several single questions as one batch; profiles of zeros stand for those without one."""
    if len(queries) == 1:
        return queries[0]
    counts = [len(query.items) for query in queries]
    profiles = [query.profiles for query in queries]
    width = next((p.shape[1] for p in profiles if p is not None), None)
    blank = None if width is None else sparse.csr_array((1, width), dtype=np.float32)
    stacked = None if width is None else sparse.vstack([blank if p is None else p for p in profiles], format="csr")
    weights: FloatArray = np.concatenate([query.weights for query in queries])
    return Queries(
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        np.concatenate([query.items for query in queries]),
        weights,
        np.full(len(queries), -1, np.int64),
        all(query.ordered for query in queries),
        None if stacked is None else sparse.csr_array(stacked),
    )
