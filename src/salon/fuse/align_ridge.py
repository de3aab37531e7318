"""Ridge maps from every modality to one of them, or to the collaborative space: an aligner in closed form."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from pydantic import Field
from scipy import linalg

from salon.data import Events
from salon.encode.base import Features
from salon.errors import DataError, SettingError, did_you_mean
from salon.fuse.align import Aligner, AlignSettings
from salon.fuse.collaborative import EVENTS, collaborative_features
from salon.fuse.simple import principal_axes
from salon.types import BoolArray, FloatArray

GRID = np.logspace(-3, 4, 15)
"""Penalties that are tried, in units of the mean eigenvalue of X'X."""


class RidgeMapSettings(AlignSettings):
    """Settings of `RidgeMap`."""

    pivot: str = ""
    """Modality that the others are mapped to, or "events" for item vectors made of what people did; empty: the
    modality that most items have, the first of equals."""
    reg: float | None = Field(None, ge=0)
    """Penalty in units of the mean eigenvalue of X'X; none given: the best of many by leaving one out."""


class RidgeMap(Aligner):
    """Every modality is mapped linearly to the vectors of a pivot modality, with a ridge penalty.

    `regs_` and `errors_` (squared error as a share of the variance, items left out in turn) tell how it went.

    B = argmin |Y - X B|^2 + lambda |B|^2 on the items that have both, X and Y centred. The common space is that of
    the leading principal axes of the pivot (or the collaborative vectors); the pivot itself is mapped by them alone.
    The penalty of every map has the least error when each item is left out in turn, which needs one decomposition.
    Both sides are centred in the common space: a map that explains little would else send all items to the mean.

    Source: Hoerl and Kennard, "Ridge Regression", Technometrics 1970; leaving one out: Allen's PRESS, Technometrics
    1974; as a map between modalities: Mikolov et al., "Exploiting Similarities among Languages", 2013.
    """

    settings: RidgeMapSettings
    pivot_: str
    regs_: list[float]
    errors_: list[float]
    maps_: FloatArray
    offsets_: FloatArray

    @property
    def dim(self) -> int:
        """Numbers per vector: as asked for, or what the pivot has."""
        return int(self.maps_.shape[1])

    def _learn(
        self, rows: list[FloatArray], present: BoolArray, events: Events | None, rng: np.random.Generator
    ) -> None:
        pivot = self._pivot(present)
        target, axes = self._target(pivot, rows, present, events)
        found = []
        for place, name in enumerate(self.names_):
            if name == pivot:
                mean = rows[place][target.present].mean(axis=0)
                found.append(RidgeFit(axes, -mean @ axes, 0.0, 0.0))
                continue
            both = present[:, place] & target.present
            self._check_shared(name, pivot, both)
            one = ridge_map(rows[place][both], target.vectors[both], self.settings.reg)
            found.append(one._replace(offset=one.offset - target.vectors[both].mean(axis=0)))
        self.maps_ = np.concatenate([one.map for one in found]).astype(np.float32)
        self.offsets_ = np.array([one.offset for one in found], np.float32)
        self.pivot_, self.regs_, self.errors_ = pivot, [one.reg for one in found], [one.error for one in found]

    def _pivot(self, present: BoolArray) -> str:
        """The pivot that was set, or the modality that most items have."""
        pivot = self.settings.pivot or self.names_[int(present.sum(axis=0).argmax())]
        if pivot not in (*self.names_, EVENTS):
            raise SettingError(f"There is no modality {pivot!r} to map to.", hint=did_you_mean(pivot, self.names_))
        if pivot != EVENTS and len(self.names_) < 2:
            raise DataError(f"Only {self.names_} can be aligned.", hint="Encode at least two modalities.")
        return pivot

    def _target(
        self, pivot: str, rows: list[FloatArray], present: BoolArray, events: Events | None
    ) -> tuple[Features, FloatArray]:
        """What is mapped to, (n, dim), and the axes that make it of the pivot's rows; none for events."""
        if pivot == EVENTS and EVENTS not in self.names_:
            if events is None or not (events.weights > 0).any():
                raise SettingError("The pivot is 'events', but there are none.", hint="Set pivot to a modality.")
            return collaborative_features(events, len(present), self.settings.dim), np.zeros((0, 0))
        place = self._place(pivot)
        axes = principal_axes(rows[place][present[:, place]], self.settings.dim)[0]
        return Features(np.asarray(rows[place] @ axes, np.float32), present[:, place]), axes

    def _check_shared(self, name: str, pivot: str, both: BoolArray) -> None:
        if both.sum() < 2:
            raise DataError(
                f"The modalities {name!r} and {pivot!r} are there together for {int(both.sum())} items.",
                hint="A map needs at least 2; set pivot to another modality.",
            )

    def _mapped(self, name: str, rows: FloatArray) -> FloatArray:
        place = self._place(name)
        return np.asarray(rows @ self.maps_[self._blocks()[place]] + self.offsets_[place])


class RidgeFit(NamedTuple):
    """target = rows @ map + offset.

    Attributes:
        map: (d, k).
        offset: (k,).
        reg: The penalty, in units of the mean eigenvalue of the centred rows' X'X.
        error: Squared error of items left out in turn, as a share of that of the mean, left out in the same way.
    """

    map: FloatArray
    offset: FloatArray
    reg: float
    error: float


def ridge_map(rows: FloatArray, target: FloatArray, reg: float | None = None) -> RidgeFit:
    """The best linear map of rows to targets with a ridge penalty.

    The error is that of items left out in turn: a residual divided by 1 - h, h the diagonal of the hat matrix.

    Args:
        rows: (n, d) float, n >= 2.
        target: (n, k) float.
        reg: The penalty, in the units of `RidgeFit`; None takes the best of `GRID`.
    """
    x, y = np.asarray(rows, np.float64), np.asarray(target, np.float64)
    centre_x, centre_y = x.mean(axis=0), y.mean(axis=0)
    x, y = x - centre_x, y - centre_y
    left, values, right = linalg.svd(x, full_matrices=False)
    squares, turned = values**2, left.T @ y
    unit = max(float(squares.sum()) / x.shape[1], 1e-12)
    base = float(np.square(y / (1 - 1 / len(y))).sum())

    def error(penalty: float) -> float:
        shrunk = squares / (squares + penalty * unit + 1e-12)
        leverage = 1 / len(x) + np.square(left) @ shrunk
        residual = y - left @ (shrunk[:, None] * turned)
        return float(np.square(residual / np.maximum(1 - leverage, 1e-9)[:, None]).sum())

    tried = GRID if reg is None else np.array([reg])
    errors = [error(float(penalty)) for penalty in tried]
    best = int(np.argmin(errors))
    scale = values / (squares + tried[best] * unit + 1e-12)
    found = right.T @ (scale[:, None] * turned)
    left_over = errors[best] / base if base > 0 else 0.0
    return RidgeFit(found, centre_y - centre_x @ found, float(tried[best]), left_over)
