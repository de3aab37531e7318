"""Losses of recommenders and of alignment, each the mean over the rows of a batch."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def bpr(positive: Tensor, negative: Tensor) -> Tensor:
    """-log sigmoid(positive - negative), both (n,) or negative (n, k).

    Source: Rendle et al., "BPR: Bayesian Personalized Ranking from Implicit Feedback", UAI 2009.
    """
    wanted = positive.unsqueeze(-1) if negative.dim() > positive.dim() else positive
    return functional.softplus(negative - wanted).mean()


def sampled_softmax(
    positive: Tensor, negative: Tensor, positive_log_q: Tensor | None = None, negative_log_q: Tensor | None = None
) -> Tensor:
    """Cross entropy of the positive among itself and sampled negatives.

    Args:
        positive: (n,) scores.
        negative: (n, k) or (k,) scores; the latter are shared by all rows.
        positive_log_q: (n,) log of the probability of drawing the positive; subtracted, so that frequent negatives do
            not count for more than they are (Bengio and Senecal, 2003). None: no correction.
        negative_log_q: As `negative`, of the negatives.
    """
    if positive_log_q is not None and negative_log_q is not None:
        positive, negative = positive - positive_log_q, negative - negative_log_q
    negative = negative.expand(len(positive), -1)
    return (torch.logsumexp(torch.cat([positive.unsqueeze(1), negative], dim=1), dim=1) - positive).mean()


def in_batch_softmax(queries: Tensor, items: Tensor, ids: Tensor, log_q: Tensor | None = None) -> Tensor:
    """Cross entropy of each query's own item among all items of the batch.

    Args:
        queries: (n, d).
        items: (n, d), row i is the positive of query i.
        ids: (n,) int, so that a second copy of the positive does not count as a negative.
        log_q: (n,) log frequency of the items, subtracted from their scores (Yi et al., RecSys 2019).
    """
    scores = queries @ items.T
    if log_q is not None:
        scores = scores - log_q
    twins = (ids[:, None] == ids[None, :]) & ~torch.eye(len(ids), dtype=torch.bool, device=ids.device)
    return functional.cross_entropy(scores.masked_fill(twins, float("-inf")), torch.arange(len(ids), device=ids.device))


def chunked_softmax(queries: Tensor, items: Tensor, targets: Tensor, *, chunk: int = 4096) -> Tensor:
    """Cross entropy over the whole catalogue without the (n, items) matrix in memory at once.

    Args:
        queries: (n, d).
        items: (items, d).
        targets: (n,) int rows of `items`.
        chunk: Items whose scores are held at a time; they are computed again for the gradient.
    """
    wanted = (queries * items[targets]).sum(dim=1)
    parts = [
        torch.utils.checkpoint.checkpoint(_log_sum, queries, items[start : start + chunk], use_reentrant=False)
        for start in range(0, len(items), chunk)
    ]
    return (torch.logsumexp(torch.stack(parts), dim=0) - wanted).mean()


def _log_sum(queries: Tensor, items: Tensor) -> Tensor:
    return torch.logsumexp(queries @ items.T, dim=1)


def info_nce(one: Tensor, other: Tensor, temperature: Tensor | float, *, symmetric: bool = True) -> Tensor:
    """Contrast of two views: row i of one belongs to row i of the other, all other rows are negatives.

    Args:
        one: (n, d); scaled to unit length here.
        other: (n, d).
        temperature: Divides the cosines.
        symmetric: Whether the mean of both directions is taken, as for text and pictures (Radford et al., 2021).

    Source: van den Oord et al., "Representation Learning with Contrastive Predictive Coding", 2018.
    """
    scores = functional.normalize(one, dim=1) @ functional.normalize(other, dim=1).T / temperature
    places = torch.arange(len(one), device=one.device)
    there = functional.cross_entropy(scores, places)
    return (there + functional.cross_entropy(scores.T, places)) / 2 if symmetric else there
