"""What is learned on one catalogue is worth how much on another; how good is an answer after one, three, ten actions.

    python benchmarks/bench_transfer.py SPLITS few [--sets ml100k lastfm] [--models ...]
    python benchmarks/bench_transfer.py SPLITS move [--pairs ml100k/2 lastfm:ml100k ...] [--models ...]

SPLITS is as in `bench_splits.py`; here all actions of random.npz are put together and people are parted: 200 with at
least 12 likes are asked, 100 more choose settings and end training, the rest is learned from. Nobody who is asked was
met in training. Ten random likes of everybody who is asked are set aside and the others are right; a history is the
first k of the ten, and none of the ten is ranked. So what is right is the same for every k.

`few` compares models by k; a model with "+alone" behind its name is given no questions to choose settings by, as in
`salon fit`. `move` learns on one catalogue, by text alone, and asks on another at k = 5: without any log of it, with
the log of 10 and of 30 of its people, and with that of all, anew ("new") and pretrained ("pre"). A pair NAME/2 parts
the items and the people of one set into two halves that share neither. Cells are nDCG@20, mean over the people asked,
and its standard error.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from bench_splits import features
from scipy import sparse

from salon.arrays import top_k
from salon.data import Dataset, Events, Holdout, Queries
from salon.encode.base import FeatureSet
from salon.metrics import hit_matrix, ndcg, relevant_counts
from salon.models.base import Recommender
from salon.models.pretrained import Transferable
from salon.registry import create

ALONE = "alone"
"""Behind the name of a model that is given no validation questions, as in `salon fit`."""
RESERVED, FEWEST, ASKED, CHOOSING = 10, 12, 200, 100
SHOTS = (1, 3, 5, 10)
SETTINGS: dict[str, dict] = {
    "alpharec": {"epochs": 60, "patience": 4},
    "fewshot": {},
    "melu": {"epochs": 90, "patience": 4},
    "mediasasrec": {"ids": False, "epochs": 20, "patience": 3, "dim": 32, "batch_size": 64, "length": 30},
}
"""Settings other than the defaults."""


@dataclass(frozen=True)
class Asked:
    """People who are asked: ten likes in random order each, and what else they like."""

    histories: list[np.ndarray]
    right: sparse.csr_array

    def queries(self, k: int) -> Queries:
        return Queries.from_lists([history[:k].tolist() for history in self.histories])

    def ndcg(self, score: Callable[[Queries], np.ndarray], k: int) -> np.ndarray:
        """(people,) nDCG@20."""
        scores = score(self.queries(k)).copy()
        for row, history in enumerate(self.histories):
            scores[row, history] = -np.inf
        return ndcg(hit_matrix(top_k(scores, 20).ids, self.right), relevant_counts(self.right), 20)

    def holdout(self) -> Holdout:
        return Holdout(self.queries(RESERVED), self.right)


@dataclass(frozen=True)
class Ground:
    """A catalogue: what may be learned from, who chooses, who is asked."""

    rows: sparse.csr_array
    features: FeatureSet
    valid: Asked
    test: Asked

    def data(self, people: int | None = None) -> Dataset:
        """The log of so many people of training, in random order, or of all."""
        rows = self.rows[: self.rows.shape[0] if people is None else people]
        users, items = sparse.csr_array(rows).nonzero()
        return Dataset.of(Events.of(users, items), max(rows.shape[0], 1), rows.shape[1])


def ground(rows: sparse.csr_array, items: FeatureSet, rng: np.random.Generator) -> Ground:
    likes = np.diff(rows.indptr)
    able = rng.permutation(np.flatnonzero(likes >= FEWEST))
    test, valid = able[:ASKED], able[ASKED : ASKED + CHOOSING]
    rest = rng.permutation(np.setdiff1d(np.flatnonzero(likes), np.concatenate([test, valid])))
    return Ground(sparse.csr_array(rows[rest]), items, asked(rows, valid, rng), asked(rows, test, rng))


def asked(rows: sparse.csr_array, people: np.ndarray, rng: np.random.Generator) -> Asked:
    histories, right = [], sparse.lil_array((len(people), rows.shape[1]), dtype=np.float32)
    for place, person in enumerate(people):
        likes = rng.permutation(rows.indices[rows.indptr[person] : rows.indptr[person + 1]])
        histories.append(likes[:RESERVED])
        right[place, likes[RESERVED:]] = 1
    return Asked(histories, sparse.csr_array(right))


def likes_of(folder: Path) -> sparse.csr_array:
    with np.load(folder / "random.npz") as split:
        users, items = (np.concatenate([split[f"{part}_{c}"] for part in ("train", "valid", "test")]) for c in "ui")
        shape = (int(split["n_users"]), int(split["n_items"]))
    return sparse.csr_array((np.ones(len(users), np.float32), (users, items)), shape=shape)


def two_grounds(folder: Path, pair: str, seed: int) -> tuple[Ground, Ground]:
    """The catalogue to learn on and the one to ask on."""
    rng = np.random.default_rng(seed)
    if pair.endswith("/2"):
        rows, items = likes_of(folder / pair[:-2]), features(folder / pair[:-2], 8).only(["text"])
        people, things = (np.array_split(rng.permutation(n), 2) for n in rows.shape)
        parts = [(sparse.csr_array(rows[p][:, i]), items.take(i)) for p, i in zip(people, things, strict=True)]
        return ground(*parts[0], rng), ground(*parts[1], rng)
    names = pair.split(":")
    found = [ground(likes_of(folder / n), features(folder / n, 8).only(["text"]), rng) for n in names]
    return found[0], found[1]


def made(name: str, **more: object) -> Recommender:
    return create("model", name, {**SETTINGS.get(name, {}), **more})


def cell(values: np.ndarray) -> str:
    return f"{values.mean():.3f} ± {values.std(ddof=1) / len(values) ** 0.5:.3f}"


def few(folder: Path, sets: list[str], models: list[str], seed: int) -> None:
    for name in sets:
        items = features(folder / name, 256)
        items = items.only([modality for modality in items if modality != "tokens"])
        place = ground(likes_of(folder / name), items, np.random.default_rng(seed))
        data, valid = place.data(), place.valid.holdout()
        print(f"### {name}: {place.rows.shape[0]} people to learn from, {len(place.test.histories)} asked\n")
        print(f"| model | {' | '.join(f'k = {k}' for k in SHOTS)} | CPU s |\n|---|{'--:|' * (len(SHOTS) + 1)}")
        for model_name in models:
            short, *options = model_name.split("+")
            start = time.process_time()
            more = dict(option.split("=") for option in options if option != ALONE)
            model = made(short, **more).fit(data, items, rng=0, validation=None if ALONE in options else valid)
            seconds = time.process_time() - start
            cells = " | ".join(cell(place.test.ndcg(model.score, k)) for k in SHOTS)
            print(f"| {model_name.replace('+', ', ')} | {cells} | {seconds:.0f} |", flush=True)
        print()


def move(folder: Path, pairs: list[str], models: list[str], seed: int) -> None:
    for pair in pairs:
        here, there = two_grounds(folder, pair, seed)
        print(f"### {pair}: learned on {here.rows.shape}, asked on {there.rows.shape} (people, items)\n")
        print("| model | no log | 10 new | 10 pre | 30 new | 30 pre | all new | all pre | CPU s |")
        print(f"|---|{'--:|' * 8}", flush=True)
        logs = [there.data(people) for people in (10, 30, None)]
        for name in ("random", "popular", "contentknn", "ease"):
            begun = time.process_time()
            cells = [there.test.ndcg(made(name).fit(log, there.features, rng=0).score, 5) for log in logs]
            first = cell(cells[0]) if name in ("random", "contentknn") else ""
            rest = " |  | ".join(map(cell, cells))
            print(f"| {name} | {first} | {rest} |  | {time.process_time() - begun:.0f} |", flush=True)
        for name in models:
            moved_row(name, here, there, logs)
        print()


def moved_row(name: str, here: Ground, there: Ground, logs: list[Dataset]) -> None:
    begun = time.process_time()
    more = {"space": "media"} if name == "fewshot" else {}
    origin = made(name, **more).fit(here.data(), here.features, rng=0, validation=here.valid.holdout())
    assert isinstance(origin, Transferable)
    empty = there.data().with_events(Events.of([], []))
    cells = [there.test.ndcg(origin.moved_to(empty, there.features).score, 5)]
    with tempfile.TemporaryDirectory() as folder:
        origin.save(Path(folder) / "origin")
        for log in logs:
            for start in ("", str(Path(folder) / "origin")):
                model = made(name, **more, pretrained=start)
                model.fit(log, there.features, rng=0, validation=there.valid.holdout())
                cells.append(there.test.ndcg(model.score, 5))
    print(f"| {name} | {' | '.join(map(cell, cells))} | {time.process_time() - begun:.0f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("splits", type=Path)
    parser.add_argument("what", choices=("few", "move"))
    parser.add_argument("--sets", nargs="+", default=["ml100k", "lastfm"])
    parser.add_argument("--pairs", nargs="+", default=["ml100k/2", "lastfm/2", "lastfm:ml100k"])
    parser.add_argument("--models", nargs="+")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.what == "few":
        models = args.models or ["popular", "linear+alone", "linear", "ease", "fewshot+alone", "fewshot"]
        models = models if args.models else [*models, "fewshot+space=media", "melu"]
        few(args.splits, args.sets, models, args.seed)
    else:
        move(args.splits, args.pairs, args.models or ["alpharec", "fewshot", "mediasasrec"], args.seed)


if __name__ == "__main__":
    main()
