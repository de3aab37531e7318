"""What models of the next item share: settings, training, early stopping, answers from the order of a history.

A history is read oldest first, liked items alone; its answer is computed from its steps whenever it is asked, so that
an action of a second ago counts and people never met are answered like all others. Where the times of the events mean
nothing, order is no evidence: histories come in a new random order every epoch.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field

from salon.data import Dataset, Holdout, Queries
from salon.encode.base import FeatureSet
from salon.errors import DataError, ResourceError, SettingError
from salon.models.base import VectorRecommender
from salon.models.deep_media import Media, having_any, moved, prepared
from salon.models.pretrained import PretrainedSettings, Start, Transferable, projection_state
from salon.models.sequence_data import Sequences, Windows
from salon.models.sequence_network import (
    CHUNK,
    SCORES_AT_ONCE,
    Catalogue,
    Core,
    ItemNetwork,
    SequenceNetwork,
    read,
)
from salon.models.sequence_question import NextQuestion, hold_out
from salon.training.batches import Negatives
from salon.training.loop import train
from salon.training.network import flat_weights, load_flat, seeded
from salon.training.settings import TrainingSettings
from salon.types import BoolArray, FloatArray

FULL_UP_TO = 20_000
"""Items that can come next up to which the loss is a softmax over all of them, unless it is chosen."""


class SequenceSettings(TrainingSettings):
    """Settings of all models of the next item."""

    dim: int = Field(64, ge=2)
    """Numbers per vector."""
    length: int = Field(50, ge=1, le=2000)
    """Most steps of a history that are read, the last ones."""
    dropout: float = Field(0.2, ge=0, lt=1)
    """Share of the numbers hidden in training."""
    loss: Literal["auto", "full", "sampled"] = "auto"
    """Softmax over the whole catalogue or over the next item and a sample; "auto": whole up to 20,000 items."""
    negatives: int = Field(256, ge=1)
    """Items drawn for each batch of a sampled softmax."""
    power: float = Field(0.0, ge=0, le=1)
    """0 draws them uniformly over the items that somebody liked, 1 by popularity."""
    log_q: bool = True
    """Take the log of the chance to be drawn off the scores of a sampled softmax (Bengio and Senecal, 2003)."""
    epochs: int = Field(200, ge=1)
    """Most passes over the histories."""
    batch_size: int = Field(256, ge=1)
    """Windows per step."""
    memory_gb: float = Field(8.0, gt=0)
    """Memory that a fit may need by its estimate, in GB; more is refused before it starts."""


@dataclass(frozen=True)
class _Lesson:
    """What a training run learns from."""

    sequences: Sequences
    catalogue: Catalogue
    placed: BoolArray
    ordered: bool
    start: Start | None


class SequenceRecommender(VectorRecommender):
    """A recommender that predicts the next item of a history."""

    handles_cold_users = True
    tied = True
    """Whether a step shows the same vector of its item that is compared."""
    settings: SequenceSettings

    @abstractmethod
    def _core(self, width: int) -> Core:
        """What reads steps of `width` numbers, not trained."""

    @abstractmethod
    def _items(self, catalogue: Catalogue) -> ItemNetwork:
        """Vectors of items, not trained."""

    def _placed(self, catalogue: Catalogue) -> BoolArray:
        """(items,) bool, the items that have a vector."""
        return catalogue.touched

    @property
    def _reads_times(self) -> bool:
        return False

    # -- fitting -----------------------------------------------------------------------------------------------------

    def _fit(
        self, data: Dataset, items: FeatureSet, rng: np.random.Generator, validation: Holdout | None
    ) -> dict[str, Any]:
        start = self._start()
        touched = data.touched()
        if not touched.any():
            raise DataError("There are no positive actions to learn from.", hint="Give events with a weight above 0.")
        media: Mapping[str, Media] = {}
        if isinstance(self.settings, MediaSequenceSettings):
            media = prepared(items, self.settings.width) if start is None else moved(items, start.projections)
        catalogue = Catalogue(touched, media)
        placed = self._placed(catalogue)
        if self._reads_times and data.events.time_kind != "timestamp":
            raise DataError("These events have no timestamps.", hint="Declare the time of the events.")
        sequences = Sequences.of(data.queries(), placed)
        self._refuse_too_much(catalogue, sequences)
        lesson = _Lesson(sequences, catalogue, placed, data.events.has_order, start)
        if validation is not None:
            return self._learn(lesson, NextQuestion.of(validation, placed, rng), rng, self.settings)[0]
        return self._learn_by_holdout(lesson, rng)

    def _start(self) -> Start | None:
        """Where training begins, if not anew."""
        return None

    def _learn_by_holdout(self, lesson: _Lesson, rng: np.random.Generator) -> dict[str, Any]:
        """Training without the last items finds the number of epochs of training on all."""
        settings, folder = self.settings, self.settings.checkpoint
        if settings.patience and settings.epochs > settings.validate_every:
            kept, question = hold_out(lesson.sequences, lesson.catalogue.n_items, rng, ordered=lesson.ordered)
            first = settings.model_copy(update={"checkpoint": str(Path(folder) / "choose") if folder else ""})
            epochs = self._learn(replace(lesson, sequences=kept), question, rng, first)[1]
            last = {"epochs": epochs, "checkpoint": str(Path(folder) / "all") if folder else ""}
            settings = settings.model_copy(update=last)
        return self._learn(lesson, None, rng, settings)[0]

    def _learn(
        self, lesson: _Lesson, question: NextQuestion | None, rng: np.random.Generator, settings: SequenceSettings
    ) -> tuple[dict[str, Any], int]:
        """One training run: what was learned, and its best epoch."""
        network, batches = self._prepared(lesson, rng, settings)

        def answer(asked: Sequences) -> FloatArray:
            shown, compared = network.tables()
            scores: FloatArray = read(network.core, shown, asked, settings.length) @ compared.T
            scores[:, ~lesson.placed] = -np.inf
            return scores

        score = None if question is None else lambda: question.score(answer)
        history = train(network, batches, settings, rng=rng, score=score)
        return self._learned(network, lesson.catalogue, lesson.placed), history.best_epoch

    def _learned(self, network: SequenceNetwork, catalogue: Catalogue, placed: BoolArray) -> dict[str, Any]:
        """What is kept of a trained network, by attribute name."""
        shown, compared = network.tables()
        learned = {
            "weights_": flat_weights(network.core.parameters()),
            "items_": np.where(placed[:, None], compared, np.float32(0)),
            "placed_": placed,
        }
        return learned if self.tied else learned | {"shown_": shown}

    def _prepared(
        self, lesson: _Lesson, rng: np.random.Generator, settings: SequenceSettings
    ) -> tuple[SequenceNetwork, Windows]:
        """The network before training, and its batches."""
        can_come = np.unique(lesson.sequences.items)
        negatives = Negatives(lesson.sequences.matrix(lesson.catalogue.n_items), power=settings.power)
        full = settings.loss == "full" or (settings.loss == "auto" and len(can_come) <= FULL_UP_TO)
        count = 0 if full else settings.negatives
        batches = Windows(
            lesson.sequences,
            settings.length,
            settings.batch_size,
            ordered=lesson.ordered,
            negatives=negatives,
            count=count,
        )
        with seeded(rng):
            items = self._items(lesson.catalogue)
            core = self._core(items.width)
        if lesson.start is not None:
            load_flat(core.parameters(), lesson.start.arrays["weights_"])
            load_flat(items.general(), lesson.start.arrays["item_weights_"])
        log_q = negatives.log_q if settings.log_q and settings.power and not full else None
        return SequenceNetwork(items, core, can_come, log_q), batches

    def _refuse_too_much(self, catalogue: Catalogue, sequences: Sequences) -> None:
        s = self.settings
        tokens = s.batch_size * min(s.length, int(np.diff(sequences.indptr).max(initial=1)))
        wide = sum(2.0 * (one.raw.size + one.vectors.size) for one in catalogue.media.values())
        tables = 8.0 * catalogue.n_items * s.dim * (1 + len(catalogue.media))
        pieces = tokens * min(catalogue.n_items, max(CHUNK, s.negatives))
        scores = 3.0 * max(pieces, min(tokens * catalogue.n_items, SCORES_AT_ONCE))
        steps = tokens * (60.0 * s.dim + self._floats_of_a_step(tokens // s.batch_size))
        gigabytes = 4e-9 * (tables + wide + scores + steps)
        if gigabytes > s.memory_gb:
            raise ResourceError(
                f"{type(self).__name__} would need about {gigabytes:.1f} GB for {catalogue.n_items} items and "
                f"{tokens} steps per batch; allowed are {s.memory_gb:g} GB.",
                hint="Lower batch_size, length or dim, leave out rare items, or raise memory_gb.",
            )

    def _floats_of_a_step(self, length: int) -> float:
        """Estimated numbers in memory for each step of a batch, beyond vectors and scores: those of attention."""
        return 0.0

    # -- answers -----------------------------------------------------------------------------------------------------

    def user_vectors(self, queries: Queries) -> FloatArray:
        """(n, dim) float32: the state after the last step of each history; 0 without a liked item that has a vector."""
        self.check_fitted()
        shown = self.items_ if self.tied else self.shown_
        return read(self._trained_core(shown.shape[1]), shown, self._sequences(queries), self.settings.length)

    def item_vectors(self) -> FloatArray:
        """(items, dim) float32; zero for items without a vector, which `score` leaves out."""
        self.check_fitted()
        return self.items_

    def _sequences(self, queries: Queries) -> Sequences:
        return Sequences.of(queries, self.placed_)

    def _score(self, queries: Queries) -> FloatArray:
        scores: FloatArray = self.user_vectors(queries) @ self.items_.T
        scores[:, ~self.placed_] = -np.inf
        scores[np.diff(self._sequences(queries).indptr) == 0] = -np.inf
        return scores

    def _trained_core(self, width: int) -> Core:
        with torch.random.fork_rng():
            core = self._core(width)
        load_flat(core.parameters(), self.weights_)
        return core.eval()

    weights_: FloatArray
    items_: FloatArray
    shown_: FloatArray
    placed_: BoolArray


class MediaSequenceSettings(SequenceSettings, PretrainedSettings):
    """Settings of models of the next item that read item features."""

    epochs: int = Field(200, ge=0)
    """Most passes over the histories; 0 takes a pretrained model as it is."""
    width: int = Field(256, ge=1)
    """Leading directions (PCA) kept of wider features; they are not trained."""
    hide: float = Field(0.3, ge=0, lt=1)
    """Chance that training hides a modality or the free vector of an item, so that the others learn to stand alone."""
    ids: bool = True
    """A free vector per liked item beside its features; without, items differ by their features alone."""


class MediaSequenceRecommender(Transferable, SequenceRecommender):
    """A recommender that predicts the next item with the features of items; new items are placed by theirs."""

    settings: MediaSequenceSettings
    carried = ("weights_", "item_weights_")

    def _placed(self, catalogue: Catalogue) -> BoolArray:
        seen = having_any(catalogue.media, catalogue.n_items)
        return seen | catalogue.touched if self.settings.ids else seen

    def _learned(self, network: SequenceNetwork, catalogue: Catalogue, placed: BoolArray) -> dict[str, Any]:
        more = {"item_weights_": flat_weights(network.items.general()), **projection_state(catalogue.media)}
        return {**super()._learned(network, catalogue, placed), **more}

    def _check_movable(self) -> None:
        if self.settings.ids:
            raise SettingError(
                "The model has a free vector per item (ids = true), which no other catalogue can use.",
                hint="Fit it with ids = false.",
            )

    def _moved(self, data: Dataset, media: Mapping[str, Media], start: Start) -> dict[str, Any]:
        catalogue = Catalogue(np.zeros(data.n_items, bool), media)
        with torch.random.fork_rng():
            items = self._items(catalogue)
            core = self._core(items.width)
        load_flat(core.parameters(), start.arrays["weights_"])
        load_flat(items.general(), start.arrays["item_weights_"])
        network = SequenceNetwork(items, core, np.zeros(0, np.int64), None).eval()
        return self._learned(network, catalogue, having_any(media, data.n_items))
