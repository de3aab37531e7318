"""The example scripts run as a reader would run them, and print something."""

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parent.parent / "examples"
TELLS = {
    "cold_items": "nobody has touched them",
    "explain": "(exact)",
    "own_history": "without a new fit",
    "smarthome": "sensor series",
    "plugin_model": "It keeps the whole contract of recommenders.",
}
Done = subprocess.CompletedProcess[bytes]


def run(name: str, folder: Path) -> Done:
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONIOENCODING": "utf-8"}
    command = [sys.executable, "-W", "error", str(FOLDER / f"{name}.py")]
    return subprocess.run(
        command, cwd=folder, env={**os.environ, **threads}, capture_output=True, timeout=300, check=False
    )


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[Done]]]:
    """All scripts, two at a time."""
    with ThreadPoolExecutor(2) as pool:
        yield {name: pool.submit(run, name, tmp_path_factory.mktemp(name)) for name in TELLS}


def test_every_script_is_known() -> None:
    assert {path.stem for path in FOLDER.glob("*.py")} == set(TELLS)


@pytest.mark.parametrize("name", TELLS)
def test_example_runs_and_tells(name: str, runs: dict[str, Future[Done]]) -> None:
    done = runs[name].result()
    assert done.returncode == 0, done.stderr.decode("utf-8")
    assert TELLS[name] in done.stdout.decode("utf-8")


@pytest.mark.parametrize("name", TELLS)
def test_example_is_short(name: str) -> None:
    assert len((FOLDER / f"{name}.py").read_text(encoding="utf-8").splitlines()) < 60
