"""Losses against their definitions written out, and negatives that are what they claim to be."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from salon.errors import DataError
from salon.training import batches, losses
from salon.training.batches import Negatives, shuffled


def tensors(*shapes: tuple[int, ...]) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(*shape, generator=generator) for shape in shapes]


def test_bpr_is_the_log_of_the_sigmoid_of_the_difference() -> None:
    positive, negative = tensors((5,), (5, 3))
    slow = np.mean(
        [
            -np.log(1 / (1 + np.exp(n - p)))
            for p, row in zip(positive.numpy(), negative.numpy(), strict=True)
            for n in row
        ]
    )
    assert float(losses.bpr(positive, negative)) == pytest.approx(slow, abs=1e-6)
    assert float(losses.bpr(positive, negative[:, 0])) == pytest.approx(float(losses.bpr(positive, negative[:, :1])))


def test_sampled_softmax_with_all_items_is_the_softmax() -> None:
    scores, log_q = tensors((6,), (6,))
    wanted = -torch.log_softmax(scores, 0)[2]
    others = scores[[0, 1, 3, 4, 5]]
    assert torch.isclose(losses.sampled_softmax(scores[2:3], others), wanted)
    corrected = -torch.log_softmax(scores - log_q, 0)[2]
    found = losses.sampled_softmax(scores[2:3], others, log_q[2:3], log_q[[0, 1, 3, 4, 5]])
    assert torch.isclose(found, corrected)


def test_in_batch_softmax_is_the_softmax_over_all_draws_without_copies_of_the_positive() -> None:
    queries, items, log_q = tensors((3, 4), (4, 4), (4,))
    drawn = [2, 0, 2, 1, 1, 3]  # the first three are wanted, the others further negatives
    counts = torch.bincount(torch.tensor(drawn))
    scores = (queries @ items.T).numpy()
    for correction in (None, log_q):
        share = np.ones(4) if correction is None else len(drawn) * np.exp(correction.numpy())
        slow = 0.0
        for row, own in enumerate(drawn[:3]):
            others = sum(np.exp(scores[row, item]) / share[item] for item in drawn if item != own)
            slow += np.log(np.exp(scores[row, own]) + others) - scores[row, own]
        found = losses.in_batch_softmax(queries, items, torch.tensor(drawn[:3]), counts, correction)
        assert float(found) == pytest.approx(slow / 3, abs=1e-5)


def test_the_chance_of_a_draw_is_that_of_the_mixture() -> None:
    popular, uniform = np.array([0.7, 0.3, 0.0]), np.array([0.5, 0.5, 0.0])
    with np.errstate(divide="ignore"):
        first, second = (torch.from_numpy(np.log(chances)) for chances in (popular, uniform))
    found = losses.mixed_log_q(first, 6, second, 2).exp().numpy()
    np.testing.assert_allclose(found, (6 * popular + 2 * uniform) / 8)
    assert torch.equal(losses.mixed_log_q(first, 6, second, 0), first)


def test_with_log_q_the_in_batch_softmax_finds_the_true_chances_though_draws_are_popular() -> None:
    """One query, items wanted with chances p: the corrected loss is least at scores ln p, the other is not."""
    chances = torch.tensor([0.6, 0.3, 0.1])
    found = []
    for log_q in (chances.log(), None):
        scores = torch.zeros(3, requires_grad=True)
        optimiser = torch.optim.SGD([scores], lr=2.0)
        wanted = torch.tensor([0] * 60 + [1] * 30 + [2] * 10)
        for _ in range(300):
            optimiser.zero_grad()
            queries = torch.ones(100, 1)
            losses.in_batch_softmax(queries, scores[:, None], wanted, torch.bincount(wanted), log_q).backward()
            optimiser.step()
        found.append(torch.softmax(scores.detach(), 0).numpy())
    np.testing.assert_allclose(found[0], chances.numpy(), atol=0.02)
    assert np.abs(found[1] - chances.numpy()).max() > 0.2


def test_info_nce_prefers_views_that_belong_together() -> None:
    one, noise = tensors((8, 5), (8, 5))
    near, far = losses.info_nce(one, one + 0.1 * noise, 0.1), losses.info_nce(one, noise, 0.1)
    assert float(near) < 0.1 < float(far)
    cosines = torch.nn.functional.normalize(one) @ torch.nn.functional.normalize(noise).T / 0.5
    slow = -(torch.log_softmax(cosines, 1).diag().mean() + torch.log_softmax(cosines, 0).diag().mean()) / 2
    assert torch.isclose(losses.info_nce(one, noise, 0.5), slow)


@settings(max_examples=30)
@given(st.integers(1, 50), st.integers(1, 20), st.integers(0, 5))
def test_batches_are_a_permutation(n: int, size: int, seed: int) -> None:
    found = list(shuffled(n, size, np.random.default_rng(seed)))
    assert sorted(np.concatenate(found).tolist()) == list(range(n))
    assert max(map(len, found)) <= size


def test_negatives_are_never_positive_and_follow_popularity() -> None:
    rng = np.random.default_rng(0)
    dense = rng.random((40, 30)) < 0.3
    dense[:, 29] = False
    positives = sparse.csr_array(dense.astype(np.float32))
    users = rng.integers(0, 40, 2000)
    drawn = Negatives(positives).draw(users, 5, rng)
    assert drawn.shape == (2000, 5)
    assert not dense[users[:, None], drawn].any()
    assert 29 not in drawn
    popular = Negatives(positives, power=1.0)
    counts = np.bincount(popular.draw_any(200_000, rng), minlength=30) / 200_000
    assert np.allclose(counts, dense.sum(0) / dense.sum(), atol=0.004)
    assert np.allclose(np.exp(popular.log_q), dense.sum(0) / dense.sum(), atol=1e-6)
    with pytest.raises(DataError, match="no positive actions"):
        Negatives(sparse.csr_array((3, 4)))


def test_negatives_are_the_same_with_marks_in_memory_and_with_a_search(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    positives = sparse.csr_array((rng.random((30, 20)) < 0.5).astype(np.float32))
    users = rng.integers(0, 30, 200)
    marked = Negatives(positives).draw(users, 3, np.random.default_rng(1))
    monkeypatch.setattr(batches, "MARKED", 0)
    np.testing.assert_array_equal(Negatives(positives).draw(users, 3, np.random.default_rng(1)), marked)
