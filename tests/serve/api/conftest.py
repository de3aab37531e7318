"""Apps over services in memory, with a key for each scope."""

from collections.abc import Callable, Iterator

import pytest
from fastapi.testclient import TestClient
from serve_double import SECRET, MemoryService, MemoryStore, Running, shop_items

from salon.serve.app import create_app
from salon.serve.keys import make_key
from salon.serve.settings import ServeSettings
from salon.serve.state import Tenant


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Running]]:
    """Makes running apps; all end with the module."""
    clients = []

    def make(tenants: tuple[str, ...] = ("default",), **given: object) -> Running:
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
        return Running(client, services, keys)

    yield make
    for client in clients:
        client.__exit__(None, None, None)


@pytest.fixture(scope="module")
def served(serving: Callable[..., Running]) -> Running:
    """One app for a module."""
    return serving()
