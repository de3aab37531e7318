"""Accuracy of `linear`, `ease` and popularity on fixed splits of three public data sets.

    python benchmarks/bench_splits.py SPLITS [--sets lastfm ml100k amzind] [--seeds 3] [--budget 60] [--token-dim 256]

SPLITS holds a folder per data set with random.npz, loo.npz and cold.npz (arrays train_u, train_i, train_t, likewise
valid, test and warm; n_users, n_items; cold_valid, cold_test), and features by item row: text.npy, image.npy, audio.npy
and tokens.npz (sparse counts). Models learn from train alone (refit off) and choose their settings on valid; test ranks
all items but those of train and valid. For leave-last-out the validation item is appended to the history at test. Cold
items are ranked among themselves ("cold") and against all items ("all", with the held-out warm actions as further
answers). Image vectors that many items share are a placeholder and count as absent. Tokens go in as the leading left
singular vectors of the TF-IDF matrix, by an exact eigendecomposition.

Every cell is the mean over users with an answer. The interval is a bootstrap over users (95 %, 2,000 draws), the
p-value a paired sign-flip test of nDCG@20 against EASE (10,000 draws). CPU seconds and peak memory are those of the
fit of the first seed, in a process of its own; nDCG@20 of every seed stands below the table. Seeds matter in the cold
splits only, where the model makes questions of its own; elsewhere all its questions are given.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import time
from pathlib import Path

import numpy as np
from scipy import sparse

from salon.arrays import top_k
from salon.data import Dataset, Events, Holdout, Queries
from salon.encode.base import Features, FeatureSet
from salon.metrics import hit_matrix, ndcg, recall, relevant_counts
from salon.registry import create

PROTOCOLS = {"lastfm": ("random", "cold"), "ml100k": ("random", "loo", "cold"), "amzind": ("random", "loo", "cold")}
SHARED_BY_MANY = 10
"""A vector that at least so many items share is a placeholder."""


def token_vectors(path: Path, dim: int) -> np.ndarray:
    counts = sparse.csr_matrix(sparse.load_npz(path)).astype(np.float64)
    df = np.asarray((counts > 0).sum(axis=0)).ravel()
    idf = np.log((1 + counts.shape[0]) / (1 + df)) + 1
    weighted = sparse.csr_matrix(counts @ sparse.diags(idf))
    norms = np.sqrt(np.asarray(weighted.multiply(weighted).sum(axis=1)).ravel())
    weighted = sparse.diags(1 / np.where(norms > 0, norms, 1)) @ weighted
    values, vectors = np.linalg.eigh((weighted @ weighted.T).toarray())
    leading = np.argsort(-values)[:dim]
    return (vectors[:, leading] * np.sqrt(np.maximum(values[leading], 0))).astype(np.float32)


def features(folder: Path, token_dim: int) -> FeatureSet:
    tokens = token_vectors(folder / "tokens.npz", token_dim)
    return FeatureSet({**media(folder), "tokens": Features(tokens, tokens.any(axis=1), f"tokens-{token_dim}")})


def media(folder: Path) -> FeatureSet:
    """The features without the tokens."""
    found = {}
    for name in ("text", "image", "audio"):
        if (folder / f"{name}.npy").exists():
            vectors = np.load(folder / f"{name}.npy").astype(np.float32)
            _, inverse, counts = np.unique(vectors, axis=0, return_inverse=True, return_counts=True)
            present = (counts[inverse.ravel()] < SHARED_BY_MANY) & vectors.any(axis=1)
            found[name] = Features(np.where(present[:, None], vectors, np.float32(0)), present, name)
    return FeatureSet(found)


def matrix(split: dict, part: str) -> sparse.csr_array:
    shape = (int(split["n_users"]), int(split["n_items"]))
    ones = np.ones(len(split[f"{part}_u"]), np.float32)
    return sparse.csr_array((ones, (split[f"{part}_u"], split[f"{part}_i"])), shape=shape)


def holdout(queries: Queries, targets: sparse.csr_array, **more) -> Holdout:
    rows = np.flatnonzero(np.diff(targets.indptr) > 0)
    if more.get("exclude") is not None:
        more["exclude"] = sparse.csr_array(more["exclude"][rows])
    return Holdout(queries.take(rows), sparse.csr_array(targets[rows]), **more)


def load(folder: Path, protocol: str) -> tuple[Dataset, Holdout, dict[str, Holdout]]:
    """The training data, the validation questions, and the test questions by name."""
    with np.load(folder / f"{protocol}.npz") as stored:
        split = dict(stored)
    n_users, n_items = int(split["n_users"]), int(split["n_items"])
    timed = split["train_t"].any()
    kind = "timestamp" if timed else "none"

    def events(*parts: str) -> Events:
        columns = [np.concatenate([split[f"{part}_{c}"] for part in parts]) for c in "uit"]
        if protocol == "loo":  # the validation item is the latest whatever its time says about ties
            columns[2] = columns[2].astype(np.float64) + np.concatenate(
                [np.full(len(split[f"{part}_u"]), 1e10 * place) for place, part in enumerate(parts)]
            )
        return Events.of(columns[0], columns[1], times=columns[2], time_kind=kind)

    data = Dataset.of(events("train"), n_users, n_items)
    history = data.queries()
    later = data.with_events(events("train", "valid")).queries() if protocol == "loo" else history
    valid, test = matrix(split, "valid"), matrix(split, "test")
    if protocol != "cold":
        return data, holdout(history, valid), {protocol: holdout(later, test, exclude=valid)}
    among = np.zeros((2, n_items), bool)
    among[0, split["cold_valid"]], among[1, split["cold_test"]] = True, True
    return (
        data,
        holdout(history, valid, candidates=among[0]),
        {
            "cold": holdout(history, test, exclude=valid, candidates=among[1]),
            "all": holdout(history, sparse.csr_array(test + matrix(split, "warm")), exclude=valid),
        },
    )


def measure(model, asked: Holdout) -> dict[str, np.ndarray]:
    """(users,) of each metric."""
    scores = model.score(asked.queries)
    scores[asked.queries.row_of(), asked.queries.items] = -np.inf
    if asked.exclude is not None:
        scores[asked.exclude.nonzero()] = -np.inf
    if asked.candidates is not None:
        scores[:, ~asked.candidates] = -np.inf
    hits, relevant = hit_matrix(top_k(scores, 20).ids, asked.targets), relevant_counts(asked.targets)
    return {
        "R@10": recall(hits, relevant, 10),
        "R@20": recall(hits, relevant, 20),
        "N@10": ndcg(hits, relevant, 10),
        "N@20": ndcg(hits, relevant, 20),
    }


def run(job: tuple) -> dict:
    """One fit and its tests, in a process of its own."""
    folder, protocol, name, seed, budget, token_dim = job
    data, valid, tests = load(folder, protocol)
    items = features(folder, token_dim) if name == "linear" else None
    settings = {}
    if name == "linear":
        how = "last" if protocol == "loo" else "random"
        settings = {"refit": False, "budget_seconds": budget, "holdout": how}
    model = create("model", name, settings)
    start = time.process_time()
    model.fit(data, items, rng=seed + 1, validation=valid)
    cpu = time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    about = {"point": model.point_, "search": model.search_} if name == "linear" else {}
    return {"cpu": cpu, "peak": peak, "tests": {n: measure(model, asked) for n, asked in tests.items()}, **about}


def bootstrap(values: np.ndarray, rng: np.random.Generator) -> tuple[float, float]:
    means = [values[rng.integers(0, len(values), len(values))].mean() for _ in range(2000)]
    return float(np.quantile(means, 0.025)), float(np.quantile(means, 0.975))


def sign_flip(difference: np.ndarray, rng: np.random.Generator) -> float:
    signs = rng.integers(0, 2, (10_000, len(difference)), dtype=np.int8) * 2 - 1
    flipped = np.abs(signs @ difference.astype(np.float32)) / len(difference)
    return float((1 + (flipped >= abs(difference.mean()) - 1e-12).sum()) / 10_001)


def table(folder: Path, dataset: str, protocol: str, args: argparse.Namespace) -> list[str]:
    lines, results = [], {}
    context = multiprocessing.get_context("spawn")
    for name in ("popular", "ease", "linear"):
        seeds = range(args.seeds if name == "linear" and protocol == "cold" else 1)
        jobs = [(folder, protocol, name, seed, args.budget, args.token_dim) for seed in seeds]
        results[name] = []
        for job in jobs:
            with context.Pool(1) as pool:
                results[name].append(pool.apply(run, (job,)))
    for test in results["linear"][0]["tests"]:
        rng = np.random.default_rng(0)
        lines += [f"### {dataset}, {protocol}" + (f" ({test})" if protocol == "cold" else ""), ""]
        lines += ["| model | R@10 | R@20 | N@10 | N@20 | 95 % of N@20 | p against ease | fit CPU s | peak MB |"]
        lines += ["|---|--:|--:|--:|--:|---|--:|--:|--:|"]
        base = results["ease"][0]["tests"][test]["N@20"]
        for name, runs in results.items():
            found = runs[0]["tests"][test]
            low, high = bootstrap(found["N@20"], rng)
            p = "" if name == "ease" else f"{sign_flip(found['N@20'] - base, rng):.4f}"
            means = " | ".join(f"{found[m].mean():.4f}" for m in found)
            cost = f"{runs[0]['cpu']:.1f} | {runs[0]['peak']:.0f}"
            lines += [f"| {name} | {means} | {low:.4f} to {high:.4f} | {p} | {cost} |"]
        each = [run["tests"][test]["N@20"].mean() for run in results["linear"]]
        lines += ["", "linear by seed: " + ", ".join(f"{value:.4f}" for value in each), ""]
    found = results["linear"][0]
    lines += [f"Settings found: `{json.dumps(found['point'])}`; {json.dumps(found['search'])}", ""]
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("splits", type=Path)
    parser.add_argument("--sets", nargs="+", default=list(PROTOCOLS))
    parser.add_argument("--protocols", nargs="+", default=["random", "loo", "cold"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--budget", type=float, default=60.0)
    parser.add_argument("--token-dim", type=int, default=256)
    args = parser.parse_args()
    for dataset in args.sets:
        for protocol in PROTOCOLS[dataset]:
            if protocol in args.protocols:
                print("\n".join(table(args.splits / dataset, dataset, protocol, args)), flush=True)


if __name__ == "__main__":
    main()
