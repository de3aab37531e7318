"""What a fit costs: processor time, time on the clock, and the most memory it held.

Memory is the kernel's own high-water mark of the resident set (VmHWM), set back just before the fit (Linux,
clear_refs), less what was resident then. It sees numpy, BLAS and torch on the CPU, which tracemalloc does not, without
a second process. Freed memory is given back to the system first (malloc_trim), as its reuse would not be seen; what
the allocator keeps nevertheless may understate a fit that follows a larger one. Where the mark cannot be set back it is
None rather than a guess.
"""

from __future__ import annotations

import ctypes
import gc
import time
from contextlib import suppress
from pathlib import Path

import numpy as np

from salon.data import Dataset, Holdout, Queries
from salon.encode.base import FeatureSet
from salon.evaluate.values import Cost
from salon.models.base import Recommender

CLEAR = Path("/proc/self/clear_refs")
STATUS = Path("/proc/self/status")
ASKED = 100
PATIENCE = 1.0


def measure_fit(
    model: Recommender,
    data: Dataset,
    features: FeatureSet | None = None,
    *,
    rng: np.random.Generator | int | None = None,
    validation: Holdout | None = None,
) -> Cost:
    """Fits `model` in place and says what that cost; arguments as for `Recommender.fit`."""
    before = _resident_mb("VmRSS") if _reset_peak() else None
    cpu, wall = time.process_time(), time.perf_counter()
    model.fit(data, features, rng=rng, validation=validation)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    after = None if before is None else _resident_mb("VmHWM")
    peak = None if before is None or after is None else max(0.0, after - before)
    return Cost(cpu_seconds=cpu, wall_seconds=wall, peak_mb=peak)


def measure_latency(model: Recommender, queries: Queries, k: int) -> tuple[float | None, float | None]:
    """Median and 99th percentile of the wall milliseconds that single queries take, one after the other.

    Up to `ASKED` queries spread over those given, after one that does not count; fewer where `PATIENCE` seconds are up.
    """
    rows = np.unique(np.linspace(0, len(queries) - 1, min(ASKED, len(queries))).astype(np.int64))
    if not len(queries):
        return None, None
    model.recommend(queries.take(rows[:1]), k)
    times: list[float] = []
    for row in rows:
        began = time.perf_counter()
        model.recommend(queries.take(np.array([row])), k)
        times.append(1000 * (time.perf_counter() - began))
        if sum(times) > 1000 * PATIENCE:
            break
    p50, p99 = np.percentile(times, [50, 99], method="inverted_cdf")
    return float(p50), float(p99)


def _reset_peak() -> bool:
    """Whether the high-water mark could be set back to what is resident now, after giving back what is free."""
    gc.collect()
    with suppress(AttributeError, OSError, TypeError):  # another C library than glibc gives nothing back
        ctypes.CDLL(None).malloc_trim(0)
    try:
        CLEAR.write_text("5")
    except OSError:
        return False
    return True


def _resident_mb(field: str) -> float | None:
    """A line of /proc/self/status in MiB, or None where there is no such line."""
    try:
        lines = STATUS.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    found = [line for line in lines if line.startswith(f"{field}:")]
    return int(found[0].split()[1]) / 1024 if found else None
