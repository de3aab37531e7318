"""What reading gives: a dataset, and every row or value that could not be used."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

import numpy as np

from salon.data.dataset import Dataset
from salon.data.parting import Split
from salon.errors import DataError
from salon.types import BoolArray

MAX_LISTED = 100_000
"""Rejects that are listed one by one; all of them are counted."""


@dataclass(frozen=True)
class Reject:
    """One row, or one value of a row, that could not be used.

    Attributes:
        table: "items", "events" or "users".
        row: Number of the row, counted from 1 without the header.
        id: The id of the item, or of the user of an event; "" where it is missing.
        reason: Why, in words that are the same for every row with this problem.
        value: What was found, cut to 80 characters.
        dropped: Whether the whole row was left out; otherwise only the value was masked.
    """

    table: str
    row: int
    id: str
    reason: str
    value: str = ""
    dropped: bool = True


@dataclass(frozen=True)
class Rejects:
    """All rejects.

    Attributes:
        rows: The first 100,000 of them.
        counts: "table: reason" -> how many there are in all.
    """

    rows: tuple[Reject, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return sum(self.counts.values())

    def write(self, path: Path) -> None:
        """Writes the listed rejects as .csv or .jsonl.

        Raises:
            DataError: The suffix is another one.
        """
        if path.suffix not in (".csv", ".jsonl"):
            raise DataError(f"Rejects cannot be written as {path.name!r}.", hint="Use a name in .csv or .jsonl.")
        with path.open("w", encoding="utf-8", newline="") as file:
            if path.suffix == ".csv":
                table = csv.DictWriter(file, [f.name for f in fields(Reject)])
                table.writeheader()
                table.writerows(asdict(row) for row in self.rows)
            else:
                file.writelines(json.dumps(asdict(row), ensure_ascii=False) + "\n" for row in self.rows)


@dataclass(frozen=True)
class ReadResult:
    """What was read.

    Attributes:
        dataset: The usable part.
        rejects: The rest, row by row.
        notes: What else the reader should know, in sentences.
        split: The split that the files prescribe, if they do.
    """

    dataset: Dataset
    rejects: Rejects = field(default_factory=Rejects)
    notes: tuple[str, ...] = ()
    split: Split | None = None

    def write_rejects(self, path: Path | str) -> None:
        """Writes the rejects as .csv or .jsonl."""
        self.rejects.write(Path(path))


class Sieve:
    """Collects the rejects of one table while it is read.

    Args:
        table: "items", "events" or "users".
        ids: How to name each row; None where the id is missing.
        numbers: Row numbers; default 1, 2, ...
    """

    def __init__(self, table: str, ids: list[str | None], numbers: list[int] | None = None) -> None:
        self.table = table
        self.ids = ids
        self.numbers = numbers
        self.kept: BoolArray = np.ones(len(ids), bool)
        self.rows: list[Reject] = []
        self.counts: Counter[str] = Counter()

    def drop(self, found: BoolArray, reason: str, value: Callable[[int], object] | None = None) -> None:
        """Leaves out the rows where `found` is true and that were not left out before."""
        self._note(found & self.kept, reason, value, dropped=True)
        self.kept &= ~found

    def mask(self, found: BoolArray, reason: str, value: Callable[[int], object] | None = None) -> None:
        """Notes rows that are kept, but without one of their values."""
        self._note(found & self.kept, reason, value, dropped=False)

    def note_line(self, number: int, reason: str, value: str = "") -> None:
        """Notes a row that could not even be parsed."""
        self._add(Reject(self.table, number, "", reason, value[:80]), 1)

    def _note(self, found: BoolArray, reason: str, value: Callable[[int], object] | None, *, dropped: bool) -> None:
        if not found.any():
            return
        self.counts[f"{self.table}: {reason}"] += int(found.sum())
        room = MAX_LISTED - len(self.rows)
        for i in np.flatnonzero(found)[: max(room, 0)]:
            row = int(i)
            number = row + 1 if self.numbers is None else self.numbers[row]
            shown = "" if value is None else str(value(row))[:80]
            self._add(Reject(self.table, number, (self.ids[row] or "")[:300], reason, shown, dropped), 0)

    def _add(self, reject: Reject, count: int) -> None:
        self.counts[f"{reject.table}: {reject.reason}"] += count
        if len(self.rows) < MAX_LISTED:
            self.rows.append(reject)


def merge(sieves: Iterable[Sieve]) -> Rejects:
    """The rejects of several tables."""
    sieves = list(sieves)
    counts: Counter[str] = sum((s.counts for s in sieves), Counter())
    rows = tuple(row for s in sieves for row in sorted(s.rows, key=lambda r: r.row))
    return Rejects(rows[:MAX_LISTED], dict(+counts))
