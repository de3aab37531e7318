"""What fusers remember of the features they were fitted on: names, lengths, spaces and centres, and the checks."""

from __future__ import annotations

import hashlib
from itertools import pairwise

import numpy as np

from salon.arrays import centred_unit_rows
from salon.config import Settings
from salon.encode.base import Features, FeatureSet
from salon.errors import DataError, FingerprintError, did_you_mean
from salon.fuse.base import Fuser
from salon.types import BoolArray, FloatArray

FUSED = "fused"
"""The name of what comes out of fusers that make one vector per item."""


class CentreSettings(Settings):
    """Settings of every fuser with a layout."""

    centre: bool = True
    """Whether to subtract the catalogue's mean from each modality."""


class Layout(Fuser):
    """Base: the modalities as they were at fit, and their rows, centred and of unit length."""

    settings: CentreSettings
    names_: list[str]
    dims_: list[int]
    fingerprints_: list[str]
    centres_: FloatArray

    def _layout(self, features: FeatureSet) -> None:
        """Learns names, dimensions, spaces and centres of the modalities."""
        if not features:
            raise DataError("There are no features to join.", hint="Encode at least one modality.")
        parts = list(features.values())
        centres = [
            f.vectors[f.present].mean(axis=0, dtype=np.float64)
            if self.settings.centre and f.present.any()
            else np.zeros(f.dim)
            for f in parts
        ]
        self.dims_, self.fingerprints_ = [f.dim for f in parts], [f.fingerprint for f in parts]
        self.centres_ = np.concatenate(centres).astype(np.float32)
        self.names_ = list(features)

    def _blocks(self) -> list[slice]:
        """Where each modality is in the rows side by side."""
        ends = np.cumsum([0, *self.dims_]).tolist()
        return [slice(start, stop) for start, stop in pairwise(ends)]

    def _place(self, name: str) -> int:
        """The number of a modality.

        Raises:
            DataError: It was not seen at fit.
        """
        if name not in self.names_:
            raise DataError(f"The features {name!r} were not there at fit.", hint=did_you_mean(name, self.names_))
        return self.names_.index(name)

    def _part(self, name: str, found: Features) -> FloatArray:
        """(n, d) float32 rows of one modality, centred as at fit and of unit length; absent ones 0.

        Raises:
            DataError: The modality was not seen at fit.
            FingerprintError: It was made by another encoder than at fit.
        """
        place = self._place(name)
        if (found.dim, found.fingerprint) != (self.dims_[place], self.fingerprints_[place]):
            raise FingerprintError(
                f"The features {name!r} are of {found.fingerprint!r} ({found.dim}), "
                f"at fit they were of {self.fingerprints_[place]!r} ({self.dims_[place]}).",
                hint="Encode with the encoders that were fitted.",
            )
        return centred_unit_rows(found.vectors, found.present, self.centres_[self._blocks()[place]])

    def _rows(self, features: FeatureSet) -> tuple[list[FloatArray], BoolArray]:
        """Rows of every modality seen at fit, as `_part` makes them, and which are there, (n, modalities) bool.

        Raises:
            DataError: A modality was not seen at fit.
            FingerprintError: One was made by another encoder than at fit.
        """
        self.check_fitted()
        for name in features:
            self._place(name)
        rows, present = [], np.zeros((features.n_items, len(self.names_)), bool)
        for place, name in enumerate(self.names_):
            if name not in set(features):
                rows.append(np.zeros((features.n_items, self.dims_[place]), np.float32))
                continue
            rows.append(self._part(name, features[name]))
            present[:, place] = features[name].present
        return rows, present

    def _stamp(self) -> str:
        """A fingerprint of everything that the result depends on: class, settings and learned state."""
        digest = hashlib.sha256(f"{type(self).__name__}|{self.settings!r}".encode())
        for name, value in sorted(self.state().items()):
            digest.update(name.encode())
            digest.update(value.tobytes() if isinstance(value, np.ndarray) else repr(value).encode())
        return f"{type(self).__name__}-{digest.hexdigest()[:16]}"

    def _fused(self, vectors: FloatArray, present: BoolArray) -> FeatureSet:
        """The result under its name, absent rows 0, stamped with everything it depends on."""
        there: BoolArray = np.asarray(present.any(axis=1))
        vectors = np.where(there[:, None], vectors, np.float32(0)).astype(np.float32)
        return FeatureSet({FUSED: Features(vectors, there, self._stamp())}, len(vectors))
