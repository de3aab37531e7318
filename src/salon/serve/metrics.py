"""What Prometheus reads: one registry for each tenant, so that a key sees numbers of its own shop alone.

No id of a person, an item or a key is in a label, and every label takes few values: notes are counted by their first
words, routes by their template.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric

from salon.serve.telemetry import span
from salon.serve.values import Reply

log = logging.getLogger(__name__)

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper ends of the classes of latency."""
MOST_NOTES = 50
"""Different notes that are counted apart."""
STATS_SECONDS = 5.0
"""How long the numbers of the service may be old."""
CONTENT = "text/plain; version=1.0.0; charset=utf-8"

_KIND = re.compile(r"[a-z][a-z _-]{0,60}")


class Metrics:
    """The numbers of one tenant.

    Args:
        stats: Gives the live numbers of the service, which are told as gauges.
    """

    def __init__(self, stats: Callable[[], Mapping[str, Any]]) -> None:
        self.registry = CollectorRegistry()
        r = self.registry
        self.calls = Histogram(
            "salon_http_seconds", "Seconds to answer.", ["route", "method", "status"], registry=r, buckets=SECONDS
        )
        self.stages = Histogram(
            "salon_stage_seconds", "Seconds of a part of an answer.", ["stage"], registry=r, buckets=SECONDS
        )
        self.items = Counter("salon_items_served", "Items answered, by who found them.", ["source"], registry=r)
        self.answers = Counter(
            "salon_answers", "Answers, by scenario and variant.", ["scenario", "variant"], registry=r
        )
        self.notes = Counter("salon_notes", "Notes on answers, such as fallbacks, by their kind.", ["note"], registry=r)
        self.errors = Counter("salon_errors", "Answers that tell an error, by its code.", ["code"], registry=r)
        self.batch = Histogram(
            "salon_batch_asks", "Questions scored together.", registry=r, buckets=(1, 2, 4, 8, 16, 32, 64)
        )
        self.waiting = Gauge("salon_waiting_calls", "Calls that wait for a thread.", registry=r)
        self._notes: set[str] = set()
        r.register(_Stats(stats))

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Times the block as a stage, and puts a span around it."""
        start = time.perf_counter()
        with span(name):
            yield
        self.stages.labels(name).observe(time.perf_counter() - start)

    def answered(self, reply: Reply) -> None:
        """Counts what an answer is made of."""
        self.answers.labels(reply.scenario, reply.variant).inc()
        for item in reply.items:
            self.items.labels(item.source).inc()
        for note in reply.notes:
            self.notes.labels(self._kind(note)).inc()

    def _kind(self, note: str) -> str:
        """The words of a note before its first value; "other" once there are too many kinds."""
        match = _KIND.match(note.lower())
        kind = match.group().strip() if match else "other"
        if kind not in self._notes:
            if len(self._notes) >= MOST_NOTES:
                return "other"
            self._notes.add(kind)
        return kind

    def page(self) -> bytes:
        """The text that Prometheus reads."""
        return generate_latest(self.registry)


class _Stats:
    """Numbers of the service as gauges: plain ones, and tables of them with one label, or two with a slash."""

    LABELS = ("label", "variant")

    def __init__(self, stats: Callable[[], Mapping[str, Any]]) -> None:
        self._stats = stats
        self._read = 0.0
        self._values: Mapping[str, Any] = {}

    def describe(self) -> Iterable[Metric]:
        """Nothing in advance: the names depend on the service."""
        return []

    def collect(self) -> Iterator[Metric]:
        """One gauge for each number."""
        if time.monotonic() - self._read > STATS_SECONDS or not self._values:
            try:
                self._values = self._stats()
                self._read = time.monotonic()
            except Exception:  # the store may be away; what else is counted is still told
                log.exception("the numbers of the service cannot be read")
        for name, value in self._values.items():
            yield from _gauge(name, value)


def _gauge(name: str, value: Any) -> Iterator[Metric]:
    if isinstance(value, bool | int | float):
        yield GaugeMetricFamily(f"salon_{name}", f"{name.replace('_', ' ')}.", value=float(value))
    elif isinstance(value, Mapping):
        rows = {str(k): float(v) for k, v in value.items() if isinstance(v, bool | int | float)}
        if rows:
            family = GaugeMetricFamily(f"salon_{name}", f"{name.replace('_', ' ')}.", labels=["name"])
            for label, number in list(rows.items())[:MOST_NOTES]:
                family.add_metric([label], number)
            yield family
