"""The truth on disk: items, people, events, exposures, experiments, keys and versions of models."""

from salon.store.backup import backup, restore
from salon.store.checks import fresh_id
from salon.store.store import Store, open_store
from salon.store.transfer import Imported, export_store, import_store
from salon.store.writer import EventWriter

__all__ = [
    "EventWriter",
    "Imported",
    "Store",
    "backup",
    "export_store",
    "fresh_id",
    "import_store",
    "open_store",
    "restore",
]
