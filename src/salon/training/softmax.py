"""The softmax loss over many items, with its gradients made in the same pass.

    loss = mean over n of  ln sum_j exp(z_nj) - z_n,t(n),   z = queries . items
    dloss/dz_nj = ( softmax(z_n)_j - [j = t(n)] ) / n

Both gradients are products of the same small block of scores, so a block is made, used and forgotten while it is in the
cache of the processor: neither the (n, items) scores nor anything of their size is held or read again.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from salon.arrays import blocks

NUMBERS_AT_ONCE = {"cpu": 1 << 19, "cuda": 1 << 26, "mps": 1 << 24}
"""Scores in a block, by kind of device."""
FEWEST_ROWS = 32
"""Rows of a block however many items there are: with fewer, products wait for memory."""


def softmax_loss(queries: Tensor, items: Tensor, targets: Tensor, shift: Tensor | None = None) -> Tensor:
    """Mean cross entropy of each query's own item among all; has no second derivative.

    Args:
        queries: (n, d).
        items: (c, d).
        targets: (n,) int rows of `items`.
        shift: (c,) added to the score of an item wherever it is not the own one; no gradient. None: 0.
    """
    loss: Tensor = _SoftmaxLoss.apply(queries, items, targets, shift)
    return loss


def scores_at_once(n_items: int, kind: str = "cpu") -> int:
    """How many scores a block has, on a kind of device."""
    return max(FEWEST_ROWS, NUMBERS_AT_ONCE.get(kind, NUMBERS_AT_ONCE["cpu"]) // max(1, n_items)) * n_items


class _SoftmaxLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, queries: Tensor, items: Tensor, targets: Tensor, shift: Tensor | None) -> Tensor:
        kind = queries.device.type
        given = queries.dtype, items.dtype
        if torch.is_autocast_enabled(kind):
            half = torch.get_autocast_dtype(kind)
            # float16 cannot hold errors of one in a hundred thousand: no scaling of the loss reaches them here
            inside = torch.float32 if half == torch.float16 else half
            queries, items = queries.to(inside), items.to(inside)
        with torch.autocast(kind, enabled=False):
            loss, *found = _worked_out(queries, items, targets, shift)
        ctx.save_for_backward(*found)
        ctx.given = given
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None]:
        of_queries, of_items = (
            (part * gradient).to(kind) for part, kind in zip(ctx.saved_tensors, ctx.given, strict=True)
        )
        return of_queries, of_items, None, None


def _worked_out(queries: Tensor, items: Tensor, targets: Tensor, shift: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """The loss, and its derivatives by queries and items; sums are made with 32 bits at least."""
    size = scores_at_once(len(items), queries.device.type) // max(1, len(items))
    wide = torch.promote_types(items.dtype, torch.float32)
    loss, of_queries = items.new_zeros((), dtype=wide), torch.empty_like(queries, dtype=wide)
    of_items = torch.zeros_like(items, dtype=wide)
    for rows in blocks(len(queries), max(1, size)):
        some, own = queries[rows], targets[rows].unsqueeze(1)
        scores = (some @ items.T).to(wide)
        right = scores.gather(1, own)
        if shift is not None:
            scores.add_(shift).scatter_(1, own, right)
        most = scores.amax(dim=1, keepdim=True)
        powers = scores.sub_(most).exp_()
        sums = powers.sum(dim=1, keepdim=True)
        loss += (sums.log() + most - right).sum()
        errors = powers.div_(sums).scatter_add_(1, own, right.new_full(right.shape, -1)).to(items.dtype)
        of_queries[rows] = errors @ items
        of_items += errors.T @ some
    n = len(queries)
    return loss / n, of_queries.div_(n), of_items.div_(n)
