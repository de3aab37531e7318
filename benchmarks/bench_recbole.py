"""SASRec of RecBole beside `sasrec`, leaving the last action out, in the same run and by the same metric.

    python -m venv RECBOLE
    RECBOLE/bin/pip install recbole==1.2.1 torch 'numpy<2' 'scipy<1.12' 'pandas<2.1' 'setuptools<80'
    python benchmarks/bench_recbole.py SPLITS/ml100k --recbole RECBOLE/bin/python [--rates 0.001 0.003] [--limit 1200]

RecBole needs older versions of numpy, scipy and pandas, so it has an environment of its own; the file runs itself
there. Both learn from train and stop by validation (nDCG@10), both answer after the history with the validation action,
and items of the history are excluded. RecBole has its own defaults (two layers of 64, whole softmax, every prefix of a
history an example) and the rate that is best on validation; what has not stopped after LIMIT CPU seconds answers with
its best epoch so far.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

K = 20
LENGTH = 50
"""Actions of a history that are read, in both."""
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def histories(path: Path) -> dict[int, list[int]]:
    """User -> items in order, the validation item last but one and the test item last."""
    with np.load(path / "loo.npz") as split:
        order = np.argsort(split["train_t"], kind="stable")
        found: dict[int, list[int]] = {}
        for user, item in zip(split["train_u"][order], split["train_i"][order], strict=True):
            found.setdefault(int(user), []).append(int(item))
        held = {part: dict(zip(split[f"{part}_u"], split[f"{part}_i"], strict=True)) for part in ("valid", "test")}
    whole = {user: rows for user, rows in found.items() if user in held["valid"] and user in held["test"]}
    return {user: [*rows, int(held["valid"][user]), int(held["test"][user])] for user, rows in whole.items()}


def written(path: Path, folder: Path) -> None:
    """The log as RecBole reads it: the order of a person's actions is their time."""
    place = folder / "log"
    place.mkdir()
    lines = ["user_id:token\titem_id:token\ttimestamp:float"]
    for user, items in histories(path).items():
        lines += [f"{user}\t{item}\t{at}" for at, item in enumerate(items)]
    (place / "log.inter").write_text("\n".join(lines) + "\n", encoding="utf-8")


def recbole(path: Path, rate: float, limit: float) -> dict[str, Any]:
    """Runs where RecBole is installed: fits its SASRec and ranks for every user."""
    from recbole.config import Config
    from recbole.data import create_dataset, data_preparation
    from recbole.model.sequential_recommender import SASRec
    from recbole.trainer import Trainer
    from recbole.utils import init_seed

    with tempfile.TemporaryDirectory() as folder:
        written(path, Path(folder))
        config = Config(
            model="SASRec",
            dataset="log",
            config_dict={
                "data_path": folder,
                "checkpoint_dir": folder,
                "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
                "eval_args": {"split": {"LS": "valid_and_test"}, "order": "TO", "mode": "full"},
                "train_neg_sample_args": None,
                "MAX_ITEM_LIST_LENGTH": LENGTH,
                "learning_rate": rate,
                "metrics": ["NDCG"],
                "topk": [10],
                "valid_metric": "NDCG@10",
                "stopping_step": 10,
                "use_gpu": False,
                "show_progress": False,
                "seed": 1,
            },
        )
        init_seed(config["seed"], config["reproducibility"])
        dataset = create_dataset(config)
        train, valid, test = data_preparation(config, dataset)
        model = SASRec(config, train.dataset)
        trainer = Trainer(config, model)
        start, stopped = time.process_time(), True
        try:
            trainer.fit(train, valid, verbose=False, callback_fn=lambda *_: within(start, limit))
        except TimeoutError:
            stopped = False
        seconds = time.process_time() - start
        return {
            "cpu_s": seconds,
            "stopped": stopped,
            "epochs": trainer.cur_step,
            "valid": trainer.best_valid_score,
            "found": ranked(trainer, model, test),
        }


def within(start: float, limit: float) -> None:
    if time.process_time() - start > limit:
        raise TimeoutError


