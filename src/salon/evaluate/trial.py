"""A holdout made ready for a fair race, and the lists that a model answers with.

Each model scores each query once, in blocks of bounded memory; lists and AUC come from those scores. Targets that no
model could list (seen, excluded or no candidate) are taken out, and users left without a target are not part of it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from salon import metrics
from salon.arrays import block_size, blocks, top_k
from salon.data import Holdout, Queries
from salon.errors import DataError
from salon.models.base import Recommender
from salon.types import BoolArray, FloatArray, IntArray, TopK


@dataclass(frozen=True)
class Trial:
    """A holdout made ready: only users with targets, only targets that can be listed.

    Attributes:
        queries: n histories.
        targets: (n, items) sparse of ones.
        barred: (n, items) sparse, nonzero where an item must not be listed.
        candidates: (items,) bool.
        rows: (n,) which rows of the holdout these are.
        dropped: Targets taken out because they cannot be listed.
    """

    queries: Queries
    targets: sparse.csr_array
    barred: sparse.csr_array
    candidates: BoolArray
    rows: IntArray
    dropped: int

    @classmethod
    def of(cls, holdout: Holdout, *, exclude_seen: bool = True) -> Trial:
        """The holdout made ready.

        Raises:
            DataError: No target can be listed.
        """
        n, n_items = holdout.targets.shape
        barred = holdout.queries.seen(n_items) if exclude_seen else sparse.csr_array((n, n_items), dtype=np.float32)
        if holdout.exclude is not None:
            barred = sparse.csr_array(barred + abs(holdout.exclude))
        candidates = np.ones(n_items, bool) if holdout.candidates is None else np.asarray(holdout.candidates, bool)
        rows, columns = holdout.targets.nonzero()
        reachable = candidates[columns] & ~metrics.hit_matrix(columns[:, None], sparse.csr_array(barred[rows]))[:, 0]
        kept_rows, kept = np.unique(rows[reachable], return_inverse=True)
        if not kept_rows.size:
            raise DataError(
                f"None of the {len(rows)} targets can be listed.", hint="They are seen, excluded or no candidates."
            )
        ones = np.ones(len(kept), np.float32)
        targets = sparse.csr_array((ones, (kept, columns[reachable])), shape=(len(kept_rows), n_items))
        queries = holdout.queries.take(kept_rows)
        dropped = int((~reachable).sum())
        return cls(queries, targets, sparse.csr_array(barred[kept_rows]), candidates, kept_rows, dropped)

    def allowed(self, rows: slice) -> BoolArray:
        """(rows, items) bool, what may be listed."""
        part = sparse.coo_array(self.barred[rows])
        found = np.repeat(self.candidates[None, :], part.shape[0], axis=0)
        found[part.coords[0][part.data != 0], part.coords[1][part.data != 0]] = False
        return np.asarray(found)


@dataclass(frozen=True)
class Ranking:
    """What one model answers: lists (n, k), AUC (n,), and wall milliseconds per query."""

    lists: TopK
    auc: FloatArray
    ms: float


def rank(model: Recommender, trial: Trial, k: int) -> Ranking:
    """The lists of one model and its AUC, scored once per query in blocks of bounded memory.

    Raises:
        DataError: The model knows another number of items.
    """
    found, areas, seconds = [], [], 0.0
    n_items = trial.targets.shape[1]
    for rows in blocks(len(trial.queries), block_size(n_items)):
        part, allowed = trial.queries.take(rows), trial.allowed(rows)
        start = time.perf_counter()
        scores = model.score(part)
        if scores.shape[1] != n_items:
            raise DataError(
                f"{type(model).__name__} scores {scores.shape[1]} of {n_items} items.", hint="Fit it again."
            )
        found.append(top_k(np.where(allowed, scores, -np.inf), k))
        seconds += time.perf_counter() - start
        areas.append(metrics.auc(scores, trial.targets[rows].toarray() > 0, allowed))
    lists = TopK(np.concatenate([f.ids for f in found]), np.concatenate([f.scores for f in found]))
    return Ranking(lists, np.concatenate(areas), 1000 * seconds / len(trial.queries))


def popular_lists(popularity: IntArray, trial: Trial, k: int) -> IntArray:
    """(n, k) the most popular items that may be listed for each query: the obvious recommender of serendipity."""
    size = block_size(trial.targets.shape[1])
    allowed = (trial.allowed(rows) for rows in blocks(len(trial.queries), size))
    return np.concatenate([top_k(np.where(a, popularity, -np.inf), k).ids for a in allowed])
