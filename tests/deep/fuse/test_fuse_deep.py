"""Trained fusers learn what is known to be right, serve any subset of modalities, and refuse what does not fit."""

from __future__ import annotations

import numpy as np
import pytest
from fuse_worlds import QUICK, World, one_speaks, order_speaks, product_speaks

from salon.data import Events
from salon.encode.base import Features, FeatureSet
from salon.errors import DataError, FingerprintError, SettingError
from salon.fuse.bilinear import Bilinear
from salon.fuse.dense import Dense, SoftWeights, Sum
from salon.fuse.gated import Gated
from salon.fuse.inspect import modality_weights
from salon.fuse.recurrent import Recurrent
from salon.fuse.transformer import CrossAttention, Transformer


@pytest.fixture(scope="module")
def xor():
    return World(0, product_speaks)


@pytest.fixture(scope="module")
def one():
    return World(0, one_speaks)


def fitted(cls, world, *, events=True, seed=0, **more):
    fuser = cls(**{**QUICK, **more})
    return fuser.fit(world.features, world.events if events else None, rng=np.random.default_rng(seed))


@pytest.mark.parametrize("cls", [Dense, Gated, Bilinear, CrossAttention, Transformer])
def test_a_taste_for_combinations_is_learned(cls, xor):
    """From most first weights: from some a descent gets stuck where one combination is told from none."""
    found = [xor.auc(fitted(cls, xor, seed=seed, epochs=6).transform(xor.features)) for seed in range(3)]
    assert np.median(found) > 0.9


@pytest.mark.parametrize(("cls", "more"), [(Sum, {}), (SoftWeights, {"per": "catalogue"})])
def test_adding_cannot_learn_a_taste_for_combinations(cls, more, xor):
    """Weights per item can, in part: they are products of what the modalities say."""
    assert xor.auc(fitted(cls, xor, epochs=3, **more).transform(xor.features)) < 0.65


@pytest.mark.parametrize("per", ["item", "catalogue"])
def test_weights_go_to_the_modality_that_people_go_by(per, one):
    fuser = fitted(SoftWeights, one, per=per, learning_rate=2e-2, epochs=10)
    found = modality_weights(fuser, one.features)
    assert found.method == "learned"
    assert found.overall()["text"] > 0.6
    assert one.auc(fuser.transform(one.features)) > 0.95
    np.testing.assert_allclose(found.items.sum(axis=1), 1, atol=1e-5)


def test_hiding_a_modality_shows_what_it_counts_where_a_fuser_has_no_weights(one):
    found = modality_weights(fitted(Dense, one, epochs=8), one.features)
    assert found.method == "occlusion"
    assert found.overall()["text"] > 0.6


def test_order_over_steps_is_learned_where_the_mean_says_nothing():
    world = World(0, order_speaks)
    assert world.auc(fitted(Recurrent, world, steps=6, epochs=8).transform(world.features)) > 0.95
    means = {n: f.vectors.reshape(len(f), 6, -1).mean(axis=1) for n, f in world.features.items()}
    pooled = FeatureSet({n: Features(v, np.ones(len(v), bool), f"mean-{n}") for n, v in means.items()})
    fuser = Dense(**{**QUICK, "epochs": 5}).fit(pooled, world.events, rng=np.random.default_rng(0))
    assert world.auc(fuser.transform(pooled)) < 0.65


def test_modality_dropout_makes_one_fuser_serve_any_subset(one):
    """The picture says nothing, so what the text alone gives must stay as good as both together."""
    fuser = fitted(Bilinear, one, modality_dropout=0.4)
    assert one.auc(fuser.transform(one.features.only(["text"]))) > 0.95


def twins(rng):
    """Two modalities that both show the groups, the picture far more clearly than the text."""
    groups = rng.integers(4, size=240)
    noise = rng.standard_normal((2, 240, 12))
    return groups, {"text": np.eye(12)[groups] + 0.45 * noise[0], "image": np.eye(12)[groups] * 3 + 0.1 * noise[1]}


def test_balance_keeps_the_weaker_modality_from_starving():
    world = World(0, twins)
    text = world.features.only(["text"])
    common = {"modality_dropout": 0.0, "reconstruction": 0.0, "epochs": 6, "patience": 0}
    without, with_it = (fitted(Dense, world, balance=b, **common) for b in (0.0, 1.0))
    assert world.auc(with_it.transform(text)) > world.auc(without.transform(text)) + 0.02
    assert world.auc(with_it.transform(world.features)) > 0.95


def test_balance_weights_say_which_modality_is_left_alone():
    world = World(0, twins)
    common = {"modality_dropout": 0.0, "reconstruction": 0.0, "epochs": 6, "patience": 0, "balance": 1.0}
    for_text, for_image = (fitted(Dense, world, balance_weights={name: 0.0}, **common) for name in ("image", "text"))
    text = world.features.only(["text"])
    assert world.auc(for_text.transform(text)) > world.auc(for_image.transform(text))


