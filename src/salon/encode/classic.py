"""Text encoders that need no pretrained network: TF-IDF with latent semantic analysis, and feature hashing."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Self

import numpy as np
from pydantic import Field
from scipy import sparse
from scipy.sparse.linalg import svds

from salon.arrays import unit_rows
from salon.config import Settings
from salon.encode.base import Encoder
from salon.errors import DataError, MediaError
from salon.media.text import clean_text, tokenise
from salon.types import FloatArray, Modality


class WordEncoder(Encoder):
    """Base of encoders that count words: English and Chinese are cut into words, their stop words left out."""

    modality = Modality.TEXT

    def prepare(self, value: Any) -> list[str]:
        """The words of a text.

        Raises:
            MediaError: It has none.
        """
        words = tokenise(clean_text(str(value)), skip_stop_words=True)
        if not words:
            raise MediaError(f"There are no words in the text {str(value)[:40]!r}.")
        return words


class TfIdfSettings(Settings):
    """Settings of `TfIdf`."""

    dim: int = Field(256, ge=1)
    """Numbers per vector; fewer when the catalogue has fewer texts or words."""
    words: int = Field(20_000, ge=1)
    """Words kept, those in most texts first."""


class TfIdf(WordEncoder):
    """Words weighted by rarity, compressed by a truncated singular value decomposition learned on the catalogue.

    weight = (1 + log count) * (1 + log((1 + texts) / (1 + texts with the word))), rows of unit length before and
    after. Source: Deerwester et al., "Indexing by Latent Semantic Analysis", JASIS 1990.
    """

    settings: TfIdfSettings
    needs_fit = True
    words_: list[str]
    rarity_: FloatArray
    basis_: FloatArray

    @property
    def dim(self) -> int:
        """Columns of the learned basis."""
        self.check_fitted()
        return int(self.basis_.shape[1])

    @property
    def version(self) -> str:
        """Version of the formula."""
        return "tfidf-lsa-1"

    def fit(self, values: Sequence[Any]) -> Self:
        """Learns the words, their rarity and the basis.

        Raises:
            DataError: No text has a word.
        """
        texts = [tokenise(clean_text(str(value)), skip_stop_words=True) for value in values]
        counts = Counter(word for words in texts for word in set(words))
        if not counts:
            raise DataError("The catalogue has no words to learn from.", hint="Use another encoder for this field.")
        kept = sorted(sorted(counts), key=lambda word: -counts[word])[: self.settings.words]
        rarity = 1 + np.log((1 + len(texts)) / (1 + np.array([counts[word] for word in kept])))
        matrix = _weighted(texts, {word: column for column, word in enumerate(kept)}, rarity)
        basis = _basis(matrix, self.settings.dim)
        self.words_, self.rarity_, self.basis_ = kept, rarity.astype(np.float32), basis
        self._columns = {word: column for column, word in enumerate(kept)}
        return self

    def _index(self) -> dict[str, int]:
        self.check_fitted()
        columns: dict[str, int] | None = getattr(self, "_columns", None)
        if columns is None:
            columns = self._columns = {word: column for column, word in enumerate(self.words_)}
        return columns

    def prepare(self, value: Any) -> list[str]:
        """The words of a text that the catalogue had at fit.

        Raises:
            MediaError: It has none.
        """
        columns = self._index()
        known = [word for word in super().prepare(value) if word in columns]
        if not known:
            raise MediaError(f"No word of the text {str(value)[:40]!r} was in the catalogue.")
        return known

    def embed(self, batch: Sequence[list[str]]) -> FloatArray:
        """(n, dim) float32 of unit length."""
        return unit_rows(_weighted(batch, self._index(), self.rarity_) @ self.basis_)


def _weighted(texts: Sequence[list[str]], columns: dict[str, int], rarity: FloatArray) -> sparse.csr_array:
    """(texts, words) sparse, rows of unit length."""
    counts = [Counter(columns[word] for word in words if word in columns) for words in texts]
    starts = np.cumsum([0] + [len(count) for count in counts])
    where = np.fromiter((column for count in counts for column in sorted(count)), np.int64, int(starts[-1]))
    often = np.fromiter((count[column] for count in counts for column in sorted(count)), np.float64, int(starts[-1]))
    weights = (1 + np.log(often)) * rarity[where]
    lengths = np.sqrt(np.add.reduceat(np.append(weights**2, 0.0), starts[:-1])) if len(texts) else np.zeros(0)
    sizes = np.diff(starts)
    weights /= np.repeat(np.where(sizes > 0, lengths, 1.0), sizes)
    return sparse.csr_array((weights, where, starts), shape=(len(texts), len(columns)))


def _basis(matrix: sparse.csr_array, dim: int) -> FloatArray:
    """(words, dim) float32: the right singular vectors of the largest singular values, signs made definite."""
    kept = min(dim, *matrix.shape)
    if kept >= min(matrix.shape) or min(matrix.shape) <= 64:
        right = np.linalg.svd(matrix.toarray(), full_matrices=False)[2][:kept]
    else:
        start = np.random.default_rng(0).standard_normal(min(matrix.shape))
        values, right = svds(matrix, k=kept, v0=start, return_singular_vectors="vh")[1:]
        right = right[np.argsort(-values)]
    signs = np.sign(right[np.arange(len(right)), np.abs(right).argmax(axis=1)])
    return np.ascontiguousarray((right * signs[:, None]).T, dtype=np.float32)


class HashingSettings(Settings):
    """Settings of `Hashing`."""

    dim: int = Field(512, ge=8)
    """Numbers per vector."""


class Hashing(WordEncoder):
    """Words hashed to signed places: learns nothing, the same on every machine and for every catalogue.

    Single words and pairs of neighbours, sqrt(count), unit length. Source: Weinberger et al., "Feature Hashing for
    Large Scale Multitask Learning", ICML 2009.
    """

    settings: HashingSettings

    @property
    def dim(self) -> int:
        """As set."""
        return self.settings.dim

    @property
    def version(self) -> str:
        """Version of the formula."""
        return "hashing-blake2b-1"

    def embed(self, batch: Sequence[list[str]]) -> FloatArray:
        """(n, dim) float32 of unit length."""
        vectors = np.zeros((len(batch), self.dim), np.float32)
        for row, words in enumerate(batch):
            pairs = [f"{first} {second}" for first, second in pairwise(words)]
            for term, count in Counter(words + pairs).items():
                place, sign = hashed(term, self.dim)
                vectors[row, place] += sign * np.sqrt(count)
        return unit_rows(vectors)


def hashed(term: str, size: int) -> tuple[int, int]:
    """A place in 0..size-1 and a sign, by BLAKE2b."""
    number = int.from_bytes(hashlib.blake2b(term.encode(errors="replace"), digest_size=8).digest(), "little")
    return (number >> 1) % size, 1 if number & 1 else -1
