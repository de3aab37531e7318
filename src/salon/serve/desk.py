"""What a service is told: items, people and events, part by part, each with its receipt."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from salon.errors import DataError, SalonError, UnknownIdError
from salon.rerank.columns import Columns
from salon.rerank.expression import Expression
from salon.serve.engine import Engine
from salon.serve.tastes import NEVER
from salon.serve.values import Receipt
from salon.store.checks import fresh_id
from salon.store.events import event_row
from salon.store.values import Exposure, Page, StoredEvent, StoredItem, StoredUser
from salon.types import Modality

T = TypeVar("T")
KINDS: dict[Modality, tuple[type, ...]] = {
    Modality.NUMBER: (int, float),
    Modality.CATEGORY: (str, int, float, bool, list, tuple),
    Modality.VECTOR: (list, tuple),
    Modality.SERIES: (str, list, tuple),
}
"""Plain types that a declared field may have; the others take text."""


class Desk:
    """Takes in what is told, and tells it back."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    # -- items -------------------------------------------------------------------------------------------------------

    def put_items(self, items: Sequence[StoredItem]) -> list[Receipt]:
        """Stores items whole; those that cannot be kept are rejected one by one."""
        found = _each(items, lambda item: item.id, self._check_item, self.engine.store.items.put)
        self.engine.catch_up()
        return found

    def patch_item(self, item: str, fields: Mapping[str, Any], hidden: bool | None) -> StoredItem:
        """Changes some fields."""
        self._check_fields({name: value for name, value in fields.items() if value is not None})
        changed = self.engine.store.items.patch(item, fields, hidden)
        self.engine.catch_up()
        return changed

    def item(self, item: str) -> StoredItem:
        """One item.

        Raises:
            UnknownIdError: There is none.
        """
        found = self.engine.store.items.get([item]).get(item)
        if found is None:
            raise UnknownIdError(f"There is no item {item!r}.", hint="Check the item id.")
        return found

    def items(self, cursor: str, n: int, filter: str) -> Page:
        """Items in the order of their ids, those for which an expression holds."""
        if not filter:
            return self.engine.store.items.page(cursor, n)
        self.engine.catch_up()
        catalogue = self.engine.current.shelf.live.catalogue
        mask = Expression.parse(filter).mask(Columns(len(catalogue), catalogue.columns))
        names = sorted(name for name, row in catalogue.rows.items() if mask[row] and name > cursor)
        rows = [catalogue.items[catalogue.rows[name]] for name in names[:n]]
        return Page(tuple(rows), names[n - 1] if len(names) > n else "")

    def delete_items(self, items: Sequence[str]) -> int:
        """Removes items for good."""
        count = self.engine.store.items.delete(items)
        self.engine.catch_up()
        return count

    def _check_item(self, item: StoredItem) -> None:
        self._check_fields(item.fields)

    def _check_fields(self, fields: Mapping[str, Any]) -> None:
        declared = self.engine.current.shelf.live.catalogue.declared
        for name, value in fields.items():
            modality = declared.get(name)
            if modality is None or value is None:
                continue
            known = KINDS.get(modality, (str,))
            if not isinstance(value, known) or (modality is Modality.NUMBER and isinstance(value, bool)):
                raise DataError(
                    f"The field {name!r} is declared {modality.value}, but is {str(value)[:40]!r}.",
                    hint=f"Give {' or '.join(dict.fromkeys(kind.__name__ for kind in known))}.",
                )

    # -- people ------------------------------------------------------------------------------------------------------

    def put_users(self, users: Sequence[StoredUser]) -> list[Receipt]:
        """Stores people; those that cannot be kept are rejected one by one."""
        found = _each(users, lambda user: user.id, lambda user: None, self.engine.store.users.put)
        self.engine.catch_up()
        return found

    def user(self, user: str) -> StoredUser:
        """One person; somebody who only acted has no attributes.

        Raises:
            UnknownIdError: Nobody heard of them.
        """
        found = self.engine.store.users.get([user]).get(user)
        if found is None and self.engine.people.get(user).known:
            return StoredUser(user)
        if found is None:
            raise UnknownIdError(f"There is no user {user!r}.", hint="Check the user id.")
        return found

    # -- events ------------------------------------------------------------------------------------------------------

    def add_events(self, events: Sequence[StoredEvent]) -> list[Receipt]:
        """Stores events; when it returns the "stored" ones are on disk and count in the next answer."""
        named = [event if event.event_id else replace(event, event_id=fresh_id()) for event in events]
        problems: dict[int, SalonError] = {}
        for place, event in enumerate(named):
            try:
                event_row(event)
            except SalonError as error:
                problems[place] = error
        kept = [event for place, event in enumerate(named) if place not in problems]
        with self.engine.tally.timed("store"):
            new = iter(self.engine.writer.submit(kept).result() if kept else [])
        found, fresh = [], []
        for place, event in enumerate(named):
            if place in problems:
                found.append(Receipt(event.event_id, "rejected", problems[place].to_dict()))
            elif next(new):
                found.append(Receipt(event.event_id, "stored"))
                fresh.append(event)
            else:
                found.append(Receipt(event.event_id, "known"))
        self.engine.catch_up()
        self._follow(fresh)
        return found

    def _follow(self, events: Sequence[StoredEvent]) -> None:
        """Counts events, and those that follow from an answer of ours."""
        engine = self.engine
        engine.tally.add("events", len(events))
        named = [event for event in events if event.recommendation_id and event.kind != NEVER]
        weights, shown = engine.tastes.weights([e.kind for e in named], [e.value for e in named])
        for event, weight, only_shown in zip(named, weights, shown, strict=True):
            exposure = None if only_shown else engine.exposures.get(event.recommendation_id)
            if exposure is not None and event.item in exposure.items:
                engine.tally.click()
                engine.tally.place("clicks", engine.places.known(exposure.scenario), exposure.variant)
                self._explored(exposure, event.item, float(weight))

    def _explored(self, exposure: Exposure, item: str, weight: float) -> None:
        values = exposure.request.get("explored", {}).get(item)
        if values is not None and weight >= 0:
            self.engine.explorers.clicked(exposure.scenario, item, values)


def _each(
    values: Sequence[T], name: Callable[[T], str], check: Callable[[T], None], put: Callable[[list[T]], int]
) -> list[Receipt]:
    """Stores values together, and one by one where that is refused, so that one bad value harms no other."""
    problems: dict[int, SalonError] = {}
    for place, value in enumerate(values):
        try:
            check(value)
        except DataError as error:
            problems[place] = error
    good = [place for place in range(len(values)) if place not in problems]
    try:
        put([values[place] for place in good])
    except DataError:
        for place in good:
            try:
                put([values[place]])
            except DataError as error:
                problems[place] = error
    return [
        Receipt(name(value), "rejected", problems[place].to_dict())
        if place in problems
        else Receipt(name(value), "stored")
        for place, value in enumerate(values)
    ]
