"""Augmentation of pictures: turned, scaled, cropped, mirrored and recoloured, by Pillow; the size never changes."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from PIL import Image, ImageEnhance
from pydantic import Field

from salon.config import Settings
from salon.errors import DataError
from salon.media.augment_steps import Step, run_steps
from salon.media.image import Picture

Img = TypeVar("Img", Picture, Image.Image)
Probability = Field(default=0.5, ge=0, le=1)


class ImageAugmentation(Settings):
    """How pictures are augmented: for each way how often it happens and how far it may go."""

    strength: float = Field(default=1.0, ge=0, le=4)
    """Multiplies how far everything may go; 0 leaves pictures as they are."""
    rotate: float = Field(default=15.0, ge=0, le=180)
    """Largest turn in degrees, either way."""
    rotate_probability: float = Probability
    """How often a picture is turned."""
    scale: float = Field(default=0.2, ge=0, le=2)
    """Largest zoom: between 1 / (1 + scale) and 1 + scale about the centre."""
    scale_probability: float = Probability
    """How often a picture is zoomed."""
    crop: float = Field(default=0.3, ge=0, lt=1)
    """Largest share of the height and of the width that is cut away before it is stretched back to its size."""
    crop_probability: float = Probability
    """How often a picture is cropped."""
    flip_probability: float = Probability
    """How often left and right change places."""
    colour: float = Field(default=0.3, ge=0, lt=1)
    """Largest change of brightness, contrast and saturation: factors between 1 - colour and 1 + colour."""
    colour_probability: float = Probability
    """How often the three are changed, together."""
    hue: float = Field(default=0.05, ge=0, le=0.5)
    """Largest turn of the hue, in turns of the colour circle."""
    hue_probability: float = Probability
    """How often the hue is turned."""
    fill: int = Field(default=255, ge=0, le=255)
    """Grey level of what a turn or a zoom out lays bare; white, as where pictures are fitted into a square."""


def augment_image(image: Img, rng: np.random.Generator, settings: ImageAugmentation | None = None) -> Img:
    """A picture changed at random: rotate, scale, crop, flip, colour, hue, in this order.

    Args:
        image: (h, w, 3) uint8, or a Pillow image (taken as RGB).
        rng: The only source of chance: the same state gives the same picture.
        settings: How often and how far.

    Returns:
        The kind that was given, of the same size; a new array or image, the argument is left alone.

    Raises:
        DataError: It is no RGB picture with at least one pixel.
    """
    settings = settings or ImageAugmentation()
    given_array = isinstance(image, np.ndarray)
    picture = Image.fromarray(_checked(image)) if isinstance(image, np.ndarray) else image.convert("RGB")
    if not picture.width or not picture.height:
        raise DataError("The picture has no pixels.")
    changed = run_steps(picture, rng, _steps(settings))
    if given_array:
        return np.array(changed, dtype=np.uint8)  # type: ignore[return-value]
    return changed.copy() if changed is image else changed  # type: ignore[return-value]


def _checked(image: Picture) -> Picture:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
        raise DataError(f"A picture is (h, w, 3) uint8, not {image.shape} {image.dtype}.")
    return image


def _steps(chosen: ImageAugmentation) -> list[Step[Image.Image]]:
    far = chosen.strength

    def turn(image: Image.Image, rng: np.random.Generator, most: float) -> Image.Image:
        return rotate(image, rng.uniform(-most, most), fill=chosen.fill)

    def zoom(image: Image.Image, rng: np.random.Generator, most: float) -> Image.Image:
        return scale(image, float(np.exp(rng.uniform(-1, 1) * np.log1p(most))), fill=chosen.fill)

    return [
        Step(chosen.rotate_probability, far * chosen.rotate, turn),
        Step(chosen.scale_probability, far * chosen.scale, zoom),
        Step(chosen.crop_probability, min(0.95, far * chosen.crop), random_crop),
        Step(min(1.0, far) * chosen.flip_probability, far, lambda image, rng, strength: flip(image)),
        Step(chosen.colour_probability, min(0.95, far * chosen.colour), _random_colour),
        Step(
            chosen.hue_probability, far * chosen.hue, lambda image, rng, most: turn_hue(image, rng.uniform(-most, most))
        ),
    ]


def rotate(image: Image.Image, degrees: float, *, fill: int = 255) -> Image.Image:
    """The picture turned counter-clockwise about its centre, within its own frame (bilinear)."""
    return image.rotate(degrees, Image.Resampling.BILINEAR, fillcolor=(fill, fill, fill))


def scale(image: Image.Image, factor: float, *, fill: int = 255) -> Image.Image:
    """The picture made `factor` times as large about its centre, within its own frame (bilinear)."""
    width, height = image.size
    inverse = 1 / factor
    matrix = (inverse, 0, width / 2 * (1 - inverse), 0, inverse, height / 2 * (1 - inverse))
    return image.transform(
        image.size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR, fillcolor=(fill, fill, fill)
    )


def random_crop(image: Image.Image, rng: np.random.Generator, most: float) -> Image.Image:
    """A random box, at least 1 - `most` of the height and of the width, stretched back to the picture's size."""
    kept = 1 - rng.uniform(0, most)
    width, height = max(1.0, image.width * kept), max(1.0, image.height * kept)
    left, top = rng.uniform(0, image.width - width), rng.uniform(0, image.height - height)
    box = (left, top, min(left + width, image.width), min(top + height, image.height))
    return image.resize(image.size, Image.Resampling.BICUBIC, box=box)


def flip(image: Image.Image) -> Image.Image:
    """Left and right exchanged."""
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


def _random_colour(image: Image.Image, rng: np.random.Generator, most: float) -> Image.Image:
    brightness, contrast, saturation = 1 + rng.uniform(-most, most, 3)
    return recolour(image, brightness, contrast, saturation)


def recolour(image: Image.Image, brightness: float, contrast: float, saturation: float) -> Image.Image:
    """Brightness (towards black below 1), contrast (towards mean grey) and saturation (towards grey) by factors."""
    image = ImageEnhance.Brightness(image).enhance(brightness)
    image = ImageEnhance.Contrast(image).enhance(contrast)
    return ImageEnhance.Color(image).enhance(saturation)


def turn_hue(image: Image.Image, turns: float) -> Image.Image:
    """Every hue moved along the colour circle by `turns` (1 is once round, in steps of 1/256); grey stays grey."""
    hue, saturation, value = image.convert("HSV").split()
    step = round(turns * 256) % 256
    moved = hue.point([(level + step) % 256 for level in range(256)])
    return Image.merge("HSV", (moved, saturation, value)).convert("RGB") if step else image
