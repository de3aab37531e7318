"""Walks and graph filters against dense loops."""

import numpy as np
import pytest

from salon.data import Dataset, Events, Queries
from salon.encode.base import Features, FeatureSet
from salon.errors import SettingError
from salon.models import walks
from salon.models.walks import GraphFilter, RP3Beta, content_graph


def random_rows(seed: int, users: int = 20, items: int = 14) -> np.ndarray:
    rng = np.random.default_rng(seed)
    rows = np.round(rng.random((users, items)) * 3 + 1) * (rng.random((users, items)) < 0.3)
    rows[:, -1] = 0  # an untouched item
    rows[0] = 0  # a person without actions
    return rows


def data_of(rows: np.ndarray) -> Dataset:
    users, items = np.nonzero(rows)
    return Dataset.of(Events.of(users, items, weights=rows[users, items]), *rows.shape)


def random_features(seed: int, items: int = 14) -> FeatureSet:
    rng = np.random.default_rng(seed)
    return FeatureSet(
        {
            name: Features(rng.standard_normal((items, 5)).astype(np.float32), rng.random(items) < 0.8, name)
            for name in ("text", "image")
        }
    )


@pytest.mark.parametrize("weighted", [False, True])
def test_rp3beta_equals_loops(weighted: bool) -> None:
    rows = random_rows(1)
    used = rows if weighted else (rows > 0).astype(float)
    n, alpha, beta, k = rows.shape[1], 0.7, 0.4, 5
    walk = np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            for u in range(len(rows)):
                if i != j and used[u, i] and used[u, j]:
                    back, forth = used[u, i] / used[:, i].sum(), used[u, j] / used[u].sum()
                    walk[i, j] += back**alpha * forth**alpha / (used[:, j] > 0).sum() ** beta
    for j in range(n):
        walk[np.argsort(-walk[:, j], kind="stable")[k:], j] = 0
    expected = np.where(used @ walk > 0, used @ walk, -np.inf)
    data = data_of(rows)
    model = RP3Beta(alpha=alpha, beta=beta, k=k, weighted=weighted).fit(data)
    np.testing.assert_allclose(model.score(data.queries()), expected, rtol=1e-5)


def dense_filter(rows: np.ndarray, low_pass: float, rank: int, coefficients: tuple[float, ...]) -> np.ndarray:
    users, items = rows.sum(axis=1), rows.sum(axis=0)
    smooth = np.zeros_like(rows)
    for u, i in zip(*np.nonzero(rows), strict=True):
        smooth[u, i] = rows[u, i] / np.sqrt(users[u] * items[i])
    graph = smooth.T @ smooth
    basis = np.linalg.svd(smooth)[2][:rank].T
    root = np.sqrt(items)
    down = np.divide(1, root, out=np.zeros_like(root), where=root > 0)
    total = low_pass * np.diag(down) @ basis @ basis.T @ np.diag(root)
    for power, coefficient in enumerate(coefficients, start=1):
        total += coefficient * np.linalg.matrix_power(graph, power)
    return total


@pytest.mark.parametrize("rank", [3, 13])
def test_graph_filter_equals_the_dense_polynomial(rank: int) -> None:
    rows = (random_rows(2) > 0).astype(float)
    data = data_of(rows)
    model = GraphFilter(coefficients=(1.0, -0.3, 0.2), low_pass=0.4, rank=rank).fit(data)
    expected = rows @ dense_filter(rows, 0.4, rank, (1.0, -0.3, 0.2))
    scores = model.score(data.queries())
    np.testing.assert_allclose(scores[1:, :-1], expected[1:, :-1], atol=1e-5)
    assert (scores[0] == -np.inf).all()
    assert (scores[:, -1] == -np.inf).all()


def test_graph_filter_adds_the_content_graphs() -> None:
    rows, features = (random_rows(3) > 0).astype(float), random_features(4)
    data = data_of(rows)
    settings = {"media": {"image": 0.7}, "media_weight": 0.2, "media_coefficients": (1.0, 0.5), "neighbours": 3}
    model = GraphFilter(low_pass=0, **settings).fit(data, features)
    total = dense_filter(rows, 0, 1, (1.0,))
    for name, weight in (("text", 0.2), ("image", 0.7)):
        graph = content_graph(features[name], 3).toarray().astype(float)
        total += weight * (graph + 0.5 * graph @ graph)
    scores = model.score(data.queries())
    known = np.isfinite(scores)
    np.testing.assert_allclose(scores[known], (rows @ total)[known], atol=1e-5)
    assert np.isfinite(scores[1:, -1]).all() == features.having_any()[-1]


def test_content_graph_equals_loops_and_has_a_largest_eigenvalue_of_one() -> None:
    features, k = random_features(5)["text"], 3
    here = np.flatnonzero(features.present)
    vectors = features.vectors[here] - features.vectors[here].mean(axis=0)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -np.inf)
    dense = np.zeros((len(features), len(features)))
    for a in range(len(here)):
        for b in np.argsort(-cosines[a])[:k]:
            if cosines[a, b] > 0:
                dense[here[a], here[b]] = dense[here[b], here[a]] = cosines[a, b]
    degree = dense.sum(axis=1)
    for a, b in zip(*np.nonzero(dense), strict=True):
        dense[a, b] /= np.sqrt(degree[a] * degree[b])
    graph = content_graph(features, k).toarray()
    np.testing.assert_allclose(graph, dense, atol=1e-5)
    assert np.linalg.eigvalsh(graph)[-1] == pytest.approx(1, abs=1e-5)


def test_a_misspelt_modality_is_suggested() -> None:
    with pytest.raises(SettingError, match="'image'"):
        GraphFilter(media={"imgae": 1.0}).fit(data_of(random_rows(1)), random_features(1))


def test_small_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    data = data_of(random_rows(6))
    models = [RP3Beta(k=4), GraphFilter(k=4)]
    whole = [model.fit(data).score(data.queries()) for model in models]
    monkeypatch.setattr(walks, "block_size", lambda *_, **__: 3)
    for model, scores in zip(models, whole, strict=True):
        np.testing.assert_allclose(model.fit(data).score(data.queries()), scores, rtol=1e-5)


def test_an_item_that_cannot_be_reached_has_no_score() -> None:
    data = Dataset.of(Events.of([0, 0, 1, 1], [0, 1, 2, 3]), 2, 4)
    scores = RP3Beta().fit(data).score(Queries.from_lists([[0]]))
    assert np.isfinite(scores).tolist() == [[False, True, False, False]]
