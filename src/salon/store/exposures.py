"""Answers that were shown, so that what follows can be attributed to them and learned from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Row

from salon.errors import DataError
from salon.store.checks import as_json, named, number, page_size, word
from salon.store.database import Part
from salon.store.schema import exposures
from salon.store.statements import upsert
from salon.store.values import Exposure, Page

_WORDS = ("session", "scenario", "experiment", "variant", "version")
_LISTS = ("items", "sources", "scores", "propensities")


class Exposures(Part):
    """Exposures by recommendation id."""

    def append(self, shown: Sequence[Exposure]) -> int:
        """Stores answers in one transaction; one with a known id replaces what is there.

        Raises:
            DataError: One cannot be kept; then none is stored.
        """
        rows = {exposure.recommendation_id: exposure_row(exposure) for exposure in shown}
        if rows:
            with self._database.write(stamped=False) as connection:
                upsert(connection, exposures, list(rows.values()))
        return len(rows)

    def get(self, recommendation_id: str) -> Exposure | None:
        """One answer, or None."""
        chosen = exposures.select().where(exposures.c.recommendation_id == recommendation_id)
        with self._database.read() as connection:
            row = connection.execute(chosen).one_or_none()
        return None if row is None else of_row(row)

    def page(self, after: str = "", n: int = 100, *, since: float = 0.0) -> Page:
        """Up to `n` answers in the order of their times, from a time on, after the cursor of the page before.

        Raises:
            DataError: `n` is below 1 or above 10,000, or `after` is no cursor.
        """
        place = sa.tuple_(exposures.c.time, exposures.c.recommendation_id)
        chosen = exposures.select().where(exposures.c.time >= since)
        if after:
            chosen = chosen.where(place > sa.tuple_(*_cursor(after)))
        ordered = chosen.order_by(exposures.c.time, exposures.c.recommendation_id).limit(page_size(n) + 1)
        with self._database.read() as connection:
            rows = connection.execute(ordered).all()
        cursor = f"{rows[n - 1].time!r} {rows[n - 1].recommendation_id}" if len(rows) > n else ""
        return Page(tuple(of_row(row) for row in rows[:n]), cursor)

    def expire(self, before: float) -> int:
        """Removes answers shown before a time; how many there were."""
        with self._database.write(stamped=False) as connection:
            return connection.execute(exposures.delete().where(exposures.c.time < before)).rowcount


def exposure_row(shown: Exposure) -> dict[str, Any]:
    """The columns of an answer, checked.

    Raises:
        DataError: It cannot be kept.
    """
    name = named(shown.recommendation_id, "recommendation")
    lists = {column: list(getattr(shown, column)) for column in _LISTS}
    if len({len(values) for values in lists.values()}) != 1:
        raise DataError(f"The lists of recommendation {name!r} differ in length.", hint="Give one value for each item.")
    row: dict[str, Any] = {
        column: as_json(values, f"{column} of recommendation {name!r}") for column, values in lists.items()
    }
    row |= {column: word(getattr(shown, column), column) for column in _WORDS}
    row |= {"recommendation_id": name, "user_id": word(shown.user, "user id")}
    row |= {"request": as_json(dict(shown.request), f"request of recommendation {name!r}")}
    return row | {"time": number(shown.time, "time of a recommendation")}


def of_row(row: Row[Any]) -> Exposure:
    """The answer of a row."""
    lists: dict[str, Any] = {column: tuple(json.loads(row._mapping[column])) for column in _LISTS}
    words = {column: row._mapping[column] for column in _WORDS}
    return Exposure(row.recommendation_id, row.user_id, row.time, **lists, **words, request=json.loads(row.request))


def _cursor(after: str) -> tuple[float, str]:
    time, _, name = after.partition(" ")
    try:
        return float(time), name
    except ValueError:
        hint = "Give the cursor of the last page."
        raise DataError(f"{after[:40]!r} is no cursor of exposures.", hint=hint) from None
