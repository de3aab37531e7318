"""Backups of a whole service: its store, the live model, and the media that its items name."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from salon.errors import ConflictError, MediaError
from salon.media.paths import safe_join
from salon.serve.homes import STORE
from salon.store import Store, backup, open_store, restore
from salon.store.values import StoredItem, Version

PIECE = 1000


def back_up(home: Path, out: Path, url: str = "") -> dict[str, int]:
    """Writes a backup while the service may go on running.

    Args:
        home: Folder of the service.
        out: Folder of the backup; an older backup there is replaced when the new one is complete.
        url: Of the store; "" for the file in `home`.

    Returns:
        Table to number of rows; "media files" and "models" to how many of them are part of it.

    Raises:
        StoreError: There is no store, or it cannot be read.
        ArtifactError: `out` holds something else.
    """
    with open_store(url or home / STORE, create=False) as store, _staging(home) as staged:
        live = _live(store)
        model = None if live is None else _inside(home, live.path)
        model = model if model is not None and model.is_dir() else None
        count = 0 if live is None else _stage(store, _root(home, live), Path(staged))
        rows = backup(store, out, media=Path(staged) if count else None, model=model)
    return {**rows, "media files": count, "models": int(model is not None)}


def put_back(saved: Path, home: Path, url: str = "", *, replace: bool = False) -> dict[str, int]:
    """Puts a backup where a service finds it; the service must not be running.

    Args:
        saved: Folder of the backup.
        home: Folder of the service, made if needed.
        url: Of the store; "" for a file in `home`.
        replace: Whether what is there is dropped.

    Returns:
        Table to number of rows.

    Raises:
        ArtifactError: It is no backup, or it was changed.
        ConflictError: Something is there already.
    """
    home.mkdir(parents=True, exist_ok=True)
    rows = restore(saved, url or home / STORE, replace=replace)
    with open_store(url or home / STORE, create=False) as store:
        live = _live(store)
    if live is not None and (saved / "model").is_dir():
        _copy_model(saved / "model", _inside(home, live.path), replace)
    if live is not None and (saved / "media").is_dir():
        shutil.copytree(saved / "media", _root(home, live), dirs_exist_ok=True)
    return rows


def _live(store: Store) -> Version | None:
    return next((one for one in store.versions.all() if one.state == "live"), None)


def _inside(home: Path, relative: str) -> Path:
    """A folder that the store names, which lies in the folder of the service or beside it.

    Raises:
        ConflictError: It lies elsewhere.
    """
    path = Path(os.path.normpath(home.absolute() / relative))
    if not path.is_relative_to(home.absolute().parent):
        raise ConflictError(f"The store names {relative!r}, which is not beside {str(home)!r}.", hint="Move it there.")
    return path


def _root(home: Path, live: Version) -> Path:
    """The folder that paths of media start from."""
    named = str(live.metrics.get("root", ""))
    return _inside(home, named) if named else home / "media"


def _copy_model(source: Path, target: Path, replace: bool) -> None:
    if target.exists() and any(target.iterdir()) and not replace:
        raise ConflictError(f"{str(target)!r} holds a model.", hint="Choose another folder, or give --replace.")
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)


def _staging(home: Path) -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix=".backup-", dir=home)


def _stage(store: Store, root: Path, folder: Path) -> int:
    """Links the media that items name into a folder, under their own paths; how many there are."""
    count = 0
    for item in _items(store):
        for value in item.fields.values():
            found = _file(root, value)
            if found is None:
                continue
            target = folder / str(value)
            if not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                _link(found, target)
                count += 1
    return count


def _items(store: Store) -> Iterator[StoredItem]:
    cursor = ""
    while True:
        page = store.items.page(cursor, PIECE)
        yield from page.rows
        cursor = page.cursor
        if not cursor:
            return


def _file(root: Path, value: object) -> Path | None:
    """The file that a field names, if it does."""
    if not isinstance(value, str) or len(value) > 1000 or "\n" in value:
        return None
    try:
        found = safe_join(root, value)
        return found if found.is_file() else None
    except (MediaError, OSError):
        return None


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copyfile(source, target)
