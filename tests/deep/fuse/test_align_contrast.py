"""Trained alignment: held-out items find each other, every loss does what it says, and nothing leaks between runs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from salon.component import load_component
from salon.data import Events
from salon.encode.base import Features, FeatureSet
from salon.errors import DataError, SettingError
from salon.fuse.align_contrast import AlignNetwork, Contrastive, ContrastiveSettings, consistency
from salon.fuse.align_report import alignment_report, chance_mrr
from salon.fuse.collaborative import collaborative_features
from salon.training.losses import info_nce

QUICK = {"dim": 16, "epochs": 40, "learning_rate": 3e-3, "dropout": 0.1, "batch_size": 256}


def views(n: int, *, shared: bool = True, shares: tuple[float, ...] = (1.0, 1.0), seed: int = 0) -> FeatureSet:
    """Modalities that are bent maps of one latent (or of latents of their own), each off centre."""
    rng = np.random.default_rng(seed)
    common = rng.standard_normal((n, 5))
    found = {}
    for name, dim, share in zip(("text", "image", "audio"), (20, 30, 15), shares, strict=False):
        latent = common if shared else rng.standard_normal((n, 5))
        vectors = np.tanh(latent @ rng.standard_normal((5, dim)) / 2) + 0.1 * rng.standard_normal((n, dim)) + 1
        present = rng.random(n) < share
        found[name] = Features(np.where(present[:, None], vectors, 0).astype(np.float32), present, name)
    return FeatureSet(found, n)


def told_apart(features: FeatureSet) -> float:
    """Share of held-out vectors whose modality a linear classifier of its own names rightly; 0.5 is chance."""
    one, other = (part.vectors[part.present] for part in features.values())
    x = np.concatenate([one, other])
    y = np.r_[np.ones(len(one)), -np.ones(len(other))]
    x = np.c_[x, np.ones(len(x)), x**2]
    order = np.random.default_rng(0).permutation(len(x))
    learn, judge = order[::2], order[1::2]
    weights = np.linalg.solve(x[learn].T @ x[learn] + 0.1 * np.eye(x.shape[1]), x[learn].T @ y[learn])
    return float(((x[judge] @ weights > 0) == (y[judge] > 0)).mean())


def test_items_never_seen_are_found_across_three_modalities_with_gaps() -> None:
    features = views(900, shares=(1.0, 0.8, 0.6))
    aligner = Contrastive(**QUICK).fit(features.take(np.arange(700)))
    report = alignment_report(aligner.transform(features.take(np.arange(700, 900))))
    for one in report.crossings:
        assert one.recall[10] > 0.7 > 5 * one.chance[10]
    assert max(aligner.scores_) == aligner.scores_[aligner.best_epoch_ - 1]


def test_unrelated_modalities_stay_at_chance() -> None:
    features = views(600, shared=False)
    aligner = Contrastive(**QUICK | {"epochs": 10}).fit(features.take(np.arange(400)))
    one = alignment_report(aligner.transform(features.take(np.arange(400, 600)))).crossing("text", "image")
    assert one.mrr < 3 * chance_mrr(200)


def test_a_hidden_layer_and_modality_dropout_train_too(tmp_path) -> None:
    features = views(600, shares=(0.9, 0.9, 0.9))
    aligner = Contrastive(**QUICK, hidden=32, modality_dropout=0.3, temperature=0.2).fit(features)
    assert alignment_report(aligner.transform(features)).crossing("audio", "text").recall[10] > 0.5
    aligner.save(tmp_path / "aligner")
    again = load_component(tmp_path / "aligner", "fuser")
    assert np.array_equal(again.transform(features)["audio"].vectors, aligner.transform(features)["audio"].vectors)
    np.testing.assert_allclose(
        again.align("text", features["text"].vectors[:3]), aligner.transform(features)["text"].vectors[:3], atol=1e-6
    )


def test_the_temperature_is_learned_and_bounded() -> None:
    network = Contrastive(**QUICK).fit(views(300)).network_
    assert float(network.log_temperature.detach()) != pytest.approx(np.log(0.07), abs=1e-4)


def test_modalities_learn_from_the_collaborative_space() -> None:
    """Text and image never meet; both meet what people did, and find each other through it."""
    features = views(800)
    rng = np.random.default_rng(0)
    latent = rng.standard_normal((800, 5))  # the common part of `views(800)`
    half = np.arange(800) % 2 == 0
    liked = np.argsort(-(np.random.default_rng(1).standard_normal((500, 5)) @ latent.T))[:, :25]
    events = Events.of(np.repeat(np.arange(500), 25), liked.ravel())
    apart = FeatureSet({"text": features["text"].hide(half), "image": features["image"].hide(~half)})
    aligner = Contrastive(**QUICK, contrast=0.0, events=1.0, share=0.0).fit(apart, events)
    one = alignment_report(aligner.transform(features)).crossing("text", "image")
    assert one.recall[10] > 5 * one.chance[10]
    assert list(aligner.transform(features)) == ["text", "image"]
    assert collaborative_features(events, 800, 16).dim == aligner.events_dim_


def test_the_adversary_alone_makes_modalities_alike_without_pairs() -> None:
    features = views(1200, shared=False)
    odd = np.arange(1200) % 2 == 0
    unpaired = FeatureSet({"text": features["text"].hide(odd), "image": features["image"].hide(~odd)})
    settings = QUICK | {"contrast": 0.0, "adversarial": 1.0, "dim": 8, "batch_size": 128, "centre": False}
    before = Contrastive(**settings | {"epochs": 1, "learning_rate": 1e-9}).fit(unpaired)
    after = Contrastive(**settings | {"epochs": 50, "learning_rate": 1e-3}).fit(unpaired)
    apart, alike = before.transform(unpaired), after.transform(unpaired)
    assert told_apart(apart) > 0.95
    assert told_apart(alike) < 0.75
    assert alignment_report(alike).gaps["text", "image"] < 0.1 < 1 < alignment_report(apart).gaps["text", "image"]
    spread = [part["text"].vectors[~odd].std(axis=0).mean() for part in (apart, alike)]
    assert spread[1] > 0.5 * spread[0]  # it did not send everything to one point


def test_consistency_brings_similarities_together() -> None:
    features = views(500)
    found = []
    for weight in (0.0, 30.0):
        aligned = Contrastive(**QUICK, consistency=weight, share=0.0).fit(features).transform(features)
        one, other = (torch.from_numpy(aligned[name].vectors) for name in ("text", "image"))
        found.append(float(consistency(one, other)))
    assert found[1] < 0.7 * found[0]


def test_consistency_is_the_formula_written_out() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.standard_normal((2, 6, 4))
    across = one @ other.T
    expected = np.mean((across - across.T) ** 2) + np.mean((one @ one.T - other @ other.T) ** 2)
    assert float(consistency(torch.tensor(one), torch.tensor(other))) == pytest.approx(expected)


def test_the_heads_mislead_and_the_adversary_learns_to_tell() -> None:
    """Each side's gradient is that of its own loss: the adversary's plain, the heads' reversed and weighted."""
    network = AlignNetwork([5, 6], 0, ContrastiveSettings(dim=4, dropout=0, contrast=0.0, adversarial=2.0)).eval()
    rows = [torch.randn(9, 5), torch.randn(9, 6)]
    network(torch.ones(9, 2, dtype=torch.bool), *rows).backward()
    head, told = network.heads[0][1].weight.grad.clone(), network.adversary[0].weight.grad.clone()
    network.zero_grad()
    z = [functional.normalize(one(part), dim=1) for one, part in zip(network.heads, rows, strict=True)]
    logs = [functional.log_softmax(network.adversary(part), dim=1) for part in z]
    (-(logs[0][:, 0].mean() + logs[1][:, 1].mean()) / 2).backward()
    torch.testing.assert_close(network.adversary[0].weight.grad, told)
    torch.testing.assert_close(-2 * network.heads[0][1].weight.grad, head)


