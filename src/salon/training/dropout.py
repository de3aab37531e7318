"""Dropout whose coin flips are bytes of random words: on a processor less than half of the time of torch's own."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

SIDES = 256
"""Values of a byte: a rate is met to 1/512, and what is left is stretched by the rate that was met."""


def dropped(x: Tensor, rate: float) -> Tensor:
    """Each number 0 with chance `rate`, the others stretched so that the mean stays (Srivastava et al., JMLR 2014).

    Args:
        x: Of any shape.
        rate: At least 0 and below 1; on a processor to the nearest 256th, below 1.
    """
    if x.device.type != "cpu":
        return functional.dropout(x, rate)
    gone = min(round(rate * SIDES), SIDES - 1)
    if not gone:
        return x
    return x * (_bytes(x.shape) >= gone).to(x.dtype).mul_(SIDES / (SIDES - gone))


def _bytes(shape: torch.Size) -> Tensor:
    """Uniform random bytes, uint8."""
    count = math.prod(shape)
    words = torch.empty(-(-count // 8), dtype=torch.int64).random_(-(2**63), None)
    return words.view(torch.uint8)[:count].view(shape)


class Dropout(nn.Dropout):
    """A layer of `dropped`, in training alone."""

    def forward(self, x: Tensor) -> Tensor:
        """As `x`."""
        return dropped(x, self.p) if self.training and self.p else x
