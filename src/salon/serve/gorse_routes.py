"""The facade for Gorse's clients: users, items and feedback below /api, with Gorse's names and answers.

Paths take ids without slashes, as Gorse does; errors are told as text. What Gorse configures as named recommenders is
answered by salon's own, under the names in the settings.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query

from salon.errors import DataError, SettingError, UnknownIdError
from salon.serve.auth import Reader, Writer
from salon.serve.gorse_recommend import PREFIX
from salon.serve.gorse_schemas import (
    GorseFeedback,
    GorseFeedbackOut,
    GorseFeedbacks,
    GorseItem,
    GorseItemOut,
    GorseItemPatch,
    GorseItems,
    GorseUser,
    GorseUserOut,
    GorseUserPatch,
    GorseUsers,
    RowAffected,
    event_of,
    feedback_out,
    fields_of,
    item_fields,
    item_out,
    joined,
    seconds_of,
    user_out,
)
from salon.serve.problems import declared
from salon.serve.routes_health import ReadyOut, ready
from salon.serve.settings import GorseNames
from salon.serve.state import Caller
from salon.serve.values import Ask, Receipt
from salon.store.values import StoredEvent, StoredItem, StoredUser

MOST_LISTED = 10_000
"""Events of one person or item that are read for one list."""

router = APIRouter(prefix=PREFIX, tags=["gorse"], responses=declared(404, 409, 501, 507, plain=True))
router.add_api_route("/health/live", ready, methods=["GET"], response_model=ReadyOut)
router.add_api_route("/health/ready", ready, methods=["GET"], response_model=ReadyOut)

Part = Annotated[str, Path(min_length=1, max_length=300, pattern=r"^[^\x00]+$")]
Rows = Annotated[int, Query(ge=1, le=10_000)]
Cursor = Annotated[str, Query(max_length=1000, pattern=r"^[^\x00]*$")]


def names_of(caller: Caller) -> GorseNames:
    """How the facade names things."""
    return caller.state.settings.gorse


def affected(receipts: list[Receipt]) -> RowAffected:
    """How many were stored.

    Raises:
        DataError: One was rejected; those before and after it are stored.
    """
    for receipt in receipts:
        if receipt.error is not None:
            raise DataError(f"{receipt.id!r}: {receipt.error.get('message', '')}")
    return RowAffected(RowAffected=len(receipts))


def bounded(parts: list[Any], caller: Caller) -> list[Any]:
    """`parts`, if one call may have so many."""
    if len(parts) > caller.limits.batch:
        raise SettingError(f"{len(parts)} rows were sent.", hint=f"At most {caller.limits.batch} may be in one call.")
    return parts


async def _deleted(caller: Caller, action: str, target: str, delete: Callable[[], int]) -> RowAffected:
    """Deletes, and writes down who did."""
    rows = await caller.run(delete)
    await caller.audit(action, target, {"deleted": rows})
    return RowAffected(RowAffected=rows)


# -- users -------------------------------------------------------------------------------------------------------------


@router.post("/user")
async def insert_user(body: GorseUser, caller: Writer) -> RowAffected:
    """Insert or overwrite a user."""
    return await insert_users([body], caller)


@router.post("/users")
async def insert_users(body: list[GorseUser], caller: Writer) -> RowAffected:
    """Insert or overwrite users."""
    names = names_of(caller)
    users = [StoredUser(u.UserId, fields_of(u.Labels, u.Comment, names)) for u in bounded(body, caller)]
    return affected(await caller.run(caller.service.put_users, users))


@router.get("/users")
async def get_users(caller: Reader, n: Rows = 100, cursor: Cursor = "") -> GorseUsers:
    """A page of users."""
    page = await caller.run(caller.service.users, cursor, min(n, caller.limits.page))
    return GorseUsers(Cursor=page.cursor, Users=[user_out(user, names_of(caller)) for user in page.rows])


@router.get("/user/{user}")
async def get_user(user: Part, caller: Reader) -> GorseUserOut:
    """One user."""
    return user_out(await caller.run(caller.service.user, user), names_of(caller))


@router.patch("/user/{user}")
async def patch_user(user: Part, body: GorseUserPatch, caller: Writer) -> RowAffected:
    """Change a user."""
    await caller.run(caller.service.patch_user, user, fields_of(body.Labels, body.Comment, names_of(caller)))
    return RowAffected(RowAffected=1)


@router.delete("/user/{user}")
async def delete_user(user: Part, caller: Writer) -> RowAffected:
    """Delete a user with their feedback."""
    return await _deleted(caller, "delete user", user, partial(caller.service.delete_users, [user]))


# -- items -------------------------------------------------------------------------------------------------------------


@router.post("/item")
async def insert_item(body: GorseItem, caller: Writer) -> RowAffected:
    """Insert or overwrite an item."""
    return await insert_items([body], caller)


@router.post("/items")
async def insert_items(body: list[GorseItem], caller: Writer) -> RowAffected:
    """Insert or overwrite items."""
    names = names_of(caller)
    items = [
        StoredItem(i.ItemId, item_fields(i, names), bool(i.IsHidden), seconds_of(i.Timestamp or ""))
        for i in bounded(body, caller)
    ]
    return affected(await caller.run(caller.service.put_items, items))


@router.get("/items")
async def get_items(
    caller: Reader, n: Rows = 100, cursor: Cursor = "", q: Annotated[str, Query(max_length=2000)] = ""
) -> GorseItems:
    """A page of items; with `q`, what a search by words finds, with scores."""
    names = names_of(caller)
    if q.strip():
        found = await caller.run(caller.service.search, {"text": q}, Ask(k=min(n, caller.limits.k)), 0.0)
        items = [await caller.run(caller.service.item, one.item.id) for one in found]
        told = [{**item_out(i, names).model_dump(), "Score": f.item.score} for i, f in zip(items, found, strict=True)]
        return GorseItems(Cursor="", Items=told)
    page = await caller.run(caller.service.items, cursor, min(n, caller.limits.page), "")
    return GorseItems(Cursor=page.cursor, Items=[item_out(item, names) for item in page.rows])


@router.get("/item/{item}")
async def get_item(item: Part, caller: Reader) -> GorseItemOut:
    """One item."""
    return item_out(await caller.run(caller.service.item, item), names_of(caller))


@router.patch("/item/{item}")
async def patch_item(item: Part, body: GorseItemPatch, caller: Writer) -> RowAffected:
    """Change an item."""
    await caller.run(_patch, caller, item, body)
    return RowAffected(RowAffected=1)


def _patch(caller: Caller, item: str, body: GorseItemPatch) -> None:
    fields = item_fields(body, names_of(caller))
    if body.Timestamp is None:
        caller.service.patch_item(item, fields, body.IsHidden)
        return
    old = caller.service.item(item)  # the time of an item changes only when it is stored whole
    hidden = old.hidden if body.IsHidden is None else body.IsHidden
    affected(caller.service.put_items([StoredItem(item, {**old.fields, **fields}, hidden, seconds_of(body.Timestamp))]))


@router.delete("/item/{item}")
async def delete_item(item: Part, caller: Writer) -> RowAffected:
    """Delete an item with its feedback."""
    return await _deleted(caller, "delete item", item, partial(caller.service.delete_items, [item]))


@router.put("/item/{item}/category/{category}")
async def add_category(item: Part, category: Part, caller: Writer) -> RowAffected:
    """Put an item into a category."""
    return await caller.run(_categorise, caller, item, category, True)


@router.delete("/item/{item}/category/{category}")
async def remove_category(item: Part, category: Part, caller: Writer) -> RowAffected:
    """Take an item out of a category."""
    return await caller.run(_categorise, caller, item, category, False)


def _categorise(caller: Caller, item: str, category: str, inside: bool) -> RowAffected:
    names = names_of(caller)
    had = item_out(caller.service.item(item), names).Categories
    new = [one for one in had if one != category] + [category] * inside
    caller.service.patch_item(item, {names.categories: new}, None)
    return RowAffected(RowAffected=1)


# -- feedback ----------------------------------------------------------------------------------------------------------


@router.post("/feedback")
async def insert_feedback(body: list[GorseFeedback], caller: Writer) -> RowAffected:
    """Insert feedback; values of the same type, user and item add up."""
    return await caller.run(_feedback, caller, bounded(body, caller), False)


@router.put("/feedback")
async def overwrite_feedback(body: list[GorseFeedback], caller: Writer) -> RowAffected:
    """Insert feedback that takes the place of what was there of the same type, user and item."""
    return await caller.run(_feedback, caller, bounded(body, caller), True)


def _feedback(caller: Caller, body: list[GorseFeedback], overwrite: bool) -> RowAffected:
    """The new events are stored before older ones are removed, so that nothing acknowledged can be lost between."""
    events = [event_of(one) for one in body]
    _make_known(caller, events)
    old = (
        [event for e in events for event in _listed(caller, kind=e.kind, user=e.user, item=e.item)] if overwrite else []
    )
    rows = affected(caller.service.add_events(events))
    caller.tenant.metrics.events.inc(rows.RowAffected)
    for name in {event.event_id for event in old}:
        caller.service.delete_events(event_id=name)
    return rows


def _make_known(caller: Caller, events: list[StoredEvent]) -> None:
    names, store = names_of(caller), caller.tenant.store
    if names.insert_users:
        users = {event.user for event in events}
        caller.service.put_users([StoredUser(name) for name in sorted(users - set(store.users.get(sorted(users))))])
    if names.insert_items:
        items = {event.item for event in events}
        caller.service.put_items([StoredItem(name) for name in sorted(items - set(store.items.get(sorted(items))))])


def _listed(caller: Caller, **where: str) -> list[StoredEvent]:
    found: list[StoredEvent] = []
    cursor = ""
    while len(found) < MOST_LISTED:
        page = caller.service.events(cursor, 1000, **where)
        found += page.rows
        cursor = page.cursor
        if not cursor:
            break
    return found


@router.get("/feedback")
async def get_feedback(caller: Reader, n: Rows = 100, cursor: Cursor = "") -> GorseFeedbacks:
    """A page of feedback, in the order it came."""
    return await _page(caller, n, cursor)


@router.get("/feedback/{type}")
async def get_feedback_of_type(type: Part, caller: Reader, n: Rows = 100, cursor: Cursor = "") -> GorseFeedbacks:
    """A page of feedback of a type."""
    return await _page(caller, n, cursor, kind=type)


async def _page(caller: Caller, n: int, cursor: str, **where: str) -> GorseFeedbacks:
    page = await caller.run(caller.service.events, cursor, min(n, caller.limits.page), **where)
    return GorseFeedbacks(Cursor=page.cursor, Feedback=[feedback_out(event) for event in page.rows])


@router.get("/feedback/{user}/{item}")
async def get_feedback_between(user: Part, item: Part, caller: Reader) -> list[GorseFeedbackOut]:
    """Feedback of a user on an item."""
    return joined(await caller.run(_listed, caller, user=user, item=item))


@router.delete("/feedback/{user}/{item}")
async def delete_feedback_between(user: Part, item: Part, caller: Writer) -> RowAffected:
    """Delete the feedback of a user on an item."""
    delete = partial(caller.service.delete_events, user=user, item=item)
    return await _deleted(caller, "delete events", f"{user} {item}", delete)


@router.get("/feedback/{type}/{user}/{item}")
async def get_one_feedback(type: Part, user: Part, item: Part, caller: Reader) -> GorseFeedbackOut:
    """Feedback of a type of a user on an item."""
    found = joined(await caller.run(_listed, caller, kind=type, user=user, item=item))
    if not found:
        raise UnknownIdError(f"There is no feedback {type!r} of {user!r} on {item!r}.")
    return found[0]


@router.delete("/feedback/{type}/{user}/{item}")
async def delete_one_feedback(type: Part, user: Part, item: Part, caller: Writer) -> RowAffected:
    """Delete the feedback of a type of a user on an item."""
    delete = partial(caller.service.delete_events, kind=type, user=user, item=item)
    return await _deleted(caller, "delete events", f"{user} {item} {type}", delete)


@router.get("/user/{user}/feedback")
async def get_feedback_of_user(user: Part, caller: Reader) -> list[GorseFeedbackOut]:
    """Feedback of a user."""
    return joined(await caller.run(_listed, caller, user=user))


@router.get("/user/{user}/feedback/{type}")
async def get_typed_feedback_of_user(user: Part, type: Part, caller: Reader) -> list[GorseFeedbackOut]:
    """Feedback of a type of a user."""
    return joined(await caller.run(_listed, caller, user=user, kind=type))


@router.get("/item/{item}/feedback")
async def get_feedback_of_item(item: Part, caller: Reader) -> list[GorseFeedbackOut]:
    """Feedback on an item."""
    return joined(await caller.run(_listed, caller, item=item))


@router.get("/item/{item}/feedback/{type}")
async def get_typed_feedback_of_item(item: Part, type: Part, caller: Reader) -> list[GorseFeedbackOut]:
    """Feedback of a type on an item."""
    return joined(await caller.run(_listed, caller, item=item, kind=type))
