"""Questions about people of whom a few actions are known: histories cut short, and what else these people liked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from salon.arrays import block_size, blocks, top_k
from salon.data import Dataset, Holdout, Queries
from salon.metrics import hit_matrix, ndcg, relevant_counts
from salon.types import FloatArray, IntArray

CUT = 20
MOST_ASKED = 500
"""People asked; of more a random sample is taken."""
HELD_PART = 5
"""Every so manieth person is kept apart to be asked, where no validation is given."""


@dataclass(frozen=True)
class FewQuestion:
    """Short histories and what is right.

    Attributes:
        queries: n histories.
        right: (n, items) sparse, the right items.
        barred: (n, items) sparse, nonzero where an item must not be listed.
    """

    queries: Queries
    right: sparse.csr_array
    barred: sparse.csr_array

    def score(self, answer: Callable[[Queries], FloatArray]) -> float:
        """Mean nDCG@20; `answer` gives (n, items) scores, which are changed."""
        total = 0.0
        for rows in blocks(len(self.queries), block_size(self.right.shape[1])):
            scores = answer(self.queries.take(rows))
            scores[sparse.csr_array(self.barred[rows]).nonzero()] = -np.inf
            wanted = sparse.csr_array(self.right[rows])
            total += float(ndcg(hit_matrix(top_k(scores, CUT).ids, wanted), relevant_counts(wanted), CUT).sum())
        return total / len(self.queries)


def few_questions(
    data: Dataset, validation: Holdout | None, shots: Sequence[int], rng: np.random.Generator
) -> tuple[IntArray, list[FewQuestion]]:
    """(m,) rows of the people to learn from, and one question per length of history; none where nobody can be asked.

    With validation its histories are cut and its answers are right. Without, every fifth person is kept apart, and what
    was cut off is right.
    """
    active, n_items = data.active_users(), data.n_items
    if validation is not None and validation.targets.nnz:
        rows = _sample(np.flatnonzero(np.diff(validation.targets.indptr)), rng)
        whole, right = validation.queries.take(rows), sparse.csr_array(validation.targets[rows])
        barred = whole.seen(n_items)
        return active, [FewQuestion(some_actions(whole, k, rng), right, barred) for k in shots]
    held = np.arange(len(active)) % HELD_PART == HELD_PART - 1
    whole = data.queries(_sample(active[held], rng))
    found = [_rest_of(whole, some_actions(whole, k, rng), n_items) for k in shots]
    return active[~held], [question for question in found if len(question.queries)]


def _rest_of(whole: Queries, few: Queries, n_items: int) -> FewQuestion:
    """What is right are the likes that were cut off; people without any are not asked."""
    seen = few.seen(n_items)
    likes = whole.positives(n_items, np.ones(len(whole.items), np.float32))
    right = sparse.csr_array(likes - likes.multiply(seen))
    right.eliminate_zeros()
    rows = np.flatnonzero(np.diff(right.indptr))
    return FewQuestion(few.take(rows), sparse.csr_array(right[rows]), sparse.csr_array(seen[rows]))


def some_actions(queries: Queries, k: int, rng: np.random.Generator) -> Queries:
    """The histories cut to k random actions each."""
    order = np.lexsort((rng.random(len(queries.items)), queries.row_of()))
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order)) - np.repeat(queries.indptr[:-1], np.diff(queries.indptr))
    return queries.only(rank < k)


def _sample(rows: IntArray, rng: np.random.Generator) -> IntArray:
    return rows if len(rows) <= MOST_ASKED else np.sort(rng.choice(rows, MOST_ASKED, replace=False))
