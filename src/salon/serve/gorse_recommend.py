"""Recommendations for Gorse's clients: by user, by session, latest, popular, and neighbours."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Path, Query, Request

from salon.errors import SettingError, UnknownIdError, did_you_mean
from salon.serve.auth import Reader
from salon.serve.gorse_schemas import GorseFeedback, GorseScore, delay_of, event_of
from salon.serve.keys import allows
from salon.serve.problems import declared
from salon.serve.state import Caller
from salon.serve.values import Ask, Reply

PREFIX = "/api"

router = APIRouter(prefix=PREFIX, tags=["gorse"], responses=declared(404, 409, 501, 507, plain=True))

Part = Annotated[str, Path(min_length=1, max_length=300, pattern=r"^[^\x00]+$")]


@dataclass(frozen=True)
class Wanted:
    """Which part of a list: `n` items after the first `offset`, in all of some categories."""

    n: int
    offset: int
    categories: tuple[str, ...] = ()


def _wanted(
    request: Request,
    categories: Annotated[
        list[str] | None, Query(alias="category", max_length=20, description="All must hold.")
    ] = None,
    n: Annotated[int, Query(ge=1, le=10_000)] = 10,
    offset: Annotated[int, Query(ge=0, le=10_000)] = 0,
) -> Wanted:
    """What the query says, and the category at the end of some paths."""
    named = (request.path_params.get("category", ""), *(categories or []))
    return Wanted(n, offset, tuple(one for one in named if one))


Want = Annotated[Wanted, Depends(_wanted)]
UserId = Annotated[
    str, Query(alias="user-id", max_length=300, pattern=r"^[^\x00]*$", description="Drops what they saw.")
]


def asked(caller: Caller, want: Wanted, user: str = "") -> Ask:
    """The question for a part of a list, from its beginning.

    Raises:
        SettingError: More is asked for than one call may.
    """
    k = want.n + want.offset
    if k > caller.limits.k:
        raise SettingError(f"n + offset is {k}.", hint=f"At most {caller.limits.k} may be.")
    field = json.dumps(caller.state.settings.gorse.categories, ensure_ascii=False)
    words = [json.dumps(one, ensure_ascii=False) for one in want.categories]
    text = " and ".join(f"{word} in item[{field}]" for word in words)
    if len(text) > caller.limits.expression:
        raise SettingError("The categories are too long together.", hint="Ask for fewer.")
    return Ask(user=user or None, k=k, filter=text, logged=False)


def scores(reply: Reply, want: Wanted) -> list[GorseScore]:
    """The wanted part of an answer."""
    return [GorseScore(Id=item.id, Score=item.score) for item in reply.items[want.offset :]]


def check_name(name: str, known: tuple[str, ...]) -> None:
    """Refuses the name of a recommender that the settings do not have.

    Raises:
        UnknownIdError: It is not among them.
    """
    if name not in known:
        raise UnknownIdError(f"There is no recommender {name!r} here.", hint=did_you_mean(name, known))


# -- for a user --------------------------------------------------------------------------------------------------------


async def recommend(
    caller: Reader,
    user: Part,
    want: Want,
    write_back_type: Annotated[str, Query(alias="write-back-type", max_length=100, pattern=r"^[^\x00]*$")] = "",
    write_back_delay: Annotated[str, Query(alias="write-back-delay", max_length=40)] = "",
    version: Annotated[str, Header(alias="X-API-Version", max_length=10)] = "",
) -> list[GorseScore] | list[str]:
    """Ids of items for a user; with `X-API-Version: 2`, with scores. What is answered can be written back as read."""
    ask = replace(asked(caller, want, user), logged=True)
    found = scores(await caller.tenant.scorer.ask(ask), want)
    if write_back_type:
        await _write_back(caller, user, found, write_back_type, delay_of(write_back_delay))
    return found if version.strip() == "2" else [one.Id for one in found]


async def _write_back(caller: Caller, user: str, found: list[GorseScore], kind: str, delay: float) -> None:
    if not allows(caller.key, "write"):
        raise SettingError("write-back-type needs a key with the scope write.", hint="Leave it out.")
    when = time.time() + delay
    feedback = [GorseFeedback(FeedbackType=kind, UserId=user, ItemId=one.Id) for one in found]
    if feedback:
        await caller.run(caller.service.add_events, [replace(event_of(one), time=when) for one in feedback])


async def recommend_all(
    caller: Reader,
    user: Part,
    want: Want,
) -> list[GorseScore]:
    """Items for a user with scores, as the model finds them."""
    return scores(await caller.tenant.scorer.ask(asked(caller, want, user)), want)


# -- for a session -----------------------------------------------------------------------------------------------------


async def recommend_session(
    body: list[GorseFeedback],
    caller: Reader,
    want: Want,
) -> list[GorseScore]:
    """Items for whoever gave this feedback, oldest first by time; nothing is stored."""
    if len(body) > caller.limits.batch:
        raise SettingError(f"{len(body)} rows were sent.", hint=f"At most {caller.limits.batch} may be in one call.")
    events = sorted((event_of(one) for one in body), key=lambda event: event.time)
    ask = asked(caller, want)
    reply = await caller.tenant.scorer.ask(replace(ask, history=tuple(event.item for event in events)))
    return scores(reply, want)


# -- for everybody -----------------------------------------------------------------------------------------------------


async def latest(
    caller: Reader,
    want: Want,
    user: UserId = "",
) -> list[GorseScore]:
    """The newest items; the score is the time."""
    ask = asked(caller, want, user)
    return scores(await caller.run(caller.service.newest, ask), want)


async def popular(
    caller: Reader,
    want: Want,
    user: UserId = "",
) -> list[GorseScore]:
    """What most people like."""
    ask = asked(caller, want, user)
    return scores(await caller.run(caller.service.popular, ask), want)


async def non_personalized(
    caller: Reader,
    name: Part,
    want: Want,
    user: UserId = "",
) -> list[GorseScore]:
    """The newest items under the name `latest`, what most people like under the names in the settings."""
    known = caller.state.settings.gorse.non_personalized
    check_name(name, ("latest", *known))
    answer = latest if name == "latest" else popular
    return await answer(caller, want, user)


# -- neighbours --------------------------------------------------------------------------------------------------------


async def item_to_item(
    caller: Reader,
    name: Part,
    item: Part,
    want: Want,
    user: UserId = "",
) -> list[GorseScore]:
    """The items most like one."""
    check_name(name, caller.state.settings.gorse.item_to_item)
    ask = asked(caller, want, user)
    return scores(await caller.run(caller.service.similar, item, ask), want)


async def neighbors(
    caller: Reader,
    item: Part,
    want: Want,
) -> list[GorseScore]:
    """The items most like one, under its older address."""
    ask = asked(caller, want)
    return scores(await caller.run(caller.service.similar, item, ask), want)


async def user_to_user(caller: Reader, name: Part, user: Part, want: Want) -> list[GorseScore]:
    """The users most like one."""
    check_name(name, caller.state.settings.gorse.user_to_user)
    return await user_neighbors(caller, user, want)


async def user_neighbors(caller: Reader, user: Part, want: Want) -> list[GorseScore]:
    """The users most like one, under its older address."""
    k = asked(caller, want).k
    found = await caller.run(caller.service.similar_users, user, k)
    return [GorseScore(Id=one, Score=score) for one, score in found[want.offset :]]


def _add(method: str, call: Callable[..., Any], path: str, *, category: bool = False) -> None:
    """A route; and where a category may follow, one more, and one for the slash that clients write before none."""
    router.add_api_route(path, call, methods=[method])
    if category:
        router.add_api_route(f"{path}/", call, methods=[method], include_in_schema=False)
        schema = {"type": "string", "minLength": 1, "maxLength": 300}
        told = {"parameters": [{"name": "category", "in": "path", "required": True, "schema": schema}]}
        router.add_api_route(f"{path}/{{category}}", call, methods=[method], openapi_extra=told)


_add("GET", recommend, "/recommend/{user}", category=True)
_add("GET", recommend_all, "/collaborative-filtering/{user}")
_add("POST", recommend_session, "/session/recommend", category=True)
_add("GET", latest, "/latest", category=True)
_add("GET", popular, "/popular", category=True)
_add("GET", non_personalized, "/non-personalized/{name}")
_add("GET", item_to_item, "/item-to-item/{name}/{item}")
_add("GET", neighbors, "/item/{item}/neighbors", category=True)
_add("GET", user_to_user, "/user-to-user/{name}/{user}")
_add("GET", user_neighbors, "/user/{user}/neighbors")