def test_without_actions_the_vectors_keep_what_all_modalities_say():
    """Self-supervised: from the text alone, the nearest whole item is mostly one of the same hidden group."""
    world = World(0, twins)
    fuser = fitted(Sum, world, events=False, epochs=40)
    whole = fuser.transform(world.features)["fused"].vectors
    text = fuser.transform(world.features.only(["text"]))["fused"].vectors
    near = (text @ whole.T).argmax(axis=1)
    assert (world.groups[near] == world.groups).mean() > 0.6


def test_separate_encoders_agree_when_asked_to():
    world = World(0, twins)

    def cosine(agreement):
        apart = {"modality_dropout": 0.0, "balance": 0.0, "encoders": "separate"}
        fuser = fitted(Sum, world, agreement=agreement, epochs=4, patience=0, **apart)
        text, image = (fuser.transform(world.features.only([n]))["fused"].vectors for n in ("text", "image"))
        return float((text * image).sum(axis=1).mean())

    assert cosine(1.0) > cosine(0.0) + 0.1


def test_values_under_the_mask_change_nothing(one):
    gone = np.arange(240) % 3 == 0
    text = one.features["text"]
    garbage = Features(np.where(gone[:, None], 1e6, text.vectors).astype(np.float32), ~gone, text.fingerprint)
    clean = FeatureSet({**one.features, "text": text.hide(gone)})
    dirty = FeatureSet({**one.features, "text": garbage})
    vectors = [
        Gated(**{**QUICK, "epochs": 1}).fit(f, one.events, rng=np.random.default_rng(0)).transform(f)["fused"].vectors
        for f in (clean, dirty)
    ]
    assert np.array_equal(*vectors)


def test_an_item_without_any_modality_stays_masked_and_new_items_are_joined(one):
    fuser = fitted(Sum, one, epochs=2)
    none = FeatureSet({n: f.take(np.arange(4)).hide(np.array([1])) for n, f in one.features.items()})
    fused = fuser.transform(none)["fused"]
    assert fused.present.tolist() == [True, False, True, True]
    assert not fused.vectors[1].any()
    rng = np.random.default_rng(5)
    fresh = FeatureSet(
        {n: Features(rng.standard_normal((3, f.dim), np.float32), np.ones(3, bool), f.fingerprint)
         for n, f in one.features.items()}
    )  # fmt: skip
    np.testing.assert_allclose(np.linalg.norm(fuser.transform(fresh)["fused"].vectors, axis=1), 1, atol=1e-5)


def test_one_modality_alone_is_enough(one):
    text = one.features.only(["text"])
    fuser = Transformer(**{**QUICK, "epochs": 1}).fit(text, one.events, rng=np.random.default_rng(0))
    assert fuser.transform(text)["fused"].present.all()
    np.testing.assert_allclose(fuser.item_weights(text), 1)


def test_a_modality_that_no_item_has_is_no_obstacle(one):
    empty = Features(np.zeros((240, 5), np.float32), np.zeros(240, bool), "empty")
    features = FeatureSet({**one.features, "audio": empty})
    fuser = Gated(**{**QUICK, "epochs": 1}).fit(features, one.events, rng=np.random.default_rng(0))
    assert not fuser.item_weights(features)[:, 2].any()


def test_wrong_input_is_refused_in_words(one):
    fuser = fitted(Sum, one, epochs=1)
    text = one.features["text"]
    with pytest.raises(FingerprintError, match="text"):
        fuser.transform(FeatureSet({"text": Features(text.vectors, text.present, "another")}))
    with pytest.raises(FingerprintError, match="7"):
        fuser.transform(FeatureSet({"text": Features(text.vectors[:, :7], text.present, text.fingerprint)}))
    with pytest.raises(DataError, match="video"):
        fuser.transform(FeatureSet({"video": text}))
    with pytest.raises(DataError, match="No item has any"):
        Sum(**QUICK).fit(FeatureSet({"text": text.hide(np.ones(240, bool))}))
    with pytest.raises(DataError, match="no features"):
        Sum(**QUICK).fit(FeatureSet({}, 3))
    with pytest.raises(DataError, match="row 500"):
        Sum(**QUICK).fit(one.features, Events.of([0], [500]))
    with pytest.raises(SettingError, match="vidoe"):
        Sum(**QUICK, balance_weights={"vidoe": 1}).fit(one.features)
    with pytest.raises(SettingError, match="All balance weights"):
        Sum(**QUICK, balance_weights={"text": 0, "image": 0}).fit(one.features)
    with pytest.raises(SettingError, match="heads"):
        Transformer(**{**QUICK, "dim": 30}).fit(one.features)
    with pytest.raises(DataError, match="no multiple of 5 steps"):
        Recurrent(**QUICK, steps=5).fit(one.features)


def test_a_fit_that_fails_leaves_the_fuser_as_it_was(one):
    fuser = fitted(Sum, one, epochs=1)
    before = fuser.transform(one.features)["fused"].vectors
    with pytest.raises(DataError):
        fuser.fit(one.features, Events.of([0], [500]))
    assert np.array_equal(fuser.transform(one.features)["fused"].vectors, before)
