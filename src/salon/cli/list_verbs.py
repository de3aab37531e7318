"""The verb that lists what there is: components and their settings."""

from __future__ import annotations

from typing import Annotated

import typer

from salon import registry
from salon.cli.show import Json, emit, say, table
from salon.config import describe
from salon.errors import SettingError, did_you_mean

PLURALS = {"index": "indexes"}


def list_components(
    kind: Annotated[str, typer.Argument(help="encoder, fuser, model or index; empty for all.")] = "",
    name: Annotated[str, typer.Argument(help="One component, to see its settings.")] = "",
    json: Json = "",
) -> None:
    """List encoders, fusers, models and indexes, plugins included, or the settings of one of them.

    Example: salon list model linear
    """
    if kind and kind not in registry.KINDS:
        raise SettingError(f"There is no kind {kind!r}.", hint=did_you_mean(kind, registry.KINDS))
    if name:
        if not kind:
            raise SettingError(
                f"Of which kind is {name!r}?", hint=f"Write one of {', '.join(registry.KINDS)} before it."
            )
        _one(kind, name, json)
        return
    found = {k: {n: _line(k, n) for n in registry.names(k)} for k in registry.KINDS if kind in ("", k)}
    if not emit(found, json):
        for k, components in found.items():
            table(PLURALS.get(k, f"{k}s"), ["name", "what it is"], list(components.items()))
            say("")


def _line(kind: str, name: str) -> str:
    extra = registry.extra_of(kind, name)
    return registry.about(kind, name) + (f" Needs salon[{extra}]." if extra else "")


def _one(kind: str, name: str, json: str) -> None:
    cls = registry.resolve(kind, name)
    settings = describe(cls.settings_class())
    plain = [{"setting": s, "default": d, "help": h} for s, d, h in settings]
    if not emit({"name": name, "kind": kind, "about": (cls.__doc__ or "").strip(), "settings": plain}, json):
        say(f"{name} ({kind}): {_line(kind, name)}\n")
        table("", ["setting", "default", "what it does"], settings)
