"""How good joined answers are on questions, and weights of models found by stagewise addition.

Boosting here adds one member after the other to a sum, each time the one with which the sum answers the questions best,
and never fits a member anew: ensemble selection with replacement (Caruana, Niculescu-Mizil, Crew, Ksikes, "Ensemble
Selection from Libraries of Models", ICML 2004). With z_m the scores of member m on one scale and F_0 = 0,

    F_t = F_{t-1} + z_{m_t}   where m_t has the largest mean nDCG@20 of F_{t-1} + z_m

The weight of a member is how often it was added up to the best F_t. What the sum answers badly decides who comes next.
AdaRank (Xu and Li 2007), which weighs questions, was tried first: with few members it kept adding the same one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import sparse

from salon.arrays import top_k
from salon.data import Holdout
from salon.metrics import hit_matrix, ndcg, relevant_counts
from salon.models.joining import weighted_mean
from salon.types import FloatArray

CUT = 20
MAX_QUESTIONS = 1000
"""People asked; of more a random sample is taken."""
NUMBERS = 32_000_000
"""Most scores kept per member while questions are answered, so that large catalogues ask fewer people."""


def asked(questions: Holdout, rng: np.random.Generator) -> Holdout:
    """At most `MAX_QUESTIONS` of the questions that have an answer."""
    rows = np.flatnonzero(np.diff(sparse.csr_array(questions.targets).indptr))
    most = max(1, min(MAX_QUESTIONS, NUMBERS // max(questions.targets.shape[1], 1)))
    return some(questions, rows if len(rows) <= most else np.sort(rng.choice(rows, most, replace=False)))


def some(questions: Holdout, rows: np.ndarray) -> Holdout:
    """The questions of some rows only."""
    exclude = None if questions.exclude is None else sparse.csr_array(questions.exclude[rows])
    targets = sparse.csr_array(questions.targets[rows])
    return Holdout(questions.queries.take(rows), targets, exclude, questions.candidates)


class Judge:
    """Says how well scores answer questions, what is seen or excluded left out; asked often about the same questions.

    Attributes:
        columns: (c,) int64, the items that are ranked.
    """

    def __init__(self, questions: Holdout) -> None:
        n_items = questions.targets.shape[1]
        barred = sparse.csr_array(questions.queries.seen(n_items))
        if questions.exclude is not None:
            barred = sparse.csr_array(barred + abs(questions.exclude))
        ranked = np.ones(n_items, bool) if questions.candidates is None else questions.candidates
        self.columns = np.flatnonzero(ranked)
        self._barred = sparse.csr_array(barred[:, self.columns]).nonzero()
        self._targets = sparse.csr_array(questions.targets[:, self.columns])
        self._relevant = relevant_counts(sparse.csr_array(questions.targets))

    def __call__(self, scores: FloatArray) -> FloatArray:
        """(n,) float64 nDCG@20 of every question, from (n, c) scores of `columns`, -inf where there is none."""
        scores = np.array(scores, np.float32)
        scores[self._barred] = -np.inf
        return ndcg(hit_matrix(top_k(scores, CUT).ids, self._targets), self._relevant, CUT)


def quality(scores: FloatArray, questions: Holdout) -> FloatArray:
    """(n,) float64 nDCG@20 of every question, what is seen or excluded left out.

    Args:
        scores: (n, items) float, -inf where there is none; not changed.
        questions: n questions.
    """
    judge = Judge(questions)
    return judge(scores[:, judge.columns])


def boosted(parts: Sequence[FloatArray], questions: Holdout, rounds: int) -> FloatArray:
    """(members,) float64 weights that add up to 1; all alike where nobody can be asked or nothing is answered.

    Args:
        parts: One (n, items) per member, on one scale, -inf where it cannot score.
        questions: n questions.
        rounds: How often a member is added, at least 1.
    """
    even: FloatArray = np.full(len(parts), 1 / len(parts))
    if not len(questions):
        return even
    judge = Judge(questions)
    parts = [part[:, judge.columns] for part in parts]
    counts: FloatArray = np.zeros(len(parts))
    best, kept = 0.0, even
    for _ in range(rounds):
        tries = counts + np.eye(len(parts))
        values = [float(judge(weighted_mean(parts, weights)).mean()) for weights in tries]
        counts = tries[int(np.argmax(values))]
        if max(values) > best:
            best, kept = max(values), counts / counts.sum()
    return kept
