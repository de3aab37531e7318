"""Rankers apart from what they learn: candidates, features against a slow version, what is held out, what is left."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from salon.data import Dataset, Events, Field, IdMap, Items, Queries, Users
from salon.data.toy import content_world
from salon.encode.base import Features, FeatureSet
from salon.errors import SettingError
from salon.models.decision_stack import hold_out
from salon.models.joining import member, standardised
from salon.models.ranker import Groups, Pool, Ranker, RankerSettings, order_of_sources, with_moments
from salon.models.ranker_features import Facts
from salon.testing.recommenders import features_of

INF = float("inf")


class Second(Ranker):
    """Orders candidates by the score of the second source, and keeps what it was taught."""

    settings: RankerSettings

    def _learn(self, train, valid, touched, rng):
        return {"column_": 2, "train_": train, "valid_": valid}

    def _values(self, features, items):
        return np.nan_to_num(features[:, 2], nan=-50)


@pytest.fixture(scope="module")
def world():
    made = content_world()
    return made.data, features_of(made)


def small_shop():
    """Five items with a price, kinds and a text that item 3 lacks; three people with a job; item 4 is untouched."""
    items = Items(
        IdMap("abcde"),
        {
            "price": Field.of("price", "number", [1.0, 2.0, None, 4.0, 5.0]),
            "kind": Field.of("kind", "category", [("x",), ("x", "y"), ("y",), (), ("x",)]),
        },
    )
    users = Users(IdMap("uvw", what="user"), {"job": Field.of("job", "category", ["cook", "nurse", "cook"])})
    events = Events.of([0, 0, 1, 1, 2], [0, 1, 1, 2, 3], times=[0.0, 10.0, 20.0, 30.0, 40.0])
    vectors = np.array([[1.0, 0], [0, 1], [1, 1], [9, 9], [-1, 0]], np.float32)
    there = np.array([True, True, True, False, True])
    text = Features(np.where(there[:, None], vectors, 0), there, "t")
    return Dataset(items, events, users), FeatureSet({"text": text})


def test_features_are_what_their_names_say():
    data, features = small_shop()
    facts = Facts.of(data, features)
    queries = data.queries()
    owner, items = (grid.ravel() for grid in np.meshgrid(np.arange(3), np.arange(5), indexing="ij"))
    made = dict(zip(facts.names(), facts.columns(queries, owner, items).T.reshape(-1, 3, 5), strict=True))
    counts = np.array([1, 2, 1, 1, 0])
    np.testing.assert_allclose(made["popularity"][0], np.log1p(counts), rtol=1e-6)
    np.testing.assert_allclose(made["age"][1], [1, 0.5, 0.25, 0, np.nan])
    np.testing.assert_allclose(made["history.length"][:, 0], np.log1p([2, 2, 1]), rtol=1e-6)
    want = [np.log1p(counts[[0, 1]]).mean(), np.log1p(counts[[1, 2]]).mean(), np.log1p(1)]
    np.testing.assert_allclose(made["history.popularity"][:, 3], want, rtol=1e-6)
    assert np.isnan(made["now.hour"]).all()
    asked = replace(queries, now=np.array([0.0, 6.5 * 3600 + 4 * 86400, np.nan]))  # a Thursday and a Monday
    told = dict(zip(facts.names(), facts.columns(asked, owner, items).T.reshape(-1, 3, 5), strict=True))
    np.testing.assert_array_equal(told["now.hour"][:, 0], [0, 6.5, np.nan])
    np.testing.assert_array_equal(told["now.weekday"][:, 0], [3, 0, np.nan])
    assert made["profile:job=cook"][:, 0].tolist() == [1, 0, 1]
    np.testing.assert_array_equal(made["item:price"][2], [1, 2, np.nan, 4, 5])
    np.testing.assert_array_equal(made["item:kind=x"][0], [1, 1, 0, np.nan, 1])
    share = {"x": 1.0, "y": 0.5}  # of the history a, b of the first person
    want = [share["x"], (share["x"] + share["y"]) / 2, share["y"], np.nan, share["x"]]
    np.testing.assert_allclose(made["categories.match"][0], want)
    vectors, there = features["text"].vectors, features["text"].present
    unit = vectors - vectors[there].mean(axis=0)
    unit = np.where(there[:, None], unit / np.linalg.norm(unit, axis=1, keepdims=True), np.nan)
    mean = unit[[0, 1]].sum(axis=0)
    np.testing.assert_allclose(made["text.cosine"][0], unit @ mean / np.linalg.norm(mean), atol=1e-6)
    np.testing.assert_allclose(made["text.latest"][0], unit @ unit[1], atol=1e-6)
    assert np.isnan(made["text.cosine"][2]).all(), "the third person liked only what has no text"
    assert made["text.present"][0].tolist() == there.tolist()


def test_without_order_or_attributes_there_are_fewer_columns_and_strangers_have_no_profile():
    data, features = small_shop()
    plain = Facts.of(Dataset.of(Events.of([0, 1], [0, 1]), 2, 5), FeatureSet({}, 5))
    assert plain.names() == ["popularity", "history.length", "history.popularity"]
    made = Facts.of(data, features)
    place = made.names().index("profile:job=cook")
    assert np.isnan(made.columns(Queries.from_lists([[0]]), np.array([0]), np.array([1]))[0, place])


def test_what_is_no_candidate_follows_the_sources_in_turn():
    one = np.array([[3.0, -INF, 1.0, -INF, -INF]])
    other = np.array([[0.0, 7.0, 0.0, 9.0, -INF]])
    order = order_of_sources([one, other])
    assert np.argsort(-order[0], kind="stable").tolist() == [0, 2, 3, 1, 4]
    assert order[0, 4] == -INF
    assert order.max() == 1


def test_candidates_come_first_and_the_rest_fills_up(world):
    data, features = world
    members = {"linear": {"search": False}, "contentknn": {}}
    model = Second(members=members, candidates=3).fit(data, features)
    queries = data.queries()
    scores = model.score(queries)
    pool = Pool(model.names_, model.models_, Facts.restored(vars(model)), 3)
    parts = pool.scores(queries)
    owner, items, places = pool.propose(queries, parts, np.zeros(scores.shape, bool))
    made = pool.features(queries, parts, owner, items, places)
    for number, part in enumerate(parts):
        unseen = np.where(queries.seen(model.n_items_).toarray() > 0, -INF, part)
        ahead = np.array([(unseen[u] > unseen[u, i]).sum() for u, i in zip(owner, items, strict=True)])
        listed = ~np.isnan(places[:, number])
        assert (ahead[listed] <= places[listed, number]).all()
        assert (places[listed, number] < 3).all()
        assert (ahead[~listed & np.isfinite(unseen[owner, items])] >= 2).all()
        np.testing.assert_allclose(made[:, 2 * number + 1], np.log1p(places[:, number]))
        own = standardised(part)[owner, items]
        np.testing.assert_allclose(made[:, 2 * number], np.where(np.isfinite(own), own, np.nan))
    np.testing.assert_allclose(made[:, 4], np.nanmean(made[:, [0, 2]], axis=1), atol=1e-6)
    assert made[:, 5].tolist() == (~np.isnan(places)).sum(axis=1).tolist()
    candidate = np.zeros(scores.shape, bool)
    candidate[owner, items] = True
    assert not candidate[queries.row_of(), queries.items].any()
    assert (candidate.sum(axis=1) >= 3).all()
    assert (candidate.sum(axis=1) <= 6).all()
    rest = np.isfinite(scores) & ~candidate
    assert (np.where(candidate, scores, INF).min(axis=1) > np.where(rest, scores, -INF).max(axis=1)).all()
    linear = order_of_sources(pool.scores(queries))
    for row in range(len(queries)):
        order = np.flatnonzero(rest[row])
        same = np.argsort(scores[row, order], kind="stable"), np.argsort(linear[row, order], kind="stable")
        np.testing.assert_array_equal(*same)
    second = standardised(model.models_[1].score(queries))
    first = np.nan_to_num(np.where(candidate, second, -INF), neginf=-INF).argmax(axis=1)
    assert (scores.argmax(axis=1) == first).mean() > 0.9, "but for ties the second source decides"
    assert (model.recommend(queries, 20).ids >= 0).all()


def test_the_sources_of_training_have_not_seen_the_answers(world, monkeypatch):
    data, features = world
    met, asks = [], {}
    real = member("popular", {}).__class__._fit

    def spy(self, given, *rest):
        met.append(set(zip(given.events.users.tolist(), given.events.items.tolist(), strict=True)))
        return real(self, given, *rest)

    def held(given, rng):
        asks["questions"], known = hold_out(given, rng)
        return asks["questions"], known

    monkeypatch.setattr("salon.models.popular.Popular._fit", spy)
    monkeypatch.setattr("salon.models.ranker.hold_out", held)
    model = Second(members={"popular": {}, "itemknn": {}}).fit(data, features)
    people = asks["questions"].queries.users
    answers = {(int(people[q]), int(i)) for q, i in zip(*asks["questions"].targets.nonzero(), strict=True)}
    assert sorted(len(one & answers) for one in met) == [0, len(answers)]
    found = model.train_.labels.sum() + model.valid_.labels.sum()
    assert 0 < found <= len(answers)
    place = model.feature_names_.index("popularity")
    likes = {int(i): 0 for i in range(data.n_items)}
    for _, i in set.intersection(*met):
        likes[i] += 1
    want = np.log1p([likes[int(i)] for i in model.train_.items])
    np.testing.assert_allclose(model.train_.features[:, place], want, rtol=1e-6)


def test_learning_asks_at_the_time_of_the_last_answer_and_every_second_time_at_none(world):
    data, _ = world
    asked = Events.of(data.events.users, data.events.items, times=3.0 * np.arange(len(data.events)))
    timed = data.with_events(asked)
    questions, _ = hold_out(timed, np.random.default_rng(0))
    now = with_moments(questions, timed).queries.now
    last = dict(zip(zip(asked.users, asked.items, strict=True), asked.times, strict=True))
    for row, moment in enumerate(now):
        person, answers = questions.queries.users[row], questions.targets[[row]].indices
        want = max(last[person, item] for item in answers) if row % 2 == 0 else np.nan
        np.testing.assert_array_equal(moment, want)
    untimed = data.with_events(Events.of(asked.users, asked.items))
    assert with_moments(questions, untimed).queries.now is None


def test_shuffled_groups_hold_the_same_candidates():
    groups = Groups(np.arange(7.0)[:, None], np.arange(7), np.array([1.0, 0, 0, 0, 1, 0, 0]), np.array([3, 4]))
    made = groups.shuffled(np.random.default_rng(0))
    assert sorted(made.items[:3]) == [0, 1, 2]
    assert sorted(made.items[3:]) == [3, 4, 5, 6]
    assert made.items.tolist() != groups.items.tolist()
    np.testing.assert_array_equal(made.features[:, 0], made.items)
    np.testing.assert_array_equal(made.labels, groups.labels[made.items])


def test_validation_gives_the_groups_for_stopping(world):
    data, features = world
    questions, rest = hold_out(data, np.random.default_rng(7))
    model = Second(members={"itemknn": {}, "popular": {}}).fit(rest, features, validation=questions)
    assert len(model.valid_) > 30
    assert model.valid_.labels.sum() <= questions.targets.nnz
    some = Second(members={"itemknn": {}, "popular": {}}, questions=9).fit(rest, features, validation=questions)
    assert len(some.train_) + len(some.valid_) <= 18


def test_where_nothing_can_be_learned_the_sources_are_averaged():
    data = Dataset.of(Events.of([0, 1, 1], [0, 1, 2]), 2, 5)
    model = Second(members={"popular": {}, "random": {}}).fit(data)
    assert not model.trained_
    queries = Queries.from_lists([[0]])
    parts = [standardised(m.score(queries)) for m in model.models_]
    want = (parts[0] + parts[1])[0, 1:3] / 2
    np.testing.assert_allclose(model.score(queries)[0, 1:3], want, atol=2e-4)


def test_wrong_members_are_refused_in_words(world):
    data, features = world
    with pytest.raises(SettingError, match=r"'itemkn'.*itemknn"):
        Second(members={"itemkn": {}}).fit(data, features)
    with pytest.raises(SettingError, match="no members"):
        Second(members={}).fit(data, features)
