"""Up to which length histories are answered by `linear_few`: the questions of the search, their histories cut short.

A history that was cut is that of somebody who has just come. It is compared as if `linear_few` left no history to the
closed form, which is seldom the case for those that were cut.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from salon.arrays import top_k
from salon.data import Holdout, Queries
from salon.metrics import hit_matrix, ndcg, relevant_counts
from salon.models.few_questions import some_actions
from salon.models.linear_few import Few
from salon.models.linear_holdout import CUT
from salon.models.linear_point import FEW_LENGTHS, FEW_NOISES, Point
from salon.models.linear_statistics import Statistics, latest
from salon.types import FloatArray, IntArray

MOST_ASKED = 500
"""Questions per length; of more a random sample is taken."""
GAIN = 0.02
"""What short histories must gain over the closed form, at a length and all below, as a share of its value."""


@dataclass(frozen=True)
class Trial:
    """What lengths and noises are tried on.

    Attributes:
        asked: Questions with whole histories.
        point: Settings of the closed form.
        statistics: Sums over the people that it was solved for.
        closed: Its scores of the items, from queries (n, c).
        items: (c,) the items that are ranked.
        last: Whether the questions ask for the last action: histories are cut to the latest, else to random ones.
        fewest: Fewer questions than this say nothing.
    """

    asked: Holdout
    point: Point
    statistics: Statistics
    closed: Callable[[Queries], FloatArray]
    items: IntArray
    last: bool
    fewest: int

    def gains(self, length: int, rng: np.random.Generator) -> FloatArray | None:
        """(noises,) what histories of a length gain over the closed form; None where too few can be asked."""
        rows = np.flatnonzero(np.diff(self.asked.queries.indptr) >= length)
        if len(rows) < self.fewest:
            return None
        if len(rows) > MOST_ASKED:
            rows = np.sort(rng.choice(rows, MOST_ASKED, replace=False))
        asked, n_items = self.asked, self.asked.targets.shape[1]
        whole = asked.queries.take(rows)
        short = latest(whole, length) if self.last else some_actions(whole, length, rng)
        barred = sparse.csr_array(whole.seen(n_items))
        if asked.exclude is not None:
            barred = sparse.csr_array(barred + asked.exclude[rows])
        right, barred = (sparse.csr_array(matrix[:, self.items]) for matrix in (asked.targets[rows], barred))
        shut = None if asked.candidates is None else ~asked.candidates[self.items]

        def value(scores: FloatArray) -> float:
            scores[barred.nonzero()] = -np.inf
            if shut is not None:
                scores[:, shut] = -np.inf
            return float(ndcg(hit_matrix(top_k(scores, CUT).ids, right), relevant_counts(right), CUT).mean())

        base = value(self.closed(short))
        forms = [Few(self.statistics, self.point.moved({"few_noise": noise}), n_items) for noise in FEW_NOISES]
        seen = forms[0].seen(short)
        return np.array([value(few.scores(seen, self.items)) for few in forms]) / max(base, 1e-12) - 1.0


def choose_few(trial: Trial, rng: np.random.Generator) -> Point:
    """The point with the length up to which histories are answered by `linear_few`, and its noise."""
    tried: list[FloatArray] = []
    for length in FEW_LENGTHS:
        found = trial.gains(length, rng)
        if found is None or found.max() < GAIN:
            break
        tried.append(found)
    if not tried:
        return trial.point.moved({"few": 0})
    gains = np.stack(tried, axis=1)
    best = int(np.argmax(np.maximum(gains, 0.0).sum(axis=1)))
    held = int(np.argmin(np.append(gains[best] >= GAIN, False)))
    return trial.point.moved({"few": FEW_LENGTHS[held - 1] if held else 0, "few_noise": FEW_NOISES[best]})
