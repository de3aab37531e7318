"""Kills at random moments: finished work is never lost, and no half artefact is ever there."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from salon.artifacts import reading

KILLS = 6


def start(*words: object, vectors: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "salon", *map(str, words)]
    environment = {**os.environ, "SALON_VECTORS": str(vectors)}
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def kill_after(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Whether the process was still at work when it was killed."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        return True
    process.communicate()
    return False


def finish(*words: object, vectors: Path) -> str:
    """Runs to the end, which must be a good one; gives what was told on the error stream."""
    process = start(*words, vectors=vectors)
    _, told = process.communicate(timeout=120)
    assert process.returncode == 0, told
    return told.decode()


def stored(vectors: Path) -> int:
    if not vectors.is_file():
        return 0
    with sqlite3.connect(vectors) as database:
        try:
            return int(database.execute("SELECT count(*) FROM vectors").fetchone()[0])
        except sqlite3.OperationalError:  # killed before the tables were there
            return 0


@pytest.fixture(scope="module")
def pictures(make_shop: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop whose pictures take a while."""
    folder = tmp_path_factory.mktemp("pictures")
    shop = make_shop(folder)
    rng = np.random.default_rng(0)
    for i in range(24):
        if i != 3:
            Image.fromarray(rng.integers(0, 255, (1400, 1400, 3), np.uint8)).save(folder / f"media/{i}.png")
    return shop


def test_killing_encode_never_loses_finished_vectors(pictures: Path, tmp_path: Path) -> None:
    vectors = tmp_path / "vectors.sqlite"
    rng = np.random.default_rng(1)
    before, killed = 0, 0
    for _ in range(KILLS):
        killed += kill_after(start("encode", pictures, vectors=vectors), 1.2 + float(rng.uniform(0, 2.0)))
        now = stored(vectors)
        assert now >= before
        before = now
    finish("encode", pictures, "--json", vectors=vectors)
    assert stored(vectors) >= before
    assert killed > 0


def test_killing_fit_leaves_a_whole_model_or_none(pictures: Path, tmp_path: Path) -> None:
    vectors, model = tmp_path / "vectors.sqlite", tmp_path / "model"
    finish("fit", pictures, "--out", model, vectors=vectors)
    started = time.perf_counter()
    finish("fit", pictures, "--out", model, vectors=vectors)
    usual = time.perf_counter() - started
    rng = np.random.default_rng(2)
    killed = 0
    for _ in range(KILLS):
        seconds = usual * float(rng.uniform(0.5, 1.0))
        killed += kill_after(start("fit", pictures, "--out", model, vectors=vectors), seconds)
        reading(model, "pipeline")
    assert killed > 0
    finish("recommend", model, "--user", "p00", vectors=vectors)
    finish("fit", pictures, "--out", model, vectors=vectors)
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".model")] == []
