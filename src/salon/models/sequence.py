"""Models of the next item by the product of two vectors: the state of a history, and what an item is compared by."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field

from salon.data import Dataset, Queries
from salon.encode.base import FeatureSet
from salon.errors import SettingError
from salon.models.base import VectorRecommender
from salon.models.deep_media import Media, having_any, moved, prepared
from salon.models.pretrained import PretrainedSettings, Start, Transferable, projection_state
from salon.models.sequence_data import Sequences, Windows
from salon.models.sequence_fit import Lesson, NextItemRecommender, NextItemSettings
from salon.models.sequence_network import (
    Catalogue,
    Core,
    ItemNetwork,
    SequenceNetwork,
    read,
)
from salon.training.batches import Negatives
from salon.training.network import flat_weights, load_flat, rebuilt, seeded
from salon.training.softmax import scores_at_once
from salon.types import BoolArray, FloatArray

FULL_UP_TO = 20_000
"""Items that can come next up to which the loss is a softmax over all of them, unless it is chosen."""


class SequenceSettings(NextItemSettings):
    """Settings of models of the next item by vectors."""

    loss: Literal["auto", "full", "sampled"] = "auto"
    """Softmax over the whole catalogue or over the next item and a sample; "auto": whole up to 20,000 items."""
    negatives: int = Field(256, ge=1)
    """Items drawn for each batch of a sampled softmax."""
    power: float = Field(0.0, ge=0, le=1)
    """0 draws them uniformly over the items that somebody liked, 1 by popularity."""
    log_q: bool = True
    """Take the log of the chance to be drawn off the scores of a sampled softmax (Bengio and Senecal, 2003)."""


class SequenceRecommender(NextItemRecommender, VectorRecommender):
    """A recommender that predicts the next item of a history by a product of vectors."""

    tied = True
    """Whether a step shows the same vector of its item that is compared."""
    settings: SequenceSettings

    @abstractmethod
    def _core(self, width: int) -> Core:
        """What reads steps of `width` numbers, not trained."""

    @abstractmethod
    def _items(self, catalogue: Catalogue) -> ItemNetwork:
        """Vectors of items, not trained."""

    # -- fitting -----------------------------------------------------------------------------------------------------

    def _prepared(self, lesson: Lesson, rng: np.random.Generator) -> tuple[SequenceNetwork, Windows]:
        s = self.settings
        can_come = np.unique(lesson.sequences.items)
        negatives = Negatives(lesson.sequences.matrix(lesson.catalogue.n_items), power=s.power)
        full = s.loss == "full" or (s.loss == "auto" and len(can_come) <= FULL_UP_TO)
        batches = Windows(
            lesson.sequences,
            s.length,
            s.batch_size,
            ordered=lesson.ordered,
            negatives=negatives,
            count=0 if full else s.negatives,
        )
        with seeded(rng):
            items = self._items(lesson.catalogue)
            core = self._core(items.width)
        if lesson.start is not None:
            load_flat(core.parameters(), lesson.start.arrays["weights_"])
            load_flat(items.general(), lesson.start.arrays["item_weights_"])
        log_q = negatives.log_q if s.log_q and s.power and not full else None
        return SequenceNetwork(items, core, can_come, log_q), batches

    def _answer(self, network: SequenceNetwork, lesson: Lesson, asked: Sequences) -> FloatArray:
        shown, compared = network.tables()
        scores: FloatArray = read(network.core, shown, asked, self.settings.length) @ compared.T
        scores[:, ~lesson.placed] = -np.inf
        return scores

    def _learned(self, network: SequenceNetwork, lesson: Lesson) -> dict[str, Any]:
        return self._kept(network, lesson.catalogue, lesson.placed)

    def _kept(self, network: SequenceNetwork, catalogue: Catalogue, placed: BoolArray) -> dict[str, Any]:
        """What is kept of a network, by attribute name."""
        shown, compared = network.tables()
        learned = {
            "weights_": flat_weights(network.core.parameters()),
            "items_": np.where(placed[:, None], compared, np.float32(0)),
            "placed_": placed,
        }
        return learned if self.tied else learned | {"shown_": shown}

    def _floats(self, catalogue: Catalogue, tokens: int, length: int) -> float:
        s = self.settings
        tables = 8.0 * catalogue.n_items * s.dim * (1 + len(catalogue.media))
        scores = max(3.0 * tokens * s.negatives, 2.0 * scores_at_once(catalogue.n_items))
        return tables + scores + super()._floats(catalogue, tokens, length)

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
        return rebuilt(lambda: self._core(width), self.weights_)

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

    def _catalogue(self, data: Dataset, items: FeatureSet, start: Start | None) -> Catalogue:
        media = prepared(items, self.settings.width) if start is None else moved(items, start.projections)
        return Catalogue(data.touched(), media)

    def _placed(self, catalogue: Catalogue) -> BoolArray:
        seen = having_any(catalogue.media, catalogue.n_items)
        return seen | catalogue.touched if self.settings.ids else seen

    def _kept(self, network: SequenceNetwork, catalogue: Catalogue, placed: BoolArray) -> dict[str, Any]:
        more = {"item_weights_": flat_weights(network.items.general()), **projection_state(catalogue.media)}
        return {**super()._kept(network, catalogue, placed), **more}

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
        return self._kept(network, catalogue, having_any(media, data.n_items))
