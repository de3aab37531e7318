"""What the store keeps, as frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

State = Literal["candidate", "live", "retired", "failed"]
"""Where a model is in its life."""


@dataclass(frozen=True)
class StoredItem:
    """One thing of the catalogue.

    Attributes:
        id: 1 to 300 characters.
        fields: Field name to text, number, list of labels, list of numbers, or the relative path of a medium.
        hidden: Never recommended, but kept.
        created: Seconds since 1970; 0 is filled in when it is stored.
        revision: Of its last change; 0 before it is stored.
    """

    id: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    hidden: bool = False
    created: float = 0.0
    revision: int = 0


@dataclass(frozen=True)
class StoredUser:
    """One person.

    Attributes:
        id: 1 to 300 characters.
        fields: Attribute to value.
        merged_into: The person whom their events were given to, or "".
        created: Seconds since 1970; 0 is filled in when it is stored.
        revision: Of its last change; 0 before it is stored.
    """

    id: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    merged_into: str = ""
    created: float = 0.0
    revision: int = 0


@dataclass(frozen=True)
class StoredEvent:
    """One thing that somebody did.

    Attributes:
        user: Id of the person.
        item: Id of the item.
        kind: Such as "view", "buy", "rating", "not_interested".
        event_id: Makes storing it twice the same as once; "" is filled in with a fresh one.
        value: Explicit value such as a rating, or None.
        time: Seconds since 1970; 0 is filled in when it is stored.
        recommendation_id: The answer it follows from, or "".
        session: Of the device or visit, or "".
        scenario: The placement, or "".
        properties: Anything else, plain.
        revision: Its place in the store; 0 before it is stored.
    """

    user: str
    item: str
    kind: str = "event"
    event_id: str = ""
    value: float | None = None
    time: float = 0.0
    recommendation_id: str = ""
    session: str = ""
    scenario: str = ""
    properties: Mapping[str, Any] = field(default_factory=dict)
    revision: int = 0


@dataclass(frozen=True)
class Removal:
    """Events that were removed: those that match everything named here."""

    revision: int
    user: str = ""
    item: str = ""
    kind: str = ""
    event_id: str = ""


@dataclass(frozen=True)
class Changes:
    """What was written after some revision, in the order of revisions.

    Attributes:
        revision: Of the last change here; where the next call goes on.
        events: Stored since.
        items: Put or patched since, as they are now.
        users: The same for people.
        deleted_items: Ids of items deleted since.
        deleted_users: Ids of people deleted since.
        removals: Events removed since.
        more: Whether the limit cut the answer.
    """

    revision: int
    events: tuple[StoredEvent, ...] = ()
    items: tuple[StoredItem, ...] = ()
    users: tuple[StoredUser, ...] = ()
    deleted_items: tuple[str, ...] = ()
    deleted_users: tuple[str, ...] = ()
    removals: tuple[Removal, ...] = ()
    more: bool = False


@dataclass(frozen=True)
class Page:
    """A part of a long list.

    Attributes:
        rows: The values.
        cursor: Where the next page begins; "" after the last one.
    """

    rows: tuple[Any, ...]
    cursor: str = ""


@dataclass(frozen=True)
class Exposure:
    """One answer that was shown.

    Attributes:
        recommendation_id: Its name.
        user: The person, or "".
        time: Seconds since 1970.
        items: Ids, best first.
        sources: Who found each.
        scores: Of each.
        propensities: The chance with which each was shown.
        session: Or "".
        scenario: Or "".
        experiment: Or "".
        variant: Or "".
        version: Of the model.
        request: What was asked, plain, so that a next page can follow.
    """

    recommendation_id: str
    user: str
    time: float
    items: tuple[str, ...]
    sources: tuple[str, ...]
    scores: tuple[float, ...]
    propensities: tuple[float, ...]
    session: str = ""
    scenario: str = ""
    experiment: str = ""
    variant: str = ""
    version: str = ""
    request: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class StoredKey:
    """One API key, without its secret.

    Attributes:
        prefix: The public part, by which it is found.
        digest: SHA-256 of the secret part, hexadecimal.
        name: What it is for.
        scopes: Of "read", "write", "admin".
        tenant: Whose store and models it opens.
        created: Seconds since 1970.
        revoked: The same, or None.
        last_used: The same, or None; written at most once a minute.
    """

    prefix: str
    digest: str
    name: str
    scopes: tuple[str, ...]
    tenant: str = "default"
    created: float = 0.0
    revoked: float | None = None
    last_used: float | None = None


@dataclass(frozen=True)
class Version:
    """One model that was learned.

    Attributes:
        version: Its name, growing with time.
        path: Folder of the artefact, relative to the folder of models.
        state: Exactly one is live.
        metrics: How it did when it was judged, and what it was learned from.
        created: Seconds since 1970.
        activated: When it was last made live, or None.
    """

    version: str
    path: str
    state: State
    metrics: Mapping[str, Any] = field(default_factory=dict)
    created: float = 0.0
    activated: float | None = None


@dataclass(frozen=True)
class AuditEntry:
    """Who changed what."""

    id: int
    time: float
    actor: str
    action: str
    target: str
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class StoredReply:
    """The answer to a request that carried an idempotency key.

    Attributes:
        key: The key, made unique to its caller by who stores it.
        request_digest: Of the request, so that another request under the same key can be told apart.
        status: Of HTTP.
        body: The answer as text.
        time: Seconds since 1970; 0 is filled in when it is stored.
    """

    key: str
    request_digest: str
    status: int
    body: str
    time: float = 0.0
