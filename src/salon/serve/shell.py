"""What surrounds every call: an id, security headers, a bounded body, a log line, numbers, and no unhandled error."""

from __future__ import annotations

import logging
import re
import secrets
import time
from collections.abc import MutableMapping
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from salon.errors import BugError
from salon.serve.limits import bounded
from salon.serve.logs import REQUEST_ID
from salon.serve.problems import respond
from salon.serve.state import Caller, State

log = logging.getLogger("salon.access")

MEDIA_PATHS = ("/v1/media", "/v1/search")
"""Where a body may be as large as a medium."""
GIVEN_ID = re.compile(r"[A-Za-z0-9._:-]{1,100}")
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "Cache-Control": "no-store",
}
"""On every answer, unless the route says otherwise; pages bring a policy of their own."""
TLS_HEADER = ("Strict-Transport-Security", "max-age=31536000")


class Shell:
    """The outermost middleware."""

    def __init__(self, app: ASGIApp, state: State) -> None:
        self.app, self.state = app, state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one call."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        name = given if GIVEN_ID.fullmatch(given) else secrets.token_hex(8)
        token = REQUEST_ID.set(name)
        start, status = time.perf_counter(), 0

        async def told(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                self._mark(message, name)
            await send(message)

        limits = self.state.settings.limits
        most = limits.media_bytes if scope["path"].startswith(MEDIA_PATHS) else limits.body_bytes
        try:
            await self.app(scope, bounded(receive, most, headers.get("content-length")), told)
        except Exception:
            log.exception("a bug: this call was not answered")
            if not status:
                error = BugError("The server met something that it did not foresee.", hint="Report it with the id.")
                await respond(error)(scope, receive, told)
        finally:
            self._count(scope, status, time.perf_counter() - start)
            REQUEST_ID.reset(token)

    def _mark(self, message: MutableMapping[str, Any], name: str) -> None:
        headers = MutableHeaders(scope=message)
        headers["X-Request-ID"] = name
        for key, value in HEADERS.items():
            headers.setdefault(key, value)
        if self.state.settings.tls:
            headers.setdefault(*TLS_HEADER)

    def _count(self, scope: Scope, status: int, seconds: float) -> None:
        """Routes are told by their template: a path can name a person."""
        caller: Caller | None = scope.get("salon_caller")
        tenant = caller.tenant if caller else self.state.main
        route = getattr(scope.get("route"), "path", "none")
        tenant.metrics.calls.labels(route, scope["method"] if route != "none" else "", status).observe(seconds)
        data: dict[str, Any] = {"method": scope["method"], "route": route, "status": status}
        data["milliseconds"] = round(1000 * seconds, 2)
        if caller:
            data |= {"key": caller.key.prefix, "tenant": caller.tenant.name}
        log.info("answered", extra={"data": data})
