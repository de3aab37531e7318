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


@settings(max_examples=50, deadline=None)
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
