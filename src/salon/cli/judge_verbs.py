"""Verbs that measure: evaluate one model, compare several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from salon.cli.model_verbs import ShopPath
from salon.cli.show import Json, bars, emit, say
from salon.cli.show_report import show_report
from salon.evaluate.report import write_report
from salon.pipeline import Pipeline
from salon.pipeline_judge import GIVEN, PROTOCOLS, Trial, judge, with_baselines
from salon.pipeline_page import person_examples

Protocol = Annotated[str, typer.Option(help="How the log is parted: " + ", ".join([*PROTOCOLS, GIVEN]) + ".")]
Seed = Annotated[int, typer.Option(help="Seed of the split and of the fits.")]
Html = Annotated[Path | None, typer.Option(help="Write a page with plots and pictures to this file.")]


def evaluate(shop: ShopPath, protocol: Protocol = "random", seed: Seed = 0, html: Html = None, json: Json = "") -> None:
    """Measure the model of a catalogue file on held-out events, beside the baselines.

    The model learns from the training part alone; validation chooses its settings; the test is read once.
    Protocols: random (8:1:1 per user), loo (the last action of each user), time (one moment for all),
    cold (items without any action in training), given (as the files say, where they do).

    Example: salon evaluate shop.toml --protocol time --json out.json
    """
    pipeline = Pipeline.read(shop, parallel=True)
    _judge(shop, pipeline, [{"name": "linear", **pipeline.shop.model}], protocol, seed, html, json)


def compare(
    shop: ShopPath,
    models: Annotated[str, typer.Option(help="Names of models: popular,itemknn,linear.")] = "itemknn,ease,linear",
    protocol: Protocol = "random",
    seed: Seed = 0,
    html: Html = None,
    json: Json = "",
) -> None:
    """Compare models on the same split of a catalogue, with intervals and paired tests per user.

    The popular, random and content baselines are always among them. The model that the catalogue file names under
    [model] is compared with the settings it has there, all others with their defaults.

    Example: salon compare shop.toml --models popular,itemknn,linear
    """
    pipeline = Pipeline.read(shop, parallel=True)
    named = {"name": "linear", **pipeline.shop.model}
    wanted = [name.strip() for name in models.split(",") if name.strip()]
    _judge(shop, pipeline, [named if name == named["name"] else name for name in wanted], protocol, seed, html, json)


def _judge(
    shop: Path,
    pipeline: Pipeline,
    models: Sequence[str | Mapping[str, Any]],
    protocol: str,
    seed: int,
    html: Path | None,
    json: str,
) -> None:
    with bars(quiet=json == "-") as progress:
        pipeline.encode(progress)
        wanted = with_baselines(models, has_features=pipeline.encoded is not None and bool(pipeline.encoded.names))
        trial = judge(pipeline, wanted, protocol=protocol, seed=seed, progress=progress)
    if html:
        write_page(pipeline, trial, html, f"Models on {shop.stem}")
    if not emit(trial.report.to_dict(), json):
        show_report(trial.report)
        if html:
            say(f"Wrote {html}")


def write_page(pipeline: Pipeline, trial: Trial, path: Path, title: str) -> None:
    """The comparison as a page, with some people's recommendations by the best explainable model."""
    examples = person_examples(pipeline, trial)
    write_report(
        path,
        report=trial.report,
        quality=pipeline.check().to_dict(),
        examples=examples,
        title=title,
        about={"Rules": "Every model learned from the training part alone; validation chose settings."},
    )
