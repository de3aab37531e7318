"""The words of the API: what is common to all requests and answers.

Requests and answers are models of their own, never the values of the service: the API stays as it is when those change.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, model_validator
from pydantic_core import PydanticCustomError

from salon.errors import did_you_mean

MOST_DEPTH = 20
"""Lists in lists in lists: no field needs more."""

Id = Annotated[str, Field(min_length=1, max_length=300, pattern=r"^[^\x00]+$", examples=["a-17"])]
"""The name of an item, a person or an event."""
Word = Annotated[str, Field(max_length=300, pattern=r"^[^\x00]*$")]
"""A short word, which may be empty."""
Name = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", examples=["home"])]
"""The name of a scenario, an experiment or a version."""
Time = Annotated[float, Field(ge=0, le=1e11, description="Seconds since 1970; 0 stands for now.")]


def _plain(value: Any, depth: int = 0) -> Any:
    """`value`, if every store can keep it."""
    if depth > MOST_DEPTH:
        raise PydanticCustomError("too_deep", "More than {most} levels of nesting", {"most": MOST_DEPTH})
    if isinstance(value, float) and not math.isfinite(value):
        raise PydanticCustomError("not_finite", "NaN and infinity are no JSON; null stands for a missing value")
    if isinstance(value, str) and ("\0" in value or (not value.isascii() and _broken(value))):
        raise PydanticCustomError("broken_text", "Text that holds NUL or half a character")
    if isinstance(value, dict):
        for key, one in value.items():
            _plain(key, depth + 1)
            _plain(one, depth + 1)
    elif isinstance(value, list):
        for one in value:
            _plain(one, depth + 1)
    return value


def _broken(text: str) -> bool:
    return any("\ud800" <= sign <= "\udfff" for sign in text)


Plain = Annotated[JsonValue, AfterValidator(_plain)]
"""Any JSON that every store can keep."""
Fields = Annotated[
    dict[Annotated[str, Field(min_length=1, max_length=300)], Plain],
    AfterValidator(_plain),
    Field(max_length=1000, examples=[{"title": "A red lamp", "kind": "lamp", "price": 12.5}]),
]


class Body(BaseModel):
    """Base of what is sent: unknown keys are errors that name the closest known one; nothing is converted."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, values: Any) -> Any:
        if isinstance(values, dict):
            known = [field.alias or name for name, field in cls.model_fields.items()]
            for key in values:
                if key not in known:
                    raise unknown_key(str(key), known)
        return values


def unknown_key(key: str, known: Iterable[str]) -> PydanticCustomError:
    """The error for a key that nobody reads."""
    hint = did_you_mean(key[:100], known)
    return PydanticCustomError("unknown_key", "Unknown key '{key}'. {hint}", {"key": key[:100], "hint": hint})


class Out(BaseModel):
    """Base of what is answered: every key is always there."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)


class ErrorOut(Out):
    """Why one part of a batch was rejected."""

    code: str = Field(description="A stable word for programs.", examples=["data"])
    message: str = Field(description="What is wrong, with the value.", examples=["The time -3.0 is before 1970."])
    hint: str = Field(default="", description="What to do about it.")
    retryable: bool = Field(default=False, description="Whether the same can succeed later.")


class ReceiptOut(Out):
    """What became of one part of a batch."""

    id: str = Field(description="The item, person or event.", examples=["a-17"])
    status: str = Field(
        description="stored; known: an event with this id was stored before; or rejected.",
        examples=["stored"],
        pattern="^(stored|known|rejected)$",
    )
    error: ErrorOut | None = Field(default=None, description="Why it was rejected.")


class ReceiptsOut(Out):
    """What became of each part, in the order they were sent."""

    results: list[ReceiptOut]


class DeletedOut(Out):
    """How much was deleted."""

    deleted: int = Field(description="How many.", examples=[1])


class CountOut(Out):
    """How many events moved."""

    moved: int = Field(description="Events that the target has now.", examples=[12])


class JobOut(Out):
    """Work in the background."""

    id: str
    kind: str = Field(description="encode, update or refit.", examples=["encode"])
    state: str = Field(description="waiting, running, done or failed.", examples=["running"])
    started: float = Field(description="Seconds since 1970.")
    ended: float | None = Field(description="Seconds since 1970, or null.")
    detail: dict[str, Any] = Field(description="Numbers and words about it; an error where it failed.")


class MediaBody(Body):
    """A medium by its address."""

    url: str = Field(
        min_length=8,
        max_length=2000,
        pattern=r"^https?://[^\x00-\x20]+$",
        description="Where it is fetched from, by http or https; private addresses are refused.",
        examples=["https://shop.example/lamp.jpg"],
    )
