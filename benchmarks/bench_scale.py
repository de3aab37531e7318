"""Time, memory and accuracy of `linear` as the catalogue grows, on made data with a planted taste.

    python benchmarks/bench_scale.py run --items 10000 --form local [--media] [--neighbours 100] [--search]
    python benchmarks/bench_scale.py data --items 10000 --onto FILE.npz
    python benchmarks/bench_scale.py real SPLITS --sets ml100k amzind lastfm --neighbours 50 100 200 400

`run` is one fit in one process: seconds on the clock and of the processor from histories to a fitted model, peak memory
of the whole process (the data included), the median and the 95th percentile of 200 requests for 20 items, and nDCG@20
of 2,000 people's last action, ranked among all items but those of the history.

The made data: items lie on rings of 200; a person likes places on three rings and takes items near there, the more
attractive first (Pareto); 15 % of the actions follow attractiveness alone. Each item has 10 actions on average, each
person about 20. Vectors (64-d) say ring and place, with noise. The ids are shuffled.

`data` writes what `run` learns from and asks, for systems that run elsewhere (`bench_sansa.py`).

`real` compares the local form with the dense one under the same fixed settings (nothing is searched) on the random
split of the data sets of `bench_splits.py`: nDCG@20 on test, and the share of the dense form's first 20 items that the
local form has among its own.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from pathlib import Path

import numpy as np
from bench_splits import features, load, measure

from salon.data import Dataset, Events, Queries
from salon.encode.base import Features, FeatureSet
from salon.models.base import Recommender
from salon.models.linear import Linear, LinearSettings
from salon.models.linear_point import Point
from salon.models.popular import Popular

RING, DIM, ASKED, REQUESTS = 200, 64, 2000, 200
POINT = Point(
    user_exponent=0.25, item_exponent=0.25, ridge=4.0, dropout=0.33, popularity=0.125, twin_media=1.0,
    media={"content": 0.25},
)  # fmt: skip


def made(n_items: int, seed: int = 0) -> tuple[Dataset, FeatureSet]:
    """Histories of n_items / 2 people, and vectors."""
    rng = np.random.default_rng(seed)
    n_users, rings = n_items // 2, n_items // RING
    lengths = np.clip(rng.lognormal(0.0, 0.7, n_users), 0.15, 10)
    lengths = np.maximum(3, (lengths * 20 / lengths.mean()).round()).astype(np.int64)
    owner = np.repeat(np.arange(n_users), lengths)
    appeal = np.minimum(rng.pareto(1.2, n_items) + 0.2, 50)
    taste = rng.choice(3, size=len(owner), p=[0.6, 0.25, 0.15])
    ring = rng.integers(rings, size=(n_users, 3))[owner, taste]
    place = rng.random((n_users, 3))[owner, taste] + rng.normal(0, 0.08, len(owner))
    near = ((place[:, None] + rng.normal(0, 0.04, (len(owner), 3))) % 1 * RING).astype(np.int64) % RING
    near += RING * ring[:, None]
    items = near[np.arange(len(owner)), (appeal[near] * rng.exponential(size=near.shape)).argmax(axis=1)]
    astray = rng.random(len(owner)) < 0.15
    drawn = np.searchsorted(np.cumsum(appeal) / appeal.sum(), rng.random(int(astray.sum())))
    items[astray] = np.minimum(drawn, n_items - 1)
    names = rng.permutation(n_items)  # the order of the ids says nothing
    angle = 2 * np.pi * (np.arange(n_items) % RING) / RING
    vectors = np.empty((n_items, DIM), np.float32)
    vectors[names] = (
        rng.normal(size=(rings, DIM))[np.arange(n_items) // RING]
        + np.stack([np.cos(angle), np.sin(angle)], axis=1) @ rng.normal(size=(2, DIM))
        + 0.8 * rng.normal(size=(n_items, DIM))
    )
    events = Events.of(owner, names[items], times=np.arange(len(owner)), time_kind="order")
    content = Features(vectors, np.ones(n_items, bool), "made")
    return Dataset.of(events, n_users, n_items), FeatureSet({"content": content})


def parted(data: Dataset) -> tuple[Dataset, Queries, np.ndarray]:
    """The data without the last action of `ASKED` people, their histories, and what they did last."""
    people = np.arange(0, data.n_users, max(1, data.n_users // ASKED))[:ASKED]
    last = np.searchsorted(data.events.users, people, side="right") - 1
    kept = np.ones(len(data.events), bool)
    kept[last] = False
    train = data.with_events(data.events.take(kept))
    return train, train.queries(people), data.events.items[last]


def accuracy(model: Recommender, queries: Queries, answers: np.ndarray) -> float:
    """nDCG@20 of one answer per query."""
    found = model.recommend(queries, 20).ids == answers[:, None]
    return float((found / np.log2(np.arange(20) + 2)).sum(axis=1).mean())


def latency(model: Recommender, queries: Queries) -> list[float]:
    """Median and 95th percentile of the milliseconds of one request."""
    spans = []
    for row in range(REQUESTS):
        one, start = queries.take(np.array([row])), time.perf_counter()
        model.recommend(one, 20)
        spans.append(1e3 * (time.perf_counter() - start))
    return [round(float(x), 1) for x in np.percentile(spans, [50, 95])]


def run(args: argparse.Namespace) -> dict[str, object]:
    data, items = made(args.items)
    train, queries, answers = parted(data)
    point = POINT if args.media else POINT.model_copy(update={"media": {}})
    settings = LinearSettings(
        point=point, search=args.search, mode=args.form, neighbours=args.neighbours, max_items=10**9, memory_gb=64
    )
    clock, processor = time.perf_counter(), time.process_time()
    model = Linear(settings).fit(train, items if args.media else None)
    spent = time.perf_counter() - clock, time.process_time() - processor
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {
        "items": args.items, "form": args.form, "media": args.media, "search": args.search,
        "neighbours": args.neighbours if args.form == "local" else None, "actions": len(data.events),
        "clock_s": round(spent[0], 1), "cpu_s": round(spent[1], 1), "peak_gb": round(peak, 2),
        "entries": int(model.weights_.nnz if args.form == "local" else model.weights_.size),
        "pairs": int(model.gram_.nnz), "recall": vars(model).get("recall_"), "latency_ms": latency(model, queries),
        "ndcg": round(accuracy(model, queries, answers), 4),
        "popular": round(accuracy(Popular().fit(train), queries, answers), 4),
        "search_ndcg": model.search_ if args.search else None, "point": model.point_ if args.search else None,
    }  # fmt: skip


def write(args: argparse.Namespace) -> str:
    """The histories as rows of a sparse matrix, whom is asked, and the answers, as arrays of one file."""
    train, queries, answers = parted(made(args.items)[0])
    rows = train.positives()
    np.savez(
        args.onto, indptr=rows.indptr, indices=rows.indices, shape=rows.shape, people=queries.users, answers=answers
    )
    return str(args.onto)


def real(args: argparse.Namespace) -> list[dict[str, object]]:
    rows = []
    for name in args.sets:
        data, _, tests = load(args.splits / name, "random")
        items, asked = features(args.splits / name, 256), tests["random"]
        dense = Linear(search=False, mode="dense").fit(data, items)
        best = dense.recommend(asked.queries, 20).ids
        rows.append({"set": name, "form": "dense", "ndcg": round(float(measure(dense, asked)["N@20"].mean()), 4)})
        for k in args.neighbours:
            begun = time.process_time()
            model = Linear(search=False, mode="local", neighbours=k, content_neighbours=30).fit(data, items)
            spent = time.process_time() - begun
            mine = model.recommend(asked.queries, 20).ids
            same = np.mean([len(np.intersect1d(a, b)) / 20 for a, b in zip(mine, best, strict=True)])
            value = float(measure(model, asked)["N@20"].mean())
            rows.append(
                {"set": name, "form": f"local {k}", "ndcg": round(value, 4), "same": round(float(same), 3),
                 "cpu_s": round(spent, 1)}
            )  # fmt: skip
            sys.stderr.write(f"{rows[-1]}\n")
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(required=True)
    one = verbs.add_parser("run")
    one.add_argument("--items", type=int, required=True)
    one.add_argument("--form", choices=["dense", "local"], default="local")
    one.add_argument("--media", action="store_true")
    one.add_argument("--search", action="store_true")
    one.add_argument("--neighbours", type=int, default=100)
    one.set_defaults(what=run)
    other = verbs.add_parser("data")
    other.add_argument("--items", type=int, required=True)
    other.add_argument("--onto", type=Path, required=True)
    other.set_defaults(what=write)
    many = verbs.add_parser("real")
    many.add_argument("splits", type=Path)
    many.add_argument("--sets", nargs="+", default=["ml100k", "amzind", "lastfm"])
    many.add_argument("--neighbours", nargs="+", type=int, default=[50, 100, 200, 400])
    many.set_defaults(what=real)
    args = parser.parse_args()
    sys.stdout.write(json.dumps(args.what(args)) + "\n")


if __name__ == "__main__":
    main()
