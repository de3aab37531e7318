"""Dropout by random bytes: the right share is gone, what is left is stretched, and gradients follow."""

import pytest
import torch

from salon.training.dropout import Dropout, dropped


@pytest.mark.parametrize("rate", [0.01, 0.2, 0.5, 0.999])
def test_the_share_that_is_gone_is_the_rate_and_the_mean_stays(rate: float) -> None:
    torch.manual_seed(3)
    found = dropped(torch.ones(401, 997), rate)
    chance = min(round(rate * 256), 255) / 256
    sides = (chance * (1 - chance) / found.numel()) ** 0.5
    assert abs(float((found == 0).float().mean()) - chance) < 5 * sides
    assert set(found.unique().tolist()) == {0.0, torch.tensor(1 / (1 - chance)).item()}
    assert abs(chance - rate) <= 1 / 256


def test_every_place_of_a_word_is_hidden_alike_and_on_its_own() -> None:
    torch.manual_seed(4)
    gone = (dropped(torch.ones(200_000, 8), 0.3) == 0).float()
    assert torch.allclose(gone.mean(dim=0), torch.tensor(77 / 256), atol=0.006)
    assert (torch.corrcoef(gone.T) - torch.eye(8)).abs().max() < 0.012


def test_gradients_pass_what_was_kept_alone() -> None:
    x = torch.ones(50, 7, requires_grad=True)
    found = dropped(x, 0.4)
    found.sum().backward()
    assert torch.equal(x.grad, found.detach())


def test_the_layer_drops_in_training_alone_and_a_seed_repeats_it() -> None:
    layer, x = Dropout(0.5), torch.randn(30, 30)
    torch.manual_seed(5)
    first = layer(x)
    torch.manual_seed(5)
    assert torch.equal(layer(x), first)
    assert not torch.equal(layer(x), first)
    assert layer.eval()(x) is x
    assert dropped(x, 0.0) is x


@pytest.mark.parametrize("shape", [(0, 4), (1,), (3, 5, 7)])
def test_any_shape_and_kind_of_number_comes_back(shape: tuple[int, ...]) -> None:
    for kind in (torch.float32, torch.float64, torch.bfloat16):
        found = dropped(torch.ones(shape, dtype=kind), 0.2)
        assert found.shape == shape
        assert found.dtype == kind
