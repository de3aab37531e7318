"""The live service inside one process: how long an answer takes, beside the bare scoring of the same question in numpy.

    python benchmarks/bench_serve.py inside --items 100000 --folder /tmp/serve-100k

The catalogue is the made one of `bench_scale.py` (local form of `linear`, 50 neighbours, 64-d content), a label and a
price per item; it is fitted once into the folder and used again. Every answer is for another person with a history in
the store, 20 items, logged as an exposure. "bare" is the model's own formula on that history, x D^-b B and the best 20,
written out in numpy and scipy in the same run. Freshness is the time from the call that tells an event or an item until
an answer shows it, asked again and again.
"""

from __future__ import annotations

import argparse
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from bench_scale import POINT, made
from scipy import sparse

from salon.data import Dataset, Field, IdMap, Items, Queries, Users
from salon.data.catalogue import ReadResult
from salon.data.sources import EventsSource, ItemsSource
from salon.models.linear import Linear
from salon.models.linear_query import query_rows
from salon.pipeline import Pipeline
from salon.pipeline_shop import EncodeSection, Shop
from salon.serve.options import LiveOptions
from salon.serve.service import LiveService
from salon.serve.values import Ask
from salon.store.values import StoredEvent, StoredItem

K, ASKED = 20, 1000


def fitted(folder: Path, n_items: int) -> Path:
    """The folder of a model over the made catalogue, fitted if it is not there."""
    if (folder / "model").is_dir():
        return folder / "model"
    folder.mkdir(parents=True, exist_ok=True)
    data, features = made(n_items)
    rng = np.random.default_rng(1)
    names = IdMap([f"item-{i}" for i in range(n_items)])
    fields = [
        Field.of("title", "text", [f"Thing {i}" for i in range(n_items)]),
        Field.of("kind", "category", [(f"kind-{k}",) for k in rng.integers(40, size=n_items)]),
        Field.of("price", "number", rng.integers(1, 100, n_items).astype(np.float64)),
        Field.of("content", "vector", features["content"].vectors),
    ]
    items = Items(names, {one.name: one for one in fields})
    users = Users(IdMap([f"user-{i}" for i in range(data.n_users)], what="user"))
    shop = Shop(
        items=ItemsSource(path="made.csv", text=("title",), category=("kind",), number=("price",)),
        events=EventsSource(path="made.csv"),
        encode=EncodeSection(specs={"text": "none", "category": "none", "number": "none"}),
        model={"search": False, "mode": "local", "neighbours": 50, "point": _point(), "max_items": 10**9},
    )
    pipeline = Pipeline(shop, ReadResult(Dataset(items, data.events, users)), folder).encode()
    pipeline.fit().save(folder / "model")
    return folder / "model"


def _point() -> dict[str, object]:
    """The settings of `bench_scale.py`, content under the name that it has here."""
    return POINT.model_copy(update={"media": {"vector": 0.25}}).model_dump()


def bare(model: Linear, queries: Queries) -> Callable[[int], np.ndarray]:
    """The formula of the local form for one history, nothing else: its best K rows."""
    rows = query_rows(queries, model.point, model.n_items_, model.n_attributes_)
    place = np.full(model.n_items_, -1)
    place[model.rows_] = np.arange(len(model.rows_))
    weights, out = model.weights_, model.out_
    known = model.rows_

    def best(row: int) -> np.ndarray:
        span = slice(rows.indptr[row], rows.indptr[row + 1])
        items = rows.indices[span]
        values, items = rows.data[span][place[items] >= 0], items[place[items] >= 0]
        history = sparse.csr_array((values * model.into_[place[items]], place[items], [0, len(items)]), (1, len(known)))
        product = sparse.csr_array(history @ weights)
        scores = np.full(model.n_items_, -np.inf, np.float32)
        scores[known[product.indices]] = product.data * out[product.indices]
        scores[items] = -np.inf
        return np.argpartition(scores, -K)[-K:]

    return best


def spans(work: Callable[[int], object], count: int) -> dict[str, dict[str, float]]:
    """Milliseconds of `work`, one at a time: on the clock, and of the processor in the asking thread."""
    clock, processor = [], []
    for number in range(count):
        start = time.perf_counter(), time.thread_time()
        work(number)
        clock.append(1e3 * (time.perf_counter() - start[0]))
        processor.append(1e3 * (time.thread_time() - start[1]))
    return {name: _quantiles(times) for name, times in (("clock", clock), ("cpu", processor))}


