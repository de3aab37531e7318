"""How models of the next item are fitted: histories, what may be read, validation, early stopping, the memory estimate.

A history is read oldest first, liked items alone; its answer is computed from its steps whenever it is asked, so that
an action of a second ago counts and people never met are answered like all others. Where the times of the events mean
nothing, order is no evidence: histories come in a new random order every epoch.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from pydantic import Field
from torch import nn

from salon.data import Dataset, Holdout
from salon.encode.base import FeatureSet
from salon.errors import DataError, ResourceError
from salon.models.base import Recommender
from salon.models.pretrained import Start
from salon.models.sequence_data import Sequences, Windows
from salon.models.sequence_network import Catalogue
from salon.models.sequence_question import NextQuestion, hold_out
from salon.training.loop import train
from salon.training.settings import TrainingSettings, settings_for_all
from salon.types import BoolArray, FloatArray


class NextItemSettings(TrainingSettings):
    """Settings of all models of the next item."""

    dim: int = Field(64, ge=2)
    """Numbers per vector."""
    length: int = Field(50, ge=1, le=2000)
    """Most steps of a history that are read, the last ones."""
    dropout: float = Field(0.2, ge=0, lt=1)
    """Share of the numbers hidden in training."""
    epochs: int = Field(200, ge=1)
    """Most passes over the histories."""
    batch_size: int = Field(256, ge=1)
    """Windows per step."""
    memory_gb: float = Field(8.0, gt=0)
    """Memory that a fit may need by its estimate, in GB; more is refused before it starts."""


@dataclass(frozen=True)
class Lesson:
    """What a training run learns from."""

    sequences: Sequences
    catalogue: Catalogue
    placed: BoolArray
    ordered: bool
    start: Start | None = None


class NextItemRecommender(Recommender):
    """A recommender that predicts the next item of a history.

    A subclass writes what is trained (`_prepared`), how it answers in training (`_answer`), and what is kept of it
    (`_learned`).
    """

    handles_cold_users = True
    settings: NextItemSettings

    @abstractmethod
    def _prepared(self, lesson: Lesson, rng: np.random.Generator) -> tuple[nn.Module, Windows]:
        """The network before training, and its batches."""

    @abstractmethod
    def _answer(self, network: Any, lesson: Lesson, asked: Sequences) -> FloatArray:
        """(n, items) scores of the network that `_prepared` gave, -inf where nothing can be said."""

    @abstractmethod
    def _learned(self, network: Any, lesson: Lesson) -> dict[str, Any]:
        """What is kept of a trained network, by attribute name."""

    def _start(self) -> Start | None:
        """Where training begins, if not anew."""
        return None

    def _catalogue(self, data: Dataset, items: FeatureSet, start: Start | None) -> Catalogue:
        """The items as networks are built from them."""
        return Catalogue(data.touched(), {})

    def _worked_out(self, catalogue: Catalogue, rng: np.random.Generator) -> Catalogue:
        """The catalogue with what takes work to add to it, once it is known that memory is enough."""
        return catalogue

    def _placed(self, catalogue: Catalogue) -> BoolArray:
        """(items,) bool, the items that can be read and recommended."""
        return catalogue.touched

    @property
    def _reads_times(self) -> bool:
        return False

    def _fit(
        self, data: Dataset, items: FeatureSet, rng: np.random.Generator, validation: Holdout | None
    ) -> dict[str, Any]:
        if not data.touched().any():
            raise DataError("There are no positive actions to learn from.", hint="Give events with a weight above 0.")
        if self._reads_times and data.events.time_kind != "timestamp":
            raise DataError("These events have no timestamps.", hint="Declare the time of the events.")
        start = self._start()
        catalogue = self._catalogue(data, items, start)
        placed = self._placed(catalogue)
        sequences = Sequences.of(data.queries(), placed)
        self._refuse_too_much(catalogue, sequences)
        lesson = Lesson(sequences, self._worked_out(catalogue, rng), placed, data.events.has_order, start)
        settings, question = self.settings, None
        if validation is not None:
            question = NextQuestion.of(validation, placed, rng)
        else:
            settings = settings_for_all(settings, lambda given: self._best_epoch(lesson, rng, given))
        return self._learn(lesson, question, rng, settings)[0]

    def _best_epoch(self, lesson: Lesson, rng: np.random.Generator, settings: NextItemSettings) -> int:
        """Of training without the last items."""
        kept, question = hold_out(lesson.sequences, lesson.catalogue.n_items, rng, ordered=lesson.ordered)
        return self._learn(replace(lesson, sequences=kept), question, rng, settings)[1]

    def _learn(
        self, lesson: Lesson, question: NextQuestion | None, rng: np.random.Generator, settings: NextItemSettings
    ) -> tuple[dict[str, Any], int]:
        """One training run: what was learned, and its best epoch."""
        network, batches = self._prepared(lesson, rng)

        def answer(asked: Sequences) -> FloatArray:
            return self._answer(network, lesson, asked)

        score = None if question is None else lambda: question.score(answer)
        history = train(network, batches, settings, rng=rng, score=score)
        return self._learned(network, lesson), history.best_epoch

    def _refuse_too_much(self, catalogue: Catalogue, sequences: Sequences) -> None:
        s = self.settings
        longest = min(s.length, int(np.diff(sequences.indptr).max(initial=1)))
        tokens = s.batch_size * longest
        gigabytes = 4e-9 * self._floats(catalogue, tokens, longest)
        if gigabytes > s.memory_gb:
            raise ResourceError(
                f"{type(self).__name__} would need about {gigabytes:.1f} GB for {catalogue.n_items} items and "
                f"{tokens} steps per batch; allowed are {s.memory_gb:g} GB.",
                hint="Lower batch_size, length or dim, leave out rare items, or raise memory_gb.",
            )

    def _floats(self, catalogue: Catalogue, tokens: int, length: int) -> float:
        """Estimated numbers in memory at the peak of a step of `tokens` steps of histories of `length`."""
        wide = sum(2.0 * (one.raw.size + one.vectors.size) for one in catalogue.media.values())
        return wide + tokens * (60.0 * self.settings.dim + self._floats_of_a_step(length))

    def _floats_of_a_step(self, length: int) -> float:
        """Estimated numbers in memory for each step of a batch, beyond vectors and scores: those of attention."""
        return 0.0
