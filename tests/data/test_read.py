from __future__ import annotations

import csv
import json
import random
import zipfile
from datetime import date, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from salon.config import build
from salon.data.catalogue import EventsSource, ItemsSource, ReadResult, UsersSource, read_dataset
from salon.data.columns import as_times
from salon.data.result import Sieve, merge
from salon.data.tables import _series
from salon.data.vectors import read_vectors
from salon.errors import DataError, SettingError

ITEMS = "item_id,title,photo,genres,price\na,Alpha,a.png,x|y,1.5\nb,Beta,,y,\nc,Gamma,sub/c.png,,3\n"
EVENTS = "user_id,item_id,rating,ts\nu,a,5,10\nu,b,1,20\nv,a,3,30\n"
FIELDS = {"text": "title", "image": "photo", "category": ["genres"], "separators": {"genres": "|"}, "number": ["price"]}


def read(
    folder: Path, items: str | bytes = ITEMS, events: str | bytes | None = EVENTS, *, log: dict | None = None, **more
) -> ReadResult:
    """A dataset from the text of two csv files."""
    for name, text in (("items.csv", items), ("events.csv", events)):
        if text is not None:
            (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    source = build(ItemsSource, {"path": "items.csv", **FIELDS, **more})
    log = {"path": "events.csv", "value": "rating", "time": "ts", "like": 4, "dislike": 2, **(log or {})}
    return read_dataset(source, build(EventsSource, log) if events is not None else None, None, folder)


def test_values_masks_and_weights_are_as_written(tmp_path):
    result = read(tmp_path)
    items, events = result.dataset.items, result.dataset.events
    assert items.ids.names == ("a", "b", "c")
    assert items["title"].values == ("Alpha", "Beta", "Gamma")
    assert items["genres"].values == (("x", "y"), ("y",), ())
    assert items["photo"].present.tolist() == [True, False, True]
    assert items["price"].present.tolist() == [True, False, True]
    assert items.root == tmp_path
    assert events.weights.tolist() == [1.0, -1.0, 0.0]
    assert events.times.tolist() == [10.0, 20.0, 30.0]
    assert events.time_kind == "timestamp"
    assert result.dataset.users.ids.names == ("u", "v")
    assert len(result.rejects) == 0


def test_a_catalogue_without_events_is_legal(tmp_path):
    result = read(tmp_path, events=None)
    assert result.dataset.n_items == 3
    assert len(result.dataset.events) == 0


@pytest.mark.parametrize(
    ("items", "events", "reason"),
    [
        (ITEMS + "a,Again,,,2\n", EVENTS, "items: the id is a duplicate of an earlier row"),
        (ITEMS + ",Nameless,,,2\n", EVENTS, "items: the item id is missing"),
        (ITEMS + "  ,Blank,,,2\n", EVENTS, "items: the item id is missing"),
        (ITEMS + "x" * 301 + ",Long,,,2\n", EVENTS, "items: the item id is longer than 300 characters"),
        (ITEMS, EVENTS + "u,zzz,4,40\n", "events: the item is not in the catalogue"),
        (ITEMS, EVENTS + ",a,4,40\n", "events: the user id is missing"),
        (ITEMS, EVENTS + "u,,4,40\n", "events: the item id is missing"),
        (ITEMS, EVENTS + "u,c,nan,40\n", "events: 'rating' is not a number"),
        (ITEMS, EVENTS + "u,c,inf,40\n", "events: 'rating' is not a number"),
        (ITEMS, EVENTS + "u,c,good,40\n", "events: 'rating' is not a number"),
        (ITEMS, EVENTS + "u,c,,40\n", "events: 'rating' is missing"),
        (ITEMS, EVENTS + "u,c,4,yesterday\n", "events: 'ts' is no time (unix)"),
        (ITEMS, EVENTS + "u,c,4,\n", "events: 'ts' is no time (unix)"),
    ],
)
def test_a_row_that_cannot_be_used_is_listed_and_the_rest_is_read(tmp_path, items, events, reason):
    result = read(tmp_path, items, events)
    assert dict(result.rejects.counts) == {reason: 1}
    (reject,) = result.rejects.rows
    assert reject.row == 4
    assert reject.dropped
    assert result.dataset.n_items == 3
    assert len(result.dataset.events) == 3


@pytest.mark.parametrize("path", ["../x.png", "/etc/passwd", "C:\\x.png", "a/../../x.png", "\\\\host\\x.png", "..\\x"])
def test_a_media_path_out_of_the_folder_is_masked_and_listed(tmp_path, path):
    result = read(tmp_path, ITEMS + f"d,Delta,{path},,\n")
    (reject,) = result.rejects.rows
    assert (reject.id, reject.value, reject.dropped) == ("d", path, False)
    assert "photo" in reject.reason
    assert result.dataset.items["photo"].present.tolist() == [True, False, True, False]


def test_a_number_that_is_none_is_masked_and_listed(tmp_path):
    result = read(tmp_path, ITEMS + "d,Delta,,,cheap\ne,Eps,,,inf\n")
    assert dict(result.rejects.counts) == {"items: 'price' is not a number": 2}
    assert result.dataset.items["price"].present.tolist() == [True, False, True, False, False]


def test_a_column_without_any_number_is_an_error(tmp_path):
    with pytest.raises(DataError, match=r"'title'.*'Alpha'.*category or text"):
        read(tmp_path, text=[], number=["title"])


@pytest.mark.parametrize(
    ("items", "events", "message"),
    [
        (ITEMS.replace("title", "titel"), EVENTS, r"no column 'title'\. Did you mean 'titel'"),
        (ITEMS, EVENTS.replace("rating", "ratings"), r"no column 'rating'\. Did you mean 'ratings'"),
        ("", EVENTS, "'items.csv' is empty"),
        ("item_id,title,photo,genres,price\n", EVENTS, "'items.csv' has no rows"),
        (ITEMS, "user_id,item_id,rating,ts\n", "'events.csv' has no rows"),
        (
            ITEMS,
            "user_id,item_id,rating,ts\nu,q,1,1\nu,r,1,1\n",
            r"None of the 2 rows.*not in the catalogue \(2 rows, such as 'q'\)",
        ),
        (ITEMS, "user_id,item_id,rating,ts\nu,a,1,\nu,b,1,\n", r"'ts' of 'events.csv' is empty\. Leave out"),
        (ITEMS.encode() + b"d,caf\xe9,,,\n", EVENTS, rf"not UTF-8 at byte {len(ITEMS) + 5} \(0xe9\)"),
        (ITEMS.encode() + b"d,caf\xc3", EVENTS, rf"not UTF-8 at byte {len(ITEMS) + 5}"),
        (ITEMS, EVENTS + "u,a,1,2,3,4,5\n", "cannot be read as a table"),
    ],
)
def test_a_table_that_cannot_be_used_is_a_clear_error(tmp_path, items, events, message):
    with pytest.raises(DataError, match=message):
        read(tmp_path, items, events)


@pytest.mark.parametrize("cell", ['"Weird" Al', '"never closed'])
def test_a_stray_quote_is_an_error_until_quoting_is_switched_off(tmp_path, cell):
    text = f"item_id\ttitle\na\t{cell}\nb\tBeta\n"
    (tmp_path / "items.tsv").write_text(text)
    source = {"path": "items.tsv", "text": "title"}
    with pytest.raises(DataError, match=r"cannot be read as a table.*`quotes`"):
        read_dataset(build(ItemsSource, source), base=tmp_path)
    items = read_dataset(build(ItemsSource, {**source, "quotes": False}), base=tmp_path).dataset.items
    assert items["title"].values == (cell, "Beta")


def test_a_column_that_comes_twice_is_an_error(tmp_path):
    with pytest.raises(DataError, match="two columns 'title'"):
        read(tmp_path, "item_id,title,title,photo,genres,price\na,A,B,,,\n")


def test_short_rows_and_blank_lines_are_rejects(tmp_path):
    result = read(tmp_path, ITEMS + "\n", EVENTS + "u,c\n")
    assert dict(result.rejects.counts) == {"items: the item id is missing": 1, "events: 'ts' is no time (unix)": 1}


def test_a_missing_file_is_named_with_close_ones(tmp_path):
    (tmp_path / "itemz.csv").write_text(ITEMS)
    with pytest.raises(DataError, match=r"no file .*items\.csv.*Did you mean 'itemz\.csv'"):
        read_dataset(build(ItemsSource, {"path": "items.csv"}), base=tmp_path)
    with pytest.raises(DataError, match="is a folder"):
        read_dataset(build(ItemsSource, {"path": "."}), base=tmp_path)
    (tmp_path / "items.xlsx").write_text("x")
    with pytest.raises(DataError, match="no known kind"):
        read_dataset(build(ItemsSource, {"path": "items.xlsx"}), base=tmp_path)


def test_utf8_is_checked_across_the_pieces_it_is_read_in(tmp_path):
    good = ITEMS.encode() + b"d," + b"x" * ((1 << 20) - len(ITEMS) - 3) + "é".encode() + b",,,\n"
    assert read(tmp_path, good).dataset.n_items == 4
    with pytest.raises(DataError, match=rf"byte {len(good)} \(0xff\)"):
        read(tmp_path, good + b"\xff")


def test_byte_order_mark_crlf_and_quotes_are_understood(tmp_path):
    text = '\ufeffitem_id,title,photo,genres,price\r\n"a,1","He said ""hi""\r\nand left",,x,1\r\nb,Beta,,,2\r\n'
    items = read(tmp_path, text, events=None).dataset.items
    assert items.ids.names == ("a,1", "b")
    assert items["title"].values[0] == 'He said "hi"\r\nand left'


@pytest.mark.parametrize("name", ["x" * 300, "🦉🦉", "007", "1.0", "NULL", "a b", "日本", "' OR 1=1 --"])
def test_odd_ids_are_kept_as_written(tmp_path, name):
    result = read(tmp_path, ITEMS + f"{name},T,,,\n", EVENTS + f"{name},{name},4,1\n")
    assert result.dataset.items.ids.names[-1] == name
    assert result.dataset.users.ids.names[-1] == name


def test_rejects_are_written_as_csv_and_json_lines(tmp_path):
    result = read(tmp_path, ITEMS + 'a,"Again",,,2\n', EVENTS + '"u\n2",zz,4,1\n')
    result.write_rejects(tmp_path / "rejects.csv")
    with (tmp_path / "rejects.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(r["table"], r["row"], r["id"]) for r in rows] == [("items", "4", "a"), ("events", "4", "u\n2")]
    result.write_rejects(tmp_path / "rejects.jsonl")
    lines = (tmp_path / "rejects.jsonl").read_text().splitlines()
    assert json.loads(lines[1])["value"] == "zz"
    with pytest.raises(DataError, match=r"csv or \.jsonl"):
        result.write_rejects(tmp_path / "rejects.xml")


def test_json_lines_are_read_with_lists_and_broken_lines_listed(tmp_path):
    lines = [
        {"item_id": 1, "title": "One", "genres": ["x", "y"], "price": 2},
        {"item_id": 2, "title": None, "genres": "z", "price": 1.5},
    ]
    text = json.dumps(lines[0]) + "\n\n{broken\n[1]\n" + json.dumps(lines[1]) + "\n" + "[" * 100_000 + "\n"
    (tmp_path / "items.jsonl").write_text(text)
    source = build(ItemsSource, {"path": "items.jsonl", "text": "title", "category": "genres", "number": "price"})
    result = read_dataset(source, base=tmp_path)
    assert result.dataset.items.ids.names == ("1", "2")
    assert result.dataset.items["genres"].values == (("x", "y"), ("z",))
    assert result.dataset.items["price"].values.tolist() == [2.0, 1.5]
    assert [r.row for r in result.rejects.rows] == [3, 4, 6]


def read_lines(folder: Path, rows: list[str], **fields) -> ReadResult:
    (folder / "items.jsonl").write_text("\n".join(rows))
    return read_dataset(build(ItemsSource, {"path": "items.jsonl", **fields}), base=folder)


def test_json_values_of_mixed_and_impossible_types(tmp_path):
    rows = ['{"item_id": "\\ud800"}', '{"item_id": "\\ud83e\\udd89"}', '{"item_id": 1e400}', '{"item_id": [7]}']
    result = read_lines(tmp_path, [*rows, '{"item_id": [7, 8]}', '{"item_id": true}', f'{{"item_id": {"9" * 5000}}}'])
    assert result.dataset.items.ids.names == ("🦉", "inf", "7", "true")
    assert [r.row for r in result.rejects.rows] == [1, 5, 7]
    cells = [1, 1.5, float("nan"), float("inf"), "7", [1, 2], None, {"a": 1}, [3]]
    result = read_lines(tmp_path, [json.dumps({"item_id": i, "p": v}) for i, v in enumerate(cells)], number="p")
    assert result.dataset.items["p"].present.tolist() == [True, True, False, False, True, False, False, False, True]
    assert [r.row for r in result.rejects.rows] == [3, 4, 6, 8]
    result.write_rejects(tmp_path / "rejects.csv")


def test_parquet_columns_without_text_are_a_clear_error(tmp_path):
    frame = pl.DataFrame({"item_id": [{"a": 1}], "tag": pl.Series(["x"], dtype=pl.Categorical)})
    frame.write_parquet(tmp_path / "items.parquet")
    with pytest.raises(DataError, match="'item_id' holds values of the type Struct"):
        read_dataset(build(ItemsSource, {"path": "items.parquet"}), base=tmp_path)
    source = build(ItemsSource, {"path": "items.parquet", "id": "tag"})
    assert read_dataset(source, base=tmp_path).dataset.items.ids.names == ("x",)


def test_parquet_ids_of_any_type_meet_those_of_a_text_table(tmp_path):
    pl.DataFrame({"item_id": [1, 2], "price": [1.0, float("nan")]}).write_parquet(tmp_path / "items.parquet")
    frame = pl.DataFrame({"user_id": ["u", "u"], "item_id": [1.0, None], "at": ["2020-01-01", "2020-01-01"]})
    frame = frame.with_columns(pl.col("at").str.to_datetime("%Y-%m-%d"))
    frame.write_parquet(tmp_path / "events.parquet")
    result = read_dataset(
        build(ItemsSource, {"path": "items.parquet", "number": "price"}),
        build(EventsSource, {"path": "events.parquet", "time": "at"}),
        base=tmp_path,
    )
    assert result.dataset.items["price"].present.tolist() == [True, False]
    assert result.dataset.events.items.tolist() == [0]
    assert result.dataset.events.times.tolist() == [1577836800.0]
    assert dict(result.rejects.counts) == {"events: the item id is missing": 1}
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 nonsense PAR1")
    with pytest.raises(DataError, match="cannot be read as parquet"):
        read_dataset(build(ItemsSource, {"path": "bad.parquet"}), base=tmp_path)


def test_an_sql_table_with_odd_names_is_read_and_never_run(tmp_path):
    name, column = 'my "items"; DROP TABLE x', 'ti"tle; --'
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'shop.db'}")
    table = sa.Table(name, sa.MetaData(), sa.Column("item_id", sa.Integer), sa.Column(column, sa.Text))
    table.metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(table.insert(), [{"item_id": i, column: f"t{i}"} for i in range(3)])
    engine.dispose()
    source = {"path": "sqlite:///shop.db", "table": name, "text": [column]}
    items = read_dataset(build(ItemsSource, source), base=tmp_path).dataset.items
    assert items.ids.names == ("0", "1", "2")
    assert items[column].values == ("t0", "t1", "t2")
    for table_name, message in (("itms", "no table 'itms'"), ("items; DROP TABLE y", "no table")):
        with pytest.raises(DataError, match=message):
            read_dataset(build(ItemsSource, {**source, "table": table_name}), base=tmp_path)
    with pytest.raises(DataError, match="no column 'titel'"):
        read_dataset(build(ItemsSource, {**source, "text": "titel"}), base=tmp_path)


def test_a_log_in_a_database_is_read_with_its_times(tmp_path):
    (tmp_path / "items.csv").write_text(ITEMS)
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'shop.db'}")
    columns = [sa.Column("user_id", sa.Integer), sa.Column("item_id", sa.Text), sa.Column("at", sa.DateTime)]
    table = sa.Table("log", sa.MetaData(), *columns, sa.Column("rating", sa.Numeric(3, 1)))
    table.metadata.create_all(engine)
    rows = [(1, "a", datetime(2020, 1, 1), 5), (2, "b", datetime(2020, 1, 2), None), (None, "b", None, 1)]
    with engine.begin() as connection:
        connection.execute(table.insert(), [dict(zip(table.columns.keys(), row, strict=True)) for row in rows])
    engine.dispose()
    log = {"path": "sqlite:///shop.db", "table": "log", "time": "at", "time_format": "iso", "value": "rating"}
    result = read_dataset(build(ItemsSource, {"path": "items.csv"}), build(EventsSource, log), None, tmp_path)
    assert result.dataset.events.times.tolist() == [1577836800.0]
    assert result.dataset.events.values.tolist() == [5.0]
    assert result.dataset.users.ids.names == ("1",)
    assert set(result.rejects.counts) == {"events: 'rating' is missing", "events: the user id is missing"}


