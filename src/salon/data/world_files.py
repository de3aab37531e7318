"""The tables of a world on disk: items.csv, events.csv, users.csv and the catalogue file shop.toml."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from salon.data.world_taste import KINDS, Log
from salon.errors import DataError


def empty_folder(folder: Path) -> Path:
    """The folder, made if need be.

    Raises:
        DataError: It is a file or already holds something, which a world would overwrite.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(f"{str(folder)!r} is not empty.", hint="Give a new folder, or empty this one.")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def write_table(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A comma-separated table in UTF-8; None is an empty cell."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def write_events(
    path: Path, log: Log, users: Sequence[str], items: Sequence[str], extra: Sequence[Sequence[object]]
) -> None:
    """The log by names, with further rows (person, item, time, kind) at its end."""
    columns = zip(log.users, log.items, log.times, log.kinds, strict=True)
    rows: list[Sequence[object]] = [(users[u], items[i], int(t), KINDS[k]) for u, i, t, k in columns]
    write_table(path, ("person", "item", "time", "kind"), [*rows, *extra])


def write_catalogue(path: Path, title: str, item_lines: Sequence[str], user_columns: Sequence[str]) -> None:
    """shop.toml; `item_lines` declare the columns of items.csv."""
    listed = ", ".join(f'"{name}"' for name in user_columns)
    lines = [
        f"# {title}",
        "",
        "[items]",
        'path = "items.csv"',
        'id = "id"',
        *item_lines,
        "",
        "[events]",
        'path = "events.csv"',
        'user = "person"',
        'item = "item"',
        'time = "time"',
        'kind = "kind"',
        "positive = { view = 1.0, buy = 3.0 }",
        'negative = ["dislike"]',
        'shown = ["shown"]',
        "",
        "[users]",
        'path = "users.csv"',
        'id = "id"',
        f"category = [{listed}]",
        "",
        "[model]",
        'name = "linear"',
        "",
    ]
    path.write_text("\n".join(lines), encoding="utf-8")
