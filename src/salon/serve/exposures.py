"""Answers that were given: in memory at once, for the next page, and in the store soon after, for learning."""

from __future__ import annotations

from collections.abc import Callable
from threading import Condition, Thread

from salon.errors import SalonError
from salon.serve.bounded import Bounded
from salon.store import Store
from salon.store.values import Exposure

PAUSE = 0.05
"""Seconds between two writes, so that many answers share one transaction."""
AT_ONCE = 500
"""Answers that wait before somebody writes them at once."""


class ExposureLog:
    """Keeps answers; the latest stay in memory.

    Args:
        store: Where they go.
        size: How many stay in memory.
        told: Called with the error of a write that failed; its answers are tried again with the next ones.
    """

    def __init__(self, store: Store, size: int, told: Callable[[SalonError], None]) -> None:
        self.store, self.told = store, told
        self.latest: Bounded[str, Exposure] = Bounded(size)
        self.most = max(size, AT_ONCE)
        self.lost = 0
        self._waiting: list[Exposure] = []
        self._changed = Condition()
        self._closed = False
        self._thread = Thread(target=self._run, name="salon-exposures", daemon=True)
        self._thread.start()

    def add(self, exposure: Exposure) -> None:
        """Keeps an answer; of those that cannot be written for long the oldest are lost, and counted."""
        self.latest.put(exposure.recommendation_id, exposure)
        with self._changed:
            self._waiting.append(exposure)
            extra = len(self._waiting) - self.most
            if extra > 0:
                del self._waiting[:extra]
                self.lost += extra
            self._changed.notify()

    def get(self, recommendation_id: str) -> Exposure | None:
        """An answer, from memory or from the store."""
        return self.latest.get(recommendation_id) or self.store.exposures.get(recommendation_id)

    def flush(self) -> None:
        """Writes what waits.

        Raises:
            StoreError: The store cannot take it; it waits on.
        """
        with self._changed:
            batch, self._waiting = self._waiting, []
        try:
            if batch:
                self.store.exposures.append(batch)
        except SalonError:
            with self._changed:
                self._waiting = (batch + self._waiting)[-self.most :]
            raise

    def close(self) -> None:
        """Writes what waits and ends the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()
        self.flush()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._closed:
                    self._changed.wait()
                if self._closed:
                    return
                self._changed.wait(PAUSE)
            try:
                self.flush()
            except SalonError as error:
                self.told(error)
                with self._changed:
                    self._changed.wait(1.0)
