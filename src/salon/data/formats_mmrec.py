"""MMRec folders, as FREEDOM, MGCN, SMORE and their kin read them.

    <name>.inter              userID itemID rating timestamp x_label, tab-separated; ids are 0..n-1
    <modality>_feat.npy       one row per item; a missing item holds the mean of the others
    missed_img_itemIDs.csv    the items without a picture, one per line (optional)
    u_id_mapping.csv          user_id userID: the names of the integers (optional), i_id_mapping.csv: asin itemID

`user_graph_dict.npy` is a pickle and is neither read nor written; programs that need it can build it from the .inter.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from salon.data.dataset import Dataset
from salon.data.formats_write import check_writable, file_words, last_values, target
from salon.data.ids import IdMap
from salon.data.items import Field, Items, Users
from salon.data.parting import TEST, TRAIN, VALID, Split, pair_keys, split_by_labels
from salon.data.read import events_of
from salon.data.result import ReadResult, merge
from salon.data.sources import EventsSource, Weighing
from salon.data.tables import Loaded, check_columns, existing_file, read_delimited
from salon.data.vectors import read_npy
from salon.errors import DataError
from salon.types import BoolArray, FloatArray, IntArray, Modality

LABEL = "x_label"
MISSED = {"image": "missed_img_itemIDs.csv"}


def read_mmrec(path: Path | str, rules: Weighing | None = None) -> ReadResult:
    """Events, features and the split of an MMRec folder.

    Rows of `x_label` become `ReadResult.split`. A feature row is missing where the list of missed items names it or,
    without a list, where it equals the mean of its column or is 0 throughout.

    Args:
        path: The folder, or its .inter file.
        rules: Thresholds for the ratings; without them every row is a like.

    Raises:
        DataError: A file is absent or broken, or the ids are not integers from 0.
    """
    file = _inter_file(Path(path))
    frame = read_delimited(file, "\t", None, quotes=False)
    check_columns(("userID", "itemID"), frame.columns, file.name)
    features = {p.name.removesuffix("_feat.npy"): read_npy(p) for p in sorted(file.parent.glob("*_feat.npy"))}
    names = [_mapping(file.parent / f"{side}_id_mapping.csv", column) for side, column in ID_COLUMNS]
    n_users = max(_count(frame, "userID", file.name), len(names[0] or ()))
    n_items = max(_count(frame, "itemID", file.name), len(names[1] or ()), *map(len, features.values()))
    items = Items(IdMap(map(str, range(n_items))), _feature_fields(features, n_items, file.parent), file.parent)
    users = Users(IdMap(map(str, range(n_users)), what="user"))
    source = _source(frame, rules, file.name)
    _check_users(frame["userID"], file.name)
    events, users, sieve, notes = events_of(source, Loaded(frame), items, users)
    if names[0] and len(names[0]) == len(users):
        users = replace(users, ids=IdMap(names[0], what="user"))
    elif names[0]:
        notes += (f"'u_id_mapping.csv' names {len(names[0])} of {len(users)} users, so the integers are kept.",)
    if names[1] and len(names[1]) == n_items:
        items = replace(items, ids=IdMap(names[1]))
    elif names[1]:
        notes += (f"'i_id_mapping.csv' names {len(names[1])} of {n_items} items, so the integers are kept.",)
    data = Dataset(items, replace(events, context={}), users, repeat=source.repeat)
    split = None
    if LABEL in frame.columns:
        labels = _labels(events.context[LABEL], file.name)
        about = {"protocol": f"x_label of {file.name}"}
        split = split_by_labels(data, labels, about=about) if (labels != TRAIN).any() else None
    return ReadResult(data, merge([sieve]), notes, split)


ID_COLUMNS = (("u", "userID"), ("i", "itemID"))


def _inter_file(path: Path) -> Path:
    if not path.is_dir():
        return existing_file(path)
    found = sorted(path.glob("*.inter"))
    if (path / f"{path.name}.inter") in found:
        return path / f"{path.name}.inter"
    if len(found) != 1:
        names = ", ".join(p.name for p in found) or "none"
        raise DataError(f"{str(path)!r} holds {len(found)} .inter files ({names}).", hint="Name one as the path.")
    return found[0]


def _count(frame: pl.DataFrame, column: str, name: str) -> int:
    """The largest id + 1; an item id that is no integer becomes a reject later."""
    top = frame[column].cast(pl.Int64, strict=False).max()
    largest = int(top) if isinstance(top, int) else -1
    if largest < 0:
        raise DataError(f"{column} in {name!r} holds no integer from 0 on.", hint="MMRec ids are 0, 1, 2, ...")
    if largest > 1000 + 100 * len(frame):
        raise DataError(f"{column} in {name!r} goes up to {largest}.", hint="MMRec ids are 0, 1, 2, ... without gaps.")
    return largest + 1


def _check_users(column: pl.Series, name: str) -> None:
    """Refuses a user id such as "07" or "u7": it would become one more person."""
    odd = column.drop_nulls().filter(~column.drop_nulls().str.contains(r"^(0|[1-9][0-9]*)$"))
    if len(odd):
        raise DataError(f"userID in {name!r} holds {odd[0][:40]!r}.", hint="MMRec ids are 0, 1, 2, ...")


def _source(frame: pl.DataFrame, rules: Weighing | None, name: str) -> EventsSource:
    given = {} if rules is None else {k: getattr(rules, k) for k in ("like", "dislike", "repeat")}
    value = getattr(rules, "value", "") or "rating"
    check_columns((value,) if value != "rating" else (), frame.columns, name)
    has = {c: c in frame.columns for c in (value, "timestamp", LABEL)}
    timed = has["timestamp"] and frame["timestamp"].drop_nulls().n_unique() > 1
    return EventsSource(
        path=name,
        user="userID",
        item="itemID",
        value=value if has[value] and frame[value].is_not_null().any() else "",
        time="timestamp" if timed else "",
        context=(LABEL,) if has[LABEL] else (),
        **given,
    )


def _labels(cells: Any, name: str) -> IntArray:
    known = {"0": TRAIN, "1": VALID, "2": TEST}
    for cell in set(cells.tolist()) - set(known):
        raise DataError(f"{LABEL} in {name!r} holds {cell!r}.", hint="0 is train, 1 validation, 2 test.")
    return np.array([known[cell] for cell in cells.tolist()], np.int64)


def _mapping(path: Path, column: str) -> list[str] | None:
    """The names in the order of their integers, or None without a mapping file."""
    if not path.is_file():
        return None
    frame = read_delimited(path, "\t", None, quotes=False)
    check_columns((column,), frame.columns, path.name)
    other = next((c for c in frame.columns if c != column), None)
    place = frame[column].cast(pl.Int64, strict=False).to_list()
    if other is None or sorted(p if p is not None else -1 for p in place) != list(range(len(place))):
        raise DataError(f"{path.name!r} does not map names to 0..{len(place) - 1}.", hint=f"Check {column!r}.")
    by_place = dict(zip(place, frame[other].to_list(), strict=True))
    return [str(by_place[i]) for i in range(len(place))]


def _feature_fields(features: dict[str, FloatArray], n_items: int, folder: Path) -> dict[str, Field]:
    fields = {}
    for name, matrix in features.items():
        if len(matrix) != n_items:
            raise DataError(f"'{name}_feat.npy' has {len(matrix)} rows for {n_items} items.", hint="One row per item.")
        listed = folder / MISSED.get(name, f"missed_{name}_itemIDs.csv")
        missing = _listed(listed, n_items) if listed.is_file() else looks_missing(matrix)
        values: Any = np.where(missing[:, None], np.float32(0), matrix)
        fields[name] = Field.of(name, Modality.VECTOR, values, ~missing)
    return fields


def _listed(path: Path, n_items: int) -> BoolArray:
    missing = np.zeros(n_items, bool)
    for number, line in enumerate(path.read_text(encoding="utf-8-sig", errors="replace").splitlines(), 1):
        if not line.strip():
            continue
        if not line.strip().isdecimal() or int(line) >= n_items:
            raise DataError(f"Line {number} of {path.name!r} is {line[:40]!r}, no item of {n_items}.")
        missing[int(line)] = True
    return missing


def looks_missing(matrix: FloatArray) -> BoolArray:
    """(n,) bool, the rows that are 0 throughout, not finite, or hold the mean that marks a missing item.

    A row holds the mean if it is the mean of its column within rounding; or if several rows are equal and nearer to the
    mean than 1/20 of the median distance, because a data set that was cut down keeps the mean of the whole.

    Args:
        matrix: (n, d) float.
    """
    finite = np.isfinite(matrix).all(axis=1)
    missing = np.array(~finite | ~matrix.any(axis=1), bool)
    rows = np.flatnonzero(~missing)
    if len(rows) < 3:
        return missing
    distinct, place, count = np.unique(matrix[rows], axis=0, return_inverse=True, return_counts=True)
    mean = matrix[rows].mean(axis=0, dtype=np.float64)
    distance = np.linalg.norm(distinct - mean, axis=1)
    typical = float(np.median(distance))
    marks = (distance <= 1e-5 * typical) | ((count > 1) & (distance <= 0.05 * typical))
    if len(distinct) > 2:
        missing[rows[marks[place]]] = True
    return missing


def write_mmrec(folder: Path | str, data: Dataset, split: Split | None = None, *, name: str = "") -> None:
    """Writes likes, vector fields and the names of items and users as an MMRec folder.

    Only likes are written, each (user, item) once, at its last time; `x_label` is 0 throughout without a split.

    Args:
        folder: Is made if it is not there; files of the same name are replaced.
        data: The whole dataset.
        split: What `x_label` shall say.
        name: Name of the data set; default: the name of the folder.

    Raises:
        DataError: A name holds a tab or a line break, or two vector fields would share a file.
    """
    place, name = target(folder, name)
    features = file_words(data.items.of(Modality.VECTOR))
    keys, labels = _labelled_pairs(data, split)
    values, times = last_values(data, keys)
    columns = {
        "userID": keys // data.n_items,
        "itemID": keys % data.n_items,
        "rating": np.where(np.isfinite(values), values, 1.0),
        "timestamp": times,
        LABEL: labels,
    }
    frame = pl.DataFrame(columns).sort("userID", LABEL, "timestamp", maintain_order=True)
    frame.write_csv(place / f"{name}.inter", separator="\t")
    for (side, column), table, raw in zip(ID_COLUMNS, (data.users, data.items), ("user_id", "asin"), strict=True):
        check_writable(table.ids)
        mapping = pl.DataFrame(
            {raw: table.ids.names, column: range(len(table))}, schema={raw: pl.String, column: pl.Int64}
        )
        mapping.write_csv(place / f"{side}_id_mapping.csv", separator="\t", quote_style="never")
    for word, field in features.items():
        _write_features(place, word, field)


def _write_features(folder: Path, word: str, field: Field) -> None:
    mean = field.values[field.present].mean(axis=0) if field.present.any() else np.zeros(field.values.shape[1])
    filled = np.where(field.present[:, None], field.values, mean).astype(np.float32)
    np.save(folder / f"{word}_feat.npy", filled)
    listed = folder / MISSED.get(word, f"missed_{word}_itemIDs.csv")
    listed.write_text("".join(f"{i}\n" for i in np.flatnonzero(~field.present)), encoding="utf-8")


def _labelled_pairs(data: Dataset, split: Split | None) -> tuple[IntArray, IntArray]:
    """Keys of the liked pairs and their labels."""
    parts = [(TRAIN, _liked(split.train if split else data))]
    if split is not None:
        for label, hold in ((VALID, split.valid), (TEST, split.test)):
            rows, columns = hold.targets.nonzero()
            parts.append((label, pair_keys(hold.queries.users[rows], columns, data.n_items)))
    labels = np.concatenate([np.full(len(keys), label) for label, keys in parts])
    return np.concatenate([keys for _, keys in parts]), labels


def _liked(data: Dataset) -> IntArray:
    rows, columns = data.positives().nonzero()
    return pair_keys(rows, columns, data.n_items)
