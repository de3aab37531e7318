"""Writes docs/reference from the code; `--check` only says whether it is up to date."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import typer

from salon import registry
from salon.cli.main import program
from salon.config import Settings, describe
from salon.data.sources import EventsSource, ItemsSource, UsersSource
from salon.errors import SalonError
from salon.pipeline_shop import EncodeSection
from salon.serve.options import LiveOptions
from salon.serve.scenarios import Experiment, Promotion, Scenario, Variant
from salon.serve.settings import GorseNames, Limits, ServeSettings, TenantSettings

FOLDER = Path(__file__).resolve().parent / "reference"
NOTE = "<!-- Written by docs/build.py from the code; do not edit. -->\n"


def settings_table(cls: type[Settings]) -> list[str]:
    below = {name for name, field in cls.model_fields.items() if isinstance(field.default, Settings)}
    told = [(name, "see below" if name in below else f"`{default}`", text) for name, default, text in describe(cls)]
    rows = [f"| `{name}` | {default} | {text} |" for name, default, text in told]
    return ["| setting | default | what it does |", "|---|---|---|", *rows, ""] if rows else ["No settings.", ""]


def components(title: str, *, deep: bool) -> str:
    lines = [f"# {title}", ""]
    for kind in registry.KINDS:
        chosen = [name for name in registry.names(kind) if bool(registry.extra_of(kind, name)) == deep]
        if chosen:
            lines += [f"## {kind.capitalize()}" + ("es" if kind == "index" else "s"), ""]
        for name in chosen:
            extra = f"Needs `salon[{registry.extra_of(kind, name)}]`. " if deep else ""
            cls = registry.resolve(kind, name)
            about = (cls.__doc__ or "").strip().splitlines()[0]
            lines += [f"### `{name}`", "", extra + about, "", *settings_table(cls.settings_class())]
    return "\n".join(lines)


def catalogue() -> str:
    classes = {"[items]": ItemsSource, "[events]": EventsSource, "[users]": UsersSource, "[encode]": EncodeSection}
    lines = ["# The catalogue file", "", "One TOML file describes a catalogue. An unknown key is an error.", ""]
    lines += sections(classes)
    lines += ["## [fuse] and [model]", "", "A `name` and the settings of that component: see components.md.", ""]
    return "\n".join(lines)


def server() -> str:
    file = {
        "The server itself": ServeSettings,
        "[limits]": Limits,
        "[live]": LiveOptions,
        "[gorse]": GorseNames,
        "[tenants.NAME]": TenantSettings,
    }
    stored = {
        "A scenario": Scenario,
        "A promotion of a scenario": Promotion,
        "An experiment": Experiment,
        "A variant of an experiment": Variant,
    }
    told = "`salon serve MODEL --config FILE` reads one TOML file, at its top or under [serve]; options win over it."
    lines = ["# The server", "", told, "", *sections(file)]
    told = "Scenarios and experiments are stored by calls: `PUT /v1/scenarios/NAME`, `PUT /v1/experiments/NAME`."
    return "\n".join([*lines, told, "", *sections(stored)])


def sections(classes: dict[str, type[Settings]]) -> list[str]:
    lines = []
    for name, cls in classes.items():
        lines += [f"## {name}", "", " ".join((cls.__doc__ or "").split()), "", *settings_table(cls)]
    return lines


def commands() -> str:
    lines = ["# The command line", ""]
    group = typer.main.get_command(program())
    context = typer.Context(group, info_name="salon", terminal_width=100, max_content_width=100)
    assert isinstance(context, click.Context) or hasattr(context, "command")
    for name in sorted(group.commands):  # type: ignore[attr-defined]
        command = group.commands[name]  # type: ignore[attr-defined]
        inner = typer.Context(command, info_name=name, parent=context, terminal_width=100, max_content_width=100)
        lines += [f"## salon {name}", "", "```text", command.get_help(inner).strip(), "```", ""]
    return "\n".join(lines)


def errors() -> str:
    def all_of(cls: type[SalonError]) -> list[type[SalonError]]:
        return [cls, *(e for sub in cls.__subclasses__() for e in all_of(sub))]

    lines = ["# Errors", "", "| error | code | HTTP status | retryable | when |", "|---|---|--:|---|---|"]
    for cls in all_of(SalonError):
        about = (cls.__doc__ or "").strip().splitlines()[0]
        retry = "yes" if cls.retryable else "no"
        lines.append(f"| {cls.__name__} | `{cls.code}` | {cls.status} | {retry} | {about} |")
    return "\n".join([*lines, ""])


def pages(*, deep: bool = True) -> dict[str, str]:
    """The pages by file name; the one on components that need torch only where it can be imported."""
    made = {
        "components.md": components("Components", deep=False),
        **({"components-torch.md": components("Components that need torch", deep=True)} if deep else {}),
        "catalogue.md": catalogue(),
        "server.md": server(),
        "commands.md": commands(),
        "errors.md": errors(),
    }
    return {name: NOTE + "\n".join(line.rstrip() for line in text.splitlines()) + "\n" for name, text in made.items()}


def main() -> int:
    FOLDER.mkdir(exist_ok=True)
    stale = []
    for name, text in pages().items():
        path = FOLDER / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            stale.append(name)
            if "--check" not in sys.argv:
                path.write_text(text, encoding="utf-8")
    if stale and "--check" in sys.argv:
        sys.stderr.write(f"Stale: {', '.join(stale)}. Run: make docs\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
