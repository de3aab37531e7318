"""The local form: the dense solution where neighbours are all items, and the same virtues where they are few."""

import numpy as np
import pytest
from linear_worlds import POINT, features, fitted, one, profiled, world
from scipy import sparse

from salon.component import load_component
from salon.data import Dataset, Events, Queries
from salon.encode.base import Features, FeatureSet
from salon.errors import ResourceError
from salon.metrics import hit_matrix, ndcg, relevant_counts
from salon.models.linear import Linear, LinearSettings
from salon.models.linear_local import Reach, local_problem
from salon.models.linear_media import Media
from salon.models.linear_size import Size, choose_form
from salon.models.linear_statistics import MANY_ITEMS, collect

WARM = 12
POINTS = {
    "plain": POINT,
    "order": POINT.moved({"order": 2.0, "order_reach": 3.0}),
    "prior": POINT.moved({"prior": 0.7}),
    "both": POINT.moved({"order": 2.0, "prior": 0.7, "twin_media": 1.0, "twin_power": 3}),
}
QUERIES = Queries.from_lists([[1, 2], [13], [5, 14, 3], [11]])


def local(point=POINT, data=None, items="both", **settings):
    return fitted(point, data, items, mode="local", **{"neighbours": 100, **settings})


@pytest.mark.parametrize("point", POINTS.values(), ids=POINTS)
def test_with_all_items_as_neighbours_it_is_the_dense_form(point):
    dense, found = fitted(point), local(point)
    assert found.is_local
    assert not dense.is_local
    np.testing.assert_allclose(found.weights_.toarray(), dense.weights_, atol=1e-5)
    np.testing.assert_allclose(found.score(QUERIES), dense.score(QUERIES), rtol=1e-4, atol=1e-5)


def test_attributes_of_people_take_part_as_in_the_dense_form():
    data = profiled()
    dense, found = fitted(data=data), local(data=data)
    row = data.profiles().row({"side": "odd"})
    nobody = Queries(
        np.array([0, 0]), np.zeros(0, np.int64), np.zeros(0, np.float32), np.array([-1]), True, row
    )  # fmt: skip
    np.testing.assert_allclose(found.score(nobody), dense.score(nobody), rtol=1e-4, atol=1e-5)


def test_every_column_is_least_squares_on_its_neighbours():
    data = world()
    model = local(neighbours=3, content_neighbours=2)
    counts = model.counts_[:WARM]
    scale = np.outer(counts**-0.25, counts**-0.25)
    gram, media = model.gram_.toarray()[:WARM, :WARM] * scale, Media.of(features())
    unit = gram.diagonal().mean()
    system = gram + sum(unit * a * media.gram(n, np.arange(WARM)) for n, a in POINT.media.items())
    system = system + np.diag(unit * POINT.ridge + 0.25 * gram.diagonal())
    weights = sparse.csc_array(model.weights_)
    for j in range(WARM):
        near = weights.indices[weights.indptr[j] : weights.indptr[j + 1]]
        assert 3 <= len(near) <= 3 + 2 * 2
        assert j not in near
        expected = np.linalg.solve(system[np.ix_(near, near)], system[near, j])
        np.testing.assert_allclose(weights[near, [j] * len(near)], expected, atol=1e-5)
    together = set(np.argsort(-(gram[0] ** 2) / system.diagonal())[:4]) - {0}
    assert together <= set(weights[:, [0]].nonzero()[0])
    assert data.n_items == 15


@pytest.mark.parametrize("point", POINTS.values(), ids=POINTS)
@pytest.mark.parametrize("neighbours", [3, 100])
def test_contributions_sum_to_the_score(point, neighbours):
    model = local(point, neighbours=neighbours, content_neighbours=2)
    for target in range(15):
        targets = np.full(len(QUERIES), target)
        found = model.contributions(QUERIES, targets)
        total = np.bincount(QUERIES.row_of(), found.values.sum(axis=1), minlength=len(QUERIES)) + found.rest
        np.testing.assert_allclose(total, model.score(QUERIES)[:, target], rtol=1e-3, atol=2e-5)


