"""Questions that the linear model asks itself when it chooses settings, made from the training data alone.

Warm: the last liked item of each history where order means something, else a tenth of it at random. Cold: some touched
items are hidden from everybody, as if nobody had met them. Competing: both at once, so that warm and cold scores can
be brought to one scale.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from salon.arrays import block_size, blocks, top_k
from salon.data import Holdout, Queries
from salon.metrics import hit_matrix, ndcg, relevant_counts
from salon.models.linear_point import Point
from salon.models.linear_problem import Budget, Problem
from salon.types import BoolArray, IntArray

WARM_SHARE = 0.1
COLD_SHARE = 0.15
COLD_FOLDS = 3
MANY = 3000
"""Touched items from which on one fold asks enough, and three would take too much memory and time."""
MAX_QUESTIONS = 4000
CUT = 20
"""Points are compared by nDCG at this length."""


@dataclass(frozen=True)
class Task:
    """A training set and questions about it.

    Attributes:
        problem: What may be learned from.
        holdout: What is asked.
        cold: The untouched items that take part, (c,) int64, or None.
    """

    problem: Problem
    holdout: Holdout
    cold: IntArray | None = None

    def value(self, point: Point, budget: Budget) -> float:
        """Mean nDCG of a point over the questions."""
        return self.values(point, (point.cold_scale,), budget)[0]

    def values(self, point: Point, scales: Sequence[float], budget: Budget) -> list[float]:
        """Mean nDCG under several `cold_scale`s; scored once, since cold scores grow in proportion."""
        scorer = self.problem.scorer(point, budget, self.cold)
        asked, totals = self.holdout, np.zeros(len(scales))
        for rows in blocks(len(asked), block_size(self.problem.n_items)):
            part, targets = asked.queries.take(rows), sparse.csr_array(asked.targets[rows])
            scores = self.problem.score(scorer, part, point, budget)
            scores[part.row_of(), part.items] = -np.inf
            if asked.exclude is not None:
                scores[sparse.csr_array(asked.exclude[rows]).nonzero()] = -np.inf
            if asked.candidates is not None:
                scores[:, ~asked.candidates] = -np.inf
            relevant, past = relevant_counts(targets), point.cold_scale
            for place, scale in enumerate(scales):
                if scale != past:
                    scores[:, scorer.twins.cold] *= np.float32(scale / past)
                    past = scale
                hits = hit_matrix(top_k(scores, CUT).ids, targets)
                totals[place] += float(ndcg(hits, relevant, CUT).sum())
        return [float(total) / max(len(asked), 1) for total in totals]


def targets_of(queries: Queries, asked: BoolArray, n_items: int) -> sparse.csr_array:
    """(n, items) float32, 1 at the actions `asked` (actions,) bool."""
    place = (queries.row_of()[asked], queries.items[asked])
    return sparse.csr_array((np.ones(int(asked.sum()), np.float32), place), shape=(len(queries), n_items))


def asked_only(holdout: Holdout, columns: BoolArray, rng: np.random.Generator) -> Holdout:
    """The questions whose answers are among `columns`, at most `MAX_QUESTIONS` of them."""
    targets = sparse.csr_array(holdout.targets @ sparse.diags_array(columns.astype(np.float32)))
    targets.eliminate_zeros()
    rows = np.flatnonzero(np.diff(targets.indptr) > 0)
    if len(rows) > MAX_QUESTIONS:
        rows = np.sort(rng.choice(rows, MAX_QUESTIONS, replace=False))
    exclude = None if holdout.exclude is None else sparse.csr_array(holdout.exclude[rows])
    return Holdout(holdout.queries.take(rows), sparse.csr_array(targets[rows]), exclude, holdout.candidates)


def warm_actions(queries: Queries, last: bool, rng: np.random.Generator) -> BoolArray:
    """(actions,) bool, the liked actions to ask for: each history keeps at least one other liked action."""
    liked = queries.weights > 0
    row = queries.row_of()
    counts = np.bincount(row[liked], minlength=len(queries))
    wanted = np.where(counts >= 2, np.ones(len(queries)) if last else np.maximum(np.floor(WARM_SHARE * counts), 1), 0)
    order = np.arange(len(row)) if last else rng.permutation(len(row))
    order = order[liked[order]]
    by_row = order[np.argsort(row[order], kind="stable")]
    back = np.repeat(np.cumsum(counts), counts) - np.arange(len(by_row))  # 1 for the latest of its history
    chosen = np.zeros(len(row), bool)
    chosen[by_row[back <= wanted[row[by_row]]]] = True
    return chosen


def split_task(problem: Problem, asked: BoolArray, cold: IntArray | None, rng: np.random.Generator) -> Task:
    """Asks for the actions `asked`; the actions of everybody on the items `cold` are hidden as well."""
    train, n_items = problem.train, problem.n_items
    hidden = np.zeros(n_items, bool)
    hidden[[] if cold is None else cold] = True
    rest = train.only(~asked & ~hidden[train.items])
    holdout = Holdout(rest, targets_of(train, asked | (hidden[train.items] & (train.weights > 0)), n_items))
    smaller = Problem(rest, problem.media, n_items, problem.n_attributes)
    return Task(smaller, asked_only(holdout, np.ones(n_items, bool), rng), cold)


def cold_folds(problem: Problem, touched: BoolArray, rng: np.random.Generator) -> list[IntArray]:
    """Disjoint sets of touched items with media, to be hidden in turn; none when there are too few."""
    able = rng.permutation(np.flatnonzero(touched & problem.media.any_present(problem.n_items)))
    size = int(COLD_SHARE * len(able))
    folds = COLD_FOLDS if len(able) < MANY else 1
    return [np.sort(able[i * size : (i + 1) * size]) for i in range(folds)] if size >= 3 else []


def hide_items(problem: Problem, cold: IntArray, rng: np.random.Generator) -> Task:
    """Hides the items `cold`, asks for the actions on them, and ranks them alone."""
    task = split_task(problem, np.zeros(len(problem.train.items), bool), cold, rng)
    candidates = np.zeros(problem.n_items, bool)
    candidates[cold] = True
    return replace(task, holdout=replace(task.holdout, candidates=candidates))


def warm_task(
    problem: Problem, touched: BoolArray, validation: Holdout | None, last: bool, rng: np.random.Generator
) -> Task:
    """The given questions about touched items, or questions made from the training data when there are none."""
    if validation is not None:
        given = asked_only(validation, touched, rng)
        if len(given):
            return Task(problem, given)
    return split_task(problem, warm_actions(problem.train, last, rng), None, rng)


def with_answers(queries: Queries, validation: Holdout) -> Queries:
    """The histories with the answers of their validation questions behind them."""
    row_of = {int(user): row for row, user in enumerate(queries.users)}
    owner, items, weights = queries.row_of(), queries.items, queries.weights
    answers = sparse.coo_array(validation.targets)
    rows = np.array([row_of.get(int(validation.queries.users[q]), -1) for q in answers.row], np.int64)
    known = rows >= 0
    pairs = set(zip(owner.tolist(), items.tolist(), strict=True))
    new = [k for k in np.flatnonzero(known) if (int(rows[k]), int(answers.col[k])) not in pairs]
    owner = np.concatenate([owner, rows[new]])
    items = np.concatenate([items, answers.col[new].astype(np.int64)])
    weights = np.concatenate([weights, np.ones(len(new), np.float32)])
    order = np.argsort(owner, kind="stable")
    indptr = np.searchsorted(owner[order], np.arange(len(queries) + 1)).astype(np.int64)
    return replace(queries, indptr=indptr, items=items[order], weights=weights[order], times=None)
