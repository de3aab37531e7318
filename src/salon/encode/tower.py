"""A tower: a network from raw media to vectors, trained end to end on what people did or on the labels of a field."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import nn

from salon.arrays import blocks
from salon.component import load_component
from salon.encode.lessons import Lesson, Source, TrainedEncoder
from salon.encode.tower_blocks import TowerNetwork
from salon.encode.tower_examples import AT_ONCE, Array, Examples, check_memory, collate, through
from salon.encode.tower_lessons import class_lesson, taste_lesson
from salon.encode.tower_lora import adapt, merge
from salon.encode.tower_settings import TowerSettings
from salon.errors import ArtifactError, DataError, MediaError, SettingError
from salon.training.device import pick_device
from salon.training.loop import History, train
from salon.training.network import NetworkComponent, seeded, to_numpy
from salon.types import FloatArray

Shape = dict[str, Any]


class Tower(NetworkComponent, TrainedEncoder):
    """Base of all towers. A subclass says how a value is read, made into an array, and which network takes it.

    Attributes:
        shape_: What decides network and preprocessing; from the settings, or from the tower that it started from.
        log_: How training went: epochs, the one whose weights were kept, its validation score, numbers trained.
    """

    settings: TowerSettings
    network_: TowerNetwork
    shape_: Shape
    log_: dict[str, Any]

    @property
    def dim(self) -> int:
        """Numbers per vector."""
        return int(self.shape_["dim"]) if self.is_fitted else self.settings.dim

    @property
    def version(self) -> str:
        """Version of networks and preprocessing; the weights are part of the fingerprint."""
        return "tower-1"

    @property
    def learns_from(self) -> Source:
        """By `learn`."""
        return {"classes": "labels", "nothing": ""}.get(self.settings.learn, "events")  # type: ignore[return-value]

    @property
    def label_field(self) -> str:
        """By `label`."""
        return self.settings.label

    @abstractmethod
    def read(self, value: Any, shape: Shape) -> Any:
        """A raw value decoded and cleaned; MediaError where it cannot be used."""

    @abstractmethod
    def augmented(self, read: Any, rng: np.random.Generator) -> Any:
        """A changed copy of what `read` gave."""

    @abstractmethod
    def example(self, read: Any, shape: Shape) -> Array:
        """The array that the network takes; only its first axis may differ from value to value."""

    @abstractmethod
    def build(self, shape: Shape) -> TowerNetwork:
        """The network with the weights that it starts from."""

    def load_pretrained(self, network: TowerNetwork, shape: Shape) -> None:
        """Puts pretrained weights of another origin than a saved tower into the network."""

    def _network(self) -> nn.Module:
        return self.build(self.shape_)

    # -- learning ----------------------------------------------------------------------------------------------------

    def fit(
        self, values: Sequence[Any], lesson: Lesson | None = None, *, rng: int | np.random.Generator | None = None
    ) -> Self:
        """Trains the tower; see `TrainedEncoder.fit`.

        Raises:
            SettingError: Settings contradict each other, or the device is not there.
            DataError: The lesson lacks what `learn` needs, or no value can be used.
            ArtifactError: `start` holds no tower of this kind.
            ResourceError: The values take more memory than `memory_mb`.
        """
        lesson, rng = lesson or Lesson(), np.random.default_rng(0 if rng is None else rng)
        self._check(values, lesson)
        shape, network = self._beginning(lesson, rng)
        log: dict[str, Any] = {}
        if self.learns_from:
            log = self._train(network, *self._examples(values, shape, rng), lesson, rng)
        self.shape_, self.log_, self.network_ = dict(sorted(shape.items())), log, network.eval()
        return self

    def _check(self, values: Sequence[Any], lesson: Lesson) -> None:
        self.settings.check()
        pick_device(self.settings.device)
        lesson.check(len(values))
        given = {"events": lesson.positives, "labels": lesson.labels, "": ()}[self.learns_from]
        if given is None:
            raise DataError(
                f"{type(self).__name__} learns from {self.learns_from} (learn = {self.settings.learn!r}) and got none.",
                hint='Fit it in a pipeline or give a Lesson; learn = "nothing" keeps the weights it starts from.',
            )

    def _beginning(self, lesson: Lesson, rng: np.random.Generator) -> tuple[Shape, TowerNetwork]:
        """Shape and network before training: of a saved tower, pretrained elsewhere, or random."""
        if self.settings.start:
            other = load_component((lesson.folder or Path()) / self.settings.start, "encoder")
            if type(other) is not type(self):
                raise ArtifactError(
                    f"{self.settings.start!r} holds a {type(other).__name__}, not a {type(self).__name__}."
                )
            return other.shape_, other.network_
        shape = self.settings.shape()
        with seeded(rng):
            network = self.build(shape)
        self.load_pretrained(network, shape)
        return shape, network

    def _examples(self, values: Sequence[Any], shape: Shape, rng: np.random.Generator) -> tuple[Examples, Array]:
        """The views of all values that can be used, and which these are."""
        count = self.settings.views if self.settings.augment else 1
        views: list[list[Array]] = []
        kept: list[int] = []
        for place, value in enumerate(values):
            try:
                read = self.read(value, shape)
            except MediaError:
                continue  # reported when it is encoded
            if not views:
                check_memory(self.example(read, shape), count * len(values), self.settings.memory_mb)
            changed = [self.augmented(read, rng) for _ in range(count - 1)]
            views.append([self.example(one, shape) for one in (read, *changed)])
            kept.append(place)
        if len(kept) < 2:
            raise DataError(f"{len(kept)} of {len(values)} values can be used.", hint="A tower needs two or more.")
        return Examples(views), np.array(kept, np.int64)

    def _train(
        self, network: TowerNetwork, examples: Examples, kept: Array, lesson: Lesson, rng: np.random.Generator
    ) -> dict[str, Any]:
        """Trains the network in place."""
        settings = self.settings
        cut = self._cut(network)
        examples = through(network, examples, cut, settings.memory_mb, pick_device(settings.device))
        with seeded(rng):
            self._freeze(network, cut)
            if self.learns_from == "labels":
                assert lesson.labels is not None
                labels = [lesson.labels[place] for place in kept]
                task, batches, score = class_lesson(network, cut, examples, labels, settings, rng)
            else:
                assert lesson.positives is not None
                liked = lesson.positives.tocsc()[:, kept].tocsr()
                task, batches, score = taste_lesson(network, cut, examples, liked, settings, rng)
        history = train(task, batches, settings, rng=rng, score=score, parameters=self._groups(task, cut))
        trained = sum(p.numel() for p in network.parameters() if p.requires_grad)
        merge(network).requires_grad_(True)
        return _log(history, trained)

    def _cut(self, network: TowerNetwork) -> int:
        """The first block that is trained; the last one, the pool, has nothing to train."""
        last, tune = len(network.blocks), self.settings.tune
        return {"all": 0, "head": last}.get(tune, max(0, last - 1 - self.settings.layers))

    def _freeze(self, network: TowerNetwork, cut: int) -> None:
        network.blocks[:cut].requires_grad_(False)
        if self.settings.tune == "lora" and not adapt(network.blocks[cut:], self.settings.rank, self.settings.alpha):
            raise SettingError(
                f"The last {self.settings.layers} layers have no linear map to adapt.", hint='Set tune = "last".'
            )

    def _groups(self, task: nn.Module, cut: int) -> list[dict[str, Any]]:
        """Pretrained weights at their share of the learning rate, everything else at the whole."""
        rate, tune = self.settings.learning_rate, self.settings.tune
        slow = self.settings.pretrained and tune != "lora"
        trunk = [p for p in task.network.blocks[cut:].parameters() if p.requires_grad] if slow else []
        chosen = {id(p) for p in trunk}
        rest = [p for p in task.parameters() if p.requires_grad and id(p) not in chosen]
        groups = [{"params": rest, "lr": rate}]
        return [*groups, {"params": trunk, "lr": rate * self.settings.trunk_rate}] if trunk else groups

    # -- encoding ----------------------------------------------------------------------------------------------------

    def prepare(self, value: Any) -> Any:
        """The value decoded and cleaned; MediaError where it cannot be used."""
        self.check_fitted()
        return self.read(value, self.shape_)

    def embed(self, batch: Sequence[Any]) -> FloatArray:
        """(n, dim) float32 of unit length."""
        self.check_fitted()
        device = pick_device(self.settings.device)
        network, parts = self.network_.to(device).eval(), [np.zeros((0, self.dim), np.float32)]
        for rows in blocks(len(batch), AT_ONCE):
            values, lengths = collate([self.example(one, self.shape_) for one in batch[rows]])
            with torch.no_grad():
                parts.append(to_numpy(network(torch.as_tensor(values).to(device), torch.as_tensor(lengths))))
        return np.concatenate(parts)


def _log(history: History, trained: int) -> dict[str, Any]:
    score = round(history.best_score, 6) if history.scores else None
    log = {"epochs": len(history.losses), "kept": history.best_epoch, "score": score, "trained_numbers": trained}
    return dict(sorted(log.items()))  # in the order of a saved file, so that the fingerprint stays
