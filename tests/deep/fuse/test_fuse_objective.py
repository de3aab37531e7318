"""What trained fusers minimise, against the definition written out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from salon.fuse.deep_settings import DeepSettings
from salon.fuse.dense import SumJoiner
from salon.fuse.network import FusionNetwork
from salon.fuse.objective import STEPS, Objective, history_batches, item_batches

N, D = 12, 6


def objective(log_q, **given):
    torch.manual_seed(0)
    network = FusionNetwork([4, 5], D, SumJoiner()).double()
    rng = np.random.default_rng(0)
    present = rng.random((N, 2)) < 0.7
    present[~present.any(axis=1), 0] = True
    inputs = [rng.standard_normal((N, size)) * present[:, m : m + 1] for m, size in enumerate((4, 5))]
    plain = {"modality_dropout": 0.0, "balance": 0.0, "reconstruction": 0.0, "dropout": 0.0}
    made = Objective(network, inputs, present, log_q, np.ones(2), DeepSettings(**{**plain, **given})).eval()
    tokens = network.tokens([torch.from_numpy(x) for x in inputs])
    fused = network.fuse(tokens, torch.from_numpy(present)).detach().numpy()
    return made, fused, inputs, present


@pytest.mark.parametrize("popularity", [0.0, 0.7])
def test_every_action_of_a_sample_is_asked_for_given_the_others(popularity):
    log_q = np.log(np.arange(1, N + 1) / 78).astype(np.float32)
    made, z, _, _ = objective(log_q, popularity=popularity, temperature=0.3)
    ids = np.array([[0, 3, 5, -1], [3, 7, -1, -1], [9, -1, -1, -1], [1, 0, 8, 5]])
    items = np.unique(ids[ids >= 0])
    losses = []
    for row in ids:
        own = row[row >= 0]
        for target in own if len(own) > 1 else []:
            profile = z[[i for i in own if i != target]].sum(axis=0)
            profile /= np.linalg.norm(profile)
            allowed = [i for i in items if i == target or i not in own]
            scores = {i: profile @ z[i] / 0.3 - popularity * log_q[i] for i in allowed}
            losses.append(np.log(sum(np.exp(s) for s in scores.values())) - scores[target])
    assert made(torch.from_numpy(ids)).item() == pytest.approx(np.mean(losses), abs=1e-6)


def test_without_actions_the_loss_is_what_is_not_given_back():
    made, z, inputs, present = objective(None)
    ids = torch.arange(N)[:, None]
    parts = [d.detach().numpy() for d in made.network.decode(torch.from_numpy(z))]
    errors = [
        1 - (a[i] @ b[i]) / np.linalg.norm(a[i]) / np.linalg.norm(b[i])
        for a, b, there in zip(parts, inputs, present.T, strict=True)
        for i in np.flatnonzero(there)
    ]
    assert made(ids).item() == pytest.approx(np.mean(errors), abs=1e-6)


def test_people_with_one_action_give_no_loss_but_no_error_either():
    made, *_ = objective(np.zeros(N, np.float32))
    assert made(torch.tensor([[3, -1], [4, -1]])).item() == 0


def test_modality_dropout_never_takes_the_last_one():
    made, _, _, present = objective(None, modality_dropout=0.9)
    there = torch.from_numpy(present).repeat(50, 1)
    kept = made._with_dropout(there)
    assert kept.any(dim=1).all()
    assert not (kept & ~there).any()
    assert kept.sum() < there.sum()


@settings(max_examples=30)
@given(seed=st.integers(0, 999), size=st.integers(1, 9), history=st.integers(2, 5))
def test_samples_of_histories_are_of_the_right_person(seed, size, history):
    rng = np.random.default_rng(seed)
    likes = sparse.csr_array((rng.random((15, 20)) < 0.2).astype(np.float32))
    counts = np.diff(likes.indptr)
    owners = {tuple(likes[[u]].indices.tolist()) for u in range(15) if counts[u] > 1}
    batches = [b for (b,) in history_batches(likes, size, history, rng)]
    assert len(batches) >= min(STEPS[0], (counts > 1).sum() * STEPS[0])
    assert len(batches) <= STEPS[1]
    for row in np.concatenate(batches) if batches else []:
        own = row[row >= 0]
        assert len(np.unique(own)) == len(own) >= 2
        assert any(set(own.tolist()) <= set(o) and len(own) == min(len(o), history) for o in owners)


def test_items_without_media_are_in_no_batch():
    able = np.arange(10) % 3 != 0
    rows = np.concatenate([b for (b,) in item_batches(able, 4, np.random.default_rng(0))])
    assert sorted(rows.ravel().tolist()) == np.flatnonzero(able).tolist()
