"""Histories of a few actions: what the sums over people expect given these actions alone, and all else as before."""

from dataclasses import replace

import numpy as np
import pytest
from linear_worlds import POINT, events, features, fitted, one, profiled, world
from scipy import sparse

from salon.component import load_component
from salon.data import Dataset, Events, Holdout, Queries
from salon.encode.base import Features, FeatureSet
from salon.errors import SettingError
from salon.models.linear import Linear, LinearSettings
from salon.models.linear_few import Few, distinct
from salon.models.linear_few_search import Trial, choose_few
from salon.models.linear_point import Point
from salon.models.linear_query import action_weights
from salon.models.linear_statistics import collect

WARM = 12
FEW = POINT.moved({"few": 2, "few_noise": 0.5})
SHORT = Queries.from_lists([[1, 2], [7], [11]], [[1.0, -1.0], [1.0], [2.0]])
LONG = Queries.from_lists([[1, 2, 3], [4, 5, 6, 7]])


def expected(model, queries):
    """(n, warm) by the book: one dense system per history over the rows of all people."""
    point, few = model.point, model.few
    total, mean = few.statistics.people, few.mean
    spread = few.statistics.gram.toarray().astype(np.float64) / total - np.outer(mean, mean)
    noise = point.few_noise * np.diag(spread)[few.warm].mean()
    found = []
    for row in range(len(queries)):
        query = queries.take(np.array([row]))
        weights = action_weights(query, point)
        rows, given = query.items.tolist(), np.where(query.weights < 0, point.dislike * query.weights, query.weights)
        extra = noise * given / weights
        if query.profiles is not None:
            own = query.profiles.toarray()[0]
            rows += [few.n_items + a for a in np.flatnonzero(own)]
            given = np.append(given, own[own != 0])
            extra = np.append(extra, np.full(int((own != 0).sum()), noise / point.profile))
        pulls = np.linalg.solve(spread[np.ix_(rows, rows)] + np.diag(extra), given - mean[rows])
        found.append((mean + spread[:, rows] @ pulls)[few.warm])
    return np.array(found)


def alike(scores, others):
    """Equal but for one factor per row."""
    factors = (scores * others).sum(axis=1) / (others * others).sum(axis=1)
    assert (factors > 0).all()
    np.testing.assert_allclose(scores, factors[:, None] * others, rtol=1e-4, atol=1e-5)


def test_one_action_counts_who_else_likes_both_drawn_towards_popularity():
    data = Dataset.of(Events.of([0, 0, 1, 1, 2, 2, 3], [0, 1, 0, 1, 0, 2, 3]), 4, 4)
    point = Point(user_exponent=0.0, few=1, few_noise=1.0)
    scores = Linear(LinearSettings(point=point, search=False)).fit(data).score(one(0))
    pull = (1 - 3 / 4) / (3 / 16 + 13 / 64)  # variances 3/16, 1/4, 3/16, 3/16; their mean is 13/64
    shared = np.array([3 / 4 - 9 / 16, 2 / 4 - 6 / 16, 1 / 4 - 3 / 16, 0 - 3 / 16])
    alike(scores, (np.array([3, 2, 1, 1]) / 4 + pull * shared)[None])
    sure = Linear(LinearSettings(point=point.moved({"few_noise": 1e-6}), search=False)).fit(data).score(one(0))
    alike(sure, np.array([[3, 2, 1, 0]]) / 3)  # of three who like the first
    unsure = Linear(LinearSettings(point=point.moved({"few_noise": 1e6}), search=False)).fit(data).score(one(0))
    alike(unsure, np.array([[3.0, 2.0, 1.0, 1.0]]))  # popularity


def test_where_everybody_likes_the_same_there_is_nothing_to_learn_from_an_action():
    data = Dataset.of(Events.of([0, 0, 1, 1], [0, 1, 0, 1]), 2, 3)
    scores = Linear(LinearSettings(point=Point(few=1), search=False)).fit(data).score(one(0))
    alike(scores[:, :2], np.ones((1, 2)))


