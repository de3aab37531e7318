"""Settings of components: one frozen class each, written once, from which everything else is made.

The constructor, the TOML file, `salon list` and the reference page all read the same fields; the docstring under a
field is its help text. An unknown key is an error with a suggestion.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from salon.errors import SettingError, did_you_mean

S = TypeVar("S", bound="Settings")


class Settings(BaseModel):
    """Base of all settings: frozen, no unknown keys, help text from the docstring under each field."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        allow_inf_nan=False,
        protected_namespaces=(),
    )


def build(cls: type[S], values: Mapping[str, Any], *, where: str = "") -> S:
    """Settings of class `cls` from plain values.

    Args:
        cls: The settings class.
        values: Field names to values, as read from TOML or given as keyword arguments.
        where: What is being set, for the error message, such as "[model]".

    Raises:
        SettingError: A key is unknown (with the closest known key) or a value is out of range.
    """
    place = f" in {where}" if where else ""
    known = list(cls.model_fields) + [f.alias for f in cls.model_fields.values() if f.alias]
    for key in values:
        if key not in known:
            raise SettingError(f"Unknown setting {key!r}{place}.", hint=did_you_mean(key, known))
    try:
        return cls(**values)
    except ValidationError as error:
        raise SettingError(_first_problem(error, values, place), hint=_hint(error)) from None


def _first_problem(error: ValidationError, values: Mapping[str, Any], place: str) -> str:
    """One sentence about the first thing that is wrong."""
    first = error.errors()[0]
    path = ".".join(str(part) for part in first["loc"])
    if first["type"] == "missing":
        return f"Setting {path!r}{place} is missing."
    return f"Setting {path!r}{place} is {first.get('input')!r}: {first['msg'].lower()}."


def _hint(error: ValidationError) -> str:
    """A suggestion for a misspelt key in a nested table, and how many further problems there are."""
    first, rest = error.errors()[0], len(error.errors()) - 1
    hint = "Check the spelling." if first["type"] == "extra_forbidden" else ""
    return f"{hint} ({rest} more)".strip() if rest else hint


def describe(cls: type[Settings]) -> list[tuple[str, str, str]]:
    """(name, default, help) of every field, for listings and the reference page."""
    rows = []
    for name, field in cls.model_fields.items():
        default = "required" if field.is_required() else repr(field.get_default(call_default_factory=True))
        rows.append((name, default, " ".join((field.description or "").split())))
    return rows


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file.

    Raises:
        SettingError: The file is absent or is not TOML; the message gives the line.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingError(f"There is no file {str(path)!r}.", hint="Give the path of a catalogue file.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, IsADirectoryError, PermissionError) as error:
        raise SettingError(f"{str(path)!r} cannot be read as TOML: {error}.") from None
