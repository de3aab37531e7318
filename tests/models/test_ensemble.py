"""Ensembles: answers are joined by the stated formulas, weights come from questions nobody has seen."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest
from scipy import sparse

from salon.component import load_component
from salon.data import Dataset, Events, Field, Holdout, IdMap, Items, Queries, Users
from salon.data.split import leave_last_out, random_split
from salon.data.toy import content_world
from salon.encode.base import Features, FeatureSet
from salon.errors import SettingError
from salon.models.decision_stack import hold_out
from salon.models.ensemble import JOINS, Ensemble
from salon.models.ensemble_bags import bootstrap
from salon.models.ensemble_choice import asked, boosted, quality
from salon.models.joining import member, standardised
from salon.models.popular import Popular, PopularSettings
from salon.testing.recommenders import features_of
from salon.training.settings import TrainingSettings

INF = float("inf")


@pytest.fixture(scope="module")
def world():
    made = content_world()
    return made.data, features_of(made)


def two_halves(seed=0, users=120, n=160):
    """People have a taste for what a text shows and one for what their company likes: each source sees one half."""
    rng = np.random.default_rng(seed)
    topic, group = rng.integers(4, size=n), rng.integers(4, size=n)
    own, crowd = np.arange(users) % 4, (np.arange(users) // 4) % 4
    truth = (topic[None] == own[:, None]).astype(float) + (group[None] == crowd[:, None])
    vectors = (np.eye(4)[topic] + 0.2 * rng.standard_normal((n, 4))).astype(np.float32)
    features = FeatureSet({"text": Features(vectors, np.ones(n, bool), "t")})
    chance = np.exp(2.5 * truth)
    drawn = [rng.choice(n, 14, replace=False, p=row / row.sum()) for row in chance]
    events = Events.of(np.repeat(np.arange(users), 14), np.concatenate(drawn))
    return Dataset.of(events, users, n), features


def ndcg_of(model, split):
    return float(quality(model.score(split.test.queries), split.test).mean())


def test_rank_average_equals_the_slow_one(world):
    data, features = world
    queries = data.queries()
    members = {"linear": {"search": False}, "itemknn": {}, "popular": {}}
    model = Ensemble(join="rank", members=members, weights={"itemknn": 2.0}).fit(data, features, rng=1)
    parts = [m.score(queries) for m in model.models_]
    want = np.full(parts[0].shape, -INF)
    for u, i in np.ndindex(*want.shape):
        total = weight = 0.0
        for w, part in zip((1.0, 2.0, 1.0), parts, strict=True):
            row = part[u][np.isfinite(part[u])]
            if np.isfinite(part[u, i]):
                place = (row < part[u, i]).sum() + ((row == part[u, i]).sum() + 1) / 2
                total, weight = total + w * place / len(row), weight + w
        want[u, i] = total / weight if weight else -INF
    np.testing.assert_allclose(model.score(queries), want, atol=1e-5)
    cold = ~data.touched()
    assert not np.isfinite(parts[1][:, cold]).any(), "this member cannot score what nobody touched"
    assert np.isfinite(model.score(queries)[:, cold]).any(), "another can"


def test_scores_are_joined_by_the_mean_over_who_can_score(world):
    data, features = world
    queries = data.queries()
    model = Ensemble(members={"contentknn": {}, "popular": {}}, weights={"popular": 3.0}).fit(data, features)
    content, popular = (standardised(m.score(queries)) for m in model.models_)
    both = np.isfinite(content) & np.isfinite(popular)
    got = model.score(queries)
    np.testing.assert_allclose(got[both], (content[both] + 3 * popular[both]) / 4, atol=1e-5)
    only = np.isfinite(content) & ~np.isfinite(popular)
    assert only.any()
    np.testing.assert_allclose(got[only], content[only], atol=1e-5)


@pytest.mark.parametrize("join", ["stack", "boost", "auto"])
def test_joined_halves_of_the_truth_beat_each_alone(join):
    data, features = two_halves()
    split = random_split(data, valid=0.15, test=0.15, rng=0)
    members = {"contentknn": {}, "itemknn": {}}
    alone = [member(n, s).fit(split.train, features) for n, s in members.items()]
    model = Ensemble(join=join, members=members, bags=2).fit(split.train, features, validation=split.valid)
    best = max(ndcg_of(m, split) for m in alone)
    assert ndcg_of(model, split) > 1.1 * best


def test_learned_weights_leave_out_noise():
    data, features = two_halves(1)
    members = {"contentknn": {}, "itemknn": {}, "random": {}}
    for join in ("stack", "boost"):
        weights = Ensemble(join=join, members=members).fit(data, features, rng=0).weights_
        assert abs(weights[2]) < 0.25 * max(weights[:2]), join


def test_auto_keeps_the_best_way_and_says_what_it_tried():
    data, features = two_halves(2)
    model = Ensemble(join="auto", members={"contentknn": {}, "itemknn": {}}, bags=2).fit(data, features, rng=0)
    assert list(model.tried_) == list(JOINS)
    assert model.join_ == max(JOINS, key=model.tried_.__getitem__)


def test_boosting_takes_first_who_is_best_and_then_who_knows_the_rest():
    """Member 0 answers questions 0-2, member 1 the questions 3 and 4, member 2 none."""
    n, items = 5, 40
    targets = sparse.csr_array(np.eye(n, items, dtype=np.float32))
    questions = Holdout(Queries.from_lists([[items - 1]] * n), targets)
    parts = [np.tile(np.arange(items, dtype=float), (n, 1)) for _ in range(3)]
    for u in range(n):
        for m in range(3):
            parts[m][u, u] = 99.0 if m == int(u >= 3) else -9.0
    assert boosted(parts, questions, 1).tolist() == [1, 0, 0]
    assert boosted(parts, questions, 10).tolist() == [0.5, 0.5, 0]


def test_boosting_without_questions_weighs_all_alike():
    questions = Holdout(Queries.from_lists([]), sparse.csr_array((0, 4)))
    assert boosted([np.zeros((0, 4))] * 2, questions, 3).tolist() == [0.5, 0.5]


def test_quality_leaves_out_what_is_seen_excluded_or_no_candidate():
    targets = sparse.csr_array(np.array([[0, 0, 0, 1.0]], np.float32))
    scores = np.array([[4.0, 3.0, 2.0, 1.0]])
    barred = sparse.csr_array(np.array([[0, 1.0, 0, 0]], np.float32))
    queries = Queries.from_lists([[0]])
    seen = quality(scores, Holdout(queries, targets))
    assert seen[0] == pytest.approx(1 / np.log2(4))
    assert quality(scores, Holdout(queries, targets, barred))[0] == pytest.approx(1 / np.log2(3))
    allowed = np.array([True, True, False, True])
    assert quality(scores, Holdout(queries, targets, barred, allowed))[0] == 1
    assert scores[0, 0] == 4, "the scores given are not changed"


def test_members_are_judged_without_the_actions_they_are_asked_for(world, monkeypatch):
    """Who judges has not seen the answers, and who answers in the end has seen everything."""
    data, features = world
    met = []
    real = member("popular", {}).__class__._fit

    def spy(self, given, *rest):
        met.append(set(zip(given.events.users.tolist(), given.events.items.tolist(), strict=True)))
        return real(self, given, *rest)

    asks = {}

    def held(given, rng):
        asks["questions"], known = hold_out(given, rng)
        return asks["questions"], known

    monkeypatch.setattr("salon.models.popular.Popular._fit", spy)
    monkeypatch.setattr("salon.models.ensemble.hold_out", held)
    Ensemble(join="stack", members={"popular": {}, "itemknn": {}}).fit(data, features)
    people = asks["questions"].queries.users
    answers = {(int(people[q]), int(i)) for q, i in zip(*asks["questions"].targets.nonzero(), strict=True)}
    assert answers
    assert not met[0] & answers
    assert answers <= met[1]


class Told(Popular):
    """Popular, noting what it is told to stop by."""

    told: ClassVar[dict[str, list]] = {}

    def _fit(self, data, items, rng, validation):
        self.told.setdefault(type(self).__name__, []).append(validation)
        return super()._fit(data, items, rng, validation)


class TrainedSettings(PopularSettings, TrainingSettings):
    pass


class Trained(Told):
    settings: TrainedSettings


@pytest.mark.parametrize(
    ("join", "given", "stops"),
    [("stack", True, "v"), ("score", True, "v"), ("stack", False, "v-"), ("score", False, "-")],
)
def test_only_who_is_trained_by_gradients_sees_what_is_held_out(world, monkeypatch, join, given, stops):
    """Others might learn from it, and would then be trusted too much."""
    data, features = world
    validation, known = hold_out(data, np.random.default_rng(0))
    monkeypatch.setattr("salon.models.ensemble.member", lambda name, _: Trained() if name == "bpr" else Told())
    monkeypatch.setattr("salon.models.ensemble.hold_out", lambda *_: (validation, known))
    monkeypatch.setattr(Told, "told", {})
    model = Ensemble(join=join, members={"popular": {}, "bpr": {}})
    model.fit(known if given else data, features, validation=validation if given else None)
    assert ["v" if one is validation else "-" for one in Told.told["Trained"]] == list(stops)
    assert Told.told["Told"] == [None] * len(stops)


def test_other_test_actions_do_not_change_the_fit():
    data, features = two_halves(3)
    events = Events.of(data.events.users, data.events.items, times=np.tile(np.arange(14.0), 120))
    last, model = events.times == 13, Ensemble(join="boost", members={"contentknn": {}, "itemknn": {}})
    liked, fitted = data.positives().toarray() > 0, []
    for other in (False, True):
        items = events.items.copy()
        if other:
            items[last] = [int(np.flatnonzero(~liked[u])[-1]) for u in events.users[last]]
        split = leave_last_out(data.with_events(Events.of(events.users, items, times=events.times)))
        fitted.append(model.fit(split.train, features, validation=split.valid).score(split.train.queries()))
    assert split.test.targets.nnz > 100
    np.testing.assert_array_equal(*fitted)


def test_a_bootstrap_sample_has_everybody_as_often_as_drawn():
    rng = np.random.default_rng(4)
    users, items = np.repeat(np.arange(50), 3), rng.integers(20, size=150)
    named = Users(IdMap([f"{u}" for u in range(51)], what="user"), {"age": Field.of("age", "number", np.arange(51.0))})
    data = Dataset(Items(IdMap(map(str, range(20)))), Events.of(users, items, times=rng.random(150)), named)
    bag = bootstrap(data, np.random.default_rng(5))
    drawn = np.bincount(np.random.default_rng(5).choice(50, 50), minlength=51)
    assert len(bag.events) == 150
    assert bag.n_users == 51 + np.maximum(drawn - 1, 0).sum()
    histories = {tuple(items[users == u].tolist()): drawn[u] for u in range(50)}
    counted: dict[tuple[int, ...], int] = {}
    for u in range(bag.n_users):
        rows = bag.events.users == u
        key = tuple(
            bag.events.items[rows][
                np.argsort(np.searchsorted(np.sort(data.events.times), bag.events.times[rows]))
            ].tolist()
        )
        counted[key] = counted.get(key, 0) + 1
    in_time = {u: tuple(items[users == u][np.argsort(data.events.times[users == u])].tolist()) for u in range(50)}
    for u in range(50):
        assert counted.get(in_time[u], 0) == sum(drawn[v] for v in range(50) if in_time[v] == in_time[u])
    assert len(histories) > 40
    assert bag.profiles().names == data.profiles().names, "copies have no attributes, so the columns stay"
    assert (bag.events.users[bag.events.users < 51] != 50).all(), "nobody was active in row 50"


def test_bagging_is_the_mean_over_the_bags(world):
    data, features = world
    model = Ensemble(join="bag", members={"itemknn": {}, "popular": {}}, bags=3).fit(data, features, rng=2)
    queries = data.queries()
    parts = [standardised(m.score(queries)) for m in model.models_]
    assert len(parts) == 6
    assert np.ptp([p[0, 0] for p in parts[:3]]) > 0, "the bags differ"
    able = np.stack([np.isfinite(p) for p in parts])
    total = np.where(able, np.stack(parts), 0).sum(axis=0)
    want = np.where(able.any(axis=0), total / np.maximum(able.sum(axis=0), 1), -INF)
    np.testing.assert_allclose(model.score(queries), want, atol=1e-5)


@pytest.mark.parametrize("join", [*JOINS, "auto"])
def test_the_seed_decides_and_all_is_saved(world, join, tmp_path):
    data, features = world
    given = {"join": join, "members": {"z": {"model": "itemknn", "k": 5}, "bpr": {"epochs": 2}}, "bags": 2}
    queries = Queries.from_lists([[0, 2], [1]])
    one, two = (Ensemble(**given).fit(data, features, rng=3) for _ in range(2))
    np.testing.assert_array_equal(one.score(queries), two.score(queries))
    one.save(tmp_path / "model")
    again = load_component(tmp_path / "model", "model")
    np.testing.assert_allclose(again.score(queries), one.score(queries), atol=1e-6)
    assert again.weights_.tolist() == one.weights_.tolist()


def test_where_nobody_can_be_asked_the_scores_are_averaged():
    data = Dataset.of(Events.of([0, 1], [0, 1]), 2, 4)
    model = Ensemble(join="auto", members={"popular": {}, "itemknn": {}}, bags=1).fit(data)
    assert model.join_ == "score"
    assert model.tried_ == {}
    assert len(asked(hold_out(data, np.random.default_rng(0))[0], np.random.default_rng(0))) == 0


def test_wrong_settings_are_refused_in_words(world):
    data, features = world
    with pytest.raises(SettingError, match=r"'linaer'.*linear"):
        Ensemble(members={"linaer": {}}).fit(data, features)
    with pytest.raises(SettingError, match="matsch"):
        Ensemble(members={"contentknn": {"matsch": "max"}}).fit(data, features)
    with pytest.raises(SettingError, match="no members"):
        Ensemble(members={}).fit(data, features)
    with pytest.raises(SettingError, match="popullar"):
        Ensemble(weights={"popullar": 1.0}).fit(data, features)
    with pytest.raises(SettingError, match="All weights are 0"):
        Ensemble(members={"popular": {}}, weights={"popular": 0.0}).fit(data, features)
    with pytest.raises(SettingError, match="join"):
        Ensemble(join="vote")
