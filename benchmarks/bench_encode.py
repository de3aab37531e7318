"""How much of the speed of a bare onnxruntime loop the encoders keep.

    python benchmarks/bench_encode.py --data ../shared/data --out benchmarks/encode.md

Three ways over the same values, one thread each, in alternation, five rounds:
  bare      session.run over batches stacked beforehand
  embed     the encoder's `embed` over values prepared (decoded, cleaned) beforehand
  salon     `CatalogueEncoder.encode`: contents hashed, cache looked up and written, batches embedded, rows scattered
Decoding is timed apart: it depends on the files, not on us. Shares are of processor seconds (other work on the machine
does not count), and of the clock.
"""

from __future__ import annotations

import argparse
import csv
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from salon.data.ids import IdMap
from salon.data.items import Field, Items
from salon.encode.base import Encoder
from salon.encode.cache import VectorCache
from salon.encode.pictures import BATCH, EfficientNetLite0
from salon.encode.plan import Part
from salon.encode.run import CatalogueEncoder
from salon.encode.sentences import MiniLM, MultilingualUSE, batches_by_length
from salon.encode.sounds import BATCH as PATCHES
from salon.encode.sounds import MusiCNN
from salon.types import Modality

ROUNDS = 5


def column(folder: Path, name: str, count: int) -> list[str]:
    with (folder / "items.csv").open(encoding="utf-8") as file:
        return [row[name] for row in csv.DictReader(file) if row[name]][:count]


def ready_made(encoder: Encoder, prepared: dict[str, Any]) -> Encoder:
    """The encoder, its `prepare` replaced by a look-up of what was prepared before."""
    encoder.prepare = lambda value: prepared[str(value)]  # type: ignore[method-assign]
    return encoder


def through_salon(encoder: Encoder, modality: Modality, values: list[str], root: Path | None) -> Callable[[], object]:
    items = Items(IdMap(map(str, range(len(values)))), {"field": Field.of("field", modality, values)}, root)
    part = Part("field", modality, ("field",), encoder)

    def run() -> None:
        with tempfile.TemporaryDirectory() as folder, VectorCache(Path(folder) / "v.sqlite") as cache:
            features, problems = CatalogueEncoder([part]).encode(items, cache)
        assert features["field"].present.all()
        assert not problems

    return run


def pictures(data: Path, count: int) -> tuple[dict[str, Callable[[], object]], float]:
    folder, encoder = data / "clothing-images", EfficientNetLite0()
    names = column(folder, "image_path", count)
    start = time.process_time()
    prepared = {str((folder / name).resolve()): encoder.prepare(folder / name) for name in names}
    decoding = time.process_time() - start
    values = list(prepared.values())
    stacked = [np.stack(values[i : i + BATCH]) for i in range(0, len(values), BATCH)]
    session = encoder._model.session
    return {
        "bare": lambda: [session.run(["features"], {"pixels": batch}) for batch in stacked],
        "embed": lambda: encoder.embed(values),
        "salon": through_salon(ready_made(encoder, prepared), Modality.IMAGE, names, folder),
    }, decoding


def sounds(data: Path, count: int) -> tuple[dict[str, Callable[[], object]], float]:
    folder, encoder = data / "spoken-digits-audio", MusiCNN()
    names = column(folder, "audio_path", count)
    start = time.process_time()
    prepared = {str((folder / name).resolve()): encoder.prepare(folder / name) for name in names}
    decoding = time.process_time() - start
    patches = np.concatenate(list(prepared.values()))
    stacked = [patches[i : i + PATCHES] for i in range(0, len(patches), PATCHES)]
    session, values = encoder._model.session, list(prepared.values())
    return {
        "bare": lambda: [session.run(["features"], {"mel": batch}) for batch in stacked],
        "embed": lambda: encoder.embed(values),
        "salon": through_salon(ready_made(encoder, prepared), Modality.AUDIO, names, folder),
    }, decoding


def titles(data: Path, count: int) -> list[str]:
    return list(dict.fromkeys(column(data / "amazon-industrial-text", "text", 3 * count)))[:count]


