"""Questions from many threads, scored together on one.

One thread scores, so that numerical libraries never compete with each other; what came in while it was busy makes the
next batch. It waits for more only while callers have said that more is on the way.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from threading import Condition, Thread
from typing import Any, Generic, NamedTuple, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class _Waiting(NamedTuple):
    key: Any
    task: Any
    future: Future[Any]


class Batcher(Generic[T, R]):
    """Runs `work(key, tasks)` on a thread of its own, at most `most` tasks of one key at a time.

    Args:
        work: Gives one result per task.
        most: Tasks of a batch.
        wait: Seconds that a batch may wait to grow, while other callers are known to be coming.
        name: Of the thread.
    """

    def __init__(
        self, work: Callable[[Any, Sequence[T]], Sequence[R]], *, most: int = 64, wait: float = 0.002, name: str
    ) -> None:
        self.work, self.most, self.wait = work, most, wait
        self.batches = self.tasks = 0
        self._queue: deque[_Waiting] = deque()
        self._coming = 0
        self._changed = Condition()
        self._closed = False
        self._thread = Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def announce(self, count: int) -> None:
        """Says that `count` tasks are being prepared (negative: that they came, or never will)."""
        with self._changed:
            self._coming += count
            self._changed.notify()

    def submit(self, key: Any, tasks: Sequence[T]) -> list[Future[R]]:
        """Hands tasks over; those of equal key may be worked on together.

        Raises:
            RuntimeError: The batcher is closed.
        """
        waiting = [_Waiting(key, task, Future()) for task in tasks]
        with self._changed:
            if self._closed:
                raise RuntimeError("the batcher is closed")
            self._queue.extend(waiting)
            self._changed.notify()
        return [one.future for one in waiting]

    def close(self) -> None:
        """Works off what waits, then ends the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while batch := self._next():
            try:
                results = self.work(batch[0].key, [one.task for one in batch])
            except Exception as error:  # told to every caller; the thread lives on
                for one in batch:
                    one.future.set_exception(error)
                continue
            for one, result in zip(batch, results, strict=True):
                one.future.set_result(result)

    def _next(self) -> list[_Waiting]:
        with self._changed:
            while not self._queue and not self._closed:
                self._changed.wait()
            until = time.monotonic() + self.wait
            while self._coming > 0 and len(self._queue) < self.most and (left := until - time.monotonic()) > 0:
                self._changed.wait(left)
            batch: list[_Waiting] = []
            while self._queue and len(batch) < self.most and (not batch or self._queue[0].key == batch[0].key):
                batch.append(self._queue.popleft())
            self.batches += bool(batch)
            self.tasks += len(batch)
            return batch
