"""A shop with known answers, as real files: tables, pictures, sounds, films, and the truth behind the clicks.

People like a few kinds, colours, patterns, occasions, moods and motions. Kind can be read and seen; colour and pattern
are seen, and said by half of the texts; the occasion is only read; the mood only heard; the motion only filmed.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from salon.data.world_files import empty_folder, write_catalogue, write_table
from salon.data.world_items import STRENGTH, Plan, draw_item, plan_items
from salon.data.world_people import Stock, populate
from salon.data.world_truth import World, ranking_quality
from salon.errors import SettingError
from salon.types import Progress

__all__ = ["World", "draw_shop", "ranking_quality"]

COLUMNS = (
    'text = ["name", "description"]',
    'image = "image"',
    'audio = "audio"',
    'video = "video"',
    'category = ["kind"]',
    'number = ["price"]',
)


def draw_shop(
    folder: Path, *, seed: int = 0, items: int = 320, people: int = 300, progress: Progress | None = None
) -> World:
    """Writes a shop of real files whose truth is known. The same seed gives the same bytes.

    Args:
        folder: New or empty; gets shop.toml, items.csv, events.csv, users.csv and media/.
        seed: Of everything.
        items: How many things, at least 40; the last tenth is new: nobody has touched it.
        people: How many, at least 20.
        progress: Called as progress(done, total, what).

    Raises:
        SettingError: A shop of this size cannot be drawn.
        DataError: The folder is not empty.
    """
    if items < 40 or people < 20:
        raise SettingError(f"A shop of {items} items and {people} people is too small.", hint="At least 40 and 20.")
    folder = empty_folder(Path(folder))
    plan = plan_items(seed, items)
    (folder / "media").mkdir()
    rows = []
    for row in range(items):
        rows.append(draw_item(plan, row, folder))
        if progress is not None:
            progress(row + 1, items, "drawing the shop")
    header = ("id", "name", "description", "kind", "price", "image", "audio", "video")
    write_table(folder / "items.csv", header, rows)
    write_catalogue(folder / "shop.toml", "A small shop of things, drawn by salon.", COLUMNS, ("quarter", "age"))
    missing = {what: tuple(plan.ids[i] for i in np.flatnonzero(~flags)) for what, flags in plan.has.items()}
    return populate(Stock(folder, plan.ids, plan.labels, plan.new, missing, _planted(plan)), STRENGTH, people, seed)


def _planted(plan: Plan) -> dict[str, tuple[str, ...]]:
    """Problem to ids, as `World` documents it."""
    copies = {copy: original for copy, original in plan.source.items() if copy != plan.near}
    copy, original = next(iter(copies.items()))
    return {
        "truncated": (plan.ids[plan.truncated],),
        "duplicate": (plan.ids[original], plan.ids[copy]),
        "near_duplicate": (plan.ids[plan.source[plan.near]], plan.ids[plan.near]),
        "unknown_item": ("teapot-999",),
    }
