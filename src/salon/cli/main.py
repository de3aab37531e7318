"""The program `salon`: its verbs, and how errors are told."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence

import typer

from salon import __version__
from salon.cli import data_verbs, demo_verbs, judge_verbs, list_verbs, model_verbs
from salon.cli.show import err, with_json_value
from salon.errors import SalonError

app = typer.Typer(
    help="Recommendations that have read, seen and heard your catalogue.",
    epilog="Start with: salon demo. A catalogue is described by one TOML file; see docs/quickstart.md.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

for verb in (
    demo_verbs.demo,
    data_verbs.check,
    data_verbs.encode,
    data_verbs.weights,
    model_verbs.fit,
    model_verbs.recommend,
    model_verbs.similar,
    model_verbs.explain,
    judge_verbs.evaluate,
    judge_verbs.compare,
):
    app.command()(verb)
app.command("list")(list_verbs.list_components)


@app.callback(invoke_without_command=True)
def _version(version: bool = typer.Option(False, "--version", help="Print the version.")) -> None:
    if version:
        sys.stdout.write(f"salon {__version__}\n")
        raise typer.Exit


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the program; every error is one sentence and what to do, never a traceback.

    Exit codes: 0 done, 1 an error that salon explains, 2 a misused command line, 70 a bug.
    """
    given = with_json_value(sys.argv[1:] if arguments is None else arguments)
    try:
        app(args=given, prog_name="salon")
    except SalonError as error:
        _tell(error, as_json="--json" in given)
        sys.exit(1)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        if os.environ.get("SALON_DEBUG"):
            raise
        message = f"This is a bug in salon: {type(error).__name__}: {error}"
        hint = "Set SALON_DEBUG=1 to see where, and report it."
        _tell(SalonError(message, hint=hint), as_json="--json" in given)
        sys.exit(70)


def _tell(error: SalonError, *, as_json: bool) -> None:
    if as_json:
        sys.stderr.write(json.dumps({"error": error.to_dict()}, ensure_ascii=False) + "\n")
        return
    err.print(f"error: {error.message}", style="red", highlight=False, markup=False)
    if error.hint:
        err.print(error.hint, highlight=False, markup=False)
