"""Graphs joined: neighbours in any modality are close, the formula written out, and new items find their place."""

from __future__ import annotations

import numpy as np
import pytest

from salon.encode.base import Features, FeatureSet
from salon.errors import DataError, SettingError
from salon.fuse.graph import Graph


def blobs(seed=0, n=60, *, dim=6):
    """Three groups; the text tells 0 from the others and the picture 2 from the others, so only both tell all."""
    rng = np.random.default_rng(seed)
    groups = np.arange(n) % 3
    text = np.eye(dim)[np.minimum(groups, 1)] * 3 + 0.2 * rng.standard_normal((n, dim))
    image = np.eye(dim)[np.maximum(groups, 1)] * 3 + 0.2 * rng.standard_normal((n, dim))
    vectors = {"text": text, "image": image}
    return groups, FeatureSet(
        {k: Features(v.astype(np.float32), np.ones(n, bool), f"made-{k}") for k, v in vectors.items()}
    )


def purity(vectors, groups):
    """Of the 8 nearest other items, how many are of the same group."""
    cosines = vectors @ vectors.T - 9 * np.eye(len(vectors))
    return float((groups[np.argsort(-cosines, axis=1)[:, :8]] == groups[:, None]).mean())


@pytest.mark.parametrize("join", ["mean", "max"])
def test_the_joined_graph_tells_what_no_modality_tells_alone(join):
    groups, features = blobs()
    both = Graph(dim=3, k=8, join=join).fit(features).transform(features)["fused"].vectors
    alone = [
        Graph(dim=3, k=8, join=join).fit(part).transform(part)["fused"].vectors
        for part in (features.only(["text"]), features.only(["image"]))
    ]
    assert purity(both, groups) > 0.95
    assert max(purity(vectors, groups) for vectors in alone) < 0.8


def test_a_seen_item_is_placed_by_the_formula():
    _, features = blobs(n=12)
    k, weights = 3, {"text": 1.0, "image": 2.0}
    fuser = Graph(dim=4, k=k, weights=weights).fit(features)
    units = [f.vectors - f.vectors.mean(axis=0) for f in features.values()]
    units = [u / np.linalg.norm(u, axis=1, keepdims=True) for u in units]

    def edges(u, count, *, itself):
        cosines = u @ u.T - (0 if itself else 2 * np.eye(12))
        kept = np.argsort(-cosines, axis=1)[:, :count]
        graph = np.zeros((12, 12))
        np.put_along_axis(graph, kept, np.maximum(np.take_along_axis(cosines, kept, axis=1), 0), axis=1)
        return graph

    graphs = [edges(u, k, itself=False) for u in units]
    joined = sum(w / 3 * (np.maximum(g, g.T) + np.eye(12)) for w, g in zip((1, 2), graphs, strict=True))
    degree = joined.sum(axis=1)
    values, axes = np.linalg.eigh(joined / np.sqrt(np.outer(degree, degree)))
    leading = axes[:, ::-1][:, :4] / np.sqrt(degree)[:, None]
    near = sum(w / 3 * edges(u, k + 1, itself=True) for w, u in zip((1, 2), units, strict=True))
    want = near @ leading
    want /= np.linalg.norm(want, axis=1, keepdims=True)
    made = fuser.transform(features)["fused"].vectors
    assert values[-5] < values[-4] - 1e-6, "the axes that are kept are not tied with those that are not"
    np.testing.assert_allclose(made @ made.T, want @ want.T, atol=1e-4)


def test_new_items_and_items_that_lack_a_modality_are_placed_beside_their_group():
    groups, features = blobs(n=90)
    old, new = np.arange(60), np.arange(60, 90)
    fuser = Graph(dim=3, k=8).fit(features.take(old))
    placed = fuser.transform(features.take(new))["fused"].vectors
    known = fuser.transform(features.take(old))["fused"].vectors
    assert (groups[old][(placed @ known.T).argmax(axis=1)] == groups[new]).all()
    text_only = fuser.transform(features.take(new).only(["text"]))["fused"].vectors
    zero = groups[new] == 0
    assert (groups[old][(text_only[zero] @ known.T).argmax(axis=1)] == 0).all()


def test_the_share_of_the_edges_follows_the_weights_and_the_mask():
    _, features = blobs()
    features = FeatureSet({**features, "text": features["text"].hide(np.array([0]))})
    shares = Graph(weights={"image": 3.0}, k=5).fit(features).item_weights(features)
    assert shares[0].tolist() == [0, 1]
    assert (shares[1:, 1] > 0.6).all()
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-6)


def test_wrong_settings_and_empty_features_are_refused():
    _, features = blobs(n=12)
    with pytest.raises(SettingError, match="txet"):
        Graph(weights={"txet": 1.0}).fit(features)
    with pytest.raises(DataError, match="No item"):
        Graph().fit(FeatureSet({n: f.hide(np.ones(12, bool)) for n, f in features.items()}))


def test_an_item_that_resembles_nothing_gets_zeros():
    _, features = blobs(n=12)
    fuser = Graph(centre=False, k=3).fit(features)
    odd = FeatureSet(
        {n: Features(-np.ones((1, 6), np.float32), np.ones(1, bool), f.fingerprint) for n, f in features.items()}
    )
    fused = fuser.transform(odd)["fused"]
    assert fused.present.all()
    assert not fused.vectors.any()