def test_moments_of_a_database_are_taken_in_utc():
    east = timezone(timedelta(hours=2))
    column = _series("at", [datetime(2020, 1, 1, 2, tzinfo=east), datetime(2020, 1, 1), date(2020, 1, 1), None])
    assert as_times(column, "unix").tolist()[:3] == [1577836800.0] * 3
    assert np.isnan(as_times(column, "unix")[3])


def test_rejects_beyond_the_limit_are_counted_but_not_listed(monkeypatch):
    monkeypatch.setattr("salon.data.result.MAX_LISTED", 5)
    sieve = Sieve("items", [str(i) for i in range(20)])
    sieve.drop(np.arange(20) < 8, "first")
    sieve.drop(np.arange(20) < 12, "second")
    rejects = merge([sieve])
    assert dict(rejects.counts) == {"items: first": 8, "items: second": 4}
    assert len(rejects) == 12
    assert len(rejects.rows) == 5


def test_a_database_that_cannot_be_opened_never_shows_its_password(tmp_path):
    with pytest.raises(DataError, match="no file"):
        read_dataset(build(ItemsSource, {"path": "sqlite:///none.db", "table": "t"}), base=tmp_path)
    assert not (tmp_path / "none.db").exists()
    with pytest.raises(DataError) as caught:
        read_dataset(build(ItemsSource, {"path": "nosuch://u:secret@h/d", "table": "t"}), base=tmp_path)
    assert "secret" not in str(caught.value)


