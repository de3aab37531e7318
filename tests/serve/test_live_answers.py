"""What people are answered: from their history, under every rule, with the source of every item."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from salon.errors import DataError, SettingError, UnknownIdError
from salon.pipeline import Pipeline
from salon.serve.service import LiveService
from salon.serve.values import Ask, Reply
from salon.store.values import StoredEvent, StoredItem, StoredUser

Asks = Callable[..., Reply]


def names(reply: Reply) -> list[str]:
    return [one.id for one in reply.items]


def test_the_first_start_imports_the_model_s_catalogue_once(
    open_service: Callable[..., LiveService], shop_folder: Path
) -> None:
    data = Pipeline.load(shop_folder / "model").dataset
    first = open_service(shop_folder)
    counts = first.catalogue()["counts"]
    assert (counts["items"], counts["users"], counts["events"]) == (data.n_items, data.n_users, len(data.events))
    first.delete_items(["thing-00"])
    first.close()
    again = open_service(shop_folder)
    assert again.catalogue()["counts"]["items"] == data.n_items - 1


def test_an_import_that_was_cut_short_is_done_again(
    open_service: Callable[..., LiveService], shop_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(events: object) -> list[bool]:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("salon.store.events.EventLog.append", lambda self, events: killed(events))
        with pytest.raises(KeyboardInterrupt):
            open_service(shop_folder)
    counts = open_service(shop_folder).catalogue()["counts"]
    assert (counts["items"], counts["users"], counts["events"]) == (25, 30, 270)


def test_answers_equal_those_of_the_pipeline(service: LiveService, shop_folder: Path, ask_service: Asks) -> None:
    pipeline = Pipeline.load(shop_folder / "model")
    for user in ("p00", "p07", "p29"):
        (expected,) = pipeline.recommend([user], k=5)
        found = ask_service(service, user=user, k=5)
        assert names(found) == [one.id for one in expected.items]
        np.testing.assert_allclose([i.score for i in found.items], [i.score for i in expected.items], rtol=1e-4)
        assert {one.source for one in found.items} == {"linear"}


def test_an_event_changes_the_next_answer_of_that_person_alone(service: LiveService, ask_service: Asks) -> None:
    other = names(ask_service(service, user="p03"))
    assert {one.source for one in ask_service(service, user="fresh").items} == {"popular"}
    (receipt,) = service.add_events([StoredEvent("fresh", "thing-02", "buy")])
    assert receipt.status == "stored"
    found = ask_service(service, user="fresh", k=5)
    assert "thing-02" not in names(found)
    assert all(int(name[-2:]) % 2 == 0 for name in names(found))
    assert found.items[0].source == "linear"
    assert names(ask_service(service, user="p03")) == other


def test_not_interested_acts_at_once_and_for_good(service: LiveService, ask_service: Asks) -> None:
    first = names(ask_service(service, user="p00", k=3))[0]
    service.add_events([StoredEvent("p00", first, "not_interested")])
    assert first not in names(ask_service(service, user="p00", k=30))
    assert first not in names(ask_service(service, user="p00", k=30, seen=True))
    service.add_events([StoredEvent("p00", first, "buy")])
    assert first not in names(ask_service(service, user="p00", k=30, seen=True))


def test_a_dislike_lowers_what_is_alike(service: LiveService, ask_service: Asks) -> None:
    service.add_events([StoredEvent("x", "thing-00", "buy"), StoredEvent("x", "thing-01", "buy")])
    before = {one.id: one.score for one in ask_service(service, user="x", k=30).items}
    service.add_events([StoredEvent("x", "thing-03", "dislike")])
    after = {one.id: one.score for one in ask_service(service, user="x", k=30).items}
    assert "thing-03" not in after
    azure = [name for name in after if int(name[-2:]) % 2]
    assert np.mean([after[name] for name in azure]) < np.mean([before[name] for name in azure])


def test_a_rating_that_is_stored_twice_counts_once(service: LiveService) -> None:
    event = StoredEvent("p00", "thing-11", "view", event_id="once")
    assert [r.status for r in service.add_events([event])] == ["stored"]
    assert [r.status for r in service.add_events([event, event])] == ["known", "known"]
    assert len(service.events(user="p00", item="thing-11").rows) == 1


def test_one_bad_event_harms_no_other(service: LiveService) -> None:
    found = service.add_events(
        [StoredEvent("a", "thing-00"), StoredEvent("", "thing-00"), StoredEvent("a", "x", value=float("nan"))]
    )
    assert [one.status for one in found] == ["stored", "rejected", "rejected"]
    assert found[1].error is not None
    assert found[1].error["code"] == "data"


# -- people ------------------------------------------------------------------------------------------------------------


def test_a_session_speaks_for_somebody_unknown(service: LiveService, ask_service: Asks) -> None:
    found = ask_service(service, history=("thing-01", "nowhere", "thing-03"), k=4)
    assert all(int(name[-2:]) % 2 for name in names(found))
    assert found.notes == ("The unknown item 'nowhere' of the history was ignored.",)
    told = ask_service(service, history=("thing-01", "nowhere"), k=4, language="zh")
    assert told.notes == ("历史记录中有 1 件未知的物品，已忽略，例如 'nowhere'。",)


def test_merging_gives_the_session_to_the_person(service: LiveService, ask_service: Asks) -> None:
    service.add_events([StoredEvent("cookie", f"thing-{i:02d}", "buy") for i in (1, 3, 5)])
    assert service.merge_users("cookie", "somebody") == 3
    for user in ("somebody", "cookie"):
        found = ask_service(service, user=user, k=4)
        assert all(int(name[-2:]) % 2 for name in names(found))
        assert not {"thing-01", "thing-03", "thing-05"} & set(names(found))


def test_a_deleted_person_is_a_stranger(service: LiveService, ask_service: Asks) -> None:
    assert ask_service(service, user="p00").items[0].source == "linear"
    assert service.delete_users(["p00"]) == 1
    assert {one.source for one in ask_service(service, user="p00").items} == {"popular"}
    with pytest.raises(UnknownIdError):
        service.person("p00")


def test_deleted_events_count_no_more(service: LiveService, ask_service: Asks) -> None:
    service.add_events([StoredEvent("x", "thing-00", "buy"), StoredEvent("x", "thing-02", "buy")])
    gone = service.events(user="x").rows[0]
    assert gone.item not in names(ask_service(service, user="x", k=30))
    assert service.delete_events(event_id=gone.event_id) == 1
    assert gone.item in names(ask_service(service, user="x", k=30))
    assert service.delete_events(user="x") == 1
    assert {one.source for one in ask_service(service, user="x").items} == {"popular"}


def test_attributes_speak_where_there_is_no_history(service: LiveService, ask_service: Asks) -> None:
    service.put_users([StoredUser("reader", {"club": "blue"})])
    stored = ask_service(service, user="reader", k=3)
    given = ask_service(service, profile={"club": "blue"}, k=3)
    assert names(stored) == names(given)
    assert all(int(name[-2:]) % 2 for name in names(stored))
    odd = ask_service(service, profile={"club": "green"}, k=3)
    assert any("green" in note for note in odd.notes)


# -- rules -------------------------------------------------------------------------------------------------------------


def test_filters_come_first_on_the_whole_catalogue(service: LiveService, ask_service: Asks) -> None:
    found = ask_service(service, user="p00", k=30, filter='kind == "azure" and price > 25')
    assert set(names(found)) == {"thing-17", "thing-19", "thing-21", "thing-23"}
    assert not found.more


def test_excluded_items_and_unknown_ids(service: LiveService, ask_service: Asks) -> None:
    best = names(ask_service(service, user="p00", k=2))
    found = ask_service(service, user="p00", k=30, exclude=(*best, "never/heard"))
    assert not set(best) & set(names(found))
    assert any("never/heard" in note for note in found.notes)


def test_candidates_are_ranked_and_nothing_else(service: LiveService, ask_service: Asks) -> None:
    found = ask_service(service, history=("thing-00",), k=10, candidates=("thing-03", "thing-02", "thing-04", "x"))
    assert set(names(found)) == {"thing-02", "thing-03", "thing-04"}
    assert names(found)[-1] == "thing-03"


def test_a_booster_moves_items_up(service: LiveService, ask_service: Asks) -> None:
    plain = names(ask_service(service, user="p00", k=30))
    found = ask_service(service, user="p00", k=30, booster=f'50 if id == "{plain[3]}" else 1')
    assert names(found)[0] == plain[3]


def test_pages_never_repeat_also_after_new_events(service: LiveService, ask_service: Asks) -> None:
    reply = ask_service(service, user="p05", k=4, filter='kind == "azure"')
    seen = names(reply)
    while reply.more:
        service.add_events([StoredEvent("p05", seen[-1], "view")])
        reply = ask_service(service, after=reply.recommendation_id, k=4)
        assert all(int(name[-2:]) % 2 for name in names(reply)), "the filter of the first page holds on"
        seen += names(reply)
    assert len(seen) == len(set(seen))
    with pytest.raises(UnknownIdError):
        ask_service(service, after="nothing")


def test_more_than_is_allowed_gives_fewer(service: LiveService, ask_service: Asks) -> None:
    found = ask_service(service, user="p00", k=1000)
    assert len(found.items) < 25
    assert not found.more
    assert any("allowed" in note for note in found.notes)


def test_an_empty_catalogue_is_an_empty_answer(service: LiveService, ask_service: Asks) -> None:
    service.delete_items([f"thing-{i:02d}" for i in range(25)])
    for user in ("p00", "stranger"):
        found = ask_service(service, user=user)
        assert found.items == ()
        assert found.notes == ("The catalogue is empty.",)
    assert service.popular(Ask()).items == ()


def test_errors_of_one_question_do_not_touch_the_others(service: LiveService) -> None:
    good, bad, odd = service.recommend([Ask(user="p00"), Ask(user="p00", filter="price <"), Ask(k=0)])
    assert isinstance(good, Reply)
    assert isinstance(bad, SettingError)
    assert isinstance(odd, SettingError)


# -- beside recommendations --------------------------------------------------------------------------------------------


def test_similar_items_and_people(service: LiveService) -> None:
    assert all(int(name[-2:]) % 2 == 0 for name in names(service.similar("thing-04", Ask(k=3))))
    assert "thing-04" not in names(service.similar("thing-04", Ask(k=30)))
    found = service.similar_users("p00", 5)
    assert len(found) == 5
    assert all(int(user[1:]) % 2 == 0 for user, _ in found[:3])
    with pytest.raises(UnknownIdError):
        service.similar("nowhere", Ask())


def test_popular_items_are_those_that_most_people_like(
    open_service: Callable[..., LiveService], shop_folder: Path, wait_until: Callable[..., float]
) -> None:
    service = open_service(shop_folder)
    service.add_events([StoredEvent(f"q{n}", "thing-24", "buy") for n in range(40)])
    wait_until(lambda: names(service.popular(Ask(k=1))) == ["thing-24"])
    assert "thing-24" not in names(service.popular(Ask(user="q1", k=30)))


def test_search_keeps_the_rules(service: LiveService) -> None:
    found = service.search({"text": "an azure thing"}, Ask(k=4, filter="price < 20"))
    assert [one.item.id for one in found]
    assert all(int(one.item.id[-2:]) % 2 for one in found)
    assert all(one.item.id <= "thing-10" for one in found)
    assert found[0].by


def test_reasons_name_the_history(service: LiveService, ask_service: Asks) -> None:
    service.add_events([StoredEvent("why", "thing-02", "buy")])
    (first, *_) = ask_service(service, user="why", k=3, explained=True).items
    assert first.reason is not None
    assert first.reason.because[0][0] == "thing-02"
    assert first.reason.method == "exact"
    told = service.explain(Ask(user="why"), first.id)
    assert told["parts"][0]["id"] == "thing-02"
    assert told["score"] == pytest.approx(first.score, rel=1e-4)
    (popular, *_) = ask_service(service, user="nobody", k=1, explained=True, language="zh").items
    assert popular.reason is not None
    assert popular.reason.words == "大家都喜欢"


def test_one_person_s_page(service: LiveService) -> None:
    service.add_events([StoredEvent("page", "thing-02", "buy"), StoredEvent("page", "thing-01", "not_interested")])
    told = service.person("page", k=2)
    assert {(one["item"], one["taste"]) for one in told["history"]} == {("thing-02", "like"), ("thing-01", "dislike")}
    assert len(told["recommended"]["items"]) == 2


def test_fields_and_media_come_as_asked(service: LiveService, ask_service: Asks) -> None:
    (one,) = ask_service(service, user="p00", k=1, fields=("price", "nothing")).items
    assert set(one.fields) == {"price"}
    assert one.title.startswith("A crimson thing")
    assert service.medium("thing-02", "photo").read_bytes()
    with pytest.raises(UnknownIdError):
        service.medium("thing-24", "photo")


def test_a_declared_field_of_another_type_is_refused(service: LiveService) -> None:
    good, bad = service.put_items([StoredItem("a/b", {"price": 3}), StoredItem("c", {"price": "three"})])
    assert (good.status, bad.status) == ("stored", "rejected")
    assert bad.error is not None
    assert "price" in bad.error["message"]
    with pytest.raises(DataError):
        service.patch_item("a/b", {"name": 7}, None)


def test_items_are_listed_by_an_expression(service: LiveService) -> None:
    page = service.items(n=3, filter='kind == "crimson" and price >= 20')
    assert [one.id for one in page.rows] == ["thing-10", "thing-12", "thing-14"]
    assert service.items(page.cursor, n=1, filter="price >= 20").rows[0].id == "thing-15"


def test_the_shop_is_told_about(service: LiveService) -> None:
    told = service.catalogue()
    assert told["kinds"]["not_interested"] == "dislike"
    assert {one["name"]: one["modality"] for one in told["fields"]}["photo"] == "image"
    assert service.ready()["ready"]
    assert service.quality()["items"] == 25
    drawn = service.map(10)
    assert drawn == service.map(10)
    assert len(drawn["items"]) == 10
    left = {one["label"] for one in drawn["items"] if one["x"] < 0}
    assert len(left) == 1, "the colours lie on two sides"