def test_the_mean_and_covariance_are_those_of_the_rows_of_people():
    data = world()
    few = fitted(FEW, data).few
    rows = data.positives().toarray()
    weights = (rows**2).sum(axis=1) ** (-2 * FEW.user_exponent)
    np.testing.assert_allclose(few.mean, np.average(rows, axis=0, weights=weights), rtol=1e-5)
    spread = few.statistics.gram.toarray() / few.statistics.people - np.outer(few.mean, few.mean)
    np.testing.assert_allclose(spread, np.cov(rows.T, aweights=weights, ddof=0), atol=1e-5)


@pytest.mark.parametrize("changes", [{}, {"reach": 1.5}, {"user_exponent": 0.5}, {"order": 2.0}])
@pytest.mark.parametrize("mode", ["dense", "local"])
def test_short_histories_are_answered_by_the_book(changes, mode):
    model = fitted(FEW.moved(changes), mode=mode)
    alike(model.score(SHORT)[:, :WARM], expected(model, SHORT))


def test_a_profile_is_part_of_what_is_known():
    data = profiled()
    model = fitted(FEW, data)
    row = data.profiles().row({"side": "odd"})
    query = Queries(np.array([0, 1]), np.array([3]), np.ones(1, np.float32), np.array([-1]), True, row)
    alike(model.score(query)[:, :WARM], expected(model, query))
    assert not np.allclose(model.score(query), model.score(one(3)))
    split = model.contributions(query, np.array([8]))
    assert split.values.sum() + split.rest[0] == pytest.approx(model.score(query)[0, 8], rel=1e-4)


def test_longer_histories_are_answered_as_before():
    np.testing.assert_array_equal(fitted(FEW).score(LONG), fitted().score(LONG))
    others = Queries.from_lists([[], [13], [2, 13], [3]], [[], [1.0], [1.0, 1.0], [-1.0]])
    np.testing.assert_array_equal(fitted(FEW).score(others), fitted().score(others))
    targets = np.array([5, 12])
    mine, plain = (m.contributions(LONG, targets) for m in (fitted(FEW), fitted()))
    np.testing.assert_array_equal(mine.values, plain.values)


def test_cold_items_keep_their_scores_and_the_head_of_the_list_its_height():
    scores, plain = fitted(FEW).score(one(7)), fitted().score(one(7))
    np.testing.assert_array_equal(scores[:, WARM:], plain[:, WARM:])
    rest = np.arange(WARM) != 7
    assert scores[0, :WARM][rest].clip(0).sum() == pytest.approx(plain[0, :WARM][rest].clip(0).sum(), rel=1e-4)


def wide(mode="dense"):
    """60 items on a ring, people like runs of them, the last six items are cold."""
    data = Dataset.of(events(n_users=400, n_items=60, untouched=6), 400, 60)
    return fitted(FEW.moved({"few": 3}), data, features(60), mode=mode)


FAR, NEAR = Queries.from_lists([[2, 20, 40], [10, 40]]), Queries.from_lists([[2, 3, 4], [30, 31]])


@pytest.mark.parametrize("mode", ["dense", "local"])
def test_likes_that_the_closed_form_finds_from_each_other_are_left_to_it(mode):
    model = wide(mode)
    plain = model.refit_with({"few": 0})
    np.testing.assert_allclose(model.score(NEAR), plain.score(NEAR), rtol=1e-5, atol=1e-6)
    alike(model.score(FAR)[:, model.few.warm], expected(model, FAR))
    warm = model.few.warm
    for row in range(2):
        heads = []
        for form in (model, plain):
            scores = form.score(FAR)[row]
            scores[FAR.take(np.array([row])).items] = 0
            heads.append(np.sort(scores[warm].clip(0))[-20:].sum())
        assert heads[0] == pytest.approx(heads[1], rel=1e-4)


