"""Ranking and rating metrics as pure functions of arrays; one value per query, so that tests can pair them.

Coverage, exposure and Gini describe all lists together and give one number. Relevance is binary. `hits[i, j]` says
whether the item at place j of the list for query i is relevant; `relevant[i]` is how many relevant items query i has.
Queries without any relevant item have no value and are left out by the caller.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from salon.arrays import unit_rows
from salon.types import MISSING_ID, BoolArray, FloatArray, IntArray


def hit_matrix(ids: IntArray, targets: sparse.csr_array) -> BoolArray:
    """(n, k) bool, whether each listed id is a target of its query.

    Args:
        ids: (n, k) int, -1 pads.
        targets: (n, items) sparse, nonzero where relevant.
    """
    n, k = ids.shape
    rows, columns = targets.nonzero()
    known = np.sort(rows.astype(np.int64) * targets.shape[1] + columns)
    asked = np.arange(n, dtype=np.int64)[:, None] * targets.shape[1] + ids
    place = np.minimum(np.searchsorted(known, asked), max(len(known) - 1, 0))
    found = known[place] == asked if len(known) else np.zeros((n, k), bool)
    return np.asarray(found & (ids != MISSING_ID))


def relevant_counts(targets: sparse.csr_array) -> IntArray:
    """(n,) number of targets per query."""
    rows, _ = targets.nonzero()
    return np.bincount(rows, minlength=targets.shape[0])


def recall(hits: BoolArray, relevant: IntArray, k: int) -> FloatArray:
    """(n,) share of the relevant items that are among the first k."""
    return hits[:, :k].sum(axis=1) / np.maximum(relevant, 1)


def ndcg(hits: BoolArray, relevant: IntArray, k: int) -> FloatArray:
    """(n,) normalised discounted cumulative gain; the ideal is min(k, relevant) hits (Järvelin, Kekäläinen 2002)."""
    discount = 1.0 / np.log2(np.arange(2, k + 2))
    width = min(k, hits.shape[1])
    gained = hits[:, :width] @ discount[:width]
    ideal = np.concatenate([[0.0], np.cumsum(discount)])[np.minimum(relevant, k)]
    return np.divide(gained, ideal, out=np.zeros_like(gained), where=ideal > 0)


def precision(hits: BoolArray, k: int) -> FloatArray:
    """(n,) share of the first k places that hold a relevant item; a short list is not excused."""
    return np.asarray(hits[:, :k].sum(axis=1) / k)


def f1(hits: BoolArray, relevant: IntArray, k: int) -> FloatArray:
    """(n,) harmonic mean of precision and recall at k (van Rijsbergen 1979)."""
    p, r = precision(hits, k), recall(hits, relevant, k)
    return np.divide(2 * p * r, p + r, out=np.zeros_like(p), where=p + r > 0)


def hit_rate(hits: BoolArray, k: int) -> FloatArray:
    """(n,) 1 where at least one of the first k is relevant, else 0."""
    return np.asarray(hits[:, :k].any(axis=1), np.float64)


def reciprocal_rank(hits: BoolArray, k: int) -> FloatArray:
    """(n,) 1 / place of the first relevant item, 0 if there is none among the first k (MRR; Voorhees 1999)."""
    kept = hits[:, :k]
    first: IntArray = kept.argmax(axis=1)
    return np.where(kept.any(axis=1), 1.0 / (first + 1), 0.0)


def average_precision(hits: BoolArray, relevant: IntArray, k: int) -> FloatArray:
    """(n,) mean over the relevant items of the precision at their place, cut at k (MAP; Buckley, Voorhees 2000).

    Divided by min(k, relevant), so that a perfect list is worth 1 however many items are relevant.
    """
    kept = hits[:, :k].astype(np.float64)
    at_place = np.cumsum(kept, axis=1) / np.arange(1, kept.shape[1] + 1)
    return (at_place * kept).sum(axis=1) / np.maximum(np.minimum(relevant, k), 1)


def auc(scores: FloatArray, positive: BoolArray, ranked: BoolArray | None = None) -> FloatArray:
    """Chance that a relevant item is scored above one that is not, ties counting half (Mann, Whitney 1947).

    Args:
        scores: (n, items) float; -inf and NaN mean "cannot be scored" and share the last place.
        positive: (n, items) bool, the relevant items.
        ranked: (n, items) bool, the items that take part, or None for all.

    Returns:
        (n,) float64; NaN where nothing or everything that takes part is relevant.
    """
    scores = np.where(np.isnan(scores), -np.inf, scores)
    ranked = np.ones(scores.shape, bool) if ranked is None else np.broadcast_to(ranked, scores.shape)
    others = ranked & ~positive
    counts = others.sum(axis=1)
    # those that take no part go to the end; a score of +inf cannot be told from them, but they are cut off by count
    ordered = np.sort(np.where(others, scores, np.inf), axis=1)
    result = np.full(len(scores), np.nan)
    for row in np.flatnonzero((counts > 0) & (ranked & positive).any(axis=1)):
        level, own = ordered[row, : counts[row]], scores[row, ranked[row] & positive[row]]
        below, upto = np.searchsorted(level, own, "left"), np.searchsorted(level, own, "right")
        result[row] = (below + upto).mean() / (2.0 * counts[row])
    return result


def rmse(predicted: FloatArray, actual: FloatArray, owner: IntArray, n: int) -> FloatArray:
    """Root mean squared error of predicted ratings, per query.

    Args:
        predicted: (ratings,) float.
        actual: (ratings,) float.
        owner: (ratings,) int, the query of each rating; all 0 with n = 1 gives the pooled error of the literature.
        n: Number of queries.

    Returns:
        (n,) float64, NaN for queries without a rating.
    """
    return np.sqrt(_mean_by_owner(np.square(_errors(predicted, actual)), owner, n))


def mae(predicted: FloatArray, actual: FloatArray, owner: IntArray, n: int) -> FloatArray:
    """Mean absolute error of predicted ratings, per query; arguments and result as in `rmse`."""
    return _mean_by_owner(np.abs(_errors(predicted, actual)), owner, n)


def _errors(predicted: FloatArray, actual: FloatArray) -> FloatArray:
    return np.asarray(predicted, np.float64) - np.asarray(actual, np.float64)


def _mean_by_owner(values: FloatArray, owner: IntArray, n: int) -> FloatArray:
    counts = np.bincount(owner, minlength=n)
    sums = np.bincount(owner, weights=values, minlength=n)
    return np.divide(sums, counts, out=np.full(n, np.nan), where=counts > 0)


def _mean_over_list(ids: IntArray, values: IntArray | FloatArray, k: int) -> FloatArray:
    """(n,) mean of values[id] over the first k listed ids; NaN where nothing is listed."""
    ids = ids[:, :k]
    listed = ids != MISSING_ID
    sums = np.where(listed, np.asarray(values, np.float64)[ids], 0.0).sum(axis=1)
    counts = listed.sum(axis=1)
    return np.divide(sums, counts, out=np.full(len(ids), np.nan), where=counts > 0)


def novelty(ids: IntArray, popularity: IntArray, n_users: int, k: int) -> FloatArray:
    """Mean self-information -log2(popularity / users) of the listed items, in bits (Zhou et al. 2010, PNAS).

    Args:
        ids: (n, k) int, -1 pads.
        popularity: (items,) how many users acted on each item in training; items without any count as one.
        n_users: Number of training users.
        k: Places looked at.

    Returns:
        (n,) float64 in 0..log2(users), NaN where nothing is listed.
    """
    chance = np.clip(np.asarray(popularity, np.float64), 1.0, max(n_users, 1)) / max(n_users, 1)
    return _mean_over_list(ids, -np.log2(chance) + 0.0, k)


def average_popularity(ids: IntArray, popularity: IntArray | FloatArray, k: int) -> FloatArray:
    """(n,) mean training popularity of the first k listed items (ARP; Yin et al. 2012), NaN where nothing is listed."""
    return _mean_over_list(ids, popularity, k)


def intra_list_diversity(ids: IntArray, vectors: FloatArray, present: BoolArray, k: int) -> FloatArray:
    """Mean of 1 - cosine over the pairs of the first k listed items (Ziegler et al. 2005; Smyth, McClave 2001).

    Args:
        ids: (n, k) int, -1 pads.
        vectors: (items, d) float; categories go in as rows of 0 and 1.
        present: (items,) bool; pairs with an absent item are left out.
        k: Places looked at.

    Returns:
        (n,) float64 in 0..2 (0..1 for vectors without negative numbers), NaN with fewer than two items present.
    """
    unit = np.where(present[:, None], unit_rows(vectors), np.float32(0))
    total = np.zeros((len(ids), unit.shape[1]))
    squares, counts = np.zeros(len(ids)), np.zeros(len(ids))
    for column in ids[:, :k].T:
        listed = (column != MISSING_ID) & present[column]
        rows = np.where(listed[:, None], unit[column], np.float32(0))  # (n, d)
        total += rows
        squares += np.square(rows, dtype=np.float64).sum(axis=1)
        counts += listed
    pairs = counts * (counts - 1)
    # the cosines of all ordered pairs add up to |sum of units|^2 - sum of |unit|^2
    cosine = np.divide(np.square(total).sum(axis=1) - squares, pairs, out=np.full(len(ids), np.nan), where=pairs > 0)
    return np.clip(1.0 - cosine, 0.0, 2.0)


def serendipity(hits: BoolArray, ids: IntArray, expected: IntArray, k: int) -> FloatArray:
    """Share of the first k places that hold a relevant item which the obvious recommender would not have listed.

    The useful part of the unexpected set, over k: |(list - list of the primitive model) & relevant| / k
    (Murakami et al. 2007; Ge, Delgado-Battenfeld, Jannach 2010). The primitive model is popularity.

    Args:
        hits: (n, k) bool from `hit_matrix`.
        ids: (n, k) int, -1 pads.
        expected: (n, k) int, what the primitive model lists for the same queries; its first k count.
        k: Places looked at.

    Returns:
        (n,) float64 in 0..precision.
    """
    obvious = (ids[:, :k, None] == expected[:, None, :k]).any(axis=2)
    return (hits[:, :k] & ~obvious).sum(axis=1) / k


def exposure(ids: IntArray, n_items: int, k: int) -> IntArray:
    """(items,) in how many of the lists, cut at k, each item stands."""
    shown = ids[:, :k]
    return np.bincount(shown[shown != MISSING_ID], minlength=n_items)


def catalogue_coverage(shown: IntArray, candidates: BoolArray | None = None) -> float:
    """Share of the candidates that stand in at least one list (Ge, Delgado-Battenfeld, Jannach 2010).

    Args:
        shown: (items,) from `exposure`.
        candidates: (items,) bool, what could have been listed, or None for all.
    """
    counts = shown if candidates is None else shown[candidates]
    return float((counts > 0).mean()) if counts.size else 0.0


def gini(shown: IntArray, candidates: BoolArray | None = None) -> float:
    """Gini coefficient of exposure: 0 when all candidates are listed equally often, near 1 when few are listed at all.

    Mean absolute difference over twice the mean (Gini 1912), by sorting. Arguments as in `catalogue_coverage`.
    """
    counts = np.sort(np.asarray(shown if candidates is None else shown[candidates], np.float64))
    n, total = counts.size, counts.sum()
    if not total:
        return 0.0
    place = np.arange(1, n + 1)
    return float(((2 * place - n - 1) * counts).sum() / (n * total))
