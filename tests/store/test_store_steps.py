"""The steps of the tables: from the first one with data in it to the newest, which is what the code expects."""

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from salon.errors import StoreError
from salon.store import open_store
from salon.store.database import Database, database_url, make_file
from salon.store.migrate import HEAD, STEPS, current_step, migrate
from salon.store.schema import METADATA
from salon.store.values import StoredEvent


@pytest.fixture(params=["sqlite", "postgres"])
def bare_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database without tables."""
    if request.param == "postgres":
        return request.getfixturevalue("postgres_server").new_database()
    make_file(tmp_path / "bare.sqlite")
    return f"sqlite:///{tmp_path / 'bare.sqlite'}"


def test_the_steps_end_at_the_head_that_is_written_down() -> None:
    config = Config()
    config.set_main_option("script_location", str(STEPS))
    steps = ScriptDirectory.from_config(config)
    assert steps.get_heads() == [HEAD]
    assert len(list(steps.walk_revisions())) == len(list((STEPS / "versions").glob("r*.py")))


def test_the_first_step_with_data_comes_up_to_the_newest(bare_url: str) -> None:
    database = Database(database_url(bare_url), wait=5.0)
    migrate(database, "0001")
    with database.write() as connection:
        connection.exec_driver_sql("INSERT INTO items VALUES ('a', '{\"n\": 1}', false, false, 5, 6, 1)")
        connection.exec_driver_sql("INSERT INTO users VALUES ('u', '{}', '', false, 5, 6, 2)")
        connection.exec_driver_sql("INSERT INTO events VALUES (3, 'e', 'u', 'a', 'view', 1.5, 7, '', '', '', '{}')")
        connection.exec_driver_sql("UPDATE counter SET revision = 3")
    database.close()
    with open_store(bare_url) as store:
        assert store.items.get(["a"])["a"].fields == {"n": 1}
        assert store.events.of_user("u") == [StoredEvent("u", "a", "view", "e", 1.5, 7.0, revision=3)]
        store.events.append([StoredEvent("u", "a")])
        assert store.revision() == 4
        assert store.versions.all() == []


def test_models_and_steps_agree(bare_url: str) -> None:
    with open_store(bare_url) as store, store.database.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, METADATA) == []
        assert current_step(connection) == HEAD
        columns = {table: columns_of(connection, table) for table in METADATA.tables}
    assert columns == {name: [column.name for column in table.c] for name, table in METADATA.tables.items()}


def columns_of(connection: sa.Connection, table: str) -> list[str]:
    return [column["name"] for column in sa.inspect(connection).get_columns(table)]


def test_several_that_open_a_new_store_at_once_make_its_tables_once(bare_url: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        stores = list(pool.map(lambda _: open_store(bare_url, wait=20.0), range(4)))
    for store in stores:
        assert store.revision() == 0
        store.close()


def test_a_new_file_that_somebody_else_holds_is_waited_for(tmp_path: Path) -> None:
    """Several processes open a new store at once; only one at a time can change how it is logged."""
    path = tmp_path / "bare.sqlite"
    make_file(path)
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")  # SQLite refuses who changes the log meanwhile without waiting
    with pytest.raises(StoreError, match="locked"):
        open_store(f"sqlite:///{path}", wait=0.1)
    timer = threading.Timer(0.3, other.execute, ["ROLLBACK"])
    timer.start()
    with open_store(f"sqlite:///{path}", wait=20.0) as store:
        assert store.revision() == 0
    timer.join()
    other.close()


def test_a_store_of_a_newer_version_is_refused(bare_url: str) -> None:
    with open_store(bare_url) as store, store.database.write() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreError, match="'9999'"):
        open_store(bare_url)
