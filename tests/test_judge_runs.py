"""Comparisons over several seeds and folds, by the literature's protocol, and on worse data, from a catalogue file."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from salon.cli.main import main
from salon.errors import SettingError
from salon.pipeline import Pipeline
from salon.pipeline_judge import FOLDS, judge

MODELS = ["itemknn", "popular", "random"]


@pytest.fixture(scope="module")
def pipeline(shop: Path) -> Pipeline:
    return Pipeline.read(shop).encode()


def told(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    """Output of the program, run in this process."""
    with pytest.raises(SystemExit) as end:
        main([str(word) for word in words])
    printed = capsys.readouterr()
    assert not end.value.code, printed.err
    return printed.out


def test_seeds_are_runs_of_their_own_and_tests_are_on_means_per_user(pipeline: Pipeline) -> None:
    steps: list[tuple[int, int]] = []
    both = judge(pipeline, MODELS, seed=3, seeds=2, progress=lambda done, total, what: steps.append((done, total)))
    alone = [judge(pipeline, MODELS, seed=seed) for seed in (3, 4)]
    by_user: dict[int, list[float]] = {}
    for trial in alone:
        assert trial.report.users is not None
        values = trial.report["itemknn"].per_user["ndcg@10"]
        for user, value in zip(trial.report.users.tolist(), values, strict=True):
            by_user.setdefault(user, []).append(value)
    expected = np.mean([np.mean(v) for v in by_user.values()])
    assert both.report["itemknn"].metrics["ndcg@10"].mean == pytest.approx(expected)
    assert both.report.setting.runs == 2
    assert both.report.setting.seeds["split"] == "3/4"
    assert not np.array_equal(alone[0].split.train.events.items, alone[1].split.train.events.items)
    assert np.array_equal(both.split.train.events.items, alone[0].split.train.events.items)
    assert steps[-1] == (6, 6)
    assert both.models["itemknn"].is_fitted


def test_protocols_that_draw_nothing_vary_the_fit_alone(pipeline: Pipeline) -> None:
    report = judge(pipeline, ["popular", "random"], protocol="loo", seeds=3).report
    assert report["popular"].metrics["ndcg@10"].spread == 0
    assert (report["random"].metrics["ndcg@10"].spread or 0) > 0


def test_folds_ask_for_every_like_once(pipeline: Pipeline) -> None:
    report = judge(pipeline, ["popular", "itemknn"], protocol="kfold").report
    assert report.setting.runs == FOLDS
    assert "5 folds" in report.setting.split
    likes = pipeline.dataset.positives().nnz
    assert abs(report.setting.n_targets * FOLDS - likes) <= FOLDS


def test_the_literature_has_a_report_of_its_own(pipeline: Pipeline) -> None:
    trial = judge(pipeline, MODELS, seeds=2, literature=True)
    assert trial.literature is not None
    assert (trial.report.setting.rule, trial.literature.setting.rule) == ("honest", "literature")
    assert trial.literature.setting.runs == 2
    assert trial.literature.setting.n_users == trial.report.setting.n_users
    with pytest.raises(SettingError, match="masks no item of validation"):
        judge(pipeline, ["popular"], protocol="loo", literature=True)


def test_mistakes_are_named(pipeline: Pipeline) -> None:
    with pytest.raises(SettingError, match="seeds is 0"):
        judge(pipeline, ["popular"], seeds=0)
    with pytest.raises(SettingError, match=r"'kfol'.*'kfold'"):
        judge(pipeline, ["popular"], protocol="kfol")


def test_the_labels_of_mmrec_are_judged_both_ways(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "made"
    folder.mkdir()
    rng = np.random.default_rng(0)
    lines = ["userID\titemID\tx_label"]
    for user in range(30):
        for place, item in enumerate(rng.permutation(20)[:8]):
            lines.append(f"{user}\t{item}\t{0 if place < 5 else 1 if place < 6 else 2}")
    (folder / "made.inter").write_text("\n".join(lines) + "\n", encoding="utf-8")
    shop = tmp_path / "shop.toml"
    shop.write_text('[items]\nformat = "mmrec"\npath = "made"\n')
    words = ("compare", shop, "--models", "itemknn", "--protocol", "given", "--literature")
    found = json.loads(told(capsys, *words, "--json"))
    assert found["setting"]["rule"] == "honest"
    assert found["literature"]["setting"]["rule"] == "literature"
    page = tmp_path / "page.html"
    text = told(capsys, *words, "--html", page)
    assert text.count("best first by") == 2
    assert text.index("Protocol of the literature") > text.index("best first by")
    assert "Protocol of the literature" not in page.read_text()
    assert "Protocol of the literature" in (tmp_path / "page-literature.html").read_text()


def test_compare_takes_seeds_and_makes_data_worse(
    make_shop: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shop = make_shop(tmp_path)
    words = ("compare", shop, "--models", "itemknn", "--seeds", 2, "--robust", "clicks")
    found = json.loads(told(capsys, *words, "--json"))
    assert found["setting"]["runs"] == 2
    assert {f["strength"] for f in found["robust"]["falls"]} == {0, 0.1, 0.25, 0.5}
    assert {f["model"] for f in found["robust"]["falls"]} == {"itemknn", "popular", "random", "contentknn"}
    text = told(capsys, *words)
    assert "2 runs" in text
    assert "Robustness to clicks" in text
    with pytest.raises(SystemExit):
        main(["compare", str(shop), "--robust", "click"])
    assert "'clicks'" in capsys.readouterr().err
