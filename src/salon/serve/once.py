"""Writes that happen once: a POST with an `Idempotency-Key` that was answered before is answered the same again.

The answer of a successful call is kept in the store; errors are not, for they wrote nothing. Where the server ends
between a write and the keeping of its answer, sending the same again is still right: what such a call stores has ids
made from the key (`once_id`), and storing those twice is the same as once.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Coroutine
from typing import Annotated, Any
from weakref import WeakValueDictionary

from fastapi import Depends, Header, Request, Response
from fastapi.routing import APIRoute

from salon.errors import ConflictError
from salon.serve.auth import authenticate
from salon.serve.state import Caller
from salon.store.values import StoredReply

KEPT_SECONDS = 86_400.0
"""How long answers are kept."""
FORGET_EVERY = 600.0
"""How often old answers are looked for."""
HEADER = "idempotency-key"

_running: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
"""One lock for each call in progress; it goes with the last one who waits for it."""


def _declare(
    key: Annotated[
        str | None,
        Header(
            alias="Idempotency-Key",
            min_length=1,
            max_length=200,
            pattern=r"^[\x21-\x7e]+$",
            description="Any word of yours: the same call with the same word is done once, and answered the same.",
        ),
    ] = None,
) -> None:
    """Puts the header into the description of the API."""


IdempotencyKey = Depends(_declare)


class OnceRoute(APIRoute):
    """A route whose POSTs are done once for each `Idempotency-Key`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler, with the memory around it."""
        handler = super().get_route_handler()

        async def once(request: Request) -> Response:
            key = request.headers.get(HEADER)
            if key is None or request.method != "POST" or not 1 <= len(key) <= 200:
                return await handler(request)
            return await _once(request, key, handler)

        return once


async def _once(request: Request, key: str, handler: Callable[[Request], Coroutine[Any, Any, Response]]) -> Response:
    caller = await authenticate(request)
    content = await request.body()
    digest = hashlib.sha256(f"{request.method} {request.url.path}?{request.url.query}\n".encode() + content).hexdigest()
    name = hashlib.sha256(f"{caller.key.prefix} {key}".encode()).hexdigest()
    replies = caller.tenant.store.replies
    lock = _running.setdefault(name, asyncio.Lock())
    async with lock:
        kept = await caller.run(replies.get, name)
        if kept is not None and kept.request_digest != digest:
            hint = "Take a new word for every new call."
            raise ConflictError(f"The Idempotency-Key {key!r} was sent with another call.", hint=hint)
        if kept is not None:
            headers = {"Idempotency-Replayed": "true"}
            return Response(kept.body, kept.status, headers, media_type="application/json")
        request.scope["salon_once"] = name
        response = await handler(request)
        if response.status_code < 300:
            body = bytes(response.body).decode()
            await caller.run(_keep, caller, StoredReply(name, digest, response.status_code, body, time.time()))
        return response


def _keep(caller: Caller, reply: StoredReply) -> None:
    """Keeps an answer; now and then, forgets those that are too old."""
    replies, touched, name = caller.tenant.store.replies, caller.state.touched, f"replies of {caller.tenant.name}"
    replies.put(reply)
    if reply.time - touched.get(name, 0.0) > FORGET_EVERY:
        touched[name] = reply.time
        replies.expire(reply.time - KEPT_SECONDS)


def once_id(request: Request, place: int) -> str:
    """The id of the part at `place` of a call with an `Idempotency-Key`, the same each time it is sent; else ""."""
    name = request.scope.get("salon_once")
    return f"once-{name[:32]}-{place}" if name else ""
