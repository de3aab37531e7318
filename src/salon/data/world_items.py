"""The items of the shop: their hidden labels, what is missing or broken of them, and their files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from salon.data.world_film import MOTIONS, frames, write_mp4
from salon.data.world_paint import BACKDROPS, COLOURS, PATTERNS, Look, backdrop, compose, sprite
from salon.data.world_sound import MOODS, tune, write_wav
from salon.data.world_things import THINGS
from salon.data.world_words import OCCASIONS, words
from salon.types import BoolArray, FloatArray

STRENGTH = {"kind": 1.9, "colour": 2.1, "pattern": 1.9, "occasion": 1.7, "mood": 2.0, "motion": 1.2}
"""Group of traits to how much it counts for people. Kind: all media; colour, pattern: picture (and half of the texts);
occasion: text; mood: sound; motion: video."""

MISSING = {"text": 0.06, "image": 0.06, "audio": 0.45, "video": 0.82, "kind": 0.08, "price": 0.04}
"""Share of the items that lack it."""

TOLD, IN_CHINESE = 0.5, 0.25
"""Share of the texts that tell colour and pattern, and share in Chinese."""

MADE_OF = {
    "teapot": ("porcelain", "tin"), "mug": ("porcelain", "tin"), "vase": ("porcelain", "wood"),
    "lamp": ("canvas", "tin"),
    "chair": ("wood", "leather", "canvas"), "plant": ("porcelain", "tin", "wood"), "clock": ("wood", "tin"),
    "bag": ("leather", "canvas", "wool"), "kite": ("canvas",), "scarf": ("wool",), "rug": ("wool",),
    "umbrella": ("canvas",), "boat": ("wood", "tin"), "bird": ("wood", "tin"), "robot": ("tin", "wood"),
    "hat": ("wool", "leather", "canvas"),
}  # fmt: skip

PRICES = {
    "teapot": 34, "mug": 12, "vase": 28, "lamp": 65, "chair": 120, "plant": 22, "clock": 48, "bag": 75, "kite": 18,
    "scarf": 30, "rug": 140, "umbrella": 26, "boat": 35, "bird": 16, "robot": 42, "hat": 38,
}  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """What will be drawn.

    Attributes:
        seed: Of the world.
        labels: Per item, group to trait.
        ids: Such as "teapot-017".
        has: What to (items,) bool.
        source: Copy to its original, both rows; exact copies and near copies.
        near: Row of the near copy, which also has an original.
        truncated: Row of the item whose picture is cut short.
        new: The first row of the items that came last.
    """

    seed: int
    labels: list[dict[str, str]]
    ids: tuple[str, ...]
    has: Mapping[str, BoolArray]
    source: Mapping[int, int]
    near: int
    truncated: int
    new: int

    def stream(self, row: int, what: int) -> np.random.Generator:
        """The random numbers of one item for one purpose; a copy has those of its original."""
        return np.random.default_rng([self.seed, what, self.source.get(row, row)])


def plan_items(seed: int, items: int) -> Plan:
    """Labels, gaps and planted problems of a shop of `items` things."""
    rng = np.random.default_rng([seed, 1])
    kinds = list(THINGS)
    order = rng.permutation(np.resize(np.arange(len(kinds)), items))
    usual = {k: (str(rng.choice(list(MOODS))), str(rng.choice(MOTIONS))) for k in kinds}
    labels = [_labels(kinds[i], usual[kinds[i]], rng) for i in order]
    has = {what: rng.permutation(items) >= max(1, round(share * items)) for what, share in MISSING.items()}
    new = items - max(1, round(items * 0.1))
    whole = np.flatnonzero(has["text"][:new] & has["image"][:new])
    original, copy, sitter, near, truncated = (int(i) for i in rng.permutation(whole)[:5])
    source = {copy: original, near: sitter}
    for row, from_row in source.items():
        labels[row] = labels[from_row]
        for flags in has.values():
            flags[row] = flags[from_row]
    count = dict.fromkeys(kinds, 0)
    ids = []
    for item in labels:
        count[item["kind"]] += 1
        ids.append(f"{item['kind']}-{count[item['kind']]:03d}")
    return Plan(seed, labels, tuple(ids), has, source, near, truncated, new)


def _labels(kind: str, usual: tuple[str, str], rng: np.random.Generator) -> dict[str, str]:
    """The traits of one thing; a kind has a usual mood and motion, so that what is missing can be guessed in part."""
    return {
        "kind": kind,
        "colour": str(rng.choice(list(COLOURS))),
        "pattern": str(rng.choice(list(PATTERNS))),
        "material": str(rng.choice(MADE_OF[kind])),
        "occasion": str(rng.choice(list(OCCASIONS))),
        "mood": usual[0] if rng.random() < 0.35 else str(rng.choice(list(MOODS))),
        "motion": usual[1] if rng.random() < 0.5 else str(rng.choice(MOTIONS)),
    }


def draw_item(plan: Plan, row: int, folder: Path) -> tuple[object, ...]:
    """Writes the media of one item and returns its row of items.csv: id, name, description, kind, price, and paths."""
    item, name = plan.labels[row], plan.ids[row]
    has = {what: bool(flags[row]) for what, flags in plan.has.items()}
    look = _look(item, plan.stream(row, 2))
    thing = sprite(THINGS[item["kind"]](plan.stream(row, 3).uniform), look, plan.stream(row, 4))
    sound = tune(item["mood"], plan.stream(row, 5)) if has["audio"] else None
    paths = {what: f"media/{name}.{end}" if has[what] else None for what, end in ENDINGS.items()}
    if has["image"]:
        _write_picture(plan, row, thing, look, folder / f"media/{name}.png")
    if sound is not None:
        write_wav(folder / f"media/{name}.wav", sound)
    if has["video"]:
        rng = plan.stream(row, 6)
        film = frames(thing, look.backdrop, item["motion"], rng)
        write_mp4(folder / f"media/{name}.mp4", film, sound if rng.random() < 0.6 else None)
    title, text = _text(plan, row) if has["text"] else (None, None)
    price = round(PRICES[item["kind"]] * float(np.exp(plan.stream(row, 7).normal(0, 0.3))), 2) if has["price"] else None
    return (name, title, text, item["kind"] if has["kind"] else None, price, *(paths[what] for what in ENDINGS))


ENDINGS = {"image": "png", "audio": "wav", "video": "mp4"}


def _look(item: dict[str, str], rng: np.random.Generator) -> Look:
    shift = rng.normal(0, 0.022, 3) + rng.normal(0, 0.025)
    angle = float(rng.choice([0.0, 0.0, 45.0, 90.0])) if item["pattern"] != "starry" else 0.0
    return Look(
        colour=item["colour"],
        pattern=item["pattern"],
        material=item["material"],
        scale=float(rng.uniform(9, 14)),
        angle=angle,
        shift=(float(shift[0]), float(shift[1]), float(shift[2])),
        backdrop=int(rng.integers(len(BACKDROPS))),
    )


def _text(plan: Plan, row: int) -> tuple[str, str]:
    """Name and description; a near copy is called a second edition."""
    rng = plan.stream(row, 8)
    told, chinese = rng.random() < TOLD, rng.random() < IN_CHINESE
    title, text = words(plan.labels[row], told=told, chinese=chinese, rng=rng)
    if row == plan.near:
        text += "再版。" if chinese else " Second edition."
    return title, text


def _write_picture(plan: Plan, row: int, thing: FloatArray, look: Look, path: Path) -> None:
    """The picture as PNG; a near copy is a little brighter, a truncated one ends after two thirds of its bytes."""
    pixels = compose(thing, backdrop(look.backdrop))
    if row == plan.near:
        pixels = np.minimum(pixels.astype(np.uint16) + 5, 255).astype(np.uint8)
    Image.fromarray(pixels).save(path, compress_level=3)
    if row == plan.truncated:
        path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
