"""Stacking: weights of models learned from how they score held-out actions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import sparse
from scipy.optimize import minimize
from scipy.special import expit

from salon.arrays import blocks
from salon.data import Dataset, Holdout, Queries
from salon.data.split import random_split
from salon.types import FloatArray, IntArray

HELD_SHARE = 0.1
NEGATIVES = 20
"""Items drawn at random against every held-out action."""
MAX_QUESTIONS = 1000
AT_ONCE = 200
PENALTY = 1e-3
"""Weight of the squared weights: a model that says nothing gets a weight near 0."""

Scorer = Callable[[Queries], list[FloatArray]]


def hold_out(data: Dataset, rng: np.random.Generator) -> tuple[Holdout, Dataset]:
    """A tenth of everybody's likes as questions, and what is left to learn from; no questions if nobody has three."""
    counts = np.diff(data.positives().indptr)
    if counts.max(initial=0) < 3:
        return Holdout(data.queries(np.zeros(0, np.int64)), sparse.csr_array((0, data.n_items))), data
    split = random_split(data, valid=HELD_SHARE, test=0.0, rng=rng)
    return split.valid, split.train


def stacked(questions: Holdout, scores_of: Scorer, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """(models,) weights and (models,) biases by logistic regression of held-out actions against random items.

    Without questions all models weigh alike.

    Args:
        questions: Histories and held-out actions.
        scores_of: Queries to one (n, items) float per model, -inf where it cannot score.
        rng: Which people and which random items.
    """
    if not len(questions):
        models = len(scores_of(questions.queries))
        return np.full(models, 1 / models), np.zeros(models)
    rows = np.arange(len(questions))
    if len(rows) > MAX_QUESTIONS:
        rows = np.sort(rng.choice(rows, MAX_QUESTIONS, replace=False))
    inputs, labels = [], []
    for part in blocks(len(rows), AT_ONCE):
        owner, items, label = _pairs(questions, rows[part], rng)
        scores = np.stack([each[owner, items] for each in scores_of(questions.queries.take(rows[part]))], axis=1)
        able = np.isfinite(scores)
        inputs.append(np.concatenate([np.where(able, scores, 0), able], axis=1))
        labels.append(label)
    found = logistic(np.concatenate(inputs).astype(np.float64), np.concatenate(labels))
    models = len(found) // 2
    return found[:models], found[models:]


def _pairs(questions: Holdout, rows: IntArray, rng: np.random.Generator) -> tuple[IntArray, IntArray, FloatArray]:
    """(query, item, label) of every held-out action and of random items that are neither held out nor known."""
    targets = questions.targets[rows]
    owner, items = targets.nonzero()
    others = np.repeat(owner, NEGATIVES)
    pool = np.arange(targets.shape[1]) if questions.candidates is None else np.flatnonzero(questions.candidates)
    drawn = rng.choice(pool, len(others))
    taken = (targets.toarray() > 0) | (questions.queries.take(rows).seen(targets.shape[1]).toarray() > 0)
    free = ~taken[others, drawn]
    labels = np.concatenate([np.ones(len(owner)), np.zeros(int(free.sum()))])
    return np.concatenate([owner, others[free]]), np.concatenate([items, drawn[free]]), labels


def logistic(inputs: FloatArray, labels: FloatArray) -> FloatArray:
    """(d,) weights of an L2-penalised logistic regression with a free intercept.

    Args:
        inputs: (n, d) float64.
        labels: (n,) 0 or 1.
    """
    design = np.concatenate([inputs, np.ones((len(inputs), 1))], axis=1)
    penalty = np.append(np.full(inputs.shape[1], PENALTY), 0.0)

    def loss(weights: FloatArray) -> tuple[float, FloatArray]:
        scores = design @ weights
        value = np.mean(np.logaddexp(0, scores) - labels * scores) + 0.5 * (penalty * weights**2).sum()
        gradient = design.T @ (expit(scores) - labels) / len(labels) + penalty * weights
        return float(value), gradient

    found = minimize(loss, np.zeros(design.shape[1]), jac=True, method="L-BFGS-B")
    return np.asarray(found.x[:-1])
