"""Vectors made elsewhere: .npy and .npz files read without pickle, and folders with one .npy per item (Ducho)."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import numpy as np

from salon.data.tables import existing_file
from salon.errors import DataError
from salon.types import BoolArray, FloatArray, IntArray

MAX_BYTES = 16 << 30
"""Largest array that is read into memory."""
_UNREADABLE = (ValueError, OSError, EOFError, KeyError, MemoryError, RuntimeError, zlib.error, BadZipFile)
# what a damaged .npz can raise: a false header asks for memory, an encrypted or odd member is a RuntimeError


def read_npy(path: Path) -> FloatArray:
    """The matrix of a .npy file, (n, d) float32; NaN and infinity stay as they are.

    Raises:
        DataError: The file is absent, is no array of numbers, is cut short, or is not 2-d.
    """
    array = _numbers(path)
    if array.ndim != 2:
        raise DataError(f"{path.name!r} holds an array of shape {array.shape}.", hint="Give one row per item.")
    return np.asarray(array, np.float32)


def _numbers(path: Path) -> FloatArray:
    existing_file(path)
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)  # mapped, so that a false header costs nothing
    except (ValueError, OSError, EOFError, SyntaxError) as error:
        reason = str(error).split("\n")[0].rstrip(".")
        raise DataError(f"{path.name!r} cannot be read as an array: {reason}.", hint="Pickles are refused.") from None
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiub":
        raise DataError(f"{path.name!r} holds no numbers.", hint="Save a float32 array with np.save.")
    if array.nbytes > MAX_BYTES:
        raise DataError(f"{path.name!r} holds {array.nbytes:,} bytes, more than {MAX_BYTES:,}.", hint="Use float32.")
    return array


def read_vectors(path: Path, ids: Sequence[str], rows: IntArray) -> tuple[FloatArray, BoolArray]:
    """The vectors of some items.

    Args:
        path: A .npy with one row per table row, a .npz with "ids" (strings) and "vectors", or a folder of <id>.npy.
        ids: n item ids.
        rows: (n,) int64, the row of each item in a .npy; -1 where it has none.

    Returns:
        (n, d) float32 and (n,) bool, where there is a vector.

    Raises:
        DataError: A row is outside the file, or the file cannot be read.
    """
    if path.is_dir():
        return read_ducho_layer(path, ids)
    if path.suffix == ".npz":
        return _from_npz(path, ids)
    matrix = read_npy(path)
    if len(rows) and rows.max() >= len(matrix):
        raise DataError(
            f"{path.name!r} has {len(matrix)} rows, but an item needs row {int(rows.max())}.",
            hint="Give one vector per row of the table, or name the column that holds the rows as `vector_row`.",
        )
    return _rows_or_zero(matrix, rows), rows >= 0


def _from_npz(path: Path, ids: Sequence[str]) -> tuple[FloatArray, BoolArray]:
    stored = read_npz(path, hint='It needs the arrays "ids" and "vectors".')
    if not {"ids", "vectors"} <= set(stored) or stored["vectors"].dtype.kind not in "fiub":
        raise DataError(f"{path.name!r} holds the arrays {sorted(stored)}.", hint='It needs "ids" and "vectors".')
    names, matrix = stored["ids"], np.asarray(stored["vectors"], np.float32)
    if matrix.ndim != 2 or names.ndim != 1 or len(names) != len(matrix):
        raise DataError(f"{path.name!r} has ids {names.shape} for vectors {matrix.shape}.")
    place = {str(name): row for row, name in enumerate(names)}
    rows = np.array([place.get(name, -1) for name in ids], np.int64)
    return _rows_or_zero(matrix, rows), rows >= 0


def read_npz(path: Path, *, hint: str = "") -> dict[str, Any]:
    """The arrays of a .npz file by name; no more is unpacked than `MAX_BYTES`.

    Args:
        path: The file.
        hint: What the file should hold, for the error.

    Raises:
        DataError: The file is absent or damaged, holds pickles, or would unpack to too much.
    """
    existing_file(path)
    try:
        with ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
        if size > MAX_BYTES:
            raise DataError(f"{path.name!r} unpacks to {size:,} bytes, more than {MAX_BYTES:,}.", hint=hint)
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except _UNREADABLE as error:
        reason = str(error).split("\n")[0].rstrip(".")
        raise DataError(f"{path.name!r} cannot be read: {reason}.", hint=hint) from None


def _rows_or_zero(matrix: FloatArray, rows: IntArray) -> FloatArray:
    """(n, d) float32 rows of a matrix, 0 where the row is -1."""
    taken = np.zeros((len(rows), matrix.shape[1]), np.float32)
    taken[rows >= 0] = matrix[rows[rows >= 0]]
    return taken


def _one_vector(path: Path) -> FloatArray:
    """(d,) float32 copied out of a file; a mapped one would keep the file open, and there are as many as items."""
    return np.array(_numbers(path), np.float32).reshape(-1)


def ducho_name(item: str) -> str:
    """How Ducho calls the file of an item: its id up to the first dot."""
    return item.split(".", 1)[0]


def read_ducho_layer(folder: Path, ids: Sequence[str]) -> tuple[FloatArray, BoolArray]:
    """The vectors of some items from <output>/<backend>/<model>/<layer>, one file of 1 x d numbers per item.

    Two items whose ids are the same up to the first dot share a file and cannot be told apart: both are missing.

    Raises:
        DataError: The folder holds no vector of these items, or vectors of different lengths.
    """
    names = [ducho_name(i) for i in ids]
    shared = {n for n, times in Counter(names).items() if times > 1}
    home = folder.resolve()  # a link to a file elsewhere is not followed
    there = {p.stem: p for p in sorted(folder.glob("*.npy")) if p.resolve().is_relative_to(home)}
    found = {row: _one_vector(there[n]) for row, n in enumerate(names) if n in there and n not in shared}
    if not found:
        raise DataError(f"{str(folder)!r} holds no vector of these items.", hint="It needs files <item id>.npy.")
    dims = {len(v) for v in found.values()}
    if len(dims) > 1:
        raise DataError(f"The vectors in {str(folder)!r} have different lengths {sorted(dims)}.", hint="Use one model.")
    matrix = np.zeros((len(ids), dims.pop()), np.float32)
    for row, vector in found.items():
        matrix[row] = vector
    present = np.zeros(len(ids), bool)
    present[list(found)] = True
    return matrix, present
