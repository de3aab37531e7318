"""What a trained network of generated ids answers: the chance of ids, joined with a product of vectors if wanted."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from salon.arrays import top_k
from salon.models.generative_network import GenerativeNetwork
from salon.models.generative_search import Walk
from salon.models.semantic_trie import Trie
from salon.models.sequence_data import Sequences
from salon.models.sequence_network import read
from salon.training.network import to_numpy
from salon.types import MISSING_ID, BoolArray, FloatArray, IntArray, TopK


class Generator:
    """A network ready to answer.

        score of item i = (1 - w) log p(id of i) + w log p(i),   p(i) ~ exp(h . e_i) over the items with an id

    Args:
        network: In evaluation mode.
        codes: (items, levels) codes of every item, -1 where it has none.
        compared: (items, dim) float32 e; not read where w is 0.
        weight: w.
        length: Most steps of a history that are read.
    """

    def __init__(
        self, network: GenerativeNetwork, codes: IntArray, compared: FloatArray, weight: float, length: int
    ) -> None:
        self.core, self.shown, self.length = network.core, network.tables()[0], length
        self.walk = Walk(network.decoder, codes, Trie.of(codes, np.ones(len(codes), bool)))
        self.items, self.weight = self.walk.trie.items, weight
        self.compared = compared[self.items] if weight else None

    def scores(self, asked: Sequences) -> FloatArray:
        """(n, items) float32 of every item as the next one; -inf without codes, and after an empty history."""
        scores = np.full((len(asked), len(self.shown)), -np.inf, np.float32)
        filled = np.flatnonzero(np.diff(asked.indptr))
        if len(filled):
            states = self._states(asked.take(filled))
            scores[filled[:, None], self.items] = (1 - self.weight) * to_numpy(self.walk.chances(states))
            if self.compared is not None:
                scores[filled[:, None], self.items] += self._dense(states)
        return scores

    def beam(self, asked: Sequences, k: int, width: int, allowed: BoolArray) -> TopK:
        """The k best items of those that a beam finds and, where vectors count, the `width` best by them.

        Args:
            asked: n histories; nothing is found for an empty one.
            k: How many.
            width: Of the beam, at least k; see `Walk.beam`.
            allowed: (n, items) bool.
        """
        found = TopK(np.full((len(asked), k), MISSING_ID), np.full((len(asked), k), -np.inf, np.float32))
        filled = np.flatnonzero(np.diff(asked.indptr))
        states, allowed = self._states(asked.take(filled)), allowed[filled]
        best = self.walk.beam(states, width, width, allowed)
        if self.compared is not None:
            best = self._ranked(states, best, width, allowed)
        found.ids[filled], found.scores[filled] = best.ids[:, :k], best.scores[:, :k]
        return found

    def _ranked(self, states: Tensor, beam: TopK, width: int, allowed: BoolArray) -> TopK:
        """What a beam found and the best by vectors, ranked by the joined score."""
        dense = np.full(allowed.shape, -np.inf, np.float32)
        dense[:, self.items] = self._dense(states)
        dense[~allowed] = -np.inf
        chosen = np.zeros(allowed.shape, bool)
        for ids in (beam.ids, top_k(dense, width).ids):
            rows, columns = np.nonzero(ids >= 0)
            chosen[rows, ids[rows, columns]] = True
        rows, items = np.nonzero(chosen)
        chances = self.walk.chances_of(states[torch.from_numpy(rows).to(states.device)], self._place()[items])
        dense[rows, items] += (1 - self.weight) * chances
        dense[~chosen] = -np.inf
        return top_k(dense, width)

    def _dense(self, states: Tensor) -> FloatArray:
        """(n, ids in the order of the trie) w log p by the product of vectors."""
        compared = torch.from_numpy(self.compared).to(states.device)
        return self.weight * to_numpy(torch.log_softmax(states @ compared.T, dim=1))

    def _place(self) -> IntArray:
        """(items,) the place of every item in the order of the trie."""
        place: IntArray = np.zeros(len(self.shown), np.int64)
        place[self.items] = np.arange(len(self.items))
        return place

    def _states(self, asked: Sequences) -> Tensor:
        device = next(self.core.parameters()).device
        return torch.from_numpy(read(self.core, self.shown, asked, self.length)).to(device)