def test_kinds_give_weights_exposures_and_notes(tmp_path):
    events = "user_id,item_id,what\nu,a,click\nu,b,buy\nu,c,impression\nv,a,dislike\nv,b,view\n"
    rules = {"kind": "what", "positive": {"click": 1, "buy": 3}, "negative": ["dislike"], "shown": "impression"}
    log = {"value": "", "time": "", "like": None, "dislike": None, **rules}
    result = read(tmp_path, events=events, log=log)
    assert result.dataset.events.weights.tolist() == [1.0, 3.0, 0.0, -1.0, 0.0]
    assert result.dataset.events.shown.tolist() == [False, False, True, False, False]
    assert result.dataset.events.kind_names == ("click", "buy", "impression", "dislike", "view")
    assert any("'view'" in note for note in result.notes)
    log["positive"] = {"clik": 1}
    assert any("'clik'" in note for note in read(tmp_path, events=events, log=log).notes)


def test_clicks_need_no_rating_where_kinds_are_declared(tmp_path):
    events = "user_id,item_id,what,rating,ts\nu,a,click,,1\nu,b,rate,2,2\nv,b,rate,x,2\n"
    result = read(tmp_path, events=events, log={"kind": "what"})
    assert result.dataset.events.weights.tolist() == [1.0, -1.0]
    assert len(result.rejects) == 1


