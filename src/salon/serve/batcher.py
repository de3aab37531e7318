"""Questions from many threads, scored together, one batch at a time.

Whoever comes first leads: it scores what waits, its own question among it, while those who come meanwhile queue up for
the next batch. So numerical libraries never compete with each other, a lone question is not handed from thread to
thread, and batches grow by themselves as soon as scoring is what everybody waits for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from threading import Condition
from typing import Generic, NamedTuple, TypeVar

K = TypeVar("K")
T = TypeVar("T")
R = TypeVar("R")


class _Waiting(NamedTuple, Generic[K, T, R]):
    key: K
    task: T
    future: Future[R]


class Batcher(Generic[K, T, R]):
    """Runs `work(key, tasks)` for at most `most` tasks of one key at a time, never twice at once.

    Args:
        work: Gives one result per task.
        most: Tasks of a batch.
    """

    def __init__(self, work: Callable[[K, Sequence[T]], Sequence[R]], *, most: int = 64) -> None:
        self.work, self.most = work, most
        self.batches = self.tasks = 0
        self._queue: deque[_Waiting[K, T, R]] = deque()
        self._changed = Condition()
        self._led = False

    def submit(self, key: K, tasks: Sequence[T]) -> list[Future[R]]:
        """Queues tasks; those of equal key may be worked on together. Nothing happens before somebody calls `lead`."""
        waiting = [_Waiting(key, task, Future[R]()) for task in tasks]
        with self._changed:
            self._queue.extend(waiting)
        return [one.future for one in waiting]

    def lead(self, futures: Sequence[Future[R]]) -> None:
        """Returns when all of these are done, by this thread or by another that leads."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: not self._led or all(future.done() for future in futures))
                if all(future.done() for future in futures):
                    return
                self._led = True
                batch = self._next()
            try:
                self._run(batch)
            finally:
                with self._changed:
                    self._led = False
                    self._changed.notify_all()

    def _next(self) -> list[_Waiting[K, T, R]]:
        """The first tasks in the queue that have one key."""
        batch: list[_Waiting[K, T, R]] = []
        while self._queue and len(batch) < self.most and (not batch or self._queue[0].key == batch[0].key):
            batch.append(self._queue.popleft())
        self.batches += bool(batch)
        self.tasks += len(batch)
        return batch

    def _run(self, batch: Sequence[_Waiting[K, T, R]]) -> None:
        try:
            results = self.work(batch[0].key, [one.task for one in batch])
        except Exception as error:  # the answer to everybody in the batch
            for one in batch:
                one.future.set_exception(error)
            return
        for one, result in zip(batch, results, strict=True):
            one.future.set_result(result)
