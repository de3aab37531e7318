"""The command line as a person uses it: every verb, its help, its JSON, and errors without a traceback."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from salon.cli.model_verbs import item_ids
from salon.cli.show import emit, table, with_json_value

VERBS = (
    "demo", "check", "encode", "weights", "fit", "recommend", "similar", "search", "explain", "fusion", "evaluate",
    "compare", "tune", "list",
)  # fmt: skip


def salon(*words: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "salon", *map(str, words)]
    environment = {**os.environ, "COLUMNS": "160", "NO_COLOR": "1"}
    return subprocess.run(command, check=False, capture_output=True, text=True, cwd=cwd, env=environment, timeout=120)


def done(*words: object) -> str:
    result = salon(*words)
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def model(shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cli") / "model"
    assert "Learned from" in done("fit", shop, "--out", path)
    return path


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_every_verb_teaches_by_an_example(verb: str) -> None:
    text = done(verb, "--help")
    assert "Example: salon" in text.replace("\n", " ")
    assert "--json" in text


def test_help_lists_every_verb() -> None:
    text = done("--help")
    assert all(f" {verb} " in text for verb in VERBS)
    assert done("--version").startswith("salon ")


def test_check_names_what_is_wrong(shop: Path, tmp_path: Path) -> None:
    text = done("check", shop, "--rejects", tmp_path / "r.csv")
    assert "thing-03" in text
    assert len((tmp_path / "r.csv").read_text().splitlines()) == 3
    told = json.loads(done("check", shop, "--json"))
    assert sum(told["rejects"].values()) == 2


def test_encode_is_done_once(shop: Path) -> None:
    told = json.loads(done("encode", shop, "--json"))
    assert {f["features"] for f in told["features"]} == {"text", "image", "category", "number"}
    assert [p["id"] for p in told["problems"]] == ["thing-03"]


def test_recommend_similar_and_explain_answer(model: Path) -> None:
    (answer,) = json.loads(done("recommend", model, "--user", "p00", "-k", "3", "--json"))
    assert len(answer["items"]) == 3
    top = answer["items"][0]["id"]
    assert top in done("recommend", model, "--user", "p00", "-k", "3")
    assert "thing-04" not in done("similar", model, "--item", "thing-04", "--json").split('"items"')[1]
    text = done("explain", model, "--user", "p00", "--item", top)
    assert "The parts sum to the score" in text or "Parts are by removal" in text
    assert "红" not in text
    assert "相配" in done("explain", model, "--user", "p00", "--item", top, "--language", "zh")


def test_people_without_a_row_are_answered_by_history_or_profile(model: Path) -> None:
    assert "thing-" in done("recommend", model, "--history", "thing-02,thing-04")
    assert "popular" in done("recommend", model, "--profile", "club=red")


def test_evaluate_and_compare_write_json_and_a_page(shop: Path, tmp_path: Path) -> None:
    out, page = tmp_path / "out.json", tmp_path / "page.html"
    text = done("evaluate", shop, "--protocol", "time", "--json", out)
    assert "ease" in text
    assert json.loads(out.read_text())["baselines_present"]
    done("compare", shop, "--models", "itemknn", "--html", page)
    html = page.read_text()
    assert html.lower().startswith("<!doctype html>")
    assert "itemknn" in html
    assert "data:image" in html


def test_list_shows_components_and_their_settings() -> None:
    listed = json.loads(done("list", "--json"))
    assert "linear" in listed["model"]
    assert "popular" in done("list", "model")
    assert "setting" in done("list", "model", "itemknn")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("recommend", "nowhere", "--user", "1"), "not an artefact"),
        (("fit", "nowhere.toml", "--out", "x"), "no file"),
        (("list", "modle"), "'model'"),
        (("list", "model", "lineer"), "'linear'"),
        (("demo", "--world", "shap"), "'shop'"),
        (("compare", "SHOP", "--models", "popular,eaze"), "'ease'"),
        (("evaluate", "SHOP", "--protocol", "coldd"), "'cold'"),
        (("recommend", "MODEL", "--user", "p99"), "no user 'p99'"),
        (("recommend", "MODEL"), "either users or histories"),
        (("recommend", "MODEL", "--user", "p00", "--history", "thing-00"), "either users or histories"),
        (("fit", "SHOP", "--out", "SHOP"), "is not an artefact of salon"),
        (("fit", "SHOP", "--out", "/dev/null/model"), "cannot be written"),
        (("list", "", "linear"), "Of which kind"),
        (("recommend", "MODEL", "--user", "p00", "--json", "/dev/null/out.json"), "/dev/null"),
        (("recommend", "MODEL", "--profile", "club"), "attribute=value"),
        (("recommend", "MODEL", "--profile", "club=green"), "club=green"),
        (("explain", "MODEL", "--user", "p00", "--item", "thing-98"), "thing-98"),
    ],
)
def test_a_mistake_is_one_sentence_and_no_traceback(
    words: tuple[str, ...], told: str, shop: Path, model: Path, tmp_path: Path
) -> None:
    places = {"SHOP": shop, "MODEL": model}
    result = salon(*(places.get(w, w) for w in words), cwd=tmp_path)
    assert result.returncode == 1
    assert told in " ".join(result.stderr.split())
    assert "Traceback" not in result.stderr + result.stdout
    assert list(tmp_path.iterdir()) == []


def test_errors_are_json_when_json_is_asked_for(tmp_path: Path) -> None:
    result = salon("recommend", tmp_path / "no", "--user", "1", "--json")
    assert json.loads(result.stderr)["error"]["code"] == "artifact"
    assert result.stdout == ""


def test_json_takes_a_file_only_when_one_follows() -> None:
    assert with_json_value(["a", "--json"]) == ["a", "--json", "-"]
    assert with_json_value(["a", "--json", "b"]) == ["a", "--json", "-", "b"]
    assert with_json_value(["--json", "o.json", "b"]) == ["--json", "o.json", "b"]


def test_a_failed_fit_leaves_the_old_model(
    shop: Path, model: Path, make_shop: Callable[..., Path], tmp_path: Path
) -> None:
    before = (model / "manifest.json").read_bytes()
    bad = make_shop(tmp_path, model='name = "biasedmf"\nfactors = -1')
    assert salon("fit", bad, "--out", model).returncode == 1
    assert (model / "manifest.json").read_bytes() == before


def test_brackets_are_no_markup_and_quotes_keep_commas(capsys: pytest.CaptureFixture[str]) -> None:
    table("For [red]:", ["[b]"], [("[/i] [REC]",)])
    printed = capsys.readouterr().out
    assert all(word in printed for word in ("For [red]:", "[b]", "[/i] [REC]"))
    assert item_ids('17, "a,b",901') == ["17", "a,b", "901"]


def test_json_has_no_number_that_json_does_not_know(capsys: pytest.CaptureFixture[str]) -> None:
    emit({"a": np.float32(0.5), "b": float("nan")}, "-")
    assert json.loads(capsys.readouterr().out) == {"a": 0.5, "b": None}