def test_iso_times_milliseconds_and_positions(tmp_path):
    events = "user_id,item_id,ts,ms,place\nu,a,2020-01-01,1577836800000,2\nu,b,2020-01-01T01:00:00+01:00,0,1\n"
    log = {"path": "events.csv", "time": "ts", "time_format": "iso"}
    base = {"value": "", "like": None, "dislike": None}
    assert read(tmp_path, events=events, log={**log, **base}).dataset.events.times.tolist() == [1577836800.0] * 2
    log |= {"time": "ms", "time_format": "unix_ms"}
    assert read(tmp_path, events=events, log={**log, **base}).dataset.events.times.tolist() == [1577836800.0, 0.0]
    result = read(tmp_path, events=events, log={**log, **base, "time": "", "order": "place"})
    assert result.dataset.events.time_kind == "order"
    assert result.dataset.events.in_order().tolist() == [1, 0]


def test_reviews_and_context_stay_beside_their_events(tmp_path):
    events = "user_id,item_id,rating,ts,review,device,age\nu,zz,5,1,lost,x,1\nu,a,5,1,  good ,phone,3\nv,a,5,2,,,\n"
    result = read(tmp_path, events=events, log={"text": "review", "context": ["device", "age"]})
    assert result.dataset.events.texts == ("good", None)
    assert result.dataset.events.context["device"].tolist() == ["phone", ""]


