"""Where services keep what they write, and which of it a word on the command line means."""

from __future__ import annotations

from pathlib import Path

from salon.errors import StoreError

STORE = "salon.db"
"""The store in the folder of a service."""


def home_of(model: Path) -> Path:
    """Where a service keeps its store, uploads and later models, unless it is told otherwise."""
    return model.parent / f"{model.name}.live"


def store_of(place: str) -> str | Path:
    """The address of the store that a word on the command line means.

    Args:
        place: A URL of a database, the file of a store, the folder of a service, or the folder of its first model.

    Raises:
        StoreError: There is no store.
    """
    if "://" in place:
        return place
    path = Path(place)
    for found in (path / STORE, home_of(path) / STORE, path):
        if found.is_file():
            return found
    hint = "Give the folder that `salon serve` made (MODEL.live), or the URL of a database."
    raise StoreError(f"There is no store at {place!r}.", hint=hint)
