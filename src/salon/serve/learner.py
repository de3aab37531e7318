"""Learning by event: what each person's history adds to the model, old terms out and new ones in.

For every person the learner keeps the history that the model has learned. A person who did something is dirty; an
update reads their history again and hands both forms to the model, which replaces one by the other (`linear` does; see
`Linear.updated`). Numbers of people per item follow for every model. A recount reads all events again and begins from
nothing, which removes rounding.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from threading import Lock
from typing import Any, NamedTuple, Protocol, Self, runtime_checkable

import numpy as np
from scipy import sparse

from salon.data import Dataset, Queries
from salon.encode.base import FeatureSet
from salon.serve.live import Live
from salon.serve.people import People, Person, asked, profile_row
from salon.serve.shelf import Shelf
from salon.serve.tastes import Tastes
from salon.serve.truth import stored_events, stored_users
from salon.store import Store
from salon.store.values import StoredEvent
from salon.types import FloatArray, IntArray


@runtime_checkable
class Updating(Protocol):
    """A recommender that takes histories in and out without a new fit."""

    n_items_: int

    def updated(
        self,
        *,
        added: Queries | None = None,
        removed: Queries | None = None,
        changed: tuple[IntArray, FeatureSet] | None = None,
    ) -> Any:
        """The model after some histories came in, others were taken out, and the vectors of some items changed."""

    def recounted(self, queries: Queries) -> Any:
        """The model of these histories alone, with the same settings and items."""


class Term(NamedTuple):
    """The history of one person as the model learned it.

    Attributes:
        items: (n,) int32 rows, the latest last.
        weights: (n,) float32.
        attributes: (m,) int32 columns of what the person is.
    """

    items: IntArray
    weights: FloatArray
    attributes: IntArray

    def equals(self, other: Term) -> bool:
        """Whether both say the same."""
        return all(np.array_equal(mine, theirs) for mine, theirs in zip(self, other, strict=True))


NOTHING = Term(np.zeros(0, np.int32), np.zeros(0, np.float32), np.zeros(0, np.int32))


@dataclass(frozen=True)
class Update:
    """What an update did.

    Attributes:
        people: Histories that were replaced.
        solved: Whether the model was solved again.
    """

    people: int
    solved: bool


class Learner:
    """Keeps the model of one shelf up with what people do.

    Args:
        shelf: The version.
        people: Histories from the store.
        terms: Person to what the model learned of them.
    """

    def __init__(self, shelf: Shelf, people: People, terms: dict[str, Term]) -> None:
        self.shelf, self.people, self.terms = shelf, people, terms
        self.replaced = 0
        self.first = shelf.live.counts
        self._dirty: dict[str, None] = {}
        self._recount = False
        self._lock = Lock()

    @classmethod
    def of(cls, shelf: Shelf, people: People, data: Dataset) -> Self:
        """From the data that the version was fitted on."""
        queries = data.queries(data.active_users())
        terms = {}
        for row, (start, end) in enumerate(pairwise(queries.indptr.tolist())):
            items = queries.items[start:end].astype(np.int32)
            name = data.users.ids[int(queries.users[row])]
            terms[name] = Term(items, queries.weights[start:end].copy(), _attributes(queries.profiles, row))
        return cls(shelf, people, terms)

    @property
    def waiting(self) -> int:
        """People whose history changed since the last update."""
        return len(self._dirty)

    @property
    def due(self) -> bool:
        """Whether there is anything to learn."""
        return bool(
            self._dirty or self._recount or (self.shelf.changed and isinstance(self.shelf.live.model, Updating))
        )

    def touch(self, users: Iterable[str]) -> None:
        """Marks people as dirty."""
        with self._lock:
            self._dirty.update(dict.fromkeys(users))

    def touch_new(self, names: Iterable[str]) -> None:
        """Marks the people who acted on items that have just got their rows in the model."""
        for name in names:
            self.touch({event.user for event in self.people.store.events.of_item(name)})

    def touch_items(self, names: Iterable[str]) -> None:
        """Marks the people who have one of these items in their history."""
        wanted = set(names)
        if not wanted:
            return
        rows = {row for row, name in enumerate(self.shelf.live.catalogue.ids) if name in wanted}
        if rows:
            gone = np.fromiter(rows, np.int64, len(rows))
            self.touch([user for user, term in list(self.terms.items()) if np.isin(term.items, gone).any()])

    def touch_all(self) -> None:
        """Makes the next update a recount."""
        self._recount = True

    def matrix(self, rows: int) -> tuple[list[str], sparse.csr_array]:
        """People, and (people, rows) sparse float32 of ones where they like an item."""
        names, terms = [], []
        for name, term in list(self.terms.items()):
            names.append(name)
            terms.append(term.items[term.weights > 0])
        indptr = np.concatenate([[0], np.cumsum([len(term) for term in terms])]).astype(np.int64)
        indices = np.concatenate([np.zeros(0, np.int32), *terms])
        shape = (len(names), rows)
        return names, sparse.csr_array((np.ones(len(indices), np.float32), indices, indptr), shape=shape)

    def update(self) -> Update:
        """Replaces what changed; slow where the model is solved again, which blocks nobody."""
        with self._lock:
            dirty, self._dirty = list(self._dirty), {}
            recount, self._recount = self._recount, False
        try:
            return self.recount() if recount else self._replace(dirty)
        except BaseException:
            self.touch(dirty)
            self._recount = recount
            raise

    def _replace(self, dirty: list[str]) -> Update:
        live = self.shelf.live
        pairs = [(user, self.terms.get(user), self._term_of(live, user)) for user in dirty]
        pairs = [(user, old, new) for user, old, new in pairs if old is None or not old.equals(new)]
        removed = [old for _, old, _ in pairs if old is not None and len(old.items)]
        added = [new for _, _, new in pairs if len(new.items)]
        solved = isinstance(live.model, Updating) and bool(pairs or self.shelf.changed)
        if solved and isinstance(live.model, Updating):
            vectors = dict(self.shelf.changed)
            changed = _changed(live, vectors)
            new = live.model.updated(added=_queries(live, added), removed=_queries(live, removed), changed=changed)
            self.shelf.learn(new, vectors)
        if pairs:
            self.shelf.count(_moved(live.counts, len(live.catalogue), removed, added))
        for user, _, term in pairs:
            if len(term.items):
                self.terms[user] = term
            else:
                self.terms.pop(user, None)
        self.replaced += len(pairs)
        return Update(len(pairs), solved)

    def recount(self) -> Update:
        """Counts everything anew from all stored events."""
        live, store = self.shelf.live, self.people.store
        terms = {}
        for person in everybody(store, self.people.tastes):
            term = self._term(live, person)
            if len(term.items):
                terms[person.id] = term
        self.shelf.count(_moved(np.zeros(0), len(live.catalogue), [], list(terms.values())))
        solved = isinstance(live.model, Updating) and bool(terms)
        if solved and isinstance(live.model, Updating):
            queries = _queries(live, list(terms.values()))
            assert queries is not None
            self.shelf.learn(live.model.recounted(queries), {})
        self.terms, self.replaced = terms, 0
        return Update(len(terms), solved)

    def _term_of(self, live: Live, user: str) -> Term:
        """The history of a user; one who was merged has none of their own any more."""
        person = self.people.get(user)
        return self._term(live, person) if person.id == user else NOTHING

    def _term(self, live: Live, person: Person) -> Term:
        """The history, in rows that the model has if it learns of it, with the attributes of the person."""
        profile, _ = profile_row(live.profiles, person.fields)
        query = asked(live.catalogue, person, (), profile, ordered=live.ordered).query
        rows = live.model.n_items_ if isinstance(live.model, Updating) else len(live.catalogue)
        inside = query.items < rows
        return Term(query.items[inside].astype(np.int32), query.weights[inside], _attributes(profile, 0))


def everybody(store: Store, tastes: Tastes) -> Iterable[Person]:
    """All people with their tastes, from one pass over the events."""
    fields = {user.id: user.fields for user in stored_users(store) if not user.merged_into}
    events: dict[str, list[StoredEvent]] = {}
    for event in stored_events(store):
        events.setdefault(event.user, []).append(event)
    for user in dict.fromkeys([*fields, *events]):
        yield Person(user, tastes.of(events.pop(user, [])), fields.get(user, {}), known=True)


def _attributes(profiles: sparse.csr_array | None, row: int) -> IntArray:
    """(m,) int32 columns of the attributes of one person."""
    if profiles is None:
        return NOTHING.attributes
    return np.sort(profiles.indices[profiles.indptr[row] : profiles.indptr[row + 1]]).astype(np.int32)


def _queries(live: Live, terms: list[Term]) -> Queries | None:
    """The histories as one batch, None where there are none."""
    if not terms:
        return None
    profiles = None
    if live.profiles is not None:
        ends = np.concatenate([[0], np.cumsum([len(term.attributes) for term in terms])])
        columns = np.concatenate([term.attributes for term in terms])
        shape = (len(terms), len(live.profiles.names))
        profiles = sparse.csr_array((np.ones(len(columns), np.float32), columns, ends), shape=shape)
    return Queries(
        np.concatenate([[0], np.cumsum([len(term.items) for term in terms])]).astype(np.int64),
        np.concatenate([term.items for term in terms]).astype(np.int64),
        np.concatenate([term.weights for term in terms]).astype(np.float32),
        np.full(len(terms), -1, np.int64),
        live.ordered,
        profiles,
    )


def _moved(counts: FloatArray, rows: int, removed: list[Term], added: list[Term]) -> FloatArray:
    """(rows,) float64 numbers of people who like each item, after some histories left and others came."""
    found = np.zeros(rows)
    found[: len(counts)] = counts
    for terms, sign in ((removed, -1.0), (added, 1.0)):
        liked = [term.items[term.weights > 0] for term in terms]
        if liked:
            found += sign * np.bincount(np.concatenate(liked), minlength=rows)
    return np.maximum(found, 0.0)


def _changed(live: Live, vectors: Mapping[int, FeatureSet]) -> tuple[IntArray, FeatureSet] | None:
    if not vectors:
        return None
    rows = np.array(sorted(vectors), np.int64)
    return rows, live.as_learned(live.features.take(rows))
