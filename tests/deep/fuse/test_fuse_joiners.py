"""Joining modules compute what their docstrings say: each against the equation written out in numpy, row by row."""

from __future__ import annotations

from math import erf, sqrt

import numpy as np
import pytest
import torch

from salon.fuse.bilinear import BilinearJoiner
from salon.fuse.dense import DenseJoiner, SumJoiner, WeightJoiner
from salon.fuse.gated import GateJoiner
from salon.fuse.network import FusionNetwork
from salon.fuse.recurrent import RecurrentJoiner
from salon.fuse.transformer import CrossAttentionJoiner, TransformerJoiner
from salon.training.network import weights_of

N, M, D = 9, 3, 8


@pytest.fixture
def given():
    """Tokens (N, M, D), 0 where absent, and a mask in which every row has a modality and the first rows have one."""
    rng = np.random.default_rng(0)
    there = rng.random((N, M)) < 0.6
    there[:M] = np.eye(M, dtype=bool)
    there[~there.any(axis=1), 0] = True
    tokens = rng.standard_normal((N, M, D)) * there[:, :, None]
    return tokens, there


def made(joiner, seed=0):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in joiner.parameters():
            value.copy_(torch.randn(value.shape, generator=generator) * 0.5)
    return joiner.double().eval()


def run(joiner, tokens, there):
    with torch.no_grad():
        return joiner(torch.from_numpy(tokens), torch.from_numpy(there)).numpy()


def gelu(x):
    return x * 0.5 * (1 + np.vectorize(erf)(x / sqrt(2)))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(x):
    e = np.exp(x - x.max())
    return e / e.sum()


def layer_norm(x, weight=1.0, bias=0.0):
    return (x - x.mean()) / np.sqrt(x.var() + 1e-5) * weight + bias


def test_sum_is_the_mean_of_what_is_there(given):
    tokens, there = given
    want = [
        np.mean([t for t, here in zip(row, mask, strict=True) if here], axis=0)
        for row, mask in zip(*given, strict=True)
    ]
    np.testing.assert_allclose(run(SumJoiner(), tokens, there), want)


def test_dense_sees_all_side_by_side_and_the_mask(given):
    tokens, there = given
    joiner = made(DenseJoiner(M, D, 7))
    w = weights_of(joiner)
    inputs = np.concatenate([tokens.reshape(N, -1), there], axis=1)
    hidden = gelu(inputs @ w["layers.0.weight"].T + w["layers.0.bias"])
    np.testing.assert_allclose(run(joiner, tokens, there), hidden @ w["layers.2.weight"].T + w["layers.2.bias"])


@pytest.mark.parametrize("per", ["catalogue", "item"])
def test_weights_are_a_softmax_over_what_is_there(given, per):
    tokens, there = given
    joiner = made(WeightJoiner(M, D, per, hidden=4))
    w = weights_of(joiner)
    want = []
    for row, mask in zip(tokens, there, strict=True):
        here = np.flatnonzero(mask)
        logits = w["bias"][here].copy()
        if per == "item":
            inner = np.tanh(row[here] @ w["inner.weight"].T + w["inner.bias"] + w["kind"][here])
            logits += inner @ w["outer.weight"][0]
        want.append(softmax(logits) @ row[here])
    np.testing.assert_allclose(run(joiner, tokens, there), want)
    shares = joiner.weights(torch.from_numpy(tokens), torch.from_numpy(there)).detach().numpy()
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    assert not shares[~there].any()


def test_gates_of_absent_modalities_are_shut(given):
    tokens, there = given
    joiner = made(GateJoiner(M, D))
    w = weights_of(joiner)
    want = np.zeros((N, D))
    for i in range(N):
        gates = sigmoid(w["gates.weight"] @ tokens[i].ravel() + w["gates.bias"]).reshape(M, D)
        for m in np.flatnonzero(there[i]):
            want[i] += gates[m] * np.tanh(w[f"values.{m}.weight"] @ tokens[i, m] + w[f"values.{m}.bias"])
    np.testing.assert_allclose(run(joiner, tokens, there), want)


def test_bilinear_adds_products_of_the_pairs_that_are_there(given):
    tokens, there = given
    joiner = made(BilinearJoiner(M, D, rank=5))
    w = weights_of(joiner)
    want = np.zeros((N, D))
    for i in range(N):
        for m in np.flatnonzero(there[i]):
            want[i] += w[f"linear.{m}.weight"] @ tokens[i, m]
        for p, (m, other) in enumerate(joiner.pairs):
            if there[i, m] and there[i, other]:
                product = (w[f"left.{p}.weight"] @ tokens[i, m]) * (w[f"right.{p}.weight"] @ tokens[i, other])
                want[i] += w[f"out.{p}.weight"] @ product
    np.testing.assert_allclose(run(joiner, tokens, there), want)


