"""Trained towers beside frozen encoders, on real pictures and sounds: naming classes, and a made log of tastes.

    python benchmarks/bench_towers.py --data DATA --results RESULTS
    python benchmarks/bench_towers.py --results RESULTS --out benchmarks/towers.md

Every item is tested once, in the fold that leaves it out; an encoder sees the other folds only. All encoders are read
in the same two ways: the nearest training item, and a ridge classifier whose penalty is chosen within the training
folds. Settings of towers were fixed before the first run; early stopping holds out a tenth of the training part.
"""

from __future__ import annotations

import argparse
import csv
import json
import platform
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy import sparse
from scipy.stats import binomtest

from salon.arrays import centred_unit_rows
from salon.encode import tower as tower_module
from salon.encode.lessons import Lesson
from salon.encode.tower_examples import Examples, through
from salon.registry import create

FOLDS, PEOPLE, KINDS, LIKED, ASKED, NOISE = 3, 300, 2, 8, 10, 0.2
COMMON = {"device": "cpu", "label": "label"}
LITE0 = {"network": "lite0", "epochs": 8, "patience": 4}
SCRATCH = {"side": 64, "width": 24, "epochs": 25, "patience": 8, "augment": 0.7, "views": 4}
LSTM = {"epochs": 25, "patience": 8, "learning_rate": 3e-3}
EVENTS = {"batch_size": 150, "epochs": 20, "patience": 5, "learning_rate": 2e-3}


class Method(NamedTuple):
    name: str
    encoder: str
    settings: dict[str, Any]
    learn: str = ""


def image(name: str, learn: str, **settings: Any) -> Method:
    return Method(f"`tower-image`, {name}", "tower-image", settings, learn)


def audio(name: str, learn: str, **settings: Any) -> Method:
    return Method(f"`tower-audio`, {name}", "tower-audio", settings, learn)


PICTURES = (Method("`lite0`, frozen", "lite0", {}), Method("`colour`, frozen", "colour", {}))
SOUNDS = (Method("`voice`, frozen", "voice", {}), Method("`logmel`, frozen", "logmel", {}))
CEILING = Method("labels known", "", {})
METHODS = {
    "clothing": (
        *PICTURES,
        image("lite0, head only", "classes", **{**LITE0, "tune": "head", "epochs": 40}),
        image("lite0, LoRA in the last 3 layers", "classes", **LITE0, tune="lora", layers=3),
        image("lite0, last 3 layers thawed", "classes", **LITE0, tune="last", layers=3),
        image("small CNN from scratch", "classes", **SCRATCH),
    ),
    "clothing-tastes": (
        *PICTURES,
        image("lite0, head only, softmax", "softmax", **{**LITE0, **EVENTS, "tune": "head"}),
        image("lite0, head only, BPR", "bpr", **{**LITE0, **EVENTS, "tune": "head"}),
        image("lite0, last layer thawed, softmax", "softmax", **{**LITE0, **EVENTS, "tune": "last", "layers": 1}),
        CEILING,
    ),
    "digits": (*SOUNDS, audio("LSTM", "classes", **LSTM)),
    "digits-tastes": (
        *SOUNDS,
        audio("LSTM, softmax", "softmax", **{**LSTM, **EVENTS}),
        audio("LSTM, BPR", "bpr", **{**LSTM, **EVENTS}),
        CEILING,
    ),
    "unheard": (
        *SOUNDS,
        audio("LSTM", "classes", **LSTM),
        audio("LSTM, augmented", "classes", **LSTM, augment=0.7, views=4),
    ),
}


# -- frozen layers are computed once for all folds ---------------------------------------------------------------------

BASE = 15
"""The first block of lite0 that any of the towers here trains."""
_known: dict[bytes, np.ndarray] = {}
_frozen: dict[tuple[str, Path], np.ndarray] = {}


def remembered(network: Any, examples: Examples, stop: int, limit_mb: int, device: torch.device) -> Examples:
    """`through`, where what the frozen layers of lite0 gave for a picture is not computed again."""
    if stop < BASE:
        return through(network, examples, stop, limit_mb, device)
    pictures = [[view.tobytes() for view in views] for views in examples.views]
    flat = {
        key: view
        for keys, views in zip(pictures, examples.views, strict=True)
        for key, view in zip(keys, views, strict=True)
    }
    new = {key: view for key, view in flat.items() if key not in _known}
    if new:
        passed = through(network, Examples([[view] for view in new.values()]), BASE, limit_mb, device)
        _known.update(zip(new, (views[0] for views in passed.views), strict=True))
    found, keys = dict(_known), list(flat)
    if stop > BASE:
        network.eval()
        for start in range(0, len(keys), 32):
            some = keys[start : start + 32]
            with torch.no_grad():
                top = network.run(torch.as_tensor(np.stack([_known[key] for key in some])), None, BASE, stop).numpy()
            found.update(zip(some, top, strict=True))
    return Examples([[found[key] for key in keys] for keys in pictures])


