"""What answers: one frozen snapshot of a catalogue and a model over its rows. A request that began on one ends on it.

A model may know fewer rows than the catalogue has. `Growing` models take new items in as they are; for the others an
item that came later scores the mean of its nearest neighbours by content, weighted by cosine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np
from scipy import sparse

from salon.arrays import centred_unit_rows, top_k
from salon.data import IdMap, Items, Queries
from salon.data.profiles import Profiles
from salon.encode.base import Features, FeatureSet
from salon.encode.run import CatalogueEncoder
from salon.fuse.base import Fuser
from salon.models.base import Recommender
from salon.models.linear_media import Media
from salon.pipeline import Pipeline
from salon.pipeline_rank import known
from salon.pipeline_search import Searcher
from salon.pipeline_shop import Shop
from salon.registry import name_of
from salon.serve.catalogue import Catalogue
from salon.store.values import StoredItem
from salon.types import FloatArray, IntArray, Modality

NEIGHBOURS = 20
"""Content neighbours that an item is scored by which its model cannot take in."""
MODEL, SIMILAR, POPULAR, NEW = range(4)
"""Tiers of sources: what is scored by the model comes first, then by content, by popularity, and last what is new."""


@runtime_checkable
class Growing(Protocol):
    """A recommender that takes in items after it was fitted."""

    n_items_: int

    def with_items(self, items: FeatureSet) -> Any:
        """The model with new items behind the old ones."""


@dataclass(frozen=True, eq=False)
class Live:
    """A snapshot.

    Attributes:
        version: Its name in the registry.
        shop: Settings of the catalogue file.
        catalogue: The rows.
        model: Fitted; its rows are the first ones of the catalogue.
        features: Vectors of at least the rows of the model, in the same rows.
        counts: (n,) float64, how many people like the item of each row.
        encoders: For items that come later; None where they were not saved.
        fuser: Joins features for the model.
        profiles: Attributes of people that the model knows.
        ordered: Whether histories have an order.
        root: Folder of the media.
        seen: The features that at least one item had when the model was fitted; it knows no others.
        given: The items of the version with the vectors that came ready-made, for items that are stored without them.
        near: (later rows, rows of the model) sparse weights by content, for models that do not grow.
    """

    version: str
    shop: Shop
    catalogue: Catalogue
    model: Recommender
    features: FeatureSet
    counts: FloatArray
    encoders: CatalogueEncoder | None = None
    fuser: Fuser | None = None
    profiles: Profiles | None = None
    ordered: bool = True
    root: Path | None = None
    seen: tuple[str, ...] = ()
    given: Items = Items(IdMap(()))  # noqa: RUF009  frozen
    near: sparse.csr_array | None = field(default=None, repr=False)

    @classmethod
    def of(cls, version: str, pipeline: Pipeline, items: Mapping[str, StoredItem], root: Path | None) -> Self:
        """A saved version over the items that are stored; those that it never met are put in afterwards."""
        data = pipeline.dataset
        declared = {name: column.modality for name, column in data.items.fields.items()}
        liked = data.positives()
        counts = np.bincount(liked.indices, minlength=data.n_items).astype(np.float64)
        encoded = pipeline.encoded
        return cls(
            version,
            pipeline.shop,
            Catalogue.of(declared, data.items.ids.names, items),
            pipeline.fitted,
            pipeline.features,
            counts,
            None if encoded is None else encoded.encoders,
            pipeline.fuser,
            data.profiles(),
            data.events.has_order,
            root,
            tuple(name for name, one in pipeline.features.items() if one.present.any()),
            Items(data.items.ids, {column.name: column for column in data.items.of(Modality.VECTOR)}),
        )

    @cached_property
    def name(self) -> str:
        """The short name of the model."""
        return name_of("model", type(self.model))

    @property
    def scored(self) -> int:
        """Rows that the model or its content neighbours can score."""
        return self.model.n_items_ + (self.near.shape[0] if self.near is not None else 0)

    def score(self, queries: Queries) -> FloatArray:
        """(n, rows) float32; -inf for what cannot be scored, and in whole rows for people the model does not know."""
        rows = self.model.n_items_
        inside = within(queries, rows)
        found = self.model.score(inside)
        able = known(self.model, inside)
        if not able.all():
            found = np.where(able[:, None], found, np.float32(-np.inf))
        if rows == len(self.catalogue):
            return found
        wide = np.full((len(queries), len(self.catalogue)), -np.inf, np.float32)
        wide[:, :rows] = found
        if self.near is not None and self.near.shape[0]:
            wide[:, rows : self.scored] = _by_content(self.near, found)
        return wide

    @cached_property
    def popularity(self) -> FloatArray:
        """(rows,) float32 number of people who like an item, -inf where nobody does."""
        wide = np.zeros(len(self.catalogue))
        wide[: len(self.counts)] = self.counts
        return np.where(wide > 0, wide, -np.inf).astype(np.float32)

    @cached_property
    def media(self) -> Media:
        """The vectors centred and of unit length, for similarity by content."""
        return Media.of(self.features)

    @cached_property
    def searcher(self) -> Searcher | None:
        """Finds items by content; None where no encoders were saved."""
        return None if self.encoders is None else Searcher(self.encoders.parts, self.features, self.fuser)

    def content(self, rows: IntArray) -> FloatArray:
        """(n, d) float32 joined vectors of some rows, of unit length over the modalities that are there."""
        rows = np.asarray(rows, np.int64)
        parts = [np.zeros((len(rows), 0), np.float32)]
        inside = rows < self.features.n_items
        for vectors in self.media.rows.values():
            part = np.zeros((len(rows), vectors.shape[1]), np.float32)
            part[inside] = vectors[rows[inside]]
            parts.append(part)
        found = np.concatenate(parts, axis=1)
        lengths = np.linalg.norm(found, axis=1, keepdims=True)
        return np.divide(found, lengths, out=np.zeros_like(found), where=lengths > 0)

    # -- changes -----------------------------------------------------------------------------------------------------

    def with_catalogue(self, catalogue: Catalogue) -> Live:
        """The same model over another state of the catalogue."""
        return replace(self, catalogue=catalogue)

    def with_model(self, model: Recommender) -> Live:
        """The same catalogue with a model that learned more."""
        return replace(self, model=model)

    def with_counts(self, counts: FloatArray) -> Live:
        """The same with other numbers of people."""
        return replace(self, counts=counts)

    def vectors(self, row: int) -> FeatureSet:
        """The vectors of one row; masked where it has none yet."""
        inside = 0 <= row < self.features.n_items
        return self.features.take(np.array([row])) if inside else blank(self.features)

    def liked(self, row: int) -> bool:
        """Whether anybody likes the item of a row, so that the model learned from it."""
        return bool(row < len(self.counts) and self.counts[row] > 0)

    def with_vectors(self, found: Mapping[int, FeatureSet]) -> Live:
        """Other vectors for some rows, each a set of one row; the model learns of them when it is next updated."""
        rows = np.array(list(found), np.int64)
        changed = {}
        for name, one in self.features.items():
            more = _stacked(one, name, list(found.values()))
            vectors, present = one.vectors.copy(), one.present.copy()
            vectors[rows], present[rows] = more.vectors, more.present
            changed[name] = Features(vectors, present, one.fingerprint)
        return replace(self, features=FeatureSet(changed, self.features.n_items))

    def grown(self, found: Mapping[str, FeatureSet]) -> Live:
        """With the vectors of some items, each a set of one row; their rows are behind those that have vectors.

        Rows in between that have no vectors yet are masked, and take new rows when theirs arrive.
        """
        start, end = self.features.n_items, len(self.catalogue)
        if end == start:
            return self
        rows = [found.get(name) for name in self.catalogue.ids[start:end]]
        more = FeatureSet({name: _stacked(one, name, rows) for name, one in self.features.items()}, end - start)
        both = FeatureSet({name: _behind(one, more[name]) for name, one in self.features.items()}, end)
        wider = replace(self, features=both)
        if isinstance(self.model, Growing):
            return replace(wider, model=self.model.with_items(wider.fused(start)))
        return replace(wider, near=_near(self.media, more, self.model.n_items_, self.near))

    def fused(self, start: int) -> FeatureSet:
        """The vectors of the rows from `start` on, as the model takes them."""
        return self.as_learned(self.features.take(np.arange(start, self.features.n_items)))

    def as_learned(self, features: FeatureSet) -> FeatureSet:
        """Vectors of some items as the model takes them: fused, without kinds that it never saw."""
        found = features if self.fuser is None or not len(features) else self.fuser.transform(features)
        return found.only([name for name in found if name not in self.features or name in self.seen])


def blank(features: FeatureSet, count: int = 1) -> FeatureSet:
    """Masked vectors of the same kinds for `count` items."""
    return FeatureSet(
        {
            name: Features(np.zeros((count, one.dim), np.float32), np.zeros(count, bool), one.fingerprint)
            for name, one in features.items()
        },
        count,
    )


def within(queries: Queries, rows: int) -> Queries:
    """The queries without the items that a model of so many rows does not have."""
    inside = queries.items < rows
    if inside.all():
        return queries
    counts = np.bincount(queries.row_of()[inside], minlength=len(queries))
    indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return replace(queries, indptr=indptr, items=queries.items[inside], weights=queries.weights[inside])


def _by_content(near: sparse.csr_array, scores: FloatArray) -> FloatArray:
    """(n, later rows) float32: weighted means over the neighbours that can be scored; -inf where none can."""
    there = np.isfinite(scores)
    weights = near @ there.T.astype(np.float32)  # (later, n)
    total = near @ np.where(there, scores, np.float32(0)).T
    found = np.full(total.shape, -np.inf, np.float32)
    np.divide(total, weights, out=found, where=weights > 0)
    return found.T


def _stacked(like: Features, name: str, rows: list[FeatureSet | None]) -> Features:
    vectors, present = np.zeros((len(rows), like.dim), np.float32), np.zeros(len(rows), bool)
    for place, row in enumerate(rows):
        if row is not None and name in row and row[name].present[0]:
            like.check_same_space(row[name])
            vectors[place], present[place] = row[name].vectors[0], True
    return Features(vectors, present, like.fingerprint)


def _behind(old: Features, new: Features) -> Features:
    return Features(
        np.concatenate([old.vectors, new.vectors]), np.concatenate([old.present, new.present]), old.fingerprint
    )


def _near(media: Media, more: FeatureSet, rows: int, before: sparse.csr_array | None) -> sparse.csr_array:
    """Weights of the nearest rows of the model for further items, below those that are there already."""
    total = np.zeros((more.n_items, rows), np.float32)
    for name in media.names:
        fresh = centred_unit_rows(more[name].vectors, more[name].present, media.centres[name])
        total += fresh @ media.rows[name][:rows].T
    best = top_k(np.where(total > 0, total, -np.inf), NEIGHBOURS)
    kept = best.ids >= 0
    owner = np.repeat(np.arange(more.n_items), best.k).reshape(best.ids.shape)
    found = sparse.csr_array((best.scores[kept], (owner[kept], best.ids[kept])), shape=(more.n_items, rows))
    return found if before is None else sparse.csr_array(sparse.vstack([before, found], format="csr"))
