"""The network of every trained fuser: one tower per modality, a joining module, and decoders that keep it honest.

    t_m = norm(tower_m(x_m))       a token per modality; "joint": one linear map, "separate": two layers
    h   = join({t_m : m there})    what a fuser is about
    z   = unit(after(h))           "joint": one more linear map, shared by all modalities; "separate": nothing
    x_m ~ decode_m(z)              for the reconstruction loss

A token of a modality that is not there is never read: joining modules get the mask and must leave it out.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from salon.training.dropout import Dropout


class Joiner(nn.Module):
    """Base of joining modules: tokens (n, modalities, dim) and a mask (n, modalities) to (n, dim).

    Every row has at least one modality; see `FusionNetwork.fuse`.
    """

    def weights(self, tokens: Tensor, there: Tensor) -> Tensor | None:
        """(n, modalities), how much each modality counts, rows summing to 1; None where nothing like it is computed."""
        return None


class FusionNetwork(nn.Module):
    """Towers, joining module and decoders.

    Args:
        sizes: Numbers per item of each modality; a multiple of `steps`.
        dim: Numbers per token and per fused vector.
        joiner: What joins the tokens.
        separate: Whether each modality has an encoder of its own and nothing follows the join.
        steps: Blocks side by side in every input, each encoded by the same tower; tokens are then (steps * dim).
        dropout: Share of the inputs that is set to 0 in training.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        dim: int,
        joiner: Joiner,
        *,
        separate: bool = False,
        steps: int = 1,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.dim, self.steps, self.joiner = dim, steps, joiner
        self.drop = Dropout(dropout)
        self.towers = nn.ModuleList([_tower(size // steps, dim, separate) for size in sizes])
        self.after = nn.Identity() if separate else nn.Linear(dim, dim)
        self.decoders = nn.ModuleList([nn.Linear(dim, size) for size in sizes])

    def tokens(self, inputs: Sequence[Tensor]) -> Tensor:
        """(n, modalities, steps * dim) of one (n, size) per modality; those of absent ones mean nothing."""
        rows = [
            functional.layer_norm(tower(self.drop(part).unflatten(1, (self.steps, -1))), (self.dim,)).flatten(1)
            for tower, part in zip(self.towers, inputs, strict=True)
        ]
        return torch.stack(rows, dim=1)

    def fuse(self, tokens: Tensor, there: Tensor) -> Tensor:
        """(n, dim) of unit length; rows without any modality are 0 and are not shown to the joining module."""
        some = there.any(dim=1)
        if not some.any():
            return tokens.new_zeros(len(tokens), self.dim)
        joined = self.after(self.joiner(tokens[some] * there[some].unsqueeze(2), there[some]))
        fused = tokens.new_zeros(len(tokens), self.dim)
        return fused.masked_scatter(some.unsqueeze(1), functional.normalize(joined, dim=1))

    def decode(self, fused: Tensor) -> list[Tensor]:
        """One (n, size) per modality."""
        return [decoder(fused) for decoder in self.decoders]


def _tower(size: int, dim: int, separate: bool) -> nn.Module:
    if not separate:
        return nn.Linear(size, dim)
    return nn.Sequential(nn.Linear(size, dim), nn.GELU(), nn.Linear(dim, dim))
