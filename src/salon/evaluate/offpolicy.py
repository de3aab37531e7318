"""What another policy would have earned, from the log of a policy that noted its chances (off-policy estimates).

Each logged row is one decision: in context x_i the item a_i was shown with chance p_i and earned r_i. For a policy that
would show it with chance q_i, with w_i = q_i / p_i (Horvitz, Thompson 1952),

    IPS    mean of w_i r_i                                             unbiased; wild where the policies differ
    SNIPS  sum of w_i r_i / sum of w_i                                 (Swaminathan, Joachims 2015) less wild
    DR     mean of sum_a q(a | x_i) m(x_i, a) + w_i (r_i - m(x_i, a_i))  (Dudik, Langford, Li 2011)

DR is right when either the chances or the reward model m are right, and calmer where m is good. Clipped weights,
min(w, clip), trade variance for bias (Ionides 2008). Intervals are normal ones from the influence of each person (all
rows of a person count as one draw), so they need some tens of people, and weights that are not all on a few rows:
`Value.effective` says how many rows speak. The policy and the reward model must be learned from other rows than these.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

from salon.data import Dataset
from salon.errors import DataError, SettingError
from salon.types import FloatArray, IntArray

SUM_SLACK = 1e-3
"""How far the chances of a policy in one context may be from 1 in sum."""
FEW_SHARE = 0.05
"""Effective share of the rows below which a value is called weak."""


@dataclass(frozen=True)
class Logged:
    """Decisions of the past, in parallel arrays of length n.

    Attributes:
        users: (n,) int, whose decision it was; rows of one person are not independent.
        items: (n,) int, the item shown.
        rewards: (n,) float, what came of it, such as 1 for a click and 0 for none.
        propensities: (n,) float in (0, 1], the chance with which that item was shown then.

    Raises:
        DataError: The arrays differ in length or are empty, or a reward or a propensity cannot be used.
    """

    users: IntArray
    items: IntArray
    rewards: FloatArray
    propensities: FloatArray

    def __post_init__(self) -> None:
        sizes = {len(column) for column in (self.users, self.items, self.rewards, self.propensities)}
        if len(sizes) > 1 or sizes == {0}:
            raise DataError(f"The log has columns of {sorted(sizes)} rows.", hint="All need the same number, above 0.")
        if not np.isfinite(self.rewards).all():
            raise DataError(f"{int((~np.isfinite(self.rewards)).sum())} rewards are not finite.")
        absent = ~np.isfinite(self.propensities)
        if absent.any():
            raise DataError(
                f"{int(absent.sum())} of {len(absent)} exposures have no propensity, the first in row "
                f"{int(np.argmax(absent))}.",
                hint="Log the chance with which each item was shown; it cannot be made up afterwards.",
            )
        wrong = (self.propensities <= 0) | (self.propensities > 1)
        if wrong.any():
            row = int(np.argmax(wrong))
            raise DataError(
                f"The propensity {self.propensities[row]:g} in row {row} is no chance: {int(wrong.sum())} rows are "
                "outside of 0 < p <= 1.",
                hint="What was shown had a chance above 0; check what was logged.",
            )

    def __len__(self) -> int:
        return len(self.users)


@dataclass(frozen=True)
class Value:
    """The estimated mean reward of a policy.

    Attributes:
        method: "IPS", "SNIPS" or "DR".
        value: Mean reward per decision.
        low: Lower end of the 95 % interval; None with one person only.
        high: Upper end.
        n: Logged rows.
        effective: Rows of equal weight that would say as much, (sum w)^2 / sum w^2.
        largest: Largest weight before clipping.
        clipped: Rows whose weight was clipped.
        notes: What weakens it, in sentences.
    """

    method: str
    value: float
    low: float | None
    high: float | None
    n: int
    effective: float
    largest: float
    clipped: int = 0
    notes: tuple[str, ...] = ()


def logged(data: Dataset) -> Logged:
    """The exposures of a dataset whose [events] name a column of propensities.

    An exposure is a row that is only `shown`, or any row with a propensity. Its reward is 1 where the row itself is a
    like, or where the person later likes the item before it is shown to them again; otherwise 0.

    Raises:
        DataError: No propensities were logged, or an exposure has none.
    """
    events, chances = data.events, data.events.propensities
    if chances is None:
        raise DataError(
            "The events have no propensities.", hint="Name their column under [events], such as propensity = 'chance'."
        )
    exposed = events.shown | np.isfinite(chances)
    likes = (events.weights > 0) & ~events.shown
    pairs = events.users * data.n_items + events.items
    order = np.lexsort((likes, events.times, pairs))  # of equal times the exposure comes first
    place = np.maximum.accumulate(np.where(exposed[order], np.arange(len(order)), -1))
    earned = np.zeros(len(order), bool)
    source = order[np.maximum(place, 0)]
    good = likes[order] & (place >= 0) & (pairs[source] == pairs[order])
    earned[source[good]] = True
    return Logged(events.users[exposed], events.items[exposed], earned[exposed].astype(np.float64), chances[exposed])


def softmax_policy(scores: FloatArray, *, temperature: float = 1.0) -> FloatArray:
    """(n, items) float64 chances proportional to exp(score / temperature); 0 where the score is -inf.

    Raises:
        SettingError: The temperature is not above 0.
        DataError: A row has no finite score.
    """
    if not temperature > 0:
        raise SettingError(f"temperature is {temperature}.", hint="Give a number above 0.")
    values = _scored(scores) / temperature
    raised = np.exp(values - values.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))


def greedy_policy(scores: FloatArray, *, explore: float = 0.1) -> FloatArray:
    """(n, items) float64 chances of showing the best item, but with chance `explore` any one with a finite score."""
    if not 0 <= explore <= 1:
        raise SettingError(f"explore is {explore}.", hint="Give a number from 0 to 1.")
    values = _scored(scores)
    known = np.isfinite(values)
    chances = explore * known / known.sum(axis=1, keepdims=True)
    chances[np.arange(len(values)), values.argmax(axis=1)] += 1 - explore
    return np.asarray(chances)


def _scored(scores: FloatArray) -> FloatArray:
    values = np.asarray(scores, np.float64)
    empty = ~np.isfinite(values).any(axis=1)
    if empty.any():
        raise DataError(f"Row {int(np.argmax(empty))} has no finite score.", hint="Leave out people without an answer.")
    return np.where(np.isnan(values), -np.inf, values)


def estimates(
    log: Logged, target: FloatArray, *, predicted: FloatArray | None = None, clip: float | None = None
) -> tuple[Value, ...]:
    """IPS, SNIPS and, with a reward model, DR of one policy.

    Args:
        log: n decisions.
        target: (n, items) chances of the policy in each context; rows sum to 1.
        predicted: (n, items) rewards that a model expects.
        clip: Largest weight; None clips nothing.

    Raises:
        DataError: The shapes differ, a row is no distribution, or the policy never does what was logged.
    """
    target = np.asarray(target, np.float64)
    if target.ndim != 2 or len(target) != len(log) or (target < 0).any():
        raise DataError(f"The policy has chances {target.shape} for {len(log)} rows.", hint="At least 0, one row each.")
    off = np.abs(target.sum(axis=1) - 1) > SUM_SLACK
    if off.any():
        row = int(np.argmax(off))
        raise DataError(f"The chances of the policy in row {row} sum to {target[row].sum():g}.", hint="Make them 1.")
    rows = np.arange(len(log))
    chances = target[rows, log.items]
    found = [ips(log, chances, clip=clip), snips(log, chances, clip=clip)]
    if predicted is not None:
        model = np.asarray(predicted, np.float64)
        if model.shape != target.shape or not np.isfinite(model[target > 0]).all():
            raise DataError(f"The reward model gives {model.shape}; finite rewards {target.shape} are needed.")
        expected = np.where(target > 0, target * np.where(np.isfinite(model), model, 0.0), 0.0).sum(axis=1)
        known = np.where(np.isfinite(model[rows, log.items]), model[rows, log.items], 0.0)
        found.append(doubly_robust(log, chances, known, expected, clip=clip))
    return tuple(found)


def ips(log: Logged, chances: FloatArray, *, clip: float | None = None) -> Value:
    """Inverse propensity scoring; `chances` (n,) are those of the policy for the logged items."""
    weights, about = _weights(log, chances, clip)
    return _value("IPS", weights * log.rewards, log, weights, about)


def snips(log: Logged, chances: FloatArray, *, clip: float | None = None) -> Value:
    """Self-normalised inverse propensity scoring."""
    weights, about = _weights(log, chances, clip)
    value = float(weights @ log.rewards / weights.sum())
    return _value("SNIPS", value + weights * (log.rewards - value) / weights.mean(), log, weights, about)


def doubly_robust(
    log: Logged, chances: FloatArray, predicted: FloatArray, expected: FloatArray, *, clip: float | None = None
) -> Value:
    """Reward model, corrected by what it got wrong on the logged items.

    Args:
        log: n decisions.
        chances: (n,) chance of the policy for the logged item.
        predicted: (n,) the model's reward of the logged item.
        expected: (n,) the model's mean reward under the policy.
        clip: Largest weight.
    """
    weights, about = _weights(log, chances, clip)
    return _value("DR", expected + weights * (log.rewards - predicted), log, weights, about)


def _weights(log: Logged, chances: FloatArray, clip: float | None) -> tuple[FloatArray, tuple[float, int]]:
    """(n,) weights, and the largest before clipping with the number clipped."""
    if clip is not None and not clip > 0:
        raise SettingError(f"clip is {clip}.", hint="Give a weight above 0, such as 10.")
    chances = np.asarray(chances, np.float64)
    if chances.shape != (len(log),) or not ((chances >= 0) & (chances <= 1 + SUM_SLACK)).all():
        raise DataError(f"The policy gives chances {chances.shape} for {len(log)} rows.", hint="From 0 to 1 each.")
    weights = chances / log.propensities
    if not weights.any():
        raise DataError(
            "The policy never shows what was logged, so the log says nothing of it.",
            hint="Let it explore, or log a policy that explores more.",
        )
    cut = weights if clip is None else np.minimum(weights, clip)
    return cut, (float(weights.max()), int((cut < weights).sum()))


def _value(method: str, terms: FloatArray, log: Logged, weights: FloatArray, about: tuple[float, int]) -> Value:
    """The mean of the terms, with an interval over people."""
    value = float(terms.mean())
    effective = float(weights.sum() ** 2 / (weights @ weights))
    _, person = np.unique(log.users, return_inverse=True)
    influence = np.bincount(person, terms - value)
    people, low, high = len(influence), None, None
    if people > 1:
        error = float(np.sqrt(people / (people - 1) * (influence @ influence))) / len(log)
        reach = float(student.ppf(0.975, people - 1)) * error
        low, high = value - reach, value + reach
    notes = []
    if effective < FEW_SHARE * len(log):
        notes.append(f"Only about {effective:.0f} of {len(log)} rows speak for this policy; do not rely on it.")
    if about[1]:
        notes.append(f"{about[1]} weights were clipped, which biases the value (IPS downwards).")
    return Value(method, value, low, high, len(log), effective, *about, tuple(notes))
