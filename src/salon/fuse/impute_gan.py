"""A conditional generative adversarial network: one network makes up a missing modality from the others, another one
tells what was made up from what was observed.

Mirza and Osindero, "Conditional Generative Adversarial Nets", 2014; the distance to the truth in the generator's loss
as in Isola et al., "Image-to-Image Translation with Conditional Adversarial Networks", CVPR 2017; hiding what is known
to learn from it as in Yoon et al., "GAIN: Missing Data Imputation using Generative Adversarial Nets", ICML 2018.
Both networks take their steps at the same time; the generator's loss is the non-saturating one.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from salon.fuse.impute_network import ImputeNetwork, ImputeNetworkSettings, layers, some_hidden, widened


class ImputeGANSettings(ImputeNetworkSettings):
    """Settings of `ImputeGAN`."""

    noise: int = Field(16, ge=0)
    """Random numbers that the generator reads while it learns; 0 is put in their place when gaps are filled."""
    reconstruction: float = Field(10.0, ge=0)
    """Weight of the absolute distance to the truth against the adversary."""
    adversary: float = Field(1.0, ge=0)
    """Weight of the adversary in the generator's loss; 0 leaves a regression by a network."""


class ImputeGAN(ImputeNetwork):
    """Fills a gap with what a conditional generative adversarial network makes of the modalities that are there."""

    settings: ImputeGANSettings

    def _build(self, sizes: Sequence[int]) -> nn.Module:
        return ConditionalGAN(sizes, self.settings)


class ConditionalGAN(nn.Module):
    """Generator: visible components, flags and noise -> all components. Critic: visible and guessed ones -> a logit."""

    def __init__(self, sizes: Sequence[int], settings: ImputeGANSettings) -> None:
        super().__init__()
        self.sizes, self.settings = list(sizes), settings
        total, flags = sum(sizes), len(sizes)
        self.generator = layers(total + flags + settings.noise, settings.hidden, total)
        self.critic = layers(2 * total + 2 * flags, settings.hidden, 1)

    def forward(self, values: Tensor, mask: Tensor) -> Tensor:
        """Loss of the critic plus that of the generator; neither sends a gradient into the other's weights."""
        seen = some_hidden(mask)
        asked = mask - seen
        visible, wanted = values * widened(seen, self.sizes), widened(asked, self.sizes)
        noise = torch.randn(len(values), self.settings.noise, device=values.device)
        made = self._generated(visible, seen, noise)
        flags = torch.cat([visible, seen, asked], dim=1)
        real, fake = torch.cat([values * wanted, flags], dim=1), torch.cat([made * wanted, flags], dim=1)
        frozen = {name: weight.detach() for name, weight in self.critic.named_parameters()}
        judged = torch.func.functional_call(self.critic, frozen, (fake,))
        critic = functional.softplus(-self.critic(real)).mean() + functional.softplus(self.critic(fake.detach())).mean()
        apart = ((made - values).abs() * wanted).sum() / wanted.sum().clamp(min=1)
        fooled = functional.softplus(-judged).mean()
        return critic + self.settings.adversary * fooled + self.settings.reconstruction * apart

    def impute(self, values: Tensor, mask: Tensor) -> Tensor:
        """(n, all components) generated without noise."""
        return self._generated(values, mask, values.new_zeros(len(values), self.settings.noise))

    def _generated(self, visible: Tensor, seen: Tensor, noise: Tensor) -> Tensor:
        return self.generator(torch.cat([visible, seen, noise], dim=1))
