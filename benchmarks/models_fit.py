"""One fit of `bench_models.py` and its tests, in a process of its own: a job comes in as JSON, a result goes out.

The sets of SPLITS are read as by `bench_splits.py`; catalogue files go through the pipeline, which encodes their media
and parts their log with seed 0, so that all seeds of a fit answer the same questions.
"""

from __future__ import annotations

import json
import resource
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import bench_splits
import numpy as np
from models_peers import PEERS
from scipy import sparse

from salon import registry
from salon.arrays import blocks
from salon.data import Dataset, Holdout
from salon.encode.base import FeatureSet
from salon.errors import SalonError
from salon.evaluate.cost import measure_fit, measure_latency
from salon.models.ensemble_choice import some

TOKEN_DIM = 256
TOGETHER = 1000
"""People scored at once."""
TOLD = ("point_", "search_", "join_", "weights_", "names_")
"""Learned attributes that a result repeats where they are small."""


@dataclass(frozen=True)
class Task:
    """What all models of a set and protocol are given."""

    data: Dataset
    features: FeatureSet
    valid: Holdout
    tests: dict[str, Holdout]


def task(job: dict[str, Any]) -> Task:
    """The task of a job."""
    place = Path(job["place"])
    if place.suffix == ".toml":
        from salon.pipeline import Pipeline  # takes longer to import than many a fit
        from salon.pipeline_judge import prepared

        ready = prepared(Pipeline.read(place).encode(), protocol=job["protocol"])
        return Task(ready.split.train, ready.features, ready.split.valid, {job["protocol"]: ready.split.test})
    data, valid, tests = bench_splits.load(place, job["protocol"])
    features = bench_splits.features(place, TOKEN_DIM) if job["features"] == "tokens" else bench_splits.media(place)
    return Task(data, features, valid, tests)


def measured(model: Any, asked: Holdout) -> dict[str, np.ndarray]:
    """(users,) of each metric."""
    parts = [bench_splits.measure(model, part) for part in pieces(asked)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def pieces(asked: Holdout) -> Iterator[Holdout]:
    """The questions that have an answer and a history, some at a time: nobody's taste can be told from nothing."""
    rows = np.flatnonzero(np.diff(sparse.csr_array(asked.targets).indptr) * np.diff(asked.queries.indptr))
    for part in blocks(len(rows), TOGETHER):
        yield some(asked, rows[part])


def limited(seconds: float) -> None:
    """Lets this process use so many more CPU seconds; none is for ever."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    most = int(used.ru_utime + used.ru_stime + seconds) + 1 if seconds else resource.RLIM_INFINITY
    resource.setrlimit(resource.RLIMIT_CPU, (most, resource.RLIM_INFINITY))


def chosen(job: dict[str, Any], what: Task) -> dict[str, Any]:
    """The settings with the best nDCG@20 on validation among those to be tried."""
    points = [dict(zip(job["tuned"], values, strict=True)) for values in product(*job["tuned"].values())]

    def quality(point: dict[str, Any]) -> float:
        model = registry.create("model", job["model"], job["settings"] | point)
        model.fit(what.data, what.features, rng=job["seed"] + 1, validation=what.valid)
        return float(measured(model, what.valid)["N@20"].mean())

    return job["settings"] | (max(points, key=quality) if job["tuned"] else {})


def fitted(job: dict[str, Any], what: Task) -> tuple[Any, dict[str, Any]]:
    """The model, and what its fit cost."""
    peer = PEERS.get(job["model"])
    kind: Any = peer or registry.resolve("model", job["model"])
    if job["protocol"] == "cold" and not kind.handles_cold_items:
        raise SalonError("does not place items without actions")
    model = peer(what.data, what.valid) if peer else registry.create("model", job["model"], chosen(job, what))
    limited(job["limit"])
    cost = measure_fit(model, what.data, what.features, rng=job["seed"] + 1, validation=what.valid)
    limited(0)
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    settings = model.chosen_ if peer else model.settings.model_dump(exclude_defaults=True)
    return model, {
        "settings": settings,
        "cpu_s": cost.cpu_seconds,
        "peak_mb": int(peak.split()[1]) / 1024,
        "added_mb": cost.peak_mb,
    }


def plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray) else value


def run(job: dict[str, Any]) -> dict[str, Any]:
    """The result of a job; values per user go to its file of arrays."""
    what = task(job)
    try:
        model, cost = fitted(job, what)
    except SalonError as error:
        return {"status": "refused", "why": str(error)}
    tests = {name: measured(model, asked) for name, asked in what.tests.items()}
    np.savez_compressed(
        job["arrays"],
        **{
            f"{test}/{name}": values.astype(np.float32)
            for test, found in tests.items()
            for name, values in found.items()
        },
    )
    learned = {name: plain(vars(model)[name]) for name in TOLD if name in vars(model)}
    return {
        "status": "ok",
        **cost,
        "p50_ms": measure_latency(model, next(iter(what.tests.values())).queries, 20)[0],
        "features": {name: int(one.vectors.shape[1]) for name, one in what.features.items()},
        "valid": {name: float(values.mean()) for name, values in measured(model, what.valid).items()},
        "tests": {t: {name: float(values.mean()) for name, values in found.items()} for t, found in tests.items()},
        "learned": {name: value for name, value in learned.items() if len(json.dumps(value, default=str)) < 5000},
    }


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    sys.stdout.write(json.dumps(run(json.loads(sys.argv[1])), default=str) + "\n")
