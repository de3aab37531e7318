"""Low-rank adapters: a frozen layer W learns as W + (alpha / rank) B A, and becomes a plain layer again.

Source: Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", ICLR 2022.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Adapted(nn.Module):
    """A linear layer, or a 1x1 convolution, with an adapter; equal to the layer alone until it is trained.

    Args:
        layer: Frozen here.
        rank: Of the change.
        alpha: The change is multiplied by alpha / rank.
    """

    def __init__(self, layer: nn.Module, rank: int, alpha: float) -> None:
        super().__init__()
        self.layer, self.factor = layer.requires_grad_(False), alpha / rank
        outs, ins = layer.weight.shape[:2]
        self.down = nn.Parameter(torch.randn(rank, ins) / rank)
        self.up = nn.Parameter(torch.zeros(outs, rank))

    def weight(self) -> Tensor:
        """W + (alpha / rank) B A, of the shape of W."""
        return self.layer.weight + (self.factor * self.up @ self.down).view_as(self.layer.weight)

    def forward(self, values: Tensor) -> Tensor:
        """What the layer gives, and the change."""
        if isinstance(self.layer, nn.Linear):
            return self.layer(values) + self.factor * (values @ self.down.T @ self.up.T)
        low = nn.functional.conv2d(values, self.down[:, :, None, None])
        return self.layer(values) + self.factor * nn.functional.conv2d(low, self.up[:, :, None, None])


def can_adapt(layer: nn.Module) -> bool:
    """Whether a layer is linear: a matrix, or a 1x1 convolution over all channels."""
    if isinstance(layer, nn.Conv2d):
        return layer.kernel_size == (1, 1) and layer.stride == (1, 1) and layer.groups == 1
    return isinstance(layer, nn.Linear)


def adapt(module: nn.Module, rank: int, alpha: float) -> int:
    """Freezes a module and puts adapters into all its linear layers, in place; gives their number."""
    module.requires_grad_(False)
    count = 0
    for name, child in module.named_children():
        if can_adapt(child):
            setattr(module, name, Adapted(child, rank, alpha))
            count += 1
        else:
            count += adapt(child, rank, alpha)
    return count


def merge(module: nn.Module) -> nn.Module:
    """Puts plain layers in the place of adapted ones, in place; the module computes the same."""
    for name, child in module.named_children():
        if isinstance(child, Adapted):
            with torch.no_grad():
                child.layer.weight.copy_(child.weight())
            setattr(module, name, child.layer)
        else:
            merge(child)
    return module
