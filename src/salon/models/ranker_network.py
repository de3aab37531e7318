"""Networks that score candidates from numbers and an embedding of the item: DCN-v2 and DeepFM."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from salon.training.dropout import Dropout

UNKNOWN = 0
"""Row of the embedding for items that training did not meet."""


class CrossNetwork(nn.Module):
    """x_{l+1} = x_0 * (W_l x_l + b_l) + x_l, element by element: feature crosses of every order up to the layers + 1.

    Source: Wang et al., "DCN V2: Improved Deep & Cross Network and Practical Lessons for Web-scale Learning to Rank
    Systems", WWW 2021, equation 1.
    """

    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(layers))

    def forward(self, start: Tensor) -> Tensor:
        """(..., width) in and out."""
        now = start
        for layer in self.layers:
            now = start * layer(now) + now
        return now


def pair_interactions(embedded: Tensor) -> Tensor:
    """Sum over all pairs of fields i < j of <e_i, e_j>, as 1/2 [(sum e)^2 - sum e^2] summed over the dimensions.

    Source: Rendle, "Factorization Machines", ICDM 2010.

    Args:
        embedded: (..., fields, dim).

    Returns:
        (...).
    """
    return 0.5 * (embedded.sum(dim=-2).square() - embedded.square().sum(dim=-2)).sum(dim=-1)


def layers(width: int, hidden: Sequence[int], dropout: float) -> nn.Sequential:
    """Linear layers with ReLU and dropout; the output has hidden[-1] numbers."""
    parts: list[nn.Module] = []
    for size in hidden:
        parts += [nn.Linear(width, size), nn.ReLU(), Dropout(dropout)]
        width = size
    return nn.Sequential(*parts)


def _width(deep: nn.Sequential) -> int:
    """The numbers that `layers` gives."""
    return int([layer.out_features for layer in deep if isinstance(layer, nn.Linear)][-1])


class RankNetwork(nn.Module):
    """Scores candidates; called, it gives the loss of padded groups."""

    def __init__(self, n_rows: int, dim: int, hide: float) -> None:
        super().__init__()
        self.embedding = nn.Embedding(n_rows, dim)
        nn.init.normal_(self.embedding.weight, std=0.05)
        self.hide = hide

    @abstractmethod
    def scores(self, features: Tensor, rows: Tensor) -> Tensor:
        """(...) scores of candidates with (..., f) features and (...) rows of the embedding."""

    def forward(self, features: Tensor, rows: Tensor, labels: Tensor, there: Tensor) -> Tensor:
        """Softmax cross entropy of each right candidate among its group, mean over groups (ListNet; Cao et al. 2007).

        Args:
            features: (groups, c, f) float.
            rows: (groups, c) int rows of the embedding; some are taken for unknown, so that unknown items are learned.
            labels: (groups, c) float, 1 where right; every group has a right one.
            there: (groups, c) bool, False where padded.
        """
        rows = torch.where(torch.rand(rows.shape, device=rows.device) < self.hide, UNKNOWN, rows)
        scores = self.scores(features, rows).masked_fill(~there, float("-inf"))
        loss = -(torch.log_softmax(scores, dim=1).masked_fill(~there, 0.0) * labels).sum(dim=1)
        return (loss / labels.sum(dim=1)).mean()


class DCNNetwork(RankNetwork):
    """A cross network and a plain one side by side, joined by one linear layer ("parallel" in the paper)."""

    def __init__(self, n_rows: int, width: int, dim: int, hide: float, crosses: int, deep: nn.Sequential) -> None:
        super().__init__(n_rows, dim, hide)
        self.cross, self.deep = CrossNetwork(width + dim, crosses), deep
        self.head = nn.Linear(width + dim + _width(deep), 1)

    def scores(self, features: Tensor, rows: Tensor) -> Tensor:
        """See `RankNetwork.scores`."""
        start = torch.cat([features, self.embedding(rows)], dim=-1)
        return self.head(torch.cat([self.cross(start), self.deep(start)], dim=-1)).squeeze(-1)


class DeepFMNetwork(RankNetwork):
    """Linear terms, all pairs of fields (factorisation machine) and a plain network over the same embeddings.

    A field is a number x_j with the embedding x_j v_j, or the item with its own.
    """

    def __init__(self, n_rows: int, width: int, dim: int, hide: float, deep: nn.Sequential) -> None:
        super().__init__(n_rows, dim, hide)
        self.fields = nn.Parameter(0.05 * torch.randn(width, dim))
        self.linear, self.deep = nn.Linear(width, 1), deep
        self.bias = nn.Embedding(n_rows, 1)
        nn.init.zeros_(self.bias.weight)
        self.head = nn.Linear(_width(deep), 1)

    def scores(self, features: Tensor, rows: Tensor) -> Tensor:
        """See `RankNetwork.scores`."""
        embedded = torch.cat([features.unsqueeze(-1) * self.fields, self.embedding(rows).unsqueeze(-2)], dim=-2)
        plain = self.linear(features) + self.bias(rows) + self.head(self.deep(embedded.flatten(-2)))
        return plain.squeeze(-1) + pair_interactions(embedded)
