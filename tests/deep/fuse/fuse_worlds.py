"""Made worlds in which it is known which modality, or which combination of them, people go by."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from salon.data import Events
from salon.encode.base import Features, FeatureSet
from salon.metrics import auc
from salon.types import FloatArray, IntArray

N_ITEMS, N_USERS, LIKES = 240, 80, 16
QUICK = {"dim": 16, "reduce": 0, "device": "cpu", "learning_rate": 5e-3, "history": 8, "epochs": 15}
"""Settings under which these worlds are learned in seconds."""


def feature(vectors: FloatArray, name: str) -> Features:
    return Features(np.asarray(vectors, np.float32), np.ones(len(vectors), bool), f"made-{name}")


def taste_events(groups: IntArray, rng: np.random.Generator, *, known: IntArray) -> Events:
    """Every user likes items of one group, drawn among `known`."""
    kinds = np.unique(groups)
    users, items = [], []
    for user in range(N_USERS):
        mine = known[groups[known] == kinds[user % len(kinds)]]
        chosen = rng.choice(mine, min(LIKES, len(mine)), replace=False)
        users += [user] * len(chosen)
        items += chosen.tolist()
    return Events.of(users, items)


class World:
    """Items in groups; the last quarter is new: nobody has touched it.

    Attributes:
        groups: (items,) what people go by.
        features: What encoders see.
        events: Actions on the first three quarters.
    """

    def __init__(self, seed: int, make: Callable[[np.random.Generator], tuple[IntArray, dict[str, FloatArray]]]):
        rng = np.random.default_rng(seed)
        self.groups, vectors = make(rng)
        self.features = FeatureSet({name: feature(v, name) for name, v in vectors.items()})
        self.known = np.arange(N_ITEMS * 3 // 4)
        self.events = taste_events(self.groups, rng, known=self.known)

    def auc(self, fused: FeatureSet) -> float:
        """Chance that a new item of a user's group is nearer to the mean of the history than another new one."""
        vectors = fused["fused"].vectors
        profiles = np.zeros((N_USERS, vectors.shape[1]), np.float32)
        np.add.at(profiles, self.events.users, vectors[self.events.items])
        wanted = np.zeros(N_USERS, np.int64)
        wanted[self.events.users] = self.groups[self.events.items]
        fresh = np.arange(len(self.known), N_ITEMS)
        return float(auc(profiles @ vectors[fresh].T, self.groups[fresh] == wanted[:, None]).mean())


def one_speaks(rng: np.random.Generator) -> tuple[IntArray, dict[str, FloatArray]]:
    """Groups show in the text; the picture shows other, clearer groups that nobody cares about."""
    groups, others = rng.integers(4, size=(2, N_ITEMS))
    noise = rng.standard_normal((2, N_ITEMS, 12))
    return groups, {
        "text": np.eye(12)[groups] * 2 + 0.5 * noise[0],
        "image": np.eye(12)[others] * 4 + 0.3 * noise[1],
    }


def product_speaks(rng: np.random.Generator) -> tuple[IntArray, dict[str, FloatArray]]:
    """A bit in the text and a bit in the picture; people like items whose bits are equal, or unequal (XOR)."""
    bits = rng.integers(2, size=(2, N_ITEMS))
    noise = 0.3 * rng.standard_normal((2, N_ITEMS, 6))
    return bits[0] ^ bits[1], {"text": _signed(bits[0], noise[0]), "image": _signed(bits[1], noise[1])}


def _signed(bits: IntArray, noise: FloatArray) -> FloatArray:
    vectors = noise.copy()
    vectors[:, 0] = 2.0 * bits - 1.0
    return vectors


def order_speaks(rng: np.random.Generator, steps: int = 6) -> tuple[IntArray, dict[str, FloatArray]]:
    """Two events happen at two of the steps; people go by which comes first, which the mean over the steps hides."""
    groups = rng.integers(2, size=N_ITEMS)
    vectors = {}
    for name in ("image", "audio"):
        sequence = 0.2 * rng.standard_normal((N_ITEMS, steps, 5))
        for item, group in enumerate(groups):
            early, late = np.sort(rng.choice(steps, 2, replace=False))
            sequence[item, early, group] += 2
            sequence[item, late, 1 - group] += 2
        vectors[name] = sequence.reshape(N_ITEMS, -1)
    return groups, vectors
