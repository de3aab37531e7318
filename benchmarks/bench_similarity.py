"""Whether things of one kind are near each other: leave-one-out nearest neighbour on real media.

    python benchmarks/bench_similarity.py --data ../shared/data --out benchmarks/similarity.md

For every item the label of its nearest other item (cosine, centred on the mean) is compared with its own. Chance is
the mean of the same figure over 2,000 permutations of the labels, and p the share of permutations that do as well.
"""

from __future__ import annotations

import argparse
import csv
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from salon.arrays import centred_unit_rows, nearest_rows
from salon.data.ids import IdMap
from salon.data.items import Field, Items
from salon.encode.cache import VectorCache
from salon.encode.run import encode_items

PERMUTATIONS = 2000


class Task(NamedTuple):
    folder: str
    field: str
    modality: str
    what: str
    label: Callable[[dict[str, str]], str]
    encoders: list[Any]


SOUND = ["musicnn", {"name": "musicnn", "vector": "pooled"}, "voice", "mfcc", "logmel"]
TASKS = (
    Task("clothing-images", "image_path", "image", "kind of clothing", lambda r: r["label"], ["lite0", "colour"]),
    Task("spoken-digits-audio", "audio_path", "audio", "speaker", lambda r: r["speaker"], SOUND),
    Task("spoken-digits-audio", "audio_path", "audio", "spoken digit", lambda r: r["label"], SOUND),
    Task("sound-clips", "audio_path", "audio", "music or not", lambda r: str(r["label"].startswith("music")), SOUND),
    Task("short-videos", "video_path", "video", "kind of video", lambda r: r["label"], ["video"]),
    Task("short-videos", "title", "text", "kind of video", lambda r: r["label"], ["minilm", "use", "tfidf"]),
)


def rows_of(folder: Path, field: str) -> list[dict[str, str]]:
    with (folder / "items.csv").open(encoding="utf-8", newline="") as file:
        return [row for row in csv.DictReader(file) if row[field]]


def accuracy(vectors: np.ndarray, labels: np.ndarray, rng: np.random.Generator) -> tuple[float, float, float]:
    """Accuracy, chance and p of the nearest neighbour."""
    unit = centred_unit_rows(vectors, np.ones(len(vectors), bool))
    nearest = nearest_rows(unit, unit, 1, skip_self=True).ids[:, 0]
    found = float((labels[nearest] == labels).mean())
    shuffled = (rng.permutation(labels) for _ in range(PERMUTATIONS))
    chance = np.array([(some[nearest] == some).mean() for some in shuffled])
    return found, float(chance.mean()), float((1 + (chance >= found - 1e-12).sum()) / (1 + PERMUTATIONS))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder of the real data sets")
    parser.add_argument("--out", type=Path, help="the page to write")
    parser.add_argument("--most", type=int, default=1000, help="items per data set, evenly spread")
    arguments = parser.parse_args()
    lines = [
        "# Content similarity: leave-one-out nearest neighbour on real media",
        "",
        f"{platform.machine()}, Python {platform.python_version()}, default settings; nothing was fitted to labels.",
        "Command:",
        f"`python benchmarks/bench_similarity.py --data DATA --most {arguments.most} --out benchmarks/similarity.md`",
        "",
        "Accuracy: the nearest other item (cosine, centred) has the same label. Chance: mean over "
        f"{PERMUTATIONS:,} permutations of the labels; p: share of them at least as good.",
        "",
        "Read with care: the digits hold several takes of one speaker saying one digit, near doubles that flatter all",
        "sound encoders, and eight sound clips are too few to tell encoders apart.",
        "",
        "| data | label | n (labels) | encoder | accuracy | chance | p |",
        "|---|---|---|---|---|---|---|",
    ]
    rng = np.random.default_rng(0)
    cache = VectorCache(None)
    for task in TASKS:
        folder = arguments.data / task.folder
        rows = rows_of(folder, task.field)
        rows = rows[:: -(-len(rows) // arguments.most)]
        field = Field.of("field", task.modality, [row[task.field] for row in rows])
        items = Items(IdMap([row["item_id"] for row in rows]), {"field": field}, folder)
        for encoder in task.encoders:
            features, problems = encode_items(items, {"field": encoder}, cache)
            found = features[task.modality]
            labels = np.array([task.label(row) for row in rows])[found.present]
            result = accuracy(found.vectors[found.present], labels, rng)
            name = encoder if isinstance(encoder, str) else "musicnn, pooled"
            size = f"{len(labels)} ({len(set(labels))})"
            figures = f"{result[0]:.3f} | {result[1]:.3f} | {result[2]:.4f}"
            lines.append(f"| {task.folder} | {task.what} | {size} | {name} | {figures} |")
            assert len(problems) == len(rows) - len(labels)
    page = "\n".join(lines) + "\n"
    print(page)
    if arguments.out:
        arguments.out.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
