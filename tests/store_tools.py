"""Stores for tests: with nothing in them, with something in every table, and all of it for comparison."""

from typing import Any

from salon.store import Store
from salon.store.schema import METADATA
from salon.store.values import Exposure, StoredEvent, StoredItem, StoredKey, StoredReply, StoredUser, Version


def fill(store: Store) -> None:
    store.items.put(
        [StoredItem("a/b 🎬", {"title": "Ünï", "tags": ["x"], "year": 1999.5}, created=5.0), StoredItem("b")]
    )
    store.items.put([StoredItem("hidden", {}, hidden=True, created=6.25), StoredItem("gone", {"secret": "words"})])
    store.users.put([StoredUser("u", {"club": "red"}, created=5.5)])
    rated = StoredEvent("u", "a/b 🎬", "rating", "e1", 4.5, 1e9 + 0.1, "r", "s", "home", {"device": ["phone", None]})
    store.events.append([rated, StoredEvent("anonymous", "b"), StoredEvent("u", "gone")])
    store.users.merge("anonymous", "u")
    store.items.delete(["gone"])
    store.exposures.append([Exposure("r", "u", 7.5, ("b",), ("linear",), (0.1,), (1.0,), request={"k": 1})])
    store.experiments.put("diversity", {"state": "running", "share": 0.5})
    store.scenarios.put("home", {"filter": "year > 1990"})
    store.keys.add(StoredKey("pre", "d" * 64, "k", ("read",), created=1.0))
    store.versions.add(Version("1", "models/1", "live", {"ndcg": 0.3}, 1.0))
    store.audit.append("key pre", "activate", "1")
    store.replies.put(StoredReply("k", "d", 200, "{}", 1.0))
    store.values.put("bandit", [1, 2.5], expected=None)


def everything(store: Store) -> dict[str, list[tuple[Any, ...]]]:
    with store.database.read() as connection:
        return {
            name: [tuple(row) for row in connection.execute(table.select().order_by(*table.primary_key))]
            for name, table in METADATA.tables.items()
        }


def wipe(store: Store) -> None:
    """Every table as it was made."""
    with store.database.write() as connection:
        for table in METADATA.sorted_tables:
            connection.execute(table.update().values(revision=0) if table.name == "counter" else table.delete())
