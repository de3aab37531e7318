"""Joining over time: items that are sequences, such as frames of a film or windows of a sensor.

A vector of such an item is the vectors of its steps side by side, the same number of steps for every modality. At each
step the modalities that are there are mapped into one space and averaged; one recurrent layer, shared by all of them,
goes over the steps.

Source: the multimodal recurrent layer of Mao et al., "Deep Captioning with Multimodal Recurrent Neural Networks
(m-RNN)", ICLR 2015, with the gated unit of Cho et al., EMNLP 2014, or the LSTM of Hochreiter and Schmidhuber, 1997.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor, nn

from salon.encode.base import FeatureSet
from salon.errors import DataError
from salon.fuse.deep import DeepFuser
from salon.fuse.deep_settings import DeepSettings
from salon.fuse.network import Joiner


class RecurrentJoiner(Joiner):
    """h = last state of a recurrent layer over x_s = mean over the modalities there of their tokens at step s."""

    def __init__(self, dim: int, steps: int, cell: str) -> None:
        super().__init__()
        self.steps = steps
        self.cell = (nn.GRU if cell == "gru" else nn.LSTM)(dim, dim, batch_first=True)

    def forward(self, tokens: Tensor, there: Tensor) -> Tensor:
        """(n, dim) of tokens (n, modalities, steps * dim)."""
        joined = tokens.sum(dim=1) / there.sum(dim=1, keepdim=True)
        states, _ = self.cell(joined.unflatten(1, (self.steps, -1)))
        return states[:, -1]


class RecurrentSettings(DeepSettings):
    """Settings of `Recurrent`."""

    steps: int = Field(8, ge=1)
    """Steps side by side in every vector; the length of the vectors must be a multiple of it."""
    cell: Literal["gru", "lstm"] = "gru"
    """The kind of recurrent unit."""


class Recurrent(DeepFuser):
    """A recurrent layer over the steps of items that are sequences, one input per modality (MRNN)."""

    settings: RecurrentSettings

    @property
    def _steps(self) -> int:
        return self.settings.steps

    def _layout(self, features: FeatureSet) -> None:
        for name, found in features.items():
            if found.dim % self.settings.steps:
                raise DataError(
                    f"The vectors of {name!r} have {found.dim} numbers, no multiple of {self.settings.steps} steps.",
                    hint="Set steps to the number of steps side by side, the same for every modality.",
                )
        super()._layout(features)

    def _joiner(self) -> Joiner:
        return RecurrentJoiner(self.settings.dim, self.settings.steps, self.settings.cell)
