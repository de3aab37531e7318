"""What models with two towers share: what they learn from, training, early stopping, and the towers they leave."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np

from salon.data import Dataset, Holdout
from salon.encode.base import FeatureSet
from salon.errors import DataError, ResourceError, SettingError
from salon.models.base import Recommender
from salon.models.deep_media import having_any, prepared
from salon.models.sequence_data import Sequences
from salon.models.sequence_network import Catalogue
from salon.models.sequence_question import NextQuestion
from salon.models.two_tower_data import Histories, PairBatches, Pairs, Reading
from salon.models.two_tower_network import TowerItems, TowerNetwork, UserTower
from salon.models.two_tower_parts import ItemModel, UserModel
from salon.models.two_tower_settings import TowerSettings
from salon.training.batches import Negatives
from salon.training.loop import train
from salon.training.network import flat_weights, seeded, to_numpy
from salon.training.settings import settings_for_all
from salon.types import BoolArray, FloatArray


@dataclass(frozen=True)
class Lesson:
    """What a training run learns from.

    Attributes:
        pairs: The pairs.
        sequences: The histories of all people, with their profiles.
        catalogue: The items.
        placed: (items,) bool, the items that have a vector.
        ordered: Whether the order of a history means anything.
        held: Pairs that are neither learned nor part of the histories, to measure by, or None.
    """

    pairs: Pairs
    sequences: Sequences
    catalogue: Catalogue
    placed: BoolArray
    ordered: bool
    held: Pairs | None = None

    @property
    def attributes(self) -> int:
        """Columns of a profile."""
        return 0 if self.sequences.profiles is None else int(self.sequences.profiles.shape[1])


@dataclass(frozen=True)
class Run:
    """A training run.

    Attributes:
        learned: What was learned, by attribute name.
        best_epoch: The epoch that was kept.
        report: What else is to be kept, by attribute name, such as validation scores.
    """

    learned: dict[str, Any]
    best_epoch: int
    report: dict[str, Any]


class TowerRecommender(Recommender):
    """A recommender with an item tower and a user tower."""

    handles_cold_items = True
    handles_cold_users = True
    reads_profiles = True
    settings: TowerSettings

    @abstractmethod
    def _pairs(self, data: Dataset, sequences: Sequences, placed: BoolArray) -> Pairs:
        """The pairs that the log gives."""

    @abstractmethod
    def _hold_out(self, lesson: Lesson, rng: np.random.Generator) -> tuple[Lesson, NextQuestion | None]:
        """A lesson without some of its pairs, and a question about these."""

    @abstractmethod
    def _network(self, lesson: Lesson, items: TowerItems, users: UserTower) -> TowerNetwork:
        """What is trained, not trained."""

    @abstractmethod
    def _scores(self, network: TowerNetwork, people: Sequences, table: FloatArray) -> FloatArray:
        """(n, items) float32 that a network gives people; `table` (items, dim) holds the outputs of the item tower."""

    @abstractmethod
    def _negatives(self) -> int:
        """How many further items a batch, or a pair with labels, brings."""

    def _apart(self, lesson: Lesson, rng: np.random.Generator) -> Lesson:
        """What is learned where validation is given."""
        return lesson

    def _after(
        self, network: TowerNetwork, lesson: Lesson, rng: np.random.Generator
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """(what else was learned, what is to be reported) of a trained network."""
        return {}, {}

    def _fit(
        self, data: Dataset, items: FeatureSet, rng: np.random.Generator, validation: Holdout | None
    ) -> dict[str, Any]:
        dim, heads = self.settings.dim, self.settings.heads
        if dim % heads:
            raise SettingError(f"{dim} numbers cannot be parted among {heads} heads.", hint="Set heads to a divisor.")
        lesson = self._lesson(data, items)
        self._refuse_too_much(lesson)
        settings, question, report = self.settings, None, {}
        if validation is not None:
            question = NextQuestion.of(validation, lesson.placed, rng)
            lesson = self._apart(lesson, rng)
        else:

            def choose(given: TowerSettings) -> int:
                run = self._learn(*self._hold_out(lesson, rng), rng, given)
                report.update(run.report)
                return run.best_epoch

            settings = settings_for_all(settings, choose)
        run = self._learn(lesson, question, rng, settings)
        return {**run.learned, **run.report, **report}

    def _lesson(self, data: Dataset, items: FeatureSet) -> Lesson:
        touched = data.touched()
        if not touched.any():
            raise DataError("There are no positive actions to learn from.", hint="Give events with a weight above 0.")
        media = prepared(items, self.settings.width) if len(items) or not self.settings.ids else {}
        placed = having_any(media, data.n_items) | (touched & self.settings.ids)
        sequences = Sequences.of(data.queries(), placed)
        pairs = self._pairs(data, sequences, placed)
        return Lesson(pairs, sequences, Catalogue(touched, media), placed, data.events.has_order)

    def _reading(self, lesson: Lesson) -> Reading:
        s = self.settings
        return Reading(s.length, past=s.pool == "gru" and lesson.ordered, dropout=s.dropout, forget=s.hide)

    def _learn(
        self, lesson: Lesson, question: NextQuestion | None, rng: np.random.Generator, settings: TowerSettings
    ) -> Run:
        """One training run."""
        n_items, s = lesson.catalogue.n_items, settings
        with seeded(rng):
            items = TowerItems(lesson.catalogue, ids=s.ids, dim=s.dim, hide=s.hide, heads=s.heads, layers=s.layers)
            users = UserTower(s.dim, lesson.attributes, s.pool)
            network = self._network(lesson, items, users)
        reading = self._reading(lesson)
        histories = Histories(lesson.sequences, n_items, reading)
        negatives = Negatives(lesson.sequences.matrix(n_items))
        batches = PairBatches(
            lesson.pairs, histories, negatives, size=s.batch_size, count=self._negatives(), reading=reading
        )

        def score() -> float:
            table = items.table()

            def answer(asked: Sequences) -> FloatArray:
                scores = self._scores(network, asked, table)
                scores[:, ~lesson.placed] = -np.inf
                return scores

            return question.score(answer) if question else 0.0

        history = train(network, batches, settings, rng=rng, score=score if question else None)
        more, report = self._after(network, lesson, rng)
        towers = self._towers(lesson, items, users)
        return Run({**towers, **more}, history.best_epoch, report)

    def _towers(self, lesson: Lesson, items: TowerItems, users: UserTower) -> dict[str, Any]:
        """Both towers, trained, as attributes."""
        table = np.where(lesson.placed[:, None], items.table(), np.float32(0))
        content = np.zeros(0, np.float32) if items.content is None else flat_weights(items.content.parameters())
        media = {name: one.projection for name, one in lesson.catalogue.media.items()}
        item = ItemModel(self.settings, content, lesson.placed, table, to_numpy(items.bias), media)
        user = UserModel(
            self.settings, flat_weights(users.parameters()), lesson.placed, table, lesson.attributes, lesson.ordered
        )
        return item.state() | user.state()

    def item_model(self) -> ItemModel:
        """The item tower, of use without this model."""
        self.check_fitted()
        return ItemModel.restored(self.settings, vars(self))

    def user_model(self) -> UserModel:
        """The user tower, of use without this model."""
        self.check_fitted()
        return UserModel.restored(self.settings, vars(self))

    def _refuse_too_much(self, lesson: Lesson) -> None:
        gigabytes = 4e-9 * self._floats(lesson)
        if gigabytes > self.settings.memory_gb:
            raise ResourceError(
                f"{type(self).__name__} would need about {gigabytes:.1f} GB for {lesson.catalogue.n_items} items, "
                f"{len(lesson.pairs)} pairs and batches of {self.settings.batch_size}; allowed are "
                f"{self.settings.memory_gb:g} GB.",
                hint="Lower batch_size, length or dim, leave out rare items, or raise memory_gb.",
            )

    def _floats(self, lesson: Lesson) -> float:
        """Estimated numbers in memory at the peak of a step: tables and moments, features, towers, steps."""
        s, n_items, media = self.settings, lesson.catalogue.n_items, lesson.catalogue.media
        longest = min(s.length, int(np.diff(lesson.sequences.indptr).max(initial=1)))
        wide = sum(2.0 * (one.raw.size + one.vectors.size) for one in media.values())
        tables = n_items * s.dim * (6.0 + 24.0 * s.layers * (len(media) + 1))
        steps = s.batch_size * longest * (12.0 + (10.0 * s.dim if s.pool == "gru" else 0.0))
        people = s.batch_size * (24.0 * s.dim + 3.0 * lesson.attributes)
        return wide + tables + steps + people

    placed_: BoolArray
