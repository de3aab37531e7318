"""What components with a network share: its weights are saved as arrays and loaded into a network built anew."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self, TypeVar

import numpy as np
import torch
from torch import nn

from salon.component import Component
from salon.errors import ArtifactError
from salon.types import FloatArray

M = TypeVar("M", bound=nn.Module)

PREFIX = "network_."
"""Before the names of weights in a saved state."""


@contextmanager
def seeded(rng: np.random.Generator) -> Iterator[None]:
    """Networks built inside have initial weights made of one number of `rng`; torch's own generator is left alone."""
    with torch.random.fork_rng():
        torch.manual_seed(int(rng.integers(2**62)))
        yield


def to_numpy(tensor: torch.Tensor) -> FloatArray:
    """A copy on the processor, not attached to any graph; bfloat16, which numpy does not know, becomes float32."""
    plain = tensor.detach().cpu()
    return (plain.float() if plain.dtype == torch.bfloat16 else plain).numpy().copy()


def weights_of(network: nn.Module) -> dict[str, np.ndarray[Any, Any]]:
    """Parameters and buffers by name, as arrays."""
    return {name: to_numpy(value) for name, value in network.state_dict().items()}


def load_weights(network: nn.Module, weights: Mapping[str, np.ndarray[Any, Any]]) -> None:
    """Puts arrays into a network of the same shape.

    Raises:
        ArtifactError: Names or shapes differ.
    """
    try:
        network.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in weights.items()})
    except RuntimeError as error:
        raise ArtifactError(f"The weights do not fit the network: {error}.") from None


def flat_weights(parts: Iterable[nn.Parameter]) -> FloatArray:
    """(all of them,) float32, one behind the other."""
    return to_numpy(nn.utils.parameters_to_vector(parts))


def load_flat(parts: Iterable[nn.Parameter], weights: FloatArray) -> None:
    """Puts back what `flat_weights` gave.

    Raises:
        ArtifactError: There are more or fewer.
    """
    parts = list(parts)
    size = sum(part.numel() for part in parts)
    if size != len(weights):
        raise ArtifactError(f"{len(weights)} weights for a network of {size}: other settings or damage.")
    nn.utils.vector_to_parameters(torch.from_numpy(np.array(weights)), parts)


def rebuilt(build: Callable[[], M], weights: FloatArray) -> M:
    """The network of `build` with the `flat_weights` of all its parameters, in evaluation mode.

    Raises:
        ArtifactError: It has another number of parameters.
    """
    with torch.random.fork_rng():
        network = build()
    load_flat(network.parameters(), weights)
    return network.eval()


class NetworkComponent(Component):
    """A component that has learned `network_`, a torch module.

    A subclass writes `_network`, which builds the module from settings and the other learned attributes.
    """

    network_: nn.Module

    @abstractmethod
    def _network(self) -> nn.Module:
        """The module, not trained; every learned attribute but `network_` is there."""

    def state(self) -> dict[str, Any]:
        """Everything learned, the weights of the network as arrays of their own."""
        plain = super().state()
        network = plain.pop("network_", None)
        if network is None:
            return plain
        return plain | {PREFIX + name: value for name, value in weights_of(network).items()}

    def restore(self, state: Mapping[str, Any]) -> Self:
        """Takes back what `state` gave, or a whole network under the name "network_"."""
        super().restore({name: value for name, value in state.items() if not name.startswith(PREFIX)})
        weights = {name.removeprefix(PREFIX): value for name, value in state.items() if name.startswith(PREFIX)}
        if weights:
            network = self._network()
            load_weights(network, weights)
            self.network_ = network.eval()
        return self
