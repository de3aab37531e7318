"""The validation question of a training run: nDCG@20 over all items, what is seen left out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse

from salon.arrays import block_size, blocks
from salon.data import Holdout
from salon.metrics import hit_matrix, ndcg, relevant_counts
from salon.models.deep_answers import Answers
from salon.models.rows import ones_like
from salon.types import BoolArray, FloatArray, IntArray

MAX_ASKED = 2000
"""People asked at a look; of more a random sample is taken."""
CUT = 20
HELD_SHARE = 0.1


@dataclass(frozen=True)
class Question:
    """Histories, what may not be listed, and what is right.

    Attributes:
        history: (n, items) sparse ones, the likes that are known.
        barred: (n, items) sparse, nonzero where an item must not be listed.
        targets: (n, items) sparse, the right items.
        candidates: (items,) bool, the items that are ranked, or None for all.
    """

    history: sparse.csr_array
    barred: sparse.csr_array
    targets: sparse.csr_array
    candidates: BoolArray | None = None

    @classmethod
    def of(cls, asked: Holdout, rng: np.random.Generator) -> Question | None:
        """The question of a holdout, or None where nothing is asked."""
        rows = np.flatnonzero(np.diff(asked.targets.indptr))
        if not len(rows):
            return None
        rows = _sample(rows, rng)
        queries, n_items = asked.queries.take(rows), asked.targets.shape[1]
        barred = queries.seen(n_items)
        if asked.exclude is not None:
            barred = sparse.csr_array(barred + abs(asked.exclude[rows]))
        targets = sparse.csr_array(asked.targets[rows])
        return cls(ones_like(queries.positives(n_items)), barred, targets, asked.candidates)

    def score(self, answers: Answers) -> float:
        """Mean nDCG@20."""
        total = 0.0
        for rows in blocks(self.targets.shape[0], block_size(self.targets.shape[1])):
            scores = answers.scores(sparse.csr_array(self.history[rows]))
            scores[sparse.csr_array(self.barred[rows]).nonzero()] = -np.inf
            if self.candidates is not None:
                scores[:, ~self.candidates] = -np.inf
            targets = sparse.csr_array(self.targets[rows])
            total += float(ndcg(hit_matrix(_first(scores), targets), relevant_counts(targets), CUT).sum())
        return total / self.targets.shape[0]


def _first(scores: FloatArray) -> IntArray:
    """(n, at most 20) columns of the largest scores, -1 for those that are -inf; several times faster than `top_k`.

    Equal scores come in any order, which `top_k` does not allow itself.
    """
    values, ids = torch.topk(torch.from_numpy(scores), min(CUT, scores.shape[1]), dim=1)
    return np.where(values.numpy() == -np.inf, -1, ids.numpy())


def hold_out(rows: sparse.csr_array, rng: np.random.Generator) -> tuple[sparse.csr_array, Question | None]:
    """A tenth of the likes kept apart as a question, and the rest; people keep half of their likes or more.

    None where nobody has two likes, or the sample is empty: then there is nothing to ask.
    """
    counts = np.diff(rows.indptr)
    owner = np.repeat(np.arange(rows.shape[0]), counts)
    place = rng.permutation(rows.nnz)
    rank = np.empty(rows.nnz, np.int64)
    rank[np.lexsort((place, owner))] = np.arange(rows.nnz) - np.repeat(rows.indptr[:-1], counts)
    take = np.minimum(np.maximum(np.round(counts * HELD_SHARE), 1), counts // 2)
    held = rank < take[owner]
    if not held.any():
        return rows, None
    kept, asked = (_only(rows, owner, chosen) for chosen in (~held, held))
    people = _sample(np.flatnonzero(take), rng)
    history, targets = (sparse.csr_array(part[people]) for part in (kept, asked))
    return kept, Question(history, history, targets)


def _only(rows: sparse.csr_array, owner: np.ndarray, chosen: BoolArray) -> sparse.csr_array:
    return sparse.csr_array((rows.data[chosen], (owner[chosen], rows.indices[chosen])), shape=rows.shape)


def _sample(rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return rows if len(rows) <= MAX_ASKED else np.sort(rng.choice(rows, MAX_ASKED, replace=False))