def test_cross_attention_mixes_the_slots_of_the_other_modalities(given):
    tokens, there = given
    heads, slots = 2, 3
    joiner = made(CrossAttentionJoiner(M, D, heads, slots))
    w = weights_of(joiner)
    want = np.zeros((N, D))
    for i in range(N):
        here = np.flatnonzero(there[i])
        parts = {m: (w[f"slots.{m}.weight"] @ tokens[i, m] + w[f"slots.{m}.bias"]).reshape(slots, D) for m in here}
        for m in here:
            keys = [key for other in here if other != m for key in parts[other]]
            for query in parts[m]:
                mixed = query.copy()
                for head in range(heads if keys else 0):
                    looks = softmax(np.array([query @ w[f"attention.{m}.weight"][head] @ k for k in keys]) / sqrt(D))
                    own = slice(head * D // heads, (head + 1) * D // heads)
                    mixed[own] += sum(look * key[own] for look, key in zip(looks, keys, strict=True))
                want[i] += mixed / slots / len(here)
    np.testing.assert_allclose(run(joiner, tokens, there), want)


@pytest.mark.parametrize("pool", ["cls", "mean"])
def test_transformer_is_attention_and_a_perceptron_with_norms_in_front(given, pool):
    tokens, there = given
    heads = 2
    joiner = made(TransformerJoiner(M, D, heads, 2, pool))
    w = weights_of(joiner)
    want = np.zeros((N, D))
    for i in range(N):
        here = np.flatnonzero(there[i])
        x = np.stack([w["first"][0, 0], *(tokens[i, m] + w["kind"][0, m] for m in here)])
        for place in range(2):
            x = block(x, {k.removeprefix(f"layers.{place}."): v for k, v in w.items()}, heads)
        x = np.stack([layer_norm(row, w["norm.weight"], w["norm.bias"]) for row in x])
        want[i] = x[0] if pool == "cls" else x[1:].mean(axis=0)
    np.testing.assert_allclose(run(joiner, tokens, there), want, atol=1e-9)
    shares = joiner.weights(torch.from_numpy(tokens), torch.from_numpy(there)).detach().numpy()
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    assert not shares[~there].any()


def block(x, w, heads):
    d = x.shape[1]
    normed = np.stack([layer_norm(row, w["norms.0.weight"], w["norms.0.bias"]) for row in x])
    q, k, v = np.split(normed @ w["attention.in_proj_weight"].T + w["attention.in_proj_bias"], 3, axis=1)
    mixed = np.zeros_like(x)
    for head in range(heads):
        own = slice(head * d // heads, (head + 1) * d // heads)
        for a in range(len(x)):
            looks = softmax(np.array([q[a, own] @ k[b, own] for b in range(len(x))]) / sqrt(d / heads))
            mixed[a, own] = looks @ v[:, own]
    x = x + mixed @ w["attention.out_proj.weight"].T + w["attention.out_proj.bias"]
    normed = np.stack([layer_norm(row, w["norms.1.weight"], w["norms.1.bias"]) for row in x])
    hidden = gelu(normed @ w["dense.0.weight"].T + w["dense.0.bias"])
    return x + hidden @ w["dense.2.weight"].T + w["dense.2.bias"]


def test_recurrent_goes_over_the_steps_in_order():
    steps = 4
    rng = np.random.default_rng(1)
    there = np.array([[True, True], [True, False], [False, True]])
    tokens = rng.standard_normal((3, 2, steps * D)) * there[:, :, None]
    joiner = made(RecurrentJoiner(D, steps, "gru"))
    w = weights_of(joiner)
    want = np.zeros((3, D))
    for i in range(3):
        h = np.zeros(D)
        for x in tokens[i][there[i]].mean(axis=0).reshape(steps, D):
            r, z, n = np.split(w["cell.weight_ih_l0"] @ x + w["cell.bias_ih_l0"], 3)
            hr, hz, hn = np.split(w["cell.weight_hh_l0"] @ h + w["cell.bias_hh_l0"], 3)
            r, z = sigmoid(r + hr), sigmoid(z + hz)
            h = (1 - z) * np.tanh(n + r * hn) + z * h
        want[i] = h
    np.testing.assert_allclose(run(joiner, tokens, there), want)


JOINERS = {
    "sum": SumJoiner,
    "dense": lambda: DenseJoiner(M, D, 7),
    "weights": lambda: WeightJoiner(M, D, "item"),
    "gates": lambda: GateJoiner(M, D),
    "bilinear": lambda: BilinearJoiner(M, D, 5),
    "cross-attention": lambda: CrossAttentionJoiner(M, D, 2, 3),
    "transformer": lambda: TransformerJoiner(M, D, 2, 1, "mean"),
    "recurrent": lambda: RecurrentJoiner(D, 1, "lstm"),
}


@pytest.mark.parametrize("name", JOINERS)
@pytest.mark.parametrize("separate", [False, True])
def test_what_is_absent_is_never_read(name, separate):
    network = FusionNetwork([5, 6, 7], D, JOINERS[name](), separate=separate).eval()
    rng = np.random.default_rng(2)
    inputs = [torch.from_numpy(rng.standard_normal((N, size)).astype(np.float32)) for size in (5, 6, 7)]
    there = torch.from_numpy(rng.random((N, M)) < 0.5)
    there[0] = False
    other = [torch.where(there[:, m : m + 1], part, 1e4 * torch.rand(part.shape)) for m, part in enumerate(inputs)]
    with torch.no_grad():
        fused, again = (network.fuse(network.tokens(x), there).numpy() for x in (inputs, other))
    assert np.array_equal(fused, again)
    assert not fused[0].any()
    some = there.any(dim=1).numpy()
    np.testing.assert_allclose(np.linalg.norm(fused[some], axis=1), 1, atol=1e-5)
    assert not fused[~some].any()