@pytest.mark.parametrize("mode", ["dense", "local"])
def test_parts_add_up_where_some_histories_are_answered_so_and_others_are_not(mode):
    model = wide(mode)
    queries = Queries.from_lists([[2, 3, 4], [2, 20, 40], [10, 40], [7], [57, 3]])
    scores = model.score(queries)
    for target in (1, 21, 31, 56):
        found = model.contributions(queries, np.full(5, target))
        sums = np.bincount(queries.row_of(), found.values.sum(axis=1), minlength=5) + found.rest
        np.testing.assert_allclose(sums, scores[:, target], rtol=1e-3, atol=1e-5)
        assert (found.rest > 0).tolist() == [False, target < 54, target < 54, target < 54, False]


def test_an_item_is_like_others_as_before():
    items = np.array([3, 13])
    np.testing.assert_array_equal(fitted(FEW).similar(items, 5).ids, fitted().similar(items, 5).ids)


@pytest.mark.parametrize("mode", ["dense", "local"])
def test_parts_add_up_to_the_score(mode):
    model = fitted(FEW, mode=mode)
    queries = Queries.from_lists([[4, 5, 6], [1, 2], [13], [7], []], [[1, 1, 1], [1, -1], [1], [2], []])
    scores = model.score(queries)
    for target in range(15):
        found = model.contributions(queries, np.full(5, target))
        sums = np.bincount(queries.row_of(), found.values.sum(axis=1), minlength=5) + found.rest
        np.testing.assert_allclose(sums[:4], scores[:4, target], rtol=1e-3, atol=1e-4)
    assert found.parts[0] == "clicks"
    alone = model.contributions(one(7), np.array([3]))
    assert alone.rest[0] > 0  # the mean over people
    assert (alone.values[:, 1:] == 0).all()


def test_people_come_and_go_as_if_fitted_again():
    data = world()
    fewer = data.with_events(data.events.take(data.events.users != 7))
    model = fitted(FEW, data)
    gone = model.updated(removed=data.queries(np.array([7])))
    np.testing.assert_allclose(gone.score(SHORT), fitted(FEW, fewer).score(SHORT), rtol=1e-3, atol=1e-5)
    back = gone.updated(added=data.queries(np.array([7])))
    np.testing.assert_allclose(back.score(SHORT), model.score(SHORT), rtol=1e-3, atol=1e-5)
    again = model.recounted(data.queries())
    np.testing.assert_allclose(again.score(SHORT), model.score(SHORT), rtol=1e-3, atol=1e-5)


def test_new_items_stand_behind_the_others():
    items, data = features(), Dataset.of(world().events, 40, WARM)
    first = FeatureSet({n: Features(f.vectors[:WARM], f.present[:WARM], f.fingerprint) for n, f in items.items()})
    model = fitted(FEW, data, first)
    wider = model.with_items(items.take(np.arange(WARM, 15)))
    np.testing.assert_allclose(wider.score(SHORT)[:, :WARM], model.score(SHORT), rtol=1e-5)


def test_saved_and_loaded_it_answers_the_same(tmp_path):
    model = fitted(FEW)
    model.save(tmp_path / "m")
    loaded = load_component(tmp_path / "m", "model")
    np.testing.assert_array_equal(loaded.score(SHORT), model.score(SHORT))
    np.testing.assert_array_equal(
        *(m.contributions(SHORT, np.array([3, 14, 0])).values for m in (model, loaded)),
    )


