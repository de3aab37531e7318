"""Models that read content alone: what is learned on one catalogue answers, or begins, on another that shares no ids.

A fitted model is moved to another catalogue whose items were encoded alike (`moved_to`): it answers there at once. Or a
fit begins where another one ended (the setting `pretrained`). Either way means and leading directions (PCA) of the
features are those of the first catalogue, and the vectors of each modality must come from the same encoder. Modalities
that the first catalogue lacked are left out; those that the second one lacks are masked.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from salon.artifacts import MANIFEST, read_json, reading
from salon.component import read_component
from salon.config import Settings
from salon.data import Dataset, Holdout
from salon.encode.base import FeatureSet
from salon.errors import ArtifactError, SettingError
from salon.models.base import Recommender
from salon.models.deep_media import Media, Projection, moved
from salon.registry import name_of

PIPELINE = "pipeline"
"""The kind of artefact that holds a model in a folder of that name."""


class PretrainedSettings(Settings):
    """Settings of models that can begin where another fit ended."""

    pretrained: str = ""
    """Folder of a model of the same name fitted on another catalogue, or of a whole `salon fit`, where this one begins;
    in a catalogue file a path relative to it. Empty: begins anew."""


@dataclass(frozen=True)
class Start:
    """What a fitted model hands to another catalogue.

    Attributes:
        projections: Modality to what makes vectors of its features.
        arrays: Learned attributes that name no item and no person, by name.
    """

    projections: Mapping[str, Projection]
    arrays: Mapping[str, Any]


class Transferable(Recommender):
    """A recommender that can be moved to another catalogue; named before the class that learns among the bases."""

    needs_features = True
    handles_cold_items = True
    carried: ClassVar[tuple[str, ...]]
    """Learned attributes that name no item and no person."""
    shape: ClassVar[tuple[str, ...]]
    """Settings that decide how many numbers these are; a fit has them from its pretrained model."""
    settings: PretrainedSettings
    modalities_: list[str]

    @abstractmethod
    def _moved(self, data: Dataset, media: Mapping[str, Media], start: Start) -> dict[str, Any]:
        """What answers on another catalogue without learning there; the fitted model is `start`, not `self`."""

    def _check_movable(self) -> None:
        """Raises SettingError where what was learned depends on ids."""

    def _fit(
        self, data: Dataset, items: FeatureSet, rng: np.random.Generator, validation: Holdout | None
    ) -> dict[str, Any]:
        if self._learns(data):
            return super()._fit(data, items, rng, validation)  # type: ignore[safe-super]
        start = self._start()
        if start is None:
            raise SettingError(
                "epochs is 0.", hint="Give at least 1, or name a pretrained model that answers as it is."
            )
        return self._moved(data, moved(items, start.projections), start)

    def _learns(self, data: Dataset) -> bool:
        """Whether a fit is more than taking a pretrained model as it is."""
        passes = getattr(self.settings, "epochs", 1) > 0
        return passes and (bool(data.touched().any()) or not self.settings.pretrained)

    def moved_to(self, data: Dataset, items: FeatureSet) -> Self:
        """The same model for another catalogue, where it answers without having learned there (zero-shot).

        Args:
            data: The other catalogue; its log may be empty, and may be read, such as by a model that walks a graph.
            items: Features of its items, made by the encoders of the first catalogue.

        Raises:
            NotFittedError: `fit` was not called.
            FingerprintError: A modality was made by another encoder.
            DataError: No modality is shared.
            SettingError: The model was fitted with settings that tie it to its own items.
        """
        self.check_fitted()
        self._check_movable()
        start = self.start()
        state = self._moved(data, moved(items, start.projections), start)
        return type(self)(self.settings).restore({"n_items_": data.n_items, **state})

    def start(self) -> Start:
        """What this fitted model hands to another catalogue."""
        found = vars(self)
        projections = {
            name: Projection(print_, found[f"mean_{place}_"], found[f"directions_{place}_"])
            for place, (name, print_) in enumerate(zip(self.modalities_, found["fingerprints_"], strict=True))
        }
        return Start(projections, {name: found[name] for name in self.carried})

    def _start(self) -> Start | None:
        """What the pretrained model hands over, or None where none is named."""
        if not self.settings.pretrained:
            return None
        origin = read_pretrained(Path(self.settings.pretrained))
        if type(origin) is not type(self):
            mine, theirs = (name_of("model", type(one)) for one in (self, origin))
            raise ArtifactError(f"{self.settings.pretrained!r} holds a {theirs!r}, not a {mine!r}.")
        origin._check_movable()
        for name in self.shape:
            mine, theirs = getattr(self.settings, name), getattr(origin.settings, name)
            if mine != theirs:
                raise SettingError(f"{name} is {mine}; the pretrained model has {theirs}.", hint=f"Set it to {theirs}.")
        return origin.start()


def projection_state(media: Mapping[str, Media]) -> dict[str, Any]:
    """Names, encoders, means and directions of modalities as learned attributes; `Transferable.start` reads them."""
    state: dict[str, Any] = {
        "modalities_": list(media),
        "fingerprints_": [one.projection.fingerprint for one in media.values()],
    }
    for place, one in enumerate(media.values()):
        state |= {f"mean_{place}_": one.projection.mean, f"directions_{place}_": one.projection.directions}
    return state


def read_pretrained(folder: Path) -> Any:
    """The model in a folder that `Pipeline.save`, `salon fit` or `Recommender.save` wrote.

    Raises:
        ArtifactError: It is none of these, or damaged.
    """
    kind = read_json(folder / MANIFEST).get("kind") if (folder / MANIFEST).is_file() else "model"
    reading(folder, PIPELINE if kind == PIPELINE else "model")
    return read_component(folder / "model" if kind == PIPELINE else folder, "model")
