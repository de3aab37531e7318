"""What the linear model promises: people, items, order, dislikes, forgetting, saving, limits."""

import numpy as np
import pytest
from linear_worlds import POINT, events, features, fitted, one, profiled, world
from scipy import sparse

from salon.component import load_component
from salon.data import Dataset, Events, Holdout, Queries
from salon.encode.base import Features, FeatureSet
from salon.errors import DataError, FingerprintError, NotFittedError, ResourceError, SettingError
from salon.models.linear import Linear, LinearSettings
from salon.models.linear_point import Point

WARM = 12


def without(data, user):
    return data.with_events(data.events.take(data.events.users != user))


@pytest.mark.parametrize("order", [0.0, 2.0])
def test_taking_out_a_user_equals_never_having_seen_them(order):
    data, point = world(), POINT.moved({"order": order})
    model, expected = fitted(point, data), fitted(point, without(data, 7))
    found = model.updated(removed=data.queries(np.array([7])))
    np.testing.assert_allclose(found.weights_, expected.weights_, atol=1e-5)
    np.testing.assert_allclose(found.score(one(1, 2)), expected.score(one(1, 2)), atol=1e-5)


def test_taking_out_the_only_user_of_an_item_makes_it_cold():
    base = events()
    alone = Events.of([*base.users, 40, 40], [*base.items, 13, 0], times=[*base.times, 0, 1], time_kind="order")
    data = Dataset.of(alone, 41, 15)
    found = fitted(data=data).updated(removed=data.queries(np.array([40])))
    assert 13 in found.cold_
    np.testing.assert_allclose(found.score(one(2)), fitted(data=without(data, 40)).score(one(2)), atol=1e-5)


def test_adding_a_user_equals_having_seen_them():
    data = world()
    found = fitted(data=without(data, 3)).updated(added=data.queries(np.array([3])))
    np.testing.assert_allclose(found.weights_, fitted(data=data).weights_, atol=1e-5)


def test_a_history_that_was_never_learned_cannot_be_taken_out():
    with pytest.raises(SettingError, match="would have -1 users"):
        fitted().updated(removed=one(14))


def test_cold_items_are_ranked_by_content():
    data = world()
    scores = fitted(data=data).score(one(10, 11))[0]
    assert np.isfinite(scores).all()
    assert scores[12] > scores[14]  # 12 lies beside 10 and 11 on the ring of the text, 14 lies further off
    assert set(fitted(data=data).recommend(one(10, 11), 13).ids[0]) >= {12, 13, 14}


def test_items_without_actions_and_media_are_not_scored():
    items = features()
    hidden = FeatureSet({name: f.hide(np.array([14])) for name, f in items.items()})
    scores = fitted(items=hidden).score(one(1))[0]
    assert scores[14] == -np.inf
    assert np.isfinite(scores[:14]).all()


def test_without_media_only_touched_items_are_scored():
    scores = fitted(items=None).score(one(1))[0]
    assert np.isfinite(scores[:WARM]).all()
    assert (scores[WARM:] == -np.inf).all()


def test_a_history_that_says_nothing_gets_no_answer():
    found = fitted().recommend(Queries.from_lists([[], [1]]), 3)
    assert found.ids[0].tolist() == [-1, -1, -1]
    assert (found.ids[1] >= 0).all()


def test_recent_actions_weigh_more():
    model = fitted(POINT.moved({"reach": 0.5}))
    early, late = model.score(one(1, 8))[0], model.score(one(8, 1))[0]
    assert early[9] > late[9]
    assert late[2] > early[2]
    even = fitted()
    np.testing.assert_allclose(even.score(one(1, 8)), even.score(one(8, 1)), rtol=1e-5)


def test_order_makes_the_next_item_score_above_the_one_before():
    point = POINT.moved({"order": 16.0, "order_reach": 2.0, "media:text": 0.0, "popularity": 0.0, "confidence": 0.0})
    scores = fitted(point).score(one(4, 5))[0]
    assert scores[6] > scores[3] + 0.01


def test_a_dislike_lowers_what_resembles_it_and_is_not_recommended():
    model = fitted()
    liked, mixed = one(1, weights=[1.0]), one(1, 5, weights=[1.0, -1.0])
    assert model.score(mixed)[0, 6] < model.score(liked)[0, 6]
    assert 5 not in model.recommend(mixed, 14).ids[0]
    careless = fitted(POINT.moved({"dislike": 0.0}))
    np.testing.assert_array_equal(careless.score(mixed), careless.score(liked))


def test_dislikes_are_never_learned_from():
    data = world()
    old = data.events
    missing = [int(np.setdiff1d(np.arange(WARM), old.items[old.users == user])[0]) for user in (0, 1)]
    columns = [*old.users, 0, 1], [*old.items, *missing]
    bad = Events.of(*columns, weights=[*old.weights, -1.0, -1.0], times=[*old.times, 9, 9], time_kind="order")
    np.testing.assert_array_equal(fitted(data=data.with_events(bad)).weights_, fitted(data=data).weights_)


def test_a_profile_without_a_history_gets_an_answer_and_attributes_are_never_recommended():
    data = profiled()
    model = fitted(data=data)
    rows = data.profiles()
    nobody = Queries(
        np.array([0, 0]),
        np.zeros(0, np.int64),
        np.zeros(0, np.float32),
        np.array([-1]),
        True,
        rows.row({"side": "odd"}),
    )
    scores = model.score(nobody)
    assert scores.shape == (1, 15)
    assert scores[0, 6:12].min() > scores[0, :6].max()


