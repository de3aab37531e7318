"""The two towers after training, each of use without the other: saved, loaded and asked alone."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from scipy import sparse

from salon.arrays import unit_rows
from salon.artifacts import read_json, read_state, reading, write_json, write_state, writing
from salon.config import build
from salon.data import Queries
from salon.encode.base import FeatureSet
from salon.errors import DataError, did_you_mean
from salon.index.exact import ExactIndex
from salon.models.deep_media import Projection
from salon.models.sequence_data import Sequences
from salon.models.sequence_media import stretched
from salon.models.sequence_network import PLACED_AT_ONCE, READ_AT_ONCE
from salon.models.two_tower_data import dense_profiles, in_no_order
from salon.models.two_tower_network import ContentTower, UserTower
from salon.models.two_tower_settings import TowerSettings
from salon.training.network import rebuilt, to_numpy
from salon.types import BoolArray, FloatArray, IntArray, TopK


@dataclass(frozen=True)
class TrainedTower(ABC):
    """What both towers share: settings, and an artefact folder of their own.

    Attributes:
        settings: Those of the model that it is a part of.
        weights: (parameters,) float32 of the network.
        placed: (items,) bool, the items of the catalogue that have a vector.
    """

    kind: ClassVar[str]
    settings: TowerSettings
    weights: FloatArray
    placed: BoolArray

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """Everything learned, by names that end in "_"."""

    @classmethod
    @abstractmethod
    def restored(cls, settings: TowerSettings, state: Mapping[str, Any]) -> Self:
        """From settings and a mapping that holds what `state` gave, among other things."""

    def save(self, path: Path | str) -> None:
        """Writes an artefact folder that `load` reads."""
        with writing(Path(path), self.kind) as folder:
            names = TowerSettings.model_fields
            write_json(folder / "settings.json", self.settings.model_dump(mode="json", include=set(names)))
            write_state(folder, self.state())

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """The tower saved at `path`.

        Raises:
            ArtifactError: It is something else, or damaged.
        """
        reading(Path(path), cls.kind)
        given = read_json(Path(path) / "settings.json")
        return cls.restored(build(TowerSettings, given, where=cls.__name__), read_state(Path(path)))


@dataclass(frozen=True)
class ItemModel(TrainedTower):
    """Vectors of items: of the catalogue, and of any others from their features.

    Attributes:
        table: (items, dim) float32, what the network says of the catalogue, 0 where not placed.
        bias: (dim,) float32, its product with a row of `table` is the last number of an item vector.
        media: How the features of each modality are made ready.
    """

    kind = "item-tower"
    table: FloatArray
    bias: FloatArray
    media: Mapping[str, Projection]

    def vectors(self) -> FloatArray:
        """(items, dim + 1) float32 of the catalogue: a direction of length 1 and a bias; 0 where not placed."""
        return item_vectors(self.table, self.bias)

    def similar(self, items: IntArray, k: int = 10) -> TopK:
        """The k items of the nearest direction for each of n item rows, by cosine; the item itself is left out."""
        directions, rows = unit_rows(self.table), np.asarray(items, np.int64)
        own = sparse.csr_array((np.ones(len(rows)), (np.arange(len(rows)), rows)), shape=(len(rows), len(directions)))
        return ExactIndex().build(directions).search(directions[rows], k, exclude=own, allow=self.placed)

    def place(self, items: FeatureSet) -> FloatArray:
        """(n, dim + 1) float32: where n items would stand that nobody has touched; 0 without any modality.

        An item of the catalogue has the same vector here as there if nobody liked it or ids are off.

        Raises:
            DataError: A modality is unknown to the model, or it knows none.
            FingerprintError: Another encoder made the features.
        """
        unknown = [name for name in items if name not in self.media]
        if unknown or not self.media:
            name = unknown[0] if unknown else "any"
            hint = did_you_mean(name, list(self.media)) if self.media else "It was fitted without features."
            raise DataError(f"This item tower reads no modality {name!r}.", hint=hint)
        media = [projection.read(items, name) for name, projection in self.media.items()]
        features = [stretched(one.vectors) for one in media]
        s, widths = self.settings, [p.width for p in self.media.values()]
        tower = rebuilt(lambda: ContentTower(widths, s.dim, s.heads, s.layers), self.weights)
        shown = torch.from_numpy(np.stack([one.present for one in media], axis=1))
        parts = torch.arange(items.n_items).split(PLACED_AT_ONCE)
        with torch.no_grad():
            found = [to_numpy(tower([f[part] for f in features], shown[part])) for part in parts]
        return item_vectors(np.concatenate([np.zeros((0, s.dim), np.float32), *found]), self.bias)

    def state(self) -> dict[str, Any]:
        """See `TrainedTower.state`."""
        parts: dict[str, Any] = {}
        for number, one in enumerate(self.media.values()):
            parts |= {f"mean_{number}_": one.mean, f"directions_{number}_": one.directions}
        about = [[name, one.fingerprint] for name, one in self.media.items()]
        known = {"item_weights_": self.weights, "placed_": self.placed, "table_": self.table, "bias_": self.bias}
        return known | {"modalities_": about} | parts

    @classmethod
    def restored(cls, settings: TowerSettings, state: Mapping[str, Any]) -> Self:
        """See `TrainedTower.restored`."""
        media = {
            name: Projection(fingerprint, state[f"mean_{number}_"], state[f"directions_{number}_"])
            for number, (name, fingerprint) in enumerate(state["modalities_"])
        }
        weights, placed, table, bias = (state[n] for n in ("item_weights_", "placed_", "table_", "bias_"))
        return cls(settings, weights, placed, table, bias, media)


@dataclass(frozen=True)
class UserModel(TrainedTower):
    """Vectors of people from their histories and profiles.

    Attributes:
        table: (items, dim) float32, what a step shows of its item.
        attributes: Columns of a profile.
        ordered: Whether training saw histories whose order means anything.
    """

    kind = "user-tower"
    table: FloatArray
    attributes: int
    ordered: bool

    def vectors(self, queries: Queries) -> FloatArray:
        """(n, dim + 1) float32: a direction of length 1, and 1; 0 for people of whom nothing is known.

        Raises:
            DataError: Profiles have other attributes than in training.
        """
        people = Sequences.of(queries, self.placed)
        return read(self._tower(), self.table, self._arranged(people, queries.ordered), self.settings)

    def known(self, queries: Queries) -> BoolArray:
        """(n,) bool, the people with a liked item that has a vector, or with a profile that the model reads."""
        people = Sequences.of(queries, self.placed)
        return (np.diff(people.indptr) > 0) | dense_profiles(people, self.attributes).any(axis=1)

    def _tower(self) -> UserTower:
        return rebuilt(lambda: UserTower(self.settings.dim, self.attributes, self.settings.pool), self.weights)

    def _arranged(self, people: Sequences, ordered: bool) -> Sequences:
        """Where order means nothing, now or in training, an answer depends on the set of the steps alone."""
        return people if self.ordered and ordered else in_no_order(people, len(self.placed))

    def state(self) -> dict[str, Any]:
        """See `TrainedTower.state`."""
        about = {"attributes_": self.attributes, "ordered_": self.ordered}
        return {"user_weights_": self.weights, "placed_": self.placed, "table_": self.table, **about}

    @classmethod
    def restored(cls, settings: TowerSettings, state: Mapping[str, Any]) -> Self:
        """See `TrainedTower.restored`."""
        names = ("user_weights_", "placed_", "table_", "attributes_", "ordered_")
        return cls(settings, *[state[name] for name in names])


def item_vectors(table: FloatArray, bias: FloatArray) -> FloatArray:
    """(n, dim + 1) float32 item vectors of outputs (n, dim) of an item tower."""
    return np.concatenate([unit_rows(table), table @ bias[:, None]], axis=1)


def read(tower: UserTower, table: FloatArray, people: Sequences, settings: TowerSettings) -> FloatArray:
    """(n, dim + 1) float32 vectors of people by a user tower; 0 where nothing is known.

    Args:
        tower: In evaluation mode.
        table: (items, dim) float32, what a step shows of its item.
        people: n histories with their profiles; all steps are read, by "gru" the last `settings.length`.
        settings: Those of the model.
    """
    device, attributes = tower.profile.device, tower.profile.shape[0]
    shown = torch.from_numpy(table).to(device)
    longest = settings.length if settings.pool == "gru" else int(np.diff(people.indptr).max(initial=0))
    parts = [np.zeros((0, settings.dim + 1), np.float32)]
    for start in range(0, len(people), READ_AT_ONCE):
        some = people.take(slice(start, start + READ_AT_ONCE))
        steps, profiles = some.last(longest)[0], dense_profiles(some, attributes)
        with torch.no_grad():
            found = to_numpy(tower(shown, *(torch.from_numpy(part).to(device) for part in (steps, profiles))))
        found[(np.diff(some.indptr) == 0) & ~profiles.any(axis=1)] = 0
        parts.append(found)
    return np.concatenate(parts)
