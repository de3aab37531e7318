"""Slices hold what they say, and a slice of everything equals the whole."""

import numpy as np
import pytest
from scipy import sparse

from salon import metrics
from salon.data import Queries
from salon.encode.base import Features, FeatureSet
from salon.evaluate.protocol import Rules, evaluate
from salon.evaluate.slices import Slice, popularity_bands, slice_result, standard_slices


def test_bands_carry_about_a_third_of_the_actions_each_and_leave_cold_items_out():
    popularity = np.random.default_rng(0).zipf(1.6, 500).clip(0, 80)
    popularity[::9] = 0
    bands = popularity_bands(popularity)
    assert sum(mask.astype(int) for mask in bands.values()).tolist() == (popularity > 0).astype(int).tolist()
    for mask in bands.values():
        assert popularity[mask].sum() == pytest.approx(popularity.sum() / 3, abs=80)
    assert popularity[bands["head"]].min() >= popularity[bands["middle"]].max()
    assert popularity[bands["middle"]].min() >= popularity[bands["tail"]].max()
    assert not popularity_bands(np.zeros(3, int))["head"].any()


def test_standard_slices_find_cold_items_cold_users_and_missing_media():
    queries = Queries.from_lists([[0, 1], [0, 1, 2, 3]], [[1, -1], [1, 1, 1, 0]])
    features = FeatureSet({"image": Features(np.ones((5, 2), np.float32), np.array([1, 1, 0, 1, 0], bool))})
    found = {s.name: s for s in standard_slices(queries, np.array([5, 3, 2, 1, 0]), features, few=2)}
    assert list(found) == [
        "cold items", "cold users", "head items", "middle items", "tail items", "items without image",
    ]  # fmt: skip
    assert found["cold items"].items.tolist() == [False] * 4 + [True]
    assert found["cold users"].users.tolist() == [True, False]
    assert found["items without image"].items.tolist() == [False, False, True, False, True]


def test_a_slice_keeps_its_targets_only():
    targets = sparse.csr_array(np.array([[1, 1, 0], [0, 1, 1]]))
    by_item = Slice("", "", items=np.array([True, False, True])).restrict(targets).toarray()
    by_user = Slice("", "", users=np.array([False, True])).restrict(targets).toarray()
    assert by_item.tolist() == [[1, 0, 0], [0, 0, 1]]
    assert by_user.tolist() == [[0, 0, 0], [0, 1, 1]]


def test_a_slice_of_everything_equals_the_whole_and_parts_equal_the_definition(world):
    report = evaluate(world.models, world.holdout, train=world.data, features=world.features, rules=Rules(draws=100))
    targets = sparse.csr_array(world.targets)
    lists = {name: report[name].lists.ids for name in report.names}
    whole = slice_result(Slice("all", ""), lists, targets, (10,), np.random.default_rng(0), draws=50)
    assert (whole.n_users, whole.n_targets) == (40, 120)
    cold = next(s for s in report.slices if s.name == "cold items")
    inside = sparse.csr_array(world.targets * (np.arange(30) >= 24))
    assert cold.n_targets == inside.nnz
    for name in report.names:
        assert whole.models[name]["ndcg@10"].mean == pytest.approx(report[name].metrics["ndcg@10"].mean)
        hits, relevant = metrics.hit_matrix(lists[name], inside), metrics.relevant_counts(inside)
        expected = metrics.recall(hits, relevant, 20)[relevant > 0].mean()
        assert cold.models[name]["recall@20"].mean == pytest.approx(expected)
        assert cold.models[name]["recall@20"].n == (relevant > 0).sum() == cold.n_users


def test_an_empty_slice_is_left_out(world):
    report = evaluate(world.models, world.holdout, train=world.data, rules=Rules(draws=20, few=3))
    assert "cold users" not in {s.name for s in report.slices}
    assert {"cold items", "head items"} <= {s.name for s in report.slices}
