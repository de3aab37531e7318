"""What one fit and one answer cost: a model of salon beside the ALS of `implicit`, called directly.

    python benchmarks/bench_cost.py [--model linear] [--settings '{"search": false}'] [--split SPLIT.npz] [--repeats 3]

Data: made up with the size of MovieLens-100K (943 people, 1,682 items, 100,000 likes, popularity by a power law), and,
where --split is given, the train_u and train_i of that file (with n_users and n_items). Every measurement is a process
of its own with one BLAS thread, in turns, so that other load on the machine meets all alike; the median of the repeats
is shown. CPU seconds are those of the fit alone, once the data are in memory; peak memory is the resident high-water
mark during the fit above what was resident before it (Linux). Latency is one person per call, and all people in one
call, k = 10, seen items left out.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

CALLS = 200
ALS = {"factors": 64, "iterations": 15, "regularization": 0.01, "alpha": 1.0}


def made_up(users: int = 943, items: int = 1682, likes: int = 100_000) -> tuple[np.ndarray, np.ndarray, int, int]:
    """Likes drawn by activity of people, popularity of items, and ten tastes; no pair twice."""
    rng = np.random.default_rng(0)
    activity = rng.lognormal(0, 1, users)
    popularity = np.arange(1, items + 1) ** -0.8
    shared = rng.integers(0, 10, users)[:, None] == rng.integers(0, 10, items)
    chance = activity[:, None] * popularity * np.where(shared, 4.0, 1.0)
    chosen = rng.choice(users * items, likes, replace=False, p=(chance / chance.sum()).ravel())
    return chosen // items, chosen % items, users, items


def load(split: str) -> tuple[np.ndarray, np.ndarray, int, int]:
    if not split:
        return made_up()
    with np.load(split, allow_pickle=False) as stored:
        return stored["train_u"], stored["train_i"], int(stored["n_users"]), int(stored["n_items"])


def child(system: str, settings: str, split: str) -> dict[str, float]:
    """One measurement, in this process."""
    users, items, n_users, n_items = load(split)
    made = {"implicit-als": raw_als, "als-search": als_search}.get(system, salon_model)
    fit, one, everybody = made(system, json.loads(settings), (users, items, n_users, n_items))
    Path("/proc/self/clear_refs").write_text("5")
    before, cpu, wall = status("VmRSS"), time.process_time(), time.perf_counter()
    fitted = fit()
    cost = {"cpu_s": time.process_time() - cpu, "wall_s": time.perf_counter() - wall}
    cost["peak_mb"] = (status("VmHWM") - before) / 1024
    people = np.unique(users)[:: max(1, len(np.unique(users)) // CALLS)][:CALLS]
    one(int(people[0]))
    taken = []
    for person in people:
        start = time.perf_counter()
        one(int(person))
        taken.append(1000 * (time.perf_counter() - start))
    cost["one_ms"], cost["one_p95_ms"] = statistics.median(taken), float(np.quantile(taken, 0.95))
    start = time.perf_counter()
    everybody()
    cost["candidates"] = getattr(fitted, "search_", {}).get("solves", json.loads(settings).get("candidates", 1))
    return cost | {"people_per_s": n_users / (time.perf_counter() - start)}


Calls = tuple[Callable[[], object], Callable[[int], object], Callable[[], object]]
Log = tuple[np.ndarray, np.ndarray, int, int]


def raw_als(system: str, settings: dict[str, object], log: Log) -> Calls:
    from implicit.cpu.als import AlternatingLeastSquares
    from scipy import sparse

    users, items, n_users, n_items = log
    rows = sparse.csr_matrix((np.ones(len(users), np.float32), (users, items)), shape=(n_users, n_items))
    model = AlternatingLeastSquares(**ALS | settings, num_threads=1, random_state=0)
    everyone = np.arange(n_users)
    return (
        lambda: model.fit(rows, show_progress=False),
        lambda person: model.recommend(person, rows[person], 10),
        lambda: model.recommend(everyone, rows, 10),
    )


def als_search(system: str, settings: dict[str, int], log: Log) -> Calls:
    """As many settings of ALS as `linear` tried: fit on nine tenths, nDCG@20 of the rest, then the best one on all."""
    from itertools import cycle, islice, product

    from scipy import sparse

    from salon.metrics import hit_matrix, ndcg, relevant_counts

    users, items, n_users, n_items = log
    held = np.random.default_rng(0).random(len(users)) < 0.1
    shape, ones = (n_users, n_items), np.ones(len(users), np.float32)
    rows, asked = (sparse.csr_matrix((ones[m], (users[m], items[m])), shape=shape) for m in (~held, held))
    grid = cycle(product((32, 64, 128), (0.001, 0.01, 0.1), (1.0, 4.0, 16.0)))
    tried = [
        dict(zip(("factors", "regularization", "alpha"), g, strict=True))
        for g in islice(grid, int(settings["candidates"]))
    ]
    final: list[Calls] = []

    def value(one: dict[str, object]) -> float:
        from implicit.cpu.als import AlternatingLeastSquares

        model = AlternatingLeastSquares(**ALS | one, num_threads=1, random_state=0)
        model.fit(rows, show_progress=False)
        ids, _ = model.recommend(np.arange(n_users), rows, 20)
        targets = sparse.csr_array(asked)
        return float(ndcg(hit_matrix(ids, targets), relevant_counts(targets), 20).mean())

    def fit() -> None:
        final.append(raw_als(system, max(tried, key=value), log))
        final[-1][0]()

    def one(person: int) -> object:
        return final[-1][1](person)

    def everybody() -> object:
        return final[-1][2]()

    return fit, one, everybody


def salon_model(system: str, settings: dict[str, object], log: Log) -> Calls:
    from salon.data import Dataset, Events
    from salon.registry import create

    users, items, n_users, n_items = log
    data = Dataset.of(Events.of(users, items), n_users, n_items)
    queries, model = data.queries(), create("model", system, settings)
    return (
        lambda: model.fit(data),
        lambda person: model.recommend(queries.take(slice(person, person + 1)), 10),
        lambda: model.recommend(queries, 10),
    )


def status(field: str) -> int:
    """A line of /proc/self/status, in KiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field))


