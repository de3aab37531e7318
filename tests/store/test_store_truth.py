"""Items, people and events: what is put is there, on both databases, and what is deleted is gone."""

import contextlib

import pytest

from salon.errors import ConflictError, DataError, UnknownIdError
from salon.store import Store, open_store
from salon.store.values import StoredEvent, StoredItem, StoredUser

ODD = ["a/b/c", "🎬", " blank ", "'; DROP TABLE items; --", "%", "ü" * 300, "\n", "null"]


def test_items_come_back_as_they_were_put(store: Store) -> None:
    given = StoredItem("a", {"title": "Ā 🎬", "tags": ["x", "y"], "year": 1999, "v": [0.5, -1e300], "none": None})
    assert store.items.put([given]) == 1
    found = store.items.get(["a", "absent"])
    assert list(found) == ["a"]
    assert found["a"].fields == given.fields
    assert found["a"].created > 1e9
    assert found["a"].revision == store.revision() == 1


@pytest.mark.parametrize("name", ODD)
def test_any_id_of_1_to_300_characters_is_one(store: Store, name: str) -> None:
    store.items.put([StoredItem(name)])
    store.users.put([StoredUser(name)])
    store.events.append([StoredEvent(name, name, name, event_id=name, session=name, scenario=name)])
    assert set(store.items.get([name])) == set(store.users.get([name])) == {name}
    assert [(e.user, e.item, e.kind, e.event_id) for e in store.events.of_user(name)] == [(name,) * 4]
    assert store.users.delete([name]) == store.items.delete([name]) == 1
    assert store.events.count() == 0


@pytest.mark.parametrize("name", ["", "x" * 301, "a\0b", "\ud800"])
def test_what_cannot_be_an_id_is_refused_and_nothing_of_its_batch_is_stored(store: Store, name: str) -> None:
    with pytest.raises(DataError):
        store.items.put([StoredItem("good"), StoredItem(name)])
    with pytest.raises(DataError):
        store.events.append([StoredEvent("good", "good"), StoredEvent(name, "good")])
    assert store.items.count() == store.events.count() == store.revision() == 0


@pytest.mark.parametrize(
    "fields",
    [{"x": float("nan")}, {"x": [float("inf")]}, {"x": "a\0b"}, {"x": b"bytes"}, {"x": "y" * 300_000}, {"\ud800": 1}],
)
def test_fields_that_are_no_plain_json_are_refused(store: Store, fields: dict[str, object]) -> None:
    with pytest.raises(DataError):
        store.items.put([StoredItem("a", fields)])
    with pytest.raises(DataError):
        store.events.append([StoredEvent("u", "a", properties=fields)])


def test_a_backslash_before_u0000_is_no_nul(store: Store) -> None:
    store.items.put([StoredItem("a", {"x": "\\u0000"})])
    assert store.items.get(["a"])["a"].fields == {"x": "\\u0000"}


def test_values_and_times_that_are_not_finite_are_refused(store: Store) -> None:
    for wrong in (StoredEvent("u", "a", value=float("nan")), StoredEvent("u", "a", time=float("inf"))):
        with pytest.raises(DataError):
            store.events.append([wrong])


def test_the_last_of_several_with_one_id_counts(store: Store) -> None:
    assert store.items.put([StoredItem("a", {"n": 1}), StoredItem("a", {"n": 2})]) == 1
    assert store.items.get(["a"])["a"].fields == {"n": 2}


def test_putting_again_replaces_fields_and_keeps_the_time_of_creation(store: Store) -> None:
    store.items.put([StoredItem("a", {"n": 1}, created=5.0)])
    store.items.put([StoredItem("a", {"m": 2}, hidden=True)])
    item = store.items.get(["a"])["a"]
    assert (item.fields, item.hidden, item.created) == ({"m": 2}, True, 5.0)


def test_a_patch_changes_some_fields_and_drops_those_of_none(store: Store) -> None:
    store.items.put([StoredItem("a", {"n": 1, "m": 2})])
    patched = store.items.patch("a", {"n": None, "k": 3}, hidden=True)
    assert patched == store.items.get(["a"])["a"]
    assert (patched.fields, patched.hidden) == ({"m": 2, "k": 3}, True)
    store.users.put([StoredUser("u", {"club": "red"})])
    assert store.users.patch("u", {"club": "blue"}).fields == {"club": "blue"}
    with pytest.raises(UnknownIdError):
        store.items.patch("absent", {})


def test_pages_go_through_everything_once_in_one_order(store: Store) -> None:
    names = sorted([*ODD, "B", "a", "Z", "é", "z"], key=lambda name: name.encode())
    store.items.put([StoredItem(name, hidden=i % 3 == 0) for i, name in enumerate(names)])
    seen, cursor = [], ""
    while True:
        page = store.items.page(cursor, n=2)
        seen += [item.id for item in page.rows]
        cursor = page.cursor
        if not cursor:
            break
    assert seen == names
    assert [item.id for item in store.items.page(hidden=True).rows] == names[::3]
    with pytest.raises(DataError):
        store.items.page(n=0)


def test_an_event_is_stored_once_whatever_comes_twice(store: Store, store_url: str) -> None:
    one, two = StoredEvent("u", "a", event_id="1"), StoredEvent("u", "b", event_id="2")
    assert store.events.append([one, one, two]) == [True, False, True]
    with open_store(store_url) as other:
        assert other.events.append([two, one]) == [False, False]
        assert other.events.append([StoredEvent("u", "a", event_id="3"), two]) == [True, False]
    assert store.events.count() == 3
    assert store.events.append([]) == []


