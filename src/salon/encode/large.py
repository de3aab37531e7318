"""What all large models have in common: settings, device and precision, batches, the cut to fewer numbers, spaces.

A model is named by its folder, hub id or short name (see `large_source`), and loaded when the first value is encoded.
Encoders of one model share what is loaded, and those that put several modalities into one space name the same space.
"""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal
from weakref import WeakValueDictionary

import numpy as np
import torch
from pydantic import Field

from salon.arrays import blocks
from salon.config import Settings
from salon.encode.base import Encoder
from salon.encode.large_network import as_numpy, loading, running, unit_vectors
from salon.encode.large_source import Source, locate
from salon.encode.sentences import TextEncoder
from salon.errors import SettingError, WeightsError
from salon.training.device import pick_device
from salon.types import FloatArray

Arrays = dict[str, np.ndarray[Any, Any]]
"""The inputs of a network for one picture, or for one window of a sound."""
HOW = ("model", "revision", "device", "batch_size", "threads")
"""Settings that change no vector, or that the checksum of the weights covers."""


class LargeSettings(Settings):
    """Settings of every large model that runs here."""

    model: str = Field(min_length=1)
    """Folder of the model, hub id such as google/embeddinggemma-2, or a short name such as embeddinggemma-2."""
    revision: str = ""
    """Branch, tag or commit of a hub model; give a commit to keep vectors the same for ever."""
    dim: int | None = Field(None, ge=1)
    """Keep only the first numbers of a vector; for models trained for it (Matryoshka). Empty: all."""
    normalise: bool = True
    """Whether vectors get length 1."""
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    """Number format of the network; the 16-bit ones are for GPUs."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where the network runs; "auto" takes a GPU where there is one."""
    batch_size: int = Field(32, ge=1, le=4096)
    """Texts, pictures or windows that go through the network at once."""
    threads: int = Field(1, ge=1, le=256)
    """Threads of the network on the processor; more processes are faster than more threads."""


class Loaded:
    """What was loaded of a model: the network and whatever prepares its inputs."""

    def __init__(self, network: Any, **parts: Any) -> None:
        self.network = network
        self.__dict__.update(parts)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)


_SHARED: WeakValueDictionary[tuple[Any, ...], Loaded] = WeakValueDictionary()
"""Networks in use in this process, so that four modalities of one model load it once."""


class LargeEncoder(Encoder):
    """Base of large models; a subclass loads one and writes `_forward`, the vectors of one batch."""

    settings: LargeSettings
    loader: ClassVar[str]
    """What loads the model; models of one loader and one folder share a space."""
    steps: ClassVar[str] = "1"
    """Changes when preparing or pooling changes."""
    space_settings: ClassVar[tuple[str, ...]] = ("dim", "normalise", "precision")
    """Settings that decide the space."""

    @cached_property
    def _source(self) -> Source:
        return locate(self.settings.model, self.settings.revision)

    @property
    def version(self) -> str:
        """What loads the model, the commit or checksum of its files, and how values are prepared."""
        return f"{self.loader}|{self._source.stamp}|{self.steps}"

    @property
    def fingerprint(self) -> str:
        """The space, "#", and what in this encoder made the vectors; device and batch size are no part of it."""
        chosen = self.settings.model_dump(mode="json")
        own = {name: value for name, value in chosen.items() if name not in HOW}
        place = {name: chosen[name] for name in self.space_settings}
        space = _digest(self.loader, self._source.stamp, place)
        return f"{self.loader}-{space}#{self.modality}-{_digest(type(self).__name__, self.version, own)}"

    @cached_property
    def _device(self) -> torch.device:
        return pick_device(self.settings.device)

    @cached_property
    def _dtype(self) -> torch.dtype:
        return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[self.settings.precision]

    @cached_property
    def _loaded(self) -> Loaded:
        """The model, from here or from an encoder that uses the same one."""
        key = (self.loader, self._source, str(self._device), self._dtype, *self._loaded_by())
        if (loaded := _SHARED.get(key)) is None:
            with loading(self.settings.model):
                loaded = self._load(self._source.folder)
            _SHARED[key] = loaded
        return loaded

    def _loaded_by(self) -> tuple[Any, ...]:
        """Further settings that what is loaded depends on."""
        return ()

    @abstractmethod
    def _load(self, folder: Path) -> Loaded:
        """The network and what prepares its inputs, from the files in `folder` alone."""

    @property
    @abstractmethod
    def width(self) -> int:
        """Numbers that the network gives."""

    @property
    def dim(self) -> int:
        """Numbers per vector: what the network gives, or `dim` of them.

        Raises:
            SettingError: More are asked for than the network gives.
        """
        wanted = self.settings.dim
        if wanted is not None and wanted > self.width:
            raise SettingError(
                f"dim = {wanted}, but {self.settings.model!r} gives {self.width} numbers.",
                hint="Leave dim out, or ask for fewer.",
            )
        return wanted or self.width

    def embed(self, batch: Sequence[Any]) -> FloatArray:
        """(n, dim) float32 of n prepared values.

        Raises:
            WeightsError: The network gives no finite number for any value.
            ResourceError: The batch does not fit the memory of the device.
        """
        return self._run(batch, self._forward)

    @abstractmethod
    def _forward(self, batch: Sequence[Any]) -> FloatArray:
        """(n, width) float32 of at least one prepared value."""

    def _run(self, batch: Sequence[Any], forward: Callable[[Sequence[Any]], FloatArray]) -> FloatArray:
        """Batches through the network, then the cut and the length."""
        if not batch:
            return np.zeros((0, self.dim), np.float32)
        with running(self.settings.model, self.settings.threads):
            vectors = forward(batch)[:, : self.dim]
        if not np.isfinite(vectors).all(axis=1).any():
            hint = "Set precision = 'float32', or fetch the weights again."
            raise WeightsError(
                f"The model {self.settings.model!r} gives NaN in {self.settings.precision}, no vectors.", hint=hint
            )
        return unit_vectors(vectors) if self.settings.normalise else np.ascontiguousarray(vectors, dtype=np.float32)

    def _tensors(self, arrays: Mapping[str, Any]) -> dict[str, torch.Tensor]:
        """Arrays on the device of the network, floats in its number format."""
        found = {}
        for name, value in arrays.items():
            tensor = torch.as_tensor(value)
            found[name] = tensor.to(self._device, self._dtype if tensor.is_floating_point() else None)
        return found


