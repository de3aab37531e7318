"""Searches of a trie of ids: the chance of every id, floor by floor, or a beam of the best prefixes."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from salon.arrays import blocks
from salon.models.generative_network import CodeDecoder
from salon.models.semantic_trie import Floor, Trie
from salon.training.network import to_numpy
from salon.types import MISSING_ID, BoolArray, FloatArray, IntArray, TopK

PIECE = 1 << 18
"""Numbers held at a time while the chances of all ids are worked out: few enough for the cache of a processor."""
BEAM_PIECE = 1 << 21
"""Prefixes that may be looked at together in a beam."""


class Walk:
    """A decoder on the nodes of a trie.

    The logit of child k of a node with e and g (see `generative_network`) is written as
    (h + h * g + e + b2).O_k + gelu(W1 h + W1 e + b1).(W2^T O_k), so that no product with W1 or W2 is made for each
    history and node. Children of one node are told apart by a softmax; an only child is certain.

    Args:
        decoder: In evaluation mode.
        codes: (items, levels) of the items in the trie.
        trie: The legal ids.
    """

    def __init__(self, decoder: CodeDecoder, codes: IntArray, trie: Trie) -> None:
        self.decoder, self.codes, self.trie = decoder, codes, trie
        self._most = max(decoder.sizes)

    @torch.no_grad()
    def chances(self, states: Tensor) -> Tensor:
        """(n, ids in the order of the trie) log p of every id, after states (n, dim)."""
        above = states.new_zeros(len(states), 1)
        for level, floor in enumerate(self.trie.floors):
            above = self._below(level, floor, states, above)
        return above

    def _below(self, level: int, floor: Floor, states: Tensor, above: Tensor) -> Tensor:
        """(n, nodes) log p of the nodes of a floor, from that of the floor above."""
        below = above[:, self._on(floor.parent)]
        out = self.decoder.out[level]
        wide, narrow = self._wide(states), out @ self.decoder.narrow.weight
        for parents, children in floor.choices:
            step = max(1, PIECE // (len(states) * max(narrow.shape[1], children.shape[1])))
            for start in range(0, len(parents), step):
                codes = self._on(self._codes(floor, parents[start : start + step]))
                context, gate = (part.unsqueeze(1) for part in self.decoder.prefix(level, codes))  # (p, 1, dim)
                nodes = self._on(children[start : start + step])  # (p, k)
                named = self._on(floor.code)[nodes]
                mixed = functional.gelu(wide + self._wide(context) + self.decoder.wide.bias)  # (p, n, hidden)
                seen = states + states * gate + context + self.decoder.narrow.bias  # (p, n, dim)
                logits = mixed @ narrow[named].transpose(1, 2) + seen @ out[named].transpose(1, 2)  # (p, n, k)
                below[:, nodes] += torch.log_softmax(logits, dim=2).transpose(0, 1)
        return below

    @torch.no_grad()
    def beam(self, states: Tensor, k: int, width: int, allowed: BoolArray) -> TopK:
        """The k best ids found when only the `width` best prefixes of each length go on.

        Prefixes that lead to no allowed id are left out before the best are chosen, so that a narrow filter starves
        nobody; chances are those of `chances`, whatever is allowed.

        Args:
            states: (n, dim).
            k: How many.
            width: At least k.
            allowed: (n, items) bool.

        Returns:
            Item rows (n, k) and log p (n, k).
        """
        step = max(1, BEAM_PIECE // (width * self._most))
        parts = [self._beam(states[part], k, width, allowed[part]) for part in blocks(len(states), step)]
        parts.append(TopK(np.zeros((0, k), np.int64), np.zeros((0, k), np.float32)))
        return TopK(np.concatenate([p.ids for p in parts]), np.concatenate([p.scores for p in parts]))

    def _beam(self, states: Tensor, k: int, width: int, allowed: BoolArray) -> TopK:
        owner: IntArray = np.arange(len(states))
        node: IntArray = np.zeros(len(states), np.int64)
        chance: FloatArray = np.zeros(len(states), np.float32)
        allowed = allowed[:, self.trie.items]
        for level, floor in enumerate(self.trie.floors):
            pair, child = _children(floor, node)
            chance = chance[pair] + self._log_p(level, floor, states[self._on(owner)], node, pair, child)
            owner = owner[pair]
            kept = floor.reaching(allowed)[owner, child]
            owner, node, chance = owner[kept], child[kept], chance[kept]
            best = _best(owner, chance, node, width)
            owner, node, chance = owner[best], node[best], chance[best]
        found = TopK(np.full((len(states), k), MISSING_ID), np.full((len(states), k), -np.inf, np.float32))
        items = self.trie.items[node]
        best = _best(owner, chance, items, k)
        place = np.arange(len(best)) - np.searchsorted(owner[best], owner[best])
        found.ids[owner[best], place], found.scores[owner[best], place] = items[best], chance[best]
        return found

    @torch.no_grad()
    def chances_of(self, states: Tensor, places: IntArray) -> FloatArray:
        """(r,) log p of one id each, by its place in the order of the trie, after states (r, dim)."""
        total = np.zeros(len(places), np.float32)
        for part in blocks(len(places), max(1, BEAM_PIECE // self._most)):
            for level, floor in enumerate(self.trie.floors):
                node = np.searchsorted(floor.leaf, places[part], side="right") - 1
                pair, child = _children(floor, floor.parent[node])
                total[part] += self._log_p(level, floor, states[part], floor.parent[node], pair, child)[
                    child == node[pair]
                ]
        return total

    def _log_p(
        self, level: int, floor: Floor, states: Tensor, node: IntArray, pair: IntArray, child: IntArray
    ) -> FloatArray:
        """(children,) log p of each child of the nodes (r,) after states (r, dim), given its node."""
        if not len(node):
            return np.zeros(0, np.float32)
        logits = to_numpy(self.decoder(level, states, self._on(self._codes(floor, node))))[pair, floor.code[child]]
        starts = np.searchsorted(pair, np.arange(len(node)))
        return logits - np.logaddexp.reduceat(logits, starts)[pair]

    def _codes(self, floor: Floor, parents: IntArray) -> IntArray:
        """(p, levels) codes of an item below each of the parents of a floor."""
        return self.codes[self.trie.items[floor.leaf[floor.first[parents]]]]

    def _wide(self, x: Tensor) -> Tensor:
        return functional.linear(x, self.decoder.wide.weight)

    def _on(self, places: IntArray) -> Tensor:
        return torch.from_numpy(places).to(self.decoder.level.device)


def _children(floor: Floor, node: IntArray) -> tuple[IntArray, IntArray]:
    """All children of the nodes (r,): whose they are, a place in `node`, and which nodes of the floor."""
    counts = np.diff(floor.first)[node]
    pair = np.repeat(np.arange(len(node)), counts)
    return pair, floor.first[node][pair] + np.arange(len(pair)) - (np.cumsum(counts) - counts)[pair]


def _best(owner: IntArray, chance: FloatArray, name: IntArray, count: int) -> IntArray:
    """Places of the `count` largest chances of each owner, owner by owner, best first; equal ones by smaller name."""
    order = np.lexsort((name, -chance, owner))
    rank = np.arange(len(order)) - np.searchsorted(owner[order], owner[order])
    return order[rank < count]
