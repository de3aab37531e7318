"""Catalogues whose items have semantic ids: what is coded, by what, and how much."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
from pydantic import Field

from salon.config import Settings
from salon.encode.base import Features, FeatureSet
from salon.fuse.impute_ridge import ImputeRidge
from salon.models.deep_media import Media
from salon.models.semantic_books import ResidualBooks
from salon.models.semantic_ids import IdReport, with_digit
from salon.models.semantic_rqvae import LearnedBooks
from salon.models.sequence_network import Catalogue
from salon.training.settings import TrainingSettings
from salon.types import BoolArray, FloatArray, IntArray

PER_CODE = 8
"""Items per code of a level, at least: a code that few items share tells little of one by the others."""

Books = ResidualBooks | LearnedBooks


class SemanticIdSettings(Settings):
    """How items get their ids."""

    ids: Literal["kmeans", "rqvae"] = "kmeans"
    """What makes the codes: residual k-means, or an RQ-VAE, which is trained first."""
    levels: int = Field(3, ge=1, le=8)
    """Codes per item; a digit that tells apart items of the same codes comes last."""
    codes: int = Field(256, ge=2, le=8192)
    """Most codes per level; fewer where that would leave less than eight items to a code."""
    clicks: int = Field(64, ge=0)
    """Most numbers of a vector of who acted on an item that is coded beside its features; 0 codes features alone."""
    width: int = Field(64, ge=1)
    """Leading directions (PCA) kept of wider features."""
    latent: int = Field(32, ge=1)
    """Numbers of the narrow vector that an RQ-VAE codes."""
    id_epochs: int = Field(200, ge=1)
    """Passes of an RQ-VAE over the items."""


@dataclass(frozen=True)
class CodedCatalogue(Catalogue):
    """A catalogue whose items have codes.

    Attributes:
        vectors: (items, d) float32 what was coded, 0 where unknown.
        codes: (items, levels + 1) int64, the digit last; -1 for items of which nothing is known.
        books: What made them.
        report: How well they tell items apart.
    """

    vectors: FloatArray
    codes: IntArray
    books: Books
    report: IdReport

    @classmethod
    def of(
        cls, catalogue: Catalogue, settings: SemanticIdSettings, training: TrainingSettings, rng: np.random.Generator
    ) -> Self:
        """Codes all modalities side by side, each of unit length.

        What an item lacks is told by what it has (`ImputeRidge`): were it left open, the text of one kind of items and
        the pictures of another could share a centre that fits both and no item. Where that cannot be learned, it
        counts neither in a distance nor in a mean; an item without any gets no codes.
        """
        media = catalogue.media
        vectors, known = _side_by_side(media)
        count = int(np.clip(known.any(axis=1).sum() // PER_CODE, 2, settings.codes))
        books = _books(vectors, known, count, settings, training, rng)
        report = IdReport.of(books, vectors, known, codes=count)
        return cls(catalogue.touched, media, vectors, with_digit(books.assign(vectors, known)), books, report)


def _side_by_side(media: Mapping[str, Media]) -> tuple[FloatArray, BoolArray]:
    """(items, d) vectors of all modalities, 0 where unknown, and (items, d) which numbers are known or were filled."""
    given = FeatureSet({name: Features(one.vectors, one.present, name) for name, one in media.items()})
    parts = list(ImputeRidge().fit(given).transform(given).values())
    known = np.repeat(np.stack([one.present for one in parts], axis=1), [one.dim for one in parts], axis=1)
    return np.concatenate([one.vectors for one in parts], axis=1), known


def _books(
    vectors: FloatArray,
    known: BoolArray,
    count: int,
    settings: SemanticIdSettings,
    training: TrainingSettings,
    rng: np.random.Generator,
) -> Books:
    if settings.ids == "kmeans":
        return ResidualBooks.fit(vectors, known, levels=settings.levels, codes=count, rng=rng)
    own = TrainingSettings(epochs=settings.id_epochs, device=training.device)
    return LearnedBooks.fit(
        vectors, known, levels=settings.levels, codes=count, latent=settings.latent, rng=rng, settings=own
    )
