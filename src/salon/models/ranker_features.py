"""What a ranker reads of a person and a candidate: sources, item, person, modalities and context, as named numbers.

    SOURCE.score       standardised score of a source, over the items that it can score
    SOURCE.place       log(1 + place) in the list of a source, 0 the first; unknown where it does not list the item
    sources.score      mean of the standardised scores, over the sources that can score the item
    sources.lists      number of sources that list the item
    popularity         log(1 + number of people who liked the item)
    age                time since the item's last like, as a share of the whole log; where order means something
    history.length     log(1 + number of liked items)
    history.popularity mean popularity of the liked items
    now.hour           hour of the day (UTC) at which the question is asked, now.weekday 0 for Monday; where the log has
                       timestamps
    profile:NAME       an attribute of the person, the most common ones
    item:NAME          a number of the item, or 1 where it has one of the most common categories
    categories.match   share of the history's categories that the item has, mean over the item's categories
    MODALITY.cosine    cosine of the item and the mean of the history's vectors, all centred
    MODALITY.latest    cosine of the item and the latest liked item that has the modality; where order means something
    MODALITY.present   1 where the item has the modality

What is not known is NaN, never 0. The context is what was liked last, and the moment of the question where it is told.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
from scipy import sparse

from salon.arrays import centred_unit_rows, unit_rows
from salon.data import Dataset, Queries
from salon.data.profiles import one_hot
from salon.encode.base import FeatureSet
from salon.types import BoolArray, FloatArray, IntArray, Modality

MOST_LABELS = 20
"""Categories that get a column, the most common ones of all fields together."""
MOST_PROFILE = 20
"""Attributes of people that get a column."""
DAY = 86400
"""Seconds."""


@dataclass(frozen=True)
class Facts:
    """What is known of the items and read at every question.

    Attributes:
        modalities: Names of the modalities.
        attributes: Names of the columns of `values`.
        profile: Names of the columns of `profile_columns`.
        profile_columns: (p,) int64 columns of `Queries.profiles`.
        popularity: (items,) float32.
        age: (items,) float32, NaN where never liked; empty where the log has no order.
        values: (items, a) float32 numbers and one-hot categories, NaN where missing.
        labels: (items, c) float32 one-hot categories, of which some are in `values` too.
        vectors: (items, all dims) float32, centred and of unit length per modality, 0 where absent.
        dims: (modalities,) int64.
        present: (items, modalities) bool.
        clock: Whether the times of the log are timestamps.
    """

    modalities: list[str]
    attributes: list[str]
    profile: list[str]
    profile_columns: IntArray
    popularity: FloatArray
    age: FloatArray
    values: FloatArray
    labels: sparse.csr_array
    vectors: FloatArray
    dims: IntArray
    present: BoolArray
    clock: bool

    @classmethod
    def of(cls, data: Dataset, items: FeatureSet, shape: Facts | None = None) -> Self:
        """The facts that a log and a catalogue give.

        Args:
            data: What is known.
            items: Features of the items.
            shape: Facts whose columns to keep, so that two data sets of one catalogue give the same columns.
        """
        likes = data.positives()
        names, values, labels = _values(data)
        vectors = [centred_unit_rows(f.vectors, f.present) for f in items.values()]
        if shape is None:
            profile, columns = _profile(data)
        else:
            profile, columns = shape.profile, shape.profile_columns
        return cls(
            modalities=list(items),
            attributes=names,
            profile=profile,
            profile_columns=columns,
            popularity=np.log1p(np.bincount(likes.indices, minlength=data.n_items)).astype(np.float32),
            age=_age(data),
            values=values,
            labels=labels,
            vectors=np.concatenate([np.zeros((data.n_items, 0), np.float32), *vectors], axis=1),
            dims=np.array([f.dim for f in items.values()], np.int64),
            present=np.array([f.present for f in items.values()], bool).T.reshape(data.n_items, len(items)).copy(),
            clock=data.events.time_kind == "timestamp",
        )

    def state(self) -> dict[str, Any]:
        """The facts as learned attributes."""
        return {f"fact_{field.name}_": getattr(self, field.name) for field in fields(self)}

    @classmethod
    def restored(cls, state: dict[str, Any]) -> Self:
        """The facts that `state` gave."""
        return cls(**{field.name: state[f"fact_{field.name}_"] for field in fields(cls)})

    def names(self) -> list[str]:
        """Names of the columns of `columns`."""
        kinds = ["cosine", "latest", "present"] if len(self.age) else ["cosine", "present"]
        return [
            "popularity",
            *(["age"] if len(self.age) else []),
            "history.length",
            "history.popularity",
            *(["now.hour", "now.weekday"] if self.clock else []),
            *(f"profile:{name}" for name in self.profile),
            *(f"item:{name}" for name in self.attributes),
            *(["categories.match"] if self.labels.shape[1] else []),
            *(f"{name}.{kind}" for name in self.modalities for kind in kinds),
        ]

    def columns(self, queries: Queries, owner: IntArray, items: IntArray) -> FloatArray:
        """(m, len(names())) float32 of items[j] for query owner[j]; both (m,) int."""
        history = queries.positives(len(self.popularity))
        history.data[:] = 1
        length = np.diff(history.indptr).astype(np.float32)
        liked = _shares(history @ self.popularity, length)
        parts = [self.popularity[items, None]]
        if len(self.age):
            parts.append(self.age[items, None])
        parts += [np.log1p(length)[owner, None], liked[owner, None]]
        if self.clock:
            parts.append(_moments(queries)[owner])
        parts += [self._people(queries)[owner], self.values[items]]
        if self.labels.shape[1]:
            parts.append(self._match(history, owner, items)[:, None])
        parts += self._likeness(queries, history, owner, items)
        return np.concatenate(parts, axis=1).astype(np.float32)

    def _people(self, queries: Queries) -> FloatArray:
        """(n, p) attributes, NaN where none are given."""
        if queries.profiles is None:
            return np.full((len(queries), len(self.profile)), np.nan, np.float32)
        return np.asarray(queries.profiles[:, self.profile_columns].toarray(), np.float32)

    def _match(self, history: sparse.csr_array, owner: IntArray, items: IntArray) -> FloatArray:
        """(m,) mean over the item's categories of the share of the history that has them."""
        taste = np.asarray((history @ self.labels).toarray())
        taste = _shares(taste, np.diff(history.indptr)[:, None])
        own = np.asarray(self.labels[items].toarray())
        return _shares((own * np.nan_to_num(taste)[owner]).sum(axis=1), own.sum(axis=1))

    def _likeness(
        self, queries: Queries, history: sparse.csr_array, owner: IntArray, items: IntArray
    ) -> list[FloatArray]:
        """Three columns (m, 1) per modality, two where order means nothing."""
        found: list[FloatArray] = []
        ends, summed = np.cumsum(self.dims), np.asarray(history @ self.vectors)  # a slice would be copied first
        for number, (start, end) in enumerate(zip(ends - self.dims, ends, strict=True)):
            vectors, there = self.vectors[:, start:end], self.present[:, number]
            some = np.asarray(history @ there.astype(np.float32)) > 0
            means = unit_rows(summed[:, start:end])
            found.append(_cosine(means[owner], vectors[items], some[owner] & there[items]))
            if len(self.age):
                last = _latest(queries, there)
                found.append(_cosine(vectors[last[owner]], vectors[items], (last[owner] >= 0) & there[items]))
            found.append(there[items, None].astype(np.float32))
        return found


