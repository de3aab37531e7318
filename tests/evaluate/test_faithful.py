"""True explanations are told from false ones."""

import numpy as np
import pytest
from scipy import stats

from salon.data import Queries
from salon.encode.base import Features, FeatureSet
from salon.errors import DataError
from salon.evaluate.faithful import (
    Case,
    action_drops,
    faithfulness,
    modality_drops,
    spearman,
    without_each_action,
)


def test_spearman_equals_scipy_with_ties():
    rng = np.random.default_rng(0)
    for n in (2, 5, 40):
        a, b = rng.integers(0, 9, n) + 0.5 * np.arange(n), rng.integers(0, 4, n) - 1.0 * np.arange(n)
        assert spearman(a, b) == pytest.approx(stats.spearmanr(a, b).statistic)


def test_spearman_is_not_defined_for_constants_and_single_parts():
    assert np.isnan(spearman(np.ones(4), np.arange(4.0)))
    assert np.isnan(spearman(np.ones(1), np.ones(1)))
    with pytest.raises(DataError, match="3 drops"):
        spearman(np.ones(2), np.ones(3))


def test_true_explanations_are_faithful_and_random_ones_are_not():
    rng = np.random.default_rng(1)
    drops = [rng.normal(size=8) for _ in range(60)]
    true = faithfulness([Case(np.exp(d), d) for d in drops], np.random.default_rng(0))
    false = faithfulness([Case(rng.permutation(d), d) for d in drops], np.random.default_rng(0))
    assert true.correlation.mean == pytest.approx(1.0)
    assert abs(true.random.mean) < 0.1
    assert true.p < 0.001 < 0.01 < false.p
    assert abs(false.correlation.mean) < 0.15


def test_cases_without_order_are_skipped_and_counted():
    found = faithfulness(
        [Case(np.ones(3), np.arange(3.0)), Case(np.arange(3.0), np.arange(3.0))], np.random.default_rng(0)
    )
    assert (found.n, found.skipped) == (1, 1)
    with pytest.raises(DataError, match="None of 1"):
        faithfulness([Case(np.ones(3), np.ones(3))], np.random.default_rng(0))


def test_each_action_is_left_out_once():
    whole = Queries.from_lists([[9, 9], [4, 7, 2]], [[1, 1], [1, -1, 2]])
    found = without_each_action(whole.take(np.array([1])))
    histories = [found.items[found.indptr[i] : found.indptr[i + 1]].tolist() for i in range(4)]
    assert histories == [[4, 7, 2], [7, 2], [4, 2], [4, 7]]
    assert found.weights.tolist() == [1, -1, 2, -1, 2, 1, 2, 1, -1]
    with pytest.raises(DataError, match="one query"):
        without_each_action(whole)


def test_parts_of_a_linear_model_equal_the_drops():
    rng = np.random.default_rng(2)
    weights = rng.normal(size=(6, 6))
    query = Queries.from_lists([[0, 3, 5]])
    drops = action_drops(lambda q: q.positives(6) @ weights, query, 2)
    assert drops == pytest.approx(weights[[0, 3, 5], 2])


def test_a_modality_is_masked_and_nothing_else():
    features = FeatureSet(
        {m: Features(np.full((3, 1), v, np.float32), np.ones(3, bool)) for m, v in (("a", 2), ("b", 5))}
    )
    drops = modality_drops(lambda f: sum(float(c.vectors[c.present].sum()) for c in f.values()), features)
    assert drops == {"a": 6.0, "b": 15.0}
    assert features["a"].present.all()