def test_chances_of_exposures_are_numbers_above_0_and_up_to_1(tmp_path):
    events = (
        "user_id,item_id,rating,ts,chance\nu,zz,5,1,0.5\nu,a,5,1,0.25\nv,a,5,2,0\nv,b,5,2,\nw,a,5,2,1.2\nw,b,5,3,1\n"
    )
    result = read(tmp_path, events=events, log={"propensity": "chance"})
    assert result.dataset.events.propensities.tolist() == pytest.approx([0.25, np.nan, np.nan, np.nan, 1], nan_ok=True)
    assert result.rejects.counts["events: 'chance' is not a chance above 0 and up to 1"] == 2
    with pytest.raises(SettingError, match="keeps it already"):
        build(EventsSource, {"path": "x.csv", "propensity": "p", "context": ["propensity"]})


def test_users_of_the_log_join_those_of_the_table(tmp_path):
    (tmp_path / "users.csv").write_text("user_id,job,age\nv,nurse,33\nv,twice,1\nw,,\n")
    (tmp_path / "items.csv").write_text(ITEMS)
    (tmp_path / "events.csv").write_text(EVENTS)
    result = read_dataset(
        build(ItemsSource, {"path": "items.csv"}),
        build(EventsSource, {"path": "events.csv"}),
        build(UsersSource, {"path": "users.csv", "category": "job", "number": "age"}),
        tmp_path,
    )
    users = result.dataset.users
    assert users.ids.names == ("v", "w", "u")
    assert users["job"].values == (("nurse",), (), ())
    assert users["age"].present.tolist() == [True, False, False]
    assert dict(result.rejects.counts) == {"users: the id is a duplicate of an earlier row": 1}


