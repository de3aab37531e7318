"""Who is calling: by a key in a header, or by the cookie of a sign-in on the pages; and whether they may."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit

from fastapi import Depends, Request
from fastapi.security import APIKeyCookie, APIKeyHeader, HTTPBearer

from salon.errors import AuthError, ForbiddenError
from salon.serve.keys import Scope, Sessions, allows, parts_of
from salon.serve.state import Caller, State
from salon.store.values import StoredKey

T = TypeVar("T")
TOUCH_SECONDS = 60.0
"""How often the last use of a key is written."""
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})

_bearer = HTTPBearer(auto_error=False, scheme_name="key", description="`Authorization: Bearer salon_...`")
_header = APIKeyHeader(name="X-API-Key", auto_error=False, scheme_name="header", description="The same key.")
_cookie = APIKeyCookie(
    name=Sessions.COOKIE, auto_error=False, scheme_name="session", description="The cookie of POST /v1/session."
)


def state_of(request: Request) -> State:
    """What the app keeps."""
    state: State = request.app.state.salon
    return state


async def authenticate(request: Request) -> Caller:
    """The caller of a request, found once; their call is counted against the rate of their key.

    Raises:
        AuthError: There is no key, or it is not known.
        ForbiddenError: A page of another site tries to use a sign-in.
        RateError: The key, or the address that sends unknown keys, calls too often.
    """
    known: Caller | None = request.scope.get("salon_caller")
    if known is not None:
        return known
    state = state_of(request)
    try:
        key, by_cookie = await _key_of(request, state)
    except AuthError:
        state.buckets.take(f"address {request.client.host if request.client else ''}")
        raise
    state.buckets.take(key.prefix)
    if by_cookie and request.method not in SAFE:
        _check_origin(request)
    tenant = state.tenants.get(key.tenant)
    if tenant is None:
        raise ForbiddenError(f"The tenant {key.tenant!r} of this key is not served here.")
    caller = Caller(state, tenant, key, by_cookie)
    request.scope["salon_caller"] = caller
    await _touch(state, key)
    return caller


async def _key_of(request: Request, state: State) -> tuple[StoredKey, bool]:
    text = request.headers.get("x-api-key", "")
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        text = value.strip()
    if text:
        return await _found(state, state.keyring.by_text, text, parts_of(text)[1]), False
    cookie = request.cookies.get(Sessions.COOKIE)
    if not cookie:
        hint = "Send it as `Authorization: Bearer salon_...`, or sign in on the pages."
        raise AuthError("This call needs a key.", hint=hint)
    prefix = state.sessions.read(cookie)
    key = await _found(state, state.keyring.by_prefix, prefix, prefix)
    if key is None:
        raise AuthError("The key of this sign-in is revoked.", hint="Sign in with another one.")
    return key, True


async def _found(state: State, find: Callable[[str], T], text: str, prefix: str) -> T:
    """What `find` gives; in a thread, unless it is remembered."""
    return find(text) if state.keyring.remembers(prefix) else await state.workers.run(find, text)


def _check_origin(request: Request) -> None:
    """Refuses writes by cookie that a page of another site could have sent: every browser says where they come from."""
    site = request.headers.get("sec-fetch-site")
    if site in ("same-origin", "none"):
        return
    origin = request.headers.get("origin", "")
    if site is None and origin and urlsplit(origin).netloc == request.headers.get("host"):
        return
    hint = "Only the pages of this server may use a sign-in; programs send a key."
    raise ForbiddenError("The call does not come from the pages of this server.", hint=hint)


async def _touch(state: State, key: StoredKey) -> None:
    """Writes when a key was last used, at most once a minute."""
    now = time.time()
    if now - state.touched.get(key.prefix, 0.0) > TOUCH_SECONDS:
        if len(state.touched) > 10_000:
            state.touched.clear()
        state.touched[key.prefix] = now
        await state.workers.run(state.main.store.keys.touch, key.prefix, now)


def needs(scope: Scope) -> Callable[..., Awaitable[Caller]]:
    """A dependency that gives the caller if they have `scope`.

    Raises:
        ForbiddenError: Their key has a smaller scope.
    """

    async def caller(
        request: Request,
        _bearer: Annotated[Any, Depends(_bearer)],
        _header: Annotated[Any, Depends(_header)],
        _cookie: Annotated[Any, Depends(_cookie)],
    ) -> Caller:
        found = await authenticate(request)
        if not allows(found.key, scope):
            hint = f"Use a key with the scope {scope}: salon keys add --scope {scope}."
            raise ForbiddenError(f"This call needs the scope {scope!r}.", hint=hint)
        return found

    return caller


Reader = Annotated[Caller, Depends(needs("read"))]
Writer = Annotated[Caller, Depends(needs("write"))]
Admin = Annotated[Caller, Depends(needs("admin"))]
