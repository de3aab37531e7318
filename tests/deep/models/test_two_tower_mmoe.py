"""Several tasks over two towers: each learns its own answer, and a task without data is refused by name."""

import re
from typing import Any

import numpy as np
import pytest

from salon.data import Dataset, Events, Queries
from salon.data.split import random_split
from salon.encode.base import Features, FeatureSet
from salon.errors import DataError, SettingError
from salon.models.two_tower_mmoe import MMoE

QUICK: dict[str, Any] = {"dim": 16, "batch_size": 256, "epochs": 15, "patience": 0, "learning_rate": 1e-2}


def parted(people: int = 40, items: int = 40, seed: int = 0) -> tuple[Dataset, FeatureSet, np.ndarray]:
    """People click items of their own half; of these they like, rate high and stay with those that shine.

    Returns:
        The log, features that show half and shine, and (items, 2) both.
    """
    rng = np.random.default_rng(seed)
    half, shine = np.arange(items) % 2, np.arange(items) // 2 % 2
    rows = [(u, i) for u in range(people) for i in rng.permutation(np.flatnonzero(half == u % 2))[:12]]
    users, chosen = np.array(rows).T
    bright = shine[chosen] == 1
    events = Events.of(
        users,
        chosen,
        values=np.where(bright, 5.0, 2.0),
        kinds=bright.astype(np.int16),
        kind_names=("view", "heart"),
        context={"seconds": np.where(bright, 100.0, 3.0)},
    )
    vectors = 0.1 * rng.standard_normal((items, 6))
    vectors[:, 0], vectors[:, 1] = 2 * half - 1, 2 * shine - 1
    features = FeatureSet({"text": Features(vectors.astype(np.float32), np.ones(items, bool))})
    return Dataset.of(events, people, items), features, np.stack([half, shine], axis=1)


@pytest.fixture(scope="module")
def fitted() -> tuple[MMoE, Dataset, np.ndarray]:
    """A model of all four tasks, which tests must not change."""
    data, features, truth = parted()
    split = random_split(data, valid=0.1, test=0.1, rng=0)
    model = MMoE(**QUICK, likes=("heart",), dwell="seconds", held=0.1)
    return model.fit(split.train, features, rng=0, validation=split.valid), data, truth


def test_every_task_learns_its_own_answer(fitted: Any) -> None:
    model, data, truth = fitted
    assert model.tasks_ == ["click", "like", "rating", "dwell"]
    people, items = (grid.ravel() for grid in np.meshgrid(np.arange(40), np.arange(40), indexing="ij"))
    found = model.outcomes(data.queries().take(people), items)
    own, bright = truth[items, 0] == people % 2, truth[items, 1] == 1
    assert found["click"][own].mean() > 3 * found["click"][~own].mean()
    assert found["like"][own & bright].mean() > 0.8
    assert found["like"][own & ~bright].mean() < 0.2
    assert np.abs(found["rating"][own & bright] - 5).mean() < 0.7
    assert np.abs(found["rating"][own & ~bright] - 2).mean() < 0.7
    assert found["dwell"][own & bright].mean() > 5 * found["dwell"][own & ~bright].mean()
    np.testing.assert_array_equal(model.predict(data.queries().take(people), items), found["rating"])


def test_held_pairs_say_how_well_each_task_is_learned(fitted: Any) -> None:
    scores = fitted[0].task_scores_
    assert scores["click"]["auc"] > 0.7  # a third of what nobody clicked is of the own half
    assert scores["like"]["auc"] > 0.95
    assert scores["rating"]["rmse"] < 0.7
    assert scores["dwell"]["rmse"] < 0.7


def test_the_ranking_is_the_stated_sum_of_what_the_tasks_say(fitted: Any) -> None:
    model, data, _ = fitted
    queries = data.queries(np.arange(3))
    people, items = (grid.ravel() for grid in np.meshgrid(np.arange(3), np.arange(40), indexing="ij"))

    def ranked(rank: dict[str, float]) -> np.ndarray:
        again = MMoE(model.settings.model_copy(update={"rank": rank})).restore(model.state())
        return again.score(queries).ravel()

    found = model.outcomes(queries.take(people), items)
    only = {"click": 0.0, "like": 0.0, "rating": 0.0, "dwell": 0.0}
    chances = ranked({**only, "click": 1.0, "like": 2.0})
    np.testing.assert_allclose(chances, np.log(found["click"]) + 2 * np.log(found["like"]), atol=1e-3)
    order = ranked({**only, "rating": 1.0})
    inside = (found["rating"] > 2) & (found["rating"] < 5)  # elsewhere ratings are cut to the range of the log
    scaled = (found["rating"] - model.scale_[0, 2]) / model.scale_[1, 2]
    np.testing.assert_allclose(order[inside], scaled[inside], atol=1e-3)


def test_losses_can_be_weighed_and_balanced_by_learned_uncertainty() -> None:
    data, features, truth = parted(people=20)
    tasks = {"tasks": ("click", "rating"), "weights": {"rating": 2.0}, "balance": "learned"}
    model = MMoE(**QUICK, **tasks).fit(data, features, rng=0)
    assert model.tasks_ == ["click", "rating"]
    found = model.predict(data.queries(np.zeros(20, int) + np.arange(20)), np.arange(20))
    assert found[truth[:20, 1] == 1].min() > found[truth[:20, 1] == 0].max()
    assert model.task_scores_ == {}  # no data was held apart


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tasks": ("like",)}, r"nothing for the task 'like'.*like.*Kinds there are: view, heart"),
        ({"tasks": ("click",), "clicks": ("buy",)}, r"nothing for the task 'click'.*buy.*Kinds there are: view, heart"),
        ({"tasks": ("dwell",)}, r"nothing for the task 'dwell'.*Further columns there are: seconds"),
    ],
)
def test_a_task_without_data_is_refused_by_name(settings: dict[str, Any], message: str) -> None:
    data, features, _ = parted()
    with pytest.raises(DataError) as raised:
        MMoE(**QUICK, **settings).fit(data, features)
    assert re.search(message, str(raised.value), re.DOTALL)


def test_a_task_that_is_not_learned_cannot_be_weighed() -> None:
    data, features, _ = parted()
    for name in ("weights", "rank"):
        with pytest.raises(SettingError, match=f"`{name}` names the task 'like'"):
            MMoE(**{**QUICK, "epochs": 1}, **{name: {"like": 1.0}}).fit(data, features).score(data.queries())


def test_without_ratings_in_the_log_clicks_are_learned_and_ratings_not_predicted() -> None:
    data, features, _ = parted(people=10)
    events = Events.of(data.events.users, data.events.items)
    model = MMoE(**{**QUICK, "epochs": 2}).fit(data.with_events(events), features, rng=0)
    assert model.tasks_ == ["click"]
    assert not model.predicts_ratings
    with pytest.raises(DataError, match="not 'rating'"):
        model.predict(Queries.from_lists([[0]]), np.array([1]))


@pytest.mark.parametrize("column", [np.array(["long"] * 480), np.full(480, -1.0)])
def test_time_that_is_no_number_of_seconds_is_refused(column: np.ndarray) -> None:
    data, features, _ = parted()
    events = Events.of(data.events.users, data.events.items, context={"dwell": column})
    with pytest.raises(DataError, match="'dwell' holds"):
        MMoE(**QUICK).fit(data.with_events(events), features)
