"""What exploration has learned, as plain values that a store can keep: counts per item, and a linear model.

LinUCB (Li, Chu, Langford, Schapire, WWW 2010, shared form): A = lambda I + sum x x^T, b = sum r x, theta = A^-1 b; an
item is worth theta x + c sqrt(x^T A^-1 x). Sums from several processes simply add up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from salon.errors import DataError
from salon.types import FloatArray


@dataclass(frozen=True)
class LinUCB:
    """The sums of a linear bandit.

    Attributes:
        gram: (d, d) float64, sum of x x^T, without the ridge.
        moment: (d,) float64, sum of r x.
        ridge: lambda.
        n: Observations.
    """

    gram: FloatArray
    moment: FloatArray
    ridge: float = 1.0
    n: int = 0

    @classmethod
    def new(cls, dim: int, *, ridge: float = 1.0) -> LinUCB:
        """Before anything was seen."""
        return cls(np.zeros((dim, dim)), np.zeros(dim), ridge)

    def updated(self, features: FloatArray, rewards: FloatArray) -> LinUCB:
        """After further observations.

        Args:
            features: (n, d) float.
            rewards: (n,) float.

        Raises:
            DataError: The features have another length, or something is not finite.
        """
        x, r = np.asarray(features, np.float64), np.asarray(rewards, np.float64)
        if x.ndim != 2 or x.shape[1] != len(self.moment) or len(r) != len(x):
            raise DataError(f"{len(r)} rewards with features {x.shape} for {len(self.moment)} dimensions.")
        if not (np.isfinite(x).all() and np.isfinite(r).all()):
            raise DataError("A feature or a reward is not finite.", hint="Leave such rows out.")
        return replace(self, gram=self.gram + x.T @ x, moment=self.moment + r @ x, n=self.n + len(x))

    def values(self, features: FloatArray, *, c: float = 0.5) -> FloatArray:
        """(n,) float64 upper bounds of (n, d) features; c is how much doubt counts."""
        x = np.asarray(features, np.float64)
        factor = cho_factor(self.gram + self.ridge * np.eye(len(self.moment)))
        theta = cho_solve(factor, self.moment)
        doubt = np.sqrt(np.einsum("ij,ji->i", x, cho_solve(factor, x.T)))
        bound: FloatArray = x @ theta + c * doubt
        return bound

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return {"gram": self.gram.tolist(), "moment": self.moment.tolist(), "ridge": self.ridge, "n": self.n}

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> LinUCB:
        """What `plain` gave.

        Raises:
            DataError: It is damaged.
        """
        try:
            gram, moment = np.array(plain["gram"], np.float64), np.array(plain["moment"], np.float64)
            state = cls(gram.reshape(len(moment), len(moment)), moment, float(plain["ridge"]), int(plain["n"]))
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"The state of the bandit is damaged: {error!r}.", hint="Reset the exploration.") from None
        return state


@dataclass(frozen=True)
class Arms:
    """How often things were shown and clicked.

    Attributes:
        shown: Id to number.
        clicks: Id to number.
    """

    shown: Mapping[str, int]
    clicks: Mapping[str, int]

    def updated(self, shown: Mapping[str, int], clicks: Mapping[str, int]) -> Arms:
        """After further observations."""
        return Arms(_added(self.shown, shown), _added(self.clicks, clicks))

    def counts(self, ids: list[str]) -> tuple[FloatArray, FloatArray]:
        """(n,) clicks and (n,) shown of some ids, 0 where nothing is known."""
        clicks = np.array([self.clicks.get(i, 0) for i in ids], np.float64)
        return clicks, np.array([self.shown.get(i, 0) for i in ids], np.float64)


def _added(old: Mapping[str, int], more: Mapping[str, int]) -> dict[str, int]:
    total = dict(old)
    for name, number in more.items():
        total[name] = total.get(name, 0) + number
    return total
