"""The feed of changes: complete, in order, without a gap, however it is cut and whoever writes."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from salon.errors import DataError
from salon.store import Store, open_store
from salon.store.values import Changes, StoredEvent, StoredItem, StoredUser
from store_tools import wipe


def pieces(store: Store, limit: int, after: int = 0) -> Iterator[Changes]:
    while True:
        piece = store.changes(after, limit)
        yield piece
        assert piece.revision >= after
        after = piece.revision
        if not piece.more:
            return


def size(piece: Changes) -> int:
    parts = (piece.events, piece.items, piece.users, piece.deleted_items, piece.deleted_users, piece.removals)
    return sum(map(len, parts))


class Follower:
    """Rebuilds histories from the feed alone, as another process does."""

    def __init__(self) -> None:
        self.after = 0
        self.events: dict[int, StoredEvent] = {}
        self.items: dict[str, StoredItem] = {}

    def follow(self, store: Store, limit: int) -> None:
        for piece in pieces(store, limit, self.after):
            for removal in piece.removals:
                for revision, event in list(self.events.items()):
                    named = [
                        (removal.user, event.user),
                        (removal.item, event.item),
                        (removal.kind, event.kind),
                        (removal.event_id, event.event_id),
                    ]
                    if revision < removal.revision and all(wanted in ("", found) for wanted, found in named):
                        del self.events[revision]
            self.events |= {event.revision: event for event in piece.events}
            for item in piece.deleted_items:
                self.items.pop(item, None)
            self.items |= {item.id: item for item in piece.items}
            self.after = piece.revision


def test_an_empty_store_has_an_empty_feed(store: Store) -> None:
    assert store.changes(0) == Changes(0)
    with pytest.raises(DataError):
        store.changes(-1)


def test_the_feed_has_everything_once_however_it_is_cut(store: Store) -> None:
    store.items.put([StoredItem(f"i{n}") for n in range(5)])
    store.events.append([StoredEvent("u", f"i{n}") for n in range(5)])
    store.users.put([StoredUser("u")])
    store.events.delete(item="i0")
    store.items.delete(["i1"])
    whole = store.changes(0)
    assert whole.revision == store.revision()
    for limit in (1, 2, 3, 7):
        cut = list(pieces(store, limit))
        assert sum((piece.events for piece in cut), ()) == whole.events
        assert sum((piece.items for piece in cut), ()) == whole.items
        assert sum((piece.removals for piece in cut), ()) == whole.removals
        assert [size(piece) for piece in cut[:-1]] == [limit] * (len(cut) - 1)
        assert cut[-1].revision == whole.revision


ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["event", "item", "delete user", "delete item", "delete events", "merge", "follow"]),
        st.integers(0, 3),
        st.integers(0, 3),
    ),
    max_size=25,
)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(actions=ACTIONS, limit=st.integers(1, 4))
def test_who_follows_the_feed_ends_with_what_is_stored(
    store: Store, actions: list[tuple[str, int, int]], limit: int
) -> None:
    wipe(store)
    follower = Follower()
    for what, a, b in [*actions, ("follow", 0, 0)]:
        user, item = f"u{a}", f"i{b}"
        if what == "event":
            store.events.append([StoredEvent(user, item, ("view", "buy")[a % 2])])
        elif what == "item":
            store.items.put([StoredItem(item, {"n": a})])
        elif what == "delete user":
            store.users.delete([user])
        elif what == "delete item":
            store.items.delete([item])
        elif what == "delete events":
            store.events.delete(user=user, kind=("view", "buy")[b % 2])
        elif what == "merge" and a < b and not merged(store, user):
            store.users.merge(user, f"u{b}")
        elif what == "follow":
            follower.follow(store, limit)
    assert [follower.events[revision] for revision in sorted(follower.events)] == list(store.events.page().rows)
    assert follower.items == {item.id: item for item in store.items.page().rows}


def merged(store: Store, user: str) -> bool:
    found = store.users.get([user])
    return user in found and found[user].merged_into != ""


def test_a_reader_among_writers_misses_nothing(store: Store, store_url: str) -> None:
    """Two stores write from four threads while a third reads: the union of what it saw is what is stored."""
    done = threading.Event()

    def write(opened: Store, name: str) -> None:
        for n in range(12):
            opened.events.append([StoredEvent(name, f"i{n}"), StoredEvent(name, f"j{n}")])
            opened.items.put([StoredItem(f"{name} {n}")])

    def read() -> list[int]:
        seen: list[int] = []
        with open_store(store_url) as reader:
            after, last = 0, False
            while True:
                piece = reader.changes(after, 5)
                seen += [event.revision for event in piece.events] + [item.revision for item in piece.items]
                after = piece.revision
                if last and not piece.more:
                    return seen
                last = done.is_set()

    with open_store(store_url) as other, ThreadPoolExecutor(5) as pool:
        reading = pool.submit(read)
        list(pool.map(write, [store, other, store, other], "abcd"))
        done.set()
        seen = reading.result()
    assert sorted(seen) == list(range(1, 4 * 12 * 3 + 1))
