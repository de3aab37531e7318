"""Arrays of a TensorFlow checkpoint, read without TensorFlow.

The `.index` file is a table in the manner of LevelDB, uncompressed: blocks of keys that share prefixes, an index block
that points to them, and a 48-byte footer. Each value is a small protocol buffer with dtype, shape, offset and size in
the single `.data` file. Format: tensorflow/core/util/tensor_bundle and lib/io/format.h.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from salon.errors import WeightsError

MAGIC = 0xDB4775248B80FB57
_DTYPES = {1: "<f4", 2: "<f8", 3: "<i4", 9: "<i8"}


def read_checkpoint(index: bytes, data: bytes) -> dict[str, np.ndarray]:
    """All variables of a checkpoint with one shard.

    Args:
        index: The bytes of the `.index` file.
        data: The bytes of the `.data-00000-of-00001` file.

    Returns:
        Variable name to array.

    Raises:
        WeightsError: The table is damaged, compressed, or of a type that is not read here.
    """
    if len(index) < 48 or int.from_bytes(index[-8:], "little") != MAGIC:
        raise WeightsError("The checkpoint index has no footer of a TensorFlow table.")
    try:
        footer = index[-48:]
        _, place = _varint(footer, _varint(footer, 0)[1])  # skips the handle of the meta index
        root = _block(index, footer[place:])
        entries = {key: value for _, handle in root for key, value in _block(index, handle)}
        if b"" not in entries:
            raise ValueError("the header is missing")
        return {key.decode(): _tensor(_fields(value), data) for key, value in entries.items() if key}
    except (IndexError, KeyError, ValueError) as error:
        raise WeightsError(f"The checkpoint cannot be read: {error!r}.", hint="The weight file is damaged.") from error


def _varint(buffer: bytes, place: int) -> tuple[int, int]:
    """A number in base 128, lowest digits first, and the place after it."""
    value = shift = 0
    while True:
        byte = buffer[place]
        value |= (byte & 127) << shift
        place, shift = place + 1, shift + 7
        if byte < 128:
            return value, place


def _block(table: bytes, handle: bytes) -> list[tuple[bytes, bytes]]:
    """Keys and values of the block that `handle` (offset, size) points to."""
    offset, place = _varint(handle, 0)
    size, _ = _varint(handle, place)
    block = table[offset : offset + size]
    if table[offset + size] != 0:
        raise ValueError("the table is compressed")
    end = len(block) - 4 * (1 + int.from_bytes(block[-4:], "little"))  # the restart points are not needed
    found, key, place = [], b"", 0
    while place < end:
        shared, place = _varint(block, place)
        fresh, place = _varint(block, place)
        length, place = _varint(block, place)
        key = key[:shared] + block[place : place + fresh]
        place += fresh + length
        found.append((key, block[place - length : place]))
    return found


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Field number and value of each field of a protocol buffer."""
    place = 0
    while place < len(message):
        tag, place = _varint(message, place)
        if tag & 7 == 0:
            value, place = _varint(message, place)
            yield tag >> 3, value
            continue
        size, place = _varint(message, place) if tag & 7 == 2 else ({1: 8, 5: 4}[tag & 7], place)
        yield tag >> 3, message[place : place + size]
        place += size


def _tensor(entry: Iterator[tuple[int, int | bytes]], data: bytes) -> np.ndarray:
    """The array of a BundleEntryProto: 1 dtype, 2 shape, 3 shard, 4 offset, 5 size."""
    numbers = {1: 0, 3: 0, 4: 0, 5: 0}
    shape: list[int] = []
    for number, value in entry:
        if number in numbers and isinstance(value, int):
            numbers[number] = value
        elif number == 2 and isinstance(value, bytes):
            sides = [dict(_fields(side)) for key, side in _fields(value) if key == 2 and isinstance(side, bytes)]
            shape = [int(side.get(1, 0)) for side in sides]
    if numbers[3] != 0:
        raise ValueError("the checkpoint has more than one shard")
    raw = data[numbers[4] : numbers[4] + numbers[5]]
    return np.frombuffer(raw, _DTYPES[numbers[1]]).reshape(shape)
