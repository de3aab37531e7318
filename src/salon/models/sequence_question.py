"""The validation question of models that read histories in order: nDCG@20 over all items, what is seen left out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse

from salon.arrays import block_size, blocks
from salon.data import Holdout
from salon.metrics import hit_matrix, ndcg, relevant_counts
from salon.models.deep_question import CUT, MAX_ASKED
from salon.models.sequence_data import Sequences
from salon.types import BoolArray, FloatArray, IntArray

Answer = Callable[[Sequences], FloatArray]
"""Histories to (n, items) scores, which the caller may change."""


@dataclass(frozen=True)
class NextQuestion:
    """Histories, what may not be listed, and what is right.

    Attributes:
        asked: n histories.
        barred: (n, items) sparse, nonzero where an item must not be listed.
        targets: (n, items) sparse, the right items.
        candidates: (items,) bool, the items that are ranked, or None for all.
    """

    asked: Sequences
    barred: sparse.csr_array
    targets: sparse.csr_array
    candidates: BoolArray | None = None

    @classmethod
    def of(cls, holdout: Holdout, placed: BoolArray, rng: np.random.Generator) -> NextQuestion | None:
        """The question of a holdout, or None where nothing is asked."""
        rows: IntArray = np.flatnonzero(np.diff(holdout.targets.indptr))
        if not len(rows):
            return None
        rows = _sample(rows, rng)
        queries = holdout.queries.take(rows)
        barred = queries.seen(holdout.targets.shape[1])
        if holdout.exclude is not None:
            barred = sparse.csr_array(barred + abs(holdout.exclude[rows]))
        targets = sparse.csr_array(holdout.targets[rows])
        return cls(Sequences.of(queries, placed), barred, targets, holdout.candidates)

    @classmethod
    def of_last(cls, asked: Sequences, wanted: IntArray, n_items: int) -> NextQuestion:
        """Which item came last, `wanted` (n,)?"""
        targets = sparse.csr_array(
            (np.ones(len(wanted), np.float32), (np.arange(len(wanted)), wanted)), shape=(len(wanted), n_items)
        )
        return cls(asked, asked.matrix(n_items), targets)

    def score(self, answer: Answer) -> float:
        """Mean nDCG@20."""
        total = 0.0
        for rows in blocks(len(self.asked), block_size(self.targets.shape[1])):
            scores = answer(self.asked.take(rows))
            scores[sparse.csr_array(self.barred[rows]).nonzero()] = -np.inf
            if self.candidates is not None:
                scores[:, ~self.candidates] = -np.inf
            values, ids = torch.topk(torch.from_numpy(scores), min(CUT, scores.shape[1]), dim=1)
            found = np.where(values.numpy() == -np.inf, -1, ids.numpy())
            targets = sparse.csr_array(self.targets[rows])
            total += float(ndcg(hit_matrix(found, targets), relevant_counts(targets), CUT).sum())
        return total / len(self.asked)


def hold_out(
    sequences: Sequences, n_items: int, rng: np.random.Generator, *, ordered: bool
) -> tuple[Sequences, NextQuestion | None]:
    """The last step of each history of three or more kept apart as a question, and the rest.

    A random step where order means nothing; None where nobody has three.
    """
    found = (sequences if ordered else sequences.shuffled(rng)).hold_out_last()
    if found is None:
        return sequences, None
    kept, asked, wanted = found
    rows = _sample(np.arange(len(asked)), rng)
    return kept, NextQuestion.of_last(asked.take(rows), wanted[rows], n_items)


def _sample(rows: IntArray, rng: np.random.Generator) -> IntArray:
    return rows if len(rows) <= MAX_ASKED else np.sort(rng.choice(rows, MAX_ASKED, replace=False))
