"""Every metric against an obvious slow version, and the properties it is used for."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from salon import metrics

N_ITEMS = 12


@st.composite
def rankings(draw):
    """Lists of distinct ids with padding, and targets; (ids, targets, k)."""
    seed, n, width = draw(st.integers(0, 2**31)), draw(st.integers(1, 6)), draw(st.integers(1, N_ITEMS))
    rng = np.random.default_rng(seed)
    ids = np.stack([rng.permutation(N_ITEMS)[:width] for _ in range(n)])
    for row in ids:
        row[rng.integers(0, width + 1) :] = -1
    targets = sparse.csr_array((rng.random((n, N_ITEMS)) < draw(st.sampled_from([0.1, 0.4, 0.9]))).astype(np.float32))
    return ids, targets, draw(st.integers(1, N_ITEMS + 2))


def slow(ids, targets, k):
    """Metric name -> list of values per query, written out from the definitions."""
    out = {name: [] for name in ("precision", "recall", "f1", "hit", "rr", "ap", "ndcg")}
    for row, wanted in zip(ids.tolist(), targets.toarray(), strict=True):
        relevant = {i for i in range(N_ITEMS) if wanted[i]}
        listed = row[:k]
        good = [j for j, item in enumerate(listed) if item in relevant]
        p, r = len(good) / k, len(good) / max(len(relevant), 1)
        out["precision"].append(p)
        out["recall"].append(r)
        out["f1"].append(2 * p * r / (p + r) if p + r else 0.0)
        out["hit"].append(float(bool(good)))
        out["rr"].append(1 / (good[0] + 1) if good else 0.0)
        precisions = [sum(j2 <= j for j2 in good) / (j + 1) for j in good]
        out["ap"].append(sum(precisions) / max(min(len(relevant), k), 1))
        ideal = sum(1 / math.log2(j + 2) for j in range(min(len(relevant), k)))
        out["ndcg"].append(sum(1 / math.log2(j + 2) for j in good) / ideal if ideal else 0.0)
    return out


def fast(ids, targets, k):
    hits, relevant = metrics.hit_matrix(ids, targets), metrics.relevant_counts(targets)
    return {
        "precision": metrics.precision(hits, k),
        "recall": metrics.recall(hits, relevant, k),
        "f1": metrics.f1(hits, relevant, k),
        "hit": metrics.hit_rate(hits, k),
        "rr": metrics.reciprocal_rank(hits, k),
        "ap": metrics.average_precision(hits, relevant, k),
        "ndcg": metrics.ndcg(hits, relevant, k),
    }


@given(rankings())
@settings(max_examples=150)
def test_ranking_metrics_equal_their_definitions(case):
    expected, found = slow(*case), fast(*case)
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], atol=1e-12, err_msg=name)


@given(rankings())
@settings(max_examples=60)
def test_ranking_metrics_stay_between_0_and_1(case):
    for name, values in fast(*case).items():
        assert ((values >= 0) & (values <= 1 + 1e-12)).all(), name


@given(rankings())
@settings(max_examples=60)
def test_recall_hit_rate_and_reciprocal_rank_never_fall_as_k_grows(case):
    ids, targets, k = case
    less, more = fast(ids, targets, k), fast(ids, targets, k + 1)
    for name in ("recall", "hit", "rr"):
        assert (more[name] >= less[name] - 1e-12).all(), name


@given(st.integers(0, 2**31), st.integers(1, N_ITEMS))
@settings(max_examples=40)
def test_a_perfect_ranking_is_worth_1(seed, k):
    rng = np.random.default_rng(seed)
    wanted = rng.random(N_ITEMS) < 0.5
    wanted[rng.integers(N_ITEMS)] = True
    ids = np.argsort(~wanted, kind="stable")[None, :]
    found = fast(ids, sparse.csr_array(wanted[None, :].astype(float)), k)
    for name in ("ndcg", "ap", "rr", "hit"):
        assert found[name][0] == pytest.approx(1.0), name
    assert max(found["recall"][0], found["precision"][0]) == pytest.approx(1.0)


@given(rankings(), st.integers(0, N_ITEMS - 2))
@settings(max_examples=60)
def test_moving_a_hit_up_never_hurts(case, place):
    ids, targets, k = case
    if place + 1 >= ids.shape[1]:
        return
    hits, relevant = metrics.hit_matrix(ids, targets), metrics.relevant_counts(targets)
    better = hits.copy()
    swap = hits[:, place + 1] & ~hits[:, place]
    better[swap, place], better[swap, place + 1] = True, False
    for function in (metrics.ndcg, metrics.average_precision, metrics.recall):
        assert (function(better, relevant, k) >= function(hits, relevant, k) - 1e-12).all()


def test_padding_is_never_a_hit_even_beside_the_last_item_of_the_row_before():
    targets = sparse.csr_array(np.array([[0, 0, 1], [1, 0, 0]]))
    assert not metrics.hit_matrix(np.array([[0, -1], [-1, -1]]), targets).any()


@given(st.integers(0, 2**31), st.booleans())
@settings(max_examples=80)
def test_auc_equals_counting_pairs_with_ties_half(seed, whole):
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 5, (4, 9)).astype(np.float32)
    scores[rng.random((4, 9)) < 0.2] = -np.inf
    scores[0, 0] = np.nan
    positive, ranked = rng.random((4, 9)) < 0.3, rng.random((4, 9)) < 0.8
    found = metrics.auc(scores, positive, None if whole else ranked)
    for row in range(4):
        takes_part = np.ones(9, bool) if whole else ranked[row]
        level = np.where(np.isnan(scores[row]), -np.inf, scores[row])
        pairs = [
            1.0 if level[i] > level[j] else 0.5 if level[i] == level[j] else 0.0
            for i, j in itertools.product(range(9), range(9))
            if takes_part[i] and takes_part[j] and positive[row, i] and not positive[row, j]
        ]
        assert found[row] == pytest.approx(np.mean(pairs)) if pairs else np.isnan(found[row])


def test_auc_of_constant_scores_is_a_half_and_of_perfect_scores_1():
    positive = np.array([[True, False, False], [True, False, False]])
    assert metrics.auc(np.array([[0.0, 0, 0], [3, 2, 1]]), positive).tolist() == [0.5, 1.0]


def test_rating_errors_are_means_per_query_and_pooled_with_one_owner():
    predicted, actual, owner = np.array([1.0, 2, 5]), np.array([2.0, 4, 5]), np.array([0, 0, 2])
    assert metrics.rmse(predicted, actual, owner, 3)[[0, 2]] == pytest.approx([math.sqrt(2.5), 0])
    assert metrics.mae(predicted, actual, owner, 3)[[0, 2]] == pytest.approx([1.5, 0])
    assert np.isnan(metrics.rmse(predicted, actual, owner, 3)[1])
    assert metrics.rmse(predicted, actual, np.zeros(3, int), 1)[0] == pytest.approx(math.sqrt(5 / 3))


@given(rankings(), st.integers(0, 2**31))
@settings(max_examples=80)
def test_lists_beyond_accuracy_equal_their_definitions(case, seed):
    ids, targets, k = case
    rng = np.random.default_rng(seed)
    vectors, present = rng.normal(size=(N_ITEMS, 3)).astype(np.float32), rng.random(N_ITEMS) < 0.7
    counts, n_users = rng.integers(0, 30, N_ITEMS), 30
    hits, expected = metrics.hit_matrix(ids, targets), np.stack([rng.permutation(N_ITEMS) for _ in ids])
    diversity = metrics.intra_list_diversity(ids, vectors, present, k)
    surprise = metrics.novelty(ids, counts, n_users, k)
    popular = metrics.average_popularity(ids, counts, k)
    luck = metrics.serendipity(hits, ids, expected, k)
    for row, listed in enumerate(ids.tolist()):
        items = [i for i in listed[:k] if i >= 0]
        cosines = [
            vectors[i] @ vectors[j] / np.linalg.norm(vectors[i]) / np.linalg.norm(vectors[j])
            for i, j in itertools.combinations([i for i in items if present[i]], 2)
        ]
        assert close(diversity[row], np.mean([1 - c for c in cosines]) if cosines else None)
        assert close(surprise[row], np.mean([-math.log2(max(counts[i], 1) / 30) for i in items]) if items else None)
        assert close(popular[row], np.mean([counts[i] for i in items]) if items else None)
        wanted = set(np.flatnonzero(targets.toarray()[row])) - set(expected[row, :k].tolist())
        assert luck[row] == pytest.approx(len(wanted & set(items)) / k)


def close(found, expected):
    return np.isnan(found) if expected is None else found == pytest.approx(expected, abs=1e-5)


@given(rankings())
@settings(max_examples=40)
def test_serendipity_is_at_most_precision_and_0_for_the_popular_list_itself(case):
    ids, targets, k = case
    hits = metrics.hit_matrix(ids, targets)
    other = np.roll(ids, 1, axis=1)
    assert (metrics.serendipity(hits, ids, other, k) <= metrics.precision(hits, k) + 1e-12).all()
    assert not metrics.serendipity(hits, ids, ids, k).any()


def test_novelty_lies_between_0_and_log2_of_the_users():
    ids = np.array([[0, 1], [2, -1]])
    found = metrics.novelty(ids, np.array([8, 8, 0]), 8, 2)
    assert found.tolist() == [0.0, 3.0]


def test_identical_vectors_have_no_diversity_and_opposite_ones_the_most():
    vectors = np.array([[1.0, 0], [2.0, 0], [-1.0, 0]])
    found = metrics.intra_list_diversity(np.array([[0, 1], [0, 2]]), vectors, np.ones(3, bool), 2)
    assert found == pytest.approx([0.0, 2.0], abs=1e-6)


@given(st.lists(st.integers(0, 20), min_size=1, max_size=12))
@settings(max_examples=80)
def test_gini_equals_the_mean_absolute_difference(counts):
    shown = np.array(counts)
    n, total = len(counts), sum(counts)
    expected = sum(abs(a - b) for a in counts for b in counts) / (2 * n * total) if total else 0.0
    assert metrics.gini(shown) == pytest.approx(expected, abs=1e-12)
    assert 0 <= metrics.gini(shown) < 1


def test_coverage_and_gini_look_at_the_candidates_only():
    shown = metrics.exposure(np.array([[0, 1, 4], [1, -1, 4]]), 5, 2)
    candidates = np.array([True, True, False, True, False])
    assert shown.tolist() == [1, 2, 0, 0, 0]
    assert metrics.catalogue_coverage(shown, candidates) == pytest.approx(2 / 3)
    assert metrics.catalogue_coverage(shown) == pytest.approx(2 / 5)
    assert metrics.gini(np.array([3, 3, 0, 3, 0]), candidates) == pytest.approx(0.0)