def _quantiles(times: list[float]) -> dict[str, float]:
    values = np.percentile(times, (50, 95, 99))
    return {name: round(float(v), 2) for name, v in zip(("p50", "p95", "p99"), values, strict=True)}


def saturated(service: LiveService, people: list[str], threads: int) -> float:
    """Answers per second with so many callers at once."""
    done = [0] * threads

    def call(number: int) -> None:
        until = time.perf_counter() + 5.0
        while time.perf_counter() < until:
            service.recommend([Ask(user=people[(number * 977 + done[number]) % len(people)], k=K)])
            done[number] += 1

    callers = [threading.Thread(target=call, args=(number,)) for number in range(threads)]
    start = time.perf_counter()
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    return round(sum(done) / (time.perf_counter() - start), 1)


def freshness(service: LiveService, dim: int, tries: int = 10) -> dict[str, dict[str, float]]:
    """Milliseconds from telling to answering."""
    rng, live = np.random.default_rng(5), service.engine.current.shelf.live
    events, items = [], []
    for number in range(tries):
        user, item = f"fresh-{number}", live.catalogue.ids[int(rng.integers(len(live.catalogue)))]
        start = time.perf_counter()
        service.add_events([StoredEvent(user, item)])
        (reply,) = service.recommend([Ask(user=user, k=K)])
        assert not isinstance(reply, Exception)
        assert reply.items[0].source == "linear", reply.notes
        events.append(1e3 * (time.perf_counter() - start))
        near = live.features["vector"].vectors[live.catalogue.rows[item]]
        fields = {"title": "A new thing", "content": (near + 0.1 * rng.normal(size=dim)).astype(float).tolist()}
        start = time.perf_counter()
        service.put_items([StoredItem(f"new-{number}", fields)])
        while True:
            found = service.recommend([Ask(history=(item,), candidates=(f"new-{number}",), k=1)])[0]
            assert not isinstance(found, Exception)
            if found.items[0].source == "linear":
                break
            time.sleep(0.005)
        items.append(1e3 * (time.perf_counter() - start))
    return {name: {"p50": round(float(np.median(v)), 1), "max": round(max(v), 1)} for name, v in
            (("event", events), ("item", items))}  # fmt: skip


def inside(args: argparse.Namespace) -> dict[str, object]:
    """Everything that is measured in one process."""
    model = fitted(args.folder, args.items)
    service = LiveService(model, options=LiveOptions(update_seconds=args.update))
    start = time.perf_counter()
    service.start()
    started = time.perf_counter() - start
    live = service.engine.current.shelf.live
    data = Pipeline.load(model).dataset
    users = np.random.default_rng(3).permutation(data.n_users)[:ASKED]
    people = [data.users.ids[int(user)] for user in users]
    best = bare(live.model, data.queries(np.sort(users)))
    found: dict[str, object] = {"items": args.items, "start_s": round(started, 1)}
    found["bare_ms"] = spans(best, ASKED)
    found["first_ms"] = spans(lambda i: service.recommend([Ask(user=people[i], k=K)]), ASKED)
    found["again_ms"] = spans(lambda i: service.recommend([Ask(user=people[i], k=K)]), ASKED)
    found["filter_ms"] = spans(lambda i: service.recommend([Ask(user=people[i], k=K, filter="price < 50")]), ASKED)
    diverse = {"diversity": 0.3, "booster": "1 + price / 100"}
    found["rules_ms"] = spans(lambda i: service.recommend([Ask(user=people[i], k=K, **diverse)]), ASKED // 4)
    found["explained_ms"] = spans(lambda i: service.recommend([Ask(user=people[i], k=K, explained=True)]), 20)
    found["steps_ms"] = service.stats()["steps"]
    found["per_second"] = {str(threads): saturated(service, people, threads) for threads in (1, 4, 16)}
    found["batch"] = round(service.stats()["batch"], 2)
    found["fresh_ms"] = freshness(service, live.features["vector"].dim)
    service.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = parser.add_subparsers(dest="part", required=True)
    one = parts.add_parser("inside")
    one.add_argument("--items", type=int, default=10_000)
    one.add_argument("--folder", type=Path, required=True)
    one.add_argument("--update", type=float, default=3600.0, help="seconds between updates of the model")
    args = parser.parse_args()
    print(json.dumps(inside(args), indent=1))


if __name__ == "__main__":
    main()
