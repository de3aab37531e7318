"""A tower for sounds: recurrent layers, or Transformer layers, over log-mel frames."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from salon.encode.sounds import heard
from salon.encode.tower import Shape, Tower
from salon.encode.tower_blocks import TowerNetwork, over_time
from salon.encode.tower_examples import Array
from salon.encode.tower_settings import TowerSettings
from salon.media.audio import Wave, log_mel
from salon.media.augment import AudioAugmentation, augment_audio
from salon.types import Modality

RATE, WINDOW, HOP, STACK, RANGE = 16000, 512, 160, 2, 80.0


class AudioTowerSettings(TowerSettings):
    """Settings of `AudioTower`."""

    network: Literal["lstm", "gru", "transformer"] = "lstm"
    """Layers over time; "lstm" and "gru" read in both directions."""
    seconds: float = Field(5.0, gt=0, le=60)
    """How much of a sound is listened to, from its start."""
    bands: int = Field(40, ge=8, le=128)
    """Mel bands."""
    width: int = Field(64, ge=4, le=512, multiple_of=4)
    """Numbers per step and direction."""
    depth: int = Field(2, ge=1, le=8)
    """Layers over time."""

    def shape(self) -> dict[str, Any]:
        """Everything above, and dim."""
        mine = ("network", "seconds", "bands", "width", "depth")
        return {**{name: getattr(self, name) for name in mine}, **super().shape()}


class AudioTower(Tower):
    """A trained network for sounds: an LSTM over log-mel frames, or a Transformer."""

    modality = Modality.AUDIO
    settings: AudioTowerSettings

    def read(self, value: Any, shape: Shape) -> Wave:
        """The start of a sound at 16 kHz; MediaError where it cannot be decoded or is silent."""
        return heard(Path(value), RATE, shape["seconds"])

    def augmented(self, read: Wave, rng: np.random.Generator) -> Wave:
        """Faster or slower, higher or lower, with echo and noise."""
        return augment_audio(read, RATE, rng, AudioAugmentation(strength=self.settings.augment))

    def example(self, read: Wave, shape: Shape) -> Array:
        """(steps, 2 bands) float32: decibels below the loudest, -2 to 2; two frames of 10 ms make a step."""
        wave = np.pad(read, (0, max(0, HOP * STACK - read.size)))
        mel = log_mel(wave, RATE, n_fft=WINDOW, hop=HOP, bands=shape["bands"], top_db=RANGE)
        scaled = (mel - mel.max()) / np.float32(RANGE / 4) + 2
        steps = len(scaled) // STACK
        return np.ascontiguousarray(scaled[: steps * STACK].reshape(steps, -1), dtype=np.float32)

    def build(self, shape: Shape) -> TowerNetwork:
        """See `over_time`."""
        blocks, width = over_time(shape["network"], STACK * shape["bands"], shape["width"], shape["depth"])
        return TowerNetwork(blocks, width, shape["dim"], self.settings.dropout, sequential=True)
