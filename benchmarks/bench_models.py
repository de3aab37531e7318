"""All models on all real sets by honest protocols, beside their peers; goes on where it was stopped.

    python benchmarks/bench_models.py run RESULTS --splits SPLITS [--shops examples/movies.toml ...]
        [--sets lastfm ...] [--protocols random loo cold time] [--models linear ...] [--seeds 3]
    python benchmarks/bench_models.py page RESULTS --onto benchmarks/models.md

Who takes part, with which settings, stands in `models.toml`; models of the registry that it does not name run under
their defaults. Every fit has a process of its own (`models_fit.py`) and a limit of CPU seconds; its line goes to
RESULTS/results.jsonl as soon as it ends, its values per user to a file of arrays beside. What has a line is not run
again, so the same command continues a run that was stopped, and a model that is new in the registry is added by it.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from models_page import page

from salon.builtin import COMPONENTS

HERE = Path(__file__).resolve().parent
PLAN = tomllib.loads((HERE / "models.toml").read_text(encoding="utf-8"))
ORDERED = ("loo", "time")
KNOWN = {"lastfm": ("random", "cold"), "ml100k": ("random", "loo", "cold"), "amzind": ("random", "loo", "cold")}
"""Protocols of the sets under SPLITS; catalogue files know all of them."""
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
KEY = ("set", "protocol", "model", "seed")


def contestants() -> list[str]:
    """Everything registered and all variants, without what the plan leaves out."""
    return [name for name in [*COMPONENTS["model"], *PLAN["variants"]] if name not in PLAN["skip"]]


def job(name: str, dataset: str, protocol: str, seed: int) -> dict[str, Any]:
    """What one fit is."""
    variant = PLAN["variants"].get(name, {})
    model = variant.get("model", name)
    settings: dict[str, Any] = {}
    for given in (PLAN["settings"].get(one, {}) for one in dict.fromkeys((model, name))):
        for scope in ("all", protocol, dataset, f"{dataset} {protocol}"):
            settings |= given.get(scope, {})
    settings |= variant.get("settings", {})
    features = variant.get("features", "media")
    return {
        "set": dataset, "protocol": protocol, "model": name, "seed": seed,
        "limit": PLAN["limit"] * (2 if variant.get("best") else 1),
        "registered": name if variant.get("peer") else model, "settings": settings, "features": features,
        "tuned": PLAN["tuned"].get(name, PLAN["tuned"].get(model, {})),
    }  # fmt: skip


def takes_part(name: str, dataset: str, protocol: str, seed: int) -> bool:
    """Whether the plan has a fit of this name, set, protocol and seed."""
    variant = PLAN["variants"].get(name, {})
    if variant.get("model", name) in PLAN["order"]["models"] and protocol not in ORDERED:
        return False
    if variant.get("features") == "tokens" and dataset not in KNOWN:  # catalogue files give all they have at once
        return False
    if dataset not in variant.get("sets", [dataset]) or protocol not in variant.get("protocols", [protocol]):
        return False
    drawn = name not in PLAN["once"]["models"] or name in PLAN["once"]["but"].get(protocol, [])
    return seed == 0 or drawn


def queue(args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """The jobs of a command in their order: first seeds first."""
    shops = {path.stem: path.resolve() for path in args.shops}
    for protocol in args.protocols:
        for seed in range(args.first_seed, args.seeds):
            for dataset in args.sets:
                if dataset not in shops and protocol not in KNOWN[dataset]:
                    continue
                place = shops.get(dataset) or (args.splits / dataset).resolve()
                for name in args.models or contestants():
                    if takes_part(name, dataset, protocol, seed):
                        one = {**job(name, dataset, protocol, seed), "place": str(place)}
                        if PLAN["variants"].get(name, {}).get("best"):
                            one["settings"]["members"] = best(args.results, one)
                        yield one


def best(results: Path, one: dict[str, Any]) -> dict[str, Any]:
    """The members of an ensemble, from what was measured on the same set, protocol and seed."""
    here = [
        line for line in lines(results)
        if line["status"] == "ok" and all(line[part] == one[part] for part in ("set", "protocol"))
    ]  # fmt: skip
    ending = "+tokens" if one["features"] == "tokens" else ""
    found = [line for line in here if line["model"] == f"linear{ending}"]
    linear = max(found, key=lambda line: line["seed"] == one["seed"], default=None)
    also = {line["model"]: line["settings"] for line in here if line["model"] in also_join(one["protocol"])}
    drawn = [line for line in here if line["model"] in PLAN["join"]["models"] and line["seed"] == one["seed"]]
    if linear is None or not drawn:
        return {}
    network = max(drawn, key=lambda line: line["valid"]["N@20"])
    point = {"search": False, "refit": False, "point": linear["learned"]["point_"]}
    return {
        "linear": point,
        network["model"]: job(network["model"], *(one[part] for part in KEY if part != "model"))["settings"],
        **also,
    }


def also_join(protocol: str) -> list[str]:
    """The models that join an ensemble of a protocol whoever is best."""
    return PLAN["join"]["also"].get(protocol, [])


def lines(results: Path) -> list[dict[str, Any]]:
    """What was measured so far."""
    path = results / "results.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def worked(one: dict[str, Any], results: Path) -> dict[str, Any]:
    """One job in a process of its own."""
    arrays = results / ("-".join(str(one[part]) for part in KEY) + ".npz")
    sent = {**one, "model": one["registered"], "arrays": str(arrays)}
    environment = {**os.environ, **dict.fromkeys(THREADS, "1")}
    command = [sys.executable, str(HERE / "models_fit.py"), json.dumps(sent)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode == -signal.SIGXCPU:
        return {"status": "too slow", "why": f"over {one['limit']} CPU s"}
    if done.returncode:
        return {"status": "failed", "why": (done.stderr.strip().splitlines() or [f"signal {-done.returncode}"])[-1]}
    return {**json.loads(done.stdout.splitlines()[-1]), "arrays": arrays.name}


def run(args: argparse.Namespace) -> None:
    args.results.mkdir(parents=True, exist_ok=True)
    known = {tuple(line[part] for part in KEY) for line in lines(args.results) if line["status"] not in args.again}
    for one in queue(args):
        if tuple(one[part] for part in KEY) in known or one["settings"].get("members") == {}:
            continue
        found = {part: one[part] for part in (*KEY, "settings")} | worked(one, args.results)
        with (args.results / "results.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(found) + "\n")
        cost = f"{found['cpu_s']:.1f} CPU s {found['tests']}" if found["status"] == "ok" else found["why"]
        sys.stderr.write(f"{one['set']} {one['protocol']} {one['model']} {one['seed']}: {found['status']} {cost}\n")


MARK = "<!-- from here on by `bench_models.py page` -->"


def write(args: argparse.Namespace) -> None:
    """The tables, behind the words of the page."""
    told, _, before = (args.onto.read_text(encoding="utf-8") if args.onto.exists() else "").partition(MARK)
    made = page(args.results, lines(args.results), HERE / "models_quoted.csv", before)
    args.onto.write_text(f"{told}{MARK}\n\n{made}", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(required=True)
    runner = verbs.add_parser("run")
    runner.add_argument("results", type=Path)
    runner.add_argument("--splits", type=Path, default=Path("splits"))
    runner.add_argument("--shops", nargs="+", type=Path, default=[])
    runner.add_argument("--sets", nargs="+", default=list(KNOWN))
    runner.add_argument("--protocols", nargs="+", default=["random", "loo", "cold"])
    runner.add_argument("--models", nargs="+")
    runner.add_argument("--seeds", type=int, default=3)
    runner.add_argument("--first-seed", type=int, default=0)
    runner.add_argument("--again", nargs="+", default=[], help="run lines of these states again: failed, 'too slow'")
    runner.set_defaults(what=run)
    writer = verbs.add_parser("page")
    writer.add_argument("results", type=Path)
    writer.add_argument("--onto", type=Path, required=True)
    writer.set_defaults(what=write)
    args = parser.parse_args()
    args.what(args)


if __name__ == "__main__":
    main()