def test_the_contrast_looks_only_at_items_that_have_both() -> None:
    settings = ContrastiveSettings(dim=4, dropout=0)
    network = AlignNetwork([5, 6, 3], 0, settings).eval()
    rows = [torch.randn(7, d) for d in (5, 6, 3)]
    present = torch.ones(7, 3, dtype=torch.bool)
    present[:2, 1] = False
    present[:6, 2] = False  # one item is no contrast
    z = [functional.normalize(head(part), dim=1) for head, part in zip(network.heads, rows, strict=True)]
    torch.testing.assert_close(network(present, *rows), info_nce(z[0][2:], z[1][2:], 0.07))
    nothing = network(torch.zeros(7, 3, dtype=torch.bool), *rows)
    assert float(nothing.detach()) == 0
    nothing.backward()


def test_the_same_seed_gives_the_same_maps() -> None:
    features = views(200)
    settings = QUICK | {"epochs": 3}
    one, other = (Contrastive(**settings).fit(features, rng=np.random.default_rng(5)) for _ in range(2))
    third = Contrastive(**settings).fit(features, rng=np.random.default_rng(6))
    vectors = [fitted.transform(features)["text"].vectors for fitted in (one, other, third)]
    assert np.array_equal(vectors[0], vectors[1])
    assert not np.allclose(vectors[0], vectors[2], atol=1e-3)


def test_what_cannot_be_trained_is_named() -> None:
    features = views(100)
    with pytest.raises(SettingError, match="at least one of contrast"):
        Contrastive(contrast=0.0)
    with pytest.raises(SettingError, match=r"events = 1\.0, but there are none"):
        Contrastive(events=1.0).fit(features)
    with pytest.raises(DataError, match="at least two modalities"):
        Contrastive().fit(features.only(["text"]))
    odd = np.arange(100) % 2 == 0
    with pytest.raises(DataError, match="No two of the modalities"):
        Contrastive().fit(FeatureSet({"text": features["text"].hide(odd), "image": features["image"].hide(~odd)}))