def ranked(trainer: Any, model: Any, test: Any) -> dict[str, list[int]]:
    """User -> the K items ranked first by the best epoch, without the history."""
    import torch

    saved = torch.load(trainer.saved_model_file, map_location="cpu", weights_only=False)
    model.load_state_dict(saved["state_dict"])
    model.eval()
    names, found = test.dataset.field2id_token, {}
    with torch.no_grad():
        for batch in test:
            asked = batch[0]
            scores = model.full_sort_predict(asked).view(len(asked["user_id"]), -1)
            scores[:, 0] = -np.inf
            for row, user in enumerate(asked["user_id"].tolist()):
                found[str(names["user_id"][user])] = [
                    int(names["item_id"][one]) for one in scores[row].argsort(descending=True).tolist() if one
                ]
    return found


def asked(command: list[str]) -> dict[str, Any]:
    """What the run of a command printed last."""
    environment = {**os.environ, **dict.fromkeys(THREADS, "1")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def gains(order: list[int], items: list[int], depth: int) -> float:
    """nDCG of one answer that is one item, at a depth, with the history left out."""
    before = set(items[:-1])
    kept = [item for item in order if item not in before][:depth]
    return float(1 / np.log2(kept.index(items[-1]) + 2)) if items[-1] in kept else 0.0


def ours(path: Path, settings: dict[str, Any], seed: int) -> dict[str, Any]:
    """`sasrec` fitted here."""
    import bench_splits

    from salon import registry
    from salon.evaluate.cost import measure_fit

    data, valid, tests = bench_splits.load(path, "loo")
    model = registry.create("model", "sasrec", settings)
    cost = measure_fit(model, data, bench_splits.media(path), rng=seed + 1, validation=valid)
    values = bench_splits.measure(model, tests["loo"])
    users = tests["loo"].queries.users.tolist()
    return {
        "cpu_s": cost.cpu_seconds,
        **{name: dict(zip(users, values[name].tolist(), strict=True)) for name in ("N@10", "N@20")},
    }


def compare(args: argparse.Namespace) -> None:
    from bench_models import job

    from salon.evaluate.significance import sign_flip_test

    known = histories(args.split)
    script = [str(Path(__file__).resolve()), str(args.split), "--limit", str(args.limit), "--rates"]
    tried = {rate: asked([args.recbole, *script, str(rate)]) for rate in args.rates}
    for rate, one in tried.items():
        sys.stdout.write(
            f"RecBole rate {rate}: validation {one['valid']:.4f}, {one['cpu_s']:.0f} CPU s, stopped {one['stopped']}\n"
        )
    best = max(tried.values(), key=lambda one: one["valid"])
    found = {user: best["found"][str(user)] for user in known}
    settings = job("sasrec", args.split.name, "loo", 0)["settings"]
    runs = [ours(args.split, settings, seed) for seed in range(args.seeds)]
    sys.stdout.write("| system | N@10 | N@20 | CPU s | minus RecBole, N@20 | p |\n|---|--:|--:|--:|--:|--:|\n")
    peer = {depth: np.array([gains(found[user], known[user], depth) for user in known]) for depth in (10, K)}
    sys.stdout.write(f"| RecBole SASRec | {peer[10].mean():.4f} | {peer[K].mean():.4f} | {best['cpu_s']:.0f} | | |\n")
    for run in runs:
        pair = np.array([run["N@20"][user] for user in known]) - peer[K]
        slack, p = 1.96 * pair.std(ddof=1) / np.sqrt(len(pair)), sign_flip_test(pair, np.random.default_rng(0))
        means = " | ".join(f"{np.mean([run[name][user] for user in known]):.4f}" for name in ("N@10", "N@20"))
        sys.stdout.write(f"| sasrec | {means} | {run['cpu_s']:.0f} | {pair.mean():+.4f} ± {slack:.4f} | {p:.4f} |\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("split", type=Path)
    parser.add_argument("--recbole", help="the Python that has RecBole; none: this is it")
    parser.add_argument("--rates", nargs="+", type=float, default=[0.001, 0.003])
    parser.add_argument("--limit", type=float, default=1200.0)
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    if args.recbole:
        compare(args)
    else:
        sys.stdout.write("\n" + json.dumps(recbole(args.split, args.rates[0], args.limit)) + "\n")


if __name__ == "__main__":
    main()
