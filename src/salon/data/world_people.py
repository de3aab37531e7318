"""From the items of a world to its people, their log, and the truth: events.csv and users.csv."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from salon.data.world_files import write_events, write_table
from salon.data.world_taste import DAY, DAYS, START, draw_log, draw_people, one_hot
from salon.data.world_truth import World
from salon.types import FloatArray, IntArray

QUARTERS = ("Harbour", "Old Town", "Mill Hill", "Garden Row", "Lantern Street", "Northgate", "Meadows", "Station")
AGES = ("under 30", "30 to 50", "over 50")


@dataclass(frozen=True)
class Stock:
    """The items of a world, before anybody came.

    Attributes:
        folder: Where the tables go.
        ids: In the order of items.csv.
        labels: Per item, group to trait.
        new: The first row of the items that nobody will touch.
        missing: As in `World`.
        planted: As in `World`; the ids under "unknown_item" get an event each.
    """

    folder: Path
    ids: tuple[str, ...]
    labels: Sequence[Mapping[str, str]]
    new: int
    missing: Mapping[str, tuple[str, ...]]
    planted: Mapping[str, tuple[str, ...]]


def populate(stock: Stock, strength: Mapping[str, float], people: int, seed: int) -> World:
    """Draws people and what they did, writes events.csv and users.csv, and returns the truth.

    Args:
        stock: The items.
        strength: Group of traits to how much it counts for people.
        people: How many.
        seed: Of tastes and actions.
    """
    rng = np.random.default_rng([seed, 9])
    traits, names = one_hot(stock.labels, list(strength))
    folk = draw_people(names, strength, people, rng)
    n = len(stock.ids)
    quality = rng.normal(0, 0.6, n)
    appeal = (folk.tastes @ traits.T + quality).astype(np.float32)
    log = draw_log(appeal, quality, _on_sale(n, stock.new), rng)
    user_ids = tuple(f"p{i + 1:03d}" for i in range(people))
    extra = [(user_ids[3], stray, START + 100 * DAY, "view") for stray in stock.planted.get("unknown_item", ())]
    write_events(stock.folder / "events.csv", log, user_ids, stock.ids, extra)
    write_table(stock.folder / "users.csv", ("id", "quarter", "age"), _users(user_ids, folk.circles, rng))
    return World(
        folder=stock.folder,
        item_ids=stock.ids,
        user_ids=user_ids,
        appeal=appeal,
        tastes=folk.tastes,
        traits=traits,
        trait_names=names,
        new_items=np.arange(stock.new, n),
        missing=stock.missing,
        planted=stock.planted,
    )


def _on_sale(items: int, new: int) -> FloatArray:
    """(items,) the day from which an item is sold: most from the first, a quarter bit by bit, the new ones never."""
    late = new * 3 // 4
    days = np.zeros(items)
    days[late:new] = np.linspace(0, DAYS * 0.6, new - late)
    days[new:] = np.inf
    return days


def _users(ids: tuple[str, ...], circles: IntArray, rng: np.random.Generator) -> list[tuple[str, str, str]]:
    """Rows of users.csv: half of the time the quarter follows the circle, and a third of the time the age does."""
    rows = []
    for name, circle in zip(ids, circles, strict=True):
        place = circle if rng.random() < 0.5 else rng.integers(len(QUARTERS))
        age = circle % len(AGES) if rng.random() < 0.33 else rng.integers(len(AGES))
        rows.append((name, QUARTERS[place], AGES[age]))
    return rows