def test_a_model_of_the_earlier_format_answers_as_it_did_and_says_what_it_lacks():
    state = fitted().state()
    old = {name: value for name, value in state.items() if name not in ("sums_", "people_")}
    old["point_"] = {name: value for name, value in state["point_"].items() if not name.startswith("few")}
    model = Linear(LinearSettings(search=False)).restore(old)
    np.testing.assert_array_equal(model.score(SHORT), fitted().score(SHORT))
    grown = model.updated(added=one(1, 2, 3))
    np.testing.assert_allclose(grown.score(SHORT), fitted().updated(added=one(1, 2, 3)).score(SHORT), rtol=1e-5)
    with pytest.raises(SettingError, match="without the sums"):
        model.refit_with({"few": 3})
    np.testing.assert_allclose(fitted().refit_with(FEW.flat()).score(SHORT), fitted(FEW).score(SHORT), rtol=1e-4)


def questions(n_items=30, n_users=120):
    """People of one of two tastes, ten likes each, the last of which is asked for."""
    rng = np.random.default_rng(0)
    likes = [rng.permutation(15)[:10] + 15 * (user % 2) for user in range(n_users)]
    targets = np.zeros((n_users, n_items), np.float32)
    targets[np.arange(n_users), [one_[-1] for one_ in likes]] = 1
    queries = Queries.from_lists([one_[:-1].tolist() for one_ in likes])
    return Holdout(replace(queries, users=np.arange(n_users)), sparse.csr_array(targets))


def chosen(closed, fewest=20):
    asked = questions()
    stats = collect(asked.queries, 30, exponent=0.25)
    trial = Trial(asked, Point(few=4), stats, closed, np.arange(30), False, fewest)
    return choose_few(trial, np.random.default_rng(0)).few


def guesses(part):
    return np.random.default_rng(1).random((len(part), 30))


def answers(part):
    return questions().targets.toarray()[part.users]


def test_a_length_is_chosen_where_short_histories_gain_and_none_where_they_do_not():
    assert chosen(guesses) == 7  # there are no ten actions to cut to
    assert chosen(answers) == 0
    assert chosen(guesses, fewest=200) == 0  # nobody can be asked


def test_it_stops_where_the_closed_form_is_better():
    assert chosen(lambda part: (answers if np.diff(part.indptr).max() > 3 else guesses)(part)) == 3


@pytest.mark.parametrize("mode", ["dense", "local"])
def test_a_fit_helps_people_of_one_action_and_leaves_others_alone(mode):
    rng = np.random.default_rng(3)
    worth = rng.permutation(np.arange(1, 61) ** -0.7)

    def drawn(n, seed):
        own = np.random.default_rng(seed)
        odds = [np.where((np.arange(60) % 3 == user % 3), 4.0, 1.0) * worth for user in range(n)]
        return [own.choice(60, 14, replace=False, p=o / o.sum()) for o in odds]

    people, new = drawn(300, 4), drawn(90, 5)
    data = Dataset.of(Events.of(np.repeat(np.arange(300), 14), np.concatenate(people)), 300, 60)
    model = Linear(LinearSettings(mode=mode, budget_seconds=0.2)).fit(data)
    assert model.point.few >= 1
    assert isinstance(model.few, Few)
    plain = model.refit_with({"few": 0})
    short = Queries.from_lists([[int(p[0])] for p in new])
    right = [set(p[1:].tolist()) for p in new]

    def hits(m):
        return np.mean([len(set(i.tolist()) & r) for i, r in zip(m.recommend(short, 10).ids, right, strict=True)])

    assert hits(model) > hits(plain)
    whole = Queries.from_lists([p.tolist() for p in new])
    np.testing.assert_allclose(model.score(whole), plain.score(whole), rtol=1e-4, atol=1e-5)


def test_distinct_questions_are_told_by_history_and_order():
    first, of = distinct(Queries.from_lists([[1, 2], [2, 1], [1, 2], [1]], [[1, 1], [1, 1], [1, 1], [2]]))
    assert (first.tolist(), of.tolist()) == ([0, 1, 3], [0, 1, 0, 2])
    first, of = distinct(Queries.from_lists([[1], [1]], [[1], [-1]]))
    assert (first.tolist(), of.tolist()) == ([0, 1], [0, 1])
