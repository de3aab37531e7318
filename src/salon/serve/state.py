"""What the routes share: the tenants, the threads, the keys; and who is calling."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ParamSpec, TypeVar

from salon.serve.keys import Keyring, Sessions
from salon.serve.limits import Buckets
from salon.serve.metrics import Metrics
from salon.serve.settings import Limits, ServeSettings
from salon.serve.values import Service
from salon.serve.workers import Scorer, Workers
from salon.store import Store
from salon.store.values import StoredKey
from salon.types import Modality

MEDIA = frozenset(one.value for one in Modality if one.is_media)
MEDIA_SECONDS = 60.0

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class Tenant:
    """One shop: its service, its store and its numbers."""

    name: str
    service: Service
    store: Store
    metrics: Metrics
    scorer: Scorer
    _media: list[tuple[float, tuple[str, ...]]] = field(default_factory=list)

    @classmethod
    def of(cls, name: str, service: Service, store: Store, limits: Limits) -> Tenant:
        """A tenant around a service."""
        metrics = Metrics(service.stats)
        scorer = Scorer(service.recommend, metrics, waiting=limits.waiting)
        return cls(name, service, store, metrics, scorer)

    def media_fields(self) -> tuple[str, ...]:
        """The fields of items that hold media, as they were at most a minute ago."""
        now = time.monotonic()
        if not self._media or now - self._media[0][0] > MEDIA_SECONDS:
            fields = self.service.catalogue().get("fields", ())
            self._media[:] = [(now, tuple(str(one["name"]) for one in fields if one.get("modality") in MEDIA))]
        return self._media[0][1]


@dataclass(frozen=True)
class State:
    """Everything that an app keeps.

    Attributes:
        settings: Of the server.
        tenants: By name; the keys of all are kept in the store of "default".
        workers: Threads for calls that block.
        keyring: Finds keys.
        sessions: Signs and reads cookies.
        buckets: Calls that keys may make.
        touched: When something was last written that is written now and then, by its name.
    """

    settings: ServeSettings
    tenants: Mapping[str, Tenant]
    workers: Workers
    keyring: Keyring
    sessions: Sessions
    buckets: Buckets
    touched: dict[str, float] = field(default_factory=dict)

    @property
    def main(self) -> Tenant:
        """The tenant whose store keeps the keys."""
        return self.tenants["default"]


@dataclass(frozen=True)
class Caller:
    """Who is calling, and what they may use."""

    state: State
    tenant: Tenant
    key: StoredKey
    by_cookie: bool = False

    @property
    def service(self) -> Service:
        """The service of the caller's tenant."""
        return self.tenant.service

    @property
    def limits(self) -> Limits:
        """How much one call may ask for."""
        return self.state.settings.limits

    async def run(self, call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """The result of a call that blocks, made in a thread."""
        return await self.state.workers.run(call, *args, **kwargs)

    async def audit(self, action: str, target: str, detail: Mapping[str, Any] | None = None) -> None:
        """Writes down what the caller changed."""
        await self.run(self.tenant.store.audit.append, self.key.prefix, action, target, detail or {})