def test_vectors_follow_their_rows_whatever_is_rejected(tmp_path):
    np.save(tmp_path / "v.npy", np.arange(8, dtype=np.float64).reshape(4, 2))
    text = "item_id,title,photo,genres,price\na,A,,,\na,again,,,\nb,B,,,\nc,C,,,\n"
    items = read(tmp_path, text, None, vector={"v": "v.npy"}).dataset.items
    assert items["v"].values.tolist() == [[0, 1], [4, 5], [6, 7]]
    text = "item_id,title,photo,genres,price,row\na,A,,,,3\nb,B,,,,\nc,C,,,,1.5\n"
    result = read(tmp_path, text, None, vector={"v": "v.npy"}, vector_row="row")
    assert result.dataset.items["v"].values.tolist() == [[6, 7], [0, 0], [0, 0]]
    assert result.dataset.items["v"].present.tolist() == [True, False, False]
    assert dict(result.rejects.counts) == {"items: 'row' is not a row number": 1}
    with pytest.raises(DataError, match="has 4 rows, but an item needs row 9"):
        read(
            tmp_path, "item_id,title,photo,genres,price,row\na,A,,,,9\n", None, vector={"v": "v.npy"}, vector_row="row"
        )


def test_vectors_with_ids_and_vectors_with_nan(tmp_path):
    np.savez(tmp_path / "v.npz", ids=np.array(["c", "a"]), vectors=np.array([[1.0, 2.0], [np.nan, 4.0]]))
    result = read(tmp_path, vector={"v": "v.npz"})
    assert result.dataset.items["v"].present.tolist() == [False, False, True]
    assert [r.id for r in result.rejects.rows] == ["a"]


