"""The verb that chooses settings."""

from __future__ import annotations

import json as jsons
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from salon import registry
from salon.cli.judge_verbs import Protocol, Seed
from salon.cli.model_verbs import ShopPath
from salon.cli.show import Json, bars, emit, say, table
from salon.errors import MissingExtraError
from salon.evaluate.names import label, number
from salon.evaluate.report import write_page
from salon.evaluate.space import seconds_of, space_of
from salon.evaluate.tune_page import snippet, verdict, write_tuning
from salon.evaluate.tuned import Plan, Tuned
from salon.pipeline import Pipeline
from salon.pipeline_judge import prepared

SHOWN = 10
"""Trials printed, best first."""


def tune(
    shop: ShopPath,
    model: Annotated[str, typer.Option(help="Name of a model; the default is the one under [model].")] = "",
    budget: Annotated[
        str, typer.Option(help="Time on the clock: 90s, 10m, 2h. Default 10m, or none with --trials.")
    ] = "",
    trials: Annotated[int | None, typer.Option(min=1, help="Most trials, over all runs into one folder.")] = None,
    out: Annotated[Path, typer.Option(help="Folder of the study; a run that was stopped goes on there.")] = Path(
        "tuned"
    ),
    sets: Annotated[list[str] | None, typer.Option("--set", help="Values to try: layers=2,3; may be repeated.")] = None,
    ranges: Annotated[list[str] | None, typer.Option("--range", help="Numbers to try: reg=1e-5:1e-1:log.")] = None,
    prune: Annotated[bool, typer.Option("--prune/--no-prune", help="Stop trials that lag far behind others.")] = True,
    metric: Annotated[str, typer.Option(help="What to tune for, on validation.")] = "ndcg@10",
    protocol: Protocol = "random",
    seed: Seed = 0,
    json: Json = "",
) -> None:
    """Choose the settings of a model on validation, within a budget; the test is never looked at.

    Tried are the model's own few values, or what --set and --range name. Settings under [model] of the file stay as
    they are, if it names the same model. A trial that has begun is finished. Writes best.toml, to be pasted into the
    catalogue file, and tune.html and tune.json beside it.

    Example: salon tune shop.toml --model als --budget 10m
    """
    pipeline = Pipeline.read(shop, parallel=True)
    given = {"name": "linear", **pipeline.shop.model}
    own = str(given.pop("name"))
    name = model or own
    cls = registry.resolve("model", name)
    base = {key: value for key, value in given.items() if name == own and key not in _named(sets, ranges)}
    space = space_of(cls, base, sets=sets or (), ranges=ranges or ())
    seconds = seconds_of(budget or "10m") if budget or trials is None else None
    plan = Plan(name, space, base, metric, seed, seconds, trials, prune)
    search = _tuner()
    with bars(quiet=json == "-") as progress:
        ready = prepared(pipeline, protocol=protocol, seed=seed, progress=progress)
        found: Tuned = search.tune(plan, ready.split.train, ready.split.valid, ready.features, out, progress)
    _write(found, out, f"{name} tuned on {shop.stem}", {"Protocol": protocol, "Seed": str(seed)})
    if not emit(found.to_dict(), json):
        _show(found, out, protocol)


def _named(*options: list[str] | None) -> set[str]:
    return {text.partition("=")[0].strip() for texts in options for text in texts or ()}


def _tuner() -> Any:
    """The module that searches; it needs the extra "tune"."""
    try:
        return import_module("salon.evaluate.tune")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "optuna":
            raise
        raise MissingExtraError.of("`salon tune`", "tune") from error


def _write(found: Tuned, out: Path, title: str, about: dict[str, str]) -> None:
    words = [f"{name.lower()} {value}" for name, value in about.items()]
    write_page(out / "best.toml", snippet(found, *words))
    write_page(out / "tune.json", jsons.dumps(found.to_dict(), ensure_ascii=False, indent=1) + "\n")
    write_tuning(out / "tune.html", found, title=title, about={**about, "Measured on": "validation only"})


def _show(found: Tuned, out: Path, protocol: str) -> None:
    metric, names = found.plan.metric, list(found.plan.space)
    done = sorted((t for t in found.trials if t.value is not None), key=lambda t: -(t.value or 0.0))
    rows = [[*(t.settings[n] for n in names), number(metric, t.value), f"{t.seconds:.1f}"] for t in done[:SHOWN]]
    table(
        f"The best of {len(found.trials)} trials of {found.plan.model}", [*names, label(metric), "seconds"], rows,
        right=range(len(names) + 2),
    )  # fmt: skip
    for line in verdict(found):
        say(line)
    if found.importance:
        say("Importance: " + ", ".join(f"{n} {100 * share:.0f} %" for n, share in found.importance.items()) + ".")
    say("")
    say(snippet(found, f"protocol {protocol}", f"seed {found.plan.seed}").rstrip())
    say("")
    say(f"Wrote {out / 'best.toml'}, {out / 'tune.html'} and {out / 'tune.json'}")
