"""Any nested plain value, such as the data report, as figures, tables, lines and sections that a page can show."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MAX_ROWS = 60
MAX_DEPTH = 5
HEADINGS = {"coverage": "items by number of modalities present", "agreements": "agreement of modalities"}
"""Names of the data report that need more words."""


@dataclass(frozen=True)
class Section:
    """One level of a nested value.

    Attributes:
        title: Its heading.
        figures: (name, value) of the plain values.
        lines: Plain values of a list.
        head: Column names of a table.
        rows: Cells of that table.
        more: How many rows or lines are not shown.
        parts: The levels below.
    """

    title: str
    figures: tuple[tuple[str, str], ...] = ()
    lines: tuple[str, ...] = ()
    head: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    more: int = 0
    parts: tuple[Section, ...] = ()


def outline(value: Any, title: str = "", depth: int = 0) -> Section:
    """A nested mapping or list as sections.

    Args:
        value: Mappings, sequences and plain values.
        title: Heading of the whole.
        depth: Level of the heading; below `MAX_DEPTH` values are written out on one line.
    """
    if depth >= MAX_DEPTH:
        return Section(title, lines=(words(value),))
    if isinstance(value, Mapping):
        return _of_mapping(value, title, depth)
    if _is_list(value):
        return _of_list(value, title, depth)
    return Section(title, lines=(words(value),))


def _of_mapping(value: Mapping[Any, Any], title: str, depth: int) -> Section:
    if len(value) > 1 and all(isinstance(v, Mapping) and v and _is_flat(v.values()) for v in value.values()):
        return _table(title, [{"": _name(k), **v} for k, v in value.items()])
    figures = [(_name(k), words(v)) for k, v in value.items() if not _is_nested(v)]
    parts = [outline(v, _name(k), depth + 1) for k, v in value.items() if _is_nested(v)]
    parts.sort(key=lambda part: not part.lines)  # sentences come before tables
    return Section(title, figures=tuple(figures), parts=tuple(parts))


def _of_list(value: Sequence[Any], title: str, depth: int) -> Section:
    if value and all(isinstance(v, Mapping) and _is_flat(v.values()) for v in value):
        return _table(title, value)
    if _is_flat(value):
        return Section(title, lines=tuple(map(words, value[:MAX_ROWS])), more=max(0, len(value) - MAX_ROWS))
    parts = [outline(v, f"{title} {i + 1}".strip(), depth + 1) for i, v in enumerate(value[:MAX_ROWS])]
    return Section(title, parts=tuple(parts), more=max(0, len(value) - MAX_ROWS))


def _table(title: str, rows: Sequence[Mapping[str, Any]]) -> Section:
    head = tuple(dict.fromkeys(key for row in rows for key in row))
    cells = tuple(tuple(words(row[k]) if k in row else "" for k in head) for row in rows[:MAX_ROWS])
    return Section(title, head=tuple(map(_name, head)), rows=cells, more=max(0, len(rows) - MAX_ROWS))


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes))


def _is_nested(value: Any) -> bool:
    return (isinstance(value, Mapping) and len(value) > 0) or (_is_list(value) and not _is_short(value))


def _is_short(value: Sequence[Any]) -> bool:
    """Whether a list reads well on one line."""
    return len(value) <= 4 and all(not isinstance(v, Mapping) and not _is_list(v) and len(str(v)) < 24 for v in value)


def _is_flat(values: Any) -> bool:
    return all(not isinstance(v, Mapping) and (not _is_list(v) or _is_short(v)) for v in values)


def _name(key: Any) -> str:
    return HEADINGS.get(str(key), str(key).replace("_", " "))


def words(value: Any) -> str:
    """A plain value as it reads well: 12345 as "12,345", 0.12345 as "0.123", None as "–", times to the minute."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, (Mapping, list, tuple)) and not value:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}" if abs(value) < 10 else f"{value:.1f}"
    if _is_list(value):
        return ", ".join(words(v) for v in value)
    return re.sub(r"^(\d{4}-\d\d-\d\d)T(\d\d:\d\d)\S*$", r"\1 \2", str(value))
