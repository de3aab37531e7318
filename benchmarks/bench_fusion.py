"""Every fuser with two models that read vectors, beside each modality alone and random vectors.

    python benchmarks/bench_fusion.py --splits SPLITS --shops examples/movies.toml --out benchmarks/fusion.md

Sets: the fixed splits of `bench_splits.py` (Last.fm, MovieLens-100K, Amazon Industrial; protocols "random" and
"cold") and catalogue files, from raw media, split at random and by cold items (seed 0). A fuser learns from the
training events and the vectors, the model from the training events and what the fuser gives: `linear` with settings
searched on the validation questions within a counted budget, `contentknn` with its defaults. The test is asked once.
A fuser that draws random numbers is fitted with every seed; the mean over seeds is given with their standard
deviation. p: paired sign-flip test over users of nDCG@20 against `none` (all modalities, kept apart) with the same
model, adjusted by Holm within a table.

The control replaces the vectors of every modality by random ones with the same shape and mask: what a row loses against
`none` is what the content says, and what `control` keeps is what a model gets from clicks alone.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from pathlib import Path

import numpy as np
from bench_splits import features as split_features
from bench_splits import load, measure

from salon import registry
from salon.data import Dataset, Holdout
from salon.data.split import cold_split, random_split
from salon.encode.base import Features, FeatureSet
from salon.errors import SalonError
from salon.evaluate.significance import holm, sign_flip_tests
from salon.pipeline import Pipeline

LEFT_OUT = ("none", "chain", "recurrent", "impute")
"""First words of what is no way of joining here: the base line, lists of others, items that are sequences, gaps."""


def random_like(features: FeatureSet, rng: np.random.Generator) -> FeatureSet:
    """Random vectors of the same shapes and masks."""
    found = {}
    for name, one in features.items():
        vectors = rng.standard_normal(one.vectors.shape).astype(np.float32)
        found[name] = Features(np.where(one.present[:, None], vectors, np.float32(0)), one.present, f"random-{name}")
    return FeatureSet(found, features.n_items)


class Bench:
    """One set and protocol."""

    def __init__(self, data: Dataset, valid: Holdout, tests: dict[str, Holdout], features: FeatureSet) -> None:
        self.data, self.valid, self.tests, self.features = data, valid, tests, features

    def scores(self, model: str, features: FeatureSet, budget: float) -> dict[str, np.ndarray]:
        """(users,) nDCG@20 of each test."""
        settings = {"refit": False, "budget_seconds": budget} if model == "linear" else {}
        made = registry.create("model", model, settings)
        made.fit(self.data, features, rng=1, validation=self.valid)
        return {name: measure(made, asked)["N@20"] for name, asked in self.tests.items()}

    def fused(self, fuser: str, seed: int) -> tuple[FeatureSet, float]:
        """What the fuser makes, and the processor seconds of its fit."""
        made = registry.create("fuser", fuser)
        start = time.process_time()
        made.fit(self.features, self.data.events, rng=np.random.default_rng(seed))
        seconds = time.process_time() - start
        return made.transform(self.features), seconds


def rows_of(bench: Bench, fusers: list[str], models: list[str], seeds: int, budget: float) -> dict:
    """(condition, model) -> list over seeds of scores by test; and condition -> fit seconds."""
    found: dict[tuple[str, str], list[dict[str, np.ndarray]]] = {}
    cost: dict[str, float] = {}
    plain = {"none": bench.features}
    plain |= {f"{name} alone": bench.features.only([name]) for name in bench.features}
    plain["control"] = random_like(bench.features, np.random.default_rng(0))
    for condition, features in plain.items():
        for model in models:
            found[condition, model] = [bench.scores(model, features, budget)]
    for fuser in fusers:
        deep = bool(registry.extra_of("fuser", fuser))
        for seed in range(seeds if deep else 1):
            try:
                features, seconds = bench.fused(fuser, seed)
            except SalonError as error:
                sys.stderr.write(f"{fuser}: {error}\n")
                break
            cost.setdefault(fuser, seconds)
            for model in models:
                found.setdefault((fuser, model), []).append(bench.scores(model, features, budget))
            sys.stderr.write(f"{fuser} {seed} {seconds:.0f} s\n")
    return {"scores": found, "cost": cost}


def table(title: str, found: dict, models: list[str], test: str) -> list[str]:
    scores, cost = found["scores"], found["cost"]
    lines = [f"### {title}", "", "| vectors | " + " | ".join(f"{m} | p" for m in models) + " | fuser's fit, CPU s |"]
    lines += ["|---|" + "--:|--:|" * len(models) + "--:|"]
    conditions = list(dict.fromkeys(condition for condition, _ in scores))
    p_of = {}
    for model in models:
        base = scores["none", model][0][test]
        others = [c for c in conditions if c != "none" and (c, model) in scores]
        gaps = [np.mean([run[test] for run in scores[c, model]], axis=0) - base for c in others]
        adjusted = holm(sign_flip_tests(np.column_stack(gaps), np.random.default_rng(0)))
        p_of |= {(c, model): p for c, p in zip(others, adjusted, strict=True)}
    fusers = [c for c in conditions if c in cost]
    first = [c for c in conditions if c not in cost]
    mean = {key: np.mean([run[test].mean() for run in runs]) for key, runs in scores.items()}
    for condition in [*first, *sorted(fusers, key=lambda c: -mean[c, models[0]])]:
        cells = []
        for model in models:
            each = [run[test].mean() for run in scores[condition, model]]
            spread = f" ± {np.std(each, ddof=1):.4f}" if len(each) > 1 else ""
            p = p_of.get((condition, model))
            cells += [f"{np.mean(each):.4f}{spread}", "" if p is None else f"{p:.3f}"]
        seconds = f"{cost[condition]:.1f}" if condition in cost else ""
        lines.append(f"| {condition} | " + " | ".join(cells) + f" | {seconds} |")
    return [*lines, ""]


def benches(given: argparse.Namespace) -> dict[str, Bench]:
    found = {}
    for name in given.sets:
        features = split_features(given.splits / name, 256)
        for protocol in given.protocols:
            data, valid, tests = load(given.splits / name, protocol)
            found[f"{name}, {protocol}"] = Bench(data, valid, tests, features)
    for path in given.shops:
        pipeline = Pipeline.read(path).encode()
        for protocol in given.protocols:
            data = pipeline.dataset
            split = random_split(data, rng=0) if protocol == "random" else cold_split(data, rng=0)
            features = pipeline.features_for(split.train)
            found[f"{path.stem}, {protocol}"] = Bench(split.train, split.valid, {protocol: split.test}, features)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--splits", type=Path)
    parser.add_argument("--sets", nargs="*", default=["lastfm", "ml100k", "amzind"])
    parser.add_argument("--shops", nargs="*", type=Path, default=[])
    parser.add_argument("--protocols", nargs="+", default=["random", "cold"])
    parser.add_argument("--fusers", nargs="*")
    parser.add_argument("--models", nargs="+", default=["linear", "contentknn"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--budget", type=float, default=5.0)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    fusers = given.fusers or [name for name in registry.names("fuser") if not name.startswith(LEFT_OUT)]
    lines: list[str] = []
    for title, bench in benches(given).items():
        found = rows_of(bench, fusers, given.models, given.seeds, given.budget)
        for test in bench.tests:
            name = title if test in title else f"{title} ({test})"
            lines += table(f"{name}; {bench.features}", found, given.models, test)
        if given.out:
            given.out.write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
