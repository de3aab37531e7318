"""Printing: tables and words for people, JSON for programs, progress with rate and remaining time."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.table import Table
from rich.text import Text

from salon.pipeline_answers import as_plain
from salon.types import Progress

out = Console()
err = Console(stderr=True)

Json = Annotated[
    str,
    typer.Option("--json", metavar="[FILE.json]", help="Print JSON instead of text, or write it to FILE.json."),
]
"""The option that every verb has; see `with_json_value`."""


def with_json_value(arguments: Sequence[str]) -> list[str]:
    """Gives "--json" the value "-" (print) unless a file name in .json follows it."""
    given: list[str] = []
    for place, word in enumerate(arguments):
        given.append(word)
        follower = arguments[place + 1] if place + 1 < len(arguments) else ""
        if word == "--json" and not follower.endswith(".json"):
            given.append("-")
    return given


def emit(value: Any, target: str) -> bool:
    """Writes `value` as JSON if the verb was asked to; says whether the text should be left out.

    Args:
        value: Plain data or frozen answers.
        target: What --json was given: "" for not at all, "-" to print, or a file, whose folder is made if needed.
    """
    if not target:
        return False
    text = json.dumps(as_plain(value), ensure_ascii=False, indent=1, allow_nan=False)
    if target == "-":
        sys.stdout.write(text + "\n")
        return True
    Path(target).parent.mkdir(parents=True, exist_ok=True)
    Path(target).write_text(text + "\n", encoding="utf-8")
    err.print(f"Wrote {target}", highlight=False, markup=False, soft_wrap=True)
    return False


def say(text: str) -> None:
    """One line for people."""
    out.print(text, highlight=False, markup=False, soft_wrap=True)


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]], *, right: Sequence[int] = ()) -> None:
    """A plain table; columns whose numbers are in `right` are aligned to the right."""
    made = Table(
        title=Text(title) if title else None, title_justify="left", header_style="bold", box=None, pad_edge=False
    )
    for number, name in enumerate(columns):
        made.add_column(Text(name), justify="right" if number in right else "left", overflow="fold")
    for row in rows:
        made.add_row(*[_cell(value) for value in row])
    out.print(made, highlight=False, markup=False)


def _cell(value: object) -> Text:
    """Plain text: brackets in a title are no markup."""
    return Text(f"{value:.4g}" if isinstance(value, float) else str(value))


@contextmanager
def bars(*, quiet: bool = False) -> Iterator[Progress]:
    """A progress callback drawn as one bar per kind of work, on the error stream."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Bars(*columns, console=err, disable=quiet, transient=not err.is_terminal) as drawn:
        tasks: dict[str, Any] = {}

        def progress(done: int, total: int, what: str) -> None:
            if what not in tasks:
                tasks[what] = drawn.add_task(what, total=total, rate="")
            task = drawn.tasks[tasks[what]]
            rate = f"{task.speed:.0f}/s" if task.speed else ""
            drawn.update(tasks[what], completed=done, total=total, rate=rate)

        yield progress
