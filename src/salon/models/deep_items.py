"""Models with graphs of items by their media, and where they put items that nobody liked."""

from __future__ import annotations

from functools import partial

import numpy as np
from pydantic import Field
from scipy import sparse

from salon.models.deep import DeepRecommender, MediaSettings, Placing
from salon.models.deep_graph import media_graph, weighted_graph
from salon.models.deep_network import Material
from salon.types import BoolArray, FloatArray

NEIGHBOURS = 20
"""Liked items beside which a new one is put."""
POWERS = (2.0, 0.0, 4.0)
"""What may weigh them: powers of the cosine; the first where no validation question is given."""


class NeighbourSettings(MediaSettings):
    """Settings of models that know the nearest items of an item."""

    k: int = Field(10, ge=1)
    """Nearest items of each item."""


class ItemGraphSettings(NeighbourSettings):
    """Settings of models with a graph of items by their media."""

    layers: int = Field(2, ge=0, le=8)
    """Steps over the graph of likes."""
    item_layers: int = Field(1, ge=0, le=8)
    """Steps over the graph of items."""


class ItemGraphRecommender(DeepRecommender):
    """A model that puts items nobody liked beside their nearest liked items.

    The papers of these models do not say what becomes of such items. What a network makes of them lacks all that likes
    add to a vector, so that it is too short to stand beside others. Here the mean of the final vectors of the 20
    nearest liked items by their media, each weighed by a power of its cosine, is added to it, and one number for all
    makes them as long on average as liked items. Given validation questions decide between the powers 2, 0 and 4, and
    where they rank all items, whether this is done: nothing says better how often a new item is the answer.
    """

    needs_features = True
    handles_cold_items = True
    settings: NeighbourSettings

    def _placed(self, material: Material) -> BoolArray:
        return material.touched | np.logical_or.reduce(
            [np.diff(graph.indptr) > 0 for graph in material.graphs(self.settings.k)]
        )

    def _placings(self, material: Material, *, among_all: bool) -> list[Placing]:
        as_trained = super()._placings(material, among_all=among_all)
        if not (self._placed(material) & ~material.touched).any():
            return as_trained
        new, weights = ~material.touched, self._weights(list(material.media))
        graphs = [
            media_graph(one.vectors, one.present & new, one.present & ~new, NEIGHBOURS, 1.0)
            for one in material.media.values()
        ]
        beside: list[Placing] = [
            partial(beside_neighbours, near=weighted_graph(powered(graphs, power), weights), touched=material.touched)
            for power in POWERS
        ]
        return [*beside, *as_trained] if among_all else beside

    def _weights(self, names: list[str]) -> list[float]:
        """How much each modality says about which items are near."""
        return [1 / len(names)] * len(names)


def powered(graphs: list[sparse.csr_array], power: float) -> list[sparse.csr_array]:
    """The same graphs with every weight raised to a power, each nonempty row summing to 1 again."""
    raised = [sparse.csr_array((g.data**power, g.indices, g.indptr), shape=g.shape) for g in graphs]
    return [weighted_graph([graph], [1.0]) for graph in raised]


def beside_neighbours(items: FloatArray, near: sparse.csr_array, touched: BoolArray) -> FloatArray:
    """(items, d) float32, what neighbours have is added to the rows that are not `touched`; these get the usual length.

    Args:
        items: (items, d) trained vectors.
        near: (items, items) the weights of touched neighbours, rows summing to 1 or empty.
        touched: (items,) bool, the items that somebody liked.
    """
    others = np.flatnonzero(~touched & (np.diff(near.indptr) > 0))
    if not len(others):
        return items
    sums = items[others] + near[others] @ items
    usual, found = (float(np.linalg.norm(part, axis=1).mean()) for part in (items[touched], sums))
    moved = items.copy()
    moved[others] = sums * (usual / max(found, 1e-12))
    return moved
