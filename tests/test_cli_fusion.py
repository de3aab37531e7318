"""`salon fusion` tells what the fitted fuser weighs, as text and as JSON."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import salon


@pytest.fixture(scope="module")
def fit(make_shop: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    def fitted(fuser: str) -> Path:
        folder = tmp_path_factory.mktemp("fusion")
        path = make_shop(folder)
        path.write_text(path.read_text() + f'\n[fuse]\nname = "{fuser}"\n')
        salon.Pipeline.read(path).fit().save(folder / "model")
        return folder / "model"

    return fitted


def run(*words: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "COLUMNS": "160", "NO_COLOR": "1"}
    command = [sys.executable, "-m", "salon", "fusion", *map(str, words)]
    return subprocess.run(command, check=False, capture_output=True, text=True, env=environment, timeout=120)


def test_the_shares_are_told_overall_and_for_an_item(fit: Callable[[str], Path]) -> None:
    model = fit("learned-weights")
    done = run(model, "--item", "thing-02", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["fuser"] == "learned-weights"
    assert told["method"] == "learned"
    assert sum(told["overall"].values()) == pytest.approx(1, abs=1e-4)
    assert told["item"]["title"] == "A crimson thing number 2"
    text = run(model, "-i", "thing-24").stdout
    assert "as the fuser weighs them" in text
    image = next(line for line in text.splitlines() if line.startswith("image"))
    assert image.split()[-2:] == ["0.0", "%"], "nobody drew a picture of it"


def test_hiding_stands_in_where_a_fuser_has_no_weights(fit: Callable[[str], Path]) -> None:
    assert "by hiding one at a time" in run(fit("concat")).stdout


def test_a_model_that_joins_nothing_says_so(fit: Callable[[str], Path]) -> None:
    done = run(fit("none"))
    assert done.returncode == 1
    assert "not one" in done.stderr
    assert "Traceback" not in done.stderr
