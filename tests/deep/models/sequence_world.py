"""Small worlds in which the right next item is known, and slow, obvious versions of what the networks compute."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import nn

from salon.arrays import top_k
from salon.data import Dataset, Events
from salon.encode.base import Features, FeatureSet
from salon.models.base import Recommender
from salon.models.sequence_data import Sequences

Array = np.ndarray[Any, Any]
QUICK: dict[str, Any] = {
    "dim": 32,
    "batch_size": 32,
    "epochs": 40,
    "patience": 0,
    "learning_rate": 1e-2,
    "dropout": 0.1,
    "length": 8,
}
SEQUENCE = ["gru4rec", "sasrec", "mediasasrec", "mmrnn"]
RING = 30


def sequences(histories: list[list[int]], times: list[list[float]] | None = None) -> Sequences:
    """Histories as arrays."""
    indptr = np.concatenate([[0], np.cumsum([len(h) for h in histories])]).astype(np.int64)
    items = np.array([i for h in histories for i in h], np.int64)
    flat = [t for h in times for t in h] if times else [np.nan] * len(items)
    return Sequences(indptr, items, np.array(flat, np.float64))


def dataset(histories: list[list[int]], n_items: int, times: list[list[float]] | None = None) -> Dataset:
    """A log of one action per step; the actions of a person are a second apart unless times are given."""
    users = np.repeat(np.arange(len(histories)), [len(h) for h in histories])
    when = times or [list(range(len(h))) for h in histories]
    flat = np.concatenate([np.asarray(t, np.float64) for t in when])
    return Dataset.of(Events.of(users, np.concatenate(histories), times=flat), len(histories), n_items)


def ring(people: int = 90, steps: int = 6, seed: int = 0) -> tuple[Dataset, Array, Array]:
    """People walk a ring of items in a secret order: the next item is known by the last one alone.

    Returns:
        The log, the secret order (items,), and (people, steps) what was done.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(RING)
    walks = order[(rng.integers(RING, size=people)[:, None] + np.arange(steps)) % RING]
    return dataset(walks.tolist(), RING), order, walks


def ring_features(order: Array, *, missing: int = 0) -> FeatureSet:
    """Text and image say together where on the ring an item stands; every `missing`-th item lacks its image."""
    place = np.empty(RING, np.int64)
    place[order] = np.arange(RING)
    angles = 2 * np.pi * place / RING
    text = np.stack([f(k * angles) for k in (1, 2, 3, 5) for f in (np.cos, np.sin)], axis=1)
    image = np.stack([f(k * angles) for k in (1, 4, 7) for f in (np.cos, np.sin)], axis=1)
    there = np.ones(RING, bool)
    if missing:
        there[::missing] = False
    image = np.where(there[:, None], image, 0)
    return FeatureSet(
        {
            "text": Features(text.astype(np.float32), np.ones(RING, bool)),
            "image": Features(image.astype(np.float32), there),
        }
    )


def following(order: Array, items: Array) -> Array:
    """The items after these on the ring."""
    place = np.empty(RING, np.int64)
    place[order] = np.arange(RING)
    return order[(place[items] + 1) % RING]


def turns() -> tuple[Dataset, FeatureSet, Array]:
    """Two kinds of items take turns; nobody touched the last ten items, and the last says nothing of itself.

    Returns:
        The log, what text tells of the items, and (items,) their kind, 0 or 1.
    """
    rng = np.random.default_rng(0)
    kind = np.arange(40) % 2
    warm = np.arange(40) < 30
    histories = [[int(rng.choice(np.flatnonzero(warm & (kind == (u + t) % 2)))) for t in range(5)] for u in range(60)]
    vectors = 0.3 * rng.standard_normal((40, 6))
    vectors[:, 0] = 2 * kind - 1
    there = np.arange(40) != 39
    text = Features(np.where(there[:, None], vectors, 0).astype(np.float32), there)
    return dataset(histories, 40), FeatureSet({"text": text}), kind


def hit_rate(model: Recommender, data: Dataset, wanted: Array) -> float:
    """How often the first answer is the right one, what was seen left out."""
    queries = data.queries()
    scores = model.score(queries)
    scores[queries.row_of(), queries.items] = -np.inf
    return float((top_k(scores, 1).ids[:, 0] == wanted).mean())


def weights(module: nn.Module) -> dict[str, Array]:
    return {name: value.detach().numpy().astype(np.float64) for name, value in module.state_dict().items()}


def softmax(values: Array) -> Array:
    powers = np.exp(values - values.max())
    return powers / powers.sum()


def sigmoid(values: Array) -> Array:
    return 1 / (1 + np.exp(-values))


def normed(x: Array, scale: Array, shift: Array) -> Array:
    return (x - x.mean()) / np.sqrt(x.var() + 1e-5) * scale + shift
