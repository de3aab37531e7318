"""Export and import: the same things in another store, and a reason for whatever is left out."""

import json
import tracemalloc
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from salon.errors import DataError, SettingError
from salon.store import Store, export_store, import_store, open_store
from salon.store.files import Format
from salon.store.records import RECORDS
from salon.store.values import StoredEvent, StoredItem
from store_tools import fill


def told(store: Store) -> dict[str, list[object]]:
    """All that is exported, without revisions and the times that the store fills in."""
    pages = [store.items.page(), store.users.page(), store.events.page(), store.exposures.page()]
    found = [[replace(row, revision=0) if hasattr(row, "revision") else row for row in page.rows] for page in pages]
    return dict(
        zip(RECORDS, [*found, list(store.experiments.all().items()), list(store.scenarios.all().items())], strict=True)
    )


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_an_export_is_imported_as_it_was(store: Store, tmp_path: Path, form: Format) -> None:
    fill(store)
    counts = export_store(store, tmp_path / "export", form)
    assert counts == {"items": 3, "users": 2, "events": 2, "exposures": 1, "experiments": 1, "scenarios": 1}
    with open_store(tmp_path / "other.sqlite") as other:
        done = import_store(other, tmp_path / "export")
        assert (done.counts, done.known, done.n_rejected) == (counts, 0, 0)
        assert told(other) == told(store)
        again = import_store(other, tmp_path / "export")
        assert (again.counts["events"], again.known) == (0, 2)
        assert told(other) == told(store)
        other.events.append([StoredEvent("anonymous", "b")])
        assert other.events.of_user("anonymous") == []


def test_an_empty_store_is_exported_and_imported(store: Store, tmp_path: Path) -> None:
    for form in ("jsonl", "parquet"):
        assert set(export_store(store, tmp_path / form, form).values()) == {0}
        assert set(import_store(store, tmp_path / form).counts.values()) == {0}


def test_an_export_replaces_an_older_one_and_nothing_else(store: Store, tmp_path: Path) -> None:
    export_store(store, tmp_path / "export")
    store.items.put([StoredItem("a")])
    assert export_store(store, tmp_path / "export")["items"] == 1
    with pytest.raises(SettingError, match="'json'"):
        export_store(store, tmp_path / "export", "json")  # type: ignore[arg-type]


def test_what_cannot_be_imported_is_reported_with_its_line_and_reason(store: Store, tmp_path: Path) -> None:
    lines = [
        '{"user": "u", "item": "a", "event_id": "1"}',
        "no json",
        '{"user": "u"}',
        '{"user": "u", "item": "a", "kid": "view"}',
        '{"user": "", "item": "a"}',
        '{"user": "u", "item": "a", "value": NaN}',
        '{"user": "u", "item": "a", "time": "noon"}',
        "[1]",
        "",
        '{"user": "u", "item": "b", "properties": {"x": 1}}',
        '{"user": "u", "item": "a", "event_id": "1"}',
    ]
    (tmp_path / "events.jsonl").write_text("\n".join(lines))
    done = import_store(store, tmp_path)
    assert (done.counts, done.known, done.n_rejected) == ({"events": 2}, 1, 7)
    assert [reject.line for reject in done.rejects] == [2, 3, 4, 5, 6, 7, 8]
    reasons = "\n".join(reject.reason for reject in done.rejects)
    for word in ("no JSON", "item: Field required", "Did you mean 'kind'", "has 0 characters", "is nan", "time: Input"):
        assert word in reasons


def test_parquet_that_others_wrote_is_imported(store: Store, tmp_path: Path) -> None:
    frame = pl.DataFrame({"user": ["u", "v", None], "item": ["a", "a", "a"], "properties": ['{"x": 1}', "{", "{}"]})
    frame.write_parquet(tmp_path / "events.parquet")
    done = import_store(store, tmp_path)
    assert (done.counts, [reject.line for reject in done.rejects]) == ({"events": 1}, [2, 3])
    assert store.events.of_user("u")[0].properties == {"x": 1}
    (tmp_path / "events.parquet").write_bytes(b"PAR1 nonsense")
    with pytest.raises(DataError, match=r"events\.parquet"):
        import_store(store, tmp_path)


def test_people_whose_merge_would_be_a_circle_are_reported(store: Store, tmp_path: Path) -> None:
    people = [{"id": "a", "merged_into": "b"}, {"id": "b", "merged_into": "a"}, {"id": "c", "merged_into": "a"}]
    (tmp_path / "users.jsonl").write_text("\n".join(map(json.dumps, people)))
    done = import_store(store, tmp_path)
    assert [(reject.line, "circle" in reject.reason) for reject in done.rejects] == [(2, True)]
    assert store.users.get(["c"])["c"].merged_into == "b"


def test_a_folder_with_nothing_to_import_is_refused(store: Store, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nothing to import"):
        import_store(store, tmp_path)


def test_parquet_comes_in_parts(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("salon.store.files.PIECE", 2)
    monkeypatch.setattr("salon.store.transfer.PIECE", 2)
    monkeypatch.setattr("salon.store.files.PART", 4)
    store.items.put([StoredItem(f"i{n}") for n in range(9)])
    export_store(store, tmp_path / "export", "parquet")
    parts = sorted((tmp_path / "export" / "items").glob("*.parquet"))
    assert [len(pl.read_parquet(part)) for part in parts] == [4, 4, 1]
    with open_store(tmp_path / "other.sqlite") as other:
        assert import_store(other, tmp_path / "export").counts["items"] == 9
        assert [item.id for item in other.items.page().rows] == [f"i{n}" for n in range(9)]


def test_memory_does_not_grow_with_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """1,000 events of 2 kB, 50 at a time: neither way may hold more than a fraction of them."""
    monkeypatch.setattr("salon.store.transfer.PIECE", 50)
    with open_store(tmp_path / "one.sqlite") as one, open_store(tmp_path / "two.sqlite") as two:
        for start in range(0, 1000, 50):
            one.events.append([StoredEvent("u", f"i{start + n}", properties={"x": "y" * 2000}) for n in range(50)])
        export_store(one, tmp_path / "warm")
        tracemalloc.start()
        try:
            export_store(one, tmp_path / "export")
            exported = tracemalloc.get_traced_memory()[1]
            tracemalloc.reset_peak()
            import_store(two, tmp_path / "export")
            imported = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert two.events.count() == 1000
    size = (tmp_path / "export" / "events.jsonl").stat().st_size
    assert size > 2e6
    assert exported < size / 2
    assert imported < size / 2
