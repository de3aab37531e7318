"""A search that cannot pay for solves over all items begins on the most touched ones, and carries what it found."""

from dataclasses import replace

import numpy as np
import pytest
from linear_worlds import POINT, features

from salon.data import Dataset, Events
from salon.encode.base import FeatureSet
from salon.models import linear_head, linear_problem, linear_search
from salon.models.linear import Linear
from salon.models.linear_head import carried, head_of, head_size, trial_seconds, twin_head_of, twin_head_size
from salon.models.linear_holdout import hide_items, split_task, warm_actions
from salon.models.linear_media import KeptMedia, Media
from salon.models.linear_point import Point
from salon.models.linear_problem import Budget, Problem, solve_seconds
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


def hidden(data, seed=0):
    """Questions about six items that are hidden as if they were new, and about three that nobody knows."""
    whole = Problem(data.queries(), Media.of(features(63)), 63)
    asked = hide_items(whole, np.arange(12, 18), np.random.default_rng(seed))
    return replace(asked, cold=np.concatenate([asked.cold, np.arange(60, 63)]))


def test_fewer_items_have_the_twins_where_all_are_too_dear(monkeypatch):
    tasks = [hidden(skewed())]
    assert twin_head_size(tasks, linear_head.TRIALS * trial_seconds(tasks)) is None
    for name, value in {"TRIALS": 1e9, "SMALLEST": 5}.items():
        monkeypatch.setattr(linear_head, name, value)
    seconds = linear_head.TRIALS_WANTED * trial_seconds(tasks, 20)
    size = twin_head_size(tasks, seconds)
    assert 15 < size <= 20
    assert twin_head_size(tasks, 0.0) == 5


def test_the_head_of_twins_ranks_the_same_items_for_the_same_answers():
    whole = hidden(skewed())
    head = twin_head_of(whole, 20)
    counts = np.bincount(whole.problem.train.items, minlength=60)
    inside = np.sort(np.argsort(-counts, kind="stable")[:20])
    assert np.unique(head.problem.train.items).tolist() == inside.tolist()
    assert np.isin(head.holdout.queries.items, inside).all()
    assert (head.holdout.targets != whole.holdout.targets).nnz == 0
    assert head.cold.tolist() == list(range(12, 18))  # those that nobody asks for need no twins


def test_twins_of_the_head_of_all_items_are_twins_of_all():
    whole = hidden(skewed())
    head = twin_head_of(whole, 60)
    values = [one.value(POINT.moved({"twin_norm": 0.0}), Budget(np.inf)) for one in (whole, head)]
    assert values[0] == pytest.approx(values[1], abs=1e-6)


def test_kept_grams_are_those_of_the_media_and_belong_to_the_caller():
    media = Media.of(features(20))
    kept = KeptMedia(media.rows, media.centres, media.fingerprints)
    rows, columns = np.arange(9), np.arange(9, 20)
    first = kept.gram_flops(9, 11)
    for _ in range(2):
        for asked in (None, columns):
            found = kept.gram("text", rows, asked)
            np.testing.assert_array_equal(found, media.gram("text", rows, asked))
            found[:] = 0
    assert first == media.gram_flops(9, 11) > kept.gram_flops(9, 11)


def test_a_search_that_cannot_afford_all_twins_finds_the_modality_that_says_something(monkeypatch):
    rng = np.random.default_rng(0)
    starts = rng.integers(60, size=400)
    liked = ((starts[:, None] + np.arange(5)) % 60).ravel()  # runs on the ring that the texts lie on
    events = Events.of(np.repeat(np.arange(400), 5)[liked < 54], liked[liked < 54])
    data, ring = Dataset.of(events, 400, 60), features(60)["text"]
    media = FeatureSet({"text": ring, "image": replace(ring, vectors=ring.vectors[rng.permutation(60)])})
    for name, value in {"TRIALS": 1e9, "SMALLEST": 25}.items():
        monkeypatch.setattr(linear_head, name, value)
    sizes = []
    monkeypatch.setattr(linear_search, "twin_head_of", lambda one, size: sizes.append(size) or twin_head_of(one, size))
    start = Point(twins={"text": 1.0, "image": 1.0})
    models = [Linear(point=start, holdout="random", budget_seconds=2) for _ in range(2)]
    first, again = (model.fit(data, media, rng=0) for model in models)
    assert set(sizes) == {sizes[0]}
    assert 25 <= sizes[0] < 54
    assert first.point.twins["text"] >= 4 * first.point.twins["image"]
    assert first.point_ == again.point_
