"""A dataset as parquet files in a folder, for saved models: what was read, in the house format."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from salon.artifacts import read_json, write_json
from salon.data.dataset import Dataset
from salon.data.events import Events
from salon.data.ids import IdMap
from salon.data.items import Field, Items, Table, Users
from salon.errors import ArtifactError
from salon.types import Modality

_EVENT_COLUMNS = ("users", "items", "weights", "values", "times", "kinds", "shown")


def write_dataset(folder: Path, dataset: Dataset) -> None:
    """Writes items, users and events as parquet, and what they mean as JSON.

    The folder of the media is kept relative to `folder`, so that both can be moved together.
    """
    about: dict[str, Any] = {"repeat": dataset.repeat, "fields": {}}
    for name, table in (("items", dataset.items), ("users", dataset.users)):
        columns = {"id": pl.Series(table.ids.names, dtype=pl.String)}
        columns |= {f"field:{f.name}": _column(f) for f in table.fields.values()}
        pl.DataFrame(columns).write_parquet(folder / f"{name}.parquet")
        about["fields"][name] = [[f.name, f.modality.value] for f in table.fields.values()]
    root = dataset.items.root
    about["root"] = None if root is None else os.path.relpath(root.resolve(), folder.resolve())
    events = dataset.events
    frame = {name: pl.Series(np.asarray(getattr(events, name))) for name in _EVENT_COLUMNS}
    if events.texts is not None:
        frame["texts"] = pl.Series(events.texts, dtype=pl.String)
    frame |= {f"context:{name}": pl.Series(list(column)) for name, column in events.context.items()}
    pl.DataFrame(frame).write_parquet(folder / "events.parquet")
    about |= {"time_kind": events.time_kind, "kind_names": list(events.kind_names)}
    write_json(folder / "tables.json", about)


def _column(field: Field) -> pl.Series:
    if field.modality == Modality.CATEGORY:
        return pl.Series([list(row) for row in field.values], dtype=pl.List(pl.String))
    if field.modality == Modality.VECTOR:
        rows = [row.tolist() if here else None for row, here in zip(field.values, field.present, strict=True)]
        return pl.Series(rows, dtype=pl.List(pl.Float32))
    if field.modality == Modality.NUMBER:
        return pl.Series(field.values).fill_nan(None)
    return pl.Series(field.values, dtype=pl.String)


def read_dataset_folder(folder: Path) -> Dataset:
    """What `write_dataset` wrote.

    Raises:
        ArtifactError: A file is missing or damaged.
    """
    about = read_json(folder / "tables.json")
    try:
        frames = {name: pl.read_parquet(folder / f"{name}.parquet") for name in ("items", "users", "events")}
        root = (folder / about["root"]).resolve() if about["root"] else None
        items = _table(Items, "item", frames["items"], about["fields"]["items"], root)
        users = _table(Users, "user", frames["users"], about["fields"]["users"], None)
        return Dataset(items, _events(frames["events"], about), users, about["repeat"])
    except (OSError, KeyError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise ArtifactError(f"The tables in {str(folder)!r} cannot be read: {error}.") from None


def _table(cls: type[Any], what: str, frame: pl.DataFrame, fields: list[list[str]], root: Path | None) -> Any:
    columns = {}
    for name, modality in fields:
        values: Any = frame[f"field:{name}"]
        stored = values.to_numpy() if modality == Modality.NUMBER else values.to_list()
        columns[name] = Field.of(name, modality, stored)
    table: Table = cls(IdMap(frame["id"].to_list(), what=what), columns, root)
    return table


def _events(frame: pl.DataFrame, about: dict[str, Any]) -> Events:
    columns = {name: frame[name].to_numpy() for name in _EVENT_COLUMNS}
    context = {c.removeprefix("context:"): frame[c].to_numpy() for c in frame.columns if c.startswith("context:")}
    return Events(
        **columns,
        time_kind=about["time_kind"],
        kind_names=tuple(about["kind_names"]),
        texts=tuple(frame["texts"].to_list()) if "texts" in frame.columns else None,
        context=context,
    )
