"""LambdaMART joins what its sources know, is told by its seed, says what it reads, and is saved whole."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ranker_world import LIKES, SOURCES, two_halves

from salon.component import load_component
from salon.data import Dataset, Events, Field, IdMap, Items, Queries, Users
from salon.data.split import leave_last_out, random_split
from salon.models.ensemble_choice import quality
from salon.models.joining import member

trees = pytest.importorskip("salon.models.ranker_trees", exc_type=ImportError)


@pytest.mark.parametrize("seed", [0, 1])
def test_the_ranker_beats_each_of_its_sources(seed):
    data, features = two_halves(seed)
    split = random_split(data, valid=0.15, test=0.15, rng=0)

    def value(model):
        return float(quality(model.score(split.test.queries), split.test).mean())

    alone = [value(member(name, {}).fit(split.train, features)) for name in SOURCES]
    model = trees.LambdaMART(members=SOURCES).fit(split.train, features, rng=0, validation=split.valid)
    assert value(model) > 1.2 * max(alone)


def test_importances_name_what_counts():
    data, features = two_halves()
    members = SOURCES | {"random": {}}
    model = trees.LambdaMART(members=members, trees=40).fit(data, features, rng=0)
    for kind in ("gain", "split"):
        found = model.importances(kind)
        assert set(found) == set(model.feature_names_)
        assert sum(found.values()) == pytest.approx(1)
        assert list(found.values()) == sorted(found.values(), reverse=True)
    gain = model.importances()
    assert gain["contentknn.score"] + gain["text.cosine"] + gain["itemknn.score"] > 0.3
    assert gain["random.score"] + gain["random.place"] < 0.2


def test_the_hour_of_the_question_counts_where_taste_follows_it():
    """Everybody likes even things in the morning and anything at night; the ranker has nothing else to go by."""
    rng = np.random.default_rng(0)
    people, things, each = 300, 40, 12
    users = np.repeat(np.arange(people), each)
    night = rng.integers(2, size=users.size)
    odd = night * rng.integers(2, size=users.size)
    items = 2 * np.concatenate([rng.permutation(things // 2)[:each] for _ in range(people)]) + odd
    times = 86400.0 * rng.integers(100, size=users.size) + np.where(night, 22, 7) * 3600
    fields = {"half": Field.of("half", "category", [("even", "odd")[i % 2] for i in range(things)])}
    data = Dataset(
        Items(IdMap(map(str, range(things))), fields),
        Events.of(users, items, times=times),
        Users(IdMap(map(str, range(people)), what="user")),
    )
    model = trees.LambdaMART(members={"random": {}}, trees=60).fit(data, rng=0)
    queries = data.queries(np.arange(40))
    morning, evening = (replace(queries, now=np.full(40, 3600.0 * hour)) for hour in (7, 22))
    odd_early, odd_late = ((model.recommend(asked, 5).ids % 2).mean() for asked in (morning, evening))
    assert odd_early < 0.1
    assert odd_late > 0.3


def test_the_seed_decides_and_all_is_saved(tmp_path):
    data, features = two_halves()
    queries = Queries.from_lists([[0, 2, 5], [1], []])
    models = [trees.LambdaMART(members=SOURCES, trees=20).fit(data, features, rng=seed) for seed in (3, 3, 4)]
    scores = [model.score(queries) for model in models]
    np.testing.assert_array_equal(scores[0], scores[1])
    assert not np.array_equal(scores[0], scores[2])
    models[0].save(tmp_path / "model")
    again = load_component(tmp_path / "model", "model")
    np.testing.assert_array_equal(again.score(queries), scores[0])
    assert again.importances() == models[0].importances()


def test_other_test_actions_do_not_change_the_fit():
    data, features = two_halves(3)
    liked, events, fitted = data.positives().toarray() > 0, data.events, []
    last = events.times == LIKES - 1
    for other in (False, True):
        items = events.items.copy()
        if other:
            items[last] = [int(np.flatnonzero(~liked[u])[-1]) for u in events.users[last]]
        split = leave_last_out(data.with_events(Events.of(events.users, items, times=events.times)))
        model = trees.LambdaMART(members=SOURCES, trees=20).fit(split.train, features, validation=split.valid)
        fitted.append(model.score(split.train.queries()))
    np.testing.assert_array_equal(*fitted)


def test_where_nothing_can_be_learned_there_are_no_importances():
    data = Dataset.of(Events.of([0, 1, 1], [0, 1, 2]), 2, 5)
    model = trees.LambdaMART(members={"popular": {}}).fit(data)
    assert model.importances() == {}
    assert np.isfinite(model.score(Queries.from_lists([[0]]))[0, 1:3]).all()
