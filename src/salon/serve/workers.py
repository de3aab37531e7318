"""Off the event loop: threads for calls that block, and one thread that scores many questions together.

Both keep a bounded number of calls waiting; what comes on top is told to come back, so that memory stays bounded and
nobody waits for an answer that comes too late.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple, ParamSpec, TypeVar

from salon.errors import BusyError
from salon.serve.metrics import Metrics
from salon.serve.telemetry import span
from salon.serve.values import Ask, Reply

P = ParamSpec("P")
T = TypeVar("T")


class Workers:
    """A pool of threads with a bounded queue.

    Args:
        threads: Calls that run at once.
        waiting: Calls that may wait besides.
    """

    def __init__(self, threads: int, waiting: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="salon-work")
        self._most = threads + waiting
        self.pending = 0

    async def run(self, call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """The result of a call, made in a thread with the context of the caller.

        Raises:
            BusyError: Too many calls wait already.
        """
        if self.pending >= self._most:
            raise BusyError(f"{self.pending} calls wait already.", hint="Ask again in a moment, or ask less at once.")
        loop = asyncio.get_running_loop()
        context = contextvars.copy_context()
        self.pending += 1
        future = self._pool.submit(context.run, lambda: call(*args, **kwargs))
        future.add_done_callback(lambda _: loop.call_soon_threadsafe(self._done))
        return await asyncio.wrap_future(future)

    def _done(self) -> None:
        self.pending -= 1

    def close(self) -> None:
        """Ends the threads once what they do is done; what only waits is dropped."""
        self._pool.shutdown(wait=True, cancel_futures=True)


class _Asked(NamedTuple):
    ask: Ask
    future: asyncio.Future[Reply]
    context: contextvars.Context


class Scorer:
    """Scores questions in one thread: those that arrive while it is busy are the next batch.

    A question that finds the thread idle is scored at once; under load batches grow by themselves.

    Args:
        recommend: Answers a batch.
        metrics: Counts batches and what answers are made of.
        most: Questions in a batch.
        waiting: Questions that may wait.
    """

    def __init__(
        self,
        recommend: Callable[[Sequence[Ask]], list[Reply | Exception]],
        metrics: Metrics,
        *,
        most: int = 64,
        waiting: int = 512,
    ) -> None:
        self._recommend, self._metrics = recommend, metrics
        self._most, self._waiting = most, waiting
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="salon-score")
        self._asked: deque[_Asked] = deque()
        self._busy = False

    async def ask(self, ask: Ask) -> Reply:
        """The reply to one question.

        Raises:
            BusyError: Too many questions wait already.
            SalonError: What is wrong with the question.
        """
        if len(self._asked) >= self._waiting:
            hint = "Ask again in a moment, or start more processes."
            raise BusyError(f"{len(self._asked)} questions wait already.", hint=hint)
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._asked.append(_Asked(ask, future, contextvars.copy_context()))
        if not self._busy:
            self._next()
        reply = await future
        self._metrics.answered(reply)
        return reply

    def _next(self) -> None:
        """Hands the next batch to the thread."""
        batch: list[_Asked] = []
        while self._asked and len(batch) < self._most:
            one = self._asked.popleft()
            if not one.future.done():  # else whoever asked has gone
                batch.append(one)
        self._busy = bool(batch)
        if batch:
            loop = asyncio.get_running_loop()
            self._metrics.batch.observe(len(batch))
            context = batch[0].context if len(batch) == 1 else contextvars.Context()  # a batch is nobody's alone
            future = self._pool.submit(context.run, self._score, [one.ask for one in batch])
            future.add_done_callback(lambda done: loop.call_soon_threadsafe(self._answer, batch, done))

    def _score(self, asks: list[Ask]) -> list[Reply | Exception]:
        with span("recommend", asks=len(asks)):
            return self._recommend(asks)

    def _answer(self, batch: list[_Asked], done: Future[list[Reply | Exception]]) -> None:
        error = done.exception()
        replies: list[Reply | BaseException] = [error] * len(batch) if error else list(done.result())
        for one, reply in zip(batch, replies, strict=True):
            if one.future.done():
                continue
            if isinstance(reply, BaseException):
                one.future.set_exception(reply)
            else:
                one.future.set_result(reply)
        self._next()

    def close(self) -> None:
        """Ends the thread once its batch is answered."""
        self._pool.shutdown(wait=True, cancel_futures=True)
