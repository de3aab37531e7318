"""Two towers: people and items placed in one space, each by a network of its own."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np

from salon.arrays import unit_rows
from salon.data import Dataset, Queries
from salon.encode.base import FeatureSet
from salon.models.base import Grid, VectorRecommender
from salon.models.sequence_data import Sequences
from salon.models.sequence_question import NextQuestion, hold_out
from salon.models.two_tower_data import Pairs
from salon.models.two_tower_fit import Lesson, TowerRecommender
from salon.models.two_tower_network import InBatchNetwork, TowerItems, TowerNetwork, UserTower
from salon.models.two_tower_parts import read
from salon.models.two_tower_settings import TwoTowerSettings
from salon.training.batches import Negatives
from salon.types import FloatArray


class TwoTower(TowerRecommender, VectorRecommender):
    """Two towers trained by a softmax over the items of a batch (Yi et al., RecSys 2019).

        score = cos(u, e_i),   loss = -ln[ exp(s_i) / (exp(s_i) + sum over the other draws j of the batch of exp(s_j)) ],
        s_j = cos(u, e_j) / tau - ln q_j,   q_j = (n p_j + m r_j) / (n + m)

    for n pairs of a batch and m further items (Yang et al., WWW 2020); p_j is the share of the likes that item j has, and
    r is uniform over liked items. The towers are those of `two_tower_network`. A pair never shows its own item: the
    history is all that the person liked but this, in random order, or with pool "gru" and a log with order what came
    before. Differs from the papers: q is counted over the log and not estimated as a stream, further items are drawn
    from liked ones, pairs weigh alike, items are known by frozen features, and the vector of an item is what the
    history of a person shows of it too.
    """

    settings: TwoTowerSettings
    grid: ClassVar[Grid] = {"temperature": (0.07, 0.1, 0.15), "dropout": (0.2, 0.5), "hide": (0.1, 0.3)}

    def _pairs(self, data: Dataset, sequences: Sequences) -> Pairs:
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
        scores: FloatArray = unit_rows(read(network.users, table, people, self.settings)) @ unit_rows(table).T
        return scores

    def _floats(self, lesson: Lesson) -> float:
        drawn = self.settings.batch_size + self.settings.negatives
        return super()._floats(lesson) + 4.0 * self.settings.batch_size * min(drawn, lesson.catalogue.n_items)

    def user_vectors(self, queries: Queries) -> FloatArray:
        """(n, dim) float32 of length 1 from histories and profiles; 0 for people of whom nothing is known."""
        return self.user_model().vectors(queries)

    def item_vectors(self) -> FloatArray:
        """(items, dim) float32 of length 1; 0 for items without a vector, which `score` leaves out."""
        return self.item_model().vectors()

    def place(self, items: FeatureSet) -> FloatArray:
        """(n, dim) float32: the vectors of n new items, beside those of `item_vectors`; see `ItemModel.place`."""
        return self.item_model().place(items)

    def _score(self, queries: Queries) -> FloatArray:
        scores = super()._score(queries)
        scores[:, ~self.placed_] = -np.inf
        scores[~self.user_model().known(queries)] = -np.inf
        return scores
