"""Neighbourhood models against loops."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from salon.data import Dataset, Events, Queries
from salon.models import neighbours
from salon.models.neighbours import ItemKNN, Metric, Side, UserKNN, similarities

METRICS: list[Metric] = ["cosine", "euclidean", "pearson"]


def random_rows(seed: int, users: int = 15, items: int = 12) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.round(rng.random((users, items)) * 3 + 1) * (rng.random((users, items)) < 0.35)


def slow_similarity(a: np.ndarray, b: np.ndarray, metric: str, shrink: float) -> float:
    """By definition, for one pair of rows."""
    common = int(((a > 0) & (b > 0)).sum())
    if common == 0:
        return 0.0
    if metric == "cosine":
        value = a @ b / np.sqrt((a @ a) * (b @ b))
    elif metric == "euclidean":
        value = 1 / (1 + np.sqrt(((a - b) ** 2).sum()))
    else:
        value = 0.0 if a.std() * b.std() == 0 else ((a - a.mean()) * (b - b.mean())).mean() / (a.std() * b.std())
    return max(0.0, value * common / (common + shrink))


def slow_similarities(left: np.ndarray, right: np.ndarray, metric: str, shrink: float) -> np.ndarray:
    return np.array([[slow_similarity(a, b, metric, shrink) for b in right] for a in left])


def data_of(rows: np.ndarray) -> Dataset:
    users, items = np.nonzero(rows)
    return Dataset.of(Events.of(users, items, weights=rows[users, items]), *rows.shape)


def largest(row: np.ndarray, k: int) -> list[int]:
    return [j for j in sorted(range(len(row)), key=lambda j: (-row[j], j)) if row[j] > 0][:k]


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("shrink", [0.0, 3.0])
@given(seed=st.integers(0, 1000))
def test_similarities_equal_their_definition(metric: Metric, shrink: float, seed: int) -> None:
    left, right = random_rows(seed, 5, 12), random_rows(seed + 1, 7, 12)
    fast = similarities(sparse.csr_array(left), Side.of(sparse.csr_array(right)), metric, shrink).toarray()
    np.testing.assert_allclose(fast, slow_similarities(left, right, metric, shrink), atol=1e-6)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("weighted", [False, True])
def test_itemknn_equals_loops(metric: Metric, weighted: bool) -> None:
    rows = random_rows(5)
    used = rows if weighted else (rows > 0).astype(float)
    k = 4 if weighted else 12  # similarities of ones are often equal, and rounding would choose among them
    near = slow_similarities(used.T, used.T, metric, 2.0)
    np.fill_diagonal(near, 0)
    expected = np.full(rows.shape, -np.inf)
    for u in range(len(rows)):
        for j in range(rows.shape[1]):
            parts = [used[u, i] * near[j, i] for i in largest(near[j], k) if used[u, i] > 0]
            if parts:
                expected[u, j] = sum(parts)
    data = data_of(rows)
    model = ItemKNN(k=k, metric=metric, shrink=2, weighted=weighted).fit(data)
    np.testing.assert_allclose(model.score(data.queries()), expected, rtol=1e-5)


@pytest.mark.parametrize("metric", METRICS)
def test_userknn_equals_loops_for_unknown_people(metric: Metric) -> None:
    rows, strangers = random_rows(6), random_rows(7, 4)
    near = slow_similarities(strangers, rows, metric, 2.0)
    expected = np.full(strangers.shape, -np.inf)
    for u in range(len(strangers)):
        for j in range(rows.shape[1]):
            parts = [near[u, v] * rows[v, j] for v in largest(near[u], 3) if rows[v, j] > 0]
            if parts:
                expected[u, j] = sum(parts)
    model = UserKNN(k=3, metric=metric, shrink=2, weighted=True).fit(data_of(rows))
    histories = [list(np.flatnonzero(row)) for row in strangers]
    weights = [list(row[history]) for row, history in zip(strangers, histories, strict=True)]
    queries = Queries.from_lists(histories, weights)
    np.testing.assert_allclose(model.score(queries), expected, rtol=1e-5)


@pytest.mark.parametrize("model", [ItemKNN, UserKNN])
def test_small_blocks_change_nothing(model: type, monkeypatch: pytest.MonkeyPatch) -> None:
    data = data_of(random_rows(8))
    whole = model(k=5).fit(data).score(data.queries())
    monkeypatch.setattr(neighbours, "block_size", lambda *_, **__: 2)
    np.testing.assert_allclose(model(k=5).fit(data).score(data.queries()), whole, rtol=1e-6)


def test_no_neighbour_is_no_score() -> None:
    data = Dataset.of(Events.of([0, 0, 1, 1], [0, 1, 2, 3]), 2, 4)
    scores = ItemKNN().fit(data).score(Queries.from_lists([[0], []]))
    assert np.isfinite(scores).tolist() == [[False, True, False, False], [False] * 4]
