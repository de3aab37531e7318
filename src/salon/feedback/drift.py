"""Has something changed: the numbers or kinds of now against those of then.

Numbers are compared in ten bins that held equal shares then (population stability index, PSI) and by the test of
Kolmogorov and Smirnov; kinds by the PSI of their shares. PSI = sum (now - then) log(now / then), shares floored;
below 0.1 nothing has moved, above 0.25 much has. With few values PSI is large by chance: its mean without any change
is about (bins - 1)(1/n + 1/m), which is taken off.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.stats import ks_2samp

from salon.types import FloatArray, IntArray

BINS = 10
FLOOR = 1e-4
"""Least share of a bin."""
LITTLE, MUCH = 0.1, 0.25
LEAST = 50
"""Values on each side before anything is said."""


@dataclass(frozen=True)
class Drift:
    """How far something has moved.

    Attributes:
        name: What.
        psi: Population stability index, less its mean without change; 0 at least.
        p: Of the test of Kolmogorov and Smirnov; None for kinds.
        then: Values compared with.
        now: Values of now.
        verdict: In a word.
    """

    name: str
    psi: float
    p: float | None
    then: int
    now: int
    verdict: Literal["steady", "moving", "moved", "too few"]


def of_numbers(name: str, then: FloatArray, now: FloatArray) -> Drift:
    """Drift of numbers, (n,) then and (m,) now; what is not finite is left out."""
    old, new = (x[np.isfinite(x)] for x in (np.asarray(then, np.float64), np.asarray(now, np.float64)))
    if min(len(old), len(new)) < LEAST:
        return Drift(name, 0.0, None, len(old), len(new), "too few")
    edges = np.unique(np.quantile(old, np.linspace(0, 1, BINS + 1)[1:-1]))
    before, after = (np.bincount(np.searchsorted(edges, x), minlength=len(edges) + 1) for x in (old, new))
    return _drift(name, before, after, float(ks_2samp(old, new, method="asymp").pvalue))


def of_kinds(name: str, then: Mapping[str, int], now: Mapping[str, int]) -> Drift:
    """Drift of counts by kind."""
    kinds = sorted({*then, *now})
    old, new = (np.array([x.get(k, 0) for k in kinds], np.int64) for x in (then, now))
    if min(old.sum(), new.sum()) < LEAST:
        return Drift(name, 0.0, None, int(old.sum()), int(new.sum()), "too few")
    return _drift(name, old, new, None)


def _drift(name: str, old: IntArray, new: IntArray, p: float | None) -> Drift:
    then, now = int(old.sum()), int(new.sum())
    a, b = np.maximum(old / then, FLOOR), np.maximum(new / now, FLOOR)
    chance = (len(old) - 1) * (1 / then + 1 / now)
    psi = max(0.0, float(((b - a) * np.log(b / a)).sum()) - chance)
    verdict: Literal["steady", "moving", "moved"] = "steady" if psi < LITTLE else "moving" if psi < MUCH else "moved"
    return Drift(name, psi, p, then, now, verdict)
