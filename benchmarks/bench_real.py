"""From raw media to the comparison table on real catalogues.

    python benchmarks/bench_real.py examples/movies.toml examples/douban.toml --seeds 0 1 2 --out benchmarks/real.md

Each catalogue is read, encoded (vectors come from the cache the second time), split per protocol, and every model is
fitted on the training part alone. The table gives the mean over seeds of nDCG@20, recall@20 and the fit's processor
seconds; the interval and the test are those of the first seed, per user, against the first model of the list.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from pathlib import Path

import numpy as np

from salon.evaluate.protocol import Rules, evaluate
from salon.pipeline import Pipeline
from salon.pipeline_judge import judge

MODELS = "linear,ease,itemknn,userknn,rp3beta,graphfilter,als,bpr,contentknn,popular,random"


def run(path: Path, protocol: str, models: list[str], seeds: list[int]) -> list[str]:
    start = time.perf_counter()
    pipeline = Pipeline.read(path).encode()
    encoded = time.perf_counter() - start
    trials = [judge(pipeline, models, protocol=protocol, seed=seed) for seed in seeds]
    first = trials[0]
    report = evaluate(
        first.models,
        first.split.test,
        train=first.split.train,
        features=first.features,
        ks=(20,),
        rules=Rules(reference=models[0], main="ndcg@20", seeds={"split": seeds[0]}),
    )
    data = pipeline.dataset
    lines = [
        f"### {path.stem}, {protocol}",
        "",
        f"{data.n_items} items, {data.n_users} users, {len(data.events)} events; {report.setting.n_users} test users; "
        f"features {first.features}; read and encode {encoded:.0f} s; seeds {seeds}",
        "",
        "| model | nDCG@20 (mean of seeds ± sd) | interval, first seed | recall@20 | fit CPU s | p (Holm) |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    rows = []
    for name in models:
        scores = np.array([t.report[name].metrics["ndcg@20"].mean for t in trials])
        recalls = np.array([t.report[name].metrics["recall@20"].mean for t in trials])
        seconds = np.array([t.report[name].cost.cpu_seconds for t in trials])
        one, against = report[name].metrics["ndcg@20"], report.comparison(name)
        p = "" if against is None else f"{against.p_holm:.3f}"
        text = (
            f"| {name} | {scores.mean():.4f} ± {scores.std(ddof=1) if len(seeds) > 1 else 0:.4f} | "
            f"{one.low:.4f} to {one.high:.4f} | {recalls.mean():.4f} | {seconds.mean():.1f} | {p} |"
        )
        rows.append((-scores.mean(), text))
    return [*lines, *(text for _, text in sorted(rows)), ""]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shops", nargs="+", type=Path)
    parser.add_argument("--protocols", nargs="+", default=["random"])
    parser.add_argument("--models", default=MODELS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    lines = ["# From raw media, on real catalogues", "", f"Command: `python {' '.join(sys.argv)}`", ""]
    lines += [f"Machine: {platform.machine()}, 2 cores, one thread per library, no GPU.", ""]
    for path in given.shops:
        for protocol in given.protocols:
            lines += run(path, protocol, given.models.split(","), given.seeds)
            sys.stdout.write("\n".join(lines[-20:]) + "\n")
            sys.stdout.flush()
    if given.out:
        given.out.write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
