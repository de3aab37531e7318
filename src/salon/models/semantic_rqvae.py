"""RQ-VAE: codes of a learned narrow vector, from which the given one is told again.

    z = encoder(x),   r_0 = z,   c_l = argmin_j |r_l - C_l[j]|,   r_(l+1) = r_l - C_l[c_l],   q = sum_l C_l[c_l]
    loss = |x - decoder(z + sg(q - z))|^2 + sum_l |sg(r_l) - C_l[c_l]|^2 + 0.25 |r_l - sg(C_l[c_l])|^2

sg stops the gradient, so that the decoder's error passes straight through to the encoder (Zeghidour et al.,
"SoundStream", 2021; Rajput et al., "Recommender Systems with Generative Retrieval", NeurIPS 2023). Differs from the
latter: one hidden layer on either side, GELU, and numbers that are unknown are 0 to the encoder and left out of the
error. As there, k-means gives the first centres. A code that no row has is moved to a random row's remainder before
every epoch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn

from salon.errors import DataError
from salon.models.semantic_books import ResidualBooks, known_numbers
from salon.training.batches import shuffled
from salon.training.loop import train
from salon.training.network import flat_weights, load_flat, seeded, to_numpy
from salon.training.settings import TrainingSettings
from salon.types import BoolArray, FloatArray, IntArray

COMMITMENT = 0.25
"""How much the encoder is drawn to the centres, as a part of how much they are drawn to it."""


@dataclass(frozen=True)
class LearnedBooks:
    """A trained RQ-VAE.

    Attributes:
        books: (levels, codes, latent) float32 centres.
        weights: Those of encoder and decoder in one row, float32.
        sizes: (2,) numbers per vector and per hidden layer.
    """

    books: FloatArray
    weights: FloatArray
    sizes: IntArray

    @classmethod
    def fit(
        cls,
        vectors: FloatArray,
        present: BoolArray,
        *,
        levels: int,
        codes: int,
        latent: int,
        rng: np.random.Generator,
        settings: TrainingSettings,
    ) -> Self:
        """Trains on the rows of which something is known.

        Args:
            vectors: (n, d) float, best centred.
            present: (n,) or (n, d) bool, the rows or the single numbers that are known.
            levels: Codes per vector.
            codes: Centres per level.
            latent: Numbers of the vector that is coded; the hidden layers have eight times as many.
            rng: Initial weights, batches, and where centres begin.
            settings: Epochs, step size, device; the weights of the last epoch are kept.

        Raises:
            DataError: Shapes do not fit, or nothing is known.
        """
        given, known = known_numbers(vectors, present)
        rows = known.any(axis=1)
        if not rows.any():
            raise DataError("There is no vector to learn codes from.", hint="At least one row must be present.")
        given, known = given[rows], known[rows]
        with seeded(rng):
            network = RQVAE(given.shape[1], 8 * latent, latent, levels, codes)
        with torch.no_grad():
            told = to_numpy(network.encoder(torch.from_numpy(given)))
        start = ResidualBooks.fit(told, np.ones(len(told), bool), levels=levels, codes=codes, rng=rng)
        network.books.data = torch.from_numpy(start.books)

        def batches(draw: np.random.Generator) -> Iterator[tuple[FloatArray, BoolArray]]:
            network.revive(torch.from_numpy(given).to(network.books.device), draw)
            for part in shuffled(len(given), settings.batch_size, draw):
                yield given[part], known[part]

        train(network, batches, settings, rng=rng)
        return cls(to_numpy(network.books), flat_weights(network.outside()), np.array([given.shape[1], 8 * latent]))

    def assign(self, vectors: FloatArray, present: BoolArray) -> IntArray:
        """(n, levels) int64 codes of (n, d) vectors; -1 throughout a row of which nothing is present."""
        given, known = known_numbers(vectors, present)
        with torch.no_grad():
            told = to_numpy(self._network().encoder(torch.from_numpy(given)))
        return ResidualBooks(self.books).assign(told, np.asarray(known.any(axis=1)))

    def decode(self, codes: IntArray) -> FloatArray:
        """(n, d) float32 that codes (n, levels) stand for; 0 for rows of -1."""
        with torch.no_grad():
            told = to_numpy(self._network().decoder(torch.from_numpy(ResidualBooks(self.books).decode(codes))))
        return np.where(codes[:, :1] < 0, np.float32(0), told)

    def _network(self) -> RQVAE:
        (width, hidden), (levels, codes, latent) = (int(n) for n in self.sizes), self.books.shape
        with torch.random.fork_rng():
            network = RQVAE(width, hidden, latent, levels, codes)
        load_flat(network.outside(), self.weights)
        return network.eval()


class RQVAE(nn.Module):
    """Encoder, centres, decoder; the forward pass is the loss."""

    def __init__(self, width: int, hidden: int, latent: int, levels: int, codes: int) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, latent))
        self.decoder = nn.Sequential(nn.Linear(latent, hidden), nn.GELU(), nn.Linear(hidden, width))
        self.books = nn.Parameter(torch.zeros(levels, codes, latent))

    def outside(self) -> list[nn.Parameter]:
        """The parameters of encoder and decoder."""
        return [*self.encoder.parameters(), *self.decoder.parameters()]

    def forward(self, vectors: Tensor, known: Tensor) -> Tensor:
        """Mean loss of (n, d) vectors, 0 where not known."""
        told = self.encoder(vectors)
        total, pull = torch.zeros_like(told), vectors.new_zeros(len(vectors))
        left = told
        for book in self.books:
            centre = book[torch.cdist(left.detach(), book.detach()).argmin(dim=1)]
            pull = pull + (left.detach() - centre).pow(2).sum(dim=1)
            pull = pull + COMMITMENT * (left - centre.detach()).pow(2).sum(dim=1)
            total, left = total + centre.detach(), left - centre.detach()
        decoded = self.decoder(told + (total - told).detach())
        return (((decoded - vectors) * known).pow(2).sum(dim=1) + pull).mean()

    @torch.no_grad()
    def revive(self, vectors: Tensor, rng: np.random.Generator) -> None:
        """Moves each code that no row has to what is left of a row at its level."""
        left = self.encoder(vectors)
        for book in self.books:
            code = torch.cdist(left, book).argmin(dim=1)
            idle = torch.ones(len(book), dtype=torch.bool, device=book.device)
            idle[code] = False
            remainder = left - book[code]
            count = min(int(idle.sum()), len(left))
            places = torch.from_numpy(rng.choice(len(left), count, replace=False)).to(book.device)
            book[idle.nonzero()[:count, 0]] = left[places]
            left = remainder
