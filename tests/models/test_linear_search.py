"""How settings are chosen: honest questions, a climb that knows when to stop, a budget counted in operations."""

import numpy as np
import pytest
from linear_worlds import POINT, events, features, one, world
from scipy import sparse

from salon.data import Dataset, Events, Holdout, Queries
from salon.metrics import ndcg
from salon.models.ease import EASE
from salon.models.linear_holdout import Task, cold_folds, hide_items, split_task, warm_actions
from salon.models.linear_media import Media
from salon.models.linear_point import Point
from salon.models.linear_problem import Budget, Problem
from salon.models.linear_search import climb, search


def problem(**more):
    data = world(**more)
    return Problem(data.queries(), Media.of(features(data.n_items)), data.n_items)


def test_the_last_liked_action_is_asked_for_where_order_is_known():
    queries = Queries.from_lists([[1, 2, 3], [4], [5, 6]], [[1, 1, -1], [1], [1, 1]])
    asked = warm_actions(queries, True, np.random.default_rng(0))
    assert queries.items[asked].tolist() == [2, 6]


def test_a_random_tenth_is_asked_for_otherwise_and_something_is_left():
    queries = Queries.from_lists([list(range(30)), [1], [1, 2]])
    asked = warm_actions(queries, False, np.random.default_rng(0))
    assert np.bincount(queries.row_of()[asked], minlength=3).tolist() == [3, 0, 1]


def test_what_is_asked_is_not_learned():
    whole = problem()
    asked = warm_actions(whole.train, True, np.random.default_rng(0))
    task = split_task(whole, asked, None, np.random.default_rng(0))
    left = task.problem.train
    pairs = set(zip(left.row_of().tolist(), left.items.tolist(), strict=True))
    answers = sparse.coo_array(task.holdout.targets)
    assert answers.nnz == 40
    assert not pairs & set(zip(answers.row.tolist(), answers.col.tolist(), strict=True))


def test_hidden_items_are_unknown_to_their_training_set_and_ranked_alone():
    whole = problem()
    folds = cold_folds(Problem(whole.train, whole.media, 15), np.arange(15) < 12, np.random.default_rng(0))
    assert folds == []  # 15 % of 12 items are too few
    task = hide_items(whole, np.array([3, 8]), np.random.default_rng(0))
    assert not np.isin(task.problem.train.items, [3, 8]).any()
    assert set(task.holdout.targets.indices) == {3, 8}
    assert np.flatnonzero(task.holdout.candidates).tolist() == [3, 8]


def test_the_value_of_a_task_is_ndcg_by_the_book():
    whole = problem()
    task = split_task(whole, warm_actions(whole.train, True, np.random.default_rng(0)), None, np.random.default_rng(0))
    scorer = task.problem.scorer(POINT, Budget(np.inf))
    scores = task.problem.score(scorer, task.holdout.queries, POINT, Budget(np.inf))
    values = []
    for row in range(len(task.holdout)):
        history = task.holdout.queries.take(np.array([row])).items
        order = [i for i in np.argsort(-scores[row], kind="stable") if i not in history and np.isfinite(scores[row, i])]
        hits = np.isin(order[:20], task.holdout.targets[[row]].indices)[None, :]
        values.append(ndcg(hits, np.array([1]), 20)[0])
    assert task.value(POINT, Budget(np.inf)) == pytest.approx(np.mean(values))


def test_scaling_cold_scores_once_equals_scoring_again():
    data = Dataset.of(events(n_users=80, n_items=40, untouched=6), 80, 40)
    whole = Problem(data.queries(), Media.of(features(40)), 40)
    task = split_task(whole, warm_actions(whole.train, True, np.random.default_rng(0)), None, np.random.default_rng(0))
    task = Task(task.problem, task.holdout, np.arange(34, 40))
    start, scales = POINT.for_modalities(("text", "image")), (8.0, 1.0, 0.125)
    again = [task.value(start.moved({"cold_scale": scale}), Budget(np.inf)) for scale in scales]
    assert task.values(start, scales, Budget(np.inf)) == pytest.approx(again)
    assert len(set(again)) > 1


