"""A network that is adapted to a person by a few gradient steps on their history, inside the answer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import Field

from salon.arrays import block_size, blocks
from salon.data import Dataset, Holdout, Queries
from salon.encode.base import FeatureSet
from salon.models.base import Grid
from salon.models.deep_media import Media, having_any, moved, prepared
from salon.models.few_questions import FewQuestion, few_questions
from salon.models.melu_episodes import Episodes, padded
from salon.models.melu_network import MeLUNetwork, adapt, blank_decision, decide_all
from salon.models.pretrained import PretrainedSettings, Start, Transferable, projection_state
from salon.training.loop import train
from salon.training.network import flat_weights, load_flat, seeded, to_numpy
from salon.training.settings import TrainingSettings
from salon.types import BoolArray, FloatArray, IntArray

COPIES = 8
"""How many times the adapted layers of a person and what they make of the references are held in an answer, at most."""


class MeLUSettings(TrainingSettings, PretrainedSettings):
    """Settings of `MeLU`."""

    dim: int = Field(64, ge=2)
    """Numbers per item after the embedding, which is not adapted."""
    hidden: int = Field(64, ge=1)
    """Width of the hidden layer, which is."""
    width: int = Field(256, ge=1)
    """Leading directions (PCA) kept of wider features; they are not trained."""
    steps: int = Field(2, ge=0, le=50)
    """Gradient steps on a history."""
    inner_rate: float = Field(0.3, gt=0)
    """Size of such a step."""
    support: int = Field(20, ge=1)
    """Most actions that are adapted to: in training 1 to so many at random, in an answer the latest."""
    references: int = Field(64, ge=1)
    """Items of the catalogue, drawn once, that the inner loss holds against the history."""
    negatives: int = Field(256, ge=1)
    """Items drawn for each batch that the asked ones are compared with."""
    shots: tuple[int, ...] = (1, 3, 5, 10)
    """Lengths of history at which training is validated."""
    epochs: int = Field(300, ge=0)
    """Most passes over the people; 0 takes a pretrained model as it is."""
    batch_size: int = Field(128, ge=1)
    """People per step."""
    learning_rate: float = Field(3e-3, gt=0)
    """Step size of Adam."""
    validate_every: int = Field(3, ge=1)
    """Epochs between two looks at the validation score."""
    patience: int = Field(5, ge=0)
    """Looks without a better score after which training stops; 0 never stops early."""


class MeLU(Transferable):
    """Meta-learned user preference estimator (Lee et al., KDD 2019), by first-order MAML (Finn et al., ICML 2017).

        e_i = relu(W f_i + c),  score = w . relu(A e_i + a) + b
        (A, a, w, b)_p = (A, a, w, b) - rate * gradient of the inner loss over the history of p, `steps` times
        inner loss = mean of ln(1 + exp(-y s)) over the history
                     + share of likes among it * mean of ln(1 + exp(s)) over the references
        outer loss = softmax of what else p liked among itself and drawn items, by the adapted layers

    y is 1 for a like and -1 for a dislike; neutral actions, sizes of weights and ratings are not read. The references
    stand for what was not chosen, as a history of likes alone would raise all scores alike; those of the history are
    left out. Differs from the paper: frozen media in the place of tables of attributes, no attributes of people, likes
    in the place of ratings and hence these losses, one hidden layer, and no second derivatives. Items without features
    have no score and adapt nothing. Without a history the answer is that of the network before adaptation.
    """

    handles_cold_users = True
    settings: MeLUSettings
    carried = ("embedding_", "decision_")
    shape = ("dim", "hidden")
    grid: ClassVar[Grid] = {"inner_rate": (0.1, 0.3, 1.0), "learning_rate": (1e-3, 3e-3), "steps": (1, 3)}

    def _fit(
        self, data: Dataset, items: FeatureSet, rng: np.random.Generator, validation: Holdout | None
    ) -> dict[str, Any]:
        if not self._learns(data):
            return super()._fit(data, items, rng, validation)
        start = self._start()
        media = prepared(items, self.settings.width) if start is None else moved(items, start.projections)
        people, questions = few_questions(data, validation, self.settings.shots, rng)
        settings, folder = self.settings, self.settings.checkpoint
        if validation is not None:
            return self._learn(data.queries(people), media, start, questions, rng, settings)[0]
        if settings.patience and settings.epochs > settings.validate_every and questions and len(people):
            first = settings.model_copy(update={"checkpoint": str(Path(folder) / "choose") if folder else ""})
            epochs = self._learn(data.queries(people), media, start, questions, rng, first)[1]
            last = {"epochs": epochs, "checkpoint": str(Path(folder) / "all") if folder else ""}
            settings = settings.model_copy(update=last)
        return self._learn(data.queries(data.active_users()), media, start, [], rng, settings)[0]

    def _learn(
        self,
        queries: Queries,
        media: Mapping[str, Media],
        start: Start | None,
        questions: list[FewQuestion],
        rng: np.random.Generator,
        settings: MeLUSettings,
    ) -> tuple[dict[str, Any], int]:
        """One training run: what was learned, and its best epoch."""
        n_items = len(next(iter(media.values())).present)
        placed = having_any(media, n_items)
        touched = np.zeros(n_items, bool)
        touched[queries.items[queries.weights > 0]] = True
        with seeded(rng):
            network = self._network(media, self._references(touched & placed, rng), start)
        trial = type(self)(settings)

        def score() -> float:
            trial.restore({"n_items_": n_items, **self._answers(network, media, placed)})
            return float(np.mean([question.score(trial.score) for question in questions]))

        known = queries.only(placed[queries.items] & (queries.weights != 0))
        sizes = {"size": settings.batch_size, "support": settings.support, "negatives": settings.negatives}
        batches = Episodes(known, n_items, **sizes)
        history = train(network, batches, settings, rng=rng, score=score if questions else None)
        return self._answers(network, media, placed), history.best_epoch

    def _network(self, media: Mapping[str, Media], references: IntArray, start: Start | None) -> MeLUNetwork:
        s = self.settings
        return MeLUNetwork(media, s.dim, s.hidden, references, steps=s.steps, rate=s.inner_rate, start=start)

    def _references(self, among: BoolArray, rng: np.random.Generator) -> IntArray:
        rows = np.flatnonzero(among)
        return np.sort(rng.choice(rows, min(self.settings.references, len(rows)), replace=False))

    def _answers(self, network: MeLUNetwork, media: Mapping[str, Media], placed: BoolArray) -> dict[str, Any]:
        with torch.no_grad():
            vectors = to_numpy(network.embedded())
        return {
            "items_": np.where(placed[:, None], vectors, np.float32(0)),
            "placed_": placed,
            "references_": network.references.numpy().copy(),
            "embedding_": flat_weights(network.embed.parameters()),
            "decision_": flat_weights(network.decision),
            **projection_state(media),
        }

    def _score(self, queries: Queries) -> FloatArray:
        kept = queries.only(self.placed_[queries.items] & (queries.weights != 0))
        kept = kept.only(kept.recency_rank() < self.settings.support)
        rows, signs = padded(kept, np.ones(len(kept.items), bool), self.settings.support)
        vectors, references = torch.from_numpy(self.items_), torch.from_numpy(self.references_)
        decision = blank_decision(self.settings.dim, self.settings.hidden)
        load_flat(decision, self.decision_)
        scores = np.full((len(queries), self.n_items_), -np.inf, np.float32)
        per_person = COPIES * self.settings.hidden * (self.settings.dim + len(references))
        for part in blocks(len(queries), block_size(per_person)):
            asked = torch.from_numpy(rows[part]), torch.from_numpy(signs[part])
            adapted = adapt(decision, vectors, *asked, references, self.settings.steps, self.settings.inner_rate)
            with torch.no_grad():
                scores[part] = decide_all(adapted, vectors).numpy()
        scores[:, ~self.placed_] = -np.inf
        return scores

    def _moved(self, data: Dataset, media: Mapping[str, Media], start: Start) -> dict[str, Any]:
        placed = having_any(media, data.n_items)
        references = self._references(placed, np.random.default_rng(0))
        with torch.random.fork_rng():
            network = self._network(media, references, start)
        return self._answers(network, media, placed)

    items_: FloatArray
    placed_: BoolArray
    references_: IntArray
    embedding_: FloatArray
    decision_: FloatArray
