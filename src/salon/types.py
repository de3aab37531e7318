"""Array aliases, the modalities, and the answer that every search gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

FloatArray: TypeAlias = NDArray[np.floating[Any]]
IntArray: TypeAlias = NDArray[np.integer[Any]]
BoolArray: TypeAlias = NDArray[np.bool_]
Progress: TypeAlias = Callable[[int, int, str], None]
"""Called as progress(done, total, what); a library is quiet, only the command line shows it."""

MISSING_ID = -1
"""Pads rows of a `TopK` that run short."""


class Modality(StrEnum):
    """What a field of an item is. It is declared by the user, never guessed from the values."""

    TEXT = "text"
    IMAGE = "image"
    AUDIO = "audio"
    VIDEO = "video"
    SERIES = "series"
    CATEGORY = "category"
    NUMBER = "number"
    VECTOR = "vector"

    @property
    def is_media(self) -> bool:
        """Whether the values are paths of media files (those of a series may also be written in place)."""
        return self in (Modality.IMAGE, Modality.AUDIO, Modality.VIDEO, Modality.SERIES)

    def is_path(self, value: str) -> bool:
        """Whether one value is the path of a media file: a series that begins with "[" is a JSON list in its place."""
        return self.is_media and not (self is Modality.SERIES and value.lstrip().startswith("["))


@dataclass(frozen=True)
class TopK:
    """The best `k` ids per query, best first.

    Attributes:
        ids: (n, k) int64; rows that run short end in -1.
        scores: (n, k) float32, falling along a row; -inf where the id is -1.
        sources: (n, k) int8 index into `source_names`, or None when there is only one source.
        source_names: Where an answer can come from, such as ("linear", "popular").
    """

    ids: IntArray
    scores: FloatArray
    sources: IntArray | None = None
    source_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.ids.shape != self.scores.shape or self.ids.ndim != 2:
            raise ValueError(f"ids {self.ids.shape} and scores {self.scores.shape} must be equal and 2-d")

    def __len__(self) -> int:
        return int(self.ids.shape[0])

    @property
    def k(self) -> int:
        """The number of columns."""
        return int(self.ids.shape[1])

    def source(self, row: int, column: int) -> str:
        """The name of the source of one answer."""
        if self.sources is None:
            return self.source_names[0] if self.source_names else ""
        return self.source_names[int(self.sources[row, column])]
