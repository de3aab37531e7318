"""The server over the loopback: answers and events per second, and how long each takes, beside the bare scoring.

    python benchmarks/bench_load.py --items 100000 --folder /tmp/serve-100k

The catalogue and the model are those of `bench_serve.py`, in the same folder. `salon serve` runs in a process of its
own with its defaults but for the limit on calls per key; `wrk` (Debian's package) asks it over kept connections, from
the same machine, so that client and server share its cores. A question is POST /v1/recommend for a random person, 20
items, logged as an exposure. An event is POST /v1/events with one event, answered when it is on the disk. "bare" is
the model's formula for one history in numpy and scipy, in this process, while nothing else runs. Freshness is the
time from the call that tells an event until an answer to the next call has changed, and from the call that tells an
item until an answer has it.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
from bench_serve import K, bare, fitted, spans

from salon.pipeline import Pipeline

PEOPLE = 2000
LUA = """
local names = {}
for name in io.lines("%(people)s") do names[#names + 1] = name end
math.randomseed(%(seed)d)
local count = 0
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.headers["X-API-Key"] = "%(key)s"
function request()
  count = count + 1
  local name = names[math.random(#names)]
  return wrk.format(nil, "%(path)s", nil, string.format('%(body)s', name, math.random(%(items)d) - 1))
end
function done(summary, latency, requests)
  local e = summary.errors
  local p50, p95, p99 = latency:percentile(50), latency:percentile(95), latency:percentile(99)
  io.write(string.format("RESULT %%f %%f %%f %%f %%d %%d\\n", p50 / 1000, p95 / 1000, p99 / 1000,
    summary.requests / summary.duration * 1e6, summary.requests,
    e.connect + e.read + e.write + e.status + e.timeout))
end
"""
CALLS = {
    "recommend": ("/v1/recommend", '{"user": "%s", "k": 20}'),
    "filtered": ("/v1/recommend", '{"user": "%s", "k": 20, "filter": "price < 50"}'),
    "event": ("/v1/events", '{"user": "%s", "item": "item-%d", "kind": "view"}'),
}


@contextmanager
def serving(model: Path, home: Path, store: str = "") -> Iterator[tuple[str, str]]:
    """A server in a process of its own: its address and a key."""
    settings, key_file = home / "serve.toml", home / "key.txt"
    settings.write_text("[limits]\nrate = 0\n", encoding="utf-8")
    command = [sys.executable, "-m", "salon", "serve", str(model), "--home", str(home / "live"), "--port", "0"]
    command += ["--config", str(settings), "--key-file", str(key_file), "--log-level", "error"]
    command += ["--store", store] if store else []
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        lines = iter(process.stdout.readline, "")
        address = next(line.split()[1].rstrip("/") for line in lines if line.startswith("Window:"))
        while not _ready(address):
            time.sleep(0.1)
        yield address, key_file.read_text().strip()
    finally:
        process.terminate()
        process.wait(60)


def _ready(address: str) -> bool:
    try:
        return httpx.get(f"{address}/health/ready", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def load(address: str, key: str, call: str, people: Path, items: int, *, connections: int, seconds: int) -> dict:
    """Milliseconds and calls per second of one kind of call."""
    path, body = CALLS[call]
    filled = {"people": people, "seed": connections, "key": key, "path": path, "body": body, "items": items}
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(LUA % filled)
        script.flush()
        command = ["wrk", "-t", "1", "-c", str(connections), "-d", f"{seconds}s", "--timeout", "30s", "-s", script.name]
        done = subprocess.run([*command, address], capture_output=True, text=True, check=True)
    p50, p95, p99, rate, requests, errors = map(float, re.search(r"RESULT (.*)", done.stdout).group(1).split())
    return {"p50": p50, "p95": p95, "p99": p99, "per_second": round(rate, 1), "n": int(requests), "errors": int(errors)}


def freshness(address: str, key: str, dim: int, tries: int = 10) -> dict[str, dict[str, float]]:
    """Milliseconds from telling to answering, over HTTP."""
    rng = np.random.default_rng(7)
    events, items = [], []
    with httpx.Client(base_url=address, headers={"X-API-Key": key}, timeout=30) as client:
        for number in range(tries):
            item, user = f"item-{int(rng.integers(1000))}", f"fresh-{number}"
            start = time.perf_counter()
            client.post("/v1/events", json={"user": user, "item": item, "kind": "view"}).raise_for_status()
            reply = client.post("/v1/recommend", json={"user": user, "k": K}).json()
            assert reply["items"][0]["source"] == "linear", reply
            events.append(1e3 * (time.perf_counter() - start))
            fields = {"title": "A new thing", "content": rng.normal(size=dim).tolist()}
            start = time.perf_counter()
            client.put(f"/v1/items/fresh-{number}", json={"fields": fields}).raise_for_status()
            ask = {"history": [item], "candidates": [f"fresh-{number}"], "k": 1}
            while True:
                found = client.post("/v1/recommend", json=ask).json()["items"]
                if found and found[0]["source"] == "linear":
                    break
                time.sleep(0.005)
            items.append(1e3 * (time.perf_counter() - start))
    told = (("event", events), ("item", items))
    return {name: {"p50": round(float(np.median(v)), 1), "max": round(max(v), 1)} for name, v in told}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--store", default="", help="URL of an empty PostgreSQL database instead of SQLite")
    args = parser.parse_args()
    model = fitted(args.folder, args.items)
    pipeline = Pipeline.load(model)
    data = pipeline.dataset
    chosen = np.sort(np.random.default_rng(3).permutation(data.n_users)[:PEOPLE])
    best = bare(pipeline.fitted, data.queries(chosen))
    found: dict[str, object] = {"items": args.items, "store": "postgresql" if args.store else "sqlite"}
    found["bare_ms"] = spans(best, len(chosen))
    dim = pipeline.features["vector"].dim
    with tempfile.TemporaryDirectory() as folder:
        people = Path(folder) / "people.txt"
        people.write_text("\n".join(data.users.ids[int(user)] for user in chosen) + "\n", encoding="utf-8")
        with serving(model, Path(folder), args.store) as (address, key):
            for call in CALLS:
                for connections in args.connections:
                    more = {"connections": connections, "seconds": args.seconds}
                    found[f"{call}, {connections}"] = load(address, key, call, people, args.items, **more)
                    print(call, connections, found[f"{call}, {connections}"], file=sys.stderr, flush=True)
            found["fresh_ms"] = freshness(address, key, dim)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
