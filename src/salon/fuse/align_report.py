"""How well modalities are aligned: recall@k and reciprocal rank across them, and the gap between them."""

from __future__ import annotations

import numpy as np

from salon.arrays import block_size, blocks, unit_rows
from salon.types import FloatArray


def match_ranks(queries: FloatArray, items: FloatArray) -> FloatArray:
    """(n,) place of item i in the list for query i, from 1; among equal scores the mean of their places.

    Args:
        queries: (n, d) float.
        items: (n, d) float; row i is what query i should find.
    """
    ranks = np.zeros(len(queries))
    for rows in blocks(len(queries), block_size(len(items))):
        scores = np.asarray(queries[rows] @ items.T, np.float32)
        own = scores[np.arange(len(scores)), np.arange(rows.start, rows.stop)][:, None]
        ranks[rows] = (scores > own).sum(axis=1) + ((scores == own).sum(axis=1) + 1) / 2
    return ranks


def reciprocal_ranks(queries: FloatArray, items: FloatArray) -> FloatArray:
    """(n,) 1 / place of item i in the list for query i."""
    return 1 / match_ranks(queries, items)


def chance_mrr(n: int) -> float:
    """The expected reciprocal rank of a random order of n items: the n-th harmonic number over n."""
    return float((1 / np.arange(1, n + 1)).sum() / n) if n else 0.0


def modality_gap(one: FloatArray, other: FloatArray) -> float:
    """Length of the difference of the mean unit vectors of two modalities, from 0 to 2.

    Source: Liang et al., "Mind the Gap: Understanding the Modality Gap in Multi-modal Contrastive Representation
    Learning", NeurIPS 2022.
    """
    return float(np.linalg.norm(unit_rows(one).mean(axis=0) - unit_rows(other).mean(axis=0)))