def measure(system: str, settings: str, split: str) -> dict[str, float]:
    """One measurement, in a process of its own."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    command = [sys.executable, __file__, "--child", system, "--settings", settings, "--split", split]
    done = subprocess.run(command, env={**os.environ, **threads}, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{system} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


FIELDS = ("cpu_s", "wall_s", "peak_mb", "one_ms", "one_p95_ms", "people_per_s", "candidates")


def table(systems: dict[str, tuple[str, str]], split: str, repeats: int) -> None:
    log = load(split)
    print(f"\n{Path(split).stem if split else 'made up'}: {log[2]} people, {log[3]} items, {len(log[0])} likes")
    found: dict[str, list[dict[str, float]]] = {name: [] for name in systems}
    for _ in range(repeats):
        for name, (system, settings) in systems.items():
            found[name].append(measure(system, settings, split))
    if SEARCHED in found:
        tried = int(statistics.median(c["candidates"] for c in found[SEARCHED]))
        found["implicit ALS, as many settings"] = [measure("als-search", json.dumps({"candidates": tried}), split)]
    print(f"{'':34}" + "".join(f"{field:>14}" for field in FIELDS))
    for name, costs in found.items():
        print(f"{name:34}" + "".join(f"{statistics.median(c[field] for c in costs):14.2f}" for field in FIELDS))


SEARCHED = "linear, settings searched"


def main() -> None:
    parser = argparse.ArgumentParser(description="Cost of one fit and one answer.")
    parser.add_argument("--model", default="linear")
    parser.add_argument("--settings", help="JSON; for linear the default is one fit without the search")
    parser.add_argument("--split", default="", help="an .npz with train_u, train_i, n_users, n_items")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    given = parser.parse_args()
    settings = given.settings or ('{"search": false}' if given.model == "linear" else "{}")
    if given.child:
        print(json.dumps(child(given.child, settings, given.split)))
        return
    systems = {"implicit ALS, 64 factors, 15 sweeps": ("implicit-als", "{}"), given.model: (given.model, settings)}
    if given.model == "linear":
        systems[SEARCHED] = ("linear", "{}")
    print(f"{processor()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; Python {platform.python_version()}")
    for split in dict.fromkeys(["", given.split]):
        table(systems, split, given.repeats)


if __name__ == "__main__":
    main()
