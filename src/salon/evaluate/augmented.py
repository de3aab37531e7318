"""What augmentation makes of a catalogue, to be looked at: some items beside changed copies of them."""

from __future__ import annotations

import io
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from salon.data.items import Field, Items
from salon.errors import DataError, MediaError
from salon.evaluate.embed import QUALITY, data_uri
from salon.evaluate.report import environment, write_page
from salon.media.audio import Wave, decode_audio
from salon.media.augment import Augment, Augmentation
from salon.media.image import Picture, decode_image
from salon.media.paths import safe_join
from salon.types import Modality

SHOWN = (Modality.TEXT, Modality.IMAGE, Modality.AUDIO)
"""What can be augmented, in the order of the page."""
SIDE = 320
"""Longest side in pixels of a picture on the page; it is made this small before it is augmented."""
RATE, SECONDS = 16000, 4.0
"""Of the sounds on the page."""
LONGEST = 400
"""Characters of a text on the page."""


@dataclass(frozen=True)
class Augmented:
    """One value beside its changed copies.

    Attributes:
        title: What the item is called.
        field: The field of the value.
        modality: text, image or audio.
        original: A text, (h, w, 3) uint8, or (n,) float32 at 16 kHz.
        copies: The same kind, each changed by another seed.
    """

    title: str
    field: str
    modality: Modality
    original: Any
    copies: tuple[Any, ...]


def augmented_examples(
    items: Items, settings: Augmentation, *, items_per_field: int = 4, copies: int = 3, seed: int = 0
) -> list[Augmented]:
    """Some items of each text, picture and sound field, spread evenly over the catalogue, and their changed copies.

    Media that cannot be read are passed over. The same seed gives the same copies.

    Raises:
        DataError: The catalogue has no text, picture or sound that can be read.
    """
    augment = Augment(settings)
    found = []
    for modality in SHOWN:
        for field in items.of(modality):
            for row, value in _some_values(items, field, items_per_field):
                made = [
                    augment(modality, value, np.random.default_rng([seed, row, number]), rate=RATE)
                    for number in range(copies)
                ]
                found.append(Augmented(items.title(row), field.name, modality, value, tuple(made)))
    if not found:
        hint = "Declare columns as text, image or audio."
        raise DataError("The catalogue has no text, picture or sound to augment.", hint=hint)
    return found


def _some_values(items: Items, field: Field, count: int) -> list[tuple[int, Any]]:
    """Up to `count` values that can be read, by item row."""
    rows = np.flatnonzero(field.present)
    values: list[tuple[int, Any]] = []
    for row in rows[np.unique(np.linspace(0, len(rows) - 1, min(3 * count, len(rows))).astype(int))].tolist():
        try:
            values.append((row, _read(items, field, row)))
        except MediaError:
            continue
    chosen = np.unique(np.linspace(0, len(values) - 1, min(count, len(values))).astype(int))
    return [values[int(place)] for place in chosen]


def _read(items: Items, field: Field, row: int) -> Any:
    if field.modality is Modality.TEXT:
        return str(field.values[row])[:LONGEST]
    if items.root is None:
        raise MediaError(f"{field.values[row]!r} is relative to a folder that is not known.")
    path = safe_join(items.root, str(field.values[row]))
    if field.modality is Modality.AUDIO:
        return decode_audio(path, RATE, seconds=SECONDS)
    image = Image.fromarray(decode_image(path))
    image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    return np.array(image, dtype=np.uint8)


def write_augmented(path: Path, examples: Sequence[Augmented], settings: Augmentation, *, name: str = "") -> None:
    """Writes one self-contained HTML page: texts, pictures, and players for the sounds; an older one is replaced.

    Args:
        path: The file; its folder is made if needed.
        examples: See `augmented_examples`.
        settings: Listed at the foot of the page.
        name: Of the catalogue, for the heading.
    """
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for one in examples:
        show: dict[str, Any] = {"title": one.title, "original": _shown(one.modality, one.original)}
        show["copies"] = [_shown(one.modality, copy) for copy in one.copies]
        groups.setdefault((one.field, one.modality.value), []).append(show)
    listed = [(kind, list(values.items())) for kind, values in settings.model_dump().items()]
    page = environment().get_template("augmented.html").render(name=name, groups=groups, settings=listed)
    write_page(path, page)


def _shown(modality: Modality, value: Any) -> str:
    """A text as it is, a picture or a sound as a data URI."""
    if modality is Modality.TEXT:
        return str(value)
    return _jpeg(value) if modality is Modality.IMAGE else _wav(value)


def _jpeg(picture: Picture) -> str:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="JPEG", quality=QUALITY)
    return data_uri("image/jpeg", buffer.getvalue())


def _wav(samples: Wave) -> str:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
    return data_uri("audio/wav", buffer.getvalue())
