"""A tower for videos: a picture network on every frame, and recurrent or Transformer layers over the frames."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from salon.encode.tower import Shape, Tower
from salon.encode.tower_blocks import PerFrame, TowerNetwork, over_time
from salon.encode.tower_examples import Array
from salon.encode.tower_image import fitted_picture, image_blocks
from salon.encode.tower_lite0 import load_lite0
from salon.encode.tower_settings import TowerSettings
from salon.media.augment import ImageAugmentation, augment_image
from salon.media.video import sample_frames
from salon.types import Modality


class VideoTowerSettings(TowerSettings):
    """Settings of `VideoTower`."""

    frame: Literal["cnn", "lite0"] = "cnn"
    """The network that looks at each frame, as in `ImageTower`."""
    network: Literal["gru", "lstm", "transformer"] = "gru"
    """Layers over the frames."""
    frames: int = Field(8, ge=1, le=64)
    """Frames looked at, from the middles of as many equal parts."""
    side: int = Field(0, ge=0, le=512)
    """Pixels across and down of a frame. 0: 48 for "cnn", 224 for "lite0"."""
    frame_width: int = Field(16, ge=4, le=256)
    """Channels of the first stage of "cnn"."""
    width: int = Field(64, ge=4, le=512, multiple_of=4)
    """Numbers per frame and direction."""
    depth: int = Field(1, ge=1, le=8)
    """Layers over the frames."""
    layers: int = Field(1, ge=1)
    """How many of the last layers tune = "last" and "lora" reach; up to `depth` the frames stay frozen."""

    @property
    def pretrained(self) -> bool:
        """A saved tower, or "lite0" on the frames."""
        return bool(self.start) or self.frame == "lite0"

    def shape(self) -> dict[str, Any]:
        """Everything above, and dim."""
        side = self.side or (224 if self.frame == "lite0" else 48)
        mine = ("frame", "network", "frames", "frame_width", "width", "depth")
        return {**{name: getattr(self, name) for name in mine}, "side": side, **super().shape()}


class VideoTower(Tower):
    """A trained network for videos: a picture network per frame, then a GRU, an LSTM or a Transformer over frames."""

    modality = Modality.VIDEO
    settings: VideoTowerSettings

    def read(self, value: Any, shape: Shape) -> Array:
        """(frames, side, side, 3) uint8, fewer frames where the video has fewer."""
        return np.stack([fitted_picture(one, shape["side"]) for one in sample_frames(Path(value), shape["frames"])])

    def augmented(self, read: Array, rng: np.random.Generator) -> Array:
        """All frames changed alike, as pictures are."""
        seed, settings = int(rng.integers(2**62)), ImageAugmentation(strength=self.settings.augment)
        return np.stack([augment_image(one, np.random.default_rng(seed), settings) for one in read])

    def example(self, read: Array, shape: Shape) -> Array:
        """The pixels."""
        return read

    def build(self, shape: Shape) -> TowerNetwork:
        """See `image_blocks` and `over_time`."""
        frames, seen = image_blocks(shape["frame"], shape["frame_width"])
        time, width = over_time(shape["network"], seen, shape["width"], shape["depth"])
        return TowerNetwork(
            [*map(PerFrame, frames), *time], width, shape["dim"], self.settings.dropout, sequential=True
        )

    def load_pretrained(self, network: TowerNetwork, shape: Shape) -> None:
        """The weights of ImageNet for the frames."""
        if shape["frame"] == "lite0":
            load_lite0([part.block for part in network.blocks if isinstance(part, PerFrame)][:-1])
