"""Imputers with networks beat the mean where modalities follow from each other by a curve, and keep the same rules."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from salon.component import load_component
from salon.encode.base import Features, FeatureSet
from salon.errors import ArtifactError
from salon.fuse.impute_gan import ImputeGAN
from salon.fuse.impute_network import recovered, some_hidden
from salon.fuse.impute_report import impute_report
from salon.fuse.impute_ridge import ImputeRidge
from salon.fuse.impute_vae import ImputeVAE

QUICK = {"hidden": 64, "epochs": 60, "batch_size": 64, "device": "cpu"}
IMPUTERS = [
    ImputeVAE(latent=8, **QUICK),
    ImputeVAE(latent=8, experts="mixture", **QUICK),
    ImputeGAN(noise=4, **QUICK),
]


def again(imputer, **more):
    return type(imputer)(imputer.settings.model_copy(update=more))


def named(imputer) -> str:
    return f"{type(imputer).__name__}-{getattr(imputer.settings, 'experts', '')}"


def curved(n: int = 400, seed: int = 0, share: float = 1.0) -> FeatureSet:
    """The image is a product of what the text says: no linear map finds it."""
    rng = np.random.default_rng(seed)
    hidden = rng.uniform(-1, 1, (n, 2))
    text = np.concatenate([hidden, 0.05 * rng.standard_normal((n, 1))], axis=1)
    image = np.stack([hidden[:, 0] * hidden[:, 1], np.abs(hidden[:, 0]) - 0.5, np.cos(3 * hidden[:, 1])], axis=1)
    found = {}
    for name, vectors in (("text", text), ("image", image)):
        present = rng.random(n) < share
        found[name] = Features(np.where(present[:, None], vectors, 0).astype(np.float32), present, name)
    return FeatureSet(found)


@pytest.mark.parametrize("imputer", IMPUTERS, ids=named)
def test_a_curve_is_found_where_the_mean_and_ridge_fail(imputer):
    rows = impute_report(
        {"ridge": ImputeRidge(), "network": again(imputer, epochs=150)}, curved(), modalities=["image"], rng=0
    )
    mean, ridge, network = rows
    assert abs(ridge.r2) < 0.1
    assert network.r2 > 0.3
    assert network.r2 > ridge.r2 + 0.3
    assert network.recall > 2 * mean.recall


@pytest.mark.parametrize("imputer", IMPUTERS, ids=named)
def test_rules_hold_and_the_network_is_saved(imputer, tmp_path):
    features = curved(80, seed=1, share=0.6)
    fitted = again(imputer, epochs=3).fit(features, rng=np.random.default_rng(5))
    found, filled = fitted.transform(features), fitted.filled(features)
    for name in features:
        before, after = features[name], found[name]
        assert np.array_equal(after.vectors[before.present], before.vectors[before.present])
        assert np.array_equal(after.present, features.having_any())
        assert np.array_equal(filled[name], after.present & ~before.present)
    fitted.save(tmp_path / "imputer")
    loaded = load_component(tmp_path / "imputer", "fuser").transform(features)
    same = again(imputer, epochs=3).fit(features, rng=np.random.default_rng(5)).transform(features)
    other = again(imputer, epochs=3).fit(features, rng=np.random.default_rng(6)).transform(features)
    part = fitted.transform(features.take(np.arange(5)))
    for name in found:
        assert np.array_equal(loaded[name].vectors, found[name].vectors)
        assert np.array_equal(same[name].vectors, found[name].vectors)
        assert same[name].fingerprint == found[name].fingerprint != other[name].fingerprint
        np.testing.assert_allclose(part[name].vectors, found[name].vectors[:5], atol=1e-5)


@pytest.mark.parametrize("imputer", IMPUTERS, ids=named)
def test_what_was_never_seen_together_is_not_made_up(imputer):
    features = curved(40, seed=2)
    first = np.arange(40) < 20
    apart = FeatureSet({"text": features["text"].hide(first), "image": features["image"].hide(~first)})
    found = again(imputer, epochs=2).fit(apart).transform(apart)
    assert all(np.array_equal(found[name].present, apart[name].present) for name in apart)
    one = features.only(["text"])
    assert again(imputer, epochs=2).fit(one).transform(one)["text"].present.all()


def test_hiding_leaves_something_and_takes_something():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        mask = (torch.rand(500, 4) < 0.6).float()
        seen = some_hidden(mask)
    count, left = mask.sum(dim=1), seen.sum(dim=1)
    assert bool((seen <= mask).all())
    assert bool((left[count >= 1] >= 1).all())
    assert bool((left[count >= 2] < count[count >= 2]).all())
    assert set(left[count == 4].tolist()) == {1.0, 2.0, 3.0}


def test_the_product_of_experts_is_that_of_normal_densities():
    network = ImputeVAE(latent=2, hidden=4)._build([3, 2])
    values, mask = (
        torch.randn(6, 5, generator=torch.Generator().manual_seed(0)),
        torch.tensor([[1.0, 1.0]] * 5 + [[0, 1]]),
    )
    ((mean, log, share),) = network._beliefs(values, mask)
    for row in range(6):
        precision, weighted = torch.ones(2), torch.zeros(2)
        for place, (encoder, block) in enumerate(zip(network.encoders, (slice(0, 3), slice(3, 5)), strict=True)):
            if mask[row, place]:
                m, v = encoder(values[row, block]).chunk(2)
                precision, weighted = precision + 1 / v.exp(), weighted + m / v.exp()
        torch.testing.assert_close(mean[row], weighted / precision)
        torch.testing.assert_close(log[row], -precision.log())
    assert bool((share == 1).all())


def test_the_generator_and_its_critic_learn_from_their_own_losses():
    network = ImputeGAN(noise=2, hidden=8, reconstruction=0.0)._build([3, 2])
    values, mask = torch.randn(16, 5), torch.ones(16, 2)
    network(values, mask).backward()
    both = [p.grad.clone() for p in network.critic.parameters()]
    network.zero_grad()
    quiet = ImputeGAN(noise=2, hidden=8, reconstruction=0.0, adversary=0.0)._build([3, 2])
    quiet.load_state_dict(network.state_dict())
    quiet(values, mask).backward()
    assert all(p.grad is None or not p.grad.any() for p in quiet.generator.parameters())
    assert any(g.any() for g in both)


def test_recovery_of_the_mean_is_zero():
    network = ImputeVAE(latent=2, hidden=4)._build([3, 2])
    for parameter in network.parameters():
        torch.nn.init.zeros_(parameter)
    values = np.random.default_rng(0).standard_normal((20, 5)).astype(np.float32)
    assert recovered(network, values, np.ones((20, 2), np.float32), [3, 2]) == pytest.approx(0)


def test_weights_of_another_shape_are_refused():
    fitted = ImputeVAE(latent=2, hidden=4, epochs=1).fit(curved(30))
    with pytest.raises(ArtifactError):
        ImputeVAE(latent=3, hidden=4, epochs=1).restore(fitted.state())
