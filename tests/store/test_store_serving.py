"""What serving keeps: exposures, names, keys, versions, audit, replies and values that change in turn."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from salon.errors import ConflictError, DataError, UnknownIdError
from salon.store import Store, open_store
from salon.store.values import Exposure, StoredEvent, StoredKey, StoredReply, Version


def shown(name: str, time: float, user: str = "u") -> Exposure:
    return Exposure(
        name, user, time, ("a", "b"), ("linear", "popular"), (0.5, 0.25), (1.0, 0.1), scenario="home", request={"k": 2}
    )


def test_an_exposure_comes_back_whole(store: Store) -> None:
    assert store.exposures.append([shown("r", 5.0)]) == 1
    assert store.exposures.get("r") == shown("r", 5.0)
    assert store.exposures.get("absent") is None


def test_exposures_are_paged_by_time_even_where_times_are_equal(store: Store) -> None:
    store.exposures.append([shown(f"r {n}", float(n // 3)) for n in range(8)])
    seen, cursor = [], ""
    while True:
        page = store.exposures.page(cursor, n=2, since=1.0)
        seen += [exposure.recommendation_id for exposure in page.rows]
        if not (cursor := page.cursor):
            break
    assert seen == [f"r {n}" for n in range(3, 8)]
    with pytest.raises(DataError):
        store.exposures.page("nonsense")
    assert store.exposures.expire(1.0) == 3


def test_exposures_follow_a_merge_and_go_with_a_person(store: Store) -> None:
    store.exposures.append([shown("r", 1.0, "anonymous"), shown("s", 1.0, "other")])
    store.users.merge("anonymous", "known")
    assert store.exposures.get("r") == shown("r", 1.0, "known")
    store.events.append([StoredEvent("known", "a")])
    store.users.delete(["known"])
    assert store.exposures.get("r") is None
    assert store.exposures.get("s") is not None


def test_an_exposure_with_uneven_lists_is_refused(store: Store) -> None:
    with pytest.raises(DataError, match="differ in length"):
        store.exposures.append([Exposure("r", "u", 1.0, ("a",), (), (), ())])


def test_bodies_are_kept_by_name_and_a_change_moves_the_revision(store: Store) -> None:
    for named in (store.experiments, store.scenarios):
        before = store.revision()
        named.put("home/page", {"state": "running", "n": [1, 2]})
        named.put("b", {})
        assert named.get("home/page") == {"state": "running", "n": [1, 2]}
        assert list(named.all()) == ["b", "home/page"]
        assert store.revision() == before + 2
        assert (named.delete("b"), named.delete("b"), named.get("b")) == (True, False, None)
        assert store.revision() == before + 3


def test_a_key_is_found_by_its_prefix_until_and_after_it_is_revoked(store: Store) -> None:
    key = StoredKey("pre", "d" * 64, "for tests", ("read", "write"), created=7.0)
    store.keys.add(key)
    assert store.keys.find("pre") == key
    assert store.keys.find("absent") is None
    with pytest.raises(ConflictError):
        store.keys.add(key)
    assert (store.keys.revoke("pre"), store.keys.revoke("pre")) == (True, False)
    found = store.keys.find("pre")
    assert found is not None
    assert found.revoked is not None


def test_the_last_use_of_a_key_is_noted_once_a_minute(store: Store) -> None:
    store.keys.add(StoredKey("pre", "d", "k", ("read",)))
    for now, noted in ((100.0, 100.0), (159.0, 100.0), (161.0, 161.0)):
        store.keys.touch("pre", now)
        assert [key.last_used for key in store.keys.all()] == [noted]


def test_exactly_one_version_is_live(store: Store) -> None:
    store.versions.add(Version("1", "models/1", "live", {"ndcg": 0.3}, created=1.0))
    store.versions.add(Version("2", "models/2", "candidate", created=2.0))
    store.versions.add(Version("3", "models/3", "failed", created=3.0))
    assert store.versions.activate("2").state == "live"
    assert store.versions.activate("2").state == "live"
    assert [(v.version, v.state) for v in store.versions.all()] == [("3", "failed"), ("2", "live"), ("1", "retired")]
    with pytest.raises(UnknownIdError):
        store.versions.activate("4")
    with pytest.raises(ConflictError):
        store.versions.activate("3")
    with pytest.raises(ConflictError):
        store.versions.add(Version("2", "models/2", "candidate"))
    with pytest.raises(DataError, match="'lively'"):
        store.versions.add(Version("6", "m", "lively"))  # type: ignore[arg-type]
    live = store.versions.live()
    assert live is not None
    assert live.version == "2"
    store.versions.add(Version("5", "models/5", "live", created=5.0))
    assert [v.version for v in store.versions.all() if v.state == "live"] == ["5"]
    assert store.versions.get("1") == Version(
        "1", "models/1", "retired", {"ndcg": 0.3}, 1.0, store.versions.all()[-1].activated
    )


def test_of_many_that_activate_at_once_one_is_live(store: Store, store_url: str) -> None:
    for n in range(4):
        store.versions.add(Version(str(n), "m", "candidate"))
    with open_store(store_url) as other, ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: (store, other)[n % 2].versions.activate(str(n)), range(4)))
    assert [v.state for v in store.versions.all()].count("live") == 1


def test_the_audit_is_read_newest_first(store: Store) -> None:
    for n in range(3):
        store.audit.append("key abc", "activate", f"version {n}", {"n": n})
    first = store.audit.page(n=2)
    assert [entry.detail["n"] for entry in first.rows] == [2, 1]
    last = store.audit.page(first.cursor, n=2)
    assert [entry.target for entry in last.rows] == ["version 0"]
    assert last.cursor == ""


def test_a_reply_is_kept_once_and_expires(store: Store) -> None:
    reply = StoredReply("caller key", "digest", 201, '{"a": 1}', 10.0)
    assert store.replies.put(reply)
    assert not store.replies.put(StoredReply("caller key", "other", 500, "", 11.0))
    assert store.replies.get("caller key") == reply
    assert (store.replies.expire(10.0), store.replies.expire(10.5)) == (0, 1)
    assert store.replies.get("caller key") is None


def test_a_value_is_changed_only_by_who_saw_the_newest(store: Store) -> None:
    assert store.values.get("bandit") is None
    assert not store.values.put("bandit", {"n": 0}, expected=1)
    assert store.values.put("bandit", {"n": 0}, expected=None)
    assert not store.values.put("bandit", {"n": 9}, expected=None)
    found = store.values.get("bandit")
    assert found is not None
    assert store.values.put("bandit", [1.5], expected=found[1])
    assert not store.values.put("bandit", {"n": 9}, expected=found[1])
    assert (store.values.get("bandit") or ())[0] == [1.5]
    assert (store.values.delete("bandit"), store.values.delete("bandit")) == (True, False)


def test_no_addition_to_a_value_is_lost_among_threads_and_stores(store: Store, store_url: str) -> None:
    def add(opened: Store) -> None:
        for _ in range(10):
            while True:
                body, revision = opened.values.get("sum") or (0, None)
                if opened.values.put("sum", body + 1, expected=revision):
                    break

    with open_store(store_url) as other, ThreadPoolExecutor(4) as pool:
        list(pool.map(add, [store, other, store, other]))
    assert (store.values.get("sum") or ())[0] == 40
