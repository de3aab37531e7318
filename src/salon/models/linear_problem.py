"""One training set under many settings: sums and Grams are made once, the last solve is kept."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from salon.data import Queries
from salon.models.linear_media import Media
from salon.models.linear_point import Point
from salon.models.linear_query import query_rows
from salon.models.linear_score import Scorer, mean_column
from salon.models.linear_solve import Grams, Solution, solve
from salon.models.linear_statistics import Statistics, collect
from salon.models.linear_twins import Twins, find_twins, no_twins, rescaled
from salon.types import FloatArray, IntArray

FLOPS = 2e10
"""Floating-point operations per second of the core that budgets are counted in; a constant, so that equal input gives
equal output however busy the machine is."""
SOLVE = 1.2
"""Operations of a dense solve over n rows, in n^3; with order or prior, `SOLVE_MORE`."""
SOLVE_MORE = 3.0


def solve_seconds(rows: int) -> float:
    """One dense solve on the reference core."""
    return float(SOLVE * rows**3 / FLOPS)


def twin_flops(warm: int, cold: int) -> float:
    """Operations of the twins of so many cold items, the Grams aside: a factor and its use."""
    return warm**3 / 3.0 + 2.0 * warm**2 * cold


class Budget:
    """Seconds of the reference core that a search may still spend."""

    def __init__(self, seconds: float) -> None:
        self.left = seconds
        self.solves = 0

    def spend(self, flops: float) -> None:
        """Takes the time of some floating-point operations off."""
        self.left -= flops / FLOPS

    def share(self, part: float) -> Budget:
        """A budget of a part of what is left; it is taken off here at once."""
        taken = Budget(max(self.left, 0.0) * part)
        self.left -= taken.left
        return taken


class Problem:
    """Histories to learn from.

    Args:
        train: The histories.
        media: Vectors of all items.
        n_items: Number of items.
        n_attributes: Number of user attributes.
    """

    def __init__(self, train: Queries, media: Media, n_items: int, n_attributes: int = 0) -> None:
        self.train, self.media, self.n_items, self.n_attributes = train, media, n_items, n_attributes
        self._statistics: dict[tuple[float, float], Statistics] = {}
        self._grams: Grams | None = None
        self._solved: dict[str, tuple[object, Solution]] = {}
        self._twins: tuple[object, Twins] | None = None

    @cached_property
    def touched(self) -> int:
        """How many items somebody likes."""
        return int(np.count_nonzero(np.bincount(self.train.items[self.train.weights > 0], minlength=1)))

    def statistics(self, point: Point) -> Statistics:
        """The sums that a point needs."""
        key = (point.user_exponent, point.order_reach if point.order else 0.0)
        if key not in self._statistics:
            self._statistics[key] = collect(
                self.train, self.n_items, exponent=key[0], reach=key[1], n_attributes=self.n_attributes
            )
        return self._statistics[key]

    def grams(self, point: Point) -> Grams:
        """The dense matrices; who is touched does not depend on the point."""
        if self._grams is None:
            self._grams = Grams(self.statistics(point).counts, self.media, self.n_items)
        return self._grams

    def solution(self, point: Point, budget: Budget, use: str = "warm") -> Solution:
        """B of a point; the last one of each use is kept for points that differ in the query or output scales only."""
        key = point.model_dump(include=SOLVED)
        if use not in self._solved or self._solved[use][0] != key:
            grams = self.grams(point)
            budget.spend(len(grams.rows) ** 3 * (SOLVE_MORE if point.order or point.prior else SOLVE))
            budget.solves += 1
            self._solved[use] = (key, solve(self.statistics(point), grams, point))
        return self._solved[use][1]

    def scorer(self, point: Point, budget: Budget, cold: IntArray | None = None) -> Scorer:
        """What scores with a point.

        Args:
            point: The settings.
            budget: Pays for the solves.
            cold: Untouched items to find twins for, or None for none.
        """
        solution, counts = self.solution(point, budget), self.statistics(point).counts
        if cold is None:
            return scorer_of((solution, solution), counts, point, self.media, np.zeros(0, np.int64), self.n_items)
        handed = solution if point.twin_media == 1.0 else self.solution(point.for_twins(), budget, "twins")
        key = (cold.tobytes(), point.model_dump(include=TWINNED))
        if self._twins is not None and self._twins[0] == key:
            return scorer_of((solution, handed), counts, point, self.media, cold, self.n_items, self._twins[1])
        budget.spend(twin_flops(len(solution.scales.rows), len(cold)))
        budget.spend(self.media.gram_flops(len(solution.scales.rows), len(cold)))
        scorer = scorer_of((solution, handed), counts, point, self.media, cold, self.n_items)
        self._twins = (key, scorer.twins)
        return scorer

    def score(self, scorer: Scorer, queries: Queries, point: Point, budget: Budget) -> FloatArray:
        """(n, items) float32 scores of some queries."""
        rows = query_rows(queries, point, self.n_items, self.n_attributes)
        size, cold = len(scorer.rows), len(scorer.twins.cold)
        budget.spend(10.0 * rows.nnz * size + rows.shape[0] * (120.0 * self.n_items + 2.0 * cold * size))
        return scorer.scores(rows)


def scorer_of(
    solutions: tuple[Solution, Solution],
    counts: FloatArray,
    point: Point,
    media: Media,
    cold: IntArray,
    n_items: int,
    known: Twins | None = None,
) -> Scorer:
    """What scores with a solution for warm items and one for their twins.

    Args:
        solutions: For warm items, and for what cold items take over.
        counts: Sums over users.
        point: The settings.
        media: Vectors.
        cold: Untouched items.
        n_items: Items of the catalogue.
        known: The twins of `cold` under settings that agree in `TWINNED`, so that they are not looked for again.
    """
    solution, for_twins = solutions
    rows, into = solution.scales.rows, solution.scales.into
    out = solution.out(counts, point.popularity, point.confidence)
    if not media.names:
        return Scorer(rows, into, solution.weights, out, NOTHING, no_twins(rows[rows < n_items]), n_items)
    handed = for_twins.weights * for_twins.out(counts, point.twin_popularity, 0.0)
    nobody = no_twins(rows[rows < n_items], point.twin_self * mean_column(handed))
    twins = find_twins(media, point, cold, nobody) if known is None else rescaled(known, point, nobody.own)
    return Scorer(rows, into, solution.weights, out, handed, twins, n_items)


NOTHING = np.zeros((0, 0), np.float32)
SOLVED = {
    "user_exponent", "item_exponent", "ridge", "dropout", "media", "order", "order_reach", "prior", "profile",
}  # fmt: skip
"""The settings on which B depends."""
TWINNED = {"twins", "twin_power", "twin_ridge"}
"""The settings on which W depends, but for the scale of its columns."""
