"""How the local form chooses its settings: the same coordinate search, on a sample of the columns.

Runs of items that share neighbours are drawn from the catalogue. Questions whose answer is among them are ranked among
them alone, so one point costs the solution of these columns, whatever the size of the catalogue. The neighbourhoods are
those of the first point. What would need other sums over people (`user_exponent`, order), the prior, and everything
about cold items stay as given.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from scipy import sparse

from salon.arrays import block_size, blocks, top_k
from salon.data import Holdout, Queries
from salon.metrics import hit_matrix, ndcg, relevant_counts
from salon.models.linear_few_search import Trial, choose_few
from salon.models.linear_holdout import CUT, asked_only, targets_of, warm_actions
from salon.models.linear_local import LocalProblem, Reach, local_problem
from salon.models.linear_local_solve import LocalSolution
from salon.models.linear_point import CLICK_GRID, DISLIKES, MEDIA_GRID, ORDER_GRID, PROFILES, SHAPE_GRID, STARTS, Point
from salon.models.linear_problem import Budget, Problem
from salon.models.linear_query import query_rows
from salon.models.linear_search import FEWEST, Found, Grid, climb, remembered
from salon.types import FloatArray, IntArray

COLUMNS, RUN = 3000, 250
"""Columns of the sample, drawn in runs of items that share neighbours."""


class Sample:
    """Questions about a sample of the items.

    Args:
        local: Neighbourhoods and sums of the training data.
        holdout: The questions; their answers are among the sample.
        columns: (c,) places of the sample among the touched rows, ascending.
        n_attributes: Number of user attributes.
    """

    def __init__(self, local: LocalProblem, holdout: Holdout, columns: IntArray, n_attributes: int) -> None:
        self.local, self.holdout, self.columns, self.n_attributes = local, holdout, columns, n_attributes
        self._solved: tuple[object, LocalSolution] | None = None

    def value(self, point: Point, budget: Budget) -> float:
        """Mean nDCG of a point over the questions, ranked among the sample."""
        asked, items, total = self.holdout, self.items, 0.0
        for rows in blocks(len(asked), block_size(len(items))):
            part, targets = asked.queries.take(rows), sparse.csr_array(asked.targets[rows][:, items])
            scores = self.scores(part, point, budget)
            shape = (len(part), self.local.touched.n_items)
            past = sparse.csr_array((np.ones(len(part.items), np.float32), part.items, part.indptr), shape=shape)
            hidden = [sparse.csr_array(past[:, items])]
            if asked.exclude is not None:
                hidden.append(sparse.csr_array(asked.exclude[rows])[:, items])
            for mask in hidden:
                scores[mask.nonzero()] = -np.inf
            total += float(ndcg(hit_matrix(top_k(scores, CUT).ids, targets), relevant_counts(targets), CUT).sum())
        return total / max(len(asked), 1)

    @property
    def items(self) -> IntArray:
        """(c,) item rows of the sample."""
        return self.local.touched.rows[self.columns]

    def scores(self, queries: Queries, point: Point, budget: Budget) -> FloatArray:
        """(n, c) float32 scores of the sample."""
        local = self.local
        key = point.model_dump(include=SOLVED)
        if self._solved is None or self._solved[0] != key:
            width = np.diff(local.near.indptr)[self.columns].astype(np.float64)
            dims = sum(rows.shape[1] for name, rows in local.media.rows.items() if point.media.get(name))
            budget.spend(float((width**3 / 3 + 2 * width**2 * (dims + OVERHEAD)).sum()))
            budget.solves += 1
            solution = local.solve(point, self.columns)
            self._solved = (key, solution)
        solution = self._solved[1]
        out = local.out(solution, point.popularity, point.confidence)[self.columns]
        history = query_rows(queries, point, local.touched.n_items, self.n_attributes)
        budget.spend(50.0 * history.nnz * float(np.diff(local.near.indptr).mean()))
        folded = history[:, local.touched.rows] @ sparse.diags_array(solution.scales.into)
        return np.asarray((folded @ solution.weights[:, self.columns]).toarray() * out, np.float32)


SOLVED = {"item_exponent", "ridge", "dropout", "media", "profile"}
"""The settings on which B depends, of those that are searched."""
OVERHEAD = 400
"""Looking an entry of A up costs as much as so many multiplications."""


def local_search(
    problem: Problem,
    start: Point,
    validation: Holdout | None,
    *,
    last: bool,
    seconds: float,
    rng: np.random.Generator,
    reach: Reach,
) -> Found:
    """The best settings found on a sample of the items; see `linear_search.search`."""
    budget = Budget(seconds)
    asked, train = validation, problem
    if asked is None:
        chosen = warm_actions(problem.train, last, rng)
        rest = problem.train.only(~chosen)
        asked = Holdout(rest, targets_of(problem.train, chosen, problem.n_items))
        train = Problem(rest, problem.media, problem.n_items, problem.n_attributes)
    start = start.moved({"twin_media": 1.0})
    local = local_problem(train.statistics(start), problem.media, start, problem.n_items, reach)
    columns = _sampled(local, rng)
    among = np.zeros(problem.n_items, bool)
    among[local.touched.rows[columns]] = True
    asked = asked_only(asked, among, rng)
    if len(asked) < FEWEST:
        return Found(start, float("nan"), float("nan"), 0)
    sample = Sample(local, asked, columns, problem.n_attributes)
    value = remembered(partial(sample.value, budget=budget))
    grid = _grid(problem, start)
    found = []
    for place, entries in enumerate(STARTS):
        rest_of = budget.share(1.0 - 1.0 / (len(STARTS) + 1 - place))
        moved = {name: step for name, step in entries.items() if name != "user_exponent"}
        found.append(climb(value, start.moved(moved), grid, budget, rounds=1, patience=1))
        budget.left = max(budget.left, 0.0) + rest_of.left
    point, best = climb(value, max(found, key=lambda pair: pair[1])[0], grid, budget)
    closed = partial(sample.scores, point=point, budget=budget)
    point = choose_few(Trial(asked, point, local.stats, closed, sample.items, last, FEWEST), rng)
    return Found(point, best, float("nan"), budget.solves)


def _sampled(local: LocalProblem, rng: np.random.Generator) -> IntArray:
    """Ascending places of items, in runs of those that share neighbours."""
    order = local.near.order[local.near.order < local.touched.items]
    if len(order) <= COLUMNS:
        return np.sort(order)
    starts = np.sort(rng.choice(len(order) // RUN, COLUMNS // RUN, replace=False)) * RUN
    return np.sort(np.concatenate([order[start : start + RUN] for start in starts]))


def _grid(problem: Problem, start: Point) -> Grid:
    train = problem.train
    grid: dict[str, tuple[float, ...]] = {}
    if train.ordered:
        grid["reach"] = ORDER_GRID["reach"]
    grid |= {name: steps for name, steps in CLICK_GRID.items() if name != "user_exponent"}
    grid |= {f"media:{name}": MEDIA_GRID for name in start.media}
    grid["confidence"] = SHAPE_GRID["confidence"]
    if (train.weights < 0).any():
        grid["dislike"] = DISLIKES
    if problem.n_attributes:
        grid["profile"] = PROFILES
    return grid
