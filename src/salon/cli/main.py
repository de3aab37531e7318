"""The program `salon`: its verbs, and how errors are told."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from importlib import import_module

import typer

from salon import __version__
from salon.cli.show import err, with_json_value
from salon.errors import SalonError

VERBS = {
    "demo": "demo_verbs:demo",
    "check": "data_verbs:check",
    "encode": "data_verbs:encode",
    "weights": "data_verbs:weights",
    "fit": "model_verbs:fit",
    "recommend": "model_verbs:recommend",
    "similar": "model_verbs:similar",
    "search": "search_verbs:search",
    "explain": "model_verbs:explain",
    "fusion": "fusion_verbs:fusion",
    "evaluate": "judge_verbs:evaluate",
    "compare": "judge_verbs:compare",
    "tune": "tune_verbs:tune",
    "list": "list_verbs:list_components",
    "serve": "serve_verbs:serve",
    "load": "serve_verbs:load",
    "keys": "serve_verbs:keys",
    "backup": "serve_verbs:backup",
    "restore": "serve_verbs:restore",
}
"""Verb to module and function; a module is imported only when one of its verbs is called, or for the help of all."""


THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""Set to 1 unless they are set: threads that wait for each other on a busy machine cost several times the work."""


def program(verbs: Iterable[str] = VERBS) -> typer.Typer:
    """The program with some of its verbs."""
    app = typer.Typer(
        help="Recommendations that have read, seen and heard your catalogue.",
        epilog="Start with: salon demo. A catalogue is described by one TOML file; see docs/quickstart.md.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback(invoke_without_command=True)(_version)
    for verb in verbs:
        module, _, function = VERBS[verb].partition(":")
        app.command(verb)(getattr(import_module(f"salon.cli.{module}"), function))
    return app


def _version(version: bool = typer.Option(False, "--version", help="Print the version.")) -> None:
    if version:
        sys.stdout.write(f"salon {__version__}\n")
        raise typer.Exit


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the program; every error is one sentence and what to do, never a traceback.

    Exit codes: 0 done, 1 an error that salon explains, 2 a misused command line, 70 a bug.
    """
    for name in THREADS:
        os.environ.setdefault(name, "1")
    given = with_json_value(sys.argv[1:] if arguments is None else arguments)
    try:
        called = [word for word in given[:1] if word in VERBS]
        program(called or VERBS)(args=given, prog_name="salon")
    except SalonError as error:
        _tell(error, as_json="--json" in given)
        sys.exit(1)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        if os.environ.get("SALON_DEBUG"):
            raise
        message = f"{error.filename or 'A file'!s}: {error.strerror or error}."
        _tell(
            SalonError(message, hint="Check the path, the permissions and the free space."), as_json="--json" in given
        )
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
    err.print(f"error: {error.message}", style="red", highlight=False, markup=False, soft_wrap=True)
    if error.hint:
        err.print(error.hint, highlight=False, markup=False, soft_wrap=True)
