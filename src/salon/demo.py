"""The demo: from raw media to a page of recommendations, on a world whose truth is known or on your data."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from salon.artifacts import check_place
from salon.data.stamps import stamps_world
from salon.data.world_truth import World
from salon.data.worlds import draw_shop
from salon.encode.weights import ensure_weights
from salon.errors import SettingError, did_you_mean
from salon.evaluate.report import write_report
from salon.evaluate.values import Report
from salon.pipeline import Pipeline
from salon.pipeline_answers import Answer
from salon.pipeline_judge import Trial, judge, with_baselines
from salon.pipeline_page import examples, some_people
from salon.types import Progress

WORLDS: dict[str, Callable[..., World]] = {"shop": draw_shop, "stamps": stamps_world}
MODELS = ("linear", "ease", "itemknn", "als", "contentknn", "popular", "random")
K = 10
MARK = "drawn-by-salon.txt"
"""Says in the folder of a world that a demo may replace it."""


@dataclass(frozen=True)
class Demo:
    """What the demo made.

    Attributes:
        page: The page to look at.
        model: The saved model.
        report: The comparison.
        best: Metric name to the best possible value, where the truth is known.
        answers: Recommendations for some people.
        seconds: How long each step took.
    """

    page: Path
    model: Path
    report: Report
    best: dict[str, float]
    answers: list[Answer]
    seconds: dict[str, float]


class Clock:
    """Tells each step as it starts and remembers how long it took."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say = say
        self.seconds: dict[str, float] = {}
        self._last: tuple[str, float] | None = None

    def step(self, name: str, words: str) -> None:
        """Ends the step before and starts another."""
        self.stop()
        self._last = (name, time.perf_counter())
        self.say(words)

    def stop(self) -> None:
        """Ends the last step."""
        if self._last:
            self.seconds[self._last[0]] = round(time.perf_counter() - self._last[1], 1)
            self._last = None


def run_demo(
    folder: Path,
    *,
    world: str = "shop",
    data: Path | None = None,
    seed: int = 0,
    say: Callable[[str], None],
    progress: Progress | None = None,
) -> Demo:
    """Draws or reads a catalogue, then check, encode, compare, fit, recommend, explain, and a page.

    Args:
        folder: Where everything is written.
        world: "shop" (drawn) or "stamps" (the real pictures, sounds and names of Debian's tuxpaint-stamps-default).
        data: A catalogue file of yours, instead of a world.
        seed: Of the world, the split and the fits.
        say: Told each step in a sentence.
        progress: Told how far drawing and encoding are.
    """
    clock = Clock(say)
    check_place(folder / "model")
    truth = None
    if data is None:
        if world not in WORLDS:
            raise SettingError(f"There is no world {world!r}.", hint=did_you_mean(world, WORLDS))
        clock.step("draw", f"Drawing the world {world!r}: pictures, sounds, videos, texts, people ...")
        truth = _draw(folder / world, world, seed, progress)
        data = truth.catalogue
    clock.step("read", f"Reading {data} ...")
    pipeline = Pipeline.read(data, parallel=True)
    say(_counts(pipeline))
    clock.step("encode", "Turning media into vectors (weights are converted once) ...")
    ensure_weights(progress=progress)
    pipeline.encode(progress)
    clock.step("check", "Checking the data ...")
    quality = pipeline.check()
    for line in pipeline.findings(quality):
        say(f"  {line}")
    clock.step("compare", "Comparing models on held-out events (8:1:1 per person, settings chosen on validation) ...")
    trial = judge(pipeline, contestants(has_features=len(pipeline.features) > 0), seed=seed, progress=progress)
    best = _best(truth, pipeline, trial)
    clock.step("fit", "Fitting on all events and saving ...")
    pipeline.fit(rng=seed)
    pipeline.save(folder / "model")
    clock.step("page", "Recommending, explaining, and writing the page ...")
    people = some_people(pipeline.dataset, 6, seed)
    page = folder / "report.html"
    write_report(
        page,
        report=trial.report,
        quality=quality.to_dict(),
        examples=examples(pipeline, people),
        title=f"salon: the {world}" if truth else f"salon: {data.stem}",
        about=_about(best),
    )
    clock.stop()
    answers = pipeline.recommend(people[:1], k=5, explained=True)
    return Demo(page, folder / "model", trial.report, best, answers, clock.seconds)


def contestants(*, has_features: bool) -> list[str | Mapping[str, Any]]:
    """The models to compare; content is left out where a catalogue has none."""
    return with_baselines([m for m in MODELS if has_features or m != "contentknn"], has_features=has_features)


def _counts(pipeline: Pipeline) -> str:
    data = pipeline.dataset
    rejected = len(pipeline.read_result.rejects)
    return (
        f"  {data.n_items} items, {data.n_users} people, {len(data.events)} events; {rejected} rows or values rejected"
    )


def _draw(place: Path, world: str, seed: int, progress: Progress | None) -> World:
    """Draws a world into a folder; what an earlier demo drew there is replaced, anything else is left alone.

    Raises:
        DataError: The folder holds something that no demo drew.
    """
    mark = place / MARK
    if mark.is_file():
        shutil.rmtree(place)
    truth = WORLDS[world](place, seed=seed, progress=progress)
    mark.write_text(f"Drawn by salon demo with seed {seed}; the next demo replaces this folder.\n", encoding="utf-8")
    return truth


def _best(truth: World | None, pipeline: Pipeline, trial: Trial) -> dict[str, float]:
    """What ranking by the true appeal would reach on the same questions."""
    if truth is None:
        return {}
    data = pipeline.dataset
    reached = truth.aligned(data.items.ids, data.users.ids).best_possible(trial.split.test, K)
    return {f"{name}@{K}": float(value) for name, value in reached.items()}


def _about(best: dict[str, float]) -> dict[str, str]:
    told = {"Rules": "Models learned from the training part alone; validation chose settings; the test was read once."}
    key = f"ndcg@{K}"
    if key in best:
        told["Best possible"] = f"Ranking by the true appeal reaches {key} {best[key]:.3f}."
    return told


def plain(demo: Demo) -> dict[str, Any]:
    """The demo's result for JSON."""
    mean = {m.name: {k: v.mean for k, v in m.metrics.items()} for m in demo.report.models}
    return {
        "page": str(demo.page),
        "model": str(demo.model),
        "best": demo.best,
        "models": mean,
        "seconds": demo.seconds,
    }


def share_of_best(demo: Demo, metric: str = f"ndcg@{K}") -> float | None:
    """How much of the best possible the first model reaches."""
    if metric not in demo.best:
        return None
    reached = np.float64(demo.report.models[0].metrics[metric].mean or 0.0)
    return float(reached / demo.best[metric])
