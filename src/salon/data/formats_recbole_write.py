"""RecBole atomic files, written: the events, the fields of items and users, and a split as benchmark files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from salon.data.dataset import Dataset
from salon.data.formats_recbole import KINDS
from salon.data.formats_write import check_writable, file_words, last_values, target
from salon.data.items import Field, Table
from salon.data.parting import Split, pair_keys
from salon.data.queries import Holdout
from salon.errors import DataError
from salon.types import FloatArray, IntArray, Modality

HEADERS = {Modality.TEXT: "token_seq", Modality.CATEGORY: "token_seq", Modality.NUMBER: "float"}


def write_recbole(folder: Path | str, data: Dataset, split: Split | None = None, *, name: str = "") -> None:
    """Writes <name>.inter, .item and .user, or with a split .train.inter, .valid.inter and .test.inter instead.

    RecBole separates labels by blanks, so a blank inside a label becomes "_"; tabs and line breaks inside texts become
    blanks. Exposures, kinds, reviews and context are not written. Vector fields are written as <name>.<field>.

    Args:
        folder: Is made if it is not there; files of the same name are replaced.
        data: The whole dataset.
        split: What the three parts shall be; validation and test hold the targets only.
        name: Name of the data set; default: the name of the folder.

    Raises:
        DataError: A name holds a tab or a line break, or a vector field would take the file of something else.
    """
    place, name = target(folder, name)
    vectors = file_words(data.items.of(Modality.VECTOR), KINDS)
    check_writable(data.items.ids)
    check_writable(data.users.ids)
    stem = place / name
    if split is None:
        _write_events(stem.with_name(f"{name}.inter"), data, *_columns(data))
    else:
        _write_events(stem.with_name(f"{name}.train.inter"), data, *_columns(split.train))
        _write_events(stem.with_name(f"{name}.valid.inter"), data, *_targets(data, split.valid))
        _write_events(stem.with_name(f"{name}.test.inter"), data, *_targets(data, split.test))
    _write_table(stem.with_name(f"{name}.item"), "item_id", data.items)
    if data.users.fields:
        _write_table(stem.with_name(f"{name}.user"), "user_id", data.users)
    for word, field in vectors.items():
        _write_vectors(stem.with_name(f"{name}.{word}"), data, field)


def _columns(data: Dataset) -> tuple[IntArray, IntArray, FloatArray, FloatArray]:
    """Users, items, values and times of what is more than an exposure."""
    events = data.events
    rows = np.flatnonzero(~events.shown)
    return events.users[rows], events.items[rows], events.values[rows].astype(np.float64), events.times[rows]


def _targets(data: Dataset, hold: Holdout) -> tuple[IntArray, IntArray, FloatArray, FloatArray]:
    rows, columns = hold.targets.nonzero()
    users = hold.queries.users[rows]
    return users, columns, *last_values(data, pair_keys(users, columns, data.n_items))


def _write_events(
    path: Path, data: Dataset, users: IntArray, items: IntArray, values: FloatArray, times: FloatArray
) -> None:
    columns = [("user_id:token", [data.users.ids[int(u)] for u in users])]
    columns.append(("item_id:token", [data.items.ids[int(i)] for i in items]))
    if np.isfinite(data.events.values).any():
        columns.append(("rating:float", _numbers(values)))
    if data.events.has_order:
        columns.append(("timestamp:float", _numbers(times)))
    _write(path, columns)


def _write_table(path: Path, role: str, table: Table) -> None:
    columns = [(f"{role}:token", list(table.ids.names))]
    for field in table.fields.values():
        if field.modality == Modality.VECTOR:
            continue
        _check_column(field.name)
        columns.append((f"{field.name}:{HEADERS.get(field.modality, 'token')}", _cells(field)))
    _write(path, columns)


def _check_column(name: str) -> None:
    if ":" in name or any(mark in name for mark in "\t\r\n"):
        raise DataError(f"The field {name!r} cannot be a column of RecBole.", hint="Rename it.")


def _cells(field: Field) -> list[str]:
    if field.modality == Modality.NUMBER:
        return _numbers(field.values)
    if field.modality == Modality.CATEGORY:
        return [" ".join("_".join(label.split()) for label in labels) for labels in field.values]
    return ["" if text is None else " ".join(text.split()) for text in field.values]


def _write_vectors(path: Path, data: Dataset, field: Field) -> None:
    _check_column(field.name)
    rows = np.flatnonzero(field.present)
    cells = [" ".join(np.format_float_positional(x, trim="-") for x in field.values[row]) for row in rows]
    _write(path, [("iid:token", [data.items.ids[int(i)] for i in rows]), (f"{field.name}:float_seq", cells)])


def _numbers(values: Iterable[float]) -> list[str]:
    """The shortest text that gives each number back; empty where there is none."""
    return ["" if not np.isfinite(v) else str(int(v)) if float(v).is_integer() else repr(float(v)) for v in values]


def _write(path: Path, columns: Sequence[tuple[str, list[str]]]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write("\t".join(name for name, _ in columns) + "\n")
        file.writelines("\t".join(cells) + "\n" for cells in zip(*(c for _, c in columns), strict=True))
