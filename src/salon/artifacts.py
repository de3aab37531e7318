"""Artefact folders: a person can read them, loading them runs no code, and they are never half there.

    model/
      manifest.json     format version, kind, what made it, and the SHA-256 of every other file
      ...               JSON, TOML, parquet, and arrays as .npz read without pickle

A folder is written beside its place and renamed into it, so a kill leaves the old one or the new one.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any
from zipfile import BadZipFile

import numpy as np
from scipy import sparse

from salon.errors import ArtifactError

FORMAT = 1
MANIFEST = "manifest.json"


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def writing(path: Path, kind: str, **about: Any) -> Iterator[Path]:
    """A new folder to fill, which becomes `path` when the block ends without an error.

    Args:
        path: Where the artefact shall be; an older artefact there is replaced, anything else is refused.
        kind: What it is, such as "pipeline"; `reading` checks it.
        about: Further plain values for the manifest.

    Raises:
        ArtifactError: `path` holds something that is not an artefact of salon, or cannot be written.
    """
    path = check_place(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(path)
    folder = path.parent / f".{path.name}.new-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    folder.mkdir()
    try:
        yield folder
        files = {name: sha256(folder / name) for name in _files_below(folder)}
        write_json(folder / MANIFEST, {"format": FORMAT, "kind": kind, **about, "files": files})
        _sync(folder)
        _swap(folder, path)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def check_place(path: Path) -> Path:
    """The absolute path of an artefact that may be written there; to be asked before long work, too.

    Raises:
        ArtifactError: `path` holds something that is not an artefact of salon, or cannot be written.
    """
    path = Path(os.path.abspath(path))
    _recover(path)
    if path.exists() and not (path / MANIFEST).is_file():
        raise ArtifactError(f"{str(path)!r} exists and is not an artefact of salon.", hint="Choose another folder.")
    above = next(folder for folder in path.parents if folder.exists())
    if not above.is_dir() or not os.access(above, os.W_OK):
        raise ArtifactError(f"{str(path)!r} cannot be written in {str(above)!r}.", hint="Choose another folder.")
    return path


def reading(path: Path, kind: str) -> dict[str, Any]:
    """The manifest of the artefact at `path`, after every file was compared with its checksum.

    Raises:
        ArtifactError: Nothing is there, it is of another kind or a newer format, or a file was changed.
    """
    path = Path(os.path.abspath(path))
    _recover(path)
    if not (path / MANIFEST).is_file():
        raise ArtifactError(f"{str(path)!r} is not an artefact of salon.", hint=f"It has no {MANIFEST}.")
    manifest = read_json(path / MANIFEST)
    if not isinstance(manifest, dict) or not isinstance(manifest.get("files"), dict):
        raise ArtifactError(f"The manifest of {str(path)!r} lists no files.", hint="Make the artefact again.")
    if manifest.get("format") != FORMAT:
        raise ArtifactError(
            f"{str(path)!r} has format {manifest.get('format')!r}; this version reads {FORMAT}.",
            hint="Make it again, or use the version of salon that wrote it.",
        )
    if manifest.get("kind") != kind:
        raise ArtifactError(f"{str(path)!r} is a {manifest.get('kind')!r}, not a {kind!r}.")
    for name, digest in manifest["files"].items():
        _check_file(path, name, digest)
    return manifest


def _check_file(path: Path, name: str, digest: str) -> None:
    pure = PurePosixPath(name)
    if pure.is_absolute() or ".." in pure.parts or not (path / name).resolve().is_relative_to(path.resolve()):
        raise ArtifactError(f"The manifest of {str(path)!r} names {name!r}, outside its folder.")
    if not (path / name).is_file():
        raise ArtifactError(f"{name!r} is missing in {str(path)!r}.", hint="Copy the folder whole, or make it again.")
    if sha256(path / name) != digest:
        raise ArtifactError(f"{name!r} in {str(path)!r} was changed or damaged.", hint="Make the artefact again.")


def write_json(path: Path, value: Any) -> None:
    """Plain values as JSON with sorted keys."""
    path.write_text(json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """The value of a JSON file.

    Raises:
        ArtifactError: The file is absent or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path.name!r} cannot be read as JSON: {error}.") from None


def write_state(folder: Path, state: dict[str, Any]) -> None:
    """Learned values: arrays and sparse matrices to arrays.npz, everything else to state.json."""
    arrays: dict[str, Any] = {}
    plain: dict[str, Any] = {}
    for name, value in state.items():
        if sparse.issparse(value):
            matrix = sparse.csr_array(value)
            arrays |= {f"{name}:{part}": getattr(matrix, part) for part in ("data", "indices", "indptr")}
            arrays[f"{name}:shape"] = np.asarray(matrix.shape)
        elif isinstance(value, np.ndarray):
            if value.dtype.hasobject:
                raise TypeError(f"{name} is an array of objects and cannot be saved")
            arrays[name] = value
        else:
            plain[name] = value.item() if isinstance(value, np.generic) else value
    np.savez(folder / "arrays.npz", **arrays)
    write_json(folder / "state.json", plain)


def read_state(folder: Path) -> dict[str, Any]:
    """What `write_state` wrote.

    Raises:
        ArtifactError: A file is damaged.
    """
    state = dict(read_json(folder / "state.json"))
    try:
        with (folder / "arrays.npz").open("rb") as file, np.load(file, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
    except (OSError, ValueError, BadZipFile, KeyError) as error:
        raise ArtifactError(f"'arrays.npz' in {str(folder)!r} cannot be read: {error}.") from None
    for name in [n.removesuffix(":shape") for n in arrays if n.endswith(":shape")]:
        data, indices, indptr, shape = (arrays.pop(f"{name}:{part}") for part in ("data", "indices", "indptr", "shape"))
        state[name] = sparse.csr_array((data, indices, indptr), shape=tuple(int(n) for n in shape))
    return state | arrays


def _files_below(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def _sync(folder: Path) -> None:
    """Everything below `folder` on the disk, before it is renamed."""
    for path in [*folder.rglob("*"), folder]:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _swap(folder: Path, path: Path) -> None:
    old = path.parent / f".{path.name}.old-{uuid.uuid4().hex[:8]}"
    if path.exists():
        path.rename(old)
    folder.rename(path)
    shutil.rmtree(old, ignore_errors=True)


def _recover(path: Path) -> None:
    """Puts back the old artefact if a kill came between the two renames."""
    if not path.exists() and path.parent.is_dir():
        for old in sorted(path.parent.glob(f".{path.name}.old-*")):
            old.rename(path)
            return


def _remove_leftovers(path: Path) -> None:
    """Removes what killed writers left, told by the process id in the name."""
    for folder in path.parent.glob(f".{path.name}.new-*"):
        pid = folder.name.rpartition(".new-")[2].partition("-")[0]
        if pid.isdigit() and not _alive(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
