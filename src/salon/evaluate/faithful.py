"""Are explanations true of the model: does what they call important change the score when it is taken away?

An explanation splits a score into parts, one per history item or per modality. Each part is compared by rank (Spearman
1904) with how far the score falls when that item or modality is removed (deletion; Samek et al. 2017), and with what a
random attribution of the same values would reach. For a model whose score is a sum over the history both orders agree.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from salon.data import Queries
from salon.encode.base import FeatureSet
from salon.errors import DataError
from salon.evaluate.significance import measure, sign_flip_test
from salon.evaluate.values import Measured
from salon.types import FloatArray


@dataclass(frozen=True)
class Case:
    """One explained score.

    Attributes:
        parts: (m,) float, what the explanation gives each part.
        drops: (m,) float, score with everything minus score without that part.
    """

    parts: FloatArray
    drops: FloatArray


@dataclass(frozen=True)
class Faithfulness:
    """How well explanations foretell the effect of removal.

    Attributes:
        correlation: Mean Spearman correlation of parts and drops over cases, with a 95 % interval.
        random: The same for parts dealt out at random.
        p: Sign-flip test that both are alike, paired by case.
        n: Cases with at least two parts that differ.
        skipped: Cases without, whose correlation is not defined.
    """

    correlation: Measured
    random: Measured
    p: float
    n: int
    skipped: int


def spearman(a: FloatArray, b: FloatArray) -> float:
    """Rank correlation, ties sharing their mean rank; NaN when either is constant or shorter than 2."""
    if len(a) != len(b):
        raise DataError(f"{len(a)} parts, but {len(b)} drops.", hint="Give one drop per part.")
    if len(a) < 2:
        return float("nan")
    x, y = _centred_ranks(a), _centred_ranks(b)
    spread = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / spread if spread else float("nan")


def _centred_ranks(values: FloatArray) -> FloatArray:
    """(m,) mean ranks less their mean."""
    return np.asarray(rankdata(values) - (len(values) + 1) / 2)


def faithfulness(cases: Sequence[Case], rng: np.random.Generator, *, deals: int = 20) -> Faithfulness:
    """Explanations against removal, and against chance.

    Args:
        cases: Explained scores.
        rng: Deals out the random attributions and draws the intervals.
        deals: Random attributions per case, whose correlations are averaged.

    Raises:
        DataError: A case has another number of drops than of parts, or no case has two parts that differ.
    """
    own = np.array([spearman(c.parts, c.drops) for c in cases])
    kept = [i for i, value in enumerate(own) if np.isfinite(value)]
    if not kept:
        raise DataError(f"None of {len(cases)} cases has two parts that differ.", hint="Explain longer histories.")
    chance = np.array([_random_correlation(cases[i], rng, deals) for i in kept])
    found = measure({"own": own[kept], "random": chance}, rng)
    p = sign_flip_test(own[kept] - chance, rng)
    return Faithfulness(found["own"], found["random"], p, len(kept), len(cases) - len(kept))


def _random_correlation(case: Case, rng: np.random.Generator, deals: int) -> float:
    """Mean correlation over random deals of the same parts."""
    x, y = _centred_ranks(case.parts), _centred_ranks(case.drops)
    dealt = rng.permuted(np.tile(x, (deals, 1)), axis=1)  # (deals, m)
    return float((dealt @ y).mean() / np.sqrt((x @ x) * (y @ y)))


def without_each_action(query: Queries) -> Queries:
    """m + 1 queries from one with m actions: the whole history, then the history without action 0, 1, ..."""
    if len(query) != 1:
        raise DataError(f"{len(query)} queries were given.", hint="Explain one query at a time.")
    m = len(query.items)
    kept = ~np.eye(m + 1, m, k=-1, dtype=bool)  # (m + 1, m); the first row keeps all
    return query.take(np.zeros(m + 1, np.int64)).only(kept.ravel())


def action_drops(score: Callable[[Queries], FloatArray], query: Queries, item: int) -> FloatArray:
    """(m,) how far the score of `item` falls without each of the m actions of one query.

    Args:
        score: (n queries) -> (n, items) scores, such as `model.score`.
        query: One query.
        item: The recommended item.
    """
    scores = np.asarray(score(without_each_action(query)), np.float64)[:, item]
    return np.asarray(scores[0] - scores[1:])


def modality_drops(score: Callable[[FeatureSet], float], features: FeatureSet) -> dict[str, float]:
    """modality -> how far a score falls when that modality is masked for all items.

    Args:
        score: Score of the explained answer given item features, by the same model without a new fit.
        features: The whole set; it is not changed.
    """
    whole = score(features)
    return {name: whole - score(_masked(features, name)) for name in features}


def _masked(features: FeatureSet, name: str) -> FeatureSet:
    hidden = features[name].hide(np.ones(features.n_items, bool))
    return FeatureSet({**features, name: hidden}, features.n_items)
