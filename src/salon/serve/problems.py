"""Errors as problem+json (RFC 9457): one shape for every answer that is not the one asked for."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from salon.errors import (
    AuthError,
    BugError,
    BusyError,
    InvalidError,
    MethodError,
    NoRouteError,
    RateError,
    RequestError,
    SalonError,
    TooLargeError,
)
from salon.serve.logs import REQUEST_ID, hide

log = logging.getLogger(__name__)

CONTENT = "application/problem+json"

WHAT = {
    400: "The call is malformed, or a setting or expression in it is wrong.",
    401: "No key was given, or it is not known.",
    403: "The key may not do this.",
    404: "An id or name is not known.",
    409: "It contradicts what is there already.",
    413: "The body is larger than is allowed.",
    422: "A value cannot be used.",
    429: "The key made more calls than it may; see Retry-After.",
    500: "A bug of the server.",
    501: "An optional package is not installed on the server.",
    503: "The server is busy, or its store cannot be reached; see Retry-After.",
    507: "The work would not fit memory or time.",
}
"""Status to what it means, for the description of the API."""

ALWAYS = (400, 401, 403, 413, 422, 429, 500, 503)
"""What any call with a key can be answered with."""


class Part(BaseModel):
    """One value of a call that is wrong."""

    at: str = Field(description="Where it is: body.k, query.n, path.id.", examples=["body.k"])
    message: str = Field(description="What is wrong with it.", examples=["Input should be greater than 0"])


class Problem(BaseModel):
    """What went wrong, and what to do about it."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)

    type: str = Field(description="Names the kind of problem: urn:salon:<code>.", examples=["urn:salon:unknown_id"])
    title: str = Field(description="The status in words.", examples=["Not Found"])
    status: int = Field(description="The status of the answer.", examples=[404])
    code: str = Field(description="A stable word for programs.", examples=["unknown_id"])
    detail: str = Field(description="What is wrong, with the value.", examples=["There is no item 'a-1'."])
    hint: str = Field(default="", description="What to do about it.", examples=["Did you mean 'a-11'?"])
    request_id: str = Field(default="", description="Names this call in the logs.", examples=["8c0e5c1f2a"])
    retryable: bool = Field(default=False, description="Whether the same call can succeed later.")
    errors: list[Part] = Field(default_factory=list, description="Each wrong value, where there are several.")


def problem_of(error: SalonError, parts: list[Part] | None = None) -> Problem:
    """An error of the tree as a problem."""
    return Problem(
        type=f"urn:salon:{error.code}",
        title=HTTPStatus(error.status).phrase,
        status=error.status,
        code=error.code,
        detail=hide(error.message),
        hint=hide(error.hint),
        request_id=REQUEST_ID.get(),
        retryable=error.retryable,
        errors=parts or [],
    )


def respond(error: SalonError, parts: list[Part] | None = None) -> Response:
    """The answer that tells an error."""
    headers = {}
    if isinstance(error, RateError):
        headers["Retry-After"] = str(max(1, round(error.wait + 0.5)))
    elif error.status == 503:
        headers["Retry-After"] = "1"
    if isinstance(error, AuthError):
        headers["WWW-Authenticate"] = 'Bearer realm="salon"'
    body = problem_of(error, parts).model_dump()
    return JSONResponse(body, status_code=error.status, headers=headers, media_type=CONTENT)


def declared(*further: int, plain: bool = False) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route or a router: the errors that it can answer with.

    Args:
        further: Statuses besides those of `ALWAYS`.
        plain: Whether errors are told as plain text, as Gorse does.
    """
    schema = {"type": "string"} if plain else {"$ref": "#/components/schemas/Problem"}
    content = {"text/plain" if plain else CONTENT: {"schema": schema}}
    return {status: {"description": WHAT[status], "content": content} for status in sorted({*ALWAYS, *further})}


def install(app: FastAPI, plain: str) -> None:
    """Makes the app answer every error as a problem; below the path `plain` as a line of text."""

    def tell(request: Request, error: SalonError, parts: list[Part] | None = None) -> Response:
        told = respond(error, parts)
        if not request.url.path.startswith(plain):
            return told
        headers = {k: v for k, v in told.headers.items() if k in ("retry-after", "www-authenticate")}
        return PlainTextResponse(hide(str(error)), status_code=error.status, headers=headers)

    async def known(request: Request, error: Exception) -> Response:
        return tell(request, error if isinstance(error, SalonError) else BugError(str(error)))

    async def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return tell(request, *invalid_of(error.errors()))

    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        told = tell(request, http_error(request, error))
        told.headers.update(error.headers or {})
        return told

    app.add_exception_handler(SalonError, known)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)


def invalid_of(found: Any) -> tuple[SalonError, list[Part]]:
    """What pydantic found wrong, as one error with its parts; values that were sent are not told back."""
    parts = [Part(at=hide(".".join(str(p) for p in one["loc"])), message=hide(_words(one))) for one in found]
    first = parts[0]
    if found[0]["type"] == "json_invalid":
        return RequestError("The body is no JSON.", hint=f"Look at character {found[0]['loc'][-1]}."), []
    more = f" ({len(parts) - 1} more in `errors`.)" if len(parts) > 1 else ""
    return InvalidError(f"{first.at}: {first.message}.", hint=f"See /openapi.json for what is expected.{more}"), parts


def _words(one: Mapping[str, Any]) -> str:
    return str(one["msg"]).removeprefix("Value error, ").rstrip(".")


def http_error(request: Request, error: HTTPException) -> SalonError:
    """What Starlette refuses, as an error of the tree."""
    path = request.url.path
    if error.status_code == 404:
        return NoRouteError(f"There is nothing at {path!r}.", hint="See /openapi.json for what there is.")
    if error.status_code == 405:
        return MethodError(f"{path!r} has no method {request.method}.", hint="See /openapi.json for what there is.")
    if error.status_code == 413:
        return TooLargeError(str(error.detail), hint="Send less at once.")
    if error.status_code == 503:
        return BusyError(str(error.detail))
    return RequestError(f"The call cannot be read: {error.detail}.")
