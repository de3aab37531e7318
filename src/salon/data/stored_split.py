"""Splits stored as plain integers, so that several systems can be measured on the same one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from salon.data.dataset import Dataset
from salon.data.events import Events
from salon.data.parting import TEST, TRAIN, VALID, Split, split_by_labels
from salon.data.vectors import read_npz
from salon.errors import DataError, SettingError, did_you_mean
from salon.types import BoolArray, FloatArray, IntArray

STORED = ("random", "loo", "cold", "cold-all")
"""Protocols of stored splits."""


def read_split(path: Path | str, protocol: str) -> Split:
    """A split stored as a .npz of integers.

    The file holds n_users, n_items and the parallel arrays train_u, train_i, valid_u, valid_i, test_u, test_i (user and
    item of each like) with optional train_t, valid_t, test_t (times or positions); for cold items also cold_valid and
    cold_test (items) and warm_u, warm_i (held-out likes of other items). Item and user names are the integers.

    Args:
        path: The file.
        protocol: "random": test excludes the items of validation. "loo": they are in the history at test. "cold": ranks
            `cold_valid` in validation and `cold_test` at test. "cold-all": ranks all items at test, warm_* are further
            targets.

    Raises:
        SettingError: The protocol is unknown.
        DataError: An array is missing or damaged, or an integer is outside its range.
    """
    if protocol not in STORED:
        raise SettingError(f"There is no stored protocol {protocol!r}.", hint=did_you_mean(protocol, STORED))
    stored = _load_integers(Path(path))
    parts = [("train", TRAIN), ("valid", VALID), ("test", TEST)]
    if protocol == "cold-all":
        parts.append(("warm", TEST))
    columns = [np.concatenate([_part(stored, name, c, Path(path)) for name, _ in parts]) for c in "uit"]
    labels = np.concatenate([np.full(len(_part(stored, name, "u", Path(path))), label) for name, label in parts])
    times = columns[2] if len(np.unique(columns[2])) > 1 else None
    events = Events.of(columns[0], columns[1], times=times, time_kind="none" if times is None else "order")
    data = Dataset.of(events, int(stored["n_users"]), int(stored["n_items"]))
    masks: dict[str, BoolArray | None] = {"cold_valid": None, "cold_test": None}
    for name in masks if protocol.startswith("cold") else ():
        if name not in stored:
            raise DataError(f"{Path(path).name!r} has no array {name!r}.", hint=did_you_mean(name, stored))
        masks[name] = np.isin(np.arange(data.n_items), stored[name])
    return split_by_labels(
        data,
        labels,
        grow=protocol == "loo",
        valid_candidates=masks["cold_valid"],
        test_candidates=masks["cold_test"] if protocol == "cold" else None,
        about={"protocol": protocol, "file": Path(path).name},
    )


def _load_integers(path: Path) -> dict[str, Any]:
    arrays = read_npz(path, hint="A stored split is a .npz of integers.")
    for name, array in arrays.items():
        if array.dtype.kind not in ("fiu" if name.endswith("_t") else "iu"):
            raise DataError(f"{name!r} in {path.name!r} holds {array.dtype}, no integers.", hint="Store it as int64.")
    for name in ("n_users", "n_items"):
        if name not in arrays or arrays[name].size != 1:
            raise DataError(f"{path.name!r} has no number {name!r}.", hint=did_you_mean(name, arrays))
    return arrays


def _part(stored: dict[str, Any], name: str, column: str, path: Path) -> FloatArray | IntArray:
    key, length = f"{name}_{column}", len(stored.get(f"{name}_u", ()))
    if key not in stored:
        if column == "t":
            return np.zeros(length)
        raise DataError(f"{path.name!r} has no array {key!r}.", hint=did_you_mean(key, stored))
    if stored[key].shape != (length,):
        raise DataError(f"{path.name!r} has {key} {stored[key].shape} for {length} users.")
    return np.asarray(stored[key])
