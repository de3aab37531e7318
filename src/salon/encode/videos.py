"""Videos: eight frames through the picture network, and the sound track through the music network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from salon.config import Settings
from salon.encode.pictures import SIDE, Lite0
from salon.encode.sounds import MusiCNN
from salon.encode.weights import known
from salon.errors import MediaError
from salon.media.audio import Wave
from salon.media.image import Picture, letterbox
from salon.media.video import sample_frames, video_sound
from salon.types import FloatArray, Modality


class VideoFramesSettings(Settings):
    """Settings of `VideoFrames`."""

    frames: int = Field(8, ge=1, le=64)
    """Frames looked at, from the middles of as many equal parts."""


class VideoFrames(Lite0):
    """The mean of EfficientNet-Lite0's vectors over a few frames: 1280 numbers."""

    modality = Modality.VIDEO
    settings: VideoFramesSettings

    @property
    def version(self) -> str:
        """Package, checksum of the weights, preprocessing."""
        return f"{known('lite0').stamp}|frames-letterbox-white-mean-1"

    def prepare(self, value: Any) -> list[Picture]:
        """Letterboxed frames of the video at a path; MediaError when it cannot be decoded."""
        return [letterbox(frame, (SIDE, SIDE)) for frame in sample_frames(Path(value), self.settings.frames)]

    def embed(self, batch: Sequence[list[Picture]]) -> FloatArray:
        """(n, 1280) float32."""
        rows = [self.features(frames).mean(axis=0) for frames in batch]
        return np.stack(rows) if rows else np.zeros((0, self.dim), np.float32)


class VideoSound(MusiCNN):
    """The sound track of a video through MusiCNN."""

    modality = Modality.VIDEO

    def prepare(self, value: Any) -> FloatArray | None:  # type: ignore[override]
        """Patches of the sound, or None when the video has no sound or a silent one: nothing is wrong with it."""
        wave: Wave | None = video_sound(Path(value), self.RATE, seconds=self.settings.seconds)
        return None if wave is None else self.patches(wave)

    def embed(self, batch: Sequence[Any]) -> FloatArray:
        """(n, dim) float32."""
        if any(patches is None for patches in batch):
            raise MediaError("A video without sound has no sound vector.", hint="Mask it: encode_items does.")
        return super().embed(batch)
