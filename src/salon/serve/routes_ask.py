"""Routes that answer with items or people: recommend, similar, rank, popular."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query

from salon.errors import SalonError, SettingError
from salon.serve.auth import Reader
from salon.serve.problems import declared
from salon.serve.schemas_ask import (
    BatchBody,
    BatchOut,
    LikeUserOut,
    LikeUsersOut,
    NextBody,
    PartOut,
    RankBody,
    RecommendBody,
    ReplyOut,
    SimilarBody,
    SimilarUsersBody,
    ask_of,
)
from salon.serve.values import Reply

router = APIRouter(prefix="/v1", tags=["recommend"], responses=declared(404, 409, 507))


@router.post("/recommend")
async def recommend(body: RecommendBody, caller: Reader) -> ReplyOut:
    """Items for a person, a session, or anybody.

    Every item says who found it. Where nothing is known of the person, the answer says so in `notes` and gives what
    is popular. Send `recommendation_id` with the events that follow.
    """
    return ReplyOut.of(await caller.tenant.scorer.ask(ask_of(body, caller.limits)))


@router.post("/recommend/next")
async def recommend_next(body: NextBody, caller: Reader) -> ReplyOut:
    """The next page of an answer, without what the pages before had."""
    ask = ask_of(body, caller.limits, after=body.recommendation_id)
    return ReplyOut.of(await caller.tenant.scorer.ask(ask))


@router.post("/recommend/batch")
async def recommend_batch(body: BatchBody, caller: Reader) -> BatchOut:
    """Several questions at once; an error of one does not touch the others."""
    most = caller.limits.asks
    if len(body.requests) > most:
        raise SettingError(f"{len(body.requests)} questions were sent.", hint=f"At most {most} may be.")
    parts = await asyncio.gather(*(_part(one, caller) for one in body.requests))
    return BatchOut(results=parts)


async def _part(body: RecommendBody, caller: Reader) -> PartOut:
    try:
        return PartOut(reply=ReplyOut.of(await caller.tenant.scorer.ask(ask_of(body, caller.limits))))
    except SalonError as error:
        return PartOut(error=error.to_dict())


@router.post("/similar")
async def similar(body: SimilarBody, caller: Reader) -> ReplyOut:
    """The items most like one, by what people do and by content."""
    return _counted(caller, await caller.run(caller.service.similar, body.item, ask_of(body, caller.limits)))


@router.post("/similar-users")
async def similar_users(body: SimilarUsersBody, caller: Reader) -> LikeUsersOut:
    """The people whose tastes are most like one person's."""
    ask_of(body, caller.limits)
    found = await caller.run(caller.service.similar_users, body.user, body.k)
    return LikeUsersOut(users=[LikeUserOut(user=user, score=score) for user, score in found])


@router.post("/rank")
async def rank(body: RankBody, caller: Reader) -> ReplyOut:
    """The items of a list, best first for a person."""
    items = tuple(dict.fromkeys(body.items))
    k = min(len(items), caller.limits.k)
    ask = ask_of(body, caller.limits, candidates=items, k=k, seen=True, diversity=0.0, exploration=0.0)
    return ReplyOut.of(await caller.tenant.scorer.ask(ask))


@router.get("/popular")
async def popular(
    caller: Reader,
    k: Annotated[int, Query(ge=1, le=10_000)] = 10,
    filter: Annotated[str, Query(max_length=10_000, description="Only items for which it holds.")] = "",
) -> ReplyOut:
    """What most people like."""
    ask = ask_of(RecommendBody(k=k, filter=filter, logged=False), caller.limits)
    return _counted(caller, await caller.run(caller.service.popular, ask))


def _counted(caller: Reader, reply: Reply) -> ReplyOut:
    caller.tenant.metrics.answered(reply)
    return ReplyOut.of(reply)