class TextModel(LargeEncoder, TextEncoder):
    """Base of large models that read text: cleaned, and sent through the network in batches of similar length."""

    @property
    def weights(self) -> tuple[str, ...]:
        """None that `salon weights` brings."""
        return ()

    def _forward(self, batch: Sequence[str]) -> FloatArray:
        order = np.argsort([len(text) for text in batch], kind="stable")
        vectors = np.zeros((len(batch), self.width), np.float32)
        for rows in blocks(len(batch), self.settings.batch_size):
            vectors[order[rows]] = self._read([batch[row] for row in order[rows]])
        return vectors

    @abstractmethod
    def _read(self, texts: list[str]) -> FloatArray:
        """(n, width) float32 of n texts that fit one batch."""


class PieceModel(LargeEncoder):
    """Base of models that see or hear: a value is prepared as pieces (a picture, frames, windows of a sound).

    The vector of a value is the mean over its pieces, which get length 1 first where vectors do.
    """

    @abstractmethod
    def _look(self, pieces: dict[str, torch.Tensor]) -> torch.Tensor:
        """(n, width) of n pieces of equal shape, stacked."""

    def _forward(self, batch: Sequence[Sequence[Arrays]]) -> FloatArray:
        pieces = [piece for value in batch for piece in value]
        found = np.zeros((len(pieces), self.width), np.float32)
        for rows in equal_shapes(pieces, self.settings.batch_size):
            stacked = {name: np.stack([pieces[row][name] for row in rows]) for name in pieces[rows[0]]}
            found[rows] = as_numpy(self._look(self._tensors(stacked)))
        if len(pieces) == len(batch):
            return found
        starts = np.cumsum([0] + [len(value) for value in batch[:-1]])
        sums = np.add.reduceat(unit_vectors(found) if self.settings.normalise else found, starts, axis=0)
        return np.asarray(sums / np.array([[len(value)] for value in batch]), dtype=np.float32)


def equal_shapes(pieces: Sequence[Arrays], size: int) -> Iterator[list[int]]:
    """Rows in batches of at most `size` whose arrays have equal shapes, so that nothing is padded."""
    groups: dict[tuple[Any, ...], list[int]] = {}
    for row, piece in enumerate(pieces):
        groups.setdefault(tuple((name, array.shape) for name, array in sorted(piece.items())), []).append(row)
    for rows in groups.values():
        for part in blocks(len(rows), size):
            yield rows[part]


def _digest(*parts: Any) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
