"""From settings to running services: the tenants of a server, and the first key."""

from __future__ import annotations

from pathlib import Path

from salon.errors import SalonError
from salon.serve.keys import make_key
from salon.serve.service import LiveService
from salon.serve.settings import ServeSettings, TenantSettings
from salon.serve.state import Tenant
from salon.store import Store


def open_tenants(settings: ServeSettings, model: Path, home: str = "", store: str = "") -> dict[str, Tenant]:
    """Starts the services of all tenants; closes them again if one of them cannot be.

    Args:
        settings: Of the server, with further tenants.
        model: Folder of the model of the tenant "default".
        home: Folder of its store; "" for the one beside the model.
        store: URL of its store; "" for a file in `home`.

    Raises:
        SalonError: A model or a store cannot be opened; the message names the tenant.
    """
    wanted = {"default": TenantSettings(model=str(model), home=home, store=store), **settings.tenants}
    tenants: dict[str, Tenant] = {}
    try:
        for name, one in wanted.items():
            service = LiveService(one.model, store=one.store or None, home=one.home or None, options=settings.live)
            service.start()
            tenants[name] = Tenant.of(name, service, service.engine.store, settings.limits)
            service.engine.tally.observe = tenants[name].metrics.took
    except SalonError as error:
        for tenant in tenants.values():
            tenant.service.close()
        if len(wanted) > 1:
            error.message = f"Tenant {name!r}: {error.message}"
        raise
    return tenants


def first_key(store: Store) -> str:
    """Makes a key with all scopes; its text is nowhere else."""
    text, key = make_key("made at the first start", ["admin"])
    store.keys.add(key)
    return text
