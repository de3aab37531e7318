"""Places given to items that little is known about, with the chance of every item to be shown at all.

Each of the k places is explored with chance e, independently; m of them are, so m is binomial. The k - m best items
keep the other places in their order, and the explored places, a random choice among the k, take m items of a pool. The
item of rank r (from 0) is therefore shown with chance P(m < k - r); those chances, logged with the answer, are what
off-policy estimates need. Which items of the pool are taken is up to the policy:

    uniform     any of them alike                                          (epsilon-greedy)
    thompson    the largest draws from Beta(a + clicks, b + shown - clicks)   (Thompson 1933; Chapelle, Li 2011)
    linucb      the largest theta x + c sqrt(x A^-1 x)                     (Li, Chu, Langford, Schapire, WWW 2010)

The chances within the pool are exact for the first and the last; for Thompson's they are the mean over 200 orders
of the same policy, the one shown among them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.stats import binom

from salon.errors import SettingError
from salon.types import BoolArray, FloatArray, IntArray

DRAWS = 200
"""Draws by which chances of Thompson's policy are estimated."""


@dataclass(frozen=True)
class Policy:
    """Which items of a pool are taken first.

    Attributes:
        order: Called with the size of the pool and a generator; all its places, the first to be taken first.
        kind: How often the order changes: "uniform" (all orders alike), "fixed" (never), or "drawn" (every time).
    """

    order: Callable[[int, np.random.Generator], IntArray]
    kind: Literal["uniform", "fixed", "drawn"]


@dataclass(frozen=True)
class Explored:
    """A list with explored places.

    Attributes:
        ids: (m,) int64 item rows in the order they are shown.
        explored: (m,) bool, places that the pool took.
        propensities: (m,) float64, the chance of each item to be shown in this answer.
    """

    ids: IntArray
    explored: BoolArray
    propensities: FloatArray


def explore(best: IntArray, pool: IntArray, k: int, share: float, policy: Policy, rng: np.random.Generator) -> Explored:
    """The k best items, some places given to items of the pool.

    Args:
        best: (n,) int64 item rows, best first.
        pool: (p,) int64 item rows to explore; those among the first k of `best` are left out.
        k: Places.
        share: Chance e of a place to be explored.
        policy: Takes items of the pool.
        rng: Draws.

    Raises:
        SettingError: The share is outside of 0..1.
    """
    if not 0 <= share <= 1:
        raise SettingError(f"The share of exploration is {share}.", hint="Give a number from 0 to 1.")
    best = np.asarray(best, np.int64)[:k]
    inside = np.isin(pool, best)
    free = np.flatnonzero(~inside)
    places = min(k, len(best) + len(free))
    if not len(free) or not share:
        return Explored(best, np.zeros(len(best), bool), np.ones(len(best)))
    most = min(places, len(free))
    count = min(int(rng.binomial(places, share)), most)
    count = max(count, places - len(best))  # a short list is filled up
    chances = _chances_of_count(places, share, most, places - len(best))

    def order() -> IntArray:
        """The free items in the order of the policy."""
        ranked = policy.order(len(pool), rng)
        return np.asarray(pool, np.int64)[ranked[~inside[ranked]]]

    taken = order()[:count]
    where = np.zeros(places, bool)
    where[rng.choice(places, count, replace=False)] = True
    ids = np.empty(places, np.int64)
    ids[where], ids[~where] = taken, best[: places - count]
    more = np.append(np.cumsum(chances[::-1])[::-1], 0.0)  # more[j] = P(m >= j)
    propensities = np.empty(places)
    propensities[~where] = 1.0 - more[np.minimum(places - np.arange(places - count), most + 1)]
    if policy.kind == "uniform":
        propensities[where] = more[1:].sum() / len(free)
    else:
        propensities[where] = _taken_chances(taken, more, order, DRAWS if policy.kind == "drawn" else 1)
    return Explored(ids, where, propensities)


def _chances_of_count(places: int, share: float, most: int, least: int) -> FloatArray:
    """(most + 1,) chance of each number of explored places, cut off at `least` and `most`."""
    chances = np.exp(binom.logpmf(np.arange(places + 1), places, share))  # pmf overflows for the smallest shares
    chances[most] += chances[most + 1 :].sum()
    chances = chances[: most + 1]
    if least:
        chances[least] += chances[:least].sum()
        chances[:least] = 0.0
    return np.asarray(chances)


def _taken_chances(taken: IntArray, more: FloatArray, order: Callable[[], IntArray], draws: int) -> FloatArray:
    """(len(taken),) chance of each item taken: P(m > its place in the policy's order), over draws of that order."""
    total = more[1 : len(taken) + 1].copy()  # the order that was shown
    for _ in range(draws - 1):
        places = {int(item): place for place, item in enumerate(order()[: len(more) - 2])}
        total += more[[places.get(int(item), len(more) - 2) + 1 for item in taken]]
    return total / draws


def uniform() -> Policy:
    """Any item of the pool alike."""
    return Policy(lambda n, rng: rng.permutation(n), "uniform")


def thompson(clicks: FloatArray, shown: FloatArray, *, prior: tuple[float, float] = (1.0, 20.0)) -> Policy:
    """The items with the largest drawn click rates.

    Args:
        clicks: (pool,) how often each item was clicked.
        shown: (pool,) how often it was shown.
        prior: a and b; their ratio is the click rate of an item that was never shown, their sum how sure that is.
    """
    a = prior[0] + np.asarray(clicks, np.float64)
    b = prior[1] + np.maximum(np.asarray(shown, np.float64) - clicks, 0.0)
    return Policy(lambda n, rng: np.argsort(-rng.beta(a, b), kind="stable"), "drawn")


def linucb(values: FloatArray) -> Policy:
    """The items with the largest upper bounds, which `salon.feedback.bandits.LinUCB` gives."""
    order = np.argsort(-np.asarray(values, np.float64), kind="stable")
    return Policy(lambda n, rng: order, "fixed")
