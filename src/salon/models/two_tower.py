"""Two towers: people and items placed in one space, each by a network of its own."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np

from salon.data import Dataset, Queries
from salon.encode.base import FeatureSet
from salon.models.base import Grid, VectorRecommender
from salon.models.sequence_data import Sequences
from salon.models.sequence_question import NextQuestion, hold_out
from salon.models.two_tower_data import Pairs
from salon.models.two_tower_fit import Lesson, TowerRecommender
from salon.models.two_tower_network import InBatchNetwork, TowerItems, TowerNetwork, UserTower
from salon.models.two_tower_parts import item_vectors, read
from salon.models.two_tower_settings import TwoTowerSettings
from salon.training.batches import Negatives
from salon.training.network import to_numpy
from salon.training.softmax import scores_at_once
from salon.types import BoolArray, FloatArray


class TwoTower(TowerRecommender, VectorRecommender):
    """Two towers trained by a softmax over the items of a batch (Yi et al., RecSys 2019; Khrylchenko et al., 2025).

        score = cos(u, e_i) + b.e_i,   s = score / tau,   q_j = (n p_j + m r_j) / (n + m)
        loss = -ln[ exp(s_i) / (exp(s_i) + sum over all draws j of the batch but i of exp(s_j) / ((n + m) q_j)) ]

    for n pairs of a batch and m further items (Yang et al., WWW 2020); p_j is the share of all likes that went to item
    j, and r is uniform over liked items. The towers are those of `two_tower_network`. A pair never shows its own item:
    the history is all that the person liked but this, in random order, or with pool "gru" and a log with order what
    came before. Differs from the papers: a bias of items, q is counted over the log and not estimated from a stream,
    further items are drawn from liked ones, pairs weigh alike, features are frozen, and a history shows of an item what
    the item tower says of it.
    """

    settings: TwoTowerSettings
    grid: ClassVar[Grid] = {"temperature": (0.07, 0.1, 0.15), "dropout": (0.2, 0.5), "hide": (0.1, 0.3)}

    def _pairs(self, data: Dataset, sequences: Sequences, placed: BoolArray) -> Pairs:
        return Pairs.of(sequences)

    def _hold_out(self, lesson: Lesson, rng: np.random.Generator) -> tuple[Lesson, NextQuestion | None]:
        kept, question = hold_out(lesson.sequences, lesson.catalogue.n_items, rng, ordered=lesson.ordered)
        return replace(lesson, sequences=kept, pairs=Pairs.of(kept)), question

    def _network(self, lesson: Lesson, items: TowerItems, users: UserTower) -> TowerNetwork:
        matrix, s = lesson.sequences.matrix(lesson.catalogue.n_items), self.settings
        log_q = np.stack([Negatives(matrix, power=power).log_q for power in (1.0, 0.0)])
        return InBatchNetwork(items, users, temperature=s.temperature, log_q=log_q, correct=s.log_q)

    def _negatives(self) -> int:
        return self.settings.negatives

    def _scores(self, network: TowerNetwork, people: Sequences, table: FloatArray) -> FloatArray:
        vectors = item_vectors(table, to_numpy(network.items.bias))
        scores: FloatArray = read(network.users, table, people, self.settings) @ vectors.T
        return scores

    def _floats(self, lesson: Lesson) -> float:
        drawn = min(self.settings.batch_size + self.settings.negatives, lesson.catalogue.n_items)
        return super()._floats(lesson) + 2.0 * scores_at_once(drawn)

    def user_vectors(self, queries: Queries) -> FloatArray:
        """(n, dim + 1) float32 from histories and profiles; 0 for people of whom nothing is known."""
        return self.user_model().vectors(queries)

    def item_vectors(self) -> FloatArray:
        """(items, dim + 1) float32; 0 for items without a vector, which `score` leaves out."""
        return self.item_model().vectors()

    def place(self, items: FeatureSet) -> FloatArray:
        """(n, dim + 1) float32: the vectors of n new items, beside those of `item_vectors`; see `ItemModel.place`."""
        return self.item_model().place(items)

    def _score(self, queries: Queries) -> FloatArray:
        scores = super()._score(queries)
        scores[:, ~self.placed_] = -np.inf
        scores[~self.user_model().known(queries)] = -np.inf
        return scores
