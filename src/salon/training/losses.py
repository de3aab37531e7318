"""Losses of recommenders and of alignment, each the mean over the rows of a batch."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from salon.training.softmax import softmax_loss


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
    positive, negative = _precise(positive), _precise(negative).expand(len(positive), -1)
    return (torch.logsumexp(torch.cat([positive.unsqueeze(1), negative], dim=1), dim=1) - positive).mean()


def in_batch_softmax(
    queries: Tensor, items: Tensor, wanted: Tensor, counts: Tensor, log_q: Tensor | None = None
) -> Tensor:
    """Cross entropy of each query's own item among all draws of a batch; copies of the own one are no negatives.

    With log_q (Yi et al., RecSys 2019) the others, each weighed by 1 / its expected draws, stand for the whole
    catalogue. The own item is no draw, so its weight is 1 (Khrylchenko et al., RecSys 2025); corrected like the others,
    items that are drawn often would come out too high.

    Args:
        queries: (n, d).
        items: (c, d), each item of the batch once: those that queries want, and further negatives.
        wanted: (n,) int, the row of `items` that is right.
        counts: (c,) how many draws gave each item.
        log_q: (c,) log of the chance of a draw to be the item; with further negatives that of the mixture (Yang et al.,
            WWW 2020), see `mixed_log_q`. None: every draw weighs 1.
    """
    weights = counts.log()
    if log_q is not None:
        weights = weights - log_q - counts.sum().log()
    return softmax_loss(queries, items, wanted, weights)


def mixed_log_q(first: Tensor, n_first: int, second: Tensor, n_second: int) -> Tensor:
    """(c,) log of the chance that one of all draws is the item, of (c,) logs of its chance in two kinds of draw."""
    share = n_first / (n_first + n_second)
    if not n_second:
        return first
    return torch.logaddexp(first + math.log(share), second + math.log(1 - share))


def _precise(scores: Tensor) -> Tensor:
    """At least float32: half precision, which products come in when mixed, loses sums of exponentials."""
    return scores.float() if scores.element_size() < 4 else scores


def info_nce(one: Tensor, other: Tensor, temperature: Tensor | float, *, symmetric: bool = True) -> Tensor:
    """Contrast of two views: row i of one belongs to row i of the other, all other rows are negatives.

    Args:
        one: (n, d); scaled to unit length here.
        other: (n, d).
        temperature: Divides the cosines.
        symmetric: Whether the mean of both directions is taken, as for text and pictures (Radford et al., 2021).

    Source: van den Oord et al., "Representation Learning with Contrastive Predictive Coding", 2018.
    """
    one, other = functional.normalize(one, dim=1) / temperature, functional.normalize(other, dim=1)
    places = torch.arange(len(one), device=one.device)
    there = softmax_loss(one, other, places)
    return (there + softmax_loss(other, one, places)) / 2 if symmetric else there
