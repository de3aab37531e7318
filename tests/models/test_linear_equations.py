"""The closed form against a slow, obvious version, and the conditions that a minimum must meet."""

import numpy as np
import pytest
from linear_worlds import POINT, features, fitted, one, world
from scipy.optimize import minimize

from salon.data import Dataset, Events
from salon.models.ease import EASE, UNASKED
from salon.models.linear_media import Media
from salon.models.linear_solve import inverse
from salon.models.linear_statistics import collect

WARM = 12
ORDERED = POINT.moved({"order": 2.0, "order_reach": 3.0})
PULLED = POINT.moved({"prior": 0.7})
BOTH = ORDERED.moved({"prior": 0.7})


def slow_parts(data, point, media):
    """G, S, T, K by modality, C, L by loops and the definitions; everything over the touched items."""
    n = WARM
    gram, past, follow, counts = np.zeros((n, n)), np.zeros((n, n)), np.zeros((n, n)), np.zeros(n)
    decay = np.exp(-1 / point.order_reach)
    for user in range(data.n_users):
        rows = np.flatnonzero(data.events.users == user)
        history = data.events.items[rows[np.argsort(data.events.times[rows])]]
        x = np.zeros(n)
        x[history] = 1
        share = x.sum() ** (-2 * point.user_exponent)
        gram += np.outer(x, x) * share
        counts += x
        for t in range(1, len(history)):
            before, after = np.zeros(n), np.zeros(n)
            after[history[t]] = 1
            for s in range(t):
                before[history[s]] += decay ** (t - 1 - s)
            past += np.outer(before, before) * share
            follow += np.outer(before, after) * share
    scale = np.outer(counts**-point.item_exponent, counts**-point.item_exponent)
    gram, past, follow = gram * scale, past * scale, follow * scale
    unit = gram.diagonal().mean()
    order = point.order * unit / past.diagonal().mean() if point.order else 0.0
    media_part = np.zeros((n, n))
    for name, alpha in point.media.items():
        rows = media.rows[name][:n].astype(float)
        media_part += alpha * unit * rows @ rows.T
    graph = np.zeros((n, n))
    for name, alpha in point.media.items():
        graph += alpha / sum(point.media.values()) * media.graph(name, np.arange(n)).toarray()
    ridge = point.ridge * unit + point.dropout / (1 - point.dropout) * (gram + order * past).diagonal()
    pull = point.prior * unit
    system = gram + order * past + media_part + np.diag(ridge) + pull * np.eye(n)
    target = gram + order * follow + media_part + pull * graph
    return system, target, counts


def slow_weights(system, target):
    """Each column by its own constrained least squares: the row and column of the item itself are struck out."""
    n = len(system)
    weights = np.zeros((n, n))
    for j in range(n):
        others = np.delete(np.arange(n), j)
        weights[others, j] = np.linalg.solve(system[np.ix_(others, others)], target[others, j])
    return weights


@pytest.mark.parametrize("point", [POINT, ORDERED, PULLED, BOTH], ids=["plain", "order", "prior", "both"])
def test_weights_equal_column_by_column_least_squares(point):
    data = world()
    model = fitted(point, data)
    expected = slow_weights(*slow_parts(data, point, Media.of(features()))[:2])
    np.testing.assert_allclose(model.weights_, expected, atol=2e-5)
    assert np.array_equal(model.weights_.diagonal(), np.zeros(WARM))


@pytest.mark.parametrize("point", [POINT, BOTH], ids=["plain", "both"])
def test_gradient_is_zero_off_the_diagonal(point):
    data = world()
    system, target, _ = slow_parts(data, point, Media.of(features()))
    gradient = system @ fitted(point, data).weights_ - target
    np.fill_diagonal(gradient, 0)
    assert np.abs(gradient).max() < 1e-5 * np.abs(target).max()


def test_no_other_weights_have_a_lower_loss():
    data = world()
    x = np.zeros((40, WARM))
    x[data.events.users, data.events.items] = 1
    model = EASE(reg=3.0).fit(data)
    off = ~np.eye(WARM, dtype=bool)

    def loss(flat):
        weights = np.zeros((WARM, WARM))
        weights[off] = flat
        rest = x @ weights - x
        gradient = 2 * (x.T @ rest + 3.0 * weights)
        return (rest**2).sum() + 3.0 * (weights**2).sum(), gradient[off]

    best = minimize(loss, np.zeros(off.sum()), jac=True, method="L-BFGS-B", options={"maxiter": 2000, "ftol": 1e-14})
    assert loss(model.weights_[off])[0] == pytest.approx(best.fun, rel=1e-6)


