"""Are the explanations of `linear` faithful? Rank correlation of each part with what removal does to the score.

    python benchmarks/bench_faithful.py SPLITS [--sets lastfm ml100k amzind] [--people 150] [--out FILE]

History: the part of each action against the fall of the score when that action is left out of the history. Modality:
the part of each modality, summed over the history, against the fall of the score when its alpha is set to 0 and the
model is solved again, everything else fixed. One case per person, the item recommended first; cases with one part are
left out. Random attribution deals the same parts out at random. Intervals are bootstraps over people.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from bench_splits import features, load

from salon.evaluate.faithful import Case, action_drops, faithfulness
from salon.explain import explain
from salon.models.linear import Linear
from salon.types import FloatArray


def modality_cases(model: Linear, queries, targets: np.ndarray, evidence: list) -> list[Case]:
    names = list(model.point.media)
    alphas = {name: value for name, value in model.point.media.items() if value > 0}
    before = model.score(queries)[np.arange(len(queries)), targets]
    drops: dict[str, FloatArray] = {}
    for name in alphas:
        without = model.refit_with({f"media:{name}": 0.0})
        drops[name] = before - without.score(queries)[np.arange(len(queries)), targets]
    used = [name for name in names if name in alphas]
    cases = []
    for row, one in enumerate(evidence):
        parts = one.by_part()
        cases.append(Case(np.array([parts[n] for n in used]), np.array([drops[n][row] for n in used])))
    return cases


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("splits", type=Path)
    parser.add_argument("--sets", nargs="+", default=["lastfm", "ml100k", "amzind"])
    parser.add_argument("--people", type=int, default=150)
    parser.add_argument("--budget", type=float, default=60)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    lines = ["# Faithfulness of explanations", "", (__doc__ or "").split("\n\n")[2].replace("\n", " "), ""]
    lines += ["| set | of | cases | rank correlation (95 %) | random | p |", "|---|---|--:|--:|--:|--:|"]
    for name in given.sets:
        data, valid, tests = load(given.splits / name, "random")
        items = features(given.splits / name, 256)
        model = Linear(refit=False, budget_seconds=given.budget).fit(data, items, rng=0, validation=valid)
        rows = np.random.default_rng(0).permutation(len(tests["random"]))[: given.people]
        queries = tests["random"].queries.take(np.sort(rows))
        targets = model.recommend(queries, 1).ids[:, 0]
        evidence = explain(model, queries, targets)
        worst = max(abs(e.values.sum() + e.rest - e.score) / max(abs(e.score), 1e-9) for e in evidence)
        history = [
            Case(e.values.sum(axis=1), action_drops(model.score, queries.take(np.array([i])), e.target))
            for i, e in enumerate(evidence)
        ]
        for kind, cases in (("history", history), ("modality", modality_cases(model, queries, targets, evidence))):
            if len(cases[0].parts) < 2:
                lines.append(f"| {name} | {kind} | 0 | only one modality has a weight | | |")
                continue
            found = faithfulness(cases, np.random.default_rng(0))
            c, r = found.correlation, found.random
            told = f"{c.mean:.3f} ({c.low:.3f} to {c.high:.3f}) | {r.mean:.3f} | {found.p:.4f}"
            lines.append(f"| {name} | {kind} | {found.n} | {told} |")
        lines.append(
            f"| {name} | sum of parts against score, largest relative error | {len(evidence)} | {worst:.1e} | | |"
        )
    text = "\n".join([*lines, ""])
    sys.stdout.write(text)
    if given.out:
        given.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
