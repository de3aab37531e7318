"""Chance, popularity, recent popularity."""

import numpy as np
import pytest

from salon.data import Dataset, Events, Queries
from salon.errors import DataError
from salon.models.popular import Popular, Random, Recent

NOBODY = Queries.from_lists([[]])


def test_popular_counts_people_or_weights() -> None:
    events = Events.of([0, 0, 1, 2, 2, 2], [0, 1, 0, 0, 1, 2], weights=[1, 4, 1, 1, 4, -1])
    data = Dataset.of(events, 3, 4)
    assert Popular().fit(data).score(NOBODY).tolist() == [[3, 2, -np.inf, -np.inf]]
    assert Popular(weighted=True).fit(data).score(NOBODY).tolist() == [[3, 8, -np.inf, -np.inf]]


def test_popular_counts_a_person_once() -> None:
    data = Dataset.of(Events.of([0, 0, 0, 1], [0, 0, 0, 1]), 2, 2)
    assert Popular().fit(data).score(NOBODY).tolist() == [[1, 1]]


def test_recent_halves_after_the_half_life() -> None:
    day = 86400.0
    events = Events.of([0, 1, 2], [0, 0, 1], times=[0.0, 10 * day, 20 * day])
    model = Recent(half_life_days=10).fit(Dataset.of(events, 3, 3))
    assert model.score(NOBODY)[0] == pytest.approx([0.25 + 0.5, 1.0, -np.inf])


def test_recent_falls_back_to_the_order() -> None:
    events = Events.of([0, 1, 2, 3, 4], [0, 0, 0, 1, 1])  # rows 0 to 4, so the half-life is 0.25 x 4 = 1 row
    scores = Recent(half_life_days=10).fit(Dataset.of(events, 5, 2)).score(NOBODY)[0]
    assert scores == pytest.approx([(1 / 16 + 1 / 8 + 1 / 4) / 1.5, 1.0])


def test_recent_ignores_exposures_and_dislikes() -> None:
    events = Events.of([0, 1, 2], [0, 1, 2], weights=[1, -1, 1], times=[0, 5, 9], shown=np.array([False, False, True]))
    assert np.isfinite(Recent().fit(Dataset.of(events, 3, 3)).score(NOBODY)[0]).tolist() == [True, False, False]


@pytest.mark.parametrize("model", [Popular, Recent])
def test_nothing_to_learn_from_is_refused(model: type) -> None:
    with pytest.raises(DataError, match="no positive actions"):
        model().fit(Dataset.of(Events.of([0], [0], weights=[-1]), 1, 1))


def test_random_depends_on_the_history_and_the_seed_alone() -> None:
    data = Dataset.of(Events.of([0], [0]), 1, 5000)
    model = Random().fit(data, rng=1)
    one, two, again = model.score(Queries.from_lists([[1, 2], [3], [1, 2]]))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, two)
    assert not np.array_equal(one, Random().fit(data, rng=2).score(Queries.from_lists([[1, 2]]))[0])


def test_random_is_uniform() -> None:
    data = Dataset.of(Events.of([0], [0]), 1, 5000)
    scores = Random().fit(data).score(Queries.from_lists([[1], [2], [3], [4]]))
    assert scores.min() >= 0
    assert scores.max() < 1
    assert np.histogram(scores, bins=10, range=(0, 1))[0] == pytest.approx(2000, rel=0.1)
    assert np.abs(np.corrcoef(scores)[np.triu_indices(4, 1)]).max() < 0.06


def test_random_leaves_old_scores_alone_when_items_join() -> None:
    few, many = (Random().fit(Dataset.of(Events.of([0], [0]), 1, n), rng=4) for n in (10, 20))
    query = Queries.from_lists([[3, 1]])
    assert np.array_equal(few.score(query)[0], many.score(query)[0, :10])
