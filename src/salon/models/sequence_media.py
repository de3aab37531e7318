"""Item vectors made of frozen features: adaptors of whitening experts, and the free vector beside them."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from salon.models.deep_network import masked_softmax
from salon.models.sequence_network import Catalogue, ItemNetwork
from salon.training.dropout import Dropout
from salon.types import FloatArray


class Experts(nn.Module):
    """Whitening experts under a gate (Hou et al., KDD 2022, eq. 1 to 4, without the noise of the gate).

    e = sum_g softmax(f U)_g (f - b_g) W_g
    """

    def __init__(self, width: int, dim: int, experts: int) -> None:
        super().__init__()
        self.gate = nn.Linear(width, experts, bias=False)
        self.shift = nn.Parameter(torch.zeros(experts, width))
        self.weight = nn.Parameter(torch.randn(experts, width, dim) * (0.1 / math.sqrt(width)))

    def forward(self, features: Tensor) -> Tensor:
        """(k, dim) of (k, width)."""
        gates = torch.softmax(self.gate(features), dim=1)
        moved = torch.einsum("kf,gfd->kgd", features, self.weight) - torch.einsum("gf,gfd->gd", self.shift, self.weight)
        return torch.einsum("kg,kgd->kd", gates, moved)


def stretched(vectors: FloatArray) -> Tensor:
    """(n, width) of rows of length 1, stretched so that their numbers have a mean square of about 1."""
    return torch.from_numpy(vectors * np.float32(math.sqrt(vectors.shape[1])))


class MediaNetwork(ItemNetwork):
    """Frozen features, stretched, their masks, and which of them training hides."""

    def __init__(self, catalogue: Catalogue, *, ids: bool, dim: int, hide: float) -> None:
        super().__init__()
        self.n_items, self.hide = catalogue.n_items, hide
        self.widths = [one.vectors.shape[1] for one in catalogue.media.values()]
        for place, one in enumerate(catalogue.media.values()):
            self.register_buffer(f"features_{place}", stretched(one.vectors), persistent=False)
        masks = [one.present for one in catalogue.media.values()] + [catalogue.touched] * ids
        self.register_buffer("there", torch.from_numpy(np.stack(masks, axis=1).astype(np.float32)), persistent=False)
        self.ids = nn.Parameter(torch.randn(catalogue.n_items, dim) * 0.02) if ids else None

    def features(self, rows: Tensor) -> list[Tensor]:
        """(k, width) per modality, 0 where absent."""
        return [self.get_buffer(f"features_{place}")[rows] for place in range(len(self.widths))]

    def shown(self, rows: Tensor) -> Tensor:
        """(k, modalities, and one for the free vector where there is one) 1 where an item has it and it is not hidden.

        Training hides each with chance `hide`; an item never loses all it has.
        """
        there = self.there[rows]
        if not self.training or not self.hide:
            return there
        kept = there * (torch.rand_like(there) >= self.hide)
        return torch.where(kept.sum(dim=1, keepdim=True) > 0, kept, there)


class AdaptedItems(MediaNetwork):
    """e_i = mean over the modalities that i has of adaptor_m(f_im), plus a free vector where i is liked by somebody.

    With `gate`, a gate over what an item has takes the place of the mean: softmax over its modalities of q.e_m.
    """

    def __init__(
        self, catalogue: Catalogue, *, ids: bool, dim: int, hide: float, experts: int, dropout: float, gate: bool
    ) -> None:
        super().__init__(catalogue, ids=ids, dim=dim, hide=hide)
        self.width = dim
        self.adaptors = nn.ModuleList([Experts(width, dim, experts) for width in self.widths])
        self.query = nn.Linear(dim, 1, bias=False) if gate else None
        self.dropout = Dropout(dropout)

    def outputs(self, rows: Tensor) -> Tensor:
        """(k, dim)."""
        shown, count = self.shown(rows), len(self.widths)
        parts = [adapt(self.dropout(f)) for adapt, f in zip(self.adaptors, self.features(rows), strict=True)]
        views, there = torch.stack(parts, dim=1), shown[:, :count]  # (k, modalities, dim)
        if self.query is None:
            weights = there / there.sum(dim=1, keepdim=True).clamp(min=1)
        else:
            weights = masked_softmax(self.query(views).squeeze(2), there)
        mixed = (views * weights.unsqueeze(2)).sum(dim=1)
        return mixed if self.ids is None else mixed + shown[:, count:] * self.ids[rows]
