"""The contract of encoders, and the vectors they make: clean values in, one row of numbers per value out."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from salon.component import Component
from salon.errors import DataError, FingerprintError, did_you_mean
from salon.types import BoolArray, FloatArray, IntArray, Modality


def space_of(fingerprint: str) -> str:
    """The space that a fingerprint names: all of it, or what stands before a "#"."""
    return fingerprint.partition("#")[0]


@dataclass(frozen=True)
class Features:
    """The vectors of one modality for all items.

    Attributes:
        vectors: (n, d) float32; rows of absent items are 0 and must not be read as vectors.
        present: (n,) bool.
        fingerprint: What made them: weights, preprocessing, dimension. Vectors of different fingerprints never mix.
            A "#" in it ends the name of a space that several modalities share.
    """

    vectors: FloatArray
    present: BoolArray
    fingerprint: str = ""

    def __post_init__(self) -> None:
        if self.vectors.ndim != 2 or len(self.vectors) != len(self.present):
            raise DataError(f"Vectors {self.vectors.shape} and mask {self.present.shape} do not fit.")
        if not np.isfinite(self.vectors).all() and not np.isfinite(self.vectors[self.present]).all():
            row = int(np.flatnonzero(self.present & ~np.isfinite(self.vectors).all(axis=1))[0])
            raise DataError(f"The vector of item row {row} is not finite.", hint="Mask it, or encode it again.")

    def __len__(self) -> int:
        return len(self.present)

    @property
    def dim(self) -> int:
        """Numbers per vector."""
        return int(self.vectors.shape[1])

    @property
    def space(self) -> str:
        """The space of the vectors: a sentence and a picture of one space may be compared by cosine."""
        return space_of(self.fingerprint)

    def take(self, rows: IntArray) -> Features:
        """The features of some rows only."""
        return Features(self.vectors[rows], self.present[rows], self.fingerprint)

    def hide(self, rows: IntArray | BoolArray) -> Features:
        """The same with some rows masked."""
        present = self.present.copy()
        present[rows] = False
        return Features(np.where(present[:, None], self.vectors, np.float32(0)), present, self.fingerprint)

    def check_same_space(self, other: Features) -> None:
        """Raises FingerprintError unless both were made by the same encoder."""
        if (self.fingerprint, self.dim) != (other.fingerprint, other.dim):
            raise FingerprintError(
                f"Vectors of {other.fingerprint!r} ({other.dim}-d) cannot join {self.fingerprint!r} ({self.dim}-d).",
                hint="Encode both with the same encoder and settings.",
            )


class FeatureSet(Mapping[str, Features]):
    """Features by modality name, all over the same items. Frozen."""

    __slots__ = ("_features", "n_items")

    def __init__(self, features: Mapping[str, Features], n_items: int | None = None) -> None:
        self._features = dict(features)
        sizes = {len(f) for f in self._features.values()} | ({n_items} if n_items is not None else set())
        if len(sizes) > 1:
            raise DataError(f"Features cover different numbers of items: {sorted(sizes)}.")
        self.n_items = sizes.pop() if sizes else 0

    def __getitem__(self, name: str) -> Features:
        if name not in self._features:
            raise DataError(f"There are no features {name!r}.", hint=did_you_mean(name, self._features))
        return self._features[name]

    def __contains__(self, name: object) -> bool:
        return name in self._features

    def __iter__(self) -> Iterator[str]:
        return iter(self._features)

    def __len__(self) -> int:
        return len(self._features)

    def __repr__(self) -> str:
        parts = ", ".join(f"{n}: {int(f.present.sum())}/{len(f)} x {f.dim}" for n, f in self._features.items())
        return f"FeatureSet({parts})"

    def take(self, rows: IntArray) -> FeatureSet:
        """The features of some items only."""
        return FeatureSet({n: f.take(rows) for n, f in self.items()}, len(rows))

    def only(self, names: Sequence[str]) -> FeatureSet:
        """Some modalities only."""
        return FeatureSet({name: self[name] for name in names}, self.n_items)

    def having_any(self) -> BoolArray:
        """(items,) bool, where at least one modality is present."""
        found = np.zeros(self.n_items, bool)
        for features in self._features.values():
            found |= features.present
        return found


class Encoder(Component, ABC):
    """Values of one modality in, vectors out. A subclass writes `prepare` (if it decodes) and `embed`."""

    kind = "encoder"
    modality: ClassVar[Modality]
    needs_fit: ClassVar[bool] = False
    """Whether `fit` must see the catalogue first (TF-IDF does, a pretrained model does not)."""

    @property
    @abstractmethod
    def dim(self) -> int:
        """Numbers per vector."""

    @property
    @abstractmethod
    def version(self) -> str:
        """What the vectors depend on besides the settings: package version, checksum of the weights, preprocessing."""

    @property
    def fingerprint(self) -> str:
        """Identifies the space: class, version, settings and learned state."""
        digest = hashlib.sha256(f"{type(self).__name__}|{self.version}|{self.settings!r}".encode())
        for name, value in sorted(self.state().items()):
            digest.update(name.encode())
            digest.update(
                np.ascontiguousarray(value).tobytes() if isinstance(value, np.ndarray) else repr(value).encode()
            )
        return f"{type(self).__name__}-{digest.hexdigest()[:16]}"

    @property
    def space(self) -> str:
        """The space of the vectors, shared by the encoders of a model that reads several modalities."""
        return space_of(self.fingerprint)

    def fit(self, values: Sequence[Any]) -> Self:
        """Learns from the present values of the catalogue; pretrained encoders learn nothing."""
        return self

    def prepare(self, value: Any) -> Any:
        """One raw value (text, safe path of a medium, labels, number) decoded and cleaned, ready for `embed`.

        Raises:
            MediaError: The value cannot be used; the caller masks the item and reports it.
        """
        return value

    @abstractmethod
    def embed(self, batch: Sequence[Any]) -> FloatArray:
        """(n, dim) float32 of n prepared values."""

    def encode(self, values: Sequence[Any], *, batch_size: int = 32) -> FloatArray:
        """(n, dim) float32 of n raw values, prepared and embedded in batches."""
        parts = [
            self.embed([self.prepare(value) for value in values[start : start + batch_size]])
            for start in range(0, len(values), batch_size)
        ]
        return np.concatenate(parts).astype(np.float32) if parts else np.zeros((0, self.dim), np.float32)

    def encode_query(self, values: Sequence[Any], *, batch_size: int = 32) -> FloatArray:
        """(n, dim) float32 of n raw values that search for others; models with prompts tell queries from documents."""
        return self.encode(values, batch_size=batch_size)
