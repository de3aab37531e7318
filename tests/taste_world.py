"""Catalogues without a shared id, whose people have the same tastes: what is learned of content on one holds on all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from salon.arrays import top_k
from salon.data import Dataset, Events, IdMap, Items, Users
from salon.encode.base import Features, FeatureSet
from salon.metrics import hit_matrix, recall, relevant_counts
from salon.models.base import Recommender

KINDS = 6
LIKES = 12


@dataclass(frozen=True)
class Shop:
    """A catalogue, its features, and what its people like beside what the log tells."""

    data: Dataset
    features: FeatureSet
    right: sparse.csr_array

    def empty(self) -> Dataset:
        """The catalogue before anybody came."""
        return self.data.with_events(Events.of([], []))

    def recall(self, model: Recommender, *, cut: int = 10) -> float:
        """Mean recall of what people like, after their histories."""
        queries = self.data.queries()
        scores = model.score(queries)
        scores[queries.row_of(), queries.items] = -np.inf
        hits = hit_matrix(top_k(scores, cut).ids, self.right)
        return float(recall(hits, relevant_counts(self.right), cut).mean())


def taste_shop(name: str, seed: int, *, people: int = 60, items: int = 80) -> Shop:
    """Items are of six kinds, told by text and by image; a person likes two kinds. Every seventh item has no image."""
    rng = np.random.default_rng(seed)
    kinds = rng.permutation(np.arange(items) % KINDS)
    everywhere = np.random.default_rng(99)  # the encoders are the same for all catalogues
    features = {}
    for modality, width in (("text", 10), ("image", 8)):
        there = np.arange(items) % 7 != 0 if modality == "image" else np.ones(items, bool)
        vectors = everywhere.standard_normal((KINDS, width))[kinds] + 0.3 * rng.standard_normal((items, width))
        features[modality] = Features(np.where(there[:, None], vectors, 0).astype(np.float32), there, f"{modality}-1")
    likes = [_likes(kinds, rng) for _ in range(people)]
    known = [(person, item) for person, mine in enumerate(likes) for item in mine[: LIKES // 2]]
    users, rows = np.array(known).T
    right = np.zeros((people, items), np.float32)
    for person, mine in enumerate(likes):
        right[person, mine[LIKES // 2 :]] = 1
    table = Items(IdMap([f"{name}-{i}" for i in range(items)]))
    data = Dataset(table, Events.of(users, rows), Users(IdMap([f"{name}-p{i}" for i in range(people)], what="user")))
    return Shop(data, FeatureSet(features), sparse.csr_array(right))


def _likes(kinds: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    mine = np.isin(kinds, rng.choice(KINDS, 2, replace=False))
    return rng.permutation(np.flatnonzero(mine))[:LIKES]
