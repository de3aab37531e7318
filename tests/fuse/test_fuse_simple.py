"""Fusers: any modality may be missing, and what they compute agrees with the formula written out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from salon.component import load_component
from salon.encode.base import Features, FeatureSet
from salon.errors import DataError, FingerprintError, NotFittedError, SettingError
from salon.fuse.simple import Concat, MaskedMean, Pca, Weighted, principal_axes

FUSERS = [Concat(), Weighted(dim=5), MaskedMean(dim=5), Pca(dim=6), Pca(dim=6, whiten=True)]


def features_of(seed: int, n: int = 30, *, share: float = 0.7, dims: tuple[int, int] = (7, 4)) -> FeatureSet:
    rng = np.random.default_rng(seed)
    found = {}
    for name, dim in zip(("text", "image"), dims, strict=True):
        present = rng.random(n) < share
        vectors = rng.standard_normal((n, dim)).astype(np.float32) + 2
        found[name] = Features(np.where(present[:, None], vectors, 0).astype(np.float32), present, f"{name}-encoder")
    return FeatureSet(found, n)


@pytest.mark.parametrize("fuser", FUSERS, ids=lambda f: repr(type(f).__name__))
@settings(max_examples=30)
@given(seed=st.integers(0, 10_000), share=st.sampled_from([0.0, 0.2, 0.7, 1.0]), n=st.integers(1, 40))
def test_an_item_is_present_exactly_when_it_has_a_modality(fuser, seed, share, n):
    features = features_of(seed, n, share=share)
    fused = type(fuser)(fuser.settings).fit(features).transform(features)["fused"]
    assert np.array_equal(fused.present, features.having_any())
    assert np.isfinite(fused.vectors).all()
    assert not fused.vectors[~fused.present].any()


@pytest.mark.parametrize("fuser", FUSERS, ids=lambda f: repr(type(f).__name__))
@settings(max_examples=20)
@given(seed=st.integers(0, 10_000))
def test_rows_are_fused_one_by_one(fuser, seed):
    """The rows of some items are the same whether the others are there or not."""
    features = features_of(seed)
    fitted = type(fuser)(fuser.settings).fit(features)
    rows = np.array([3, 11, 28])
    whole, part = fitted.transform(features)["fused"], fitted.transform(features.take(rows))["fused"]
    np.testing.assert_allclose(whole.vectors[rows], part.vectors, atol=1e-6)


@pytest.mark.parametrize("fuser", FUSERS, ids=lambda f: repr(type(f).__name__))
def test_what_is_saved_gives_the_same_rows_again(fuser, tmp_path):
    features = features_of(1)
    fitted = type(fuser)(fuser.settings).fit(features)
    fitted.save(tmp_path / "fuser")
    again = load_component(tmp_path / "fuser", "fuser")
    before, after = fitted.transform(features)["fused"], again.transform(features)["fused"]
    assert np.array_equal(before.vectors, after.vectors)
    assert before.fingerprint == after.fingerprint


def test_the_dot_product_of_concat_is_the_weighted_mean_of_cosines():
    features = features_of(2, share=1.0)
    fused = Concat(weights={"text": 3.0}).fit(features).transform(features)["fused"].vectors
    expected = np.zeros((30, 30))
    for name, weight in (("text", 3.0), ("image", 1.0)):
        centred = features[name].vectors - features[name].vectors.mean(axis=0)
        unit = centred / np.linalg.norm(centred, axis=1, keepdims=True)
        expected += weight / 4 * unit @ unit.T
    np.testing.assert_allclose(fused @ fused.T, expected, atol=1e-5)


def test_concat_scales_short_rows_only_when_asked():
    features = features_of(3)
    only_text = features["text"].present & ~features["image"].present
    long = Concat().fit(features).transform(features)["fused"].vectors[only_text]
    short = Concat(rescale=False).fit(features).transform(features)["fused"].vectors[only_text]
    np.testing.assert_allclose(np.linalg.norm(long, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(short, axis=1), np.sqrt(0.5), atol=1e-6)


def test_weighted_of_equal_spaces_is_the_sum_written_out():
    features = features_of(4, dims=(6, 6))
    fused = Weighted(weights={"image": 0.5}).fit(features).transform(features)["fused"]
    for row in np.flatnonzero(fused.present):
        total = np.zeros(6)
        for name, weight in (("text", 1.0), ("image", 0.5)):
            part = features[name]
            if part.present[row]:
                centred = part.vectors[row] - part.vectors[part.present].mean(axis=0)
                total += weight * centred / np.linalg.norm(centred)
        np.testing.assert_allclose(fused.vectors[row], total / np.linalg.norm(total), atol=1e-5)


def test_a_modality_of_weight_zero_does_not_make_an_item_present():
    features = features_of(5)
    fused = Concat(weights={"image": 0.0}).fit(features).transform(features)["fused"]
    assert np.array_equal(fused.present, features["text"].present)


@pytest.mark.parametrize("shape", [(50, 8), (8, 50), (1, 5)])
def test_principal_axes_agree_with_the_singular_vectors(shape):
    matrix = np.random.default_rng(0).standard_normal(shape)
    matrix -= matrix.mean(axis=0)
    axes, variances = principal_axes(matrix, 4)
    values, right = np.linalg.svd(matrix, full_matrices=False)[1:]
    kept = axes.shape[1]
    np.testing.assert_allclose(np.abs(np.sum(axes.T * right[:kept], axis=1)), 1, atol=1e-8)
    np.testing.assert_allclose(variances, values[:kept] ** 2 / len(matrix), rtol=1e-8)


def test_whitened_components_have_equal_variance():
    features = features_of(6, 200, share=1.0)
    fused = Pca(dim=6, whiten=True).fit(features).transform(features)["fused"].vectors
    np.testing.assert_allclose(np.cov(fused.T, bias=True), np.eye(6), atol=1e-4)


def test_pca_learns_from_the_items_that_are_there():
    features = features_of(7, 40)
    rows = np.flatnonzero(features.having_any())
    alone = Pca(dim=4).fit(features.take(rows)).transform(features)["fused"]
    np.testing.assert_allclose(Pca(dim=4).fit(features).transform(features)["fused"].vectors, alone.vectors, atol=1e-5)


def test_items_without_a_whole_modality_are_joined_by_the_others():
    features = features_of(8)
    fitted = Concat().fit(features)
    fused = fitted.transform(features.only(["text"]))["fused"]
    assert fused.dim == 11
    assert np.array_equal(fused.present, features["text"].present)


def test_a_foreign_space_is_refused():
    features = features_of(9)
    fitted = Concat().fit(features)
    other = Features(features["text"].vectors, features["text"].present, "another-encoder")
    with pytest.raises(FingerprintError, match="another-encoder"):
        fitted.transform(FeatureSet({"text": other}))
    with pytest.raises(DataError, match="were not there at fit"):
        fitted.transform(FeatureSet({"txt": other}))


def test_settings_and_order_of_calls_are_checked():
    features = features_of(10)
    with pytest.raises(SettingError, match="text"):
        Concat(weights={"texd": 2.0}).fit(features)
    with pytest.raises(SettingError):
        Concat(weights={"text": -1.0})
    with pytest.raises(NotFittedError):
        Concat().transform(features)
    with pytest.raises(DataError, match="no features"):
        Concat().fit(FeatureSet({}, 3))
