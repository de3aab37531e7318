"""A search that cannot pay for solves over all items begins on the most touched ones, and carries what it found."""

import numpy as np
import pytest
from linear_worlds import POINT, features

from salon.data import Dataset, Events
from salon.models import linear_head, linear_problem
from salon.models.linear import Linear
from salon.models.linear_head import carried, head_of, head_size
from salon.models.linear_holdout import split_task, warm_actions
from salon.models.linear_media import Media
from salon.models.linear_problem import Problem, solve_seconds
from salon.models.linear_solve import scales_of, solve


def skewed(n_users=300, n_items=60, seed=0):
    """People like five things of their half of the catalogue; the first things of it far more often."""
    rng = np.random.default_rng(seed)
    chances = 1.0 / (1 + np.arange(n_items // 2))
    liked = [2 * rng.choice(n_items // 2, 5, replace=False, p=chances / chances.sum()) + u % 2 for u in range(n_users)]
    events = Events.of(np.repeat(np.arange(n_users), 5), np.concatenate(liked))
    return Dataset.of(events, n_users, n_items)


def task(data, seed=0):
    rng = np.random.default_rng(seed)
    whole = Problem(data.queries(), Media.of(features(data.n_items)), data.n_items)
    return split_task(whole, warm_actions(whole.train, False, rng), None, rng)


def test_all_items_take_part_where_their_solves_are_affordable():
    assert solve_seconds(10_000) == pytest.approx(60)
    assert head_size(2_000, 60) == 2_000
    assert head_size(8_000, 60) == int((0.6 * 60 / 40 * 2e10 / 1.2) ** (1 / 3)) == 2_466
    assert head_size(8_000, 0) == 1_000
    assert head_size(900, 0) == 900


def test_the_head_asks_the_same_people_about_its_items_alone():
    asked = task(skewed())
    head = head_of(asked, 20, np.random.default_rng(0))
    train = asked.problem.train
    counts = np.bincount(train.items, minlength=60)
    inside = np.sort(np.argsort(-counts, kind="stable")[:20])
    assert np.unique(head.problem.train.items).tolist() == inside.tolist()
    assert np.isin(head.holdout.targets.indices, inside).all()
    assert np.isin(head.holdout.queries.items, inside).all()
    assert head.holdout.targets.sum() == asked.holdout.targets[:, inside].sum()
    assert np.bincount(head.problem.train.items, minlength=60)[inside].tolist() == counts[inside].tolist()


def test_strengths_keep_their_size_in_actions():
    asked = task(skewed())
    head = head_of(asked, 20, np.random.default_rng(0))
    moved = carried(POINT, head.problem, asked.problem)

    def size(problem, point):
        unit = scales_of(problem.statistics(point), problem.grams(point), point).unit
        return np.array([point.ridge, *point.media.values()]) * unit

    np.testing.assert_allclose(size(asked.problem, moved), size(head.problem, POINT), rtol=1e-12)
    kept = {"ridge", "prior", "media"}
    assert moved.model_dump(exclude=kept) == POINT.model_dump(exclude=kept)


def test_a_search_that_cannot_afford_all_items_begins_on_the_head(monkeypatch):
    data, sizes = skewed(), []

    def noted(stats, grams, point):
        sizes.append(len(grams.rows))
        return solve(stats, grams, point)

    monkeypatch.setattr(linear_problem, "solve", noted)
    for name, value in {"AFFORDED": 1e9, "WANTED": 1e9, "SMALLEST": 15}.items():
        monkeypatch.setattr(linear_head, name, value)
    first, again = (Linear(holdout="random", budget_seconds=0.01).fit(data, features(60), rng=0) for _ in range(2))
    solves = int(first.search_["solves"])
    head = sizes.index(60)
    assert set(sizes[:head]) == {15}
    assert set(sizes[head:solves]) == {60}
    assert head > solves - head > 0
    assert first.point_ == again.point_