def sentences(data: Path, count: int) -> tuple[dict[str, Callable[[], object]], float]:
    encoder, texts = MiniLM(), titles(data, count)
    start = time.process_time()
    prepared = {text: encoder.prepare(text) for text in texts}
    decoding = time.process_time() - start
    tokens = [encoder._tokenizer.encode(text).ids for text in prepared.values()]
    stacked = []
    for rows in batches_by_length([len(ids) for ids in tokens]):
        ids = np.zeros((len(rows), max(len(tokens[row]) for row in rows)), np.int64)
        for line, row in enumerate(rows):
            ids[line, : len(tokens[row])] = tokens[row]
        mask = (ids > 0).astype(np.int64)
        stacked.append({"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)})
    session, values = encoder._model.session, list(prepared.values())
    return {
        "bare": lambda: [session.run(["last_hidden_state"], batch) for batch in stacked],
        "embed": lambda: encoder.embed(values),
        "salon": through_salon(ready_made(encoder, prepared), Modality.TEXT, texts, None),
    }, decoding


def multilingual(data: Path, count: int) -> tuple[dict[str, Callable[[], object]], float]:
    encoder, texts = MultilingualUSE(), titles(data, count)
    start = time.process_time()
    prepared = {text: encoder.prepare(text) for text in texts}
    decoding = time.process_time() - start
    model, values = encoder._model, list(prepared.values())
    return {
        "bare": lambda: model.encode(values),
        "embed": lambda: encoder.embed(values),
        "salon": through_salon(ready_made(encoder, prepared), Modality.TEXT, texts, None),
    }, decoding


def measure(ways: dict[str, Callable[[], object]]) -> dict[str, tuple[float, float]]:
    """Name -> (processor seconds, seconds on the clock), medians of alternating rounds after one to warm up."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for round_number in range(ROUNDS + 1):
        for name, run in ways.items():
            clock, processor = time.perf_counter(), time.process_time()
            run()
            if round_number:
                times[name].append((time.process_time() - processor, time.perf_counter() - clock))
    return {
        name: tuple(statistics.median(column) for column in zip(*runs, strict=True)) for name, runs in times.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder of the real data sets")
    parser.add_argument("--out", type=Path, help="the page to write")
    arguments = parser.parse_args()
    lines = [
        "# Encoding: speed as a share of a bare onnxruntime loop",
        "",
        f"{platform.machine()}, one thread, onnxruntime {onnxruntime.__version__}, Python {platform.python_version()}; "
        f"medians of {ROUNDS} alternating rounds. The machine was shared with other work, so processor seconds are the",
        "figure to read. Command: `python benchmarks/bench_encode.py --data DATA --out benchmarks/encode.md`",
        "",
        "- bare: `session.run` over batches stacked beforehand (for USE: its own `encode`); no tokenising, no pooling",
        "- embed: the encoder's `embed` over prepared values (for text it tokenises and pools)",
        "- salon: the whole `CatalogueEncoder.encode` except decoding: hashing of contents, cache, batches, rows",
        "- decode: cleaning of a text, decoding of a medium, counted apart",
        "",
        "| encoder | values | bare /s | embed /s | salon /s | embed share | salon share | on the clock | decode /s |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    jobs = (("lite0, pictures", pictures, 48), ("musicnn, sounds of one patch", sounds, 40))
    for name, job, count in (
        *jobs,
        ("minilm, product texts", sentences, 96),
        ("use, product texts", multilingual, 256),
    ):
        ways, decoding = job(arguments.data, count)
        found = measure(ways)
        bare, embed, salon = (found[way] for way in ("bare", "embed", "salon"))
        speeds = " | ".join(f"{count / way[0]:.0f}" for way in (bare, embed, salon))
        shares = f"{bare[0] / embed[0]:.1%} | {bare[0] / salon[0]:.1%} | {bare[1] / salon[1]:.1%}"
        lines.append(f"| {name} | {count} | {speeds} | {shares} | {count / max(decoding, 1e-9):.0f} |")
    page = "\n".join(lines) + "\n"
    print(page)
    if arguments.out:
        arguments.out.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
