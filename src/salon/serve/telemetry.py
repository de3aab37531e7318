"""Spans around the stages of an answer, where OpenTelemetry is installed and set up by whoever runs the server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

try:
    from opentelemetry import trace
except ImportError:  # the extra `telemetry` is not installed
    trace = None  # type: ignore[assignment]


@contextmanager
def span(name: str, **attributes: Any) -> Iterator[None]:
    """A span of the global tracer around the block; nothing where OpenTelemetry is absent.

    Args:
        name: Such as "recommend" or "candidates".
        attributes: Numbers and short words; never ids of people.
    """
    if trace is None:
        yield
        return
    with trace.get_tracer("salon").start_as_current_span(name, attributes=attributes):
        yield
