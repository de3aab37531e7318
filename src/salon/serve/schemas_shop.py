"""Items, people, events, models, keys and what else a shop keeps, as JSON."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, WrapValidator

from salon.serve.schemas import Body, Fields, Id, JobOut, Name, Out, Time, Word
from salon.serve.values import Job, media_address
from salon.store.values import AuditEntry, StoredEvent, StoredItem, StoredKey, StoredUser, Version

ScopeWord = Literal["read", "write", "admin"]


@dataclass(frozen=True)
class Rejected:
    """A part of a batch that is not what it should be."""

    id: str
    message: str


def _or_rejected(value: Any, read: Callable[[Any], Any]) -> Any:
    """One part of a batch, or what is wrong with it: a bad part does not touch the others."""
    try:
        return read(value)
    except ValidationError as error:
        found = value if isinstance(value, dict) else {}
        name = found.get("event_id") or found.get("id") or ""
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        return Rejected(str(name)[:300], f"{where}: {first['msg']}" if where else str(first["msg"]))


class ItemBody(Body):
    """An item as it is from now on."""

    fields: Fields = Field(
        default={}, description="Field to text, number, list of labels or numbers, or path of a medium."
    )
    hidden: bool = Field(default=False, description="Kept, but never recommended.")
    created: Time = 0.0


class ItemPatch(Body):
    """What changes about an item."""

    fields: Fields = Field(default={}, description="Fields that change; null removes one.")
    hidden: bool | None = None


class NewItem(ItemBody):
    """An item of a batch."""

    id: Id


class ItemsBody(Body):
    """Items to store."""

    items: list[Annotated[NewItem, WrapValidator(_or_rejected)]] = Field(min_length=1)


class UserBody(Body):
    """A person as they are from now on."""

    fields: Fields = Field(default={}, description="Attribute to value.", examples=[{"club": "red"}])


class NewUser(UserBody):
    """A person of a batch."""

    id: Id


class UsersBody(Body):
    """People to store."""

    users: list[Annotated[NewUser, WrapValidator(_or_rejected)]] = Field(min_length=1)


class MergeBody(Body):
    """Two people who are one."""

    source: Id = Field(description="Such as a visitor before they signed in.", examples=["visit-81"])
    target: Id = Field(description="Who gets everything that the source did.", examples=["u-1"])


class EventBody(Body):
    """One thing that somebody did."""

    user: Id = Field(examples=["u-1"])
    item: Id = Field(examples=["a-17"])
    kind: str = Field(
        default="event", min_length=1, max_length=100, pattern=r"^[^\x00]+$", examples=["view", "not_interested"]
    )
    event_id: Word = Field(default="", description="Makes sending it twice the same as once.", examples=["e-1"])
    value: float | None = Field(default=None, description="Such as a rating.")
    time: Time = 0.0
    recommendation_id: Word = Field(default="", description="Of the answer that it follows from.")
    session: Word = ""
    scenario: Word = ""
    properties: Fields = Field(default={}, examples=[{"seconds": 12}])


class EventsBody(Body):
    """Several events."""

    events: list[Annotated[EventBody, WrapValidator(_or_rejected)]] = Field(min_length=1)


class VersionBody(Body):
    """A version to make live."""

    version: Name = Field(examples=["20260131-120000-000000"])


class KeyBody(Body):
    """A key to make."""

    name: Word = Field(description="What it is for.", examples=["shop front"])
    scopes: list[ScopeWord] = Field(min_length=1, max_length=3, examples=[["read", "write"]])


class SessionBody(Body):
    """A sign-in."""

    key: str = Field(min_length=1, max_length=200, examples=["salon_0123456789ab_..."])


class ItemOut(Out):
    """An item."""

    id: str = Field(examples=["a-17"])
    fields: dict[str, Any] = Field(examples=[{"title": "A red lamp", "price": 12.5}])
    hidden: bool
    created: float = Field(description="Seconds since 1970.")
    media: dict[str, str] = Field(description="Media field to the address of the medium.")

    @classmethod
    def of(cls, item: StoredItem, media: tuple[str, ...]) -> ItemOut:
        """An item of the store; `media` names the fields that hold media."""
        where = {name: media_address(item.id, name) for name in media if isinstance(item.fields.get(name), str)}
        return cls(id=item.id, fields=dict(item.fields), hidden=item.hidden, created=item.created, media=where)


class ItemsOut(Out):
    """A page of items."""

    items: list[ItemOut]
    cursor: str = Field(description="Where the next page begins; empty after the last one.")


class UserOut(Out):
    """A person."""

    id: str = Field(examples=["u-1"])
    fields: dict[str, Any] = Field(examples=[{"club": "red"}])
    created: float = Field(description="Seconds since 1970.")
    merged_into: str = Field(description="Who has everything that they did, or empty.")

    @classmethod
    def of(cls, user: StoredUser) -> UserOut:
        """A person of the store."""
        return cls(id=user.id, fields=dict(user.fields), created=user.created, merged_into=user.merged_into)


class UsersOut(Out):
    """A page of people."""

    users: list[UserOut]
    cursor: str


class EventOut(Out):
    """An event."""

    user: str = Field(examples=["u-1"])
    item: str = Field(examples=["a-17"])
    kind: str = Field(examples=["buy"])
    event_id: str = Field(examples=["e-1"])
    value: float | None
    time: float = Field(description="Seconds since 1970.")
    recommendation_id: str
    session: str
    scenario: str
    properties: dict[str, Any]

    @classmethod
    def of(cls, event: StoredEvent) -> EventOut:
        """An event of the store."""
        return cls(**{name: getattr(event, name) for name in cls.model_fields})


class EventsOut(Out):
    """A page of events, in the order they came."""

    events: list[EventOut]
    cursor: str


class VersionOut(Out):
    """A model that was learned."""

    version: str = Field(examples=["20260131-120000-000000"])
    state: str = Field(description="candidate, live, retired or failed.", examples=["live"])
    metrics: dict[str, Any]
    created: float
    activated: float | None

    @classmethod
    def of(cls, version: Version) -> VersionOut:
        """A version of the store."""
        return cls(**{name: getattr(version, name) for name in cls.model_fields})


class VersionsOut(Out):
    """Models, newest first."""

    versions: list[VersionOut]


class JobsOut(Out):
    """Background work, newest first."""

    jobs: list[JobOut]


def job_out(job: Job) -> JobOut:
    """Background work of the service."""
    return JobOut(**{name: getattr(job, name) for name in JobOut.model_fields})


class KeyOut(Out):
    """A key, without its secret."""

    prefix: str = Field(examples=["0123456789ab"])
    name: str = Field(examples=["shop front"])
    scopes: list[str] = Field(examples=[["write"]])
    created: float
    revoked: float | None
    last_used: float | None

    @classmethod
    def of(cls, key: StoredKey) -> KeyOut:
        """A key of the store."""
        values = {name: getattr(key, name) for name in cls.model_fields}
        return cls(**{**values, "scopes": list(key.scopes)})


class NewKeyOut(KeyOut):
    """A fresh key."""

    key: str = Field(description="The whole key: it is shown this once.")


class KeysOut(Out):
    """Keys."""

    keys: list[KeyOut]


class SessionOut(Out):
    """Who is signed in."""

    name: str = Field(examples=["shop front"])
    scopes: list[str] = Field(examples=[["write"]])
    tenant: str = Field(examples=["default"])
    seconds: float = Field(description="How long a sign-in lasts.")


class AuditOut(Out):
    """Who changed what."""

    id: int
    time: float
    actor: str = Field(description="The public part of a key.")
    action: str = Field(examples=["activate"])
    target: str = Field(examples=["20260131-120000-000000"])
    detail: dict[str, Any]

    @classmethod
    def of(cls, entry: AuditEntry) -> AuditOut:
        """An entry of the store."""
        return cls(**{name: getattr(entry, name) for name in cls.model_fields})


class AuditsOut(Out):
    """A page of the audit log, newest first."""

    entries: list[AuditOut]
    cursor: str
