"""Counts of the last hour, by minute, and times of the last thousand steps: what the studio shows as live numbers."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import Any

import numpy as np

from salon.serve.telemetry import span

MINUTES = 60
TIMES = 1000
"""Times of a step that are kept."""
COVERED = 50_000
"""Different items that were shown that are remembered."""


PLACED = 1000
"""Placements with their variants that are counted apart."""


class Tally:
    """Numbers of one service since it was started.

    Attributes:
        observe: Called with the name of a step and its seconds, such as by a monitor; None: nobody listens.
    """

    def __init__(self) -> None:
        self.observe: Callable[[str, float], None] | None = None
        self.sources: Counter[str] = Counter()
        self.shown: dict[str, None] = {}
        self.clicks = self.answers = self.fallbacks = 0
        self.placed: Counter[tuple[str, str, str]] = Counter()
        self._best: deque[float] = deque(maxlen=2 * TIMES)
        self._minutes: deque[tuple[int, Counter[str]]] = deque(maxlen=MINUTES)
        self._times: dict[str, deque[float]] = {}
        self._lock = Lock()

    def add(self, what: str, count: int = 1) -> None:
        """Counts something in this minute."""
        minute = int(time.time() // 60)
        with self._lock:
            if not self._minutes or self._minutes[-1][0] != minute:
                self._minutes.append((minute, Counter()))
            self._minutes[-1][1][what] += count

    @property
    def best(self) -> list[float]:
        """The best score of each of the latest answers of the model, oldest first."""
        with self._lock:
            return list(self._best)

    def answer(self, names: Sequence[str], sources: Sequence[str], best: float | None) -> None:
        """Counts an answer; `best` is the score of its first item where the model gave it."""
        self.add("answers")
        with self._lock:
            self.answers += 1
            if best is not None:
                self._best.append(best)
            self.sources.update(sources)
            self.fallbacks += bool(sources) and all(one in ("popular", "new") for one in sources)
            if len(self.shown) < COVERED:
                self.shown.update(dict.fromkeys(names))

    def click(self) -> None:
        """Counts an action that follows from an answer."""
        self.add("clicks")
        with self._lock:
            self.clicks += 1

    def place(self, what: str, scenario: str, variant: str) -> None:
        """Counts an answer or a click by placement and variant; beyond 1,000 of these, the others together."""
        with self._lock:
            full = len(self.placed) >= PLACED
            key = (what, scenario, variant)
            self.placed[key if key in self.placed or not full else (what, "others", "")] += 1

    def placements(self) -> list[dict[str, Any]]:
        """[{scenario, variant, answers, clicks, click_through}] since the start."""
        with self._lock:
            counts = dict(self.placed)
        found = []
        for scenario, variant in sorted({key[1:] for key in counts}):
            answers, clicks = (counts.get((what, scenario, variant), 0) for what in ("answers", "clicks"))
            share = clicks / answers if answers else None
            names = {"scenario": scenario, "variant": variant}
            found.append({**names, "answers": answers, "clicks": clicks, "click_through": share})
        return found

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        """Takes the time of a block."""
        start = time.perf_counter()
        try:
            with span(step):
                yield
        finally:
            self.took(step, time.perf_counter() - start)

    def took(self, step: str, seconds: float) -> None:
        """Notes the time of a step."""
        with self._lock:
            self._times.setdefault(step, deque(maxlen=TIMES)).append(seconds)
        if self.observe is not None:
            self.observe(step, seconds)

    def per_minute(self, what: str) -> list[dict[str, float]]:
        """[{minute, count}] of the last hour, oldest first, minutes without any left out."""
        with self._lock:
            return [{"minute": 60.0 * at, "count": float(n[what])} for at, n in self._minutes if n[what]]

    def steps(self) -> dict[str, dict[str, float]]:
        """Step to {p50, p95, p99} of its last times, in milliseconds."""
        with self._lock:
            known = {step: np.array(times) for step, times in self._times.items()}
        return {step: _quantiles(times) for step, times in known.items()}


def _quantiles(times: Any) -> dict[str, float]:
    values = np.quantile(1000 * times, [0.5, 0.95, 0.99])
    return {name: round(float(v), 3) for name, v in zip(("p50", "p95", "p99"), values, strict=True)}
