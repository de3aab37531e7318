"""The app: routes, limits and errors around the services of the tenants."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse

from salon import __version__
from salon.serve import (
    gorse_recommend,
    gorse_routes,
    problems,
    routes_ask,
    routes_health,
    routes_items,
    routes_keys,
    routes_people,
    routes_search,
    routes_shop,
    web,
)
from salon.serve.auth import state_of
from salon.serve.forms import BY_HAND
from salon.serve.keys import Keyring, Sessions
from salon.serve.limits import Buckets
from salon.serve.queries import KnownQuery
from salon.serve.settings import ServeSettings
from salon.serve.shell import Shell
from salon.serve.state import State, Tenant
from salon.serve.workers import Workers

ABOUT = """Recommendations that have read, seen and heard your catalogue.

Calls need a key, as `Authorization: Bearer salon_...` or `X-API-Key`; keys have the scopes read, write or admin, each
of which allows what those before it allow. Every answer has an `X-Request-ID`; every error is
`application/problem+json` with a stable `code` and a `hint`. Calls of Gorse's clients are answered below `/api`.
"""

ROUTERS = (routes_ask, routes_search, routes_items, routes_people, routes_shop, routes_keys, routes_health)


def create_app(tenants: Mapping[str, Tenant], settings: ServeSettings, secret: bytes) -> FastAPI:
    """The app around services that are started; they are closed when it ends.

    Args:
        tenants: By name; "default" is among them, and its store keeps the keys of all.
        settings: Of the server.
        secret: Signs the cookies of the pages; at least 32 random bytes.
    """
    limits = settings.limits
    state = State(
        settings,
        tenants,
        Workers(limits.threads, limits.waiting),
        Keyring(tenants["default"].store.keys.find),
        Sessions(secret, settings.session_hours * 3600),
        Buckets(limits.rate, limits.burst),
    )
    app = FastAPI(
        title="salon",
        version=__version__,
        description=ABOUT,
        openapi_url=None,
        redirect_slashes=False,
        lifespan=_lifespan,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
    )
    app.state.salon = state
    problems.install(app, plain=f"{gorse_recommend.PREFIX}/")
    for module in ROUTERS:
        app.include_router(module.router, dependencies=[KnownQuery])
    for facade in (gorse_routes, gorse_recommend):
        app.include_router(facade.router)
    app.include_router(web.pages)
    if settings.cors:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.cors),
            allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=["Authorization", "X-API-Key", "Content-Type", "Idempotency-Key", "X-Request-ID"],
            expose_headers=["X-Request-ID", "Retry-After"],
        )
    app.add_middleware(Shell, state=state)
    _describe(app)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Closes the services once the last call is answered."""
    yield
    state: State = app.state.salon
    state.workers.close()
    for tenant in state.tenants.values():
        tenant.scorer.close()
        tenant.service.close()


def _describe(app: FastAPI) -> None:
    """Serves the description of the API, with what routes cannot say: the shape of errors, and bodies read by hand."""
    made = app.openapi

    def openapi() -> dict[str, Any]:
        schema = made()
        components = schema["components"]["schemas"]
        if problems.Problem.__name__ not in components:
            for model in (problems.Problem, *BY_HAND):
                found = model.model_json_schema(ref_template="#/components/schemas/{model}")
                components |= found.pop("$defs", {})
                components[model.__name__] = found
        return schema

    async def description(request: Request) -> JSONResponse:
        return JSONResponse(await state_of(request).workers.run(app.openapi))

    app.openapi = openapi  # type: ignore[method-assign]
    app.add_api_route("/openapi.json", description, methods=["GET"], include_in_schema=False)