def test_without_media_and_exponents_it_is_ease():
    data = world()
    reg = 7.0
    unit = float(np.bincount(data.events.items, minlength=WARM)[:WARM].mean())
    changes = {"user_exponent": 0, "item_exponent": 0, "dropout": 0, "popularity": 0, "confidence": 0}
    point = POINT.moved({**changes, "ridge": reg / unit, "media:text": 0, "media:image": 0})
    model, plain = fitted(point, data), EASE(reg=reg).fit(data)
    np.testing.assert_allclose(model.weights_, plain.weights_, atol=1e-6)
    np.testing.assert_allclose(model.score(one(1, 5))[:, :WARM], plain.score(one(1, 5))[:, :WARM], atol=1e-6)


def test_ease_is_the_published_formula():
    data = world()
    x = np.zeros((40, WARM))
    x[data.events.users, data.events.items] = 1
    p = np.linalg.inv(x.T @ x + 5.0 * np.eye(WARM))
    np.testing.assert_allclose(EASE(reg=5.0).fit(data).weights_, np.eye(WARM) - p / np.diag(p), atol=1e-5)


def test_scores_are_scaled_history_times_weights():
    model = fitted()
    history = np.zeros(WARM)
    history[[2, 4]] = 1
    expected = (history * model.into_) @ model.weights_ * model.out_
    np.testing.assert_allclose(model.score(one(2, 4))[0, :WARM], expected, rtol=1e-5)


@pytest.mark.parametrize("power", [1, 2, 3])
def test_cold_columns_are_the_kernel_regression_of_the_warm_ones(power):
    point = POINT.moved({"twin_power": power})
    model, media = fitted(point), Media.of(features())
    lighter = fitted(POINT.moved({"media:text": 0.25, "media:image": 0.1}))
    handed = lighter.weights_ * np.bincount(world().events.items, minlength=WARM)[:WARM] ** point.twin_popularity
    np.testing.assert_allclose(model.handed_, handed, atol=1e-5)
    warm, cold = np.arange(WARM), np.arange(WARM, 15)
    kernel = sum(point.twins[m] * (media.rows[m].astype(float) @ media.rows[m].T) ** power for m in media.names)
    among = kernel[np.ix_(warm, warm)]
    rho = point.twin_ridge * among.diagonal().mean()
    expected = np.linalg.solve(among + rho * np.eye(WARM), kernel[np.ix_(warm, cold)])
    np.testing.assert_allclose(model.twins_, expected, atol=1e-5)
    unit = np.sqrt((handed**2).sum(axis=0).mean())
    columns = (handed + point.twin_self * unit * np.eye(WARM)) @ expected * model.gain_
    history = np.zeros(WARM)
    history[[3, 7]] = 1
    np.testing.assert_allclose(model.score(one(3, 7))[0, cold], (history * model.into_) @ columns, rtol=1e-4)


def test_a_cold_item_of_the_history_is_read_as_its_twins_and_never_as_its_own():
    model = fitted()
    scores = model.score(one(13))[0]
    expected = (model.twins_[:, 1] * model.into_) @ model.weights_ * model.out_
    np.testing.assert_allclose(scores[:WARM], expected, rtol=1e-4, atol=1e-6)
    assert scores[13] == pytest.approx(0.0, abs=1e-5)
    assert scores[12] != pytest.approx(0.0, abs=1e-4)
    np.testing.assert_array_equal(model.score(one(13))[0], scores)  # what is kept from the first time says the same


def test_several_cold_items_of_a_history_add_up():
    model = fitted()
    both = model.score(one(12, 13, 14))[0]
    apart = [model.score(one(item))[0] for item in (12, 13, 14)]
    np.testing.assert_allclose(both[:WARM], np.sum(apart, axis=0)[:WARM], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(both[13], apart[0][13] + apart[2][13], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_inverse_is_the_inverse(dtype):
    root = np.random.default_rng(0).normal(size=(20, 20))
    matrix = (root @ root.T + 20 * np.eye(20)).astype(dtype)
    np.testing.assert_allclose(inverse(matrix.copy()) @ matrix, np.eye(20), atol=1e-4)


def test_repeated_actions_are_merged_before_anything_is_counted():
    once = Dataset.of(Events.of([0, 0, 1, 1], [0, 1, 1, 2]), 2, 3)
    twice = Dataset.of(Events.of([0, 0, 0, 1, 1], [0, 0, 1, 1, 2]), 2, 3)
    for data in (once, twice):
        found = collect(data.queries(), 3, exponent=0.25)
        assert found.counts.tolist() == [1, 2, 1]
        assert found.gram.toarray()[0, 1] == pytest.approx(2**-0.5)


def test_a_user_weighs_one_at_exponent_one_half():
    data = Dataset.of(Events.of([0] * 5, range(5)), 1, 5)
    assert np.linalg.norm(collect(data.queries(), 5, exponent=0.5).gram.toarray()) == pytest.approx(1.0)


def test_ease_takes_a_middling_ridge_where_nothing_can_be_asked():
    single = Dataset.of(Events.of([0, 1, 2], [0, 1, 2]), 3, 3)
    assert EASE().fit(single).reg_ == UNASKED
