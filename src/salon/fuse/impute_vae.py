"""A multimodal variational autoencoder: each modality tells of a hidden vector, from which all are decoded.

Encoders give a normal distribution per modality. "product" multiplies those of the visible modalities and the prior
(Wu and Goodman, "Multimodal Generative Models for Scalable Weakly-Supervised Learning", NeurIPS 2018); "mixture"
takes each by itself (Shi et al., "Variational Mixture-of-Experts Autoencoders", NeurIPS 2019). The loss is the negative
evidence lower bound of all visible modalities, once seen whole and once with a random part of them hidden from the
encoder; each modality has a variance of its own, in closed form (Rybkin et al., "Simple and Effective VAE Training with
Calibrated Decoders", ICML 2021).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from salon.fuse.impute import blocks_of
from salon.fuse.impute_network import ImputeNetwork, ImputeNetworkSettings, layers, some_hidden


class ImputeVAESettings(ImputeNetworkSettings):
    """Settings of `ImputeVAE`."""

    latent: int = Field(32, ge=1)
    """Length of the hidden vector."""
    experts: Literal["product", "mixture"] = "product"
    """How the visible modalities agree on the hidden vector."""
    beta: float = Field(1.0, ge=0)
    """Weight of the distance to the prior; 1 is the evidence lower bound."""
    warmup: int = Field(200, ge=0)
    """Steps over which that weight grows from 0, so that the hidden vector is not given up before it is of use."""


class ImputeVAE(ImputeNetwork):
    """Fills a gap with what a multimodal variational autoencoder decodes from the modalities that are there."""

    settings: ImputeVAESettings

    def _build(self, sizes: Sequence[int]) -> nn.Module:
        return MultimodalVAE(sizes, self.settings)


class MultimodalVAE(nn.Module):
    """An encoder and a decoder per modality around one hidden vector."""

    def __init__(self, sizes: Sequence[int], settings: ImputeVAESettings) -> None:
        super().__init__()
        self.sizes, self.settings = list(sizes), settings
        width, latent = settings.hidden, settings.latent
        self.encoders = nn.ModuleList(layers(size, width, 2 * latent) for size in sizes)
        self.decoders = nn.ModuleList(layers(latent, width, size) for size in sizes)
        self.register_buffer("steps", torch.zeros(()))

    def forward(self, values: Tensor, mask: Tensor) -> Tensor:
        """The negative lower bound per component of a batch, seen whole and seen in part."""
        self.steps += 1
        beta = self.settings.beta * (self.steps / max(self.settings.warmup, 1)).clamp(max=1)
        return self._bound(values, mask, mask, beta) + self._bound(values, mask, some_hidden(mask), beta)

    def impute(self, values: Tensor, mask: Tensor) -> Tensor:
        """(n, all components) decoded from the mean of the hidden vector."""
        decoded = [self._decoded(mean) * share for mean, _, share in self._beliefs(values, mask)]
        return torch.stack(decoded).sum(dim=0)

    def _bound(self, values: Tensor, mask: Tensor, seen: Tensor, beta: Tensor) -> Tensor:
        total = values.new_zeros(())
        for mean, log_variance, share in self._beliefs(values, seen):
            decoded = self._decoded(mean + torch.randn_like(mean) * (log_variance / 2).exp())
            distance = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum(dim=1, keepdim=True)
            total = total + beta * (distance * share).mean()
            for place, block in enumerate(blocks_of(self.sizes)):
                weight = mask[:, [place]] * share
                squares = ((decoded[:, block] - values[:, block]) ** 2 * weight).sum()
                cells = (weight.sum() * self.sizes[place]).clamp(min=1e-6)
                total = total + 0.5 * cells / len(values) * (squares / cells).clamp(min=1e-6).log()
        return total / sum(self.sizes)

    def _decoded(self, hidden: Tensor) -> Tensor:
        return torch.cat([decoder(hidden) for decoder in self.decoders], dim=1)

    def _beliefs(self, values: Tensor, seen: Tensor) -> list[tuple[Tensor, Tensor, Tensor]]:
        """(mean, log variance, share (n, 1)) of each belief about the hidden vector; shares of an item sum to 1."""
        means, logs = [], []
        for encoder, block in zip(self.encoders, blocks_of(self.sizes), strict=True):
            mean, log = encoder(values[:, block]).chunk(2, dim=1)
            means.append(mean)
            logs.append(log.clamp(-8, 8))
        if self.settings.experts == "mixture":
            shares = seen / seen.sum(dim=1, keepdim=True).clamp(min=1)
            return [(m, log, shares[:, [place]]) for place, (m, log) in enumerate(zip(means, logs, strict=True))]
        precision = torch.ones_like(means[0])  # of the prior, a standard normal
        weighted = torch.zeros_like(means[0])
        for place, (mean, log) in enumerate(zip(means, logs, strict=True)):
            own = (-log).exp() * seen[:, [place]]
            precision, weighted = precision + own, weighted + own * mean
        return [(weighted / precision, -precision.log(), torch.ones_like(seen[:, :1]))]
