"""Accuracy and cost of generated ids beside vectors of items, on the leave-last-out splits.

    python benchmarks/bench_generative.py SPLITS [--sets ml100k amzind] [--models sasrec generative] [--seeds 1]

SPLITS is as in `bench_splits.py`, whose reading and metrics are used here: models learn from train alone, stop by
nDCG@20 on valid, and are asked for the last action with the one before it in the history. Features are text, tokens and
image where the set has them. SETTINGS holds what was chosen on valid. Every fit has a process of its own. Last come the
ids of the text vectors alone, under both quantisers.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import time
from pathlib import Path

import numpy as np
import torch
from bench_splits import features, load, measure

from salon.models.deep_media import prepared
from salon.models.semantic_books import ResidualBooks
from salon.models.semantic_ids import IdReport
from salon.models.semantic_rqvae import LearnedBooks
from salon.registry import create
from salon.training.settings import TrainingSettings

SETTINGS: dict[tuple[str, str], dict] = {
    ("sasrec", "ml100k"): {"learning_rate": 0.002, "epochs": 40},
    ("generative", "ml100k"): {},
    ("sasrec", "amzind"): {"epochs": 60},
    ("generative", "amzind"): {"dropout": 0.5},
}
"""(model, set) -> settings chosen on validation."""


def run(job: tuple) -> dict:
    """One fit and its tests, in a process of its own."""
    folder, name, seed, settings = job
    torch.set_num_threads(1)
    data, valid, tests = load(folder, "loo")
    items = features(folder, 256) if name == "generative" else None
    model = create("model", name, settings)
    start = time.process_time()
    model.fit(data, items, rng=seed + 1, validation=valid)
    cpu = time.process_time() - start
    found = {part: measure(model, asked) for part, asked in (("valid", valid), ("test", tests["loo"]))}
    means = {part: {key: float(value.mean()) for key, value in one.items()} for part, one in found.items()}
    return {"cpu": cpu, "report": str(model.report) if name == "generative" else "", **means}


def reports(folder: Path) -> list[str]:
    """The ids of the text vectors alone."""
    text = prepared(features(folder, 8).only(["text"]), 64)["text"]
    lines = []
    for codes in (64, 256):
        shape = {"levels": 3, "codes": codes, "rng": np.random.default_rng(0)}
        for name in ("kmeans", "rqvae"):
            start = time.process_time()
            if name == "kmeans":
                books = ResidualBooks.fit(text.vectors, text.present, **shape)
            else:
                settings = TrainingSettings(epochs=200, device="cpu")
                books = LearnedBooks.fit(text.vectors, text.present, latent=32, settings=settings, **shape)
            cpu = time.process_time() - start
            lines += [
                f"{name}, 3 x {codes}, {cpu:.1f} CPU s:",
                str(IdReport.of(books, text.vectors, text.present, codes=codes)),
                "",
            ]
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("splits", type=Path)
    parser.add_argument("--sets", nargs="+", default=["ml100k", "amzind"])
    parser.add_argument("--models", nargs="+", default=["sasrec", "generative"])
    parser.add_argument("--seeds", type=int, default=1)
    args = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    for dataset in args.sets:
        print(f"### {dataset}, loo\n\n| model | R@10 | R@20 | N@10 | N@20 | valid N@10 | fit CPU s |")
        print("|---|--:|--:|--:|--:|--:|--:|", flush=True)
        ids = []
        for name in args.models:
            settings, runs = {"validate_every": 2, "patience": 3} | SETTINGS.get((name, dataset), {}), []
            for seed in range(args.seeds):
                with context.Pool(1) as pool:
                    runs.append(pool.apply(run, ((args.splits / dataset, name, seed, settings),)))
            means = " | ".join(f"{np.mean([one['test'][key] for one in runs]):.4f}" for key in runs[0]["test"])
            valid, cpu = np.mean([one["valid"]["N@10"] for one in runs]), np.mean([one["cpu"] for one in runs])
            print(f"| {name} | {means} | {valid:.4f} | {cpu:.1f} |", flush=True)
            ids += [f"{name} `{json.dumps(settings)}`", runs[0]["report"]]
        print("\n" + "\n".join(ids) + "\n")
        print("\n".join(["Ids of the text vectors:", "", *reports(args.splits / dataset)]), flush=True)


if __name__ == "__main__":
    main()
