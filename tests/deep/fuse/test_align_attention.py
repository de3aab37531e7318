"""Cross-modal attention is softmax(W f1 f2') f2, and absent keys count for nothing."""

import numpy as np
import pytest
import torch

from salon.errors import SettingError
from salon.fuse.attention import CrossModalAttention


def written_out(weight: np.ndarray, query: np.ndarray, keys: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The equation, one query and one head at a time."""
    heads, dim, _ = weight.shape
    width = dim // heads
    out = np.zeros_like(query)
    for row in range(len(query)):
        there = keys[row][mask[row]]
        for place in range(query.shape[1]):
            for head in range(heads):
                if not len(there):
                    continue
                scores = np.array([query[row, place] @ weight[head] @ key for key in there]) / np.sqrt(dim)
                shares = np.exp(scores - scores.max())
                shares /= shares.sum()
                part = slice(head * width, (head + 1) * width)
                out[row, place, part] = sum(share * key[part] for share, key in zip(shares, there, strict=True))
    return out


@pytest.mark.parametrize("heads", [1, 2, 4])
def test_attention_is_the_equation_written_out(heads: int) -> None:
    torch.manual_seed(0)
    module = CrossModalAttention(8, heads=heads)
    rng = np.random.default_rng(heads)
    query, keys = rng.standard_normal((5, 3, 8)), rng.standard_normal((5, 4, 8))
    mask = rng.random((5, 4)) < 0.6
    mask[0] = False
    found = module.double()(torch.tensor(query), torch.tensor(keys), torch.tensor(mask)).detach().numpy()
    expected = written_out(module.weight.detach().numpy(), query, keys, mask)
    np.testing.assert_allclose(found, expected, atol=1e-12)
    assert not found[0].any()


def test_weights_sum_to_one_over_the_keys_that_are_there() -> None:
    module = CrossModalAttention(4, heads=2)
    mask = torch.tensor([[True, False, True], [False, False, False]])
    weights = module.weights(torch.randn(2, 5, 4), torch.randn(2, 3, 4), mask).detach()
    torch.testing.assert_close(weights[0].sum(-1), torch.ones(2, 5))
    assert not weights[0, :, :, 1].any()
    assert not weights[1].any()


def test_without_a_mask_all_keys_count() -> None:
    module = CrossModalAttention(6, heads=3)
    query, keys = torch.randn(2, 2, 6), torch.randn(2, 4, 6)
    torch.testing.assert_close(module(query, keys), module(query, keys, torch.ones(2, 4, dtype=torch.bool)))


def test_an_absent_key_gets_no_gradient_and_nothing_becomes_nan() -> None:
    module = CrossModalAttention(4)
    keys = torch.randn(2, 3, 4, requires_grad=True)
    mask = torch.tensor([[True, True, False], [False, False, False]])
    module(torch.randn(2, 1, 4), keys, mask).square().sum().backward()
    assert torch.isfinite(module.weight.grad).all()
    assert not keys.grad[0, 2].any()
    assert not keys.grad[1].any()
    assert keys.grad[0, :2].any()


def test_heads_that_do_not_divide_are_refused() -> None:
    with pytest.raises(SettingError, match="3 heads"):
        CrossModalAttention(8, heads=3)
