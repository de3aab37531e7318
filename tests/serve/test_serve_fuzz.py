"""Whatever the description of the API allows, and much that it does not, is answered as the description says.

Two examples for each call and mode by default; SALON_FUZZ=100 tries a hundred.
"""

import os
from collections.abc import Callable
from typing import Any

import hypothesis
import pytest
import schemathesis
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks

from conftest import Served

EXAMPLES = int(os.environ.get("SALON_FUZZ", "2"))
CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.response_headers_conformance,
]
MODES = [schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE]


@pytest.fixture(scope="module")
def open_gates(serving: Callable[..., Served]) -> Served:
    return serving(limits={"rate": 0})


def without_lifespan(app: Any) -> Any:
    """The app for callers that would start and end it around each call; it runs already."""

    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            await app(scope, receive, send)
            return
        for kind in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{kind}.complete"})

    return asgi


@pytest.fixture(scope="module")
def operations(open_gates: Served) -> dict[str, list[Any]]:
    app = open_gates.client.app
    schema = schemathesis.openapi.from_dict(app.openapi())  # type: ignore[attr-defined]
    schema.app = without_lifespan(app)
    found: dict[str, list[Any]] = {}
    for one in schema.get_all_operations():
        operation = one.ok()
        found.setdefault(operation.definition.raw["tags"][0], []).append(operation)
    return found


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("tag", ["recommend", "search", "items", "people", "shop", "keys", "health", "gorse"])
def test_no_call_is_answered_with_a_bug_or_with_what_is_not_declared(
    tag: str, operations: dict[str, list[Any]], open_gates: Served
) -> None:
    tried = 0
    for operation in operations[tag]:
        for mode in MODES:
            if mode is MODES[1] and not (list(operation.iter_parameters()) or operation.body):
                continue  # nothing in the call can be wrong

            @hypothesis.settings(
                max_examples=EXAMPLES,
                database=None,
                derandomize=True,
                deadline=None,
                suppress_health_check=list(hypothesis.HealthCheck),
                phases=[hypothesis.Phase.generate],
            )
            @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
            def check(case: Any) -> None:
                nonlocal tried
                case.call_and_validate(headers=open_gates.headers(), checks=CHECKS)
                tried += 1

            check()
    assert tried >= len(operations[tag])
