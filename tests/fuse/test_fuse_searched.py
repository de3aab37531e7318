"""Weights found by search, the questions they are found with, and what is told about them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from salon.data import Events
from salon.encode.base import Features, FeatureSet
from salon.errors import DataError, NotFittedError
from salon.fuse.base import KeepApart
from salon.fuse.holdout import HeldOut, hold_out, likes_of
from salon.fuse.inspect import modality_weights
from salon.fuse.searched import LearnedWeights, climb
from salon.fuse.simple import Concat, MaskedMean
from salon.metrics import auc

N, USERS = 160, 200


def world(seed=0):
    """Eight groups show in the text; the picture shows other groups, which nobody goes by."""
    rng = np.random.default_rng(seed)
    groups, others = rng.integers(8, size=(2, N))
    noise = rng.standard_normal((2, N, 10))
    vectors = {"text": np.eye(10)[groups] * 1.5 + 0.3 * noise[0], "image": np.eye(10)[others] * 4 + 0.1 * noise[1]}
    features = FeatureSet(
        {n: Features(v.astype(np.float32), np.ones(N, bool), f"made-{n}") for n, v in vectors.items()}
    )
    users, items = [], []
    for user in range(USERS):
        mine = np.flatnonzero(groups == user % 8)
        chosen = rng.choice(mine, min(3, len(mine)), replace=False)
        users += [user] * len(chosen)
        items += chosen.tolist()
    return features, Events.of(users, items), groups


def test_the_weight_goes_to_the_modality_that_people_go_by():
    features, events, groups = world()
    fuser = LearnedWeights().fit(features, events, rng=np.random.default_rng(0))
    text, image = fuser.weights_
    assert text > 5 * image
    assert text + image == pytest.approx(1)

    def quality(fused):
        vectors = fused["fused"].vectors
        return float(auc(vectors @ vectors.T, groups[:, None] == groups[None, :]).mean())

    assert quality(fuser.transform(features)) > quality(Concat().fit(features).transform(features)) + 0.05


def test_the_dot_product_is_the_weighted_mean_of_the_cosines():
    features, events, _ = world()
    fuser = LearnedWeights().fit(features, events, rng=np.random.default_rng(0))
    fused = fuser.transform(features)["fused"].vectors
    units = [f.vectors - f.vectors.mean(axis=0) for f in features.values()]
    units = [u / np.linalg.norm(u, axis=1, keepdims=True) for u in units]
    want = sum(w * (u @ u.T) for w, u in zip(fuser.weights_, units, strict=True))
    np.testing.assert_allclose(fused @ fused.T, want, atol=1e-5)


def test_without_events_all_weights_are_equal():
    features, _, _ = world()
    np.testing.assert_allclose(LearnedWeights().fit(features).weights_, [0.5, 0.5])
    np.testing.assert_allclose(LearnedWeights().fit(features, Events.of([0, 1], [3, 4])).weights_, [0.5, 0.5])


def test_no_weight_falls_to_nothing_so_that_every_item_keeps_its_vector():
    features, events, _ = world()
    some = np.arange(N) % 4 == 0
    features = FeatureSet({**features, "text": features["text"].hide(some)})
    fuser = LearnedWeights().fit(features, events, rng=np.random.default_rng(0))
    fused = fuser.transform(features)["fused"]
    assert fused.present.all()
    np.testing.assert_allclose(np.linalg.norm(fused.vectors, axis=1), 1, atol=1e-5)
    shares = fuser.item_weights(features)
    np.testing.assert_allclose(shares[some], np.tile([0, 1], (some.sum(), 1)))


def test_climbing_finds_the_top_of_a_hill_and_stays_where_all_is_level():
    def hill(weights):
        return 1 - abs(np.log(weights[0] / weights[1]) - np.log(5)) / 10

    first, second = climb(hill, np.ones(2))
    assert first / second == pytest.approx(5)
    assert climb(lambda weights: 0.3, np.ones(3)).tolist() == [1, 1, 1]


# -- questions --


def test_only_likes_of_items_with_media_count():
    events = Events.of(
        [0, 0, 0, 1, 1], [0, 0, 1, 2, 3], weights=[1, 1, -1, 1, 1], shown=np.array([0, 0, 0, 1, 0], bool)
    )
    likes = likes_of(events, np.array([True, True, True, False, True]))
    assert likes.toarray().tolist() == [[1, 0, 0, 0, 0], [0, 0, 0, 0, 0]]
    assert likes_of(None, np.ones(3, bool)).shape == (0, 3)
    with pytest.raises(DataError, match="row 3"):
        likes_of(events, np.ones(3, bool))


@settings(max_examples=30)
@given(seed=st.integers(0, 999))
def test_held_out_actions_are_real_and_never_learned_from(seed):
    rng = np.random.default_rng(seed)
    likes = sparse.csr_array((rng.random((60, 40)) < 0.3).astype(np.float32))
    held = hold_out(likes, np.ones(40, bool), rng, most=30)
    assert held is not None
    train, history, targets = held.train.toarray(), held.history.toarray(), held.targets.toarray()
    assert len(history) == len(targets) <= 30
    assert ((train > 0) <= (likes.toarray() > 0)).all()
    assert not ((history > 0) & (targets > 0)).any()
    whole = {tuple(row) for row in likes.toarray()}
    assert all(tuple(row) in whole for row in history + targets)
    assert (train.sum(axis=0) == 0).sum() >= 4, "a tenth of the items is new to everybody"


def test_too_few_questions_are_not_asked():
    assert hold_out(sparse.csr_array((5, 9)), np.ones(9, bool), np.random.default_rng(0)) is None


def test_vectors_are_judged_by_where_held_out_items_come():
    vectors = np.eye(4, dtype=np.float32)[[0, 0, 1, 1, 0]]
    row = lambda *items: sparse.csr_array(np.isin(np.arange(5), items)[None].astype(np.float32))  # noqa: E731
    able = np.array([True, True, True, True, False])
    assert HeldOut(row(0), row(0), row(1), able).of_vectors(vectors) == pytest.approx(1)
    second = HeldOut(row(0), row(0), row(2), able).of_vectors(vectors)
    assert second == pytest.approx(1 / np.log2(3)), "item 4 has no media and item 0 is known: 1 comes before 2"


# -- inspection --


def test_learned_weights_are_told_as_they_are():
    features, events, _ = world()
    fuser = LearnedWeights().fit(features, events, rng=np.random.default_rng(0))
    found = modality_weights(fuser, features)
    assert found.method == "learned"
    assert found.overall() == pytest.approx(dict(zip(("text", "image"), fuser.weights_, strict=True)), abs=1e-5)
    assert found.of_item(3) == pytest.approx(found.overall(), abs=1e-5)


def test_hiding_shows_what_counts_where_nothing_is_learned():
    features, _, _ = world()
    gone = np.arange(N) < 5
    features = FeatureSet({**features, "image": features["image"].hide(gone)})
    fuser = Concat(weights={"text": 9.0}).fit(features)
    found = modality_weights(fuser, features)
    assert found.method == "occlusion"
    assert found.choice.tolist() == (~gone).tolist()
    assert found.overall()["text"] > 0.8
    assert found.of_item(0) == {"text": 1.0, "image": 0.0}
    even = modality_weights(MaskedMean().fit(features.only(["text"])), features.only(["text"]))
    assert even.overall() == {"text": 1.0}


def test_a_fuser_that_joins_nothing_has_nothing_to_tell():
    features, _, _ = world()
    with pytest.raises(DataError, match="2 vectors"):
        modality_weights(KeepApart().fit(features), features)
    with pytest.raises(NotFittedError):
        modality_weights(Concat(), features)
