"""Augmentation of media: changed copies of what is there, so that what is trained on them sees past the accidental.

Each function is pure: the value, a generator of random numbers and the settings decide the result alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from salon.config import Settings
from salon.errors import SettingError
from salon.media.audio import Wave
from salon.media.augment_audio import AudioAugmentation, augment_audio
from salon.media.augment_image import ImageAugmentation, augment_image
from salon.media.augment_text import TextAugmentation, augment_text
from salon.media.image import Picture
from salon.types import Modality

__all__ = [
    "AudioAugmentation",
    "Augment",
    "Augmentation",
    "ImageAugmentation",
    "TextAugmentation",
    "augment_audio",
    "augment_image",
    "augment_text",
]


class Augmentation(Settings):
    """How each kind of medium is augmented."""

    image: ImageAugmentation = ImageAugmentation()
    """Pictures."""
    text: TextAugmentation = TextAugmentation()
    """Texts."""
    audio: AudioAugmentation = AudioAugmentation()
    """Sounds."""


class Augment:
    """The augmentation of all media by one set of settings.

    Args:
        settings: How often and how far, by kind of medium.
    """

    def __init__(self, settings: Augmentation | None = None) -> None:
        self.settings = settings or Augmentation()

    def image(self, picture: Picture, rng: np.random.Generator) -> Picture:
        """A changed picture, see `augment_image`."""
        return augment_image(picture, rng, self.settings.image)

    def text(self, text: str, rng: np.random.Generator) -> str:
        """A changed text, see `augment_text`."""
        return augment_text(text, rng, self.settings.text)

    def audio(self, samples: Wave, rate: int, rng: np.random.Generator) -> Wave:
        """A changed sound, see `augment_audio`."""
        return augment_audio(samples, rate, rng, self.settings.audio)

    def __call__(self, modality: Modality, value: Any, rng: np.random.Generator, *, rate: int = 16000) -> Any:
        """A changed text, picture or sound.

        Raises:
            SettingError: There is no augmentation for the modality.
        """
        if modality is Modality.IMAGE:
            return self.image(value, rng)
        if modality is Modality.TEXT:
            return self.text(value, rng)
        if modality is Modality.AUDIO:
            return self.audio(value, rate, rng)
        raise SettingError(f"There is no augmentation of {modality.value}.", hint="Known: audio, image, text.")
