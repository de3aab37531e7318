"""What each kind of event says about taste: the catalogue file's rules, and a few kinds that salon itself knows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from salon.data.queries import merge_repeats
from salon.data.read import weigh
from salon.data.sources import Weighing
from salon.store.values import StoredEvent
from salon.types import BoolArray, FloatArray, IntArray

LIKE, DISLIKE, NEVER, SATISFACTION = "like", "dislike", "not_interested", "satisfaction"
"""Kinds that need no rule: a like, a dislike, a dislike after which the item never comes back, and an opinion about
an answer, which says nothing about taste."""


@dataclass(frozen=True)
class Taste:
    """What somebody's events come to.

    Attributes:
        items: Item ids, the latest action last, each once.
        weights: (n,) float32; positive likes, negative dislikes, 0 seen and neither.
        never: Items that must not come back.
    """

    items: tuple[str, ...] = ()
    weights: FloatArray = field(default_factory=lambda: np.zeros(0, np.float32))
    never: frozenset[str] = frozenset()


class Tastes:
    """The rules of one catalogue.

    Args:
        rules: Of the section [events]; None where the catalogue file has none.
        repeat: How repeated actions on one item merge.
    """

    def __init__(self, rules: Weighing | None, repeat: str = "max") -> None:
        given = Weighing() if rules is None else Weighing(**{n: getattr(rules, n) for n in Weighing.model_fields})
        named = {*given.positive, *given.negative, *given.shown}
        more = {
            "negative": (*given.negative, *(k for k in (DISLIKE, NEVER) if k not in named)),
            "shown": (*given.shown, *(k for k in (SATISFACTION,) if k not in named)),
        }
        if given.positive and LIKE not in named:
            more["positive"] = {**given.positive, LIKE: max(given.positive.values())}  # type: ignore[assignment]
        self.rules = given.model_copy(update=more)
        self.repeat = repeat

    @property
    def kinds(self) -> dict[str, str]:
        """Every kind that has a rule -> "like", "dislike" or "shown"."""
        rules = self.rules
        found = dict.fromkeys(rules.positive or (LIKE,), "like") | dict.fromkeys(rules.negative, "dislike")
        return found | dict.fromkeys(rules.shown, "shown")

    def weights(self, kinds: Sequence[str], values: Sequence[float | None]) -> tuple[FloatArray, BoolArray]:
        """(n,) float32 weights and (n,) bool exposures of events by kind and explicit value."""
        names = tuple(dict.fromkeys(kinds))
        place = {name: i for i, name in enumerate(names)}
        codes: IntArray = np.fromiter((place[kind] for kind in kinds), np.int64, len(kinds))
        numbers = np.array([np.nan if value is None else value for value in values], np.float64)
        weights, shown, _ = weigh(self.rules, codes, names, numbers)
        return weights, shown

    def of(self, events: Sequence[StoredEvent]) -> Taste:
        """The taste of one person from their events, in any order."""
        if not events:
            return Taste()
        events = sorted(events, key=lambda event: (event.time, event.revision))
        weights, shown = self.weights([e.kind for e in events], [e.value for e in events])
        kept = [i for i in range(len(events)) if not shown[i]]
        names = list(dict.fromkeys(events[i].item for i in kept))
        place = {name: i for i, name in enumerate(names)}
        items = np.fromiter((place[events[i].item] for i in kept), np.int64, len(kept))
        rows, merged = merge_repeats(np.zeros(len(kept), np.int64), items, weights[kept], self.repeat)
        never = frozenset(event.item for event in events if event.kind == NEVER)
        return Taste(tuple(names[i] for i in items[rows]), merged, never)
