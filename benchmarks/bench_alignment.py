"""Do modalities find each other once they are aligned? Held-out items, before and after, against chance.

    python benchmarks/bench_alignment.py --data DATA --sets films-small films-100k lastfm sounds videos --out FILE

Films and artists: a fifth of the items with both modalities is for testing and a tenth for choosing among the settings
below by MRR; the aligner sees the rest. Queries and items are those of the test part alone. Sounds (effects of the Tux
Paint stamps with their names) and videos are too few for that: folds in turn are held out, and settings are fixed.
"before" compares texts with the names that the network finds in a picture or sound (ConSE, `salon.encode.words`),
centred on their mean. Vectors longer than 256 numbers are put on their first 256 principal axes of the training part
first for the aligners in closed form, which saves time. Numbers are the mean over seeds or folds, and their standard
deviation.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from salon.data.stamps import stamps_world
from salon.encode.base import Encoder, Features, FeatureSet
from salon.fuse.align import Aligner
from salon.fuse.align_cca import CCA
from salon.fuse.align_contrast import Contrastive
from salon.fuse.align_report import AlignmentReport, alignment_report
from salon.fuse.align_ridge import RidgeMap
from salon.fuse.simple import principal_axes
from salon.pipeline import Pipeline
from salon.quality_alignment import worded

Made = Callable[[], Aligner]
FILMS: dict[str, list[Made]] = {
    "cca": [lambda: CCA(reg=3.0), lambda: CCA(reg=10.0)],
    "ridgemap": [RidgeMap, lambda: RidgeMap(pivot="image")],
    "contrastive": [Contrastive, lambda: Contrastive(dropout=0.7, temperature=0.2)],
}
ARTISTS: dict[str, list[Made]] = FILMS | {"ridgemap": [RidgeMap]}
FEW: dict[str, list[Made]] = {
    "cca": [lambda: CCA(dim=16, reg=10.0)],
    "ridgemap": [lambda: RidgeMap(dim=64)],
    "contrastive": [lambda: Contrastive(dim=64, share=0.0, epochs=60)],
}
WHOLE = {"contrastive"}
"""Methods that get the vectors whole: hiding numbers at random costs more where the first ones say the most."""


class Catalogue(NamedTuple):
    """Features to align, what made them, and which crossings are told."""

    features: FeatureSet
    encoders: dict[str, Encoder]
    pairs: list[tuple[str, str]]


def films(data: Path, folder: str, text: list[str]) -> Catalogue:
    return read(data, folder, f'text = {text}\nimage = "image_path"'.replace("'", '"'), ["text", "image"])


def artists(data: Path) -> Catalogue:
    names = ["text", "vector:vggish", "vector:whisper"]
    at = data / "lastfm-2k-mm/features"
    vectors = ", ".join(f'{name} = "{at}/{name}.npy"' for name in ("vggish", "whisper"))
    text = f'text = ["title", "text"]\nvector_row = "feature_row"\nvector = {{ {vectors} }}'
    return read(data, "lastfm-2k-mm", text, names)


def read(data: Path, folder: str, fields: str, names: list[str]) -> Catalogue:
    with tempfile.TemporaryDirectory() as place:
        shop = Path(place) / "shop.toml"
        shop.write_text(f'[items]\npath = "{data}/{folder}/items.csv"\nid = "item_id"\n{fields}\n', encoding="utf-8")
        return catalogue(shop, names)


def stamps() -> Catalogue:
    with tempfile.TemporaryDirectory() as place:
        stamps_world(Path(place) / "stamps", people=5)
        shop = Path(place) / "stamps/shop.toml"
        words = shop.read_text(encoding="utf-8").replace('text = ["name", "name_zh"]', 'text = ["name"]')
        shop.write_text(words, encoding="utf-8")
        return catalogue(shop, ["text", "image", "audio"])._replace(pairs=[("text", "audio"), ("audio", "text")])


def catalogue(shop: Path, names: list[str]) -> Catalogue:
    pipeline = Pipeline.read(shop).encode()
    parts = pipeline.encoded.encoders.parts
    pairs = [(names[0], other) for other in names[1:]] + [(other, names[0]) for other in names[1:]]
    return Catalogue(pipeline.features.only(names), {part.name: part.encoder for part in parts}, pairs)


def before(given: Catalogue, train: np.ndarray, test: np.ndarray) -> AlignmentReport | None:
    """Texts against names; the centre of the texts is that of the training part."""
    both = worded(given.encoders, given.features.take(np.concatenate([test, train])))
    return alignment_report(both.take(np.arange(len(test)))) if len(both) > 1 else None


def three_ways(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    order = rng.permutation(n)
    return order[n // 5 + n // 10 :], order[n // 5 : n // 5 + n // 10], order[: n // 5]


def reduced(features: FeatureSet, train: np.ndarray, dim: int = 256) -> FeatureSet:
    """Long vectors on their first principal axes, learned on the training part."""
    found = {}
    for name, part in features.items():
        if part.dim > dim:
            known = train[part.present[train]]
            mean = part.vectors[known].mean(axis=0)
            axes = principal_axes(part.vectors[known] - mean, dim)[0].astype(np.float32)
            vectors = np.where(part.present[:, None], (part.vectors - mean) @ axes, np.float32(0))
            part = Features(vectors, part.present, f"{part.fingerprint}-{dim}")
        found[name] = part
    return FeatureSet(found, features.n_items)


def mean_mrr(report: AlignmentReport, pairs: list[tuple[str, str]]) -> float:
    return float(np.mean([report.crossing(*pair).mrr for pair in pairs]))


def chosen(given: Catalogue, seeds: int, methods: dict[str, list[Made]]) -> Iterator[tuple[str, AlignmentReport]]:
    """Reports on test items, settings chosen on others."""
    rows = np.flatnonzero(np.all([part.present for part in given.features.values()], axis=0))
    for seed in range(seeds):
        train, valid, test = (rows[part] for part in three_ways(len(rows), np.random.default_rng(seed)))
        old = before(given, train, test)
        if old:
            yield "before", old
        short = reduced(given.features, train)
        for name, makers in methods.items():
            used = given.features if name in WHOLE else short
            fitted = [make().fit(used.take(train), rng=np.random.default_rng(seed)) for make in makers]
            scores = [mean_mrr(alignment_report(a.transform(used.take(valid))), given.pairs) for a in fitted]
            best = fitted[int(np.argmax(scores))]
            sys.stderr.write(f"{name} {seed} {best.settings!r} {scores}\n")
            yield name, alignment_report(best.transform(used.take(test)))


def folded(given: Catalogue, repeats: int, folds: int) -> Iterator[tuple[str, AlignmentReport]]:
    """Reports on each fold, aligners fitted on all other items."""
    one, other = given.pairs[0]
    rows = np.flatnonzero(given.features[one].present & given.features[other].present)
    for repeat in range(repeats):
        order = np.random.default_rng(repeat).permutation(rows)
        for fold in range(folds):
            test = order[fold::folds]
            train = np.setdiff1d(np.arange(given.features.n_items), test)
            old = before(given, train, test)
            if old:
                yield "before", old
            short = reduced(given.features, train)
            for name, makers in FEW.items():
                used = given.features if name in WHOLE else short
                aligner = makers[0]().fit(used.take(train), rng=np.random.default_rng(repeat))
                yield name, alignment_report(aligner.transform(used.take(test)))


def section(title: str, given: Catalogue, found: Iterator[tuple[str, AlignmentReport]], k: int) -> list[str]:
    """A table with one line per direction and method; k = 0 tells no recall."""
    reports: dict[str, list[AlignmentReport]] = defaultdict(list)
    for name, report in found:
        reports[name].append(report)
    head = [f"recall@{k}", "chance"] if k else []
    columns = ["from", "to", "n", "", *head, "MRR", "chance", "gap"]
    lines = ["", f"## {title}", "", f"| {' | '.join(columns)} |"]
    lines.append("|---|---|--:|---|" + "--:|" * (len(columns) - 4))
    for one, other in given.pairs:
        for name, several in reports.items():
            crossings = [report.crossing(one, other) for report in several]
            row: list[Any] = [one, other, round(np.mean([c.n for c in crossings])), name]
            if k:
                row += [spread([c.recall[k] for c in crossings]), f"{np.mean([c.chance[k] for c in crossings]):.3f}"]
            row += [spread([c.mrr for c in crossings]), f"{np.mean([c.chance_mrr for c in crossings]):.3f}"]
            row += [f"{np.mean([report.gap(one, other) for report in several]):.2f}"]
            lines.append(f"| {' | '.join(map(str, row))} |")
    return lines


def spread(values: list[float]) -> str:
    return f"{np.mean(values):.3f} ± {np.std(values):.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", default=["films-small", "films-100k", "lastfm", "sounds", "videos"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    data, seeds = given.data.resolve(), given.seeds
    lines: list[str] = []
    for name in given.sets:
        if name == "films-small":
            found = films(data, "movielens-small-mm", ["title", "overview", "plot", "director", "actors"])
            lines += section("Films, MovieLens latest-small", found, chosen(found, seeds, FILMS), 10)
        elif name == "films-100k":
            found = films(data, "movielens-100k-mm", ["title", "plot", "director", "actors"])
            lines += section("Films, MovieLens-100K", found, chosen(found, seeds, FILMS), 10)
        elif name == "lastfm":
            found = artists(data)
            lines += section("Artists, Last.fm 2K", found, chosen(found, seeds, ARTISTS), 10)
        elif name == "sounds":
            found = stamps()
            lines += section("Sounds, Tux Paint stamps", found, folded(found, 3, 4), 1)
        elif name == "videos":
            found = read(data, "short-videos", 'text = ["title", "text"]\nvideo = "video_path"', ["text", "video"])
            lines += section("Videos", found, folded(found, 5, 2), 0)
        else:
            raise SystemExit(f"unknown set {name!r}")
        text = "\n".join([*lines, ""])
        if given.out:
            given.out.write_text(text, encoding="utf-8")
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