def test_with_all_neighbours_the_split_is_that_of_the_dense_form():
    for target in (3, 14):
        mine, dense = (m.contributions(QUERIES, np.full(4, target)) for m in (local(), fitted()))
        assert mine.parts == dense.parts
        np.testing.assert_allclose(mine.values, dense.values, atol=1e-4)


def test_people_come_and_go_as_if_fitted_again():
    data = world()
    fewer = data.with_events(data.events.take(data.events.users != 7))
    found = local(data=data, neighbours=4).updated(removed=data.queries(np.array([7])))
    np.testing.assert_allclose(found.score(QUERIES), local(data=fewer, neighbours=4).score(QUERIES), atol=1e-5)
    off = local().refit_with({"media:text": 0.0})
    np.testing.assert_allclose(off.score(QUERIES), local(POINT.moved({"media:text": 0.0})).score(QUERIES), atol=1e-5)


@pytest.mark.parametrize("known", [12, 14])
def test_new_items_join_as_in_the_dense_form(known):
    items, data = features(), Dataset.of(world().events, 40, known)
    first = FeatureSet({n: Features(f.vectors[:known], f.present[:known], f.fingerprint) for n, f in items.items()})
    more = items.take(np.arange(known, 15))
    mine, dense = (make(data=data, items=first).with_items(more) for make in (local, fitted))
    np.testing.assert_allclose(mine.score(QUERIES), dense.score(QUERIES), rtol=1e-4, atol=1e-5)


def test_saved_and_loaded_it_answers_the_same(tmp_path):
    model = local(POINTS["both"], neighbours=4)
    model.save(tmp_path / "m")
    loaded = load_component(tmp_path / "m", "model")
    assert loaded.is_local
    np.testing.assert_array_equal(loaded.score(QUERIES), model.score(QUERIES))
    mine, theirs = (m.contributions(QUERIES, np.array([3, 14, 13, 0])).values for m in (model, loaded))
    np.testing.assert_array_equal(mine, theirs)


def test_an_item_that_nothing_leads_to_scores_zero():
    data = Dataset.of(Events.of([0, 0, 1, 1, 2, 2], [0, 1, 2, 3, 0, 1]), 3, 4)
    model = Linear(LinearSettings(search=False, mode="local", neighbours=1)).fit(data)
    scores = model.score(one(0))[0]
    assert scores[1] > 0
    assert scores[2:].tolist() == [0.0, 0.0]


def ring_world(n_items=200, n_users=800, seed=0):
    """People like a stretch of a ring; the last action of the first 300 is asked for."""
    rng = np.random.default_rng(seed)
    owner = np.repeat(np.arange(n_users), 9)
    items = (rng.integers(n_items, size=n_users)[owner] + np.round(rng.normal(0, 8, len(owner))).astype(int)) % n_items
    astray = rng.random(len(owner)) < 0.2
    items[astray] = rng.integers(n_items, size=int(astray.sum()))
    last = np.arange(8, 9 * 300, 9)
    angle = 2 * np.pi * np.arange(n_items) / n_items
    vectors = np.concatenate([np.stack([np.cos(k * angle), np.sin(k * angle)], axis=1) for k in (1, 2, 4, 8)], axis=1)
    kept = np.ones(len(owner), bool)
    kept[last] = False
    data = Dataset.of(Events.of(owner[kept], items[kept]), n_users, n_items)
    content = Features((vectors + 0.3 * rng.normal(size=vectors.shape)).astype(np.float32), np.ones(n_items, bool))
    targets = sparse.csr_array((np.ones(300, np.float32), (np.arange(300), items[last])), shape=(300, n_items))
    return data, FeatureSet({"content": content}), targets


@pytest.fixture(scope="module")
def ring():
    return ring_world()


