"""Canonical correlations of two or more modalities: an aligner in closed form."""

from __future__ import annotations

from itertools import combinations, pairwise
from typing import NamedTuple

import numpy as np
from pydantic import Field
from scipy import linalg

from salon.arrays import unit_rows
from salon.data import Events
from salon.fuse.align import Aligner, AlignSettings, held_out, pair_score
from salon.fuse.simple import principal_axes
from salon.types import BoolArray, FloatArray

GRID = (0.1, 1.0, 3.0, 10.0, 30.0, 100.0)
"""Penalties that `CCA` tries, in units of the mean variance of a modality."""


class CcaSettings(AlignSettings):
    """Settings of `CCA`."""

    reg: float | None = Field(None, ge=0)
    """Penalty in units of a modality's mean variance; none given: the best of a few on held-out items."""
    power: float = Field(1.0, ge=0)
    """Dimensions are weighted by their correlation to this power; 0 counts all alike."""
    axes: int = Field(256, ge=1)
    """Most principal axes of each modality that are looked at; of those beyond, the penalty leaves little anyway."""
    share: float = Field(0.1, gt=0, lt=1)
    """Share of the items with two modalities that the penalty is chosen by."""


class _Moments(NamedTuple):
    """What CCA needs to know of the rows: per modality means, axes and variances, and covariances between them."""

    means: list[FloatArray]
    axes: list[FloatArray]
    variances: list[FloatArray]
    mean_variances: list[float]
    cross: dict[tuple[int, int], FloatArray]


class CCA(Aligner):
    """Directions of each modality that correlate most with those of the others (MAXVAR), with a ridge penalty.

    With C_ml the covariance of modalities m and l, and S_m = C_mm + reg * mean variance, the directions are
    S_m^(-1/2) times the parts of the leading eigenvectors of the matrix with blocks S_m^(-1/2) C_ml S_l^(-1/2) and
    the identity on the diagonal; of two modalities its eigenvalues are 1 + their canonical correlations. C_mm is of
    all items that have the modality, C_ml of those that have both, so a missing modality costs nothing else.

    Source: Hotelling, "Relations between Two Sets of Variates", Biometrika 1936; Kettenring, "Canonical Analysis of
    Several Sets of Variables", Biometrika 1971; the penalty as in Bach and Jordan, "Kernel Independent Component
    Analysis", JMLR 2002; the weight of dimensions as in Gong et al., "A Multi-View Embedding Space", IJCV 2014.
    """

    settings: CcaSettings
    reg_: float
    correlations_: FloatArray
    maps_: FloatArray
    offsets_: FloatArray

    @property
    def dim(self) -> int:
        """Numbers per vector; fewer than asked for where no more directions correlate."""
        return len(self.correlations_)

    def _learn(
        self, rows: list[FloatArray], present: BoolArray, events: Events | None, rng: np.random.Generator
    ) -> None:
        self._check_pairs(present)
        self.reg_ = self._choose(rows, present, rng) if self.settings.reg is None else self.settings.reg
        self._take(_moments(rows, present, self.settings.axes), self.reg_)

    def _choose(self, rows: list[FloatArray], present: BoolArray, rng: np.random.Generator) -> float:
        """The penalty that finds held-out items best; the middle one where there are too few to say."""
        learn, judge = held_out(present, self.settings.share, rng)
        if len(judge) < 10 or (present[learn].sum(axis=1) >= 2).sum() < 10:
            return 1.0
        moments = _moments([part[learn] for part in rows], present[learn], self.settings.axes)
        scores = []
        for reg in GRID:
            self._take(moments, reg)
            mapped = [unit_rows(self._mapped(name, rows[i][judge])) for i, name in enumerate(self.names_)]
            scores.append(pair_score(mapped, present[judge]))
        return GRID[int(np.argmax(scores))]

    def _take(self, moments: _Moments, reg: float) -> None:
        """Learns maps for one penalty."""
        maps, correlations = canonical_maps(moments, reg, self.settings.dim)
        weighted = [one * correlations**self.settings.power for one in maps]
        offsets = [mean @ one for mean, one in zip(moments.means, weighted, strict=True)]
        self.maps_, self.offsets_ = np.concatenate(weighted).astype(np.float32), np.array(offsets, np.float32)
        self.correlations_ = correlations.astype(np.float32)

    def _mapped(self, name: str, rows: FloatArray) -> FloatArray:
        place = self._place(name)
        return np.asarray(rows @ self.maps_[self._blocks()[place]] - self.offsets_[place])


def _moments(rows: list[FloatArray], present: BoolArray, axes: int) -> _Moments:
    """Means, principal axes, their variances, and covariances between the axes of two modalities, float64."""
    found = _Moments([], [], [], [], {})
    turned = []
    for part, there in zip(rows, present.T, strict=True):
        mean = part[there].mean(axis=0, dtype=np.float64) if there.any() else np.zeros(part.shape[1])
        centred = np.where(there[:, None], part - mean, 0.0)
        directions, variances = principal_axes(centred[there], axes)
        found.means.append(mean)
        found.axes.append(directions)
        found.variances.append(variances)
        found.mean_variances.append(float((centred**2).sum() / max(1, there.sum()) / part.shape[1]))
        turned.append(centred @ directions)
    for one, other in combinations(range(len(rows)), 2):
        both = int((present[:, one] & present[:, other]).sum())
        found.cross[one, other] = turned[one].T @ turned[other] / max(1, both)  # absent rows are 0
    return found


def canonical_maps(moments: _Moments, reg: float, dim: int) -> tuple[list[FloatArray], FloatArray]:
    """The directions of every modality, (d, k) each, and (k,) their correlations, falling.

    The correlation of a direction is the mean over all pairs of modalities; that of two is the canonical one. At
    least one direction is given, and no more than correlate.
    """
    scales = [  # S^(-1/2) along the axes
        1 / np.sqrt(variances + reg * mean)
        for variances, mean in zip(moments.variances, moments.mean_variances, strict=True)
    ]
    ends = np.cumsum([0, *(len(scale) for scale in scales)]).tolist()
    joint = np.eye(ends[-1])
    for (one, other), covariance in moments.cross.items():
        block = scales[one][:, None] * covariance * scales[other]
        joint[ends[one] : ends[one + 1], ends[other] : ends[other + 1]] = block
        joint[ends[other] : ends[other + 1], ends[one] : ends[one + 1]] = block.T
    values, vectors = linalg.eigh(joint, subset_by_index=[max(0, ends[-1] - dim), ends[-1] - 1])
    values, vectors = values[::-1], vectors[:, ::-1]
    kept = max(1, int((values > 1 + 1e-9).sum()))
    vectors = vectors[:, :kept] * np.sign(vectors[np.abs(vectors[:, :kept]).argmax(axis=0), np.arange(kept)])
    correlations = np.clip((values[:kept] - 1) / max(1, len(scales) - 1), 0, 1)
    parts = zip(moments.axes, scales, pairwise(ends), strict=True)
    return [(axes * scale) @ vectors[start:stop] for axes, scale, (start, stop) in parts], correlations
