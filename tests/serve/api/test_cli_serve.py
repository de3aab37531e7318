"""The verbs of the service, from a fitted model to a server that ends well."""

import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import polars as pl
import pytest

from salon.cli import serve_verbs
from salon.cli.main import main
from salon.errors import DataError, MissingExtraError, SettingError
from salon.serve import loading
from salon.serve.loading import load_file, rows_of, to_server, to_store
from salon.serve.values import Ask
from salon.store import Store, open_store
from salon.store.values import StoredEvent, StoredItem, StoredUser


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Exit code, output and errors of the program."""
    try:
        main(words)
        code = 0
    except SystemExit as end:
        code = int(end.code or 0)
    told = capsys.readouterr()
    return code, told.out, told.err


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The folder of a service with an empty store."""
    folder = tmp_path / "model.live"
    open_store(folder / "salon.db").close()
    return folder


def stored(home: Path) -> Store:
    return open_store(home / "salon.db", create=False)


# -- load --------------------------------------------------------------------------------------------------------------

ROWS: dict[str, list[dict[str, Any]]] = {
    "items": [{"id": "1984", "title": "A lamp", "price": 12.5}, {"id": "2", "title": "A rug", "price": 7.0}],
    "users": [{"id": "7", "club": "red"}],
    "events": [{"user": "7", "item": "1984", "kind": "buy", "time": 1000.5, "value": 2.0, "shelf": "top"}],
}


def write(folder: Path, kind: str, suffix: str) -> Path:
    path = folder / f"{kind}{suffix}"
    frame = pl.DataFrame(ROWS[kind])
    if suffix == ".csv":
        frame.write_csv(path)
    elif suffix == ".tsv":
        frame.write_csv(path, separator="\t")
    elif suffix == ".jsonl":
        frame.write_ndjson(path)
    else:
        frame.write_parquet(path)
    return path


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_files_of_every_kind_are_loaded_and_twice_is_once(
    home: Path, tmp_path: Path, suffix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [word for kind in ROWS for word in (f"--{kind}", str(write(tmp_path, kind, suffix)))]
    code, out, _ = run(capsys, "load", str(home), *words, "--json")
    assert code == 0
    told = json.loads(out)
    assert {kind: one["stored"] for kind, one in told.items()} == {"items": 2, "users": 1, "events": 1}
    again = json.loads(run(capsys, "load", str(home), *words, "--json")[1])
    assert (again["events"]["stored"], again["events"]["known"]) == (0, 1)
    with stored(home) as store:
        item = store.items.get(["1984"])["1984"]
        assert (item.fields["title"], item.fields["price"]) == ("A lamp", 12.5)
        assert store.users.get(["7"])["7"].fields == {"club": "red"}
        (event,) = store.events.of_user("7")
        assert (event.kind, event.time, event.value, event.properties) == ("buy", 1000.5, 2.0, {"shelf": "top"})


def test_rows_that_cannot_be_taken_are_told_by_number_and_the_others_are_stored(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "events.jsonl"
    good = {"user": "u", "item": "i", "time": "2026-01-31T12:00:00Z"}
    bad = [
        {"user": "u"},
        7,
        {**good, "time": "yesterday"},
        {**good, "user": ""},
        {**good, "value": "x"},
        {**good, "properties": "p"},
    ]
    lines = [json.dumps(good), "{", *map(json.dumps, bad), json.dumps({**good, "item": "j"})]
    path.write_text("\n".join(lines) + "\n\n")
    code, out, _ = run(capsys, "load", str(home), "--events", str(path))
    assert code == 0
    assert re.search(r"events\s+2\s+0\s+7", out)
    assert re.findall(r"row (\d+):", out) == ["2", "3", "4", "5", "6", "7", "8"]
    with stored(home) as store:
        assert {event.time for event in store.events.of_user("u")} == {1769860800.0}


def test_a_part_that_the_store_refuses_harms_no_other(home: Path) -> None:
    with stored(home) as store:
        parts = [{"id": "good"}, {"id": "bad", "fields": {"x": "y" * (1 << 18)}}, {"id": "fine"}]
        results = to_store(store)("items", parts)
        assert [status for status, _ in results] == ["stored", "rejected", "stored"]
        assert set(store.items.get(["good", "bad", "fine"])) == {"good", "fine"}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "nothing to load"),
        (["--items", "none.csv"], "no file"),
        (["--items", "x.xlsx"], "no known kind"),
        (["--items", "bad.parquet"], "cannot be read as parquet"),
    ],
)
def test_what_cannot_be_loaded_is_said(
    home: Path,
    tmp_path: Path,
    words: list[str],
    told: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("x.xlsx").write_bytes(b"x")
    Path("bad.parquet").write_bytes(b"x")
    code, _, err = run(capsys, "load", str(home), *words)
    assert code == 1
    assert told in err


def test_a_home_that_is_none_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "keys", "list", str(tmp_path / "none"))
    assert code == 1
    assert "no store" in err
    assert "MODEL.live" in err
    assert not (tmp_path / "none").exists()


