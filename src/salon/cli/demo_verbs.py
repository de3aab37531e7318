"""The verb that shows everything at once."""

from __future__ import annotations

import sys
from pathlib import Path
from shutil import which
from typing import Annotated

import typer

from salon.cli.model_verbs import _show
from salon.cli.serve_verbs import serve_model
from salon.cli.show import Json, bars, emit, err, say
from salon.cli.show_report import show_report
from salon.demo import Demo, plain, run_demo, share_of_best


def demo(
    out_folder: Annotated[Path, typer.Option("--out", help="Folder for everything the demo writes.")] = Path("demo"),
    world: Annotated[
        str, typer.Option(help="shop (drawn here) or stamps (Debian's tuxpaint-stamps-default).")
    ] = "shop",
    data: Annotated[Path | None, typer.Option(help="A catalogue file of yours, instead of a world.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the world, the split and the fits.")] = 0,
    serve: Annotated[bool, typer.Option("--serve", help="Serve the model afterwards, and say where.")] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to serve it on.")] = 8080,
    json: Json = "",
) -> None:
    """Go the whole way once: raw media and clicks in, explained recommendations on a page out.

    Draws a shop of a few hundred things as real files, whose appeal to 300 people is known, so that the best
    possible score is known too; then checks, encodes, compares, fits, recommends and explains.

    Example: salon demo --data shop.toml
    """
    with bars(quiet=bool(json)) as progress:
        told = (
            (lambda text: None)
            if json == "-"
            else lambda text: err.print(text, highlight=False, markup=False, soft_wrap=True)
        )
        result = run_demo(out_folder, world=world, data=data, seed=seed, say=told, progress=progress)
    if not emit(plain(result), json):
        _tell(result)
    if serve:
        serve_model(result.model, port=port, level="warning")


def _tell(result: Demo) -> None:
    show_report(result.report)
    share = share_of_best(result)
    if share is not None:
        best = result.best["ndcg@10"]
        say(f"The best possible nDCG@10, ranking by the true appeal, is {best:.3f}; {result.report.names[0]} reaches")
        say(f"{100 * share:.0f} % of it.")
    for answer in result.answers:
        _show(f"For {answer.who}:", answer)
    program = "salon" if which("salon") else sys.argv[0]
    say(f"\nLook at the page: {result.page}")
    say(f"Ask the model:    {program} recommend {result.model} --user {result.answers[0].who}")
    say(f"Open the window:  {program} serve {result.model}")
