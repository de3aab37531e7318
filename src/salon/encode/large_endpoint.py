"""Text vectors from a server that speaks the embeddings protocol of OpenAI: hosted models, vLLM, Ollama, llama.cpp.

A plain installation is enough. Texts leave this machine when the server is elsewhere. The key is read from an
environment variable for each request and is stored and written nowhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from pydantic import Field

from salon.arrays import blocks, unit_rows
from salon.config import Settings
from salon.encode.large_http import Server
from salon.encode.sentences import TextEncoder
from salon.errors import SettingError, WeightsError
from salon.types import FloatArray


class EndpointSettings(Settings):
    """Settings of `Endpoint`."""

    model: str = Field(min_length=1)
    """Name of the model, as the server knows it."""
    base_url: str
    """Address up to the version, such as https://api.example.org/v1 or http://localhost:8080/v1."""
    key_env: str = Field("", pattern=r"^([A-Za-z_][A-Za-z0-9_]*)?$")
    """Name of the environment variable that holds the key. Empty: no key is sent."""
    dim: int | None = Field(None, ge=1)
    """Numbers asked for, for models that can give fewer. Empty: what the model gives."""
    normalise: bool = True
    """Whether vectors get length 1."""
    document_prompt: str = ""
    """Put before the texts of the catalogue, such as "passage: "."""
    query_prompt: str = ""
    """Put before a text that searches, such as "query: "."""
    max_chars: int = Field(8000, ge=16, le=1_000_000)
    """Characters sent of a text; what follows is cut off, since servers refuse texts that are too long."""
    batch_size: int = Field(64, ge=1, le=2048)
    """Texts per request."""
    timeout: float = Field(60.0, gt=0, le=3600)
    """Seconds to wait for an answer."""
    retries: int = Field(5, ge=0, le=20)
    """Further tries when the server is busy or fails (429, 5xx) or the connection breaks."""
    revision: str = ""
    """Any word; change it when the model behind the name changes, so that old vectors are not reused."""
    allow_http: bool = False
    """Whether an address elsewhere may be http, where texts and key can be read on the way."""


class Endpoint(TextEncoder):
    """Text by any model behind an OpenAI-compatible /v1/embeddings endpoint.

    The vectors of a server can change without notice; `revision` is yours to change then.
    """

    settings: EndpointSettings

    @property
    def weights(self) -> tuple[str, ...]:
        """None: they are elsewhere."""
        return ()

    @cached_property
    def _server(self) -> Server:
        chosen = self.settings
        return Server(chosen.base_url, chosen.key_env, chosen.timeout, chosen.retries, allow_http=chosen.allow_http)

    @cached_property
    def dim(self) -> int:
        """Numbers per vector: as asked for, or as the server gives for a short text."""
        return self.settings.dim or int(self._asked(["dimension"]).shape[1])

    @property
    def version(self) -> str:
        """Address, model and revision; what the server runs cannot be seen from here."""
        return f"endpoint|{self.settings.base_url.rstrip('/')}|{self.settings.model}|{self.settings.revision}|1"

    @property
    def fingerprint(self) -> str:
        """The space (address, model, revision, dimension) and what is put before the texts."""
        chosen = self.settings
        space = _digest(self.version, chosen.dim, chosen.normalise)
        return f"endpoint-{space}#text-{_digest(chosen.document_prompt, chosen.max_chars)}"

    def embed(self, batch: Sequence[str]) -> FloatArray:
        """(n, dim) float32 of n clean texts.

        Raises:
            SettingError: The server refuses the key, knows no such model, or gives another dimension than asked for.
            WeightsError: The server cannot be reached, stays busy, or gives something else than vectors.
        """
        return self._vectors(batch, self.settings.document_prompt)

    def encode_query(self, values: Sequence[Any], *, batch_size: int = 32) -> FloatArray:
        """(n, dim) float32 of n texts that search."""
        return self._vectors([self.prepare(value) for value in values], self.settings.query_prompt)

    def _vectors(self, texts: Sequence[str], prompt: str) -> FloatArray:
        if not texts:
            return np.zeros((0, self.dim), np.float32)
        sent = [prompt + text[: self.settings.max_chars] for text in texts]
        parts = [self._asked(sent[rows]) for rows in blocks(len(sent), self.settings.batch_size)]
        if len({part.shape[1] for part in parts}) > 1:
            raise WeightsError(f"{self._server.url} gives vectors of different lengths.", hint="Ask who runs it.")
        vectors = np.concatenate(parts)
        return unit_rows(vectors) if self.settings.normalise else vectors

    def _asked(self, texts: list[str]) -> FloatArray:
        """(n, d) float32 of one request."""
        wanted = self.settings.dim
        body = {"model": self.settings.model, "input": texts, **({"dimensions": wanted} if wanted else {})}
        vectors = read_vectors(self._server.post("embeddings", body), len(texts), self._server.url)
        if wanted is not None and vectors.shape[1] != wanted:
            given = vectors.shape[1]
            raise SettingError(
                f"dim = {wanted}, but {self.settings.model!r} at {self._server.url} gives {given} numbers.",
                hint=f"Set dim = {given}, or leave it out.",
            )
        return vectors


def read_vectors(answer: Any, count: int, url: str) -> FloatArray:
    """(count, d) float32 from the answer of a server, in the order of the request.

    Raises:
        WeightsError: It is not `count` vectors of finite numbers of equal length.
    """
    try:
        rows = sorted(answer["data"], key=lambda row: row["index"])
        if [row["index"] for row in rows] != list(range(count)):
            raise ValueError(f"{len(rows)} vectors for {count} texts")
        vectors = np.asarray([row["embedding"] for row in rows], dtype=np.float32)
        if vectors.ndim != 2 or not vectors.size:
            raise ValueError(f"vectors of shape {vectors.shape}")
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        reason = f"{type(error).__name__}: {str(error)[:120]}"
        hint = "Is base_url right? It should end in /v1."
        raise WeightsError(f"{url} gives no embeddings ({reason}).", hint=hint) from error
    if not np.isfinite(vectors).all():
        raise WeightsError(f"{url} gives NaN or infinite numbers.", hint="Ask who runs it.")
    return vectors


def _digest(*parts: Any) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
