"""Which encoder looks at which fields of a catalogue, under which name its vectors are kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from salon.data.items import Field, Items
from salon.encode.base import Encoder
from salon.errors import SettingError, did_you_mean
from salon.registry import create, name_of
from salon.types import Modality

DEFAULTS: dict[Modality, tuple[str, ...]] = {
    Modality.TEXT: ("text",),
    Modality.IMAGE: ("lite0",),
    Modality.AUDIO: ("musicnn",),
    Modality.VIDEO: ("video", "video-sound"),
    Modality.SERIES: ("series",),
    Modality.CATEGORY: ("categories",),
    Modality.NUMBER: ("numbers",),
    Modality.VECTOR: ("vectors",),
}
JOINED = (Modality.TEXT, Modality.CATEGORY, Modality.NUMBER)
"""Modalities whose fields are read together: one vector says it all. Each picture, sound, video or vector field has
features of its own, since the mean of a front and a back view is neither."""


@dataclass(frozen=True)
class Part:
    """One encoder and what it looks at.

    Attributes:
        name: The name of its features, such as "text", "image", "image:back", "video-sound".
        modality: What the fields are.
        fields: Names of the fields, more than one only for JOINED modalities.
        encoder: The encoder, fitted or not.
    """

    name: str
    modality: Modality
    fields: tuple[str, ...]
    encoder: Encoder

    def values(self, items: Items) -> list[Any]:
        """One value per item, None where all fields are missing.

        Text fields are joined by ". ", labels become "field: label" where several fields are joined, numbers become
        a tuple with NaN for a missing one; media stay relative paths.
        """
        columns = [items[field] for field in self.fields]
        return [self._value(columns, row) for row in range(len(items))]

    def _value(self, columns: Sequence[Field], row: int) -> Any:
        if not any(column.present[row] for column in columns):
            return None
        if self.modality is Modality.TEXT:
            texts = [str(c.values[row]).strip() for c in columns if c.present[row]]
            return ". ".join([text.rstrip(".") for text in texts[:-1]] + texts[-1:])
        if self.modality is Modality.NUMBER:
            return tuple(float(c.values[row]) if c.present[row] else np.nan for c in columns)
        if self.modality is Modality.CATEGORY and len(columns) > 1:
            return tuple(f"{c.name}: {label}" for c in columns if c.present[row] for label in c.values[row])
        return columns[0].values[row]

    def about(self) -> dict[str, Any]:
        """Name, modality, fields and encoder as plain data."""
        encoder = name_of("encoder", type(self.encoder))
        return {"name": self.name, "modality": self.modality.value, "fields": list(self.fields), "encoder": encoder}


def plan(items: Items, specs: Mapping[str, Any] | None = None) -> tuple[Part, ...]:
    """The encoders for a catalogue.

    Args:
        items: The catalogue; only its declared fields are looked at.
        specs: Field name or modality -> what to use instead of the default: a short name, a table such as
            {"name": "musicnn", "vector": "pooled"}, an Encoder, a list of these, or None to leave the field out. A
            text, category or number field that is named here is taken out of the joined one.

    Raises:
        SettingError: A key is neither a field nor a modality, or an encoder is for another modality.
    """
    specs = dict(specs or {})
    for key in specs:
        if key not in items.fields and key not in {m.value for m in Modality}:
            raise SettingError(
                f"{key!r} is neither a field nor a modality.", hint=did_you_mean(key, [*items.fields, *Modality])
            )
    parts: list[Part] = []
    for modality in Modality:
        names = [field.name for field in items.of(modality)]
        alone = [name for name in names if name in specs or modality not in JOINED]
        groups: list[tuple[str, ...]] = [(name,) for name in alone]
        if joined := tuple(name for name in names if name not in alone):
            groups.insert(0, joined)
        for group in groups:
            spec = specs.get(group[0], specs.get(modality.value, list(DEFAULTS[modality])))
            base = modality.value if len(groups) == 1 else f"{modality.value}:{group[0]}"
            if modality in JOINED and group == joined:
                base = modality.value
            parts += _parts(base, modality, group, spec)
    return tuple(parts)


def _parts(base: str, modality: Modality, fields: tuple[str, ...], spec: Any) -> list[Part]:
    """One part per encoder of a group of fields; the first has the plain name."""
    parts: list[Part] = []
    for one in spec if isinstance(spec, list | tuple) else [spec]:
        if one is None or one == "none":
            continue
        encoder = _encoder(one)
        if encoder.modality != modality:
            kind = type(encoder).__name__
            raise SettingError(f"{kind} encodes {encoder.modality}, but {fields[0]!r} is declared {modality}.")
        suffix = name_of("encoder", type(encoder)).removeprefix(f"{modality.value}-")
        parts.append(Part(f"{base}-{suffix}" if parts else base, modality, fields, encoder))
    return parts


def _encoder(spec: Any) -> Encoder:
    if isinstance(spec, Encoder):
        return spec
    if isinstance(spec, str):
        return create("encoder", spec)
    if isinstance(spec, Mapping) and "name" in spec:
        return create("encoder", spec["name"], {k: v for k, v in spec.items() if k != "name"})
    raise SettingError(f"{spec!r} names no encoder.", hint="Write a short name, or a table with name and settings.")
