"""Where models with a graph of items put those that nobody liked."""

import numpy as np
import pytest
from scipy import sparse
from test_deep_fit import DEEP, QUICK, two_tastes, with_new_items

from salon.data import Holdout
from salon.models import deep_items
from salon.models.deep_graph import media_graph
from salon.models.deep_items import ItemGraphRecommender, beside_neighbours, powered
from salon.registry import resolve

GRAPHS = [name for name in DEEP if issubclass(resolve("model", name), ItemGraphRecommender)]


def test_the_mean_of_their_neighbours_is_added_and_they_become_as_long_as_liked_ones() -> None:
    items = np.array([[3, 4], [0, 5], [1, 0], [0, 1], [7, 7]], np.float32)  # the last three are not liked
    near = sparse.csr_array(np.array([[1, 0, 0, 0, 0], [0, 1, 0, 0, 0], [0.5, 0.5, 0, 0, 0], [0, 1, 0, 0, 0], [0] * 5]))
    moved = beside_neighbours(items, near, np.array([True, True, False, False, False]))
    sums = np.array([[2.5, 4.5], [0, 6]])
    stretch = 5 / np.linalg.norm(sums, axis=1).mean()
    np.testing.assert_allclose(moved, [[3, 4], [0, 5], *(stretch * sums), [7, 7]], rtol=1e-6)


def test_where_all_are_liked_nothing_moves() -> None:
    items = np.arange(6, dtype=np.float32).reshape(3, 2)
    np.testing.assert_array_equal(beside_neighbours(items, sparse.csr_array(np.eye(3)), np.ones(3, bool)), items)


@pytest.mark.parametrize("power", [0.0, 2.0])
def test_neighbours_weigh_by_a_power_of_their_cosine(power: float) -> None:
    rng = np.random.default_rng(0)
    vectors, asked, sources = rng.standard_normal((9, 4)), np.arange(9) < 3, np.arange(9) > 4
    given = media_graph(vectors.astype(np.float32), asked, sources, 2, power).toarray()
    raised = powered([media_graph(vectors.astype(np.float32), asked, sources, 2, 1.0)], power)[0].toarray()
    for row in range(9):
        cosines = vectors @ vectors[row] / np.linalg.norm(vectors, axis=1) / np.linalg.norm(vectors[row])
        nearest = sorted(range(5, 9), key=lambda other: -cosines[other])[:2] if asked[row] else []
        weight = {other: max(cosines[other], 1e-6) ** power for other in nearest}
        expected = [weight[other] / sum(weight.values()) if other in weight else 0 for other in range(9)]
        np.testing.assert_allclose(given[row], expected, atol=1e-5)
        np.testing.assert_allclose(raised[row], expected, atol=1e-5)


def test_validation_decides_what_neighbours_weigh(monkeypatch: pytest.MonkeyPatch) -> None:
    """One power puts new items beside the liked ones of their taste, the other beside those of the other taste."""
    (warm, cold, items), (_, holdout, _) = with_new_items(), two_tastes()
    text = np.sign(items["text"].vectors[:, 0].round())

    def near(_: list[sparse.csr_array], power: float) -> list[sparse.csr_array]:
        links = (np.outer(text, text) == (1 if power else -1)) & cold[:, None] & ~cold
        return [sparse.csr_array(links / np.maximum(links.sum(axis=1, keepdims=True), 1), dtype=np.float32)]

    monkeypatch.setattr(deep_items, "powered", near)
    asked = Holdout(warm.queries(), sparse.csr_array(holdout.targets * cold), candidates=cold)
    kept = []
    for powers in ((0.0, 1.0), (1.0, 0.0), (0.0,)):
        monkeypatch.setattr(deep_items, "POWERS", powers)
        settings = QUICK | {"patience": 0}  # the first power is what training looks at, so it must not stop it
        kept.append(resolve("model", "freedom")(**settings).fit(warm, items, rng=0, validation=asked))
    either, other, wrong = (model.recommend(asked.queries, 6, allow=cold).ids for model in kept)
    right = [asked.targets[np.arange(80)[:, None], ids].sum() for ids in (either, other, wrong)]
    assert min(right[:2]) > 2 * right[2]


@pytest.mark.parametrize("name", GRAPHS)
def test_new_items_are_listed_among_known_ones(name: str) -> None:
    """Of the twelve first that a person has not seen about so many are new as of all that they have not seen."""
    warm, cold, items = with_new_items()
    model = resolve("model", name)(**QUICK).fit(warm, items, rng=0)
    lengths = np.linalg.norm(model.item_vectors(), axis=1)
    assert lengths[cold].mean() == pytest.approx(lengths[~cold].mean(), rel=1e-4)
    queries = warm.queries()
    chance = cold.sum() / (56 - np.diff(queries.indptr).mean())
    assert 0.5 * chance < cold[model.recommend(queries, 12).ids].mean() < 2 * chance


def test_given_questions_that_rank_all_items_decide() -> None:
    """They ask for known items alone, so that new ones had better stay at the end."""
    (warm, cold, items), (_, holdout, _) = with_new_items(), two_tastes()
    asked = Holdout(warm.queries(), sparse.csr_array(holdout.targets * ~cold))
    model = resolve("model", "freedom")(**QUICK)
    shown = {
        name: cold[model.fit(warm, items, rng=0, validation=given).recommend(asked.queries, 12).ids].mean()
        for name, given in {"all": asked, "some": Holdout(asked.queries, asked.targets, candidates=~cold)}.items()
    }
    assert shown["all"] < 0.9 * shown["some"]
