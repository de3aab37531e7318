"""Does filling a missing modality help the people who are recommended to? Each imputer against leaving it masked.

    python benchmarks/bench_missing.py SPLITS DATA [--sets ml100k ...] [--seeds 0 1 2] [--cells FOLDER] [--out FILE]

A share of the items loses one modality: pictures (MovieLens), sound (Last.fm), text (Industrial). The same items lose
it for every imputer. Imputers are fitted on what is left and on training clicks, and fill it; the models are fitted
again on the result. nDCG@20 is measured in three ways, always without the items of training and validation:

- "lacking": targets are the test actions on items that lost the modality; all items are ranked. Whatever lifts these
  items as a group gains here, even `impute-mean`, which knows nothing of them.
- "among": the same targets, only the items that lost the modality are ranked: the order within the group alone counts.
- "all": all targets, all items ranked: what people get.

Items that lacked the modality from the start keep their gap when masked, are filled like the others, and are no targets
of the first two. In the cold sets the targets are items without any click, ranked among the cold items.

Settings: the point of `linear` is searched once per set on validation with nothing hidden and then used in every cell;
everything else has its defaults, but the networks are trained for 40 epochs on 64 components to keep the run short.
Each difference to masking is paired over people (the mean over seeds of each person), with a 95 % bootstrap interval
and a sign-flip test, adjusted by Holm within a table; a star marks p < 0.05. "nothing hidden" is what the same targets
give with the true vectors. "hidden vectors found again": centred cosine of guess and truth, R^2 against the mean, and
recall of the truth at 10 among the hidden, with chance.

Cells are kept in FOLDER, so that a run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from bench_splits import features as split_features
from bench_splits import load
from scipy import sparse

from salon.arrays import top_k
from salon.data import Dataset, Events, Holdout
from salon.data.split import hide_modality, random_split
from salon.encode.base import Features, FeatureSet
from salon.encode.tables import Categories
from salon.evaluate.significance import bootstrap_means, holm, sign_flip_tests
from salon.fuse.impute import mean_of
from salon.fuse.impute_report import recovery
from salon.metrics import hit_matrix, ndcg, relevant_counts
from salon.models.base import Recommender
from salon.models.content import ContentKNN
from salon.models.linear import Linear
from salon.models.linear_point import Point
from salon.pipeline import Pipeline
from salon.registry import create

SHARES = (0.1, 0.3, 0.5, 0.7, 0.9)
MASKED, TRUE = "masked", "nothing hidden"
IMPUTERS = ("impute-mean", "impute-graph", "impute-ridge", "impute-vae", "impute-gan")
NETWORKS = ("impute-vae", "impute-gan")
SHORT = {"epochs": 40, "dim": 64}
"""Settings of the imputers with networks that are not their defaults, to keep the run short."""
MOVIES = Path(__file__).resolve().parent.parent / "examples" / "movies.toml"


@dataclass(frozen=True)
class World:
    """One set, ready to be measured: what to learn from, what is asked, and which modality is hidden."""

    data: Dataset
    valid: Holdout
    test: Holdout
    features: FeatureSet
    hidden: str
    shares: tuple[float, ...] = SHARES


def from_split(folder: Path, protocol: str, hidden: str) -> World:
    data, valid, tests = load(folder, protocol)
    shares = (0.5,) if protocol == "cold" else SHARES
    return World(data, valid, tests[protocol], split_features(folder, 256), hidden, shares)


def industrial(splits: Path, catalogue: Path) -> World:
    """Texts may be lost; what is left is the brand, found by the title of the product."""
    folder = splits / "amzind"
    data, valid, tests = load(folder, "random")
    text = np.load(folder / "text.npy").astype(np.float32)
    with catalogue.open(encoding="utf-8") as file:
        brands = {" ".join(row["title"].split()): row["brand"].strip() for row in csv.DictReader(file)}
    titles = [line.split("\t", 1)[1] for line in (folder / "items.tsv").read_text(encoding="utf-8").splitlines()]
    found = [brands.get(" ".join(title.split()), "") for title in titles]
    there = np.array([bool(brand) for brand in found])
    encoder = Categories().fit([[brand] for brand in found if brand])
    vectors = encoder.encode([[brand] for brand in found])
    brand = Features(np.where(there[:, None], vectors, np.float32(0)), there, encoder.fingerprint)
    items = FeatureSet({"text": Features(text, text.any(axis=1), "minilm"), "brand": brand})
    return World(data, valid, tests["random"], items, "text")


def movies(least: int = 20) -> World:
    """MovieLens latest-small from its raw media, the films with at least `least` likes."""
    pipeline = Pipeline.read(MOVIES).encode()
    data = pipeline.dataset
    counts = np.bincount(data.positives().nonzero()[1], minlength=data.n_items)
    kept = np.flatnonzero(counts >= least)
    place = np.full(data.n_items, -1)
    place[kept] = np.arange(len(kept))
    events = data.events.take((place[data.events.items] >= 0) & (data.events.weights > 0))
    fewer = Dataset.of(
        Events.of(events.users, place[events.items], times=events.times, time_kind="timestamp"), data.n_users, len(kept)
    )
    split = random_split(fewer, rng=0)
    return World(split.train, split.valid, split.test, pipeline.features_for(data).take(kept), "image")


def worlds(splits: Path, data: Path) -> dict[str, Callable[[], World]]:
    return {
        "ml100k": lambda: from_split(splits / "ml100k", "random", "image"),
        "lastfm": lambda: from_split(splits / "lastfm", "random", "audio"),
        "mlsmall": movies,
        "industrial": lambda: industrial(splits, data / "amazon-industrial-text" / "items.csv"),
        "ml100k-cold": lambda: from_split(splits / "ml100k", "cold", "image"),
        "lastfm-cold": lambda: from_split(splits / "lastfm", "cold", "audio"),
    }


def allowed(model: Recommender, asked: Holdout) -> np.ndarray:
    """(people, items) scores, -inf where an item may not be listed."""
    scores = model.score(asked.queries)
    scores[asked.queries.row_of(), asked.queries.items] = -np.inf
    if asked.exclude is not None:
        scores[asked.exclude.nonzero()] = -np.inf
    if asked.candidates is not None:
        scores[:, ~asked.candidates] = -np.inf
    return scores


def per_user(scores: np.ndarray, targets: sparse.csr_array) -> np.ndarray:
    """(users,) nDCG@20, NaN for those without a target."""
    return ndcg(hit_matrix(top_k(scores, 20).ids, targets), relevant_counts(targets), 20)


def narrowed(targets: sparse.csr_array, items: np.ndarray) -> sparse.csr_array:
    found = sparse.csr_array(targets @ sparse.diags_array(items.astype(np.float32)))
    found.eliminate_zeros()
    return found


def fitted(world: World, items: FeatureSet, point: Point) -> dict[str, np.ndarray]:
    """The scores of both models on these features; `linear` with a given point."""
    one = Linear(search=False, refit=False, point=point)
    return {
        "linear": allowed(one.fit(world.data, items), world.test),
        "contentknn": allowed(ContentKNN().fit(world.data, items), world.test),
    }


def searched(world: World, path: Path) -> Point:
    """The point of `linear`, chosen on validation with nothing hidden."""
    if not path.exists():
        model = Linear(refit=False, budget_seconds=8, holdout="random")
        model.fit(world.data, world.features, rng=0, validation=world.valid)
        path.write_text(json.dumps(model.point_), encoding="utf-8")
    return Point(**json.loads(path.read_text(encoding="utf-8")))


def measured(name: str, world: World, seeds: list[int], network_seeds: list[int], cells: Path) -> None:
    point = searched(world, cells / f"{name}.json")
    complete = fitted(world, world.features, point)
    plain, networks = [imputer for imputer in IMPUTERS if imputer not in NETWORKS], list(NETWORKS)
    shares = sorted(world.shares, key=lambda share: abs(share - 0.5))
    first = [(shares[:1], seeds[:1], plain), (shares[:1], network_seeds, networks)]  # in case the run is stopped
    for some, numbers, imputers in [*first, (shares, seeds, plain), (shares, network_seeds, networks)]:
        for seed in numbers:
            for share in some:
                cell(world, point, complete, share, seed, imputers, cells / f"{name}_{share}_{seed}.npz")
                sys.stderr.write(f"{name} {share} {seed} {imputers[-1]} {time.process_time():.0f} s\n")


def cell(
    world: World,
    point: Point,
    complete: dict[str, np.ndarray],
    share: float,
    seed: int,
    imputers: list[str],
    path: Path,
) -> None:
    """Measures one share and seed; results already in the file are kept. `complete`: the scores of nothing hidden."""
    found = dict(np.load(path)) if path.exists() else {}
    name = world.hidden
    hidden = hide_modality(world.features[name].present, share, rng=seed)
    left = FeatureSet({**world.features, name: world.features[name].hide(hidden)})
    asked = hidden & left.having_any()
    lacking = narrowed(world.test.targets, asked)
    for label in [TRUE, MASKED, *imputers]:
        if f"linear|{label}|all" in found:
            continue
        items, start = left, time.process_time()
        if label in imputers:
            imputer = create("fuser", label, {"only": [name], **(SHORT if label in NETWORKS else {})})
            items = imputer.fit(left, world.data.events, rng=np.random.default_rng(seed)).transform(left)
            seconds, truth = time.process_time() - start, world.features[name].vectors[asked]
            about = recovery(label, name, items[name], truth, asked, mean_of(left[name]), 10)
            found[f"about|{label}"] = np.array([about.centred, about.r2, about.recall, about.chance, seconds])
        for model, scores in (complete if label == TRUE else fitted(world, items, point)).items():
            found[f"{model}|{label}|lacking"] = per_user(scores, lacking)
            found[f"{model}|{label}|among"] = per_user(np.where(asked, scores, -np.inf), lacking)
            found[f"{model}|{label}|all"] = per_user(scores, world.test.targets)
        np.savez(path, **found)


def gathered(cells: Path, name: str, share: float) -> list[dict[str, np.ndarray]]:
    found = [dict(np.load(path)) for path in sorted(cells.glob(f"{name}_{share}_*.npz"))]
    return [one for one in found if f"linear|{MASKED}|all" in one]


def both(parts: list[dict[str, np.ndarray]], key: str, base: str) -> np.ndarray:
    """(users,) difference of two results, the mean over the seeds that have both."""
    differences = np.stack([part[key] - part[base] for part in parts if key in part])
    known = np.isfinite(differences)
    total = np.where(known, differences, 0).sum(axis=0)
    return np.divide(total, known.sum(axis=0), out=np.full(len(total), np.nan), where=known.any(axis=0))


def compared(parts: dict[float, list], model: str, what: str, pairs: list[tuple[str, float]]) -> dict[tuple, str]:
    """The text of each (imputer, share): difference to masking, interval, and a star where it is more than chance."""
    key = f"{model}|{{}}|{what}".format
    columns = [both(parts[share], key(label), key(MASKED)) for label, share in pairs]
    stacked, rng = np.stack(columns, axis=1), np.random.default_rng(0)
    p = holm(sign_flip_tests(stacked, rng))
    low, high = np.nanquantile(bootstrap_means(stacked, rng), [0.025, 0.975], axis=0)
    means = np.nanmean(stacked, axis=0)
    return {
        pair: f"{means[i]:+.4f} ({low[i]:+.4f} to {high[i]:+.4f}){' *' if p[i] < 0.05 else ''}"
        for i, pair in enumerate(pairs)
    }


def accuracy(parts: dict[float, list], model: str, what: str) -> list[str]:
    lines = [f"| {model}, {what} | " + " | ".join(f"{share:.0%}" for share in parts) + " |"]
    lines += ["|---|" + "--:|" * len(parts)]
    for label in (TRUE, MASKED):
        texts = []
        for found in parts.values():
            means = [float(np.nanmean(part[f"{model}|{label}|{what}"])) for part in found]
            spread = f" ± {np.std(means, ddof=1):.4f}" if len(means) > 1 else ""
            texts.append(f"{np.mean(means):.4f}{spread}")
        lines.append(f"| {label} | " + " | ".join(texts) + " |")
    seeds = {(i, s): sum(f"{model}|{i}|all" in part for part in parts[s]) for i in IMPUTERS for s in parts}
    pairs = [pair for pair, count in seeds.items() if count]
    texts_of = compared(parts, model, what, pairs) if pairs else {}
    for label in dict.fromkeys(label for label, _ in pairs):
        most = max(seeds[label, share] for share in parts)
        texts = [texts_of.get((label, share), "not run") for share in parts]
        lines.append(f"| `{label}` ({most} seed{'s' * (most > 1)}) | " + " | ".join(texts) + " |")
    return [*lines, ""]


def recovered(parts: dict[float, list]) -> list[str]:
    lines = ["| hidden vectors found again | " + " | ".join(f"{share:.0%}" for share in parts) + " | fit CPU s |"]
    lines += ["|---|" + "--:|" * (len(parts) + 1)]
    for label in IMPUTERS:
        found = {s: [part[f"about|{label}"] for part in p if f"about|{label}" in part] for s, p in parts.items()}
        means = {share: np.mean(rows, axis=0) for share, rows in found.items() if rows}
        if means:
            texts = [
                "{:.3f}, {:+.3f}, {:.3f} of {:.3f}".format(*means[share][:4]) if share in means else "not run"
                for share in parts
            ]
            seconds = np.mean([row[4] for row in means.values()])
            lines.append(f"| `{label}` | " + " | ".join(texts) + f" | {seconds:.1f} |")
    return [*lines, ""]


def section(cells: Path, name: str, about: str, shares: tuple[float, ...]) -> list[str]:
    parts = {share: gathered(cells, name, share) for share in shares}
    parts = {share: found for share, found in parts.items() if found}
    lines = [f"## {name}", "", about, "", *recovered(parts)]
    for model in ("linear", "contentknn"):
        for what in ("lacking", "among", "all"):
            lines += accuracy(parts, model, what)
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("splits", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--sets", nargs="+", default=["ml100k", "lastfm", "mlsmall", "industrial"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--network-seeds", type=int, nargs="*", default=[0], help="Seeds of the imputers with networks")
    parser.add_argument("--table", action="store_true", help="Only write the tables of the cells that are there")
    parser.add_argument("--cells", type=Path, default=Path("missing-cells"))
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    given.cells.mkdir(parents=True, exist_ok=True)
    lines = ["# Missing modalities", "", "Command: `python benchmarks/bench_missing.py SPLITS DATA`", ""]
    for part in (__doc__ or "").split("\n\n")[2:6]:
        lines += [part, ""]
    known = worlds(given.splits, given.data)
    for name in given.sets:
        world = known[name]()
        if not given.table:
            measured(name, world, given.seeds, given.network_seeds, given.cells)
        about = f"{world.data.n_items} items, {len(world.test)} people asked, {world.features}; lost: {world.hidden}"
        lines += section(given.cells, name, about, world.shares)
        if given.out:
            given.out.write_text("\n".join(lines), encoding="utf-8")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
