"""A small world for the equations, and slow, obvious versions of what the networks compute."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy import sparse

from salon.encode.base import Features, FeatureSet
from salon.models.deep_media import prepared
from salon.models.deep_network import Material, PairNetwork
from salon.registry import resolve
from salon.training.network import seeded

USERS, ITEMS, DIM = 7, 9, 4
Array = np.ndarray[Any, Any]


def small_material(modalities: int = 2) -> Material:
    """Seven people, nine items; item 8 is untouched, items 0 and 1 lack one modality each, item 2 lacks both."""
    rng = np.random.default_rng(4)
    likes = rng.random((USERS, ITEMS)) < 0.4
    likes[:, 8] = False
    likes[np.arange(USERS), np.arange(USERS)] = True
    likes[0, 7] = True
    features = {}
    for place, (name, width) in enumerate((("text", 5), ("image", 3))[:modalities]):
        present = np.ones(ITEMS, bool)
        present[[place, 2]] = False
        vectors = np.where(present[:, None], rng.standard_normal((ITEMS, width)), 0).astype(np.float32)
        features[name] = Features(vectors, present)
    rows = sparse.csr_array(likes.astype(np.float32))
    return Material(rows, likes.any(axis=0), prepared(FeatureSet(features), 256))


def built(name: str, material: Material, **settings: Any) -> PairNetwork:
    """A network of a registered model with random weights, in evaluation mode."""
    model = resolve("model", name)(dim=DIM, **settings)
    with seeded(np.random.default_rng(0)):
        network = model._network(material)
        for weight in network.parameters():
            weight.data += 0.1 * torch.randn_like(weight)
    network.eval()
    return network


def weights(network: PairNetwork) -> dict[str, Array]:
    return {name: value.detach().numpy().astype(np.float64) for name, value in network.state_dict().items()}


def vectors(network: PairNetwork) -> tuple[Array, Array]:
    with torch.no_grad():
        users, items = network.vectors()
    return users.detach().numpy(), items.detach().numpy()


def adjacency(likes: Array) -> Array:
    """The symmetric normalised graph over users and items, entry by entry."""
    n, m = likes.shape
    graph = np.zeros((n + m, n + m))
    for u in range(n):
        for i in range(m):
            if likes[u, i]:
                value = 1 / np.sqrt(likes[u].sum() * likes[:, i].sum())
                graph[u, n + i] = graph[n + i, u] = value
    return graph


def propagated(likes: Array, users: Array, items: Array, depth: int, *, first: int = 0) -> tuple[Array, Array]:
    """Mean over the layers first..depth."""
    graph, layer = adjacency(likes), np.concatenate([users, items])
    found = [layer]
    for _ in range(depth):
        layer = graph @ layer
        found.append(layer)
    mean = np.mean(found[first:], axis=0)
    return mean[: len(users)], mean[len(users) :]


def neighbours(raw: Array, present: Array, touched: Array, k: int) -> Array:
    """(items, items) the mean over the k nearest touched items by cosine, row by row."""
    graph, sources = np.zeros((len(raw), len(raw))), np.flatnonzero(present & touched)
    for i in np.flatnonzero(present):
        cosines = [raw[i] @ raw[j] / (np.linalg.norm(raw[i]) * np.linalg.norm(raw[j])) for j in sources]
        for j in sources[np.argsort(cosines)[::-1][:k]]:
            graph[i, j] = 1 / min(k, len(sources))
    return graph


def bpr(users: Array, items: Array, batch: tuple[Array, Array, Array]) -> float:
    """Mean of ln(1 + exp(s_uj - s_ui)) over the pairs of a batch."""
    losses = [
        np.log1p(np.exp(users[u] @ items[j] - users[u] @ items[i]))
        for u, i, others in zip(*batch, strict=True)
        for j in others
    ]
    return float(np.mean(losses))


def ridge(users: Array, items: Array, batch: tuple[Array, Array, Array]) -> float:
    """Half the mean squared length of the first negatives, liked items and users of a batch."""
    total = sum((users[u] ** 2).sum() + (items[i] ** 2).sum() for u, i in zip(batch[0], batch[1], strict=True))
    if batch[2].size:
        total += sum((items[row[0]] ** 2).sum() for row in batch[2])
    return float(total / (2 * len(batch[0])))


def nce(one: Array, other: Array, rows: Array, temperature: float) -> float:
    """InfoNCE of the distinct rows, one direction."""
    rows = np.unique(rows)
    scores = unit(one[rows]) @ unit(other[rows]).T / temperature
    return float(np.mean([np.log(np.exp(row).sum()) - row[place] for place, row in enumerate(scores)]))


def sigmoid(values: Array) -> Array:
    return 1 / (1 + np.exp(-values))


def softmax(values: Array) -> Array:
    powers = np.exp(values - values.max())
    return powers / powers.sum()


def unit(values: Array) -> Array:
    norms = np.linalg.norm(values, axis=1, keepdims=True)
    return np.divide(values, norms, out=np.zeros_like(values), where=norms > 0)


BATCH = (np.array([0, 1, 2, 3, 0]), np.array([0, 1, 2, 3, 7]), np.array([[5, 6], [6, 7], [7, 4], [1, 0], [3, 2]]))


def loss_of(network: PairNetwork, batch: tuple[Array, Array, Array] = BATCH) -> float:
    with torch.no_grad():
        return float(network(*(torch.from_numpy(part) for part in batch)))
