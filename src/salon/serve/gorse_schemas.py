"""What Gorse's clients send and expect: its names, its dates, and the fields that they stand for here.

Gorse's API (https://gorse.io/docs, version 0.5): an item has Categories, Labels and a Comment. Labels that are a table
become fields of the catalogue; what has no other place is told as Labels again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from salon.errors import DataError, SettingError
from salon.serve.schemas import Id, Plain, Word
from salon.serve.settings import GorseNames
from salon.store.values import StoredEvent, StoredItem, StoredUser

UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s)")


def seconds_of(text: str) -> float:
    """Seconds since 1970 of a date as Gorse writes it; 0 for "".

    Raises:
        DataError: It is no date.
    """
    if not text:
        return 0.0
    try:
        when = datetime.fromisoformat(text.strip())
        return max(0.0, (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        raise DataError(f"The timestamp {text[:40]!r} is no date.", hint="Write 2026-01-31T12:00:00Z.") from None


def date_of(seconds: float) -> str:
    """A date as Gorse writes it."""
    when = datetime.fromtimestamp(min(seconds, 253_402_300_799.0), UTC)
    return when.isoformat(timespec="microseconds" if when.microsecond else "seconds").replace("+00:00", "Z")


def delay_of(text: str) -> float:
    """Seconds of a duration such as "10m" or "1h30m"; 0 for "".

    Raises:
        SettingError: It is no duration.
    """
    parts = _PART.findall(text)
    if "".join(number + unit for number, unit in parts) != text or len(text) > 40:
        raise SettingError(f"The delay {text[:40]!r} is no duration.", hint="Write 10m or 1h30m.")
    return sum(float(number) * UNITS[unit] for number, unit in parts)


Date = Annotated[str, Field(max_length=60, examples=["2026-01-31T12:00:00Z"])]
Category = Annotated[str, Field(min_length=1, max_length=300, pattern=r"^[^\x00]+$")]


def _labels(value: Any) -> Any:
    if isinstance(value, dict) and any(not 1 <= len(name) <= 300 for name in value):
        raise ValueError("names of labels have 1 to 300 characters")
    return value


AnyLabels = Annotated[Plain, AfterValidator(_labels)]


class Gorse(BaseModel):
    """Base: unknown keys are ignored, as Gorse does."""

    model_config = ConfigDict(extra="ignore")


class GorseUser(Gorse):
    """A user."""

    UserId: Id
    Labels: AnyLabels | None = None
    Comment: str | None = Field(default=None, max_length=100_000)


class GorseUserPatch(Gorse):
    """What changes about a user."""

    Labels: AnyLabels | None = None
    Comment: str | None = Field(default=None, max_length=100_000)


class GorseItemPatch(Gorse):
    """What changes about an item."""

    IsHidden: bool | None = None
    Categories: list[Category] | None = Field(default=None, max_length=1000)
    Timestamp: Date | None = None
    Labels: AnyLabels | None = None
    Comment: str | None = Field(default=None, max_length=100_000)


class GorseItem(GorseItemPatch):
    """An item."""

    ItemId: Id


class GorseFeedback(Gorse):
    """Feedback of a user on an item."""

    FeedbackType: str = Field(min_length=1, max_length=100, pattern=r"^[^\x00]+$", examples=["read"])
    UserId: Id
    ItemId: Id
    Value: float = Field(default=0.0, allow_inf_nan=False)
    Timestamp: Date | None = None
    Labels: AnyLabels | None = None
    Comment: Word | None = None


class RowAffected(BaseModel):
    """How much was written."""

    RowAffected: int


class GorseScore(BaseModel):
    """An item or a user with a score."""

    Id: str
    Score: float


class GorseUserOut(BaseModel):
    """A user."""

    UserId: str
    Labels: Any
    Comment: str


class GorseItemOut(BaseModel):
    """An item."""

    ItemId: str
    IsHidden: bool
    Categories: list[str]
    Timestamp: str
    Labels: Any
    Comment: str


class GorseFeedbackOut(BaseModel):
    """Feedback of a user on an item."""

    FeedbackType: str
    UserId: str
    ItemId: str
    Value: float
    Timestamp: str
    Labels: Any
    Comment: str


class GorseUsers(BaseModel):
    """A page of users."""

    Cursor: str
    Users: list[GorseUserOut]


class GorseItems(BaseModel):
    """A page of items, or what a search found."""

    Cursor: str
    Items: list[Any]


class GorseFeedbacks(BaseModel):
    """A page of feedback."""

    Cursor: str
    Feedback: list[GorseFeedbackOut]


def fields_of(labels: Any, comment: str | None, names: GorseNames) -> dict[str, Any]:
    """The fields that labels and a comment stand for; what is None is not among them."""
    fields: dict[str, Any] = {}
    if isinstance(labels, dict):
        fields |= labels
    elif labels is not None:
        fields[names.labels] = labels
    if comment is not None:
        fields[names.comment] = comment
    return fields


def item_fields(item: GorseItemPatch, names: GorseNames) -> dict[str, Any]:
    """The fields that an item of Gorse stands for."""
    fields = fields_of(item.Labels, item.Comment, names)
    if item.Categories is not None:
        fields[names.categories] = list(item.Categories)
    return fields


def _told(fields: Mapping[str, Any], names: GorseNames) -> tuple[Any, str, list[str]]:
    """Labels, comment and categories of fields."""
    rest = {k: v for k, v in fields.items() if k not in (names.categories, names.comment)}
    alone = set(rest) == {names.labels}
    categories = fields.get(names.categories) or []
    if not isinstance(categories, list):
        categories = [categories]
    comment = fields.get(names.comment)
    labels = rest[names.labels] if alone else rest or None
    return labels, "" if comment is None else str(comment), [str(one) for one in categories]


def item_out(item: StoredItem, names: GorseNames) -> GorseItemOut:
    """An item of the store as Gorse tells it."""
    labels, comment, categories = _told(item.fields, names)
    return GorseItemOut(
        ItemId=item.id,
        IsHidden=item.hidden,
        Categories=categories,
        Timestamp=date_of(item.created),
        Labels=labels,
        Comment=comment,
    )


def user_out(user: StoredUser, names: GorseNames) -> GorseUserOut:
    """A person of the store as Gorse tells them."""
    labels, comment, _ = _told(user.fields, names)
    return GorseUserOut(UserId=user.id, Labels=labels, Comment=comment)


def event_of(feedback: GorseFeedback) -> StoredEvent:
    """The event that a piece of feedback stands for."""
    properties: dict[str, Any] = {}
    if feedback.Comment:
        properties["comment"] = feedback.Comment
    if feedback.Labels is not None:
        properties["labels"] = feedback.Labels
    return StoredEvent(
        user=feedback.UserId,
        item=feedback.ItemId,
        kind=feedback.FeedbackType,
        value=feedback.Value or None,
        time=seconds_of(feedback.Timestamp or ""),
        properties=properties,
    )


def feedback_out(event: StoredEvent) -> GorseFeedbackOut:
    """An event as Gorse tells it."""
    return GorseFeedbackOut(
        FeedbackType=event.kind,
        UserId=event.user,
        ItemId=event.item,
        Value=event.value or 0.0,
        Timestamp=date_of(event.time),
        Labels=event.properties.get("labels"),
        Comment=str(event.properties.get("comment", "")),
    )


def joined(events: list[StoredEvent]) -> list[GorseFeedbackOut]:
    """Events of the same kind, person and item as one piece of feedback: values added, the latest time and words."""
    found: dict[tuple[str, str, str], GorseFeedbackOut] = {}
    for event in events:
        one = feedback_out(event)
        key = (event.kind, event.user, event.item)
        if key in found:
            one.Value += found[key].Value
        found[key] = one
    return list(found.values())