def test_given_questions_that_rank_everything_say_how_often_a_cold_item_is_the_answer():
    data = Dataset.of(events(n_users=150, n_items=40, untouched=6), 150, 40)
    train = data.queries()
    asked = warm_actions(train, True, np.random.default_rng(0))
    task = split_task(Problem(train, Media.of(features(40)), 40), asked, None, np.random.default_rng(0))
    start = POINT.for_modalities(("text", "image"))
    found = search(task.problem, start, task.holdout, last=True, seconds=4.0, rng=np.random.default_rng(0))
    cold = Task(task.problem, task.holdout, np.arange(34, 40))
    warm = Task(task.problem, task.holdout)
    assert cold.value(found.point, Budget(np.inf)) >= warm.value(found.point, Budget(np.inf)) - 0.01


def test_given_exclusions_and_candidates_are_kept():
    data = world()
    whole = Problem(data.queries(), Media.of(features()), 15)
    targets = sparse.csr_array((np.ones(1), ([0], [7])), shape=(1, 15))
    alone = np.arange(15) == 7
    asked = Holdout(one(1, 2), targets, None, alone)
    assert Task(whole, asked).value(POINT, Budget(np.inf)) == pytest.approx(1.0)
    shut = Holdout(one(1, 2), targets, targets, None)
    assert Task(whole, shut).value(POINT, Budget(np.inf)) == 0.0


def test_a_climb_finds_the_top_and_ties_stay_where_they_are():
    grid = {"ridge": (0.5, 1.0, 2.0, 4.0, 8.0), "dropout": (0.0, 0.2, 0.5)}
    found, value = climb(lambda p: 10 - abs(p.ridge - 4) - p.dropout, Point(ridge=0.5, dropout=0.5), grid, Budget(1.0))
    assert (found.ridge, found.dropout, value) == (4.0, 0.0, 10.0)
    flat, _ = climb(lambda p: 1.0, Point(ridge=2.0), grid, Budget(1.0))
    assert flat == Point(ridge=2.0)


def test_a_spent_budget_ends_a_climb_at_its_start():
    calls = []
    climb(lambda p: calls.append(p) or 1.0, Point(), {"ridge": (1.0, 2.0, 4.0)}, Budget(0.0))
    assert len(calls) == 1


def test_too_few_questions_change_nothing():
    data = Dataset.of(Events.of([0, 0, 1, 1], [0, 1, 1, 2]), 2, 3)
    start = Point(ridge=3.0)
    whole = Problem(data.queries(), Media({}, {}, {}), 3)
    found = search(whole, start, None, last=False, seconds=5.0, rng=np.random.default_rng(0))
    assert found.point == start
    assert found.solves == 0


def test_twins_and_the_scale_of_cold_items_are_searched_on_hidden_items():
    base = events(n_users=150, n_items=40, untouched=6)
    data = Dataset.of(base, 150, 40)
    whole = Problem(data.queries(), Media.of(features(40)), 40)
    start = POINT.for_modalities(("text", "image"))
    found = search(whole, start, None, last=True, seconds=6.0, rng=np.random.default_rng(0))
    assert found.cold > 0.4
    assert found.point.twins["text"] > found.point.twins["image"] / 4
    assert np.isfinite(found.warm)


def test_ease_chooses_its_ridge_on_given_questions_and_forgets_no_item():
    data = world()
    model = EASE().fit(data)
    assert model.reg_ in (10.0, 30.0, 100.0, 200.0, 300.0, 500.0, 1000.0, 2000.0, 5000.0)
    scores = model.score(one(1, 2))[0]
    assert np.isfinite(scores[:12]).all()
    assert (scores[12:] == -np.inf).all()
