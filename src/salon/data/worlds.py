"""A shop with known answers, as real files: tables, pictures, sounds, films, and the truth behind the clicks.

People like a few kinds, colours, patterns, occasions, moods and motions. Kind can be read and seen; colour and pattern
are seen, and said by half of the texts; the occasion is only read; the mood only heard; the motion only filmed.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from salon.data.world_files import empty_folder, write_catalogue, write_events, write_table
from salon.data.world_items import STRENGTH, Plan, draw_item, plan_items
from salon.data.world_taste import DAYS, START, People, draw_log, draw_people, one_hot
from salon.data.world_truth import World, ranking_quality
from salon.errors import SettingError
from salon.types import Progress

__all__ = ["World", "draw_shop", "ranking_quality"]

QUARTERS = ("Harbour", "Old Town", "Mill Hill", "Garden Row", "Lantern Street", "Northgate", "Meadows", "Station")
AGES = ("under 30", "30 to 50", "over 50")

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
    return _populate(folder, plan, people)


def _populate(folder: Path, plan: Plan, people: int) -> World:
    """People, their tastes and what they did; the truth of it all."""
    rng = np.random.default_rng([plan.seed, 9])
    traits, names = one_hot(plan.labels, list(STRENGTH))
    folk = draw_people(names, STRENGTH, people, rng)
    quality = rng.normal(0, 0.6, len(plan.ids))
    appeal = (folk.tastes @ traits.T + quality).astype(np.float32)
    on_sale = np.where(np.arange(len(plan.ids)) < plan.new, 0.0, np.inf)
    late = slice(plan.new * 3 // 4, plan.new)
    on_sale[late] = np.linspace(0, DAYS * 0.6, plan.new - plan.new * 3 // 4)
    log = draw_log(appeal, quality, on_sale, rng)
    user_ids = tuple(f"p{i + 1:03d}" for i in range(people))
    stray = "teapot-999"
    extra = [(user_ids[3], stray, START + 100 * 86_400, "view")]
    write_events(folder / "events.csv", log, user_ids, plan.ids, extra)
    write_table(folder / "users.csv", ("id", "quarter", "age"), _users(user_ids, folk, names, rng))
    return World(
        folder=folder,
        item_ids=plan.ids,
        user_ids=user_ids,
        appeal=appeal,
        tastes=folk.tastes,
        traits=traits,
        trait_names=names,
        new_items=np.arange(plan.new, len(plan.ids)),
        missing={w: tuple(plan.ids[i] for i in np.flatnonzero(~flags)) for w, flags in plan.has.items()},
        planted=_planted(plan, stray),
    )


def _users(
    ids: tuple[str, ...], folk: People, names: tuple[str, ...], rng: np.random.Generator
) -> list[tuple[str, str, str]]:
    """Rows of users.csv: the quarter follows the circle half of the time, the age a little the taste for calm."""
    calm = folk.tastes[:, names.index("mood:calm")] > 0
    rows = []
    for name, circle, quiet in zip(ids, folk.circles, calm, strict=True):
        place = circle if rng.random() < 0.5 else rng.integers(len(QUARTERS))
        age = 2 if quiet and rng.random() < 0.4 else rng.integers(len(AGES))
        rows.append((name, QUARTERS[place], AGES[age]))
    return rows


def _planted(plan: Plan, stray: str) -> dict[str, tuple[str, ...]]:
    """Problem to ids, as `World` documents it."""
    copies = {copy: original for copy, original in plan.source.items() if copy != plan.near}
    copy, original = next(iter(copies.items()))
    return {
        "truncated": (plan.ids[plan.truncated],),
        "duplicate": (plan.ids[original], plan.ids[copy]),
        "near_duplicate": (plan.ids[plan.source[plan.near]], plan.ids[plan.near]),
        "unknown_item": (stray,),
    }
