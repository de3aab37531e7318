"""Low-rank adapters keep their promises."""

import numpy as np
import pytest
import torch
from torch import nn

from salon.encode.tower_lora import Adapted, adapt, can_adapt, merge

LAYERS = {"linear": (lambda: nn.Linear(7, 5), (11, 7)), "conv": (lambda: nn.Conv2d(7, 5, 1), (3, 7, 4, 4))}


def moved(adapted: Adapted) -> Adapted:
    with torch.no_grad():
        adapted.up.normal_()
    return adapted


@pytest.mark.parametrize("kind", LAYERS)
def test_an_adapter_changes_nothing_at_first_and_then_by_its_rank(kind: str) -> None:
    torch.manual_seed(0)
    make, shape = LAYERS[kind]
    layer, values = make(), torch.randn(shape)
    before = layer(values)
    adapted = Adapted(layer, rank=2, alpha=6.0)
    assert torch.equal(adapted(values), before)
    moved(adapted)
    change = (adapted.weight() - layer.weight).flatten(1)
    assert torch.linalg.matrix_rank(change) == 2
    expected = 3.0 * adapted.up @ adapted.down  # alpha / rank B A
    assert torch.allclose(change, expected, atol=1e-6)
    assert not torch.allclose(adapted(values), before)


@pytest.mark.parametrize("kind", LAYERS)
def test_merged_weights_compute_the_same(kind: str) -> None:
    torch.manual_seed(0)
    make, shape = LAYERS[kind]
    network = nn.Sequential(make(), nn.ReLU())
    assert adapt(network, rank=3, alpha=3.0) == 1
    moved(network[0])
    values = torch.randn(shape)
    wanted = network(values)
    merge(network)
    assert type(network[0]) in (nn.Linear, nn.Conv2d)
    assert torch.allclose(network(values), wanted, atol=1e-5)


def test_only_adapters_are_trained() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8), nn.Sequential(nn.Linear(8, 3)))
    assert adapt(network, rank=2, alpha=4.0) == 2
    free = {name for name, p in network.named_parameters() if p.requires_grad}
    assert free == {"0.down", "0.up", "2.0.down", "2.0.up"}
    frozen = {name: p.clone() for name, p in network.named_parameters() if not p.requires_grad}
    optimiser = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=0.1)
    for _ in range(3):
        optimiser.zero_grad()
        network(torch.randn(16, 4)).square().mean().backward()
        optimiser.step()
    assert all(torch.equal(dict(network.named_parameters())[name], value) for name, value in frozen.items())
    assert network[0].up.abs().sum() > 0


def test_what_can_be_adapted_is_linear() -> None:
    assert can_adapt(nn.Linear(2, 2))
    assert can_adapt(nn.Conv2d(2, 2, 1))
    for layer in (nn.Conv2d(2, 2, 3), nn.Conv2d(2, 2, 1, groups=2), nn.Conv2d(2, 2, 1, stride=2), nn.LayerNorm(2)):
        assert not can_adapt(layer)
    assert adapt(nn.Sequential(nn.LSTM(3, 3)), rank=1, alpha=1.0) == 0


def test_numbers_trained_are_what_the_rank_says() -> None:
    network = nn.Sequential(nn.Linear(100, 50))
    adapt(network, rank=4, alpha=4.0)
    assert sum(p.numel() for p in network.parameters() if p.requires_grad) == 4 * (100 + 50)
    assert np.isclose(network[0].factor, 1.0)
