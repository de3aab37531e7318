"""Group commit: one thread stores what many callers submit, so that one write to the disk serves them all."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Self

from salon.errors import StoreError
from salon.store.events import event_row
from salon.store.store import Store
from salon.store.values import StoredEvent


@dataclass(frozen=True)
class _Part:
    rows: list[dict[str, Any]]
    answer: Future[list[bool]]


class EventWriter:
    """Stores submitted events in common transactions, in the order they were submitted.

    A future is resolved after its commit: its events are on the disk then. The writer collects for as long as a commit
    takes, and after it waits up to `max_wait_ms` for as many submissions as the last commit served; a single caller
    never waits.

    Args:
        store: Where the events go.
        max_batch: Events in one transaction; a larger submission is one transaction of its own.
        max_wait_ms: Longest wait for company.
        max_pending: Events that may wait; then `submit` blocks for up to the store's waiting time.
    """

    def __init__(
        self, store: Store, *, max_batch: int = 512, max_wait_ms: float = 2.0, max_pending: int = 20_000
    ) -> None:
        self._store = store
        self._max_batch, self._max_wait, self._max_pending = max_batch, max_wait_ms / 1000, max_pending
        self._parts: deque[_Part] = deque()
        self._pending = 0
        self._last = 1
        self._closed = False
        lock = threading.Lock()
        self._work, self._room = threading.Condition(lock), threading.Condition(lock)
        self._thread = threading.Thread(target=self._run, name="salon-events", daemon=True)
        self._thread.start()

    def submit(self, events: Sequence[StoredEvent]) -> Future[list[bool]]:
        """Hands events over; the future tells for each whether it is new, once they are on the disk.

        Raises:
            DataError: An event cannot be kept; then none is handed over.
            StoreError: The writer is closed, or too much is waiting.
        """
        part = _Part([event_row(event) for event in events], Future())
        with self._room:
            wait = self._store.database.wait
            if not self._room.wait_for(lambda: self._closed or self._pending < self._max_pending, wait):
                message = f"The store does not keep up: {self._pending} events wait to be stored."
                raise StoreError(message, hint="Send fewer at a time, and these again.")
            if self._closed:
                raise StoreError("The writer of events is closed.", hint="The server is ending; try again.")
            self._parts.append(part)
            self._pending += len(part.rows)
            if len(self._parts) == 1 or self._has_company():
                self._work.notify()
        return part.answer

    def close(self) -> None:
        """Stores what waits, then ends the thread; no future is left open."""
        with self._room:
            self._closed = True
            self._room.notify_all()
            self._work.notify()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def _run(self) -> None:
        while batch := self._collect():
            self._last = len(batch)
            started = [part for part in batch if part.answer.set_running_or_notify_cancel()]
            _store(self._store, started)

    def _collect(self) -> list[_Part]:
        """The next submissions, at most `max_batch` events if they are several; none when everything is stored."""
        with self._work:
            self._work.wait_for(lambda: self._parts or self._closed)
            self._work.wait_for(self._has_company, self._max_wait)
            batch: list[_Part] = []
            size = 0
            while self._parts and (not batch or size + len(self._parts[0].rows) <= self._max_batch):
                batch.append(self._parts.popleft())
                size += len(batch[-1].rows)
            self._pending -= size
            self._room.notify_all()
            return batch

    def _has_company(self) -> bool:
        return self._closed or len(self._parts) >= self._last or self._pending >= self._max_batch


def _store(store: Store, parts: list[_Part]) -> None:
    """One transaction for all parts; its error is the answer to each of them."""
    try:
        new = store.events.append_rows([row for part in parts for row in part.rows])
    except Exception as error:
        for part in parts:
            part.answer.set_exception(error)
        return
    start = 0
    for part in parts:
        part.answer.set_result(new[start : start + len(part.rows)])
        start += len(part.rows)
