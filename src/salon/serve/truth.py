"""Between the store and what models learn from: a dataset put into an empty store, and one made of a store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from salon.data import Dataset, Events, Field, IdMap, Items, Users
from salon.data.events import PROPENSITY
from salon.data.items import Table
from salon.serve.catalogue import plain
from salon.serve.tastes import Tastes
from salon.store import Store
from salon.store.values import StoredEvent, StoredItem, StoredUser
from salon.types import Modality

AT_ONCE = 2_000
"""Rows that are written in one transaction."""
ORDER_START = 1.0
"""Time of the first event of a log that has an order but no clock; a stored time of 0 would mean "now"."""


def fields_of(table: Table, row: int) -> dict[str, Any]:
    """The values of one row as plain data; vectors stay with the model, which has them already."""
    found: dict[str, Any] = {}
    for name, column in table.fields.items():
        if column.present[row] and column.modality is not Modality.VECTOR:
            value = column.values[row]
            if column.modality is Modality.CATEGORY:
                value = value[0] if len(value) == 1 else list(value)
            found[name] = float(value) if column.modality is Modality.NUMBER else value
    return found


def import_dataset(store: Store, data: Dataset) -> None:
    """Puts a dataset into a store; what is there already, by id, is put again and not doubled."""
    for start in range(0, data.n_items, AT_ONCE):
        rows = range(start, min(start + AT_ONCE, data.n_items))
        store.items.put([StoredItem(data.items.ids[row], fields_of(data.items, row)) for row in rows])
    for start in range(0, data.n_users, AT_ONCE):
        rows = range(start, min(start + AT_ONCE, data.n_users))
        store.users.put([StoredUser(data.users.ids[row], fields_of(data.users, row)) for row in rows])
    for start in range(0, len(data.events), AT_ONCE):
        rows = range(start, min(start + AT_ONCE, len(data.events)))
        store.events.append([_event(data, row) for row in rows])


def _event(data: Dataset, row: int) -> StoredEvent:
    events = data.events
    value, time = float(events.values[row]), float(events.times[row])
    properties = {name: _scalar(column[row]) for name, column in events.context.items()}
    if events.texts is not None and events.texts[row]:
        properties["text"] = events.texts[row]
    return StoredEvent(
        data.users.ids[int(events.users[row])],
        data.items.ids[int(events.items[row])],
        events.kind_names[int(events.kinds[row])],
        f"import-{row}",
        None if np.isnan(value) else value,
        time if events.time_kind == "timestamp" else time + ORDER_START,
        properties={name: kept for name, kept in properties.items() if kept not in (None, "")},
    )


def _scalar(value: Any) -> Any:
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and np.isnan(value) else value


# -- back again --------------------------------------------------------------------------------------------------------


def stored_items(store: Store) -> Iterator[StoredItem]:
    """All items, in the order of their ids."""
    yield from _all(store.items)


def _all(table: Any) -> Iterator[Any]:
    cursor = ""
    while True:
        page = table.page(cursor, AT_ONCE)
        yield from page.rows
        cursor = page.cursor
        if not cursor:
            return


def stored_users(store: Store) -> Iterator[StoredUser]:
    """All people, in the order of their ids."""
    yield from _all(store.users)


def stored_events(store: Store, *, after: int = 0, until: int | None = None) -> Iterator[StoredEvent]:
    """All events after one revision and up to another, in the order they came."""
    cursor: int | str = after
    while True:
        page = store.events.page(cursor, AT_ONCE)
        for event in page.rows:
            if until is not None and event.revision > until:
                return
            yield event
        cursor = page.cursor
        if not cursor:
            return


def table_of(declared: Mapping[str, Modality], items: Sequence[StoredItem], root: Path | None) -> Items:
    """Stored items as a table of the declared fields."""
    fields = {
        name: Field.of(name, modality, [plain(modality, item.fields.get(name)) for item in items])
        for name, modality in declared.items()
        if modality is not Modality.VECTOR
    }
    return Items(IdMap([item.id for item in items]), fields, root)


def with_vectors(items: Items, stored: Sequence[StoredItem], base: Items) -> Items:
    """The table with its declared vectors: those that were stored, or else those of an earlier table."""
    place = base.ids.index(items.ids.names, on_unknown="skip")
    for column in base.of(Modality.VECTOR):
        dim = column.values.shape[1]
        values: Any = np.full((len(items), dim), np.nan, np.float32)
        values[place >= 0] = np.where(column.present[:, None], column.values, np.nan)[place[place >= 0]]
        for row, item in enumerate(stored):
            given = plain(Modality.VECTOR, item.fields.get(column.name))
            if given is not None and len(given) == dim:
                values[row] = given
        items = items.with_field(Field.of(column.name, Modality.VECTOR, values))
    return items


def dataset_of(store: Store, base: Dataset, tastes: Tastes, *, root: Path | None, until: int | None = None) -> Dataset:
    """Everything stored, as models learn from it.

    Args:
        store: The truth.
        base: The dataset of an earlier version: it says what fields are, and whether times mean anything.
        tastes: The rules that weigh events.
        root: Folder of the media.
        until: Revision of the last event that counts; None for all.
    """
    stored = list(stored_items(store))
    declared = {name: column.modality for name, column in base.items.fields.items()}
    items = with_vectors(table_of(declared, stored, root), stored, base.items)
    people = [user for user in stored_users(store) if not user.merged_into]
    events = [e for e in stored_events(store, until=until) if e.item in items.ids]
    known = {user.id for user in people}
    people += [StoredUser(name) for name in dict.fromkeys(e.user for e in events) if name not in known]
    attributes = {
        name: Field.of(name, column.modality, [plain(column.modality, user.fields.get(name)) for user in people])
        for name, column in base.users.fields.items()
    }
    users = Users(IdMap([user.id for user in people], what="user"), attributes)
    return Dataset(items, _log(events, items, users, base.events, tastes), users, base.repeat)


def _log(stored: Sequence[StoredEvent], items: Items, users: Users, base: Events, tastes: Tastes) -> Events:
    kinds = [event.kind for event in stored]
    weights, shown = tastes.weights(kinds, [event.value for event in stored])
    names = tuple(dict.fromkeys([*base.kind_names, *kinds]))
    place = {name: i for i, name in enumerate(names)}
    texts = [event.properties.get("text") for event in stored]
    context = {name: _context([e.properties.get(name) for e in stored]) for name in base.context if name != PROPENSITY}
    chances = [event.properties.get(PROPENSITY) for event in stored]
    if any(chance is not None for chance in chances):
        context[PROPENSITY] = np.array([np.nan if c is None else float(c) for c in chances], np.float64)
    found = Events.of(
        users.ids.index([event.user for event in stored]),
        items.ids.index([event.item for event in stored]),
        weights=weights,
        values=[np.nan if event.value is None else event.value for event in stored],
        times=[event.time for event in stored],
        time_kind=base.time_kind,
    )
    return replace(
        found,
        kinds=np.array([place[kind] for kind in kinds], np.int16),
        kind_names=names,
        shown=shown,
        texts=tuple(texts) if any(texts) else None,
        context=context,
    )


def _context(values: list[Any]) -> Any:
    if all(value is None or isinstance(value, (int, float)) for value in values):
        return np.array([np.nan if value is None else value for value in values], np.float64)
    return np.array(["" if value is None else str(value) for value in values], dtype=str)