def encoded(encoder: Any, paths: list[Path]) -> np.ndarray:
    """`encoder.encode(paths)`, with the frozen layers of lite0 remembered."""
    if getattr(encoder.settings, "network", "") != "lite0":
        return encoder.encode(paths)
    network, stop = encoder.network_, encoder._cut(encoder.network_)
    examples = Examples([[encoder.prepare(path)] for path in paths])
    examples = remembered(network, examples, stop, 4096, torch.device("cpu"))
    parts = []
    for start in range(0, len(paths), 32):
        values, lengths = examples.batch(np.arange(start, min(start + 32, len(paths))))
        with torch.no_grad():
            parts.append(network(torch.as_tensor(values), torch.as_tensor(lengths), stop).numpy())
    return np.concatenate(parts)


# -- reading vectors ---------------------------------------------------------------------------------------------------


def nearest(train: np.ndarray, labels: np.ndarray, test: np.ndarray) -> np.ndarray:
    mean = train.mean(axis=0)
    one, other = (centred_unit_rows(v, np.ones(len(v), bool), mean) for v in (test, train))
    return labels[(one @ other.T).argmax(axis=1)]


def ridge(train: np.ndarray, labels: np.ndarray, test: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The class with the largest ridge regression; the penalty is chosen on a fifth of the training items."""
    part = rng.permutation(len(train)) % 5 == 0
    penalties = 10.0 ** np.arange(-4, 3)
    right = [(_ridge(train[~part], labels[~part], train[part], p) == labels[part]).mean() for p in penalties]
    return _ridge(train, labels, test, penalties[int(np.argmax(right))])


def _ridge(train: np.ndarray, labels: np.ndarray, test: np.ndarray, penalty: float) -> np.ndarray:
    names = np.unique(labels)
    mean, scale = train.mean(axis=0), train.std() * np.sqrt(train.shape[1]) + 1e-9
    x, t = (train - mean) / scale, (test - mean) / scale
    wanted = (labels[:, None] == names).astype(float) - 1 / len(names)
    kernel = x @ x.T
    return names[(t @ x.T @ np.linalg.solve(kernel + penalty * np.eye(len(x)), wanted)).argmax(axis=1)]


# -- a made log --------------------------------------------------------------------------------------------------------


def made_log(labels: np.ndarray, learned: np.ndarray, asked: np.ndarray) -> tuple[sparse.csr_array, np.ndarray]:
    """(people, learned) likes and (people, asked) answers: each likes two classes, one action in five is any item."""
    rng = np.random.default_rng(0)
    names = np.unique(labels)
    likes, answers = (np.zeros((PEOPLE, len(rows)), np.float32) for rows in (learned, asked))
    for person in range(PEOPLE):
        mine = rng.choice(names, KINDS, replace=False)
        for table, rows, count in ((likes, learned, LIKED), (answers, asked, ASKED)):
            weight = np.where(np.isin(labels[rows], mine), (1 - NOISE) / np.isin(labels[rows], mine).sum(), 0.0)
            table[person, rng.choice(len(rows), count, replace=False, p=weight + NOISE / len(rows))] = 1
    return sparse.csr_array(likes), answers


def ndcg(train: np.ndarray, test: np.ndarray, likes: sparse.csr_array, answers: np.ndarray, k: int = 10) -> np.ndarray:
    """Per person: items nobody has acted on, ranked by cosine with the mean vector of the person's items."""
    mean = train.mean(axis=0)
    one, other = (centred_unit_rows(v, np.ones(len(v), bool), mean) for v in (train, test))
    order = np.argsort(-((likes @ one) @ other.T), axis=1, kind="stable")[:, :k]
    discount = 1 / np.log2(np.arange(2, k + 2))
    gained = np.take_along_axis(answers, order, axis=1) @ discount
    return gained / np.array([discount[: min(k, int(n))].sum() for n in answers.sum(axis=1)])


# -- one data set ------------------------------------------------------------------------------------------------------


class Data(NamedTuple):
    paths: list[Path]
    labels: np.ndarray
    folds: np.ndarray


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "items.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def stratified(groups: list[str]) -> np.ndarray:
    """Folds in which every group has the same share."""
    rng, names = np.random.default_rng(0), np.array(groups)
    folds = np.zeros(len(names), int)
    for name in np.unique(names):
        rows = np.flatnonzero(names == name)
        folds[rng.permutation(rows)] = np.arange(len(rows)) % FOLDS
    return folds


def vectors_of(data: Data, method: Method, learned: np.ndarray, likes: Any, fold: int) -> tuple[np.ndarray, float]:
    """The vectors of all items, and seconds of processor time of the fit."""
    if method == CEILING:
        return (data.labels[:, None] == np.unique(data.labels)).astype(float), 0.0
    if not method.learn:
        key = (method.encoder, data.paths[0])
        if key not in _frozen:
            _frozen[key] = create("encoder", method.encoder, method.settings).encode(data.paths)
        return _frozen[key], 0.0
    tower = create("encoder", method.encoder, {**COMMON, **method.settings, "learn": method.learn})
    labels = data.labels[learned].tolist()
    lesson = Lesson(labels=labels) if method.learn == "classes" else Lesson(positives=likes)
    start = time.process_time()
    tower.fit([data.paths[i] for i in learned], lesson, rng=fold)
    return encoded(tower, data.paths), time.process_time() - start


def measure(data: Data, method: Method) -> dict[str, Any]:
    """Right answers per item by both readings, nDCG per person and fold, and seconds of processor time per fit."""
    found: dict[str, Any] = {"nearest": [0] * len(data.labels), "ridge": [0] * len(data.labels), "ndcg": [], "fit": []}
    vectors = None
    for fold in range(FOLDS):
        learned, asked = np.flatnonzero(data.folds != fold), np.flatnonzero(data.folds == fold)
        likes, answers = made_log(data.labels, learned, asked)
        if vectors is None or method.learn:
            vectors, seconds = vectors_of(data, method, learned, likes, fold)
            found["fit"] += [seconds] if method.learn else []
        train, test = vectors[learned].astype(np.float64), vectors[asked].astype(np.float64)
        for name, answer in (
            ("nearest", nearest(train, data.labels[learned], test)),
            ("ridge", ridge(train, data.labels[learned], test, np.random.default_rng(fold))),
        ):
            for row, right in zip(asked, answer == data.labels[asked], strict=True):
                found[name][row] = int(right)
        found["ndcg"] += ndcg(train, test, likes, answers).tolist()
        told = [round(float(np.mean([found[name][i] for i in asked])), 3) for name in ("nearest", "ridge")]
        print(method.name, fold, told, round(float(np.mean(found["ndcg"])), 3), found["fit"][-1:], flush=True)
    return found


def run(part: str, root: Path, place: Path) -> None:
    """Measures a part and writes what is known after every encoder."""
    folder = root / ("clothing-images" if part.startswith("clothing") else "spoken-digits-audio")
    rows = rows_of(folder)
    paths = [folder / (row.get("image_path") or row["audio_path"]) for row in rows]
    labels, speakers = [row["label"] for row in rows], [row.get("speaker", "") for row in rows]
    folds = stratified([f"{a} {b}" for a, b in zip(labels, speakers, strict=True)])
    if part == "unheard":
        folds = np.unique(speakers, return_inverse=True)[1]
    found: dict[str, Any] = {"folds": folds.tolist(), "methods": {}}
    for method in METHODS[part]:
        found["methods"][method.name] = measure(Data(paths, np.array(labels), folds), method)
        place.write_text(json.dumps(found), encoding="utf-8")


def videos(folder: Path) -> dict[str, Any]:
    rows, seconds = rows_of(folder), {}
    paths, labels = [folder / row["video_path"] for row in rows], [row["label"] for row in rows]
    for network in ("gru", "transformer"):
        tower = create("encoder", "tower-video", {**COMMON, "network": network, "epochs": 3, "learn": "classes"})
        start = time.process_time()
        assert tower.fit(paths, Lesson(labels=labels)).encode(paths[:3]).shape == (3, 64)
        seconds[network] = time.process_time() - start
    return seconds


# -- the page ----------------------------------------------------------------------------------------------------------

TITLES = {
    "clothing": "Clothing: 400 pictures, 10 classes, 3 stratified folds",
    "clothing-tastes": "Clothing: a made log of tastes, pictures that nobody has acted on",
    "digits": "Spoken digits: 600 recordings, 10 digits, 3 folds stratified by digit and speaker",
    "digits-tastes": "Spoken digits: a made log of tastes, recordings that nobody has acted on",
    "unheard": "Spoken digits of a speaker who was not heard: each fold is one speaker",
}


def page(results: dict[str, Any], findings: str) -> str:
    lines = ["# Trained towers beside frozen encoders", "", PREFACE.format(python=platform.python_version()), ""]
    lines += [findings.strip(), ""] if findings else []
    for part, title in TITLES.items():
        if part in results:
            table = taste_table if part.endswith("tastes") else naming_table
            lines += [f"## {title}", "", *table(results[part]), ""]
    if "videos" in results:
        told = ", ".join(f"{name} {seconds:.0f}" for name, seconds in results["videos"].items())
        note = "A smoke run only: 20 videos are too few to measure on. Processor seconds of three epochs, with decoding"
        lines += ["## Videos", "", f"{note}: {told}."]
    return "\n".join(lines).rstrip() + "\n"


def naming_table(result: dict[str, Any]) -> list[str]:
    methods, folds = result["methods"], np.array(result["folds"])
    lines = ["| encoder | nearest | against frozen | ridge | ridge per fold | against frozen | fit, s |"]
    lines.append("|---|--:|---|--:|---|---|--:|")
    for name, m in methods.items():
        cells = []
        for reading in ("nearest", "ridge"):
            right = np.array(m[reading])
            frozen = {other: np.array(o[reading]) for other, o in methods.items() if not o["fit"]}
            best = max(frozen, key=lambda other: frozen[other].mean())
            cells.append(f"{right.mean():.3f}")
            if reading == "ridge":
                cells.append(" ".join(f"{right[folds == fold].mean():.3f}" for fold in range(FOLDS)))
            cells.append("best" if name == best else against(right, frozen[best]))
        fit = f"{np.mean(m['fit']):.0f}" if m["fit"] else ""
        lines.append(f"| {name} | {' | '.join(cells)} | {fit} |")
    return lines


def against(right: np.ndarray, frozen: np.ndarray) -> str:
    """The difference, and p of an exact sign test over the items that only one of the two names right."""
    wins, losses = int((right > frozen).sum()), int((right < frozen).sum())
    p = binomtest(wins, wins + losses).pvalue if wins + losses else 1.0
    return f"{(right - frozen).mean():+.3f}, p {'< 0.0001' if p < 1e-4 else f'{p:.4f}'}"


def taste_table(result: dict[str, Any]) -> list[str]:
    methods = result["methods"]
    frozen = {n: np.array(m["ndcg"]) for n, m in methods.items() if not m["fit"] and n != CEILING.name}
    best = max(frozen, key=lambda name: frozen[name].mean())
    lines = [f"| encoder | nDCG@10 | against {best} | 95 % | fit, s |", "|---|--:|--:|---|--:|"]
    for name, m in methods.items():
        gain = np.array(m["ndcg"]) - frozen[best]
        half = 1.96 * gain.std() / np.sqrt(len(gain))
        edges = f"{gain.mean() - half:+.3f} to {gain.mean() + half:+.3f}"
        told = ("", "") if name == best else (f"{gain.mean():+.3f}", edges)
        fit = f"{np.mean(m['fit']):.0f}" if m["fit"] else ""
        lines.append(f"| {name} | {np.mean(m['ndcg']):.3f} | {told[0]} | {told[1]} | {fit} |")
    return lines


PREFACE = """Does a network that is trained on the catalogue itself beat a frozen encoder? Python {python}, two cores
that were shared with much other work, no GPU, one thread. Commands:

```text
python benchmarks/bench_towers.py --data DATA --results RESULTS
python benchmarks/bench_towers.py --results RESULTS --out benchmarks/towers.md
```

Every item is tested once, in the fold that leaves it out; a tower sees the other folds only and stops early by a tenth
of them. All encoders are read in the same two ways: `nearest` is the label of the nearest training item (cosine,
centred), `ridge` a linear classifier whose penalty is chosen within the training folds. The frozen encoder to beat is
the best one on the test itself, which favours it. p: exact sign test over the items that one of the two names right
and the other does not. Vectors of towers have 64 numbers, those of `lite0` 1,280. Settings were fixed before the first
run, and every setting that was run is shown.
`fit`: processor seconds of one fit; what frozen layers of lite0 give is computed once for all folds.

The made log: 300 people like two classes each, 8 actions on training items and 10 on test items, one in five on any
item. Towers learn from the 8 (softmax over items, or BPR) and never see a label or a test item; items are ranked by
cosine with the mean of the person's 8. 95 %: of the mean difference over people of all folds; classes are few, so read
it as a little too narrow. "Labels known" ranks by the share of the person's 8 that are of the class."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="the folder of the real data sets; none: only the page")
    names = [*METHODS, "videos"]
    parser.add_argument("--part", choices=names, nargs="+", default=names, help="what to measure, all by default")
    parser.add_argument("--results", type=Path, required=True, help="a folder for what was measured")
    parser.add_argument("--out", type=Path, help="the page to write")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    tower_module.through = remembered
    arguments.results.mkdir(parents=True, exist_ok=True)
    for part in arguments.part if arguments.data else ():
        place = arguments.results / f"{part}.json"
        if part == "videos":
            place.write_text(json.dumps(videos(arguments.data / "short-videos")), encoding="utf-8")
        else:
            run(part, arguments.data, place)
    results = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in arguments.results.glob("*.json")}
    said = arguments.results / "findings.md"
    text = page(results, said.read_text(encoding="utf-8") if said.is_file() else "")
    print(text)
    if arguments.out:
        arguments.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
