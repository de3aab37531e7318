"""Arrays of a PyTorch file in the format before version 1.6, read without torch and without running code.

The file is a series of pickles (magic number, protocol, header, the object, the list of storage keys) followed by one
block per storage: an 8-byte count and the raw numbers. The object may only be built from ordered dictionaries and
tensors; any other name in it is refused. This is the one place of salon where a pickle is opened; the file is compared
with its pinned SHA-256 by the caller before that.

Format: torch/serialization.py, `_legacy_save`.
"""

from __future__ import annotations

import pickle
import struct
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from salon.errors import WeightsError

MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001
_STORAGES = {"FloatStorage": "<f4", "DoubleStorage": "<f8", "LongStorage": "<i8", "IntStorage": "<i4"}


@dataclass
class _Storage:
    """A block of numbers, filled after the object was read."""

    dtype: str
    count: int
    data: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))


@dataclass(frozen=True)
class _Tensor:
    """A view of a storage."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def array(self) -> np.ndarray:
        """The numbers as an own array, after a check that the view stays inside its storage."""
        data = self.storage.data
        last = self.offset + sum((n - 1) * s for n, s in zip(self.shape, self.strides, strict=True))
        if min((self.offset, *self.strides, *self.shape), default=0) < 0 or (0 not in self.shape and last >= data.size):
            raise WeightsError("A tensor reaches outside its storage.", hint="The weight file is damaged.")
        steps = tuple(s * data.itemsize for s in self.strides)
        return np.lib.stride_tricks.as_strided(data[self.offset :], self.shape, steps).copy()


def _rebuild(storage: Any, offset: int, shape: Any, strides: Any, *_: Any) -> _Tensor:
    if not isinstance(storage, _Storage):
        raise pickle.UnpicklingError("a tensor without a storage")
    return _Tensor(storage, int(offset), tuple(int(n) for n in shape), tuple(int(n) for n in strides))


class ArrayUnpickler(pickle.Unpickler):
    """Builds dictionaries, plain values and tensors; every other name is refused before it is looked up."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        """The few names that a state dictionary needs, none of them imported."""
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        raise pickle.UnpicklingError(f"the name {module}.{name} is not allowed")

    def persistent_load(self, pid: Any) -> _Storage:
        """The storage named by (“storage”, type, key, device, count, view)."""
        kind, dtype, key, _, count, view = pid
        if kind != "storage" or dtype not in _STORAGES.values() or view is not None:
            raise pickle.UnpicklingError(f"the storage {pid!r} is not allowed")
        return self.storages.setdefault(str(key), _Storage(dtype, int(count)))


def read_torch(path: Path) -> dict[str, Any]:
    """The object of a file, its tensors as arrays.

    Args:
        path: A file whose checksum has been verified.

    Returns:
        The (possibly nested) dictionary that was saved.

    Raises:
        WeightsError: It is of another format, or holds anything but dictionaries, plain values and tensors.
    """
    try:
        with path.open("rb") as file:
            head = [ArrayUnpickler(file).load() for _ in range(3)]
            if head[:2] != [MAGIC, PROTOCOL] or not head[2].get("little_endian"):
                raise WeightsError(f"{path.name!r} is not a PyTorch file of the old format.")
            reader = ArrayUnpickler(file)
            tree = reader.load()
            for key in ArrayUnpickler(file).load():
                _fill(reader.storages[str(key)], file)
    except (pickle.UnpicklingError, EOFError, ValueError, TypeError, KeyError, AttributeError, struct.error) as error:
        raise WeightsError(f"{path.name!r} cannot be read: {error}.", hint="The weight file is damaged.") from error
    if not isinstance(tree, dict):
        raise WeightsError(f"{path.name!r} holds no dictionary of tensors.")
    return _resolved(tree)


def _fill(storage: _Storage, file: BinaryIO) -> None:
    (count,) = struct.unpack("<q", file.read(8))
    if count != storage.count:
        raise ValueError(f"a storage of {count} numbers where {storage.count} were announced")
    storage.data = np.frombuffer(file.read(count * np.dtype(storage.dtype).itemsize), storage.dtype)
    if storage.data.size != count:
        raise EOFError("the file is cut short")


def _resolved(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _resolved(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_resolved(part) for part in value]
    return value.array() if isinstance(value, _Tensor) else value
