"""Graphs of nearest neighbours against slow, obvious versions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from salon.arrays import nearest_rows, unit_rows
from salon.errors import DataError, SettingError
from salon.index.approximate import nearest_by_cells
from salon.index.graph import knn_graph, recall, symmetric_normalised, symmetrised


def slow_graph(vectors: np.ndarray, present: np.ndarray, k: int) -> np.ndarray:
    graph = np.zeros((len(vectors), len(vectors)))
    for i in np.flatnonzero(present):
        others = [j for j in np.flatnonzero(present) if j != i]
        cosine = {
            j: vectors[i] @ vectors[j] / (np.linalg.norm(vectors[i]) * np.linalg.norm(vectors[j])) for j in others
        }
        for j in sorted(others, key=lambda j: (-cosine[j], j))[:k]:
            graph[i, j] = max(cosine[j], 0.0)
    return graph


@given(st.integers(0, 10_000), st.integers(1, 6))
def test_graph_is_the_slow_one(seed: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    vectors, present = rng.normal(size=(12, 4)), rng.random(12) < 0.7
    vectors[~present] = np.nan
    graph = knn_graph(vectors, present, k)
    np.testing.assert_allclose(graph.toarray(), slow_graph(vectors, present, k), atol=1e-5)
    assert graph.dtype == np.float32
    assert (graph.data > 0).all()


def test_centred_takes_the_mean_off() -> None:
    rng = np.random.default_rng(0)
    vectors, present = rng.normal(size=(20, 4)) + 5, np.arange(20) < 15
    centred = vectors - vectors[present].mean(axis=0)
    found = knn_graph(vectors, present, 3, metric="centred").toarray()
    np.testing.assert_allclose(found, slow_graph(centred, present, 3), atol=1e-4)


def test_normalised_has_largest_eigenvalue_one() -> None:
    rng = np.random.default_rng(0)
    graph = symmetrised(knn_graph(rng.normal(size=(30, 5)), np.ones(30, bool), 4))
    assert (graph != graph.T).nnz == 0
    dense, degree = graph.toarray(), graph.toarray().sum(axis=1)
    normal = symmetric_normalised(graph)
    np.testing.assert_allclose(normal.toarray(), dense / np.sqrt(np.outer(degree, degree)), atol=1e-6)
    assert np.linalg.eigvalsh(normal.toarray()).max() == pytest.approx(1.0, abs=1e-5)


def test_no_present_item_gives_an_empty_graph() -> None:
    graph = symmetric_normalised(knn_graph(np.ones((3, 2)), np.zeros(3, bool), 2))
    assert graph.shape == (3, 3)
    assert graph.nnz == 0
    assert isinstance(graph, sparse.csr_array)


def test_what_cannot_be_used_is_named() -> None:
    with pytest.raises(SettingError, match="k is 0"):
        knn_graph(np.ones((3, 2)), np.ones(3, bool), 0)
    with pytest.raises(DataError, match="not finite"):
        knn_graph(np.full((3, 2), np.nan), np.ones(3, bool), 1)
    with pytest.raises(DataError, match=r"\(2,\)"):
        knn_graph(np.ones((3, 2)), np.ones(2, bool), 1)


def clustered(n: int = 3000, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(40, 16))[rng.integers(40, size=n)] + 0.6 * rng.normal(size=(n, 16))).astype(np.float32)


def test_cells_find_nearly_all_neighbours_and_say_how_many() -> None:
    vectors, there = clustered(), np.ones(3000, bool)
    exact, near = knn_graph(vectors, there, 10), knn_graph(vectors, there, 10, exact_up_to=100)
    shared = float((exact.astype(bool).multiply(near.astype(bool))).sum() / exact.nnz)
    assert 0.9 < shared <= 1.0
    assert recall(near, vectors, there, 10, sample=3000) == pytest.approx(shared, abs=0.01)
    assert recall(exact, vectors, there, 10) == 1.0


def test_fewer_probes_find_less() -> None:
    units = unit_rows(clustered())
    true = np.sort(nearest_by_cells(units, 10, probes=100).ids, axis=1)
    np.testing.assert_array_equal(true, np.sort(nearest_rows(units, units, 10, skip_self=True).ids, axis=1))
    few = nearest_by_cells(units, 10, probes=1)
    assert 0.2 < np.mean([len(np.intersect1d(a, b)) / 10 for a, b in zip(true, few.ids, strict=True)]) < 0.95
    assert (few.ids != np.arange(3000)[:, None]).all()


def test_cells_answer_small_and_equal_inputs() -> None:
    assert nearest_by_cells(np.ones((1, 2), np.float32), 3).ids.tolist() == [[-1, -1, -1]]
    assert (nearest_by_cells(np.ones((600, 2), np.float32), 3).scores == 2).all()
