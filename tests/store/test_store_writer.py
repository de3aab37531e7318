"""Group commit: answers come after the commit, in order, and an error stays with its own batch."""

import threading
from concurrent.futures import Future
from typing import Any

import pytest

from salon.errors import DataError, StoreError
from salon.store import EventWriter, Store, open_store
from salon.store.values import StoredEvent


class Gate:
    """Holds the writer's commits until it is opened, and can make the next ones fail."""

    def __init__(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        self.open, self.entered = threading.Event(), threading.Event()
        self.sizes: list[int] = []
        self.error: Exception | None = None
        append = store.events.append_rows

        def gated(rows: list[dict[str, Any]]) -> list[bool]:
            self.entered.set()
            assert self.open.wait(10)
            self.sizes.append(len(rows))
            if self.error is not None:
                error, self.error = self.error, None
                raise error
            return append(rows)

        monkeypatch.setattr(store.events, "append_rows", gated)


def test_an_answer_says_what_is_new_and_another_store_sees_it(store: Store, store_url: str) -> None:
    with EventWriter(store) as writer, open_store(store_url) as other:
        first = writer.submit([StoredEvent("u", "a", event_id="1"), StoredEvent("u", "b", event_id="2")])
        assert first.result(10) == [True, True]
        assert other.events.count() == 2
        assert writer.submit([StoredEvent("u", "a", event_id="1"), StoredEvent("u", "c")]).result(10) == [False, True]
        assert writer.submit([]).result(10) == []


def test_what_comes_during_a_commit_shares_the_next_one(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(store, monkeypatch)
    with EventWriter(store, max_batch=3) as writer:
        answers = [writer.submit([StoredEvent("u", "a", event_id="same")])]
        assert gate.entered.wait(10)
        answers += [writer.submit([StoredEvent("u", "a", event_id=name)]) for name in ("1", "2", "same", "3", "4")]
        large = writer.submit([StoredEvent("u", f"i{n}") for n in range(7)])
        assert not any(answer.done() for answer in answers)
        gate.open.set()
        assert [answer.result(10) for answer in answers] == [[True], [True], [True], [False], [True], [True]]
        assert large.result(10) == [True] * 7
    assert gate.sizes == [1, 3, 2, 7]
    assert [event.event_id for event in store.events.page(n=5).rows] == ["same", "1", "2", "3", "4"]


def test_an_error_of_the_database_goes_to_its_batch_alone(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(store, monkeypatch)
    gate.error = StoreError("no room")
    gate.open.set()
    with EventWriter(store) as writer:
        failed = writer.submit([StoredEvent("u", "a", event_id="1")])
        with pytest.raises(StoreError, match="no room"):
            failed.result(10)
        assert writer.submit([StoredEvent("u", "a", event_id="1")]).result(10) == [True]


def test_an_event_that_cannot_be_kept_never_reaches_the_batch(store: Store) -> None:
    with EventWriter(store) as writer:
        with pytest.raises(DataError):
            writer.submit([StoredEvent("", "a")])
        assert writer.submit([StoredEvent("u", "a")]).result(10) == [True]


def test_closing_stores_what_waits(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(store, monkeypatch)
    writer = EventWriter(store)
    answers = [writer.submit([StoredEvent("u", f"i{n}")]) for n in range(50)]
    gate.open.set()
    writer.close()
    assert all(answer.done() and answer.result() == [True] for answer in answers)
    assert store.events.count() == 50
    with pytest.raises(StoreError, match="closed"):
        writer.submit([StoredEvent("u", "a")])
    writer.close()


def test_a_full_queue_is_an_error_and_not_memory(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(store, monkeypatch)
    store.database.wait = 0.05
    with EventWriter(store, max_pending=2) as writer:
        answers = [writer.submit([StoredEvent("u", "a")])]
        assert gate.entered.wait(10)
        answers += [writer.submit([StoredEvent("u", "a")]) for _ in range(2)]
        with pytest.raises(StoreError, match="2 events wait"):
            writer.submit([StoredEvent("u", "a")])
        gate.open.set()
        assert [answer.result(10) for answer in answers] == [[True]] * 3
        assert writer.submit([StoredEvent("u", "a")]).result(10) == [True]


def test_an_answer_that_nobody_waits_for_any_more_is_left_out(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(store, monkeypatch)
    with EventWriter(store) as writer:
        writer.submit([StoredEvent("u", "a")])
        assert gate.entered.wait(10)
        given_up: Future[list[bool]] = writer.submit([StoredEvent("u", "b")])
        assert given_up.cancel()
        gate.open.set()
    assert [event.item for event in store.events.page().rows] == ["a"]


def test_many_threads_share_commits_and_lose_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(store, monkeypatch)
    gate.open.set()

    def work(name: str) -> None:
        for n in range(5):
            assert writer.submit([StoredEvent(name, f"i{n}")]).result(10) == [True]

    with EventWriter(store) as writer:
        threads = [threading.Thread(target=work, args=(f"u{n}",)) for n in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert store.events.count() == 80
    assert len(gate.sizes) < 60
    assert all(
        [event.item for event in store.events.of_user(f"u{n}")] == [f"i{k}" for k in range(5)] for n in range(16)
    )
