"""Media vectors as the linear model reads them: centred, of unit length, each dimension a pseudo-user of the items."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import sparse

from salon.arrays import centred_unit_rows, keep_top_per_row, power_or_zero
from salon.encode.base import Features, FeatureSet
from salon.errors import DataError, FingerprintError, SettingError, did_you_mean
from salon.models.linear_point import Point
from salon.types import BoolArray, FloatArray, IntArray

GRAPH_NEIGHBOURS = 20
"""Neighbours per item in the content graph of the prior."""


@dataclass(frozen=True)
class Media:
    """Vectors by modality, over the same items.

    Attributes:
        rows: By modality (items, d) float32, centred and of unit length; 0 where absent.
        centres: By modality (d,) float32, the mean that was taken off, frozen at fit.
        fingerprints: By modality, what made the vectors.
    """

    rows: Mapping[str, FloatArray]
    centres: Mapping[str, FloatArray]
    fingerprints: Mapping[str, str]

    @classmethod
    def of(cls, items: FeatureSet) -> Media:
        """The media of a catalogue; modalities that no item has are left out."""
        there = {name: f for name, f in items.items() if f.present.any()}
        centres = {
            name: f.vectors[f.present].mean(axis=0, dtype=np.float64).astype(np.float32) for name, f in there.items()
        }
        rows = {name: centred_unit_rows(f.vectors, f.present, centres[name]) for name, f in there.items()}
        return cls(rows, centres, {name: f.fingerprint for name, f in there.items()})

    @property
    def names(self) -> tuple[str, ...]:
        """The modalities."""
        return tuple(self.rows)

    def gram(self, name: str, rows: IntArray, columns: IntArray | None = None) -> FloatArray:
        """(rows, columns) float32 cosines of one modality; rows past the last item (attributes) have none."""
        left = self._taken(name, rows)
        product: FloatArray = left @ (left if columns is None else self._taken(name, columns)).T
        return product

    def gram_flops(self, rows: int, columns: int) -> float:
        """Operations of the Grams of all modalities over so many rows and over them beside so many columns."""
        return 2.0 * rows * (rows + columns) * sum(vectors.shape[1] for vectors in self.rows.values())

    def _taken(self, name: str, rows: IntArray) -> FloatArray:
        vectors = self.rows[name]
        taken: FloatArray = vectors[np.minimum(rows, len(vectors) - 1)]
        return np.where((rows < len(vectors))[:, None], taken, np.float32(0))

    def any_present(self, n_items: int) -> BoolArray:
        """(items,) bool, where a vector of some modality can be compared."""
        found = np.zeros(n_items, bool)
        for rows in self.rows.values():
            found |= rows.any(axis=1)
        return found

    def graph(self, name: str, rows: IntArray) -> sparse.csr_array:
        """(rows, rows) sparse float32: the nearest neighbours by positive cosine, D^-1/2 S D^-1/2, diagonal zero."""
        cosines = self.gram(name, rows)
        np.fill_diagonal(cosines, 0.0)
        near = keep_top_per_row(sparse.csr_array(np.maximum(cosines, 0.0)), GRAPH_NEIGHBOURS)
        near = near.maximum(near.T)
        scale = sparse.diags_array(power_or_zero(near.sum(axis=1), -0.5))
        return sparse.csr_array(scale @ near @ scale, dtype=np.float32)

    def joined(self, items: FeatureSet) -> Media:
        """The media with those of further items behind them; absent modalities stay absent.

        Raises:
            DataError: A modality is new.
            FingerprintError: A modality was made by another encoder.
        """
        new = [name for name in items if name not in self.rows]
        if new:
            raise DataError(f"The model never saw the modality {new[0]!r}.", hint=f"It knows: {', '.join(self.rows)}.")
        rows = {}
        for name, old in self.rows.items():
            more = np.zeros((items.n_items, old.shape[1]), np.float32)
            if name in items:
                self._check(name, items[name])
                more = centred_unit_rows(items[name].vectors, items[name].present, self.centres[name])
            rows[name] = np.concatenate([old, more])
        return Media(rows, self.centres, self.fingerprints)

    def replaced(self, rows: IntArray, items: FeatureSet) -> Media:
        """The media with other vectors for the items of `rows`; modalities that `items` lacks stay as they are.

        Raises:
            FingerprintError: A modality was made by another encoder.
        """
        found = dict(self.rows)
        for name in [name for name in self.rows if name in items]:
            self._check(name, items[name])
            found[name] = found[name].copy()
            found[name][rows] = centred_unit_rows(items[name].vectors, items[name].present, self.centres[name])
        return Media(found, self.centres, self.fingerprints)

    def _check(self, name: str, features: Features) -> None:
        if (features.fingerprint, features.dim) != (self.fingerprints[name], len(self.centres[name])):
            raise FingerprintError(
                f"{name!r} vectors of {features.fingerprint!r} ({features.dim}) cannot join those of "
                f"{self.fingerprints[name]!r} ({len(self.centres[name])}).",
                hint="Encode the new items with the encoder of the model.",
            )

    def state(self) -> dict[str, Any]:
        """Arrays and plain values that `restored` takes back."""
        return {
            "vectors_": np.concatenate([*self.rows.values()], axis=1) if self.rows else np.zeros((0, 0), np.float32),
            "centres_": np.concatenate([*self.centres.values()]) if self.rows else np.zeros(0, np.float32),
            "modalities_": [[name, len(self.centres[name]), self.fingerprints[name]] for name in self.rows],
        }

    @classmethod
    def restored(cls, state: Mapping[str, Any]) -> Media:
        """What `state` gave."""
        table = state["modalities_"]
        cuts = np.cumsum([dim for _, dim, _ in table])[:-1]
        names = [name for name, _, _ in table]
        rows = np.split(state["vectors_"], cuts, axis=1) if names else []
        centres = np.split(state["centres_"], cuts) if names else []
        return cls(
            dict(zip(names, rows, strict=True)),  # views: a copy would cost as much memory again
            dict(zip(names, centres, strict=True)),
            {name: fingerprint for name, _, fingerprint in table},
        )


@dataclass(frozen=True)
class KeptMedia(Media):
    """Media that keep every Gram they were asked for, so that the next weighing of modalities costs a sum."""

    known: dict[tuple[str, bytes, bytes | None], FloatArray] = field(default_factory=dict)

    def gram(self, name: str, rows: IntArray, columns: IntArray | None = None) -> FloatArray:
        """As in `Media`; the array is the caller's own."""
        key = (name, rows.tobytes(), None if columns is None else columns.tobytes())
        if key not in self.known:
            self.known[key] = super().gram(name, rows, columns)
        return self.known[key].copy()

    def gram_flops(self, rows: int, columns: int) -> float:
        """As in `Media` the first time, and then that of reading them."""
        return 2.0 * rows * (rows + columns) * len(self.rows) if self.known else super().gram_flops(rows, columns)


def check_named(point: Point, items: FeatureSet) -> None:
    """Refuses a weight for a modality that the catalogue does not have, unless it has none at all."""
    for name in (*point.media, *point.twins):
        if len(items) and name not in list(items):
            raise SettingError(f"There is no modality {name!r} to weigh.", hint=did_you_mean(name, list(items)))
