"""The network that is adapted to people, the loss that adapts it, and the gradient steps."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from salon.models.deep_media import Media
from salon.models.pretrained import Start
from salon.training.losses import sampled_softmax
from salon.training.network import load_flat
from salon.types import IntArray

Decision = list[Tensor]
"""The adapted layers of n people: (n, hidden, dim), (n, hidden), (n, hidden), (n,)."""


def blank_decision(dim: int, hidden: int) -> list[nn.Parameter]:
    """A, a, w and b, all 0."""
    return [nn.Parameter(torch.zeros(shape)) for shape in ((hidden, dim), (hidden,), (hidden,), ())]


def decide(layers: Decision, vectors: Tensor) -> Tensor:
    """(n, m) scores of items (n, m, dim), each person by their own layers."""
    wide, shift, last, bias = layers
    inside = torch.relu(vectors @ wide.transpose(1, 2) + shift.unsqueeze(1))
    return (inside * last.unsqueeze(1)).sum(dim=2) + bias.unsqueeze(1)


def decide_all(layers: Decision, vectors: Tensor) -> Tensor:
    """(n, items) the same for all items (items, dim), person by person so that the hidden layer stays in cache."""
    wide, shift, last, bias = layers
    scores = vectors.new_empty(len(wide), len(vectors))
    inside = vectors.new_empty(len(vectors), wide.shape[1])
    for person, row in enumerate(scores):
        torch.addmm(shift[person], vectors, wide[person].T, out=inside)
        torch.mv(inside.relu_(), last[person], out=row)
    return scores + bias.unsqueeze(1)


def inner_loss(layers: Decision, vectors: Tensor, rows: Tensor, signs: Tensor, references: Tensor) -> Tensor:
    """(n,) what the gradient steps lower, 0 for an empty history.

    Args:
        layers: Those of n people.
        vectors: (items, dim).
        rows: (n, k) item rows, -1 behind the history.
        signs: (n, k) 1, -1, and 0 behind the history.
        references: (r,) item rows.
    """
    there = (rows >= 0).float()
    own = functional.softplus(-signs * decide(layers, vectors[rows.clamp(min=0)])) * there
    free = (rows.unsqueeze(2) != references).all(dim=1).float()
    others = functional.softplus(decide(layers, vectors[references].expand(len(rows), -1, -1)))
    size = there.sum(dim=1).clamp(min=1)
    likes = (signs > 0).float().sum(dim=1) / size
    return own.sum(dim=1) / size + likes * (others * free).sum(dim=1) / free.sum(dim=1).clamp(min=1)


def adapt(
    layers: list[nn.Parameter],
    vectors: Tensor,
    rows: Tensor,
    signs: Tensor,
    references: Tensor,
    steps: int,
    rate: float,
) -> Decision:
    """The layers of n people after gradient steps on their histories; arguments as for `inner_loss`.

    Gradients pass to `layers` as if the steps had added constants (first-order MAML).
    """
    adapted = [layer.expand(len(rows), *layer.shape) for layer in layers]
    vectors = vectors.detach()
    for _ in range(steps):
        with torch.enable_grad():
            here = [layer.detach().requires_grad_() for layer in adapted]
            loss = inner_loss(here, vectors, rows, signs, references).sum()
            gradients = torch.autograd.grad(loss, here)
        adapted = [layer - rate * gradient for layer, gradient in zip(adapted, gradients, strict=True)]
    return adapted


class MeLUNetwork(nn.Module):
    """An embedding of frozen features, and the layers before adaptation.

    Args:
        media: The modalities by name.
        dim: Numbers per item after the embedding.
        hidden: Width of the adapted layer.
        references: (r,) item rows.
        steps: Gradient steps on a history.
        rate: Size of a step.
        start: Where training begins, or None.
    """

    def __init__(
        self,
        media: Mapping[str, Media],
        dim: int,
        hidden: int,
        references: IntArray,
        *,
        steps: int,
        rate: float,
        start: Start | None,
    ) -> None:
        super().__init__()
        self.steps, self.rate = steps, rate
        features = np.concatenate([one.vectors * np.sqrt(one.vectors.shape[1]) for one in media.values()], axis=1)
        self.register_buffer("features", torch.from_numpy(features.astype(np.float32)), persistent=False)
        self.register_buffer("references", torch.from_numpy(references), persistent=False)
        self.embed = nn.Sequential(nn.Linear(features.shape[1], dim), nn.ReLU())
        self.decision = nn.ParameterList(blank_decision(dim, hidden))
        nn.init.normal_(self.decision[0], std=dim**-0.5)
        nn.init.normal_(self.decision[2], std=hidden**-0.5)
        if start is not None:
            load_flat(self.embed.parameters(), start.arrays["embedding_"])
            load_flat(self.decision, start.arrays["decision_"])

    def embedded(self) -> Tensor:
        """(items, dim)."""
        return self.embed(self.features)

    def forward(self, rows: Tensor, signs: Tensor, asked: Tensor, negatives: Tensor) -> Tensor:
        """The outer loss of histories (n, k) with signs (n, k), of likes (n, q) padded by -1, and of negatives (m,)."""
        vectors = self.embedded()
        layers = adapt(list(self.decision), vectors, rows, signs, self.references, self.steps, self.rate)
        right = decide(layers, vectors[asked.clamp(min=0)])
        others = decide(layers, vectors[negatives].expand(len(rows), -1, -1))
        owner, place = torch.nonzero(asked >= 0, as_tuple=True)
        same = asked[owner, place].unsqueeze(1) == negatives
        return sampled_softmax(right[owner, place], others[owner].masked_fill(same, float("-inf")))
