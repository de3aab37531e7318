"""Labels, numbers and given vectors."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from salon.encode.tables import Categories, Numbers, Vectors
from salon.errors import DataError


def test_labels_are_rows_of_ones():
    encoder = Categories(buckets=4).fit([("rock", "live"), ("rock",), ("jazz",)])
    assert encoder.labels_ == ["rock", "jazz", "live"]
    vectors = encoder.encode([("rock", "live"), ("jazz",)])
    np.testing.assert_allclose(vectors, [[0.5**0.5, 0, 0.5**0.5, 0, 0, 0, 0], [0, 1, 0, 0, 0, 0, 0]], atol=1e-6)


def test_rare_and_new_labels_share_hashed_columns():
    encoder = Categories(most=1, buckets=8).fit([("rock",), ("rock",), ("jazz",)])
    vectors = encoder.encode([("jazz",), ("never seen",), ("rock",)])
    assert vectors.shape == (3, 9)
    assert vectors[0, 1:].sum() == 1
    assert vectors[1, 1:].sum() == 1
    assert vectors[2, 0] == 1


@settings(max_examples=50)
@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=60), st.integers(0, 6))
def test_numbers_stay_finite_and_in_order(values, knots):
    encoder = Numbers(knots=knots).fit(values)
    vectors = encoder.encode(sorted(values))
    assert vectors.shape == (len(values), 1 + knots)
    assert np.isfinite(vectors).all()
    assert (np.diff(vectors[:, 0]) >= -1e-6).all()


def test_outliers_are_pulled_in_and_the_scale_is_frozen():
    values = np.random.default_rng(0).normal(10, 2, 1000)
    encoder = Numbers(knots=0).fit(values)
    clipped = np.clip(values, *np.quantile(values, [0.01, 0.99]))
    expected = (clipped - clipped.mean()) / clipped.std() / 3
    np.testing.assert_allclose(encoder.encode(values)[:, 0], expected, atol=1e-5)
    assert encoder.encode([1e9])[0, 0] == encoder.encode([values.max()])[0, 0]
    np.testing.assert_allclose(encoder.encode(values[:3]), encoder.encode(values)[:3], atol=1e-6)


def test_near_numbers_are_alike():
    encoder = Numbers().fit(np.arange(100.0))
    vectors = encoder.encode([10.0, 12.0, 80.0])
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    assert unit[0] @ unit[1] > 0.95
    assert unit[0] @ unit[2] < 0.3


def test_a_missing_number_among_several_is_zero():
    encoder = Numbers(knots=2).fit([(1.0, np.nan), (2.0, 5.0), (3.0, 6.0)])
    vectors = encoder.encode([(2.0, np.nan)])
    assert vectors.shape == (1, 6)
    assert not vectors[0, 3:].any()
    assert vectors[0, :3].any()
    with pytest.raises(DataError, match="1 numbers per item where 2"):
        encoder.encode([1.0])
    with pytest.raises(DataError, match="no value"):
        Numbers().fit([np.nan])


def test_given_vectors_pass_through_but_must_keep_their_length():
    given_vectors = np.random.default_rng(0).random((5, 3), np.float32)
    encoder = Vectors().fit(list(given_vectors))
    assert np.array_equal(encoder.encode(list(given_vectors)), given_vectors)
    unit = Vectors(unit=True).fit(list(given_vectors)).encode(list(given_vectors))
    np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1, atol=1e-6)
    with pytest.raises(DataError, match="2 numbers where 3"):
        encoder.encode([np.zeros(2)])


def test_a_level_of_a_hierarchy_counts_with_all_above_it():
    encoder = Categories(levels=" > ", buckets=4).fit([("Home > Kitchen",), ("Home > Bath",), ("Garden",)])
    assert encoder.labels_ == ["Home", "Garden", "Home > Bath", "Home > Kitchen"]
    kitchen, bath, garden = encoder.encode([("Home > Kitchen",), ("Home > Bath",), ("Garden",)])
    assert kitchen @ bath == pytest.approx(0.5)
    assert kitchen @ garden == 0
    new = encoder.encode([("Home > Attic",)])[0]
    assert new @ kitchen == pytest.approx(0.5)


def test_labels_of_few_items_share_columns():
    encoder = Categories(least=2, buckets=4).fit([("rock",), ("rock", "live"), ("jazz",)])
    assert encoder.labels_ == ["rock"]
    assert encoder.encode([("jazz",)])[0, 1:].sum() == 1


def test_rare_labels_weigh_more_and_unseen_ones_most():
    encoder = Categories(rarity=True, buckets=4).fit([("rock",), ("rock",), ("rock", "live")])
    rock, live, new = np.log(4 / np.array([4, 2, 1])) + 1
    np.testing.assert_allclose(encoder.weights_, [live, new] if encoder.labels_[0] == "live" else [rock, live, new])
    vector = encoder.encode([("rock", "live")])[0]
    np.testing.assert_allclose(vector[:2], np.array([rock, live]) / np.hypot(rock, live), rtol=1e-6)
    vector = encoder.encode([("rock", "never seen")])[0]
    np.testing.assert_allclose(vector[2:].max(), new / np.hypot(rock, new), rtol=1e-6)


def test_a_robust_scale_does_not_see_the_tails():
    plain = np.random.default_rng(0).normal(10, 2, 1001)
    tails = plain.copy()
    tails[np.argsort(plain)[-100:]] += 1000
    encoder = Numbers(knots=0, scale="robust", clip=0.0).fit(tails)
    low, middle, high = np.quantile(plain, [0.25, 0.5, 0.75])
    np.testing.assert_allclose(encoder.mean_, [middle])
    np.testing.assert_allclose(encoder.encode([middle + (high - low)])[:, 0], [1.349 / 3], rtol=1e-5)
    assert Numbers(knots=0, scale="robust").fit([1.0, 1.0, 1.0, 1.0, 9.0]).std_ > 0


def test_a_quantile_scale_is_even_whatever_the_shape():
    values = np.exp(np.random.default_rng(0).normal(0, 2, 2000))
    found = 3 * Numbers(knots=0, scale="quantile", clip=0.0).fit(values).encode(values)[:, 0]
    assert found.std() == pytest.approx(1, abs=0.02)
    assert np.abs(found).max() == pytest.approx(np.sqrt(3), abs=1e-3)
    assert (np.diff(found[np.argsort(values)]) >= 0).all()


def test_a_log_scale_turns_ratios_into_steps():
    values = np.array([1e3, 1e4, 1e5, 1e6, -1e6, 0.0])
    found = Numbers(knots=0, log=True, clip=0.0).fit(values).encode(values)[:, 0]
    np.testing.assert_allclose(np.diff(found[:4]), found[1] - found[0], rtol=1e-3)
    assert found[4] < found[5] < found[0]


def test_missing_numbers_can_say_so():
    encoder = Numbers(knots=2, missing=True).fit([(1.0, np.nan), (2.0, 5.0), (3.0, 6.0)])
    assert encoder.dim == 8
    found = encoder.encode([(2.0, np.nan)])[0]
    assert found[3] == 0
    assert found[4:].tolist() == [0, 0, 0, 1]
