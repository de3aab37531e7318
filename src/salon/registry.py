"""Short names to classes. Built-in components and those of plugins come through the same door.

A package registers components by an entry point of the group "salon.components" that names a table such as
{"model": {"linear": "salon.models.linear:Linear"}}. Classes are imported when they are asked for. A target such as
"salon.fuse.gated:Gated [torch]" names the extra that its module needs, as in the syntax of entry points.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
from collections.abc import Mapping
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from salon.errors import MissingExtraError, SettingError, did_you_mean

GROUP = "salon.components"
KINDS = ("encoder", "fuser", "model", "index")


@cache
def table() -> dict[str, dict[str, str]]:
    """kind -> short name -> "module:Class", from every installed package.

    Raises:
        SettingError: Two packages register the same name.
    """
    found: dict[str, dict[str, str]] = {kind: {} for kind in KINDS}
    for entry in sorted(entry_points(group=GROUP), key=lambda e: e.name):
        _add(found, entry.load(), entry.name)
    return found


def _add(found: dict[str, dict[str, str]], given: Mapping[str, Mapping[str, str]], source: str) -> None:
    for kind, names in given.items():
        if kind not in found:
            raise SettingError(f"{source!r} registers the unknown kind {kind!r}.", hint=did_you_mean(kind, KINDS))
        for name, target in names.items():
            if found[kind].get(name, target) != target:
                raise SettingError(f"The {kind} {name!r} is registered twice, by {source!r} and another package.")
            found[kind][name] = target


def names(kind: str) -> list[str]:
    """The short names of one kind, sorted."""
    return sorted(table()[kind])


def resolve(kind: str, name: str) -> type[Any]:
    """The class registered as `name`.

    Raises:
        SettingError: No such name; the hint suggests one.
        MissingExtraError: Its module needs a package that is not installed.
    """
    module, attribute, extra = _target(kind, name)
    try:
        return getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        if extra:
            raise MissingExtraError.of(f"The {kind} {name!r}", extra) from error
        raise MissingExtraError(
            f"The {kind} {name!r} needs the package {error.name!r}.", hint=f"Run: pip install {error.name}"
        ) from error


def extra_of(kind: str, name: str) -> str:
    """The extra that a component needs, such as "torch"; empty where a plain installation is enough.

    Raises:
        SettingError: No such name.
    """
    return _target(kind, name)[2]


def about(kind: str, name: str) -> str:
    """The first line of what the class says of itself, read from its file, so that no extra needs to be installed."""
    module, attribute, _ = _target(kind, name)
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        return ""
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == attribute:
            return (ast.get_docstring(node) or "").partition("\n")[0]
    return ""


def _target(kind: str, name: str) -> tuple[str, str, str]:
    """(module, class, extra) of a registered name."""
    known = table()[kind]
    if name not in known:
        raise SettingError(f"There is no {kind} named {name!r}.", hint=did_you_mean(name, known))
    place, _, extra = known[name].partition(" [")
    module, _, attribute = place.partition(":")
    return module, attribute, extra.removesuffix("]")


def create(kind: str, name: str, settings: Mapping[str, Any] | None = None) -> Any:
    """A new component of the class registered as `name`, with the given settings."""
    return resolve(kind, name)(**(settings or {}))


def name_of(kind: str, cls: type[Any]) -> str:
    """The short name under which a class is registered.

    Raises:
        SettingError: The class is not registered.
    """
    target = f"{cls.__module__}:{cls.__qualname__}"
    for name, known in table()[kind].items():
        if known.partition(" [")[0] == target:
            return name
    raise SettingError(f"{target} is not registered as a {kind}.", hint=f"Add it to the entry points of {GROUP!r}.")
