"""Threads beside the event loop: batches of questions, bounded queues, and callers who go away."""

import asyncio
import contextvars
import threading
from collections.abc import Sequence

import pytest

from salon.errors import BusyError, SettingError
from salon.serve.metrics import Metrics
from salon.serve.values import Ask, Reply
from salon.serve.workers import Scorer, Workers


class Gate:
    """Answers batches when it is opened, and remembers their sizes."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.opened, self.entered = threading.Event(), threading.Event()

    def __call__(self, asks: Sequence[Ask]) -> list[Reply | Exception]:
        self.sizes.append(len(asks))
        self.entered.set()
        assert self.opened.wait(20)
        return [SettingError("no") if ask.k == 13 else Reply(str(ask.k), ()) for ask in asks]


def scorer(gate: Gate, **given: int) -> Scorer:
    return Scorer(gate, Metrics(dict), **given)


async def until(condition) -> None:
    while not condition():
        await asyncio.sleep(0.001)


def test_questions_that_arrive_meanwhile_are_the_next_batch_in_their_order() -> None:
    async def run() -> list[str]:
        gate = Gate()
        one = scorer(gate, most=4)
        asked = [asyncio.create_task(one.ask(Ask(k=k))) for k in range(1, 8)]
        await until(gate.entered.is_set)
        gate.opened.set()
        replies = await asyncio.gather(*asked)
        assert gate.sizes == [1, 4, 2]
        one.close()
        return [reply.recommendation_id for reply in replies]

    assert asyncio.run(run()) == [str(k) for k in range(1, 8)]


def test_an_error_reaches_the_one_who_asked() -> None:
    async def run() -> None:
        gate = Gate()
        gate.opened.set()
        one = scorer(gate)
        good, bad = await asyncio.gather(one.ask(Ask(k=1)), one.ask(Ask(k=13)), return_exceptions=True)
        assert isinstance(good, Reply)
        assert isinstance(bad, SettingError)
        one.close()

    asyncio.run(run())


def test_a_scorer_that_fails_tells_everybody_and_goes_on() -> None:
    async def run() -> None:
        fail = [True]

        def recommend(asks: Sequence[Ask]) -> list[Reply | Exception]:
            if fail[0]:
                raise RuntimeError("broken")
            return [Reply("r", ()) for _ in asks]

        one = Scorer(recommend, Metrics(dict))
        found = await asyncio.gather(one.ask(Ask()), one.ask(Ask()), return_exceptions=True)
        assert [str(error) for error in found] == ["broken", "broken"]
        fail[0] = False
        assert (await one.ask(Ask())).recommendation_id == "r"
        one.close()

    asyncio.run(run())


def test_a_full_queue_of_questions_is_refused_at_once() -> None:
    async def run() -> None:
        gate = Gate()
        one = scorer(gate, waiting=2)
        asked = [asyncio.create_task(one.ask(Ask())) for _ in range(3)]
        await until(gate.entered.is_set)
        await asyncio.sleep(0)
        with pytest.raises(BusyError, match="2 questions wait"):
            await one.ask(Ask())
        gate.opened.set()
        assert len(await asyncio.gather(*asked)) == 3
        one.close()

    asyncio.run(run())


def test_whoever_went_away_is_not_scored() -> None:
    async def run() -> None:
        gate = Gate()
        one = scorer(gate)
        first = asyncio.create_task(one.ask(Ask()))
        await until(gate.entered.is_set)
        gone, stays = asyncio.create_task(one.ask(Ask())), asyncio.create_task(one.ask(Ask()))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.sleep(0)
        gate.opened.set()
        await asyncio.gather(first, stays)
        assert gate.sizes == [1, 1]
        one.close()

    asyncio.run(run())


def test_workers_carry_the_context_of_the_caller_and_count_what_runs() -> None:
    name: contextvars.ContextVar[str] = contextvars.ContextVar("name", default="")

    async def run() -> None:
        workers = Workers(2, 2)
        name.set("mine")
        assert await workers.run(name.get) == "mine"
        begun, opened = threading.Event(), threading.Event()

        def work() -> None:
            begun.set()
            opened.wait(20)

        waiting = asyncio.create_task(workers.run(work))
        await until(begun.is_set)
        waiting.cancel()
        await asyncio.sleep(0.01)
        assert workers.pending == 1, "the thread is busy still, whether or not somebody waits for it"
        opened.set()
        await until(lambda: workers.pending == 0)
        workers.close()

    asyncio.run(run())
