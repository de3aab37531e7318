"""Encoding one batch, in this process or in a worker process with one thread."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from salon.encode.base import Encoder
from salon.errors import MediaError, ResourceError
from salon.media import DEFAULT_LIMITS, safe_join
from salon.media.source import open_source
from salon.registry import create, name_of
from salon.types import FloatArray, Modality


class Batch(NamedTuple):
    """What came of a batch.

    Attributes:
        vectors: Position in the batch -> (dim,) float32.
        reasons: Position -> why there is no vector; a position in neither had nothing to encode.
    """

    vectors: dict[int, FloatArray]
    reasons: dict[int, str]


def encode_batch(encoder: Encoder, values: Sequence[Any]) -> Batch:
    """Prepares and embeds values; one that cannot be used leaves the others alone."""
    ready: list[Any] = []
    places: list[int] = []
    reasons: dict[int, str] = {}
    with threadpool_limits(1):
        for place, value in enumerate(values):
            try:
                prepared = encoder.prepare(value)
            except MediaError as error:
                reasons[place] = str(error)
                continue
            if prepared is not None:
                ready.append(prepared)
                places.append(place)
        embedded = np.asarray(encoder.embed(ready), dtype=np.float32) if ready else np.zeros((0, 1), np.float32)
    vectors = {}
    for place, vector in zip(places, embedded, strict=True):
        if np.isfinite(vector).all():
            vectors[place] = vector
        else:
            reasons[place] = f"{type(encoder).__name__} gave numbers that are not finite."
    return Batch(vectors, reasons)


def media_value(modality: Modality, root: Path | None, value: Any) -> Any:
    """A medium as encoders take it: the absolute path of its file, or a series that is written in place.

    Raises:
        MediaError: The path leaves the folder of the catalogue, or that folder is not known.
    """
    if not modality.is_path(str(value)):
        return value
    if root is None:
        raise MediaError(f"{value!r} is relative to a folder that is not known.", hint="Give Items(root=...).")
    return safe_join(root, str(value))


def content_of(modality: Modality, root: Path | None, value: Any) -> tuple[bytes, Any]:
    """The SHA-256 of the raw content of a value, and the value as encoders take it (media as absolute paths).

    Raises:
        MediaError: A path leaves the folder of the catalogue, or the file is absent or too large.
    """
    if modality.is_path(str(value)):
        path = media_value(modality, root, value)
        with open_source(path, DEFAULT_LIMITS) as stream:
            return hashlib.file_digest(stream, "sha256").digest(), path  # type: ignore[arg-type]
    raw = value.tobytes() if isinstance(value, np.ndarray) else str(value).encode(errors="surrogatepass")
    return hashlib.sha256(raw).digest(), value


Submit = Callable[[str, Sequence[Any]], "Future[Batch]"]


@contextmanager
def pool(encoders: Mapping[str, Encoder], workers: int) -> Iterator[Submit]:
    """A function that encodes a batch by the encoder of a name: here, or in `workers` processes.

    Worker processes are started fresh (spawn), so a script that uses them needs `if __name__ == "__main__":`. They
    are given names, settings and learned state, and load the weights themselves.

    Raises:
        ResourceError: A worker process was killed.
    """
    if workers <= 1:
        yield lambda name, values: _done(encode_batch(encoders[name], values))
        return
    specs = {
        name: (name_of("encoder", type(encoder)), encoder.settings.model_dump(mode="json"), encoder.state())
        for name, encoder in encoders.items()
    }
    executor = ProcessPoolExecutor(workers, get_context("spawn"), _start, (specs,))
    try:
        yield lambda name, values: executor.submit(_work, name, values)
    except BrokenProcessPool as error:
        hint = "Use fewer workers, or one; finished batches are kept."
        raise ResourceError("A worker process ended, probably for lack of memory.", hint=hint) from error
    finally:
        executor.shutdown(cancel_futures=True)


def _done(batch: Batch) -> Future[Batch]:
    future: Future[Batch] = Future()
    future.set_result(batch)
    return future


class _Worker:
    """What a worker process keeps between batches; made by `_start` in that process only."""

    encoders: Mapping[str, Encoder] = {}


def _start(specs: Mapping[str, tuple[str, dict[str, Any], dict[str, Any]]]) -> None:
    threadpool_limits(1)
    _Worker.encoders = {
        name: create("encoder", encoder, settings).restore(state) for name, (encoder, settings, state) in specs.items()
    }


def _work(name: str, values: Sequence[Any]) -> Batch:
    return encode_batch(_Worker.encoders[name], values)
