"""Backup and restore: everything, exactly, in either database, or a clear refusal."""

import json
import threading
from pathlib import Path

import pytest

from salon.artifacts import sha256
from salon.errors import ArtifactError, ConflictError, StoreError
from salon.store import Store, backup, open_store, restore
from salon.store.database import Database, database_url, make_file
from salon.store.migrate import migrate
from salon.store.values import StoredEvent, StoredItem
from store_tools import everything, fill


@pytest.fixture(params=["sqlite", "postgres"])
def target_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A place for a restore where nothing is yet."""
    if request.param == "postgres":
        return request.getfixturevalue("postgres_server").new_database()
    return f"sqlite:///{tmp_path / 'restored.sqlite'}"


def test_a_restore_drill_gives_back_everything(store: Store, target_url: str, tmp_path: Path) -> None:
    fill(store)
    media, model = tmp_path / "media", tmp_path / "model"
    for folder in (media / "posters", model):
        folder.mkdir(parents=True)
    (media / "posters" / "a.png").write_bytes(b"picture")
    (model / "arrays.npz").write_bytes(b"numbers")
    rows = backup(store, tmp_path / "backup", media=media, model=model)
    assert rows["events"] == 2
    assert all(rows.values())
    back = tmp_path / "back"
    assert restore(tmp_path / "backup", target_url, media=back / "media", model=back / "model") == rows
    assert (back / "media" / "posters" / "a.png").read_bytes() == b"picture"
    assert (back / "model" / "arrays.npz").read_bytes() == b"numbers"
    with open_store(target_url, create=False) as restored:
        assert everything(restored) == everything(store)
        assert restored.changes(0) == store.changes(0)
        restored.audit.append("a", "b", "c")
        assert restored.events.append([StoredEvent("u", "x", event_id="e1"), StoredEvent("u", "x")]) == [False, True]
        assert restored.revision() == store.revision() + 1


def test_a_target_with_data_is_refused_unless_it_is_to_be_replaced(
    store: Store, target_url: str, tmp_path: Path
) -> None:
    fill(store)
    backup(store, tmp_path / "backup")
    with open_store(target_url) as target:
        target.items.put([StoredItem("precious")])
        before = everything(target)
        with pytest.raises(ConflictError, match="holds data"):
            restore(tmp_path / "backup", target_url)
        assert everything(target) == before
    restore(tmp_path / "backup", target_url, replace=True)
    with open_store(target_url) as target:
        assert everything(target) == everything(store)


def test_a_backup_is_one_moment_while_others_write(store: Store, tmp_path: Path) -> None:
    stop = threading.Event()

    def write() -> None:
        n = 0
        while not stop.is_set():
            store.events.append(
                [StoredEvent("u", f"i{n}", event_id=f"{n} a"), StoredEvent("u", f"i{n}", event_id=f"{n} b")]
            )
            n += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for n in range(3):
            backup(store, tmp_path / f"backup {n}")
    finally:
        stop.set()
        writer.join()
    for n in range(3):
        restore(tmp_path / f"backup {n}", tmp_path / f"{n}.sqlite")
        with open_store(tmp_path / f"{n}.sqlite") as restored:
            assert restored.events.count() % 2 == 0
            assert restored.revision() == restored.events.count()


def test_a_backup_that_was_changed_is_refused_and_the_target_stays(store: Store, tmp_path: Path) -> None:
    fill(store)
    backup(store, tmp_path / "backup")
    target = tmp_path / "target.sqlite"
    manifest = tmp_path / "backup" / "manifest.json"
    told = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(told | {"about": {**told["about"], "rows": {**told["about"]["rows"], "events": 3}}}))
    with pytest.raises(ArtifactError, match="manifest says"):
        restore(tmp_path / "backup", target)
    with open_store(target) as opened:
        assert opened.revision() == 0
    manifest.write_text(json.dumps(told))
    (file,) = [p for p in (tmp_path / "backup").rglob("*") if p.name in ("store.sqlite", "events.jsonl")]
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    with pytest.raises(ArtifactError, match="changed or damaged"):
        restore(tmp_path / "backup", target)


def test_a_backup_of_an_older_step_is_brought_up_to_date(target_url: str, tmp_path: Path) -> None:
    old = tmp_path / "old.sqlite"
    make_file(old)
    database = Database(database_url(old), wait=5.0)
    migrate(database, "0001")
    with database.write() as connection:
        connection.exec_driver_sql("INSERT INTO items VALUES ('a', '{\"n\": 1}', false, false, 5, 6, 1)")
        connection.exec_driver_sql("UPDATE counter SET revision = 1")
    database.close()
    with open_store(tmp_path / "new.sqlite") as new:
        backup(new, tmp_path / "backup")
    manifest = tmp_path / "backup" / "manifest.json"
    told = json.loads(manifest.read_text())
    (tmp_path / "backup" / "store.sqlite").write_bytes(old.read_bytes())
    told["about"] |= {"step": "0001", "revision": 1}
    told["about"]["rows"] = {"counter": 1, "items": 1, "users": 0, "events": 0, "removals": 0}
    told["files"]["store.sqlite"] = sha256(old)
    manifest.write_text(json.dumps(told))
    restore(tmp_path / "backup", target_url)
    with open_store(target_url) as restored:
        assert restored.items.get(["a"])["a"].fields == {"n": 1}
        assert restored.versions.all() == []
    told["about"]["step"] = "9999"
    manifest.write_text(json.dumps(told))
    with pytest.raises(StoreError, match="9999"):
        restore(tmp_path / "backup", target_url, replace=True)


def test_links_are_not_followed_and_absent_folders_are_named(store: Store, tmp_path: Path) -> None:
    media = tmp_path / "media"
    media.mkdir()
    (media / "passwd").symlink_to("/etc/passwd")
    with pytest.raises(ArtifactError, match="'passwd'"):
        backup(store, tmp_path / "backup", media=media)
    assert not (tmp_path / "backup").exists()
    backup(store, tmp_path / "backup")
    with pytest.raises(ArtifactError, match="no media"):
        restore(tmp_path / "backup", tmp_path / "x.sqlite", media=tmp_path / "m")
    assert not (tmp_path / "x.sqlite").exists()
