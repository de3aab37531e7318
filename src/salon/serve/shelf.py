"""One version in use: the current snapshot, and the changes that replace it by the next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from threading import RLock

import numpy as np

from salon.data import Dataset, Items
from salon.encode.base import FeatureSet
from salon.media import MediaProblem
from salon.models.base import Recommender
from salon.pipeline_encode import vector_cache
from salon.serve.live import Growing, Live, blank
from salon.serve.truth import fields_of, table_of, with_vectors
from salon.store.values import StoredItem
from salon.types import FloatArray


class Shelf:
    """Holds the snapshot of a version; readers take `live` once and keep it.

    Attributes:
        live: The snapshot of now.
        changed: Rows whose vectors are newer than those of the model.

    Args:
        live: The first snapshot.
    """

    def __init__(self, live: Live) -> None:
        self.live = live
        self.lock = RLock()
        self._waiting: dict[str, StoredItem] = {}
        self.changed: Mapping[int, FeatureSet] = {}

    @property
    def version(self) -> str:
        """The version's name."""
        return self.live.version

    @property
    def waiting(self) -> int:
        """Items whose content is not encoded yet."""
        return len(self._waiting)

    # -- the catalogue -----------------------------------------------------------------------------------------------

    def put(self, items: Sequence[StoredItem], *, again: bool = False) -> bool:
        """Takes items in as they are now; whether some of them must be encoded (`again`: all of them)."""
        with self.lock:
            if not items:
                return bool(self._waiting)
            catalogue = self.live.catalogue
            for item in items:
                row = catalogue.rows.get(item.id, -1)
                if again or row < 0 or not _same_content(catalogue.items[row], item, catalogue.declared):
                    self._waiting[item.id] = item
            self.live = self.live.with_catalogue(catalogue.with_items(items))
            return bool(self._waiting)

    def remove(self, names: Sequence[str]) -> None:
        """Takes items out; their rows are hidden in every later answer."""
        if not names:  # another catalogue would have to work out its columns and masks again
            return
        with self.lock:
            for name in names:
                self._waiting.pop(name, None)
            self.live = self.live.with_catalogue(self.live.catalogue.without(names))

    def encode(self, most: int) -> tuple[list[str], list[MediaProblem]]:
        """Encodes some of the items that wait and takes their vectors in; which, and what of them could not be used."""
        with self.lock:
            batch = [self._waiting.pop(name) for name in list(self._waiting)[:most]]
            live = self.live
        if not batch:
            return [], []
        found, problems = encoded(live, batch)
        with self.lock:
            self._take(found)
        return list(found), problems

    def _take(self, found: Mapping[str, FeatureSet]) -> None:
        """Vectors to rows: at the end for new items and for cold ones that changed, in place for liked ones."""
        live = self.live
        rows = {name: live.catalogue.rows[name] for name in found if name in live.catalogue.rows}
        encoded = {name: row for name, row in rows.items() if row < live.features.n_items}
        other = {name for name, row in encoded.items() if not _equal(found[name], live.vectors(row))}
        liked = {encoded[name]: found[name] for name in other if live.liked(encoded[name])}
        moved = [name for name in other if encoded[name] not in liked]
        if liked:
            live = live.with_vectors(liked)
            self.changed = {**self.changed, **liked}
        catalogue = live.catalogue.with_items([live.catalogue.items[rows[name]] for name in moved], moved)
        self.live = live.with_catalogue(catalogue).grown(found)

    # -- the model ---------------------------------------------------------------------------------------------------

    def learn(self, model: Recommender, changed: Mapping[int, FeatureSet]) -> None:
        """Takes a model that learned more, such as the vectors that `changed`; items that came meanwhile join it."""
        with self.lock:
            kept = {row: vectors for row, vectors in self.changed.items() if changed.get(row) is not vectors}
            self.changed = kept
            behind = self.live.model.n_items_ - model.n_items_
            if behind and isinstance(model, Growing):
                model = model.with_items(self.live.fused(model.n_items_))
            self.live = self.live.with_model(model)

    def count(self, counts: FloatArray) -> None:
        """Takes other numbers of people per row."""
        with self.lock:
            self.live = self.live.with_counts(counts)


def encoded(live: Live, items: Sequence[StoredItem]) -> tuple[dict[str, FeatureSet], list[MediaProblem]]:
    """The vectors of items by the encoders of a version, one set of one row each, and what was masked."""
    total = blank(live.features, len(items))
    problems: list[MediaProblem] = []
    if live.encoders is not None:
        table = with_vectors(table_of(live.catalogue.declared, items, live.root), items, live.given)
        with vector_cache(live.shop.encode) as cache:
            made, problems = live.encoders.encode(table, cache)
        known = {n: f for n, f in made.items() if n in total and f.fingerprint == total[n].fingerprint}
        total = FeatureSet({**total, **known}, len(items))
    return {item.id: total.take(np.array([row])) for row, item in enumerate(items)}, problems


def _same_content(old: StoredItem, new: StoredItem, declared: Mapping[str, object]) -> bool:
    return all(old.fields.get(name) == new.fields.get(name) for name in declared)


def _equal(new: FeatureSet, old: FeatureSet) -> bool:
    return all(
        bool(one.present[0]) == bool(old[name].present[0]) and np.allclose(one.vectors, old[name].vectors, atol=1e-6)
        for name, one in new.items()
    )


def unmet(items: Mapping[str, StoredItem], data: Dataset, trained: int) -> list[StoredItem]:
    """Stored items that a version never met as they are now."""
    table = data.items
    rows = dict(zip(table.ids.names, range(len(table)), strict=True))
    found = []
    for item in items.values():
        row = rows.get(item.id)
        if row is None or (item.revision > trained and _changed(table, row, item)):
            found.append(item)
    return found


def _changed(table: Items, row: int, item: StoredItem) -> bool:
    met = fields_of(table, row)
    declared = [name for name in table.fields if name in met or name in item.fields]
    return any(met.get(name) != item.fields.get(name) for name in declared)
