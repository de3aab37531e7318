"""A tower for pictures: a small convolutional network, or EfficientNet-Lite0."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field
from torch import nn

from salon.encode.tower import Shape, Tower
from salon.encode.tower_blocks import ConvStage, Pixels, PlacesMean, TowerNetwork
from salon.encode.tower_examples import Array
from salon.encode.tower_lite0 import CHANNELS, lite0_blocks, load_lite0
from salon.encode.tower_settings import TowerSettings
from salon.media.augment import ImageAugmentation, augment_image
from salon.media.image import Picture, decode_image, letterbox
from salon.types import Modality


class ImageTowerSettings(TowerSettings):
    """Settings of `ImageTower`."""

    network: Literal["cnn", "lite0"] = "cnn"
    """"cnn" is four small stages from random weights; "lite0" is EfficientNet-Lite0 with the weights of ImageNet."""
    side: int = Field(0, ge=0, le=512)
    """Pixels across and down, the whole picture fitted in on white bars. 0: 64 for "cnn", 224 for "lite0"."""
    width: int = Field(32, ge=4, le=256)
    """Channels of the first stage of "cnn"; the others have 2, 4 and 4 times as many."""

    @property
    def pretrained(self) -> bool:
        """A saved tower, or "lite0"."""
        return bool(self.start) or self.network == "lite0"

    def shape(self) -> dict[str, Any]:
        """Network, side, width, dim."""
        side = self.side or (224 if self.network == "lite0" else 64)
        return {"network": self.network, "side": side, "width": self.width, **super().shape()}


def image_blocks(network: str, width: int) -> tuple[list[nn.Module], int]:
    """The blocks of a picture network with its pool, and the numbers that come out."""
    if network == "lite0":
        return [*lite0_blocks(), PlacesMean()], CHANNELS
    stages = [ConvStage(a * width if a else 3, b * width) for a, b in ((0, 1), (1, 2), (2, 4), (4, 4))]
    return [Pixels(), *stages, PlacesMean()], 4 * width


def fitted_picture(picture: Picture, side: int) -> Picture:
    """The whole picture in a square on white bars."""
    return letterbox(picture, (side, side))


class ImageTower(Tower):
    """A trained network for pictures: small and convolutional, or EfficientNet-Lite0 frozen, thawed or adapted."""

    modality = Modality.IMAGE
    settings: ImageTowerSettings

    def read(self, value: Any, shape: Shape) -> Picture:
        """(side, side, 3) uint8 of the picture at a path."""
        return fitted_picture(decode_image(Path(value)), shape["side"])

    def augmented(self, read: Picture, rng: np.random.Generator) -> Picture:
        """Turned, scaled, cropped, flipped, recoloured."""
        return augment_image(read, rng, ImageAugmentation(strength=self.settings.augment))

    def example(self, read: Picture, shape: Shape) -> Array:
        """The pixels."""
        return read

    def build(self, shape: Shape) -> TowerNetwork:
        """See `image_blocks`."""
        blocks, width = image_blocks(shape["network"], shape["width"])
        return TowerNetwork(blocks, width, shape["dim"], self.settings.dropout)

    def load_pretrained(self, network: TowerNetwork, shape: Shape) -> None:
        """The weights of ImageNet."""
        if shape["network"] == "lite0":
            load_lite0(list(network.blocks)[:-1])
