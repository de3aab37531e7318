"""RecBole atomic files, read (`formats_recbole_write` writes them).

    <name>.inter, <name>.item, <name>.user      tab-separated; header cells are `name:type`
    <name>.train.inter, .valid.inter, .test.inter       a split that is prescribed (RecBole's benchmark files)
    <name>.<suffix>     vectors made elsewhere: `iid:token emb:float_seq`

A type is taken at its word: token and token_seq are labels, float is a number, float_seq a vector. Whether a token_seq
is text cannot be told, so text is declared by name. Files of the kinds .kg, .link and .net are not read, and neither
are files of whole histories (`item_id_list`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from salon.data.dataset import Dataset
from salon.data.ids import IdMap
from salon.data.items import Field, Items, Users
from salon.data.parting import TEST, TRAIN, VALID, split_by_labels
from salon.data.read import events_of, items_of, users_of
from salon.data.result import ReadResult, merge
from salon.data.sources import EventsSource, ItemsSource, UsersSource, Weighing
from salon.data.tables import Loaded, check_columns, read_delimited
from salon.errors import DataError, did_you_mean
from salon.types import Modality

PARTS = {"train": TRAIN, "valid": VALID, "test": TEST}
KINDS = ("inter", "item", "user", "kg", "link", "net")
"""Suffixes of atomic files; a file of another one holds vectors if its header says so."""
TYPES = ("token", "token_seq", "float", "float_seq")
LABEL = "split of RecBole"  # a header cell cannot hold blanks before its type, so no column has this name


def read_recbole(
    path: Path | str, rules: Weighing | None = None, modalities: Mapping[str, Modality] | None = None
) -> ReadResult:
    """A data set of RecBole.

    Args:
        path: The folder, or folder/name without a suffix where a folder holds several data sets.
        rules: Thresholds for the ratings; without them every row is a like.
        modalities: What columns of the .item file are where the type does not say it, such as {"title": Modality.TEXT}.

    Raises:
        DataError: A file is absent or broken, a header has no types, or a declared column is not there.
    """
    folder, name = _name(Path(path))
    frame, types, labelled = _interactions(folder, name)
    roles = [_role(types, role, f"{name}.inter") for role in ("user_id", "item_id")]
    users, sieves = Users(IdMap((), what="user")), []
    if (folder / f"{name}.user").is_file():
        users, sieve = _read_users(folder / f"{name}.user", roles[0])
        sieves.append(sieve)
    if (folder / f"{name}.item").is_file():
        items, sieve = _read_items(folder / f"{name}.item", roles[1], modalities or {})
        sieves.append(sieve)
    else:
        _check_declared(modalities or {}, (), f"{name}.item")
        known = dict.fromkeys(i for i in frame[roles[1]].to_list() if i and i.strip())
        items = Items(IdMap(known), root=folder)
    for field in _extra_vectors(folder, name, items):
        items = items.with_field(field)
    source = _events_source(f"{name}.inter", types, roles, rules, labelled)
    events, users, sieve, notes = events_of(source, Loaded(frame), items, users)
    labels = events.context.get(LABEL)
    context = {n: c for n, c in events.context.items() if n != LABEL}
    data = Dataset(items, replace(events, context=context), users, repeat=source.repeat)
    split = None
    if labels is not None:
        split = split_by_labels(data, np.asarray(labels, np.int64), about={"protocol": f"the files of {name!r}"})
    return ReadResult(data, merge([*sieves, sieve]), notes, split)


def _name(path: Path) -> tuple[Path, str]:
    folder, name = (path, path.name) if path.is_dir() else (path.parent, path.name.removesuffix(".inter"))
    there = sorted({p.name.removesuffix(".inter").removesuffix(".train") for p in folder.glob("*.inter")})
    there = [n for n in there if not n.endswith((".valid", ".test"))]
    if path.is_dir() and name not in there and len(there) == 1:
        name = there[0]
    if name not in there:
        raise DataError(f"There is no {name!r} of RecBole in {str(folder)!r}.", hint=did_you_mean(name, there))
    return folder, name


def _typed(path: Path) -> tuple[pl.DataFrame, dict[str, str]]:
    """The cells of an atomic file, and its column names with their types."""
    frame = read_delimited(path, "\t", None, quotes=False)
    types: dict[str, str] = {}
    for cell in frame.columns:
        column, _, kind = cell.rpartition(":")
        if kind not in TYPES or not column:
            hint = did_you_mean(kind, TYPES) if column else "Header cells are written name:type, such as item_id:token."
            raise DataError(f"The header cell {cell!r} of {path.name!r} has no known type.", hint=hint)
        if column in types:
            raise DataError(f"{path.name!r} has two columns {column!r}.")
        types[column] = kind
    return frame.rename(dict(zip(frame.columns, types, strict=True))), types


def _interactions(folder: Path, name: str) -> tuple[pl.DataFrame, dict[str, str], bool]:
    """The events; where the split is prescribed, the parts below each other with their label in a column."""
    if (folder / f"{name}.inter").is_file():
        return *_typed(folder / f"{name}.inter"), False
    found = [(label, *_typed(folder / f"{name}.{part}.inter")) for part, label in PARTS.items()]
    types = found[0][2]
    if any("item_id_list" in kinds for _, _, kinds in found):
        raise DataError(f"{name}.train.inter holds whole histories (item_id_list).", hint="Give one action per row.")
    for part, (_, _, kinds) in zip(PARTS, found, strict=True):
        check_columns(types, list(kinds), f"{name}.{part}.inter")
    frames = [frame.select(list(types)).with_columns(pl.lit(str(label)).alias(LABEL)) for label, frame, _ in found]
    return pl.concat(frames), types, True


def _role(types: Mapping[str, str], role: str, name: str) -> str:
    check_columns((role,), list(types), name)
    return role


def _events_source(
    name: str, types: Mapping[str, str], roles: Sequence[str], rules: Weighing | None, labelled: bool
) -> EventsSource:
    given = {} if rules is None else {k: getattr(rules, k) for k in ("like", "dislike", "repeat")}
    asked = [getattr(rules, role, "") for role in ("value", "time", "text")]
    check_columns([column for column in asked if column], list(types), name)
    value = asked[0] or next((c for c in ("rating", "label") if types.get(c) == "float"), "")
    time = asked[1] or ("timestamp" if "timestamp" in types else "")
    text = asked[2]
    rest = [c for c in types if c not in (*roles, value, time, text)]
    context = (*rest, LABEL) if labelled else tuple(rest)
    return EventsSource(
        path=name, user=roles[0], item=roles[1], value=value, time=time, text=text, context=context, **given
    )


def _check_declared(modalities: Mapping[str, Modality], found: Sequence[str], name: str) -> None:
    for column in modalities:
        if column not in found:
            raise DataError(f"{name!r} has no column {column!r}.", hint=did_you_mean(column, found))


def _modality(kind: str) -> Modality:
    return {"float": Modality.NUMBER, "float_seq": Modality.VECTOR}.get(kind, Modality.CATEGORY)


def _read_items(path: Path, role: str, modalities: Mapping[str, Modality]) -> Any:
    frame, types = _typed(path)
    check_columns((role,), list(types), path.name)
    rest = {c: _modality(k) for c, k in types.items() if c != role}
    _check_declared(modalities, list(rest), path.name)
    rest |= {column: Modality(given) for column, given in modalities.items()}
    declared: dict[str, Any] = {m.value: [] for m in Modality if m != Modality.VECTOR}
    for column, modality in rest.items():
        if modality != Modality.VECTOR:
            declared[modality.value].append(column)
    blanks = {c: " " for c in declared["category"] if types[c] == "token_seq"}
    source = ItemsSource(path=path.name, id=role, separators=blanks, **{k: tuple(v) for k, v in declared.items()})
    items, sieve = items_of(source, Loaded(frame), path.parent)
    kept = np.flatnonzero(sieve.kept)
    for column in (c for c, m in rest.items() if m == Modality.VECTOR):
        items = items.with_field(_vector_field(column, [frame[column][int(i)] for i in kept], path.name))
    return items, sieve


def _read_users(path: Path, role: str) -> Any:
    frame, types = _typed(path)
    check_columns((role,), list(types), path.name)
    rest = {c: k for c, k in types.items() if c != role and k != "float_seq"}
    source = UsersSource(
        path=path.name,
        id=role,
        category=tuple(c for c, k in rest.items() if k != "float"),
        number=tuple(c for c, k in rest.items() if k == "float"),
        separators={c: " " for c, k in rest.items() if k == "token_seq"},
    )
    return users_of(source, Loaded(frame))


def _vector_field(name: str, cells: Sequence[str | None], file: str) -> Field:
    try:
        rows = [None if c is None or not c.strip() else [float(x) for x in c.split()] for c in cells]
    except ValueError as error:
        raise DataError(f"The vectors {name!r} of {file!r} cannot be read: {error}.") from None
    return Field.of(name, Modality.VECTOR, rows)


def _extra_vectors(folder: Path, name: str, items: Items) -> list[Field]:
    """Vectors in files <name>.<suffix> with the header `id:token vector:float_seq`."""
    fields = []
    for path in sorted(folder.glob(f"{name}.*")):
        plain = path.suffix.lstrip(".") not in KINDS and path.name.count(".") == name.count(".") + 1
        if plain and path.is_file() and _holds_vectors(path):
            frame, (column, vector) = _typed(path)
            cells = dict(zip(frame[column].to_list(), frame[vector].to_list(), strict=True))
            fields.append(_vector_field(vector, [cells.get(i) for i in items.ids.names], path.name))
    return fields


def _holds_vectors(path: Path) -> bool:
    """Whether the first line is `id:token vector:float_seq`; anything may lie beside a data set, such as its .zip."""
    with path.open("rb") as file:
        cells = file.readline(1000).decode("utf-8-sig", errors="replace").rstrip("\r\n").split("\t")
    return [cell.rpartition(":")[2] for cell in cells] == ["token", "float_seq"]
