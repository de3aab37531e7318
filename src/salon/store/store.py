"""The store: the truth of one shop in one database, for as many processes and threads as open it."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from salon.errors import StoreError
from salon.store import feed
from salon.store.access import Audit, Keys, Replies
from salon.store.checks import page_size, place_of
from salon.store.database import Database, database_url, make_file
from salon.store.events import EventLog
from salon.store.exposures import Exposures
from salon.store.items import Items
from salon.store.migrate import migrate
from salon.store.named import Experiments, Scenarios, Values
from salon.store.users import Users
from salon.store.values import Changes
from salon.store.versions import Versions


class Store:
    """What `open_store` opens. All calls are synchronous and safe from several threads.

    Attributes:
        items: The catalogue.
        users: People.
        events: What they did.
        exposures: What was shown to them.
        experiments: By name.
        scenarios: Placements by name.
        keys: API keys.
        versions: Models.
        audit: Who changed what.
        replies: Answers by idempotency key.
        values: Small state by name.

    Args:
        database: With its tables in place.
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self.items = Items(database)
        self.users = Users(database)
        self.events = EventLog(database)
        self.exposures = Exposures(database)
        self.experiments = Experiments(database)
        self.scenarios = Scenarios(database)
        self.keys = Keys(database)
        self.versions = Versions(database)
        self.audit = Audit(database)
        self.replies = Replies(database)
        self.values = Values(database)

    def revision(self) -> int:
        """Of the last write that is committed; it grows with every write of items, people and events."""
        return feed.revision(self.database)

    def changes(self, after: int, limit: int = 10_000) -> Changes:
        """What was written after a revision, by any process, in the order of revisions and without a gap.

        Args:
            after: A revision, such as that of the last `Changes`.
            limit: Most rows; the rest comes with the next call.
        """
        return feed.changes(self.database, self.items, self.users, place_of(after), page_size(limit))

    def close(self) -> None:
        """Closes the database."""
        self.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()


def open_store(url: str | Path, *, create: bool = True, wait: float = 5.0) -> Store:
    """Opens a store and brings its tables up to date.

    Args:
        url: Path of an SQLite file, `sqlite:///PATH`, or `postgresql://USER:PASSWORD@HOST/NAME`.
        create: Whether an SQLite file is made where there is none; a PostgreSQL database must be there.
        wait: Seconds to wait for a lock or a connection before a call gives up.

    Raises:
        SettingError: The URL names no database that a store can be kept in.
        StoreError: The database is not there, cannot be reached, or was made by a newer version of salon.
        MissingExtraError: A package is not installed.
    """
    parsed = database_url(url)
    if parsed.get_backend_name() == "sqlite":
        path = Path(str(parsed.database))
        if create:
            make_file(path)
        elif not path.is_file():
            raise StoreError(f"There is no store at {str(path)!r}.", hint="Check the path, or let it be created.")
    database = Database(parsed, wait)
    try:
        migrate(database)
    except BaseException:
        database.close()
        raise
    return Store(database)
