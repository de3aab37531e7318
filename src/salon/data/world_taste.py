"""What people of a world like, and what they therefore do: known tastes over traits, actions drawn from them.

    appeal(u, i) = sum over the traits t of i of taste(u, t)  +  quality(i)
    P(u acts on i next) = exp(appeal(u, i)) / sum over the items that are on sale and that u has not yet touched

so ranking the untouched items by appeal is the best that anyone can do. People belong to circles that share a part of
their taste, which makes clicks informative; every group of traits counts, which makes media informative.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from salon.types import BoolArray, FloatArray, IntArray

CIRCLES = 8
KINDS = ("view", "buy", "dislike", "shown")
"""Kinds of action in a log."""

START = 1_709_280_000
"""First second of a log: 1 March 2024."""

DAY = 86_400
DAYS = 180

REPEATS, DISLIKES, EXPOSURES = 0.12, 0.06, 0.5
"""How often a step is a return to something known, is followed by a dislike, or by something shown in vain."""


@dataclass(frozen=True)
class People:
    """The people of a world.

    Attributes:
        tastes: (people, traits) float32, most of them 0.
        circles: (people,) int, whose taste each shares in part.
    """

    tastes: FloatArray
    circles: IntArray


@dataclass(frozen=True)
class Log:
    """Actions in the order of time: rows of people and items, seconds, index into `KINDS`; all (n,) int64."""

    users: IntArray
    items: IntArray
    times: IntArray
    kinds: IntArray


def one_hot(labels: Sequence[Mapping[str, str]], groups: Sequence[str]) -> tuple[FloatArray, tuple[str, ...]]:
    """Traits of items.

    Args:
        labels: Per item, group to trait; a group may be absent.
        groups: Which groups count.

    Returns:
        (items, traits) float32 of 0 and 1, and the names "group:trait", sorted within a group.
    """
    names = [f"{g}:{t}" for g in groups for t in sorted({item[g] for item in labels if g in item})]
    column = {name: i for i, name in enumerate(names)}
    traits = np.zeros((len(labels), len(names)), np.float32)
    for row, item in enumerate(labels):
        for group in groups:
            if group in item:
                traits[row, column[f"{group}:{item[group]}"]] = 1
    return traits, tuple(names)


def draw_people(names: Sequence[str], strength: Mapping[str, float], people: int, rng: np.random.Generator) -> People:
    """Sparse tastes: a like or two in most groups, more often than not those of the circle, and one aversion.

    Args:
        names: Traits, as "group:trait".
        strength: How much each group counts.
        people: How many.
        rng: For everything.
    """
    columns = {g: np.array([i for i, n in enumerate(names) if n.split(":")[0] == g]) for g in strength}
    columns = {g: found for g, found in columns.items() if len(found)}
    shared = [{g: rng.permutation(c)[:2] for g, c in columns.items()} for _ in range(CIRCLES)]
    circles = rng.integers(CIRCLES, size=people)
    tastes = np.zeros((people, len(names)), np.float32)
    for person, circle in enumerate(circles):
        for group in columns:
            if rng.random() < 0.15:
                continue
            for place in range(1 + int(rng.random() < 0.5)):
                own = rng.choice(columns[group])
                liked = shared[circle][group][place % len(shared[circle][group])] if rng.random() < 0.6 else own
                tastes[person, liked] = strength[group] * rng.uniform(0.75, 1.35)
        averse = rng.integers(len(names))
        tastes[person, averse] = -1.5 if tastes[person, averse] == 0 else tastes[person, averse]
    return People(tastes, circles)


def draw_log(appeal: FloatArray, quality: FloatArray, on_sale: FloatArray, rng: np.random.Generator) -> Log:
    """What everybody does in half a year.

    Args:
        appeal: (people, items) float.
        quality: (items,) float, the part of appeal that is the same for all.
        on_sale: (items,) the day from which an item can be bought; inf for never.
        rng: For everything.
    """
    rows: list[tuple[int, int, int, int]] = []
    for user in range(len(appeal)):
        count = int(np.clip(rng.lognormal(3.2, 0.5), 8, min(90, len(quality) // 3)))
        days = np.sort(rng.uniform(DAYS * 0.5 * rng.random(), DAYS, count))
        rows += _steps(user, appeal[user].astype(np.float64), quality, on_sale, days, rng)
    users, items, times, kinds = (np.array(column, np.int64) for column in zip(*rows, strict=True))
    order = np.argsort(times, kind="stable")
    return Log(users[order], items[order], times[order], kinds[order])


def _steps(
    user: int, appeal: FloatArray, quality: FloatArray, on_sale: FloatArray, days: FloatArray, rng: np.random.Generator
) -> list[tuple[int, int, int, int]]:
    """The rows (user, item, seconds, kind) of one person, one action a day listed."""
    touched = np.zeros(len(appeal), bool)
    liked: list[int] = []
    rows = []
    eager = np.quantile(appeal, 0.95)
    for day in days:
        time, free = START + int(day * DAY), (on_sale <= day) & ~touched
        if not free.any():
            break
        back = bool(liked) and rng.random() < REPEATS
        item = int(rng.choice(liked)) if back else _draw(appeal, free, rng)
        bought = rng.random() < (0.5 if back else 0.5 / (1 + np.exp(eager - appeal[item])))
        rows.append((user, item, time, int(bought)))
        if not back:
            liked.append(item)
        touched[item], free[item] = True, False
        if rng.random() < EXPOSURES and free.any():
            rows.append((user, _draw(quality, free, rng), time - 20, KINDS.index("shown")))
        if rng.random() < DISLIKES and free.any():
            bad = _draw(2 * quality - 0.8 * appeal, free, rng)
            rows.append((user, bad, time + 40, KINDS.index("dislike")))
            touched[bad] = True
    return rows


def _draw(logits: FloatArray, allowed: BoolArray, rng: np.random.Generator) -> int:
    """One allowed item, with probability proportional to exp(logit)."""
    return int(np.argmax(np.where(allowed, logits + rng.gumbel(size=len(logits)), -np.inf)))
