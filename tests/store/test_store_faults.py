"""What happens when things break: nothing acknowledged is lost, nothing is doubled, and the error says what to do."""

import json
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from postgres_server import PostgresServer
from salon.errors import ArtifactError, MissingExtraError, SettingError, StoreError
from salon.store import EventWriter, Store, backup, export_store, open_store
from salon.store.values import StoredEvent, StoredItem, StoredUser

KILLS = {"sqlite": 20, "postgresql": 8}
Limit = Callable[[Store], AbstractContextManager[None]]


@pytest.fixture
def file(tmp_path: Path, empty_sqlite: Path) -> Path:
    """The file of an empty store."""
    return Path(shutil.copy(empty_sqlite, tmp_path / "store.sqlite"))


def events(*names: str) -> list[StoredEvent]:
    return [StoredEvent("u", "a", event_id=name) for name in names]


def test_kills_lose_no_acknowledged_event_and_double_none(store_url: str) -> None:
    kills = KILLS[store_url.partition(":")[0]]
    script = Path(__file__).with_name("killed_writer.py")
    command = [sys.executable, "-W", "error", str(script), store_url, str(kills), "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    acknowledged = {name for names in told for name in names}
    assert len(told) == kills
    assert all(told)
    with open_store(store_url) as store:
        stored: list[str] = []
        after = 0
        while True:
            piece = store.changes(after)
            stored += [event.event_id for event in piece.events]
            after = piece.revision
            if not piece.more:
                break
        assert len(stored) == len(set(stored)) == store.events.count()
        assert acknowledged <= set(stored)
        assert store.events.append(events(*sorted(acknowledged))) == [False] * len(acknowledged)
        parts = {name.rpartition("-")[0] for name in stored}
        assert len(stored) == 3 * len(parts)


def test_a_lock_of_another_process_is_an_error_after_the_wait_and_reads_go_on(file: Path) -> None:
    with open_store(file, wait=0.1) as store, closing(sqlite3.connect(file, isolation_level=None)) as other:
        store.events.append(events("1"))
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="locked by another process"):
            store.events.append(events("2"))
        assert store.events.count() == 1
        other.execute("ROLLBACK")
        assert store.events.append(events("2")) == [True]


def test_a_lock_in_postgres_is_an_error_after_the_wait(empty_postgres: str) -> None:
    with open_store(empty_postgres, wait=0.1) as store, open_store(empty_postgres) as other:
        with other.database.write(), pytest.raises(StoreError, match="locked by another session"):
            store.items.put([StoredItem("a")])
        assert store.items.put([StoredItem("a")]) == 1


@contextmanager
def page_limit(store: Store) -> Iterator[None]:
    """No page more than the database has."""
    with store.database.engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    yield
    with store.database.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 1073741823")


