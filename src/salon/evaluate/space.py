"""Which settings of a model are worth trying: its own grid, what is derived from its settings, or what is asked for.

Derived, where a model names no grid: numbers are tried at a third, once and three times their default (whole numbers
at half, once and twice), switches both ways, words in all their values. Left out are settings that the model chooses
itself (default None), nested ones, numbers whose default is 0, those given already, and those of `NOT_TUNED`, which say
how much a fit may cost and not what is learned. A model that searches its settings itself (`search`) has none.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal, get_args, get_origin

from salon.config import Settings, build
from salon.errors import SettingError, did_you_mean
from salon.models.base import Recommender

NOT_TUNED = frozenset(
    {
        "threads", "device", "precision", "processes", "checkpoint", "validate_every", "patience",
        "epochs", "batch_size", "sweeps", "memory_gb", "max_items", "max_history", "search",
        "refit", "holdout", "mode", "budget_seconds", "seed",
    }
)  # fmt: skip
"""Settings of cost and machine."""


@dataclass(frozen=True)
class Choice:
    """Some values to try."""

    values: tuple[Any, ...]


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`; `log` spreads them evenly over powers, `whole` takes integers only."""

    low: float
    high: float
    log: bool = False
    whole: bool = False


Space = Mapping[str, Choice | Range]
"""Setting name to what is tried."""


def space_of(
    model: type[Recommender],
    base: Mapping[str, Any],
    *,
    sets: Sequence[str] = (),
    ranges: Sequence[str] = (),
) -> dict[str, Choice | Range]:
    """What to try for a model.

    Args:
        model: Its class.
        base: Settings that are given and stay as they are.
        sets: Such as "layers=2,3"; with any of these, or of `ranges`, only what they name is tried.
        ranges: Such as "reg=1e-5:1e-1:log", "dim=16:128".

    Raises:
        SettingError: A setting is unknown or a value out of range, or there is nothing to try.
    """
    asked: dict[str, Choice | Range] = {}
    for text in sets:
        name, values = _named(text, "--set", "layers=2,3")
        asked[name] = Choice(tuple(_value(v) for v in values.split(",")))
    for text in ranges:
        name, bounds = _named(text, "--range", "reg=1e-5:1e-1:log")
        asked[name] = _range(bounds, text)
    cls = model.settings_class()
    for name in asked:
        if name not in cls.model_fields:
            raise SettingError(f"Unknown setting {name!r}.", hint=did_you_mean(name, cls.model_fields))
    space = asked or default_space(model, base)
    if not space:
        raise SettingError(
            f"{model.__name__} has no settings to tune: it has none, or chooses them itself in every fit.",
            hint="Name some with --set or --range.",
        )
    for name, part in space.items():
        for value in part.values if isinstance(part, Choice) else _ends(part):
            build(cls, {**base, name: value}, where=f"what to try for {name!r}")
    return space


def default_space(model: type[Recommender], base: Mapping[str, Any]) -> dict[str, Choice | Range]:
    """The model's own grid without what is given, or what its settings suggest; nothing where it searches itself."""
    if model.grid:
        return {name: Choice(tuple(values)) for name, values in model.grid.items() if name not in base}
    cls = model.settings_class()
    found: dict[str, Choice | Range] = {}
    if "search" in cls.model_fields and base.get("search", cls.model_fields["search"].default):
        return found
    for name in cls.model_fields:
        if name not in NOT_TUNED and name not in base:
            values = [v for v in _suggested(cls, name) if _is_valid(cls, {**base, name: v})]
            if len(values) > 1:
                found[name] = Choice(tuple(values))
    return found


def combinations(space: Space) -> int | None:
    """How many different trials there are; None for infinitely many."""
    if any(isinstance(part, Range) for part in space.values()):
        return None
    return math.prod(len(part.values) for part in space.values() if isinstance(part, Choice))


def all_settings(space: Space) -> Iterator[dict[str, Any]]:
    """Every combination of a space of choices."""
    names = list(space)
    for values in product(*(part.values for part in space.values() if isinstance(part, Choice))):
        yield dict(zip(names, values, strict=True))


def as_plain(space: Space) -> dict[str, Any]:
    """The space as plain values, for reports: a list of values, or "low:high" with ":log"."""
    return {
        name: list(part.values) if isinstance(part, Choice) else f"{part.low:g}:{part.high:g}" + ":log" * part.log
        for name, part in space.items()
    }


def seconds_of(text: str) -> float:
    """Seconds of a budget such as "90s", "10m" or "2h"; a bare number means seconds.

    Raises:
        SettingError: It is no duration above 0.
    """
    units = {"s": 1.0, "m": 60.0, "h": 3600.0}
    number, unit = (text[:-1], text[-1]) if text[-1:] in units else (text, "s")
    try:
        seconds = float(number) * units[unit]
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise SettingError(f"The budget {text!r} is no duration.", hint="Write it as 90s, 10m or 2h.")
    return seconds


def _suggested(cls: type[Settings], name: str) -> list[Any]:
    field = cls.model_fields[name]
    default, kind = field.get_default(call_default_factory=True), field.annotation
    if get_origin(kind) is Literal:
        return list(get_args(kind))
    if isinstance(default, bool):
        return [False, True]
    if isinstance(default, int) and default > 0:
        return sorted({max(1, default // 2), default, 2 * default})
    if isinstance(default, float) and default > 0:
        return [float(f"{default * step:.3g}") for step in (1 / 3, 1, 3)]
    return []


def _is_valid(cls: type[Settings], values: Mapping[str, Any]) -> bool:
    try:
        build(cls, values)
    except SettingError:
        return False
    return True


def _named(text: str, option: str, example: str) -> tuple[str, str]:
    name, sign, rest = text.partition("=")
    if not sign or not name.strip() or not rest.strip():
        raise SettingError(f"{option} {text!r} cannot be read.", hint=f"Write it as {option} {example}.")
    return name.strip(), rest.strip()


def _value(text: str) -> Any:
    """A number, true or false where it is written like one, else the word."""
    text = text.strip()
    try:
        value = json.loads(text)
    except ValueError:
        try:
            value = float(text)
        except ValueError:
            return text
    if isinstance(value, float) and not math.isfinite(value):
        return text
    return value


def _range(bounds: str, text: str) -> Range:
    parts = bounds.split(":")
    values = [_value(part) for part in parts[:2]]
    numbers = [v for v in values if isinstance(v, (int, float)) and not isinstance(v, bool)]
    log = parts[2:] == ["log"]
    if len(numbers) < 2 or (parts[2:] and not log) or numbers[0] >= numbers[1] or (log and numbers[0] <= 0):
        raise SettingError(
            f"--range {text!r} cannot be read.", hint="Write it as low:high, or low:high:log with low above 0."
        )
    return Range(numbers[0], numbers[1], log, all(isinstance(v, int) for v in numbers))


def _ends(part: Range) -> tuple[float, float]:
    return (int(part.low), int(part.high)) if part.whole else (part.low, part.high)
