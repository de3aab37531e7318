"""What Prometheus reads: one registry for each tenant, so that a key sees numbers of its own shop alone.

No id of a person, an item or a key is in a label, and every label takes few values: notes are counted by their kind,
routes by their template, placements only if somebody defined them.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric

from salon.language.sentences import Sentence
from salon.serve.values import Reply

log = logging.getLogger(__name__)

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper ends of the classes of latency."""
STATS_SECONDS = 5.0
"""How long the numbers of the service may be old."""
CONTENT = "text/plain; version=1.0.0; charset=utf-8"
"""The media type of the text that Prometheus reads."""

GAUGES = (
    ("coverage", "Share of the items that were shown since the start.", ("coverage",)),
    ("click_through", "Clicks per answer since the start.", ("click_through",)),
    ("fallback_share", "Share of the answers in which the model had no part.", ("fallbacks",)),
    ("history_cache_people", "Histories in memory.", ("people", "kept")),
    ("history_cache_hits", "Histories that were found in memory.", ("people", "hits")),
    ("history_cache_misses", "Histories that were read from the store.", ("people", "misses")),
    ("waiting_encode", "Items whose media wait to be encoded.", ("waiting", "encode")),
    ("waiting_learn", "People whose events wait to be learned.", ("waiting", "learn")),
    ("lost_exposures", "Answers that could not be kept.", ("waiting", "lost_exposures")),
    ("model_age_seconds", "Seconds since the live model was made.", ("model", "age_seconds")),
    ("model_live_seconds", "Seconds since the live model was made live.", ("model", "live_seconds")),
)
"""Names of gauges, what they tell, and where the number is in the numbers of the service."""
TABLES = (
    ("modality_coverage", "Share of the shown items that have vectors of a modality.", "modality", ("modalities",)),
    ("source_share", "Share of the answered items, by who found them.", "source", ("sources",)),
)
PLACED = (
    ("placement_answers", "Answers by placement and variant.", "answers"),
    ("placement_clicks", "Clicks by placement and variant.", "clicks"),
    ("placement_click_through", "Clicks per answer by placement and variant.", "click_through"),
)


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
        self.notes = Counter("salon_notes", "Notes on answers, such as fallbacks, by their kind.", ["note"], registry=r)
        self.events = Counter("salon_events_stored", "Events stored by this process.", registry=r)
        self.batch = Histogram(
            "salon_batch_asks", "Questions scored together.", registry=r, buckets=(1, 2, 4, 8, 16, 32, 64)
        )
        self.waiting = Gauge("salon_waiting_calls", "Calls that wait for a thread.", registry=r)
        r.register(_Stats(stats))

    def took(self, stage: str, seconds: float) -> None:
        """Notes the time of a part of an answer."""
        self.stages.labels(stage).observe(seconds)

    def answered(self, reply: Reply) -> None:
        """Counts what an answer is made of."""
        for item in reply.items:
            self.items.labels(item.source).inc()
        for note in reply.notes:
            self.notes.labels(note.kind if isinstance(note, Sentence) else "other").inc()

    def page(self) -> bytes:
        """The text that Prometheus reads."""
        return generate_latest(self.registry)


class _Stats:
    """Numbers of the service as gauges, read at most every few seconds."""

    def __init__(self, stats: Callable[[], Mapping[str, Any]]) -> None:
        self._stats = stats
        self._read = float("-inf")
        self._values: Mapping[str, Any] = {}

    def describe(self) -> Iterable[Metric]:
        """Nothing in advance, so that the service is not asked before it is started."""
        return []

    def collect(self) -> Iterator[Metric]:
        """All gauges whose numbers are known."""
        if time.monotonic() - self._read > STATS_SECONDS:
            try:
                self._values, self._read = self._stats(), time.monotonic()
            except Exception:  # the store may be away; what else is counted is still told
                log.exception("the numbers of the service cannot be read")
        for name, words, path in GAUGES:
            value = _at(self._values, path)
            if isinstance(value, int | float):
                yield GaugeMetricFamily(f"salon_{name}", words, value=float(value))
        for name, words, label, path in TABLES:
            rows = _at(self._values, path) or {}
            yield _table(name, words, (label,), [((key,), value) for key, value in rows.items()])
        for name, words, what in PLACED:
            found = [((one["scenario"], one["variant"]), one[what]) for one in self._values.get("placements", ())]
            yield _table(name, words, ("scenario", "variant"), found)


def _at(values: Any, path: Sequence[str]) -> Any:
    for name in path:
        values = values.get(name) if isinstance(values, Mapping) else None
    return values


def _table(name: str, words: str, labels: Sequence[str], rows: Sequence[tuple[Sequence[str], Any]]) -> Metric:
    family = GaugeMetricFamily(f"salon_{name}", words, labels=labels)
    for values, number in rows:
        if isinstance(number, int | float):
            family.add_metric(values, float(number))
    return family
