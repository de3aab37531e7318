"""The truth on disk: items, people, events, exposures, experiments, keys and versions of models."""

from salon.store.store import Store, open_store
from salon.store.writer import EventWriter

__all__ = ["EventWriter", "Store", "open_store"]
