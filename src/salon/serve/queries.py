"""Names in the query of a call that nobody reads are errors, as unknown keys of a body are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastapi import Depends, Request

from salon.errors import InvalidError, did_you_mean


def _known(dependant: Any) -> Iterator[str]:
    """The names that a route reads, itself or by what it depends on."""
    for parameter in dependant.query_params:
        yield parameter.alias
    for inner in dependant.dependencies:
        yield from _known(inner)


async def _check(request: Request) -> None:
    if request.query_params:
        known = set(_known(request.scope["route"].dependant))
        for name in request.query_params:
            if name not in known:
                raise InvalidError(f"query: Unknown name {name[:100]!r}.", hint=did_you_mean(name[:100], known))


KnownQuery = Depends(_check)