def test_pickled_cut_and_lying_vector_files_are_refused(tmp_path):
    np.save(tmp_path / "v.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="Pickles are refused"):
        read(tmp_path, vector={"v": "v.npy"})
    np.save(tmp_path / "v.npy", np.zeros((3, 2), np.float32))
    whole = (tmp_path / "v.npy").read_bytes()
    for bad in (whole[:-1], b"", b"\x93NUMPY", whole.replace(b"(3, 2)", b"(3333333333333, 2)")):
        (tmp_path / "v.npy").write_bytes(bad)
        with pytest.raises(DataError, match="cannot be read as an array"):
            read(tmp_path, vector={"v": "v.npy"})
    np.save(tmp_path / "v.npy", np.zeros(3))
    with pytest.raises(DataError, match=r"shape \(3,\)"):
        read(tmp_path, vector={"v": "v.npy"})


@pytest.mark.parametrize(
    ("cls", "values", "message"),
    [
        (ItemsSource, {"path": "x", "txt": "a"}, "Did you mean 'text'"),
        (ItemsSource, {"path": "x", "text": "a", "number": "a"}, "declared twice"),
        (ItemsSource, {"path": "x", "separators": {"a": "|"}}, "not declared"),
        (ItemsSource, {"path": "sqlite:///x.db"}, "table"),
        (EventsSource, {"path": "x", "time": "a", "order": "b"}, "give one"),
        (EventsSource, {"path": "x", "positive": {"a": 1}}, "no column is set as `kind`"),
        (EventsSource, {"path": "x", "kind": "k", "positive": {"a": 0}}, "above 0"),
        (EventsSource, {"path": "x", "kind": "k", "positive": {"a": 1}, "negative": "a"}, "two of the lists"),
        (EventsSource, {"path": "x", "like": 1}, "no column is set as `value`"),
        (EventsSource, {"path": "x", "value": "v", "like": 1, "dislike": 1}, "below"),
    ],
)
def test_contradictory_settings_are_refused(cls, values, message):
    with pytest.raises(SettingError, match=message):
        build(cls, values)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.text(max_size=8), st.text(max_size=12)), min_size=1, max_size=8))
def test_every_row_is_either_read_or_rejected(tmp_path, rows):
    with (tmp_path / "items.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, quoting=csv.QUOTE_ALL)
        table.writerows([("item_id", "title"), *[(a.encode("utf-8", "ignore").decode(), b) for a, b in rows]])
    source = build(ItemsSource, {"path": "items.csv", "text": "title"})
    if not any(name.strip() for name, _ in rows):
        with pytest.raises(DataError, match="None of the"):
            read_dataset(source, base=tmp_path)
        return
    result = read_dataset(source, base=tmp_path)
    assert result.dataset.n_items + len(result.rejects) == len(rows)
    first = {a: b for a, b in reversed(rows) if a.strip()}
    assert set(result.dataset.items.ids.names) == set(first)
    for name, title in zip(result.dataset.items.ids.names, result.dataset.items["title"].values, strict=True):
        assert title == (first[name] if first[name].strip() else None)


def test_bytes_in_a_database_are_refused_and_not_written_out_as_python(tmp_path):
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'shop.db'}")
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE things (item_id BLOB, title TEXT)"))
        connection.execute(sa.text("INSERT INTO things VALUES (x'6162', 'A')"))
    engine.dispose()
    source = build(ItemsSource, {"path": "sqlite:///shop.db", "table": "things", "text": "title"})
    with pytest.raises(DataError, match="'item_id' holds bytes"):
        read_dataset(source, base=tmp_path)


def test_a_damaged_parquet_file_is_read_or_refused_but_never_a_panic(tmp_path):
    pl.DataFrame({"item_id": [str(i) for i in range(500)], "title": [f"t{i}" for i in range(500)]}).write_parquet(
        tmp_path / "whole.parquet"
    )
    whole, rng = (tmp_path / "whole.parquet").read_bytes(), random.Random(0)
    refused = 0
    for _ in range(60):
        damaged = bytearray(whole)
        for _ in range(3):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        (tmp_path / "items.parquet").write_bytes(damaged)
        try:
            read_dataset(build(ItemsSource, {"path": "items.parquet", "text": "title"}), base=tmp_path)
        except DataError:
            refused += 1
    assert refused > 30


def test_an_npz_that_claims_or_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "v.npz", "w") as archive:
        for name, shape, kind in (("ids", (1,), "<U1"), ("vectors", (10**9, 10**6), "<f4")):
            with archive.open(f"{name}.npy", "w") as file:
                np.lib.format.write_array_header_1_0(file, {"descr": kind, "fortran_order": False, "shape": shape})
    with pytest.raises(DataError, match="cannot be read"):
        read_vectors(tmp_path / "v.npz", ["a"], np.zeros(1, np.int64))
    np.savez_compressed(tmp_path / "v.npz", ids=["a"], vectors=np.zeros((1, 10**6), np.float32))
    monkeypatch.setattr("salon.data.vectors.MAX_BYTES", 10**6)
    with pytest.raises(DataError, match="unpacks to"):
        read_vectors(tmp_path / "v.npz", ["a"], np.zeros(1, np.int64))
