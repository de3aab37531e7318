"""Is a difference more than chance: paired by user, by flipping signs; and how large, by resampling users.

The main test is the sign-flip permutation test of the mean difference (Fisher 1935; recommended for retrieval by
Smucker, Allan, Carterette 2007): if two models were alike, each user's difference could as well have the other sign.
No normality is assumed, unlike by the t-test, and the mean is tested, unlike by Wilcoxon's ranks. Several comparisons
are adjusted by Holm's step-down (1979), which holds under any dependence.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from salon.arrays import block_size, blocks
from salon.errors import DataError
from salon.evaluate.values import Comparison, Measured
from salon.types import FloatArray

DRAWS = 10_000
"""Random sign patterns of a test; the smallest p-value is 1 / (DRAWS + 1)."""
EXACT = 12
"""Up to so many nonzero differences all sign patterns are tried."""
TIE = 1e-12
"""Slack, as a share of the absolute sum, below which a permuted sum counts as equal to the observed one."""


def sign_flip_test(difference: FloatArray, rng: np.random.Generator, *, draws: int = DRAWS) -> float:
    """Two-sided p-value of one mean difference of 0; see `sign_flip_tests`."""
    return float(sign_flip_tests(np.asarray(difference)[:, None], rng, draws=draws)[0])


def sign_flip_tests(differences: FloatArray, rng: np.random.Generator, *, draws: int = DRAWS) -> FloatArray:
    """Two-sided p-values of mean differences of 0; exact where few users differ, by random signs otherwise.

    Args:
        differences: (n, m) float, a row per user and a column per test; NaN where a user has no value.
        rng: Draws the signs, the same for all columns.
        draws: How many patterns.

    Returns:
        (m,) p in (0, 1]; (b + 1) / (draws + 1) when drawn, which never claims too much (Phipson, Smyth 2010).
    """
    values = np.nan_to_num(np.asarray(differences, np.float64))  # a zero stays zero whatever its sign
    total, size = values.sum(axis=0), np.abs(values).sum(axis=0)
    least = np.abs(total) - TIE * size
    beyond = np.zeros(values.shape[1])
    for part in blocks(draws, block_size(len(values), itemsize=8)):
        # sum of signed values = 2 * (sum of those with plus) - total
        plus = _coins(part.stop - part.start, len(values), rng) @ values
        beyond += (np.abs(2 * plus - total) >= least).sum(axis=0)
    p = (beyond + 1) / (draws + 1)
    for column in np.flatnonzero((values != 0).sum(axis=0) <= EXACT):
        p[column] = _exact(values[values[:, column] != 0, column], least[column])
    return np.asarray(p)


def _coins(rows: int, columns: int, rng: np.random.Generator) -> FloatArray:
    """(rows, columns) float64 of fair zeros and ones."""
    packed = rng.integers(0, 256, (rows, -(-columns // 8)), dtype=np.uint8)
    return np.unpackbits(packed, axis=1, count=columns).astype(np.float64)


def _exact(values: FloatArray, least: float) -> float:
    """Share of all sign patterns whose sum is at least as far from 0 as `least`."""
    patterns = np.arange(2**values.size)[:, None] >> np.arange(values.size) & 1
    return float((np.abs((2 * patterns - 1) @ values) >= least).mean())


def holm(p: FloatArray) -> FloatArray:
    """(m,) p-values adjusted for m comparisons: the family-wise error stays below the level (Holm 1979)."""
    p = np.asarray(p, np.float64)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(p.size, 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted


def bootstrap_means(values: FloatArray, rng: np.random.Generator, *, draws: int = 1000) -> FloatArray:
    """Means of resampled users (Efron 1979); all columns share the samples, so they stay paired.

    Args:
        values: (n, m) float, NaN where a user has no value; such users leave that column's mean.
        rng: Draws the samples.
        draws: How many.

    Returns:
        (draws, m) float64, NaN where a sample has no value.
    """
    values = np.asarray(values, np.float64)
    n = len(values)
    known, filled = np.isfinite(values), np.nan_to_num(values)
    complete = bool(known.all())
    means = np.full((draws, values.shape[1]), np.nan)
    if not n:
        return means
    for part in blocks(draws, block_size(n, itemsize=8)):
        chosen = rng.integers(0, n, (part.stop - part.start, n)) + np.arange(part.stop - part.start)[:, None] * n
        times = np.bincount(chosen.ravel(), minlength=chosen.size).reshape(chosen.shape).astype(np.float64)
        counts = np.full((len(times), values.shape[1]), float(n)) if complete else times @ known
        np.divide(times @ filled, counts, out=means[part], where=counts > 0)
    return means


def measure(values: Mapping[str, FloatArray], rng: np.random.Generator, *, draws: int = 1000) -> dict[str, Measured]:
    """Mean and 95 % percentile interval of each metric.

    Args:
        values: metric name -> (n,) float, NaN where undefined.
        rng: Draws the bootstrap samples.
        draws: How many.
    """
    if not values:
        return {}
    stacked = np.stack([np.asarray(v, np.float64) for v in values.values()], axis=1)
    means = bootstrap_means(stacked, rng, draws=draws)
    return {name: _measured(stacked[:, i], means[:, i]) for i, name in enumerate(values)}


def _measured(values: FloatArray, means: FloatArray) -> Measured:
    known, drawn = values[np.isfinite(values)], means[np.isfinite(means)]
    if not known.size:
        return Measured(None)
    low, high = np.quantile(drawn, [0.025, 0.975]) if drawn.size else (np.nan, np.nan)
    return Measured(float(known.mean()), float(low), float(high), int(known.size))


def compare(
    per_user: Mapping[str, FloatArray],
    reference: str,
    metric: str,
    rng: np.random.Generator,
    *,
    draws: int = DRAWS,
) -> tuple[Comparison, ...]:
    """Every model against the reference, paired by user, adjusted for their number.

    Args:
        per_user: model name -> (n,) float values of `metric`, the same users in the same order.
        reference: The model the others are compared with.
        metric: Named in the result.
        rng: Draws signs and samples.
        draws: Sign patterns per test; intervals use a tenth, at least 1,000.

    Raises:
        DataError: The arrays differ in length.
    """
    if len({len(v) for v in per_user.values()}) > 1:
        raise DataError("The models have values of different numbers of users.", hint="Evaluate them on one holdout.")
    names = [name for name in per_user if name != reference]
    if not names:
        return ()
    pairs = {name: np.asarray(per_user[name] - per_user[reference], np.float64) for name in names}
    raw = sign_flip_tests(np.stack(list(pairs.values()), axis=1), rng, draws=draws)
    sizes = measure(pairs, rng, draws=max(1000, draws // 10))
    found = []
    for name, p, adjusted in zip(names, raw, holm(raw), strict=True):
        m = sizes[name]
        low, high = (0.0 if v is None else v for v in (m.low, m.high))
        found.append(Comparison(metric, name, reference, m.mean or 0.0, low, high, float(p), float(adjusted), m.n))
    return tuple(found)