def test_a_server_that_is_not_there_or_refuses_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, "items", ".csv")
    assert "--key-file" in run(capsys, "load", "http://127.0.0.1:1", "--items", str(path))[2]
    key = tmp_path / "key.txt"
    key.write_text("salon_x_y\n")
    code, _, err = run(capsys, "load", "http://127.0.0.1:1", "--items", str(path), "--key-file", str(key))
    assert code == 1
    assert "cannot be reached" in err

    def answer(status: int) -> Callable[..., Any]:
        return lambda *_, **__: loading.httpx.Response(status, json={"detail": "no reason"})

    monkeypatch.setattr(loading.httpx, "post", answer(403))
    with pytest.raises(SettingError, match="refuses the key"):
        load_file(path, "items", to_server("http://x", "key"))
    monkeypatch.setattr(loading.httpx, "post", answer(503))
    with pytest.raises(DataError, match="status 503: no reason"):
        load_file(path, "items", to_server("http://x", "key"))


def test_columns_of_numbers_are_numbers_and_ids_stay_words(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("id,price,count,mixed,empty\n007,1.5,3,1,\n008,,4,x,\n")
    assert list(rows_of(path)) == [
        {"id": "007", "price": 1.5, "count": 3, "mixed": "1", "empty": None},
        {"id": "008", "price": None, "count": 4, "mixed": "x", "empty": None},
    ]


# -- keys --------------------------------------------------------------------------------------------------------------


def test_keys_are_made_listed_and_revoked(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "keys", "add", str(home), "--name", "till", "--scope", "write")
    assert code == 0
    prefix, secret = re.search(r"salon_([0-9a-f]{12})_(\S+)", out).groups()
    listed = run(capsys, "keys", "list", str(home))[1]
    assert prefix in listed
    assert "till" in listed
    assert secret not in listed
    assert run(capsys, "keys", "revoke", str(home), prefix)[0] == 0
    with stored(home) as store:
        assert store.keys.find(prefix).revoked
    assert "no key 'none'" in run(capsys, "keys", "revoke", str(home), "none")[2]
    assert "no scope 'writ'" in run(capsys, "keys", "add", str(home), "--scope", "writ")[2]


# -- backup and restore ------------------------------------------------------------------------------------------------


def test_a_service_comes_back_from_its_backup(
    shop_folder: Path, open_service: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    service = open_service(shop_folder)
    service.put_items([StoredItem("kept", {"name": "A kept thing", "photo": "media/1.png"})])
    service.put_users([StoredUser("somebody", {"club": "red"})])
    service.add_events([StoredEvent("somebody", "thing-02", "buy")])
    expected = [one.id for one in service.popular(Ask(k=5)).items]
    code, out, _ = run(capsys, "backup", str(shop_folder / "model.live"), str(tmp_path / "saved"), "--json")
    assert code == 0
    told = json.loads(out)
    assert (told["items"], told["models"], told["media files"]) == (26, 1, 24)
    service.close()

    there = tmp_path / "elsewhere" / "model.live"
    assert run(capsys, "restore", str(tmp_path / "saved"), str(there))[0] == 0
    again = open_service(tmp_path / "elsewhere")
    assert [one.id for one in again.popular(Ask(k=5)).items] == expected
    assert again.item("kept").fields["name"] == "A kept thing"
    assert again.medium("kept", "photo").read_bytes() == (shop_folder / "media" / "1.png").read_bytes()
    again.close()

    refused = run(capsys, "restore", str(tmp_path / "saved"), str(there))
    assert refused[0] == 1
    assert "holds data" in refused[2]
    assert run(capsys, "restore", str(tmp_path / "saved"), str(there), "--replace")[0] == 0


def test_a_backup_that_names_a_folder_elsewhere_is_refused(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    database = sqlite3.connect(home / "salon.db")
    row = ("v", "../../../etc", "live", "{}", 1.0, 1.0)
    database.execute(
        "INSERT INTO versions (version, path, state, metrics, created, activated) VALUES (?,?,?,?,?,?)", row
    )
    database.commit()
    database.close()
    code, _, err = run(capsys, "backup", str(home), str(tmp_path / "saved"))
    assert code == 1
    assert "not beside" in err


# -- serve -------------------------------------------------------------------------------------------------------------


def test_a_server_is_started_asked_and_stopped(shop_folder: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "salon", "serve", str(shop_folder / "model"), "--port", "0"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, cwd=tmp_path
    ) as server:
        try:
            told = ""
            while "shown once" not in told:
                line = server.stdout.readline()
                assert line, server.stderr.read()
                told += line
            url = re.search(r"http://127\.0\.0\.1:\d+", told).group()
            key = re.search(r"salon_\S+", told).group()
            headers = {"Authorization": f"Bearer {key}"}
            for _ in range(200):
                try:
                    answer = httpx2.post(
                        f"{url}/v1/recommend", json={"user": "p00", "k": 3}, headers=headers, timeout=30
                    )
                    break
                except httpx2.TransportError:
                    pass
            assert len(answer.json()["items"]) == 3
            odd = httpx2.put(f"{url}/v1/items/per%25cent%2Fslash", json={}, headers=headers, timeout=30)
            assert odd.json()["id"] == "per%cent/slash"
            assert httpx2.get(url, timeout=30).status_code == 200
        finally:
            server.send_signal(signal.SIGTERM)
            out, err = server.communicate(timeout=60)
    assert server.returncode == 0, err
    lines = [json.loads(line) for line in err.splitlines()]
    assert [one for one in lines if one["message"] == "answered"]
    assert key.split("_", 2)[2] not in err
    assert (shop_folder / "model.live" / "salon.db").stat().st_mode & 0o077 == 0
    assert (shop_folder / "model.live" / "session.key").stat().st_mode & 0o077 == 0
    assert "Key:" not in out


def test_a_port_that_is_taken_is_told_before_anything_is_loaded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        code, _, err = run(capsys, "serve", str(tmp_path / "no-model"), "--port", port)
    assert code == 1
    assert f"127.0.0.1:{port} cannot be listened on" in err


def test_a_plain_installation_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}", name="uvicorn")

    monkeypatch.setattr(serve_verbs, "import_module", absent)
    with pytest.raises(MissingExtraError, match=r"salon\[serve\]"):
        serve_verbs.serve_model(Path("model"))


def test_the_verbs_load_nothing_of_the_server_before_they_are_called() -> None:
    script = "import sys, salon.cli.serve_verbs; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not {"fastapi", "uvicorn", "prometheus_client", "httpx"} & set(done.stdout.split())