def quality(model, data, targets):
    found = model.recommend(data.queries(np.arange(300)), 20, exclude_seen=False)
    return ndcg(hit_matrix(found.ids, targets), relevant_counts(targets), 20).mean()


def test_the_more_neighbours_the_closer_to_the_dense_form(ring):
    data, items, targets = ring
    queries = data.queries(np.arange(300))
    dense = Linear(search=False).fit(data, items)
    expected = dense.score(queries).ravel()
    agreement, values = [], []
    for k in (5, 20, 60, 199):
        model = Linear(search=False, mode="local", neighbours=k, content_neighbours=5).fit(data, items)
        agreement.append(np.corrcoef(model.score(queries).ravel(), expected)[0, 1])
        values.append(quality(model, data, targets))
    assert np.all(np.diff(agreement) > 0)
    assert agreement[-1] > 0.9999
    assert values[2] > 0.97 * quality(dense, data, targets) > 0.1


def test_the_search_of_the_local_form_raises_quality(ring):
    data, items, targets = ring
    point = {"ridge": 0.03125, "dropout": 0.0, "media": {"content": 64.0}}
    bad = {"neighbours": 40, "mode": "local", "point": point}
    given = Linear(search=False, **bad).fit(data, items)
    found = Linear(budget_seconds=1.0, **bad).fit(data, items)
    assert found.search_["solves"] > 5
    assert quality(found, data, targets) > 1.05 * quality(given, data, targets)
    assert found.recall_["content"] == 1.0
    short, again = (Linear(budget_seconds=0.05, **bad).fit(data, items) for _ in range(2))
    assert short.point_ == again.point_
    np.testing.assert_array_equal(short.score(one(1)), again.score(one(1)))


def test_the_form_follows_size_and_budget():
    def chosen(touched, mode="auto", **more):
        size = Size(touched, 0, 1, 64, touched, 200.0 * touched)
        given = {
            "search": True,
            "seconds": 60.0,
            "max_items": 20_000,
            "memory_gb": 16.0,
            "width": 180,
            "ordered": False,
        }
        return choose_form(size, mode, **{**given, **more})

    assert [chosen(n) for n in (3000, 9900, 10_100, 1_000_000)] == ["dense", "dense", "local", "local"]
    assert [chosen(n, search=False, memory_gb=32.0) for n in (8000, 20_000, 20_001)] == ["dense", "dense", "local"]
    assert chosen(12_000, memory_gb=4.0) == "local"
    assert chosen(100, mode="local") == "local"
    with pytest.raises(ResourceError, match="20001 touched items need"):
        chosen(20_001, mode="dense")
    with pytest.raises(ResourceError, match=r"local form of 1000000 .* GB; allowed are 2 GB. Lower neighbours"):
        chosen(1_000_000, memory_gb=2.0)


def test_sums_of_many_pairs_are_the_same_piece_by_piece(monkeypatch):
    data = world()
    whole = collect(data.queries(), 15, exponent=0.25, reach=3.0)
    monkeypatch.setattr("salon.models.linear_statistics.MANY_PAIRS", 50.0)
    monkeypatch.setattr("salon.models.linear_statistics.MANY_ITEMS", 1)
    parts = collect(data.queries(), 15, exponent=0.25, reach=3.0)
    for name in ("gram", "past", "follow"):
        np.testing.assert_allclose(getattr(parts, name).toarray(), getattr(whole, name).toarray(), atol=1e-5)
    assert MANY_ITEMS == 20_000


def test_neighbours_hold_who_is_met_most_and_who_is_alike():
    data, media = world(), Media.of(features())
    stats = collect(data.queries(), 15, exponent=0.25)
    problem = local_problem(stats, media, POINT.moved({"media:image": 0.0}), 15, Reach(2, 2))
    assert list(problem.recall) == ["text"]
    assert sorted(problem.near.order.tolist()) == list(range(WARM))
    ring = {4, 6}  # neighbours on the ring of the text
    assert ring <= set(problem.near.of(5).tolist())
