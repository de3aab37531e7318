"""Whatever the description of the API allows, and much that it does not, is answered as the description says.

Two examples for each call and mode by default; SALON_FUZZ=100 tries a hundred.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import hypothesis
import pytest
import schemathesis
from fastapi.testclient import TestClient
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks

from salon.serve.app import create_app
from salon.serve.keys import make_key
from salon.serve.options import LiveOptions
from salon.serve.service import LiveService
from salon.serve.settings import ServeSettings
from salon.serve.state import Tenant

EXAMPLES = int(os.environ.get("SALON_FUZZ", "2"))
CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.response_headers_conformance,
]
MODES = [schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE]


class Gates(NamedTuple):
    """An app over a real model and store, and what a caller with every right sends."""

    app: Any
    headers: dict[str, str]


@pytest.fixture(scope="module")
def gates(shop_models: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gates]:
    options = LiveOptions(refit_hours=0, refit_drift=0)
    service = LiveService(shop_models["linear"] / "model", home=tmp_path_factory.mktemp("fuzz"), options=options)
    service.start()
    text, key = make_key("fuzz", ["admin"])
    service.engine.store.keys.add(key)
    settings = ServeSettings(limits={"rate": 0})
    tenant = Tenant.of("default", service, service.engine.store, settings.limits)
    with TestClient(create_app({"default": tenant}, settings, bytes(32))) as client:
        yield Gates(client.app, {"Authorization": f"Bearer {text}"})


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
def operations(gates: Gates) -> dict[str, list[Any]]:
    schema = schemathesis.openapi.from_dict(gates.app.openapi())
    schema.app = without_lifespan(gates.app)
    found: dict[str, list[Any]] = {}
    for one in schema.get_all_operations():
        operation = one.ok()
        found.setdefault(operation.definition.raw["tags"][0], []).append(operation)
    return found


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("tag", ["recommend", "search", "items", "people", "shop", "keys", "health", "gorse"])
def test_no_call_is_answered_with_a_bug_or_with_what_is_not_declared(
    tag: str, operations: dict[str, list[Any]], gates: Gates
) -> None:
    tried = 0
    for operation in operations[tag]:
        for mode in MODES:
            if mode is MODES[1] and not (list(operation.iter_parameters()) or operation.body):
                continue  # nothing in the call can be wrong

            @hypothesis.settings(
                max_examples=EXAMPLES if tag != "gorse" else max(1, EXAMPLES // 2),
                database=None,
                derandomize=True,
                suppress_health_check=list(hypothesis.HealthCheck),
                phases=[hypothesis.Phase.generate],
            )
            @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
            def check(case: Any) -> None:
                nonlocal tried
                case.call_and_validate(headers=gates.headers, checks=CHECKS)
                tried += 1

            check()
    assert tried >= len(operations[tag])
