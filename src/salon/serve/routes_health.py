"""Routes for whoever runs the server: probes and numbers."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from salon.errors import ForbiddenError
from salon.serve.auth import authenticate, state_of
from salon.serve.keys import allows
from salon.serve.metrics import CONTENT
from salon.serve.problems import declared
from salon.serve.schemas import Out

router = APIRouter(tags=["health"])


class LiveOut(Out):
    """The process answers."""

    live: bool = True


class ReadyOut(Out):
    """Whether calls can be answered; the names in capitals are those of Gorse."""

    ready: bool
    store: bool
    model: str
    error: str
    Ready: bool
    DataStoreConnected: bool
    DataStoreError: str
    CacheStoreConnected: bool
    CacheStoreError: str


@router.get("/health/live")
async def live() -> LiveOut:
    """Whether the process runs; no key is needed."""
    return LiveOut()


@router.get("/health/ready", responses={503: {"model": ReadyOut, "description": "Calls cannot be answered yet."}})
async def ready(request: Request) -> ReadyOut:
    """Whether the store answers and a model is there; no key is needed."""
    state = state_of(request)
    found = await state.workers.run(state.main.service.ready)
    good, error = bool(found.get("ready")), str(found.get("error", ""))
    store = bool(found.get("store"))
    out = ReadyOut(
        ready=good,
        store=store,
        model=str(found.get("model", "")),
        error=error,
        Ready=good,
        DataStoreConnected=store,
        DataStoreError="" if store else error,
        CacheStoreConnected=store,
        CacheStoreError="" if store else error,
    )
    return out if good else JSONResponse(out.model_dump(), 503)  # type: ignore[return-value]


@router.get(
    "/metrics",
    response_class=Response,
    openapi_extra={"security": [{"key": []}, {"header": []}, {"session": []}]},
    responses={200: {"content": {"text/plain": {}}, "description": "Numbers for Prometheus."}, **declared()},
)
async def metrics(request: Request) -> Any:
    """Numbers of the caller's tenant for Prometheus; a key with the scope read, unless the settings open it."""
    state = state_of(request)
    tenant = state.main
    if not state.settings.open_metrics:
        caller = await authenticate(request)
        if not allows(caller.key, "read"):
            raise ForbiddenError("This call needs the scope 'read'.")
        tenant = caller.tenant
    tenant.metrics.waiting.set(state.workers.pending)
    return Response(await state.workers.run(tenant.metrics.page), media_type=CONTENT)
