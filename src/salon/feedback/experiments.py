"""Experiments: who sees which variant, and what may be said of the variants at any time.

A person's variant is a hash of the experiment's name and the person, so nothing is stored and every process agrees. Two
further hashes would be needed for people to be spread anew; a new name does that.

Statistics hold at any time, however often somebody looks ("peeking"): the mixture sequential probability ratio test of
Robbins (1970) in the form of Johari, Koomen, Pekelis and Walsh (2017). With the difference d of two means, its variance
V = s_a^2 / n_a + s_b^2 / n_b and a normal mixture of variance t^2 over the true difference,

    L = sqrt(V / (V + t^2)) exp( t^2 d^2 / (2 V (V + t^2)) ),     p = min(1, 1 / L),

and the interval at level 1 - alpha is d +- sqrt( V (V + t^2) / t^2 (2 log(1 / alpha) + log((V + t^2) / V)) ). t is the
size of effect that is expected; any t is valid, a good one is sooner sure. Both are asymptotic in the number of people
(see Bibaut, Kallus and Lindon 2022), so nothing is said before each variant has `LEAST` of them.

Whether people arrive as planned (sample ratio) is tested by the Dirichlet mixture of Lindon and Malek (2022), which
holds at any time too. Rates per answer are turned into one number per person first (delta method, Deng, Knoblich, Lu
2018), since the answers of one person are not independent.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import gammaln

from salon.errors import SettingError
from salon.types import FloatArray

LEAST = 30
"""People per variant before anything is said of it."""
SRM_ALPHA = 0.001
"""Level at which a wrong sample ratio is called one."""
Verdict = Literal["better", "worse", "no difference seen", "too few people"]


def assigned(experiment: str, person: str, shares: Sequence[float]) -> int:
    """The variant of a person, -1 where the shares leave them out.

    Args:
        experiment: Its name.
        person: Id of the person, or of the session of somebody unknown.
        shares: Share of people per variant, in sum at most 1.

    Raises:
        SettingError: A share is negative, or they sum to more than 1.
    """
    if min(shares, default=0.0) < 0 or sum(shares) > 1 + 1e-9:
        raise SettingError(f"The shares are {list(shares)}.", hint="Give numbers from 0 whose sum is at most 1.")
    place = unit_hash(f"{experiment}\0{person}")
    for variant, edge in enumerate(np.cumsum(shares)):
        if place < edge:
            return variant
    return -1


def unit_hash(text: str) -> float:
    """A number in [0, 1) that looks random and is always the same for the same text (SHA-256)."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2.0**64


@dataclass(frozen=True)
class Ratio:
    """Whether people arrived as planned.

    Attributes:
        expected: (variants,) planned shares of those who arrived.
        counts: (variants,) who arrived.
        p: Valid at any time; small when the plan is not what happened.
        wrong: Whether p is below 0.001; then nothing else of the experiment can be trusted.
    """

    expected: tuple[float, ...]
    counts: tuple[int, ...]
    p: float
    wrong: bool


def sample_ratio(shares: Sequence[float], counts: Sequence[int], *, strength: float = 1000.0) -> Ratio:
    """Tests the counts of people against the planned shares.

    Args:
        shares: Planned, of the variants only.
        counts: People seen per variant.
        strength: Weight of the plan in the mixture; larger is sooner sure of small faults.
    """
    planned = np.asarray(shares, np.float64) / max(float(np.sum(shares)), 1e-300)
    n = np.asarray(counts, np.float64)
    prior = strength * planned
    log_mixture = gammaln(prior.sum()) - gammaln(prior.sum() + n.sum()) + (gammaln(prior + n) - gammaln(prior)).sum()
    log_plan = float((n * np.log(np.maximum(planned, 1e-300))).sum())
    p = float(np.exp(min(0.0, log_plan - log_mixture)))
    return Ratio(tuple(planned.tolist()), tuple(int(c) for c in counts), p, p < SRM_ALPHA)


@dataclass(frozen=True)
class Effect:
    """A variant against the control.

    Attributes:
        metric: What was measured.
        variant: Its name.
        n: People in the variant.
        mean: Of the variant.
        control: Mean of the control.
        difference: Variant less control.
        low: Lower end of the interval that holds at any time.
        high: Upper end.
        p: Valid at any time.
        verdict: In words.
    """

    metric: str
    variant: str
    n: int
    mean: float
    control: float
    difference: float
    low: float
    high: float
    p: float
    verdict: Verdict


def effect(
    metric: str,
    variant: str,
    values: FloatArray,
    control: FloatArray,
    *,
    expected: float,
    alpha: float = 0.05,
    higher_is_better: bool = True,
) -> Effect:
    """The difference of two groups of people.

    Args:
        metric: Named in the result.
        variant: The same.
        values: (n,) one number per person of the variant.
        control: (m,) the same of the control.
        expected: The size of difference that is expected, above 0; see t above.
        alpha: How often a difference may be claimed where there is none, over the whole life of the experiment.
        higher_is_better: Whether more is good.

    Raises:
        SettingError: `expected` is not above 0, or alpha is outside of (0, 1).
    """
    if not expected > 0 or not 0 < alpha < 1:
        raise SettingError(f"expected is {expected} and alpha {alpha}.", hint="Both above 0, alpha below 1.")
    a, b = np.asarray(values, np.float64), np.asarray(control, np.float64)
    mean, base = (float(x.mean()) if len(x) else 0.0 for x in (a, b))
    d = mean - base
    if min(len(a), len(b)) < LEAST:
        return Effect(metric, variant, len(a), mean, base, d, -np.inf, np.inf, 1.0, "too few people")
    variance = max(float(a.var(ddof=1)) / len(a) + float(b.var(ddof=1)) / len(b), 1e-18)
    mixed = variance + expected**2
    log_ratio = 0.5 * np.log(variance / mixed) + expected**2 * d**2 / (2 * variance * mixed)
    half = float(np.sqrt(variance * mixed / expected**2 * (2 * np.log(1 / alpha) + np.log(mixed / variance))))
    p = float(np.exp(min(0.0, -log_ratio)))
    verdict: Verdict = "no difference seen"
    if p < alpha:
        verdict = "better" if (d > 0) == higher_is_better else "worse"
    return Effect(metric, variant, len(a), mean, base, d, d - half, d + half, p, verdict)


def rates(numerators: Mapping[str, FloatArray], denominators: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """One number per person of a rate such as clicks per answer, with the rate of each variant as its mean.

    By the delta method: person u of a variant with rate R and mean denominator D counts R + (num_u - R den_u) / D.

    Args:
        numerators: Variant to (n,) sums per person.
        denominators: The same; people with 0 are left out.

    Returns:
        Variant to (m,) float64.
    """
    found = {}
    for variant, given in numerators.items():
        there = np.asarray(denominators[variant], np.float64) > 0
        top, bottom = np.asarray(given, np.float64)[there], np.asarray(denominators[variant], np.float64)[there]
        rate = top.sum() / bottom.sum() if len(top) else 0.0
        found[variant] = rate + (top - rate * bottom) / (bottom.mean() if len(bottom) else 1.0)
    return found


def harmed(found: Effect, *, most: float, higher_is_better: bool = True) -> bool:
    """Whether a guardrail is broken: the variant is worse by more than `most`, and that is sure."""
    return found.high < -most if higher_is_better else found.low > most
