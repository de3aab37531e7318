"""Feature propagation: a missing vector is the mean of those of its neighbours, who may lack theirs too.

For each modality the items are joined by k-nearest-neighbour graphs of all other modalities and of who was liked
together, each with rows that sum to 1. Observed vectors stay; every round a missing one becomes

    x_i = sum_j A_ij x_j / sum_j A_ij        over the neighbours j that have a vector by now

Rossi et al., "On the Unreasonable Effectiveness of Feature Propagation in Learning on Graphs with Missing Node
Features", LoG 2022; for recommenders Malitesta et al., "Do We Really Need to Drop Items with Missing Modalities in
Multimodal Recommendation?", CIKM 2024. Where they divide by the square roots of both degrees we divide by the row sum:
the result is a mean, so it keeps the scale of the vectors, and items that no observed vector reaches stay masked.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from pydantic import Field
from scipy import sparse

from salon.arrays import (
    block_size,
    blocks,
    centred_unit_rows,
    keep_top_per_row,
    nearest_rows,
    power_or_zero,
    scale_columns,
    scale_rows,
)
from salon.data import Events
from salon.encode.base import Features
from salon.fuse.impute import Guess, Imputer, ImputeSettings, blocks_of
from salon.index.graph import knn_graph, symmetrised
from salon.types import BoolArray, FloatArray, IntArray


class ImputeGraphSettings(ImputeSettings):
    """Settings of `ImputeGraph`."""

    neighbours: int = Field(10, ge=1)
    """Neighbours of an item in each graph."""
    rounds: int = Field(20, ge=1, le=1000)
    """How often every missing vector becomes the mean of its neighbours."""
    events: float = Field(1.0, ge=0)
    """Weight of the graph of items liked by the same people, against 1 for the graph of each modality."""


class ImputeGraph(Imputer):
    """Fills a gap from neighbours by the other modalities and by common likes (feature propagation).

    The items seen at fit, recognised by their vectors, get what was propagated to them; those with equal vectors share
    the mean. A new item gets the mean of its nearest neighbours among them, by the modalities that it has.
    """

    settings: ImputeGraphSettings
    values_: FloatArray
    present_: BoolArray
    reached_: BoolArray
    keys_: IntArray

    def _learn(
        self, parts: Sequence[Features], wanted: Sequence[bool], events: Events | None, rng: np.random.Generator
    ) -> dict[str, Any]:
        k = self.settings.neighbours
        graphs = [_row_means(symmetrised(knn_graph(p.vectors, p.present, k, metric="centred"))) for p in parts]
        likes = None
        if events is not None and self.settings.events:
            likes = _row_means(symmetrised(co_liked(events, len(parts[0]), k))) * self.settings.events
        values, reached = [], []
        for place, part in enumerate(parts):
            used = [g for other, g in enumerate(graphs) if other != place] + ([] if likes is None else [likes])
            graph = sparse.csr_array(sum(used, sparse.csr_array((len(part), len(part)), dtype=np.float32)))
            found = propagate(graph, part.vectors, part.present, self.settings.rounds if wanted[place] else 0)
            values.append(found[0])
            reached.append(found[1])
        keys = _keys(parts)
        present = np.stack([part.present for part in parts], axis=1)
        shared, there = _shared(keys, np.concatenate(values, axis=1), np.stack(reached, axis=1), parts)
        return {"values_": shared, "present_": present, "reached_": there, "keys_": keys}

    def _guess(self, parts: Sequence[Features]) -> list[Guess]:
        order = np.argsort(self.keys_, kind="stable")
        keys = _keys(parts)
        place = order[np.minimum(np.searchsorted(self.keys_[order], keys), len(order) - 1)] if len(order) else None
        met = np.zeros(len(keys), bool) if place is None else self.keys_[place] == keys
        new = np.flatnonzero(~met)
        fresh = [part.take(new) for part in parts]
        guesses: list[Guess] = []
        for target, block in enumerate(blocks_of(self.dims_)):
            vectors, usable = np.zeros((len(keys), self.dims_[target]), np.float32), np.zeros(len(keys), bool)
            if place is not None:
                vectors[met], usable[met] = self.values_[place[met], block], self.reached_[place[met], target]
            vectors[new], usable[new] = self._from_neighbours(fresh, target, block)
            guesses.append((vectors, usable))
        return guesses

    def _from_neighbours(self, parts: Sequence[Features], target: int, block: slice) -> Guess:
        """The mean over the nearest fitted items by each other modality, weighed by their cosines."""
        n = len(parts[0])
        edges = sparse.csr_array((n, len(self.keys_)), dtype=np.float32)
        for source, (part, mean, where) in enumerate(zip(parts, self._means(), blocks_of(self.dims_), strict=True)):
            known = np.flatnonzero(self.present_[:, source] & self.reached_[:, target])
            if source == target or not len(known) or not part.present.any():
                continue
            units = centred_unit_rows(self.values_[known, where], np.ones(len(known), bool), mean)
            near = nearest_rows(centred_unit_rows(part.vectors, part.present, mean), units, self.settings.neighbours)
            kept = (near.ids >= 0) & (near.scores > 0)
            rows = np.repeat(np.arange(n), kept.sum(axis=1))
            edges = edges + _row_means(
                sparse.csr_array((near.scores[kept], (rows, known[near.ids[kept]])), shape=edges.shape)
            )
        means = np.asarray(_row_means(edges) @ self.values_[:, block], np.float32)
        return means, np.diff(sparse.csr_array(edges).indptr) > 0


def propagate(graph: sparse.csr_array, vectors: FloatArray, present: BoolArray, rounds: int) -> Guess:
    """Missing vectors as weighted means of their neighbours, round by round; observed ones never change.

    Args:
        graph: (n, n) sparse, weights at least 0.
        vectors: (n, d) float; rows of absent items are not read.
        present: (n,) bool.
        rounds: How often; the values settle geometrically.

    Returns:
        (n, d) float32, 0 where nothing was reached, and (n,) bool of what was reached.
    """
    values = np.where(present[:, None], vectors, np.float32(0)).astype(np.float32)
    reached = present.copy()
    gaps = np.flatnonzero(~present)
    pull = sparse.csr_array(graph[gaps])
    for _ in range(rounds if len(gaps) and present.any() else 0):
        total = np.asarray(pull @ reached.astype(np.float32))
        means = np.asarray(pull @ values) * power_or_zero(total, -1.0)[:, None]
        values[gaps], reached[gaps] = means.astype(np.float32), total > 0
    return values, reached


def co_liked(events: Events, n_items: int, k: int) -> sparse.csr_array:
    """(items, items) the k items most liked by the same people, by the cosine of who likes them; no self edges."""
    liked = (events.weights > 0) & ~events.shown
    pairs = np.unique(np.stack([events.users[liked], events.items[liked]]), axis=1)
    people = int(pairs[0].max(initial=-1)) + 1
    likes = sparse.csr_array((np.ones(pairs.shape[1], np.float32), (pairs[0], pairs[1])), shape=(people, n_items))
    likes = scale_columns(likes, power_or_zero(np.asarray(likes.sum(axis=0)), -0.5).astype(np.float32))
    others = sparse.csr_array(likes.T)
    kept = []
    for rows in blocks(n_items, block_size(n_items)):
        alike = sparse.coo_array(others[rows] @ likes)
        apart = alike.coords[0] + rows.start != alike.coords[1]
        coords = (alike.coords[0][apart], alike.coords[1][apart])
        kept.append(keep_top_per_row(sparse.csr_array((alike.data[apart], coords), shape=alike.shape), k))
    return sparse.csr_array(sparse.vstack(kept, format="csr")) if kept else sparse.csr_array((0, 0), dtype=np.float32)


def _row_means(graph: sparse.csr_array) -> sparse.csr_array:
    """The graph with rows that sum to 1."""
    factors = power_or_zero(np.asarray(graph.sum(axis=1)), -1.0).astype(np.float32)
    return sparse.csr_array(scale_rows(graph, factors), dtype=np.float32)


def _keys(parts: Sequence[Features]) -> IntArray:
    """(n,) uint64, the same for items whose vectors and gaps are the same."""
    rows = [np.where(p.present[:, None], p.vectors, np.float32(0)).astype(np.float32) for p in parts]
    there = np.stack([p.present for p in parts], axis=1)
    keys = np.zeros(len(there), np.uint64)
    for i in range(len(there)):
        digest = hashlib.blake2b(there[i].tobytes(), digest_size=8)
        for part in rows:
            digest.update(part[i].tobytes())
        keys[i] = int.from_bytes(digest.digest(), "little")
    return keys


def _shared(
    keys: IntArray, values: FloatArray, reached: BoolArray, parts: Sequence[Features]
) -> tuple[FloatArray, BoolArray]:
    """Values and what was reached, the mean over the items of equal key: nothing else could tell them apart."""
    _, group, counts = np.unique(keys, return_inverse=True, return_counts=True)
    if (counts == 1).all():
        return values, reached
    one = sparse.csr_array((np.ones(len(keys), np.float32), (group, np.arange(len(keys)))))
    values, there = values.copy(), reached.copy()
    for place, block in enumerate(blocks_of([part.dim for part in parts])):
        total = one @ reached[:, place].astype(np.float32)
        means = (one @ values[:, block]) * power_or_zero(total, -1.0)[:, None]
        open_ = ~parts[place].present
        values[open_, block], there[open_, place] = means[group[open_]], (total > 0)[group[open_]]
    return values, there
