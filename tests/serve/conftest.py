"""An app over a service in memory, with a key for each scope."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from fastapi.testclient import TestClient
from serve_double import MemoryService, MemoryStore

from salon.serve.app import create_app
from salon.serve.keys import make_key
from salon.serve.settings import ServeSettings
from salon.serve.state import Tenant
from salon.store.values import StoredItem

SECRET = bytes(range(32))


@dataclass
class Served:
    """An app that runs, its services by tenant, and the text of a key by scope."""

    client: TestClient
    services: dict[str, MemoryService]
    keys: dict[str, str]

    @property
    def service(self) -> MemoryService:
        return self.services["default"]

    def headers(self, scope: str = "admin") -> dict[str, str]:
        return {"Authorization": f"Bearer {self.keys[scope]}"}


def shop_items() -> list[StoredItem]:
    kinds = ("lamp", "chair", "rug")
    return [
        StoredItem(f"a-{i}", {"title": f"A {c} {kinds[i % 3]}", "kind": kinds[i % 3], "colour": c}, created=1000.0 + i)
        for i, c in enumerate(("red", "blue", "red", "green", "red", "blue", "green", "red", "blue", "red"))
    ]


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Served]]:
    """Makes running apps; all end with the module."""
    clients = []

    def make(tenants: tuple[str, ...] = ("default",), **given: object) -> Served:
        settings = ServeSettings(**given)
        services = {name: MemoryService(tmp_path_factory.mktemp(name), MemoryStore()) for name in tenants}
        keys = {}
        for name, service in services.items():
            service.put_items(shop_items())
            for scope in ("read", "write", "admin"):
                text, key = make_key(f"{scope} of {name}", [scope], tenant=name)
                services["default"].store.keys.add(key)
                keys[scope if name == "default" else f"{name}:{scope}"] = text
        made = {name: Tenant.of(name, one, one.store, settings.limits) for name, one in services.items()}
        client = TestClient(create_app(made, settings, SECRET), raise_server_exceptions=False)
        client.__enter__()
        clients.append(client)
        return Served(client, services, keys)

    yield make
    for client in clients:
        client.__exit__(None, None, None)


@pytest.fixture(scope="module")
def served(serving: Callable[..., Served]) -> Served:
    """One app for a module."""
    return serving()
