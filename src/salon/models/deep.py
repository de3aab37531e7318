"""What models trained by gradients on pairs (user, liked item) share: settings, batches, early stopping, answers.

A model is a network that gives vectors of all users and items and a loss for a batch of pairs. Training stops by
validation; then only vectors are kept, and histories are answered by `deep_answers`. Without validation questions a
tenth of the likes is kept apart to find the number of epochs, and the network is trained anew on all of them.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, ClassVar, TypeAlias

import numpy as np
import torch
from pydantic import Field
from scipy import sparse

from salon.data import Dataset, Holdout, Queries
from salon.encode.base import FeatureSet
from salon.errors import ResourceError
from salon.models.base import VectorRecommender
from salon.models.deep_answers import Answers
from salon.models.deep_media import Media, moved, prepared
from salon.models.deep_network import Material, PairNetwork
from salon.models.deep_question import Question, hold_out
from salon.models.pretrained import Start
from salon.models.rows import query_rows, touched_columns, training_rows
from salon.training.batches import Negatives, shuffled
from salon.training.loop import train
from salon.training.network import seeded, to_numpy
from salon.training.settings import TrainingSettings, settings_for_all
from salon.types import BoolArray, FloatArray, IntArray

Placing: TypeAlias = Callable[[FloatArray], FloatArray]
"""(items, d) float32 as a network gives them to the same as they are kept."""


class DeepSettings(TrainingSettings):
    """Settings of all models trained on pairs."""

    dim: int = Field(64, ge=2)
    """Numbers per vector."""
    reg: float = Field(1e-3, ge=0)
    """Weight of the squared vectors of a batch, before propagation."""
    negatives: int = Field(4, ge=1)
    """Items nobody liked that each liked one is compared with, drawn uniformly."""
    epochs: int = Field(300, ge=1)
    """Most passes over the likes."""
    batch_size: int = Field(8192, ge=1)
    """Pairs per step."""
    learning_rate: float = Field(2e-2, gt=0)
    """Step size of Adam."""
    validate_every: int = Field(3, ge=1)
    """Epochs between two looks at the validation score."""
    patience: int = Field(5, ge=0)
    """Looks without a better score after which training stops; 0 never stops early."""
    memory_gb: float = Field(8.0, gt=0)
    """Memory that a fit may need by its estimate, in GB; more is refused before it starts."""


class MediaSettings(DeepSettings):
    """Settings of all models that read item features."""

    width: int = Field(256, ge=1)
    """Leading directions (PCA) kept of wider features; they are not trained."""


class DeepRecommender(VectorRecommender):
    """A recommender whose vectors come from a `PairNetwork`."""

    handles_cold_users = True
    views: ClassVar[float] = 0.0
    """What one modality adds to the memory of a step, in parts of what the likes alone take."""
    settings: DeepSettings

    @abstractmethod
    def _network(self, material: Material) -> PairNetwork:
        """The network, not trained; built under the seed of the fit."""

    def _placed(self, material: Material) -> BoolArray:
        """(items,) bool, the items that the network can place."""
        return material.touched

    def _placings(self, material: Material, *, among_all: bool) -> list[Placing]:
        """What may be kept as the vectors of items: the first, or what answers the questions of validation best.

        `among_all` says that they rank all items.
        """
        return [lambda items: items]

    def _floats(self, rows: sparse.csr_array, media: Mapping[str, Media]) -> float:
        """Estimated numbers in memory at the peak of a step: tables, moments, layers, graphs, features, batch."""
        dim, s = self.settings.dim, self.settings
        nodes = 24.0 * sum(rows.shape) * dim * (1 + self.views * len(media))
        wide = sum(2.0 * (one.raw.size + one.vectors.size) for one in media.values())
        return nodes + wide + 12.0 * rows.nnz + s.batch_size * dim * (6.0 + 3.0 * s.negatives)

    def _fit(
        self, data: Dataset, items: FeatureSet, rng: np.random.Generator, validation: Holdout | None
    ) -> dict[str, Any]:
        start = self._start()
        rows = training_rows(data, weighted=False)
        media: Mapping[str, Media] = {}
        if isinstance(self.settings, MediaSettings):
            media = prepared(items, self.settings.width) if start is None else moved(items, start.projections)
        self._refuse_too_much(rows, media)
        material = Material(rows, touched_columns(rows), media, start)
        settings, question = self.settings, None
        if validation is not None:
            question = Question.of(validation, rng)
        else:
            settings = settings_for_all(settings, lambda given: self._best_epoch(material, rng, given))
        return self._learn(material, question, rng, settings)[0]

    def _start(self) -> Start | None:
        """Where training begins, if not anew."""
        return None

    def _best_epoch(self, material: Material, rng: np.random.Generator, settings: DeepSettings) -> int:
        """Of training on nine tenths of the likes."""
        kept, question = hold_out(material.rows, rng)
        part = replace(material, rows=kept, touched=touched_columns(kept))
        return self._learn(part, question, rng, settings)[1]

    def _learn(
        self, material: Material, question: Question | None, rng: np.random.Generator, settings: DeepSettings
    ) -> tuple[dict[str, Any], int]:
        """One training run: what was learned, and its best epoch."""
        with seeded(rng):
            network = self._network(material)
        among_all = question is not None and question.candidates is None
        placed, placings = self._placed(material), self._placings(material, among_all=among_all)

        def answers(place: Placing = placings[0]) -> Answers:
            with torch.no_grad():
                users, items = network.vectors()
            return Answers.of(material.rows, to_numpy(users), place(to_numpy(items)), placed)

        score = None if question is None else lambda: question.score(answers())
        batches = Pairs(material.rows, settings, network)
        history = train(network, batches, settings, rng=rng, score=score)
        if len(placings) > 1 and question is not None:
            placings = sorted(placings, key=lambda place: -question.score(answers(place)))
        return {**answers(placings[0]).state(), **self._carried(network, material)}, history.best_epoch

    def _carried(self, network: PairNetwork, material: Material) -> dict[str, Any]:
        """What is kept beside the answers, by attribute name."""
        return {}

    def _refuse_too_much(self, rows: sparse.csr_array, media: Mapping[str, Media]) -> None:
        gigabytes = 4e-9 * self._floats(rows, media)
        if gigabytes > self.settings.memory_gb:
            raise ResourceError(
                f"{type(self).__name__} would need about {gigabytes:.1f} GB for {rows.shape[0]} users, "
                f"{rows.shape[1]} items and {rows.nnz} likes; allowed are {self.settings.memory_gb:g} GB.",
                hint="Lower dim or batch_size, leave out rare items, raise memory_gb, or use 'als'.",
            )

    def user_vectors(self, queries: Queries) -> FloatArray:
        """(n, d) float32: as trained for a history met in training, else folded in; 0 without a like to go by."""
        self.check_fitted()
        return self._answers().people(query_rows(queries, self.n_items_, weighted=False))

    def item_vectors(self) -> FloatArray:
        """(items, d) float32; zero for items that cannot be placed, which `score` leaves out."""
        self.check_fitted()
        return self.items_

    def _score(self, queries: Queries) -> FloatArray:
        return self._answers().scores(query_rows(queries, self.n_items_, weighted=False))

    def _answers(self) -> Answers:
        return Answers(self.keys_, self.users_, self.items_, self.placed_, self.fold_)

    keys_: IntArray
    users_: FloatArray
    items_: FloatArray
    placed_: BoolArray
    fold_: FloatArray


class Pairs:
    """Epochs of (users (n,), liked items (n,), other items) in random order."""

    def __init__(self, rows: sparse.csr_array, settings: DeepSettings, network: PairNetwork) -> None:
        self._users = np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr))
        self._items = rows.indices.astype(np.int64)
        self._negatives = Negatives(rows)
        self._settings, self._network = settings, network

    def __call__(self, rng: np.random.Generator) -> Iterator[tuple[IntArray, IntArray, IntArray]]:
        """One epoch."""
        self._network.begin_epoch(rng)
        for part in shuffled(len(self._users), self._settings.batch_size, rng):
            yield self._users[part], self._items[part], self._others(self._users[part], rng)

    def _others(self, users: IntArray, rng: np.random.Generator) -> IntArray:
        """(n, k) items that each user has not liked; (k,) any items, or (n, 0), where the network asks for these."""
        kind, count = self._network.others, self._settings.negatives
        if kind == "shared":
            return self._negatives.draw_any(count, rng)
        return self._negatives.draw(users, count if kind == "own" else 0, rng)
