"""Scenarios and experiments: defaults of a placement, variants of them, what was shown, and what followed from it."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from salon.config import build
from salon.errors import SettingError, UnknownIdError
from salon.serve.explorers import DIM, Explorers, features
from salon.serve.scenarios import Experiment, Scenario
from salon.serve.service import LiveService
from salon.serve.values import Ask, Reply
from salon.store.values import StoredEvent

Asks = Callable[..., Reply]


def kinds(reply: Reply) -> Counter[str]:
    return Counter("azure" if int(one.id[-2:]) % 2 else "crimson" for one in reply.items)


def test_a_scenario_brings_its_rules(service: LiveService, ask_service: Asks) -> None:
    service.put_scenario("home", {"filter": "price < 30", "caps": {"kind": 2}})
    found = ask_service(service, user="p00", k=10, scenario="home")
    assert kinds(found) == {"azure": 2, "crimson": 2}
    assert found.scenario == "home"
    narrow = ask_service(service, user="p00", k=10, scenario="home", filter='kind == "azure"')
    assert kinds(narrow) == {"azure": 2}
    service.delete_scenario("home")
    plain = ask_service(service, user="p00", k=10, scenario="home")
    assert len(plain.items) == 10
    assert any("not defined" in note for note in plain.notes)
    with pytest.raises(UnknownIdError):
        service.delete_scenario("home")


def test_promotions_and_other_sources_have_places_of_their_own(service: LiveService, ask_service: Asks) -> None:
    promotion = {"filter": 'kind == "azure"', "share": 0.25}
    service.put_scenario("home", {"promotions": [promotion], "sources": {"popular": 0.25, "similar": 0.25}})
    found = ask_service(service, user="p00", k=10, scenario="home", explained=True)
    sources = Counter(one.source for one in found.items)
    assert sources == {"linear": 4, "promoted": 2, "popular": 2, "similar": 2}
    promoted = [one for one in found.items if one.source == "promoted"]
    assert all(int(one.id[-2:]) % 2 for one in promoted)
    assert promoted[0].reason is not None
    assert promoted[0].reason.words == "Chosen by the shop"


@pytest.mark.parametrize("how", ["mmr", "dpp"])
def test_diversity_mixes_what_differs(service: LiveService, ask_service: Asks, how: str) -> None:
    service.put_scenario("mixed", {"diversity": 0.8, "diversity_by": how})
    assert kinds(ask_service(service, user="p00", k=4)) == {"crimson": 4}
    assert kinds(ask_service(service, user="p00", k=4, scenario="mixed"))["azure"] >= 1
    assert kinds(ask_service(service, user="p00", k=4, scenario="mixed", diversity=0.0)) == {"crimson": 4}


@pytest.mark.parametrize("policy", ["uniform", "thompson", "linucb"])
def test_explored_places_are_told_with_their_chances(service: LiveService, ask_service: Asks, policy: str) -> None:
    service.put_scenario("bold", {"exploration": 0.5, "policy": policy, "explore": 'kind == "azure"'})
    explored = 0
    for _ in range(12):
        found = ask_service(service, user="p00", k=6, scenario="bold")
        assert len({one.id for one in found.items}) == 6
        assert all(0 < one.propensity <= 1 for one in found.items)
        mine = [one for one in found.items if one.source == "explored"]
        assert all(int(one.id[-2:]) % 2 for one in mine)
        explored += len(mine)
        if mine:
            told = StoredEvent("p00", mine[0].id, "view", recommendation_id=found.recommendation_id)
            service.add_events([replace(told, user="other")])
    assert explored > 12
    assert all(one.propensity == 1.0 for one in ask_service(service, user="p00", k=6).items)


def test_what_was_explored_is_shared_between_processes(service: LiveService) -> None:
    store = service.engine.store
    mine, theirs = Explorers(store), Explorers(store)
    values = np.array([[1.0, 0.5, 0.1, 0.2]])
    for one in (mine, theirs):
        one.shown("home", ["thing-01"], values)
        one.clicked("home", "thing-01", values[0])
        one.sync()
    mine.sync()
    found = store.values.get("exploration:home")
    assert found is not None
    assert found[0]["shown"] == {"thing-01": 2}
    assert found[0]["clicks"] == {"thing-01": 2}
    np.testing.assert_allclose(found[0]["bandit"]["moment"], 2 * values[0])
    np.testing.assert_allclose(found[0]["bandit"]["gram"], 2 * np.outer(values[0], values[0]))
    live = service.engine.current.shelf.live
    scores = np.zeros(len(live.catalogue), np.float32)
    assert features(live, scores, np.arange(5)).shape == (5, DIM)
    assert features(live, scores, np.zeros(0, np.int64)).shape == (0, DIM)


def test_thompson_learns_which_item_is_clicked(service: LiveService) -> None:
    explorers, live = service.engine.explorers, service.engine.current.shelf.live
    pool = np.arange(6)
    for _ in range(300):
        explorers.shown("home", [live.catalogue.ids[int(row)] for row in pool], np.zeros((6, DIM)))
        explorers.clicked("home", live.catalogue.ids[4], np.zeros(DIM))
    explorers.sync()
    scores = np.zeros(len(live.catalogue), np.float32)
    policy = explorers.policy("thompson", "home", live, scores, pool)
    assert policy.order(6, np.random.default_rng(0))[0] == 4


# -- experiments -------------------------------------------------------------------------------------------------------


def experiment(**more: object) -> dict[str, object]:
    azure = {"settings": {"filter": 'kind == "azure"'}}
    return {"variants": {"as-is": {"share": 0.5}, "azure": {"share": 0.5, **azure}}, "scenario": "home", **more}


def test_variants_override_the_scenario_for_their_people(service: LiveService, ask_service: Asks) -> None:
    service.put_scenario("home", {"caps": {"kind": 3}})
    service.put_experiment("colours", experiment())
    seen = Counter()
    for n in range(60):
        found = ask_service(service, user=f"guest-{n}", k=6, scenario="home")
        assert found.experiment == "colours"
        assert kinds(found)["azure"] <= 3
        assert (kinds(found)["crimson"] == 0) == (found.variant == "azure")
        again = ask_service(service, user=f"guest-{n}", k=2, scenario="home")
        assert again.variant == found.variant
        seen[found.variant] += 1
    assert min(seen.values()) > 15
    assert ask_service(service, user="guest-1", k=2).experiment == ""
    assert ask_service(service, k=2, scenario="home").experiment == "", "nobody known is in no experiment"
    service.put_experiment("colours", experiment(state="stopped"))
    assert ask_service(service, user="guest-1", k=2, scenario="home").experiment == ""


def test_the_results_count_what_followed(service: LiveService, ask_service: Asks) -> None:
    service.put_experiment("colours", experiment(guardrails={"not_interested": 0.01}, expected=0.3))
    events = []
    for n in range(90):
        found = ask_service(service, user=f"guest-{n}", k=3, scenario="home")
        kind = "view" if found.variant == "azure" or n % 5 == 0 else "not_interested"
        answer = found.recommendation_id if n % 2 else ""
        events.append(StoredEvent(f"guest-{n}", found.items[0].id, kind, recommendation_id=answer))
        events.append(StoredEvent(f"guest-{n}", "thing-24", "buy", recommendation_id="elsewhere"))
    service.add_events(events)
    told_of = service.experiment_results("colours")
    people = told_of["people"]
    assert sum(people.values()) == 90
    assert told_of["answers"] == {name: float(count) for name, count in people.items()}
    assert told_of["success"]["azure"] == people["azure"]
    assert told_of["success"]["as-is"] < people["as-is"] / 2
    (effect,) = told_of["effects"]
    assert (effect["variant"], effect["verdict"]) == ("azure", "better")
    assert effect["low"] > 0
    (guard,) = told_of["guardrails"]
    assert not guard["harmed"]
    assert not told_of["ratio"]["wrong"]
    with pytest.raises(UnknownIdError):
        service.experiment_results("nothing")
    service.delete_experiment("colours")
    assert service.experiments() == {}


def test_a_variant_may_be_another_version(service: LiveService, ask_service: Asks) -> None:
    first = service.ready()["model"]
    variants = {"a": {"share": 0.5, "version": first}, "b": {"share": 0.5, "version": first}}
    service.put_experiment("models", {"variants": variants})
    found = ask_service(service, user="p00")
    assert (found.experiment, found.version) == ("models", first)
    with pytest.raises(UnknownIdError):
        service.put_experiment("models", {"variants": {**variants, "c": {"share": 0.0, "version": "nothing"}}})


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"diversty": 1}, "diversity"),
        ({"filter": "price <"}, "cannot be read"),
        ({"sources": {"populer": 0.1}}, "popular"),
        ({"sources": {"popular": 0.9}, "promotions": [{"filter": "true", "share": 0.5}]}, "at most 1"),
        ({"caps": {"kind": 0}}, "at least 1"),
        ({"exploration": 2}, "exploration"),
    ],
)
def test_bad_scenarios_are_refused(service: LiveService, body: dict[str, object], says: str) -> None:
    with pytest.raises(SettingError, match=says):
        service.put_scenario("home", body)
    with pytest.raises(SettingError, match="name"):
        service.put_scenario("", {})
    assert service.scenarios() == {}


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"variants": {"a": {"share": 1}}}, "two variants"),
        ({"variants": {"a": {"share": 0.7}, "b": {"share": 0.7}}}, "more than 1"),
        ({"variants": {"a": {"share": 0.5}, "b": {"share": 0.5, "settings": {"cap": 1}}}}, "caps"),
        ({"start": 10, "end": 5}, "after"),
        ({"stat": "running"}, "state"),
    ],
)
def test_bad_experiments_are_refused(service: LiveService, more: dict[str, object], says: str) -> None:
    with pytest.raises(SettingError, match=says):
        service.put_experiment("e", experiment(**more))


def test_experiments_run_from_their_start_to_their_end() -> None:
    one = build(Experiment, experiment(start=100.0, end=200.0))
    assert [one.runs("home", now) for now in (99.0, 100.0, 199.0, 200.0)] == [False, True, True, False]
    assert not one.runs("elsewhere", 150.0)
    assert build(Scenario, {}).pool == 200


# -- exposures ---------------------------------------------------------------------------------------------------------


def test_answers_are_kept_as_they_were_shown(service: LiveService, ask_service: Asks) -> None:
    found = ask_service(service, user="p00", k=3, context={"session": "s1", "device": "tv"})
    silent = ask_service(service, user="p00", k=3, logged=False)
    service.engine.exposures.flush()
    kept = service.engine.store.exposures.get(found.recommendation_id)
    assert kept is not None
    assert kept.items == tuple(one.id for one in found.items)
    assert (kept.user, kept.session, kept.version) == ("p00", "s1", found.version)
    assert kept.sources == ("linear",) * 3
    assert kept.propensities == (1.0,) * 3
    assert service.engine.store.exposures.get(silent.recommendation_id) is None


def test_clicks_are_counted(service: LiveService, ask_service: Asks) -> None:
    found = ask_service(service, user="p00", k=3)
    name = found.recommendation_id
    service.add_events([StoredEvent("p00", found.items[0].id, "view", recommendation_id=name)])
    service.add_events([StoredEvent("p00", "thing-24", "view", recommendation_id=name)])
    told = service.stats()
    assert told["click_through"] == 1.0
    assert sum(one["count"] for one in told["events"]) == 2
    assert told["sources"] == {"linear": 1.0}
    assert told["steps"]["recommend"]["p50"] > 0
    service.recommend([Ask(user="p00")])