def test_an_event_keeps_everything_that_was_said(store: Store) -> None:
    given = StoredEvent("u", "a", "rating", "e", 4.5, 12.25, "r", "s", "home", {"device": "phone", "n": [1]})
    store.events.append([given])
    (found,) = store.events.of_item("a")
    assert found == StoredEvent(**{**vars(given), "revision": 1})


def test_the_newest_events_of_a_person_come_oldest_first(store: Store) -> None:
    store.events.append([StoredEvent("u", f"i{n}") for n in range(5)] + [StoredEvent("v", "i0")])
    assert [event.item for event in store.events.of_user("u", limit=2)] == ["i3", "i4"]
    assert [event.item for event in store.events.of_user("u", after=4)] == ["i4"]
    assert [event.user for event in store.events.of_item("i0")] == ["u", "v"]


def test_pages_of_events_can_be_narrowed(store: Store) -> None:
    store.events.append([StoredEvent("u", f"i{n}", ("view", "buy")[n % 2]) for n in range(5)])
    first = store.events.page(n=2, kind="view")
    assert [event.item for event in first.rows] == ["i0", "i2"]
    last = store.events.page(first.cursor, n=2, kind="view")
    assert ([event.item for event in last.rows], last.cursor) == (["i4"], "")
    assert [event.kind for event in store.events.page(user="u", item="i1").rows] == ["buy"]
    with pytest.raises(DataError):
        store.events.page("no cursor")


def test_deleted_events_are_gone_and_the_feed_says_so(store: Store) -> None:
    store.events.append([StoredEvent("u", "a", "view", "1"), StoredEvent("u", "b", "buy", "2"), StoredEvent("v", "a")])
    before = store.revision()
    assert store.events.delete(user="u", kind="view") == 1
    assert store.events.delete(event_id="2") == 1
    assert store.events.delete(item="absent") == 0
    assert [event.user for event in store.events.page().rows] == ["v"]
    removals = store.changes(before).removals
    assert [(r.user, r.item, r.kind, r.event_id) for r in removals] == [("u", "", "view", ""), ("", "", "", "2")]
    with pytest.raises(DataError):
        store.events.delete()


def test_deleting_a_person_deletes_all_they_did_and_who_they_were_before(store: Store) -> None:
    store.users.put([StoredUser("u", {"name": "secret"})])
    store.users.merge("anonymous", "u")
    store.events.append([StoredEvent("u", "a"), StoredEvent("anonymous", "a"), StoredEvent("unregistered", "a")])
    before = store.revision()
    assert store.users.delete(["u", "unregistered", "nobody"]) == 3
    assert store.users.get(["u", "anonymous"]) == {}
    assert store.users.count() == store.events.count() == 0
    feed = store.changes(before)
    assert set(feed.deleted_users) == {removal.user for removal in feed.removals} == {"u", "anonymous", "unregistered"}
    assert store.users.delete(["u"]) == 0


def test_a_deleted_item_can_be_put_anew_and_knows_nothing_of_before(store: Store) -> None:
    store.items.put([StoredItem("a", {"n": 1}, created=5.0)])
    store.events.append([StoredEvent("u", "a")])
    assert store.items.delete(["a"]) == 1
    assert store.changes(0).deleted_items == ("a",)
    store.items.put([StoredItem("a", {"m": 1})])
    assert store.items.get(["a"])["a"].created > 1e9
    assert store.events.of_item("a") == []
    assert store.changes(0).deleted_items == ()


def test_merged_events_move_once_and_later_ones_follow(store: Store) -> None:
    store.events.append([StoredEvent("anonymous", "a"), StoredEvent("anonymous", "b"), StoredEvent("known", "c")])
    assert store.users.merge("anonymous", "known") == 2
    assert store.users.merge("anonymous", "known") == 0
    store.events.append([StoredEvent("anonymous", "d")])
    assert [event.item for event in store.events.of_user("known")] == ["c", "a", "b", "d"]
    assert store.events.of_user("anonymous") == []
    assert store.users.get(["anonymous"])["anonymous"].merged_into == "known"
    store.users.put([StoredUser("anonymous", {"n": 1})])
    assert store.users.get(["anonymous"])["anonymous"].merged_into == "known"


def test_people_are_not_merged_in_circles_or_twice(store: Store) -> None:
    store.users.merge("a", "b")
    for source, target in (("b", "a"), ("a", "c")):
        with pytest.raises(ConflictError):
            store.users.merge(source, target)
    with pytest.raises(DataError):
        store.users.merge("a", "a")
    store.events.append([StoredEvent("a", "x")])
    assert store.users.merge("b", "c") == 1
    store.events.append([StoredEvent("a", "y"), StoredEvent("b", "z")])
    assert [event.item for event in store.events.of_user("c")] == ["x", "y", "z"]
    assert store.users.merge("d", "a") == 0
    assert store.users.get(["d"])["d"].merged_into == "c"


@pytest.mark.parametrize("name", ["a\0b", "\ud800", "x" * 5000])
def test_looking_for_what_cannot_be_there_finds_nothing_or_says_so(store: Store, name: str) -> None:
    store.items.put([StoredItem("a"), StoredItem("ab")])
    store.events.append([StoredEvent("a", "a")])
    for look in (
        lambda: store.items.get([name]),
        lambda: store.events.of_user(name),
        lambda: store.events.page(user=name).rows,
        lambda: store.events.delete(event_id=name),
        lambda: store.items.delete([name]),
        lambda: store.scenarios.get(name),
    ):
        with contextlib.suppress(DataError):
            assert not look()
    assert (store.items.count(), store.events.count()) == (2, 1)