@contextmanager
def file_limit(store: Store) -> Iterator[None]:
    """No file may grow beyond 100 kB."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("limit", [page_limit, file_limit])
def test_a_full_disk_fails_the_batch_and_nothing_after_it(
    file: Path, limit: Callable[[Store], AbstractContextManager[None]]
) -> None:
    large = [StoredEvent("u", "a", event_id=f"large {n}", properties={"x": "y" * 8000}) for n in range(100)]
    with open_store(file) as store, EventWriter(store) as writer:
        assert writer.submit(events("1")).result(10) == [True]
        with limit(store), pytest.raises(StoreError) as found:
            writer.submit(large).result(10)
        assert "disk" in str(found.value)
        assert store.events.count() == 1
        assert writer.submit(large).result(10) == [True] * 100
    with open_store(file) as store:
        assert store.events.count() == 101


def test_a_file_that_is_gone_takes_no_more_events_until_it_is_back(file: Path, tmp_path: Path) -> None:
    with open_store(file) as store:
        store.events.append(events("1"))
        backup(store, tmp_path / "backup")
        file.unlink()
        with pytest.raises(StoreError, match="cannot be opened"):
            store.events.append(events("2"))
        with pytest.raises(StoreError):
            store.events.count()
        shutil.copy(tmp_path / "backup" / "store.sqlite", file)
        assert store.events.append(events("1", "2")) == [False, True]
    with open_store(file) as store:
        assert store.events.count() == 2


@pytest.mark.skipif(os.name != "posix", reason="needs users of POSIX")
def test_a_file_that_may_not_be_written_says_so(empty_sqlite: Path) -> None:
    """Root may write anything, so root becomes nobody for a moment."""
    folder = Path(tempfile.mkdtemp(prefix="salon-"))
    file = Path(shutil.copy(empty_sqlite, folder / "store.sqlite"))
    folder.chmod(0o555)
    file.chmod(0o444)
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        with pytest.raises(StoreError, match=r"may not be written|cannot be opened"), open_store(file) as store:
            store.events.append(events("1"))
        with pytest.raises(StoreError, match="cannot be made"):
            open_store(folder / "other.sqlite")
    finally:
        if root:
            os.seteuid(0)
        folder.chmod(0o755)
        shutil.rmtree(folder)


def test_a_damaged_file_is_named_and_not_backed_up(file: Path, tmp_path: Path) -> None:
    with open_store(file) as store:
        store.events.append([StoredEvent("u", f"i{n}", properties={"x": "y" * 500}) for n in range(300)])
    whole = file.read_bytes()
    middle = len(whole) // 2
    file.write_bytes(whole[:middle] + bytes(40_000) + whole[middle + 40_000 :])
    with open_store(file) as store:
        with pytest.raises(StoreError, match="is damaged") as found:
            store.events.page(n=300)
        assert "restore" in found.value.hint
        with pytest.raises(StoreError, match="is damaged"):
            backup(store, tmp_path / "backup")
    assert not (tmp_path / "backup").exists()
    file.write_bytes(b"nonsense" * 1000)
    with pytest.raises(StoreError, match="is not a database"):
        open_store(file)


def test_what_is_not_there_is_an_error_and_not_a_new_store(tmp_path: Path, postgres_server: PostgresServer) -> None:
    with pytest.raises(StoreError, match="There is no store"):
        open_store(tmp_path / "absent.sqlite", create=False)
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be made"):
        open_store(tmp_path / "file" / "store.sqlite")
    with pytest.raises(StoreError, match=r"cannot be reached: .*does not exist"):
        open_store(f"postgresql://postgres@/absent?host={postgres_server.folder}")


def test_a_server_that_is_not_there_is_an_error_without_the_password(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be reached") as found:
        open_store(f"postgresql://owner:sesame@/shop?host={tmp_path}")
    assert "sesame" not in str(found.value)


@pytest.mark.parametrize(
    "url", ["mysql://u:sesame@h/d", "sqlite://", "sqlite:///:memory:", "postgresql://u:sesame@h:port/d"]
)
def test_other_databases_are_refused_without_the_password(url: str) -> None:
    with pytest.raises(SettingError) as found:
        open_store(url)
    assert "sesame" not in str(found.value)


def test_what_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "alembic.config", None)
        with pytest.raises(MissingExtraError, match=r"salon\[serve\]"):
            open_store(tmp_path / "store.sqlite")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"salon\[postgres\]"):
        open_store("postgresql://h/d")


def test_postgres_may_stop_and_come_back(postgres_server: PostgresServer) -> None:
    with open_store(postgres_server.new_database()) as store, EventWriter(store) as writer:
        assert writer.submit(events("1")).result(10) == [True]
        postgres_server.stop()
        try:
            for _ in range(2):
                with pytest.raises(StoreError, match="cannot be reached"):
                    writer.submit(events("2")).result(10)
            with pytest.raises(StoreError, match="cannot be reached"):
                store.events.count()
        finally:
            postgres_server.start()
        assert writer.submit(events("1", "2")).result(10) == [False, True]
        assert store.events.count() == 2


def test_connections_that_the_server_ended_are_replaced_unseen(empty_postgres: str) -> None:
    with open_store(empty_postgres) as store, open_store(empty_postgres) as other:
        store.items.put([StoredItem("a")])
        ended = sa.text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
        with other.database.write() as connection:
            assert len(connection.execute(ended).all()) > 0
        assert store.items.put([StoredItem("b")]) == 1


def test_deleted_words_are_in_no_file(file: Path) -> None:
    with open_store(file) as store:
        store.users.put([StoredUser("u", {"name": "sesame"})])
        store.events.append([StoredEvent("u", "a", session="sesame"), StoredEvent("v", "a", session="sesame")])
        assert b"sesame" in file.with_name("store.sqlite-wal").read_bytes()
        store.users.delete(["u"])
        store.events.delete(user="v")
        assert not any(b"sesame" in path.read_bytes() for path in file.parent.glob("store.sqlite*"))


def test_only_its_owner_may_read_a_new_store_and_its_copies(tmp_path: Path) -> None:
    with open_store(tmp_path / "new" / "store.sqlite") as store:
        store.events.append(events("1"))
        assert {path.stat().st_mode & 0o777 for path in (tmp_path / "new").iterdir()} == {0o600}
        backup(store, tmp_path / "backup")
        export_store(store, tmp_path / "export")
    assert {(tmp_path / name).stat().st_mode & 0o777 for name in ("backup", "export")} == {0o700}


def test_a_backup_does_not_overwrite_other_things(file: Path, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    with open_store(file) as store, pytest.raises(ArtifactError):
        backup(store, tmp_path / "photos")