def test_new_items_join_without_a_solve():
    items = features()
    first = FeatureSet({n: Features(f.vectors[:13], f.present[:13], f.fingerprint) for n, f in items.items()})
    base = events()
    model = fitted(data=Dataset.of(base, 40, 13), items=first)
    joined = model.with_items(items.take(np.array([13, 14])))
    assert joined.n_items_ == 15
    assert joined.weights_ is model.weights_
    scores = joined.score(one(10, 11))
    assert np.isfinite(scores).all()
    np.testing.assert_array_equal(scores[:, :12], model.score(one(10, 11))[:, :12])


def test_new_items_of_another_encoder_are_refused():
    other = FeatureSet({"text": Features(np.ones((1, 4), np.float32), np.ones(1, bool), "other")})
    with pytest.raises(FingerprintError, match="'other'"):
        fitted().with_items(other)


def test_joined_items_can_be_learned_later():
    model = fitted(data=profiled()).with_items(features().take(np.array([3])))
    learned = model.updated(added=one(15, 2))
    assert 15 in learned.rows_
    assert 15 not in learned.cold_


def test_one_modality_can_be_switched_off():
    model = fitted()
    off = model.refit_with({"media:text": 0.0})
    expected = fitted(POINT.moved({"media:text": 0.0}))
    np.testing.assert_allclose(off.weights_, expected.weights_, atol=1e-6)
    with pytest.raises(SettingError, match="needs the histories"):
        model.refit_with({"user_exponent": 0.5})


@pytest.mark.parametrize("changes", [{}, {"order": 1.0, "prior": 1.0}], ids=["plain", "everything"])
def test_saved_and_loaded_it_answers_the_same(tmp_path, changes):
    model = fitted(POINT.moved(changes))
    model.save(tmp_path / "m")
    loaded = load_component(tmp_path / "m", "model")
    queries = Queries.from_lists([[1, 2], [13], [5]])
    np.testing.assert_array_equal(loaded.score(queries), model.score(queries))
    mine, theirs = (m.contributions(queries, np.array([3, 14, 13])).values for m in (model, loaded))
    np.testing.assert_array_equal(mine, theirs)
    assert loaded.point == model.point


def big_world():
    return Dataset.of(events(n_users=150, n_items=40, untouched=6), 150, 40), features(40)


@pytest.fixture(scope="module")
def searched():
    data, items = big_world()
    return Linear(budget_seconds=3.0).fit(data, items, rng=3)


def test_equal_seeds_give_equal_models(searched):
    data, items = big_world()
    again = Linear(budget_seconds=3.0).fit(data, items, rng=3)
    assert again.point_ == searched.point_
    np.testing.assert_array_equal(again.weights_, searched.weights_)


def test_the_search_finds_what_matters(searched):
    assert searched.search_["solves"] > 10
    assert searched.search_["warm_ndcg"] > 0.5
    assert searched.recommend(one(3, 4, 5), 1).ids[0, 0] in (2, 6)


def holdout_of(data, asked):
    queries = data.queries()
    targets = sparse.csr_array(
        (np.ones(len(asked), np.float32), (np.arange(len(asked)), asked)), shape=(len(asked), 40)
    )
    return Holdout(queries.take(np.arange(len(asked))), targets)


def test_given_answers_are_learned_only_after_a_refit():
    data, items = big_world()
    last = [int(data.queries(np.array([u])).items[-1]) for u in range(100)]
    asked = np.array([(i + 1) % 34 for i in last])
    held = holdout_of(data, asked)
    kept = Linear(budget_seconds=0.5, refit=False).fit(data, items, validation=held)
    wider = Linear(budget_seconds=0.5).fit(data, items, validation=held)
    assert kept.counts_.sum() == data.positives().nnz
    assert kept.counts_.sum() < wider.counts_.sum() <= kept.counts_.sum() + 100
    assert kept.point_ == wider.point_


def test_too_large_a_catalogue_is_refused_with_an_estimate():
    with pytest.raises(ResourceError, match=r"12 touched items need about .* GB .*allowed are 10 items"):
        fitted(max_items=10, mode="dense")


def test_nothing_liked_is_an_error():
    data = Dataset.of(Events.of([0], [0], weights=[-1.0]), 1, 3)
    with pytest.raises(DataError, match="no positive action"):
        Linear().fit(data)


def test_an_unfitted_model_says_so():
    with pytest.raises(NotFittedError):
        Linear().contributions(one(1), np.array([1]))


def test_a_misspelt_setting_is_an_error_with_a_suggestion():
    with pytest.raises(SettingError, match="budget_seconds"):
        Linear(budget_second=3)


def test_points_of_every_modality_are_completed():
    point = Point(media={"text": 2.0, "gone": 1.0}).for_modalities(["text", "sound"])
    assert point.media == {"text": 2.0, "sound": 0.25}
    assert LinearSettings(point=point).point.flat()["media:sound"] == 0.25


def test_only_the_latest_actions_are_learned():
    data = Dataset.of(Events.of([0] * 5 + [1] * 2, [0, 1, 2, 3, 4, 3, 4]), 2, 5)
    model = Linear(LinearSettings(search=False, max_history=2)).fit(data)
    assert model.rows_.tolist() == [3, 4]


def test_a_weight_for_nothing_is_an_error():
    with pytest.raises(SettingError, match="no modality 'txt'"):
        fitted(Point(media={"txt": 1.0}))
    with pytest.raises(SettingError, match="no setting 'rigde'"):
        fitted().refit_with({"rigde": 1.0})
