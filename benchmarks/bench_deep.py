"""Accuracy and cost of the models trained on pairs, on the splits on which the peers were measured.

    python benchmarks/bench_deep.py SPLITS [--sets lastfm ml100k amzind] [--models lightgcn ...] [--seeds 1]

SPLITS is as in `bench_splits.py`, whose reading and metrics are used here. Models learn from train alone and stop by
nDCG@20 on valid; test ranks all items but those of train and valid. Features are text, image and audio, without tokens.
SETTINGS holds what was chosen on valid where the defaults were not kept. "folded" is N@20 of test when nobody is
answered by a trained vector. The columns of the peer are quoted, from a run on other hours of a machine of the same
kind: MMRec with its own grid, chosen on valid. Every fit has a process of its own.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import time
from pathlib import Path

import numpy as np
import torch
from bench_splits import features, load, measure

from salon.models.deep import DeepRecommender
from salon.registry import create

MODELS = ("bprmf", "lightgcn", "xsimgcl", "vbpr", "freedom", "bm3", "lattice", "mgcn", "smore", "lgmrec", "alpharec")
MODELS += ("mmgnn", "twotower")
SETS = ("lastfm", "ml100k", "amzind")
SETTINGS: dict[tuple[str, str], dict] = {
    ("lightgcn", "amzind"): {"batch_size": 2048, "learning_rate": 0.005, "negatives": 1},
    ("freedom", "ml100k"): {"batch_size": 4096, "learning_rate": 0.005, "patience": 3},
    ("bm3", "ml100k"): {"batch_size": 4096, "learning_rate": 0.01, "reg": 0.001},
    ("bm3", "amzind"): {"batch_size": 1024},
    ("twotower", "lastfm"): {"temperature": 0.1},
    ("twotower", "ml100k"): {"temperature": 0.2, "batch_size": 4096, "learning_rate": 0.005, "patience": 3},
}
"""(model, set) -> settings chosen on validation."""
PEERS = {  # MMRec: R@20, N@20, CPU seconds of the chosen fit
    ("lastfm", "lightgcn"): (0.4235, 0.3068, 92.4),
    ("lastfm", "mgcn"): (0.4386, 0.3156, 254.0),
    ("lastfm", "smore"): (0.4313, 0.3152, 304.1),
    ("lastfm", "lgmrec"): (0.4166, 0.3037, 277.2),
    ("lastfm", "freedom"): (0.4158, 0.2946, 75.6),
    ("lastfm", "bm3"): (0.3557, 0.2579, 60.2),
    ("lastfm", "vbpr"): (0.3307, 0.2330, 44.2),
    ("ml100k", "freedom"): (0.3771, 0.3270, 139.7),
    ("ml100k", "mgcn"): (0.3773, 0.3259, 305.6),
    ("ml100k", "lightgcn"): (0.3728, 0.3225, 128.3),
    ("ml100k", "vbpr"): (0.2958, 0.2419, 21.8),
    ("ml100k", "bm3"): (0.2766, 0.2237, 87.8),
    ("amzind", "freedom"): (0.1896, 0.1032, 30.9),
    ("amzind", "vbpr"): (0.1615, 0.0923, 28.5),
    ("amzind", "lightgcn"): (0.1601, 0.0903, 64.4),
    ("amzind", "bm3"): (0.1483, 0.0837, 101.5),
    ("amzind", "bprmf"): (0.1022, 0.0627, 16.5),
}


def run(job: tuple) -> dict:
    """One fit and its test, in a process of its own."""
    folder, name, seed, settings = job
    torch.set_num_threads(1)
    data, valid, tests = load(folder, "random")
    found = features(folder, 8)
    items = found.only([modality for modality in found if modality != "tokens"])
    model = create("model", name, settings)
    start = time.process_time()
    model.fit(data, items, rng=seed + 1, validation=valid)
    cpu = time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    means = {"valid": {key: float(value.mean()) for key, value in measure(model, valid).items()}}
    means["test"] = {key: float(value.mean()) for key, value in measure(model, tests["random"]).items()}
    if isinstance(model, DeepRecommender):  # others keep no table of people
        model.keys_, model.users_ = np.zeros(1, np.uint64), np.zeros_like(model.users_[:1])
    folded = float(measure(model, tests["random"])["N@20"].mean())
    return {"cpu": cpu, "peak": peak, "folded": folded, **means}


def row(dataset: str, name: str, runs: list[dict]) -> str:
    tests = {key: [one["test"][key] for one in runs] for key in runs[0]["test"]}
    means = " | ".join(f"{np.mean(values):.4f}" for values in tests.values())
    spread = f"{np.std(tests['N@20'], ddof=1):.4f}" if len(runs) > 1 else ""
    peer = PEERS.get((dataset, name))
    quoted = f"{peer[0]:.4f} | {peer[1]:.4f} | {peer[2]:.1f}" if peer else " | | "
    valid, folded = (np.mean(values) for values in zip(*((o["valid"]["N@20"], o["folded"]) for o in runs), strict=True))
    cpu, peak = np.mean([one["cpu"] for one in runs]), max(one["peak"] for one in runs)
    return f"| {name} | {means} | {spread} | {valid:.4f} | {folded:.4f} | {cpu:.1f} | {peak:.0f} | {quoted} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("splits", type=Path)
    parser.add_argument("--sets", nargs="+", default=list(SETS))
    parser.add_argument("--models", nargs="+", default=MODELS)
    parser.add_argument("--seeds", type=int, default=1)
    args = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    for dataset in args.sets:
        print(f"### {dataset}, random\n")
        print(
            "| model | R@10 | R@20 | N@10 | N@20 | sd | valid N@20 | folded | CPU s | MB | peer R@20 | N@20 | CPU s |"
        )
        print("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|", flush=True)
        for name in args.models:
            settings, runs = SETTINGS.get((name, dataset), {}), []
            for seed in range(args.seeds):
                with context.Pool(1) as pool:
                    runs.append(pool.apply(run, ((args.splits / dataset, name, seed, settings),)))
            print(row(dataset, name, runs), flush=True)
        chosen = {name: SETTINGS[name, dataset] for name in args.models if (name, dataset) in SETTINGS}
        print(f"\nSettings other than the defaults: `{json.dumps(chosen)}`\n", flush=True)


if __name__ == "__main__":
    main()
