"""Canonical correlations: known correlations, a known shared latent, missing modalities, and clear errors."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import linalg

from salon.component import load_component
from salon.encode.base import Features, FeatureSet
from salon.errors import DataError, FingerprintError, NotFittedError
from salon.fuse.align_cca import CCA
from salon.fuse.align_report import match_ranks


def views(
    n: int, *, dims: tuple[int, ...] = (20, 30), latent: int = 5, noise: float = 0.3, share: float = 1.0, seed: int = 0
) -> FeatureSet:
    """Modalities that are random linear maps of one latent, plus noise and a centre of their own."""
    rng = np.random.default_rng(seed)
    common = rng.standard_normal((n, latent))
    found = {}
    for name, dim in zip(("text", "image", "audio"), dims, strict=False):
        vectors = common @ rng.standard_normal((latent, dim)) + noise * rng.standard_normal((n, dim)) + 3
        present = rng.random(n) < share
        vectors = np.where(present[:, None], vectors, 0).astype(np.float32)
        found[name] = Features(vectors, present, f"{name}-encoder")
    return FeatureSet(found, n)


def recall_at_1(features: FeatureSet, one: str, other: str) -> float:
    both = features[one].present & features[other].present
    return float((match_ranks(features[one].vectors[both], features[other].vectors[both]) == 1).mean())


def unit_centred(features: Features) -> np.ndarray:
    centred = features.vectors - features.vectors.mean(axis=0)
    return centred / np.linalg.norm(centred, axis=1, keepdims=True)


def test_correlations_are_those_of_the_classical_eigenproblem() -> None:
    """Cxy Cyy^-1 Cyx a = rho^2 Cxx a, solved by scipy."""
    features = views(400, dims=(6, 8), noise=1.0)
    x, y = (unit_centred(features[name]).astype(np.float64) for name in ("text", "image"))
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    reg = 0.1
    xx, yy, xy = x.T @ x / 400, y.T @ y / 400, x.T @ y / 400
    xx += reg * np.trace(xx) / 6 * np.eye(6)
    yy += reg * np.trace(yy) / 8 * np.eye(8)
    expected = np.sqrt(linalg.eigh(xy @ np.linalg.solve(yy, xy.T), xx, eigvals_only=True)[::-1])
    found = CCA(reg=reg, dim=6).fit(features).correlations_
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_mapped_views_correlate_as_said_and_are_white() -> None:
    features = views(500, dims=(7, 9), noise=0.8)
    cca = CCA(reg=0.0, dim=4, power=0.0).fit(features)
    x, y = (cca._mapped(name, unit_centred(features[name])) for name in ("text", "image"))
    np.testing.assert_allclose(np.diag(np.corrcoef(x.T, y.T)[:4, 4:]), cca.correlations_, atol=1e-3)
    np.testing.assert_allclose(np.corrcoef(x.T), np.eye(4), atol=1e-3)


def test_a_shared_latent_is_recovered_on_items_never_seen() -> None:
    features = views(700)
    train, test = np.arange(500), np.arange(500, 700)
    cca = CCA(dim=5).fit(features.take(train))
    aligned = cca.transform(features.take(test))
    assert recall_at_1(aligned, "text", "image") > 0.9
    assert recall_at_1(aligned, "image", "text") > 0.9
    assert cca.correlations_[4] > 0.9
    assert len(CCA(dim=20, reg=1.0).fit(features.take(train)).correlations_) <= 20


def test_three_modalities_with_gaps_share_one_space() -> None:
    features = views(1200, dims=(12, 15, 10), share=0.6)
    aligned = CCA(dim=5).fit(features.take(np.arange(900))).transform(features.take(np.arange(900, 1200)))
    for one, other in (("text", "image"), ("image", "audio"), ("audio", "text")):
        assert recall_at_1(aligned, one, other) > 0.8
    assert len({part.fingerprint for part in aligned.values()}) == 1
    for name, part in aligned.items():
        assert np.array_equal(part.present, features[name].present[900:])
        np.testing.assert_allclose(np.linalg.norm(part.vectors[part.present], axis=1), 1, atol=1e-5)
        assert not part.vectors[~part.present].any()


def test_items_with_one_modality_only_add_no_pairs() -> None:
    """Two modalities that never meet are aligned through the third, and a bridge of noise aligns nothing."""
    features = views(1500, dims=(12, 15, 10), noise=0.1)
    third = np.arange(1500) % 2 == 0
    apart = FeatureSet(
        {"text": features["text"].hide(third), "image": features["image"].hide(~third), "audio": features["audio"]}
    )
    cca = CCA(dim=5, reg=0.1).fit(apart)
    assert recall_at_1(cca.transform(features), "text", "image") > 0.5
    only = FeatureSet({name: apart[name] for name in ("text", "image")})
    with pytest.raises(DataError, match="No two of the modalities"):
        CCA().fit(only)


def test_align_maps_a_query_as_transform_maps_an_item() -> None:
    features = views(200)
    cca = CCA(dim=5).fit(features)
    aligned = cca.transform(features)
    np.testing.assert_allclose(cca.align("text", features["text"].vectors[:7]), aligned["text"].vectors[:7], atol=1e-6)
    assert cca.align("image", features["image"].vectors[:1]).shape == (1, cca.dim)
    assert cca.align("image", np.zeros((0, 30))).shape == (0, cca.dim)


def test_what_is_saved_aligns_the_same(tmp_path) -> None:
    features = views(100)
    cca = CCA(dim=4).fit(features)
    cca.save(tmp_path / "cca")
    again = load_component(tmp_path / "cca", "fuser")
    assert np.array_equal(again.transform(features)["image"].vectors, cca.transform(features)["image"].vectors)
    assert again.transform(features)["image"].fingerprint == cca.transform(features)["image"].fingerprint
    assert again.dim == 4


def test_bad_input_is_named() -> None:
    features = views(100)
    with pytest.raises(NotFittedError):
        CCA().align("text", np.zeros((1, 20)))
    with pytest.raises(NotFittedError):
        CCA().transform(features)
    cca = CCA(dim=4).fit(features)
    with pytest.raises(DataError, match="'txet' were not there at fit"):
        cca.align("txet", np.zeros((1, 20)))
    with pytest.raises(FingerprintError, match=r"\(30\), at fit .* \(20\)"):
        cca.align("text", np.zeros((1, 30)))
    with pytest.raises(FingerprintError, match="other-encoder"):
        cca.align("text", np.zeros((1, 20)), fingerprint="other-encoder")
    with pytest.raises(DataError, match="not finite"):
        cca.align("text", np.full((1, 20), np.nan))
    other = Features(features["text"].vectors, features["text"].present, "other-encoder")
    with pytest.raises(FingerprintError, match="other-encoder"):
        cca.transform(FeatureSet({"text": other}))
    failed = CCA()
    with pytest.raises(DataError, match="at least two modalities"):
        failed.fit(features.only(["text"]))
    assert not failed.is_fitted
    before = cca.transform(features)["text"].vectors
    with pytest.raises(DataError, match="at least two modalities"):
        cca.fit(features.only(["text"]))
    assert np.array_equal(cca.transform(features)["text"].vectors, before)
