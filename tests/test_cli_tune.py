"""`salon tune` as a person uses it: a study, its files, going on, and mistakes."""

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from salon.cli.main import main
from salon.pipeline import Pipeline
from salon.pipeline_judge import prepared
from salon.pipeline_shop import read_shop

pytest.importorskip("optuna")


def salon(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    """Runs the program in this process: (exit code, output, errors)."""
    code = 0
    try:
        main([str(word) for word in words])
    except SystemExit as end:
        code = int(end.code or 0)
    found = capsys.readouterr()
    return code, found.out, found.err


def test_tune_writes_a_section_that_the_catalogue_file_takes(
    make_shop: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shop, out = make_shop(tmp_path / "shop", model='name = "itemknn"\nmetric = "cosine"'), tmp_path / "tuned"
    code, text, err = salon(capsys, "tune", shop, "--set", "k=1,2,20", "--trials", 9, "--out", out)
    assert code == 0, err
    best = tomllib.loads((out / "best.toml").read_text())["model"]
    assert best["name"] == "itemknn"
    assert best["metric"] == "cosine"  # what the file says stays
    assert "paste" not in text
    assert 'name = "itemknn"' in text
    told = json.loads((out / "tune.json").read_text())
    assert [len(told["trials"]), told["complete"], told["measured_on"]] == [3, True, "validation"]
    assert told["best"] >= told["default"]
    file = shop.read_text()
    shop.write_text(file[: file.index("[model]")] + (out / "best.toml").read_text())
    assert read_shop(shop).recommender().settings.model_dump()["metric"] == "cosine"


def test_the_page_stands_alone_and_draws_search_and_importances(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = (
        "tune",
        shop,
        "--model",
        "als",
        "--set",
        "dim=2,4",
        "--set",
        "sweeps=1,2",
        "--trials",
        9,
        "--out",
        tmp_path,
    )
    code, text, err = salon(capsys, *words)
    assert code == 0, err
    page = (tmp_path / "tune.html").read_text()
    HTMLParser().feed(page)
    assert page.count("<svg ") == 4  # search and importances, for desks and for phones
    assert "Importance of the settings" in page
    assert not re.search(r"(src|href)=\"(https?:)?//", page)
    assert "Importance: " in text
    again = salon(capsys, *words, "--json")[1]
    assert len(json.loads(again)["trials"]) == 4


def test_a_budget_in_time_ends_and_a_longer_one_goes_on(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("tune", shop, "--model", "itemknn", "--range", "shrink=0.1:100:log", "--out", tmp_path, "--json")
    first = json.loads(salon(capsys, *words, "--budget", "0.001s")[1])
    assert first["trials"] == []
    more = json.loads(salon(capsys, *words, "--budget", "2h", "--trials", 3)[1])
    assert len(more["trials"]) == 3
    assert more["default"] == first["default"]
    assert more["seconds"] > first["seconds"]


def test_the_test_part_is_never_touched(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test questions are replaced by a thing that fails when anything of it is asked."""

    class Shut:
        def __getattr__(self, name: str) -> object:
            raise AssertionError(f"the test was asked for {name}")

    def shut(pipeline: Pipeline, **more: object) -> object:
        ready = prepared(pipeline, **more)  # type: ignore[arg-type]
        object.__setattr__(ready.split, "test", Shut())
        return ready

    monkeypatch.setattr("salon.cli.tune_verbs.prepared", shut)
    code, _, err = salon(capsys, "tune", shop, "--model", "contentknn", "--trials", 2, "--out", tmp_path)
    assert code == 0, err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--model", "itemknnn"), "'itemknn'"),
        (("--model", "ease"), "has no settings to tune"),
        (("--model", "als", "--set", "dimm=2"), "'dim'"),
        (("--model", "als", "--budget", "soon"), "no duration"),
        (("--model", "als", "--metric", "ndcg"), "no metric 'ndcg'"),
        (("--model", "als", "--protocol", "coldd"), "'cold'"),
    ],
)
def test_mistakes_are_one_sentence(
    words: tuple[str, ...], told: str, shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = salon(capsys, "tune", shop, *words, "--out", tmp_path / "out", "--trials", 1)
    assert code == 1
    assert told in " ".join(err.split())
    assert not (tmp_path / "out" / "study.db").exists()


def test_without_optuna_the_pip_line_is_told_and_help_works(shop: Path, tmp_path: Path) -> None:
    (tmp_path / "optuna.py").write_text("raise ModuleNotFoundError(\"No module named 'optuna'\", name='optuna')\n")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "NO_COLOR": "1"}
    command = [sys.executable, "-m", "salon", "tune"]
    done = subprocess.run(
        [*command, str(shop), "--model", "als", "--out", str(tmp_path / "out")],
        check=False, capture_output=True, text=True, env=environment, timeout=120,
    )  # fmt: skip
    assert done.returncode == 1
    assert "salon[tune]" in done.stderr
    told = subprocess.run(
        [*command, "--help"], check=True, capture_output=True, text=True, env=environment, timeout=120
    )
    assert "Example: salon tune" in told.stdout.replace("\n", " ")
