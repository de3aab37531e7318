"""Verbs that measure: evaluate one model, compare several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from salon.cli.model_verbs import ShopPath
from salon.cli.show import Json, bars, emit, say, table
from salon.cli.show_report import show_report
from salon.errors import SettingError, did_you_mean
from salon.evaluate.names import number
from salon.evaluate.report import write_report
from salon.evaluate.robust import STRENGTHS, Robustness, robustness
from salon.pipeline import Pipeline
from salon.pipeline_judge import GIVEN, KFOLD, PROTOCOLS, Trial, judge, with_baselines
from salon.pipeline_page import person_examples

Protocol = Annotated[str, typer.Option(help="How the log is parted: " + ", ".join([*PROTOCOLS, KFOLD, GIVEN]) + ".")]
Seed = Annotated[int, typer.Option(help="Seed of the split and of the fits.")]
Seeds = Annotated[int, typer.Option(min=1, help="Runs with so many seeds, put together by person.")]
Literature = Annotated[bool, typer.Option("--literature", help="Also judge as most papers do, in a table of its own.")]
Html = Annotated[Path | None, typer.Option(help="Write a page with plots and pictures to this file.")]


@dataclass(frozen=True)
class Asked:
    """What the options say."""

    protocol: str
    seed: int
    seeds: int = 1
    literature: bool = False
    robust: str = ""
    html: Path | None = None
    json: str = ""


def evaluate(
    shop: ShopPath,
    protocol: Protocol = "random",
    seed: Seed = 0,
    seeds: Seeds = 1,
    literature: Literature = False,
    html: Html = None,
    json: Json = "",
) -> None:
    """Measure the model of a catalogue file on held-out events, beside the baselines.

    The model learns from the training part alone; validation chooses its settings; the test is read once.
    Protocols: random (8:1:1 per user), loo (the last action of each user), time (one moment for all),
    cold (items without any action in training), kfold (each like is tested once, in five folds), given (as the files
    say, where they do).

    Example: salon evaluate shop.toml --protocol time --json out.json
    """
    pipeline = Pipeline.read(shop, parallel=True)
    asked = Asked(protocol, seed, seeds, literature, "", html, json)
    _judge(shop, pipeline, [{"name": "linear", **pipeline.shop.model}], asked)


def compare(
    shop: ShopPath,
    models: Annotated[str, typer.Option(help="Names of models: popular,itemknn,linear.")] = "itemknn,ease,linear",
    protocol: Protocol = "random",
    seed: Seed = 0,
    seeds: Seeds = 1,
    literature: Literature = False,
    robust: Annotated[
        str, typer.Option(help="Then make the data worse and fit again: " + ", ".join(STRENGTHS) + ".")
    ] = "",
    html: Html = None,
    json: Json = "",
) -> None:
    """Compare models on the same split of a catalogue, with intervals and paired tests per user.

    The popular, random and content baselines are always among them. The model that the catalogue file names under
    [model] is compared with the settings it has there, all others with their defaults. With --seeds 3 all of it is done
    three times, and a person counts once. --literature ranks the items of validation at test, as most papers do.

    Example: salon compare shop.toml --models popular,itemknn,linear
    """
    pipeline = Pipeline.read(shop, parallel=True)
    named = {"name": "linear", **pipeline.shop.model}
    wanted = [name.strip() for name in models.split(",") if name.strip()]
    if robust and robust not in STRENGTHS:
        raise SettingError(f"There is no disturbance {robust!r}.", hint=did_you_mean(robust, STRENGTHS))
    asked = Asked(protocol, seed, seeds, literature, robust, html, json)
    _judge(shop, pipeline, [named if name == named["name"] else name for name in wanted], asked)


def _judge(shop: Path, pipeline: Pipeline, models: Sequence[str | Mapping[str, Any]], asked: Asked) -> None:
    with bars(quiet=asked.json == "-") as progress:
        pipeline.encode(progress)
        wanted = with_baselines(models, has_features=pipeline.encoded is not None and bool(pipeline.encoded.names))
        trial = judge(
            pipeline, wanted, protocol=asked.protocol, seed=asked.seed, seeds=asked.seeds, literature=asked.literature,
            progress=progress,
        )  # fmt: skip
        worse = None
        if asked.robust:
            worse = robustness(
                trial.models, trial.split, trial.features, asked.robust, seed=asked.seed, progress=progress
            )
    told = trial.report.to_dict()
    if trial.literature:
        told["literature"] = trial.literature.to_dict()
    if worse:
        told["robust"] = worse.to_dict()
    pages = _pages(pipeline, trial, asked.html, f"Models on {shop.stem}") if asked.html else []
    if not emit(told, asked.json):
        show_report(trial.report)
        if trial.literature:
            show_report(trial.literature)
        if worse:
            _show_falls(worse)
        for page in pages:
            say(f"Wrote {page}")


def _pages(pipeline: Pipeline, trial: Trial, path: Path, title: str) -> list[Path]:
    """Writes the page, and one of its own for the literature's protocol."""
    write_page(pipeline, trial, path, title)
    if not trial.literature:
        return [path]
    other = path.with_name(f"{path.stem}-literature{path.suffix}")
    write_report(other, report=trial.literature, title=f"{title}, by the protocol of the literature", about=ABOUT)
    return [path, other]


def _show_falls(found: Robustness) -> None:
    metric = found.metric
    rows = [
        [
            fall.model, f"{fall.strength:g}", number(metric, fall.value.mean),
            "" if fall.change is None else number(metric, fall.change.mean),
            "" if fall.change is None else f"{number(metric, fall.change.low)} – {number(metric, fall.change.high)}",
            "" if fall.kept is None else f"{100 * fall.kept:.0f} %",
        ]
        for fall in found.falls
    ]  # fmt: skip
    title = f"Robustness to {found.kind}: fitted again on worse data, asked the same questions"
    table(title, ["model", "strength", metric, "change", "95 % interval", "kept"], rows, right=range(1, 6))


ABOUT = {"Rules": "Every model learned from the training part alone; validation chose settings."}


def write_page(pipeline: Pipeline, trial: Trial, path: Path, title: str) -> None:
    """The comparison as a page, with some people's recommendations by the best explainable model."""
    examples = person_examples(pipeline, trial)
    write_report(
        path,
        report=trial.report,
        quality=pipeline.check().to_dict(),
        examples=examples,
        title=title,
        about=ABOUT,
    )
