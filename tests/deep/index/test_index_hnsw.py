"""The HNSW index keeps the contract of indexes within its recall, and finds the same again when it is loaded."""

import numpy as np
import pytest

from salon import registry
from salon.component import load_component
from salon.errors import DataError, FingerprintError
from salon.index.exact import ExactIndex
from salon.index.hnsw import HnswIndex
from salon.testing import check_index


def clouds(n: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(50, 24))[rng.integers(50, size=n)] + rng.normal(size=(n, 24))).astype(np.float32)


def shared(found: np.ndarray, true: np.ndarray) -> float:
    return float(np.mean([len(np.intersect1d(a, b)) / len(b) for a, b in zip(found, true, strict=True)]))


def test_it_keeps_the_contract_of_indexes() -> None:
    assert registry.resolve("index", "hnsw") is HnswIndex
    assert registry.extra_of("index", "hnsw") == "ann"
    check_index(HnswIndex, recall=0.95, exact_below=0)
    check_index(HnswIndex)  # few vectors are compared all


@pytest.mark.parametrize("share", [1.0, 0.3])
def test_most_true_neighbours_are_found(share: float) -> None:
    vectors, queries = clouds(5000), clouds(50, 1)
    allow = np.random.default_rng(0).random(5000) < share
    true = ExactIndex().build(vectors).search(queries, 10, allow=allow)
    wide, narrow = (HnswIndex(search_width=w, links=8).build(vectors) for w in (256, 10))
    found = wide.search(queries, 10, allow=allow)
    assert shared(found.ids, true.ids) > 0.95
    assert shared(found.ids, true.ids) > shared(narrow.search(queries, 10, allow=allow).ids, true.ids)
    assert allow[found.ids].all()


def test_it_grows_and_is_saved(tmp_path) -> None:
    vectors, queries = clouds(3000), clouds(20, 1)
    index = HnswIndex().build(vectors[:2000], fingerprint="a").add(vectors[2000:], fingerprint="a")
    found = index.search(queries, 5)
    assert shared(found.ids, ExactIndex().build(vectors).search(queries, 5).ids) > 0.95
    assert found.ids.max() >= 2000
    index.save(tmp_path / "index")
    again = load_component(tmp_path / "index", "index").search(queries, 5)
    np.testing.assert_allclose(again.scores, found.scores, rtol=1e-5)
    with pytest.raises(FingerprintError):
        index.add(vectors[:1], fingerprint="b")
    with pytest.raises(DataError):
        index.search(np.full((1, 24), np.nan), 3)