def _moments(queries: Queries) -> FloatArray:
    """(n, 2) hour of the day, 0 to 24, and day of the week, 0 to 6, at which each question is asked."""
    now = np.full(len(queries), np.nan) if queries.now is None else queries.now
    return np.stack([now % DAY / 3600, (now // DAY + 3) % 7], axis=1).astype(np.float32)  # 1970 began on a Thursday


def _cosine(one: FloatArray, other: FloatArray, known: BoolArray) -> FloatArray:
    """(m, 1) dot products of rows, NaN where not known."""
    return np.where(known, np.einsum("md,md->m", one, other), np.nan)[:, None].astype(np.float32)


def _latest(queries: Queries, there: BoolArray) -> IntArray:
    """(n,) the latest liked item that has the modality, -1 where there is none."""
    found: IntArray = np.full(len(queries), -1, np.int64)
    usable = (queries.weights > 0) & there[queries.items]
    found[queries.row_of()[usable]] = queries.items[usable]  # the last assignment wins
    return found


def _shares(values: FloatArray, total: FloatArray) -> FloatArray:
    """values / total, NaN where the total is 0; float32."""
    out: FloatArray = np.full(np.shape(values), np.nan, np.float32)
    return np.divide(values, total, out=out, where=np.broadcast_to(total, out.shape) > 0)


def _age(data: Dataset) -> FloatArray:
    events = data.events
    if not events.has_order:
        return np.zeros(0, np.float32)
    liked = (events.weights > 0) & ~events.shown
    last: FloatArray = np.full(data.n_items, -np.inf)
    np.maximum.at(last, events.items[liked], events.times[liked])
    end, start = events.times[liked].max(initial=0), events.times[liked].min(initial=np.inf)
    ages = (end - last) / max(end - start, 1e-9)
    return np.where(np.isfinite(last), ages, np.nan).astype(np.float32)


def _values(data: Dataset) -> tuple[list[str], FloatArray, sparse.csr_array]:
    """Names and columns of numbers and common categories, and all categories one-hot."""
    names, columns, hot, known = [], [np.zeros((data.n_items, 0))], [], []
    labels: list[str] = []
    for field in data.items.of(Modality.NUMBER):
        names.append(field.name)
        columns.append(np.where(field.present, field.values, np.nan)[:, None])
    for field in data.items.of(Modality.CATEGORY):
        matrix, found = one_hot(field.values)
        labels += [f"{field.name}={label}" for label in found]
        hot.append(matrix)
        known += [field.present] * len(found)
    empty = sparse.csr_array((data.n_items, 0), dtype=np.float32)
    together = sparse.csr_array(sparse.hstack([empty, *hot], format="csr"))
    counts = np.asarray(together.sum(axis=0)).ravel()
    common = np.sort(np.argsort(-counts, kind="stable")[:MOST_LABELS])
    for column in common:
        names.append(labels[column])
        columns.append(np.where(known[column], together[:, [column]].toarray()[:, 0], np.nan)[:, None])
    return names, np.concatenate(columns, axis=1).astype(np.float32), together


def _profile(data: Dataset) -> tuple[list[str], IntArray]:
    """Names and columns of the most common attributes of people."""
    profiles = data.profiles()
    if profiles is None:
        return [], np.zeros(0, np.int64)
    counts = np.asarray(profiles.matrix.sum(axis=0)).ravel()
    common = np.sort(np.argsort(-counts, kind="stable")[:MOST_PROFILE]).astype(np.int64)
    return [profiles.names[i] for i in common], common
