"""Rows become items, events and users; what cannot be used is left out, counted and listed, never lost in silence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import polars as pl

from salon.data.columns import as_ids, as_labels, as_lists, as_numbers, as_texts, as_times, cell, leaves_folder
from salon.data.events import PROPENSITY, Events, TimeKind
from salon.data.ids import MAX_ID_LENGTH, IdMap
from salon.data.items import Field, Items, Users
from salon.data.result import Sieve
from salon.data.sources import EventsSource, ItemsSource, UsersSource, Weighing
from salon.data.tables import Loaded, load_table
from salon.data.vectors import read_vectors
from salon.errors import DataError
from salon.types import BoolArray, FloatArray, IntArray, Modality


def read_items(source: ItemsSource, base: Path) -> tuple[Items, Sieve]:
    """The catalogue, and what of it could not be used.

    A row without an id, with an id that came before, or with an id of more than 300 characters is left out. A number
    that is none and a media path that leaves its folder are masked; the item stays.

    Raises:
        DataError: The table or a column is absent, or no row could be used.
    """
    columns = dict.fromkeys([source.id, *source.declared(), *([source.vector_row] if source.vector_row else [])])
    return items_of(source, load_table(source, list(columns), base), base)


def items_of(source: ItemsSource, loaded: Loaded, base: Path) -> tuple[Items, Sieve]:
    """As `read_items`, from a table that is in memory already."""
    declared = source.declared()
    sieve = _sieve_of_table("items", loaded, source.id)
    kept = np.flatnonzero(sieve.kept)
    _check_any(len(kept), len(sieve.ids), source.shown_name, sieve)
    fields = _fields(declared, source.separators, loaded.frame, sieve, source.shown_name)
    ids = [str(sieve.ids[row]) for row in kept]
    for name, file in source.vector.items():
        rows = _vector_rows(source, loaded, sieve)[kept]
        matrix, present = read_vectors(base / file, ids, rows)
        vectors: Any = matrix
        column = Field.of(name, Modality.VECTOR, vectors, present)
        sieve.mask(_spread(present & ~column.present, kept, sieve), f"the vector {name!r} is not finite")
        fields[name] = column
    return Items(IdMap(ids), fields, _root(source, base)), sieve


def read_users(source: UsersSource, base: Path) -> tuple[Users, Sieve]:
    """The people of a table, and what of it could not be used; as `read_items`."""
    return users_of(source, load_table(source, list(dict.fromkeys([source.id, *source.declared()])), base))


def users_of(source: UsersSource, loaded: Loaded) -> tuple[Users, Sieve]:
    """As `read_users`, from a table that is in memory already."""
    declared = source.declared()
    sieve = _sieve_of_table("users", loaded, source.id)
    kept = np.flatnonzero(sieve.kept)
    _check_any(len(kept), len(sieve.ids), source.shown_name, sieve)
    fields = _fields(declared, source.separators, loaded.frame, sieve, source.shown_name)
    return Users(IdMap([str(sieve.ids[row]) for row in kept], what="user"), fields), sieve


Log: TypeAlias = tuple[Events, Users, Sieve, tuple[str, ...]]
"""Events, the people grown by those that only the log knows, rejects, and notes."""


def read_events(source: EventsSource, items: Items, users: Users, base: Path) -> Log:
    """The log, the people grown by those that only the log knows, rejects, and notes.

    Args:
        source: Where the log is and what its columns mean.
        items: The catalogue; events of other items are left out.
        users: The known people; may be empty.
        base: The folder that relative paths start from.

    Raises:
        DataError: The table or a column is absent, or no row could be used.
    """
    roles = [source.user, source.item, source.time, source.order, source.kind, source.value, source.text]
    roles.append(source.propensity)
    loaded = load_table(source, list(dict.fromkeys(n for n in [*roles, *source.context] if n)), base)
    return events_of(source, loaded, items, users)


def events_of(source: EventsSource, loaded: Loaded, items: Items, users: Users) -> Log:
    """As `read_events`, from a table that is in memory already."""
    frame = loaded.frame
    sieve = _new_sieve("events", loaded, as_ids(frame[source.user]))
    _drop_bad_ids(sieve, sieve.ids, "user")
    names = as_ids(frame[source.item])
    sieve.drop(np.array([n is None for n in names], bool), "the item id is missing")
    rows = items.ids.index([n or "" for n in names], on_unknown="skip")
    sieve.drop(rows < 0, "the item is not in the catalogue", lambda i: names[i])
    times, time_kind = _times(source, frame, sieve)
    kinds, kind_names = _kinds(source, frame, sieve)
    values = _values(source, frame, sieve)
    chances = _propensities(source, frame, sieve)
    kept = np.flatnonzero(sieve.kept)
    _check_any(len(kept), len(sieve.ids), source.shown_name, sieve)
    grown = add_users(users, [str(sieve.ids[i]) for i in kept])
    weights, shown, notes = weigh(source, kinds[kept], kind_names, values[kept])
    events = Events(
        grown.ids.index([str(sieve.ids[i]) for i in kept]),
        rows[kept],
        weights,
        values[kept].astype(np.float32),
        times[kept],
        time_kind,
        kinds[kept].astype(np.int16),
        kind_names,
        shown,
        _reviews(source, frame, kept),
        {name: _context(frame[name], kept) for name in source.context}
        | {name: column[kept] for name, column in chances.items()},
    )
    return events, grown, sieve, notes


def add_users(users: Users, names: Sequence[str]) -> Users:
    """The users with those of `names` that are not among them, who have no attributes."""
    new = [name for name in dict.fromkeys(names) if name not in users.ids]
    if not new:
        return users
    fields = {}
    for name, column in users.fields.items():
        blank: Any = np.full(len(new), np.nan) if column.modality == Modality.NUMBER else [()] * len(new)
        values = [*column.values, *blank]
        fields[name] = Field.of(name, column.modality, values)
    return Users(IdMap([*users.ids.names, *new], what="user"), fields)


def weigh(
    source: Weighing, kinds: IntArray, kind_names: Sequence[str], values: FloatArray
) -> tuple[FloatArray, BoolArray, tuple[str, ...]]:
    """What each action says about taste.

    Args:
        source: The rules.
        kinds: (n,) int index into `kind_names`.
        kind_names: Names of the kinds.
        values: (n,) float, NaN where there is none; thresholds do not apply there.

    Returns:
        Weights (n,) float32, exposures (n,) bool, and notes on kinds that the rules name but nobody did.
    """
    named = {**source.positive, **dict.fromkeys(source.negative, -1.0), **dict.fromkeys(source.shown, 0.0)}
    default = 0.0 if source.positive else 1.0
    weights = np.array([named.get(name, default) for name in kind_names], np.float64)[kinds]
    shown = np.array([name in source.shown for name in kind_names], bool)[kinds]
    likes = weights > 0
    if source.like is not None:
        weights = np.where(likes & (values < source.like), 0.0, weights)
    if source.dislike is not None:
        weights = np.where(likes & (values <= source.dislike), -1.0, weights)
    absent = sorted(set(named) - set(kind_names))
    unnamed = sorted(set(kind_names) - set(named)) if source.positive else []
    notes = [f"No event is of the kind {name!r}, which the catalogue file names." for name in absent]
    notes += [f"Events of the kind {name!r} count as seen only: no list names it." for name in unnamed]
    return weights.astype(np.float32), shown, tuple(notes)


def _root(source: ItemsSource, base: Path) -> Path:
    if source.root:
        return base / source.root
    return base if source.is_database else (base / source.path).parent


def _new_sieve(table: str, loaded: Loaded, ids: list[str | None]) -> Sieve:
    sieve = Sieve(table, ids, loaded.numbers)
    for number, reason, line in loaded.broken:
        sieve.note_line(number, reason, line)
    return sieve


def _sieve_of_table(table: str, loaded: Loaded, column: str) -> Sieve:
    """The sieve of a table in which every row is one thing, with bad and repeated ids left out."""
    ids = as_ids(loaded.frame[column])
    sieve = _new_sieve(table, loaded, ids)
    _drop_bad_ids(sieve, ids, table.removesuffix("s"))
    first = {name: row for row, name in reversed(list(enumerate(ids)))}
    repeated: BoolArray = np.array([first[name] != row for row, name in enumerate(ids)], np.bool_)
    sieve.drop(repeated, "the id is a duplicate of an earlier row", lambda i: ids[i])
    return sieve


def _drop_bad_ids(sieve: Sieve, ids: Sequence[str | None], what: str) -> None:
    sieve.drop(np.array([n is None for n in ids], bool), f"the {what} id is missing")
    long = np.array([n is not None and len(n) > MAX_ID_LENGTH for n in ids], bool)
    sieve.drop(long, f"the {what} id is longer than {MAX_ID_LENGTH} characters", lambda i: ids[i])


def _check_any(kept: int, rows: int, name: str, sieve: Sieve) -> None:
    if kept:
        return
    if rows == 0 and not sieve.counts:
        raise DataError(f"The table {name!r} has no rows.", hint="Nothing was imported.")
    worst, count = sieve.counts.most_common(1)[0]
    reason = worst.partition(": ")[2]
    example = next((r.value for r in sieve.rows if r.reason == reason and r.value), "")
    told = f"{count} rows, such as {example!r}" if example else f"{count} rows"
    raise DataError(
        f"None of the {max(rows, count)} rows of {name!r} can be used.",
        hint=f"Most often: {reason} ({told}). Nothing was imported.",
    )


def _fields(
    declared: Mapping[str, Modality], separators: Mapping[str, str], frame: pl.DataFrame, sieve: Sieve, table: str
) -> dict[str, Field]:
    kept = np.flatnonzero(sieve.kept)
    fields = {}
    for name, modality in declared.items():
        column = frame[name]
        values: Any
        if modality == Modality.NUMBER:
            values = _number_field(name, column, sieve, table)[kept]
        elif modality == Modality.CATEGORY:
            labels = as_labels(column, separators.get(name, ""))
            values = [labels[i] for i in kept]
        else:
            texts = as_lists(column) if modality == Modality.SERIES else as_texts(column)
            if modality.is_media:
                texts = _inside(name, modality, texts, sieve)
            values = [texts[i] for i in kept]
        fields[name] = Field.of(name, modality, values)
    return fields


def _number_field(name: str, column: pl.Series, sieve: Sieve, table: str) -> FloatArray:
    values, bad = as_numbers(column)
    if bad.any() and not np.isfinite(values).any():
        example = cell(column, int(np.argmax(bad)))
        raise DataError(
            f"The column {name!r} of {table!r} is declared a number, but holds {example[:40]!r}.",
            hint="No value of it is a number; declare it as category or text.",
        )
    sieve.mask(bad, f"{name!r} is not a number", lambda i: cell(column, i))
    return values


def _inside(name: str, modality: Modality, paths: list[str | None], sieve: Sieve) -> list[str | None]:
    outside = leaves_folder([path if path is not None and modality.is_path(path) else None for path in paths])
    sieve.mask(outside, f"the path in {name!r} leaves the media folder", lambda i: paths[i])
    return [None if out else path for path, out in zip(paths, outside, strict=True)]


def _vector_rows(source: ItemsSource, loaded: Loaded, sieve: Sieve) -> IntArray:
    """(rows,) the row of each table row in the vector files."""
    if not source.vector_row:
        return np.arange(len(sieve.ids)) if loaded.numbers is None else np.array(loaded.numbers) - 1
    values, bad = as_numbers(loaded.frame[source.vector_row])
    bad |= np.isfinite(values) & ((values < 0) | (values != np.floor(values)))
    sieve.mask(bad, f"{source.vector_row!r} is not a row number", lambda i: cell(loaded.frame[source.vector_row], i))
    return np.where(np.isfinite(values) & ~bad, values, -1).astype(np.int64)


def _spread(found: BoolArray, kept: IntArray, sieve: Sieve) -> BoolArray:
    spread = np.zeros(len(sieve.ids), bool)
    spread[kept] = found
    return spread


def _times(source: EventsSource, frame: pl.DataFrame, sieve: Sieve) -> tuple[FloatArray, TimeKind]:
    name = source.time or source.order
    if not name:
        return np.arange(len(frame), dtype=np.float64), "none"
    column = frame[name]
    if len(column) and column.is_null().all():
        setting = "time" if source.time else "order"
        raise DataError(
            f"The column {name!r} of {source.shown_name!r} is empty.", hint=f"Leave out the setting `{setting}`."
        )
    times = as_times(column, source.time_format) if source.time else as_numbers(column)[0]
    what = f"{name!r} is no time ({source.time_format})" if source.time else f"{name!r} is no position"
    sieve.drop(~np.isfinite(times), what, lambda i: cell(column, i))
    return times, "timestamp" if source.time else "order"


def _kinds(source: EventsSource, frame: pl.DataFrame, sieve: Sieve) -> tuple[IntArray, tuple[str, ...]]:
    if not source.kind:
        return np.zeros(len(frame), np.int64), ("event",)
    kinds = as_ids(frame[source.kind])
    sieve.drop(np.array([k is None for k in kinds], bool), "the kind is missing")
    place = {name: i for i, name in enumerate(dict.fromkeys(k for k in kinds if k is not None))}
    if len(place) > 1000:
        raise DataError(f"The column {source.kind!r} has {len(place)} kinds of action.", hint="Set another `kind`.")
    return np.array([place.get(k or "", 0) for k in kinds], np.int64), tuple(place)


def _values(source: EventsSource, frame: pl.DataFrame, sieve: Sieve) -> FloatArray:
    """Ratings; a cell may be empty only where kinds tell that the action has none."""
    if not source.value:
        return np.full(len(frame), np.nan)
    column = frame[source.value]
    values, bad = as_numbers(column)
    sieve.drop(bad, f"{source.value!r} is not a number", lambda i: cell(column, i))
    if not source.kind:
        sieve.drop(~bad & np.isnan(values), f"{source.value!r} is missing")
    return values


def _propensities(source: EventsSource, frame: pl.DataFrame, sieve: Sieve) -> dict[str, FloatArray]:
    """The column of chances, NaN where a cell is empty or no chance; nothing without such a column."""
    if not source.propensity:
        return {}
    column = frame[source.propensity]
    values, bad = as_numbers(column)
    bad |= np.isfinite(values) & ((values <= 0) | (values > 1))
    sieve.mask(bad, f"{source.propensity!r} is not a chance above 0 and up to 1", lambda i: cell(column, i))
    return {PROPENSITY: np.where(bad, np.nan, values)}


def _reviews(source: EventsSource, frame: pl.DataFrame, kept: IntArray) -> tuple[str | None, ...] | None:
    if not source.text:
        return None
    texts = as_texts(frame[source.text])
    return tuple((texts[i] or "").strip() or None for i in kept)


def _context(column: pl.Series, kept: IntArray) -> Any:
    """A further column: numbers as float64, anything else as strings, "" where missing."""
    if column.dtype.is_numeric():
        return as_numbers(column)[0][kept]
    texts = as_texts(column)
    return np.array([texts[i] or "" for i in kept], dtype=str)
