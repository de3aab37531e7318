"""Routes of people and of what they did."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from pydantic import Discriminator, Tag

from salon.errors import DataError, SettingError
from salon.serve.auth import Reader, Writer
from salon.serve.examples import PERSON, shown
from salon.serve.once import IdempotencyKey, OnceRoute, once_id
from salon.serve.problems import declared
from salon.serve.receipts import receipts
from salon.serve.routes_items import Cursor, page_size
from salon.serve.schemas import CountOut, DeletedOut, ReceiptsOut
from salon.serve.schemas_ask import Language
from salon.serve.schemas_shop import (
    EventBody,
    EventOut,
    EventsBody,
    EventsOut,
    MergeBody,
    UserBody,
    UserOut,
    UsersBody,
    UsersOut,
)
from salon.store.values import StoredEvent, StoredUser

router = APIRouter(prefix="/v1", tags=["people"], responses=declared(404, 409), route_class=OnceRoute)

UserId = Annotated[
    str, Path(min_length=1, max_length=300, pattern=r"^[^\x00]+$", description="A person; slashes are part of the id.")
]
Where = Annotated[str, Query(max_length=300, pattern=r"^[^\x00]*$")]
Rows = Annotated[int, Query(ge=1, le=10_000, description="Rows of a page.")]
OneOrMany = Annotated[
    Annotated[EventBody, Tag("one")] | Annotated[EventsBody, Tag("many")],
    Discriminator(lambda value: "many" if isinstance(value, dict) and "events" in value else "one"),
]


@router.post("/users", dependencies=[IdempotencyKey])
async def put_users(body: UsersBody, caller: Writer) -> ReceiptsOut:
    """Store people with their attributes; each part has a result of its own."""

    def store(parts: list[Any]) -> list[Any]:
        return caller.service.put_users([StoredUser(part.id, part.fields) for part in parts])

    return await receipts(body.users, store, caller)


@router.post("/users/merge", dependencies=[IdempotencyKey])
async def merge_users(body: MergeBody, caller: Writer) -> CountOut:
    """Give everything that one person did to another, such as when a visitor signs in."""
    if body.source == body.target:
        raise SettingError(f"{body.source!r} cannot be merged into itself.", hint="Name two people.")
    moved = await caller.run(caller.service.merge_users, body.source, body.target)
    await caller.audit("merge users", body.source, {"target": body.target})
    return CountOut(moved=moved)


@router.get("/users")
async def get_users(caller: Reader, n: Rows = 100, cursor: Cursor = "") -> UsersOut:
    """People in the order of their ids."""
    page = await caller.run(caller.service.users, cursor, page_size(n, caller))
    return UsersOut(users=[UserOut.of(user) for user in page.rows], cursor=page.cursor)


@router.get("/users/{id:path}")
async def get_user(id: UserId, caller: Reader) -> UserOut:
    """One person."""
    return UserOut.of(await caller.run(caller.service.user, id))


@router.put("/users/{id:path}")
async def put_user(id: UserId, body: UserBody, caller: Writer) -> UserOut:
    """Store one person with their attributes."""
    (receipt,) = await caller.run(caller.service.put_users, [StoredUser(id, body.fields)])
    if receipt.error is not None:
        raise DataError(str(receipt.error.get("message", "")), hint=str(receipt.error.get("hint", "")))
    return UserOut.of(await caller.run(caller.service.user, id))


@router.patch("/users/{id:path}")
async def patch_user(id: UserId, body: UserBody, caller: Writer) -> UserOut:
    """Change some attributes of a person; null removes one."""
    return UserOut.of(await caller.run(caller.service.patch_user, id, body.fields))


@router.delete("/users/{id:path}")
async def delete_user(id: UserId, caller: Writer) -> DeletedOut:
    """Remove a person and all they did."""
    deleted = await caller.run(caller.service.delete_users, [id])
    await caller.audit("delete user", id)
    return DeletedOut(deleted=deleted)


@router.post("/events", dependencies=[IdempotencyKey])
async def add_events(body: OneOrMany, request: Request, caller: Writer) -> ReceiptsOut:
    """Store what people did: one event, or {"events": [...]} with a result for each.

    What is told as stored is on the disk, and counts in the person's next answer. One event that is wrong is an
    error; in a batch, only its own part is rejected. The kind "not_interested" takes the item out of every later
    answer for the person.
    """
    parts = body.events if isinstance(body, EventsBody) else [body]
    places = {id(part): place for place, part in enumerate(parts)}

    def store(sound: list[Any]) -> list[Any]:
        return caller.service.add_events([_event(part, once_id(request, places[id(part)])) for part in sound])

    answer = await receipts(parts, store, caller)
    caller.tenant.metrics.events.inc(sum(one.status == "stored" for one in answer.results))
    error = answer.results[0].error
    if isinstance(body, EventBody) and error is not None:
        raise DataError(error.message, hint=error.hint)
    return answer


def _event(body: EventBody, name: str) -> StoredEvent:
    values = dict(body)
    values["event_id"] = body.event_id or name
    return StoredEvent(**values)


@router.get("/events")
async def get_events(
    caller: Reader,
    user: Where = "",
    item: Where = "",
    kind: Where = "",
    n: Rows = 100,
    cursor: Cursor = "",
) -> EventsOut:
    """Events in the order they came, of a person, on an item, or of a kind."""
    where = {name: value for name, value in (("user", user), ("item", item), ("kind", kind)) if value}
    page = await caller.run(caller.service.events, cursor, page_size(n, caller), **where)
    return EventsOut(events=[EventOut.of(event) for event in page.rows], cursor=page.cursor)


@router.delete("/events")
async def delete_events(
    caller: Writer, user: Where = "", item: Where = "", kind: Where = "", event_id: Where = ""
) -> DeletedOut:
    """Remove the events that match everything named; at least one thing must be."""
    given = (("user", user), ("item", item), ("kind", kind), ("event_id", event_id))
    where = {name: value for name, value in given if value}
    if not where:
        raise SettingError("No events are named.", hint="Give user, item, kind or event_id.")
    deleted = await caller.run(caller.service.delete_events, **where)
    await caller.audit("delete events", " ".join(where.values()), {"deleted": deleted})
    return DeletedOut(deleted=deleted)


@router.get("/people", responses=shown(PERSON))
async def get_person(
    caller: Reader,
    user: Annotated[str, Query(min_length=1, max_length=300, pattern=r"^[^\x00]+$")],
    k: Annotated[int, Query(ge=1, le=100)] = 10,
    language: Language = "en",
) -> dict[str, Any]:
    """One person's history with times and kinds, and what is recommended with why."""
    return dict(await caller.run(caller.service.person, user, k, language))
