"""The paired tests are calibrated, agree with scipy, and find what is there."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from salon.errors import DataError
from salon.evaluate.significance import bootstrap_means, compare, holm, measure, sign_flip_test, sign_flip_tests


def test_p_values_are_uniform_when_models_are_alike():
    rng = np.random.default_rng(1)
    differences = rng.normal(size=(60, 400)) * rng.exponential(size=(60, 1))  # symmetric, heavy-tailed
    p = sign_flip_tests(differences, rng, draws=2000)
    assert stats.kstest(p, "uniform").pvalue > 0.01
    assert 0.02 < (p < 0.05).mean() < 0.085


def test_few_users_are_tested_exactly_as_by_scipy():
    rng = np.random.default_rng(2)
    for n in (3, 6, 10):
        d = rng.normal(0.4, 1, n)
        expected = stats.permutation_test(
            (d,), lambda x, axis: x.mean(axis=axis), permutation_type="samples", n_resamples=np.inf, vectorized=True
        ).pvalue
        assert sign_flip_test(d, rng) == pytest.approx(expected, abs=1e-12)


def test_many_users_agree_with_the_t_test_where_it_is_right():
    rng = np.random.default_rng(3)
    d = rng.normal(0.12, 1, 300)
    assert sign_flip_test(d, rng, draws=20_000) == pytest.approx(stats.ttest_1samp(d, 0).pvalue, abs=0.01)


def test_users_without_a_difference_or_a_value_do_not_change_the_test():
    d = np.random.default_rng(4).normal(0.3, 1, 9)
    more = np.concatenate([d, np.zeros(50), np.full(5, np.nan)])
    rng = np.random.default_rng(0)
    assert sign_flip_test(d, rng) == sign_flip_test(more, rng)
    assert sign_flip_test(np.zeros(20), rng) == 1.0


def test_the_smallest_p_value_is_never_zero():
    assert sign_flip_test(np.ones(50), np.random.default_rng(0), draws=99) == pytest.approx(0.01)


def test_holm_follows_the_step_down_by_hand():
    assert holm(np.array([0.01, 0.04, 0.03, 0.005])) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm(np.array([])).size == 0


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
@settings(max_examples=60)
def test_holm_only_raises_keeps_the_order_and_stays_below_bonferroni(p):
    raw, adjusted = np.array(p), holm(np.array(p))
    assert (adjusted >= raw).all()
    assert (adjusted <= np.minimum(raw * len(p), 1) + 1e-12).all()
    assert (np.diff(adjusted[np.argsort(raw, kind="stable")]) >= 0).all()


def test_holm_keeps_the_family_wise_error():
    rng = np.random.default_rng(5)
    false = [(holm(rng.random(8)) < 0.05).any() for _ in range(2000)]
    assert np.mean(false) < 0.065


def test_bootstrap_intervals_cover_the_truth_about_95_times_in_100():
    rng = np.random.default_rng(6)
    covered = 0
    for _ in range(300):
        m = measure({"x": rng.beta(0.5, 3, 80)}, rng, draws=400)["x"]
        covered += m.low <= 0.5 / 3.5 <= m.high
    assert 0.89 <= covered / 300 <= 0.99


def test_bootstrap_spread_equals_the_standard_error():
    values = np.random.default_rng(7).normal(size=(500, 2))
    values[::2, 1] = np.nan
    means = bootstrap_means(values, np.random.default_rng(0), draws=3000)
    assert means[:, 0].std() == pytest.approx(values[:, 0].std() / np.sqrt(500), rel=0.08)
    assert means[:, 1].std() == pytest.approx(np.nanstd(values[:, 1]) / np.sqrt(250), rel=0.08)


def test_the_same_seed_gives_the_same_interval():
    values = {"x": np.random.default_rng(8).random(40)}
    assert measure(values, np.random.default_rng(3)) == measure(values, np.random.default_rng(3))


def test_a_metric_without_values_has_no_mean():
    assert measure({"x": np.full(4, np.nan)}, np.random.default_rng(0))["x"].mean is None
    assert measure({}, np.random.default_rng(0)) == {}


def test_compare_resolves_a_real_difference_and_leaves_noise_open():
    rng = np.random.default_rng(9)
    base = rng.random(400)
    per_user = {"best": base, "noise": base + rng.normal(0, 0.2, 400), "worse": base - 0.1 + rng.normal(0, 0.2, 400)}
    noise, worse = compare(per_user, "best", "ndcg@10", np.random.default_rng(0), draws=2000)
    assert not noise.resolved
    assert worse.resolved
    assert worse.low < worse.difference < worse.high < 0
    assert worse.p <= worse.p_holm
    assert worse.n == 400
    assert compare({"best": base}, "best", "ndcg@10", rng) == ()


def test_compare_refuses_models_of_different_tests():
    with pytest.raises(DataError, match="different numbers of users"):
        compare({"a": np.zeros(3), "b": np.zeros(4)}, "a", "x", np.random.default_rng(0))
