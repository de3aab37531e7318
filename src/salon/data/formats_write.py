"""What both writers of folders share: where the files go, how fields are called there, and what a pair says last."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from salon.data.dataset import Dataset
from salon.data.ids import IdMap
from salon.data.items import Field
from salon.data.parting import pair_keys
from salon.errors import DataError
from salon.types import FloatArray, IntArray


def target(folder: Path | str, name: str) -> tuple[Path, str]:
    """The folder, made if it is not there, and the name of the data set: by default that of the folder.

    Raises:
        DataError: The name is none of a file.
    """
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    name = name or place.resolve().name
    if Path(name).name != name:
        raise DataError(f"{name!r} is no name of a data set.", hint="Give a word without '/'.")
    return place, name


def file_words(fields: Iterable[Field], taken: Iterable[str] = ()) -> dict[str, Field]:
    """The fields by a word for their file: letters, digits, "-" and "_", so that no name leads out of the folder.

    Args:
        fields: Fields to be written to files of their own.
        taken: Words that the format uses otherwise.

    Raises:
        DataError: Two fields would share a file, or a word is taken.
    """
    words: dict[str, Field] = {}
    reserved = set(taken)
    for field in fields:
        word = "".join(c if c.isalnum() or c in "-_" else "_" for c in field.name)
        if word in words or word in reserved:
            raise DataError(f"The field {field.name!r} cannot have a file {word!r}.", hint="It is taken: rename it.")
        words[word] = field
    return words


def last_values(data: Dataset, keys: IntArray) -> tuple[FloatArray, FloatArray]:
    """(n,) last explicit value, NaN without one, and (n,) last time of each pair, 0 without an order."""
    order = data.events.in_order()
    order = order[~data.events.shown[order]][::-1]
    known, last = np.unique(
        pair_keys(data.events.users[order], data.events.items[order], data.n_items), return_index=True
    )
    rows = order[last[np.searchsorted(known, keys)]]
    times = data.events.times[rows] if data.events.has_order else np.zeros(len(keys))
    return data.events.values[rows].astype(np.float64), times


def check_writable(ids: IdMap) -> None:
    """Raises DataError where a name would break a tab-separated file."""
    for name in ids.names:
        if any(mark in name for mark in "\t\r\n"):
            raise DataError(f"The {ids.what} id {name[:40]!r} holds a tab or a line break.", hint="Rename it.")
