"""Routes of keys and sign-ins, and the log of who changed what."""

from __future__ import annotations

import time
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from salon.errors import AuthError, UnknownIdError
from salon.serve.auth import Admin, Reader, state_of
from salon.serve.keys import Sessions, make_key
from salon.serve.problems import declared
from salon.serve.routes_items import page_size
from salon.serve.schemas import DeletedOut
from salon.serve.schemas_shop import AuditOut, AuditsOut, KeyBody, KeyOut, KeysOut, NewKeyOut, SessionBody, SessionOut
from salon.serve.state import Caller

router = APIRouter(prefix="/v1", tags=["keys"], responses=declared(404))


@router.post("/session")
async def sign_in(body: SessionBody, request: Request, response: Response) -> SessionOut:
    """Sign in on the pages with a key: sets a cookie that scripts cannot read and other sites cannot use."""
    state = state_of(request)
    address = f"address {request.client.host if request.client else ''}"
    try:
        key = await state.workers.run(state.keyring.by_text, body.key.strip())
    except AuthError:
        state.buckets.take(address)
        raise
    secure = state.settings.tls
    response.set_cookie(
        Sessions.COOKIE,
        state.sessions.sign(key),
        max_age=int(state.sessions.seconds),
        path="/",
        secure=secure,
        httponly=True,
        samesite="strict",
    )
    return _session(Caller(state, state.main, key))


@router.get("/session")
async def who(caller: Reader) -> SessionOut:
    """Who is calling."""
    return _session(caller)


@router.delete("/session")
async def sign_out(response: Response) -> DeletedOut:
    """Sign out on the pages."""
    response.delete_cookie(Sessions.COOKIE, path="/", httponly=True, samesite="strict")
    return DeletedOut(deleted=1)


def _session(caller: Caller) -> SessionOut:
    key = caller.key
    return SessionOut(name=key.name, scopes=list(key.scopes), tenant=key.tenant, seconds=caller.state.sessions.seconds)


@router.get("/keys")
async def get_keys(caller: Admin) -> KeysOut:
    """The keys of the caller's tenant, without their secrets."""
    keys = await caller.run(caller.state.main.store.keys.all)
    return KeysOut(keys=[KeyOut.of(key) for key in keys if key.tenant == caller.tenant.name])


@router.post("/keys")
async def add_key(body: KeyBody, caller: Admin) -> NewKeyOut:
    """Make a key for the caller's tenant. The whole key is in this answer and nowhere else.

    An `Idempotency-Key` has no effect here, since answers that are kept would hold the key.
    """
    text, key = make_key(body.name, body.scopes, tenant=caller.tenant.name)
    await caller.run(caller.state.main.store.keys.add, key)
    await caller.audit("add key", key.prefix, {"name": key.name, "scopes": list(key.scopes)})
    return NewKeyOut(**KeyOut.of(key).model_dump(), key=text)


@router.delete("/keys/{prefix}")
async def revoke_key(
    prefix: Annotated[str, Path(max_length=40, pattern="^[A-Za-z0-9]+$")], caller: Admin
) -> DeletedOut:
    """Revoke a key, by its public part. Other processes notice within five seconds."""
    keys = caller.state.main.store.keys
    key = await caller.run(keys.find, prefix)
    if key is None or key.tenant != caller.tenant.name:
        raise UnknownIdError(f"There is no key {prefix!r}.", hint="See GET /v1/keys.")
    await caller.run(keys.revoke, prefix)
    caller.state.keyring.forget(prefix)
    await caller.audit("revoke key", prefix, {"at": time.time()})
    return DeletedOut(deleted=1)


@router.get("/audit")
async def get_audit(
    caller: Admin,
    n: Annotated[int, Query(ge=1, le=10_000)] = 100,
    cursor: Annotated[str, Query(max_length=20, pattern="^[0-9]*$", description="From the page before.")] = "",
) -> AuditsOut:
    """Who changed what, newest first."""
    page = await caller.run(caller.tenant.store.audit.page, cursor or 0, page_size(n, caller))
    return AuditsOut(entries=[AuditOut.of(entry) for entry in page.rows], cursor=page.cursor)
