"""A catalogue -> its features: every declared modality encoded, cached by content, broken media masked and reported."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from scipy import sparse

from salon.artifacts import read_json, write_json
from salon.component import read_component
from salon.data.items import Items
from salon.encode.base import Encoder, Features, FeatureSet
from salon.encode.cache import VectorCache
from salon.encode.lessons import Lesson, TrainedEncoder
from salon.encode.plan import Part, plan
from salon.encode.weights import ensure_weights
from salon.encode.worker import Batch, Submit, content_of, media_value, pool
from salon.errors import ArtifactError, MediaError, SettingError
from salon.media import MediaProblem
from salon.types import FloatArray, Modality, Progress

BATCH: dict[Modality, int] = {
    Modality.TEXT: 128,
    Modality.IMAGE: 16,
    Modality.AUDIO: 4,
    Modality.VIDEO: 2,
    Modality.SERIES: 64,
}
"""Values per batch: what a kill can lose, and what a worker is given at once. Others: 4096."""

KEPT = (Modality.TEXT, Modality.IMAGE, Modality.AUDIO, Modality.VIDEO, Modality.SERIES)
"""Modalities whose vectors are worth keeping; labels and numbers are computed faster than looked up."""


class Encoded(NamedTuple):
    """The features of a catalogue, and what was left out of it."""

    features: FeatureSet
    problems: list[MediaProblem]


class _Pending(NamedTuple):
    """The values of one part still to be encoded: content -> value, in the order they are given out."""

    values: dict[bytes, Any]
    vectors: dict[bytes, FloatArray]
    rows: dict[bytes, list[int]]


class CatalogueEncoder:
    """The encoders of a catalogue, fitted on it, ready for the items that come later.

    Args:
        parts: Made by `plan`; see there for which encoder looks at what.
    """

    def __init__(self, parts: Sequence[Part]) -> None:
        self.parts = tuple(parts)

    @classmethod
    def of(cls, items: Items, specs: Mapping[str, Any] | None = None) -> Self:
        """The encoders for a catalogue, not fitted; `specs` as for `plan`."""
        return cls(plan(items, specs))

    def __getitem__(self, name: str) -> Encoder:
        """The encoder of the features `name`."""
        for part in self.parts:
            if part.name == name:
                return part.encoder
        raise KeyError(name)

    def parted(self) -> tuple[Self, Self]:
        """The parts that need no log, and those whose encoders learn from what people did."""
        late = [p for p in self.parts if isinstance(p.encoder, TrainedEncoder) and p.encoder.learns_from == "events"]
        return type(self)([part for part in self.parts if part not in late]), type(self)(late)

    def fit(self, items: Items, positives: sparse.csr_array | None = None, *, rng: int = 0) -> Self:
        """Fits the encoders that learn from the catalogue.

        A part whose fields are all missing is dropped, and so is a number field that is: it has no scale.

        Args:
            items: The catalogue.
            positives: (users, items) of the liked items, for encoders that are trained on what people did; training
                events only.
            rng: Seed of encoders that are trained.
        """
        kept = []
        for part in self.parts:
            if part.modality is Modality.NUMBER:
                part = replace(part, fields=tuple(f for f in part.fields if items[f].present.any()) or part.fields)
            values = [value for value in part.values(items) if value is not None]
            if values or not part.encoder.needs_fit:
                kept.append(part)
                if isinstance(part.encoder, TrainedEncoder):
                    part.encoder.fit(*_lesson(part, part.encoder, items, positives), rng=rng)
                elif part.encoder.needs_fit:
                    part.encoder.fit(_usable(part, items.root, values))
        self.parts = tuple(kept)
        return self

    def encode(
        self,
        items: Items,
        cache: VectorCache | None = None,
        *,
        progress: Progress | None = None,
        workers: int = 1,
    ) -> Encoded:
        """The features of items; what cannot be used is masked and reported.

        Args:
            items: With the fields that were planned for; media are looked for below `items.root`.
            cache: Vectors computed before are taken from it, new ones are added batch by batch.
            progress: Called after every batch as (values done, values in all, name of the features).
            workers: Processes, each with one thread. 1 encodes in this process.

        Returns:
            Features by name, and the problems by item id, field and reason.

        Raises:
            WeightsError: An encoder's weights are not on this machine.
        """
        if cache is None:
            with VectorCache(None) as own:
                return self.encode(items, own, progress=progress, workers=workers)
        problems: list[MediaProblem] = []
        hashes: dict[str, tuple[bytes, Any]] = {}
        work = {part.name: _look_up(part, items, cache, problems, hashes) for part in self.parts}
        needed = {name for part in self.parts if work[part.name].values for name in weights_of(part.encoder)}
        ensure_weights(sorted(needed), fetch=False)
        features: dict[str, Features] = {}
        with pool({part.name: part.encoder for part in self.parts}, workers) as submit:
            for part in self.parts:
                batches = _batches(part, work[part.name].values, submit, workers)
                features[part.name] = _encode_part(part, items, work[part.name], cache, problems, batches, progress)
        cache.trim()
        return Encoded(FeatureSet(features, len(items)), problems)

    def write(self, folder: Path) -> None:
        """Writes settings and learned state into an existing folder, one sub-folder per part."""
        write_json(folder / "encoders.json", [part.about() for part in self.parts])
        for number, part in enumerate(self.parts):
            place = folder / f"encoder-{number}"
            place.mkdir()
            part.encoder.write(place)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """What `write` wrote.

        Raises:
            ArtifactError: The folder is damaged.
        """
        parts = []
        try:
            for number, about in enumerate(read_json(folder / "encoders.json")):
                encoder = read_component(folder / f"encoder-{number}", "encoder")
                parts.append(Part(about["name"], Modality(about["modality"]), tuple(about["fields"]), encoder))
        except (KeyError, TypeError, ValueError) as error:
            raise ArtifactError(f"'encoders.json' in {str(folder)!r} is damaged: {error!r}.") from error
        return cls(parts)


def encode_items(
    items: Items,
    encoders: Mapping[str, Any] | CatalogueEncoder | None = None,
    cache: VectorCache | None = None,
    *,
    progress: Progress | None = None,
    workers: int = 1,
) -> Encoded:
    """The features of a catalogue, encoders chosen by modality and fitted where they learn.

    Args:
        items: The catalogue.
        encoders: Choices by field or modality (see `plan`), or a `CatalogueEncoder`, which is used as it is.
        cache: Vectors computed before.
        progress: Called after every batch.
        workers: Processes.

    Returns:
        (features, problems). Keep a `CatalogueEncoder` of your own to encode items that come later.
    """
    if not isinstance(encoders, CatalogueEncoder):
        encoders = CatalogueEncoder.of(items, encoders).fit(items)
    return encoders.encode(items, cache, progress=progress, workers=workers)


def _lesson(
    part: Part, encoder: TrainedEncoder, items: Items, positives: sparse.csr_array | None
) -> tuple[list[Any], Lesson]:
    """The values that are there, media as absolute paths, and what belongs to them."""
    rows: list[int] = []
    values: list[Any] = []
    for row, value in enumerate(part.values(items)):
        if value is None:
            continue
        try:
            value = media_value(part.modality, items.root, value)
        except MediaError:
            continue  # reported when it is encoded
        rows.append(row)
        values.append(value)
    labels = None
    if encoder.learns_from == "labels":
        field = items[encoder.label_field]
        if field.modality is not Modality.CATEGORY:
            raise SettingError(f"Labels are learned from a category, but {field.name!r} is declared {field.modality}.")
        labels = [field.values[row][0] if field.present[row] else None for row in rows]
    liked = None if positives is None else positives[:, rows]
    return values, Lesson(liked, labels, items.root)


def weights_of(encoder: Encoder) -> tuple[str, ...]:
    """The names of the weights that an encoder loads; none for one that says nothing of weights."""
    names: tuple[str, ...] = getattr(encoder, "weights", ())
    return names


def _look_up(
    part: Part,
    items: Items,
    cache: VectorCache,
    problems: list[MediaProblem],
    hashes: dict[str, tuple[bytes, Any]],
) -> _Pending:
    """Contents of all values, those with a known vector apart from those to be encoded.

    `hashes` holds what is known of media files by now, so that a video is read once for its frames and its sound.
    """
    values: dict[bytes, Any] = {}
    rows: dict[bytes, list[int]] = {}
    for row, value in enumerate(part.values(items)):
        if value is None:
            continue
        try:
            content, usable = _content(part, items.root, value, hashes)
        except MediaError as error:
            problems.append(MediaProblem(items.ids[row], ", ".join(part.fields), str(error)))
            continue
        values[content] = usable
        rows.setdefault(content, []).append(row)
    vectors: dict[bytes, FloatArray] = {}
    if part.modality in KEPT:
        cache.note(part.name, {items.ids[row]: content for content, places in rows.items() for row in places})
        vectors = cache.get(part.encoder.fingerprint, values)
    pending = {content: value for content, value in values.items() if content not in vectors}
    if part.modality is Modality.TEXT:  # equal lengths together waste no padding
        pending = dict(sorted(pending.items(), key=lambda pair: len(pair[1])))
    return _Pending(pending, vectors, rows)


def _usable(part: Part, root: Path | None, values: Sequence[Any]) -> Sequence[Any]:
    """Values as encoders take them: media by safe paths, without those that have none, which are reported later."""
    if not part.modality.is_media:
        return values
    found = []
    for value in values:
        try:
            found.append(media_value(part.modality, root, value))
        except MediaError:
            continue
    return found


def _content(part: Part, root: Path | None, value: Any, hashes: dict[str, tuple[bytes, Any]]) -> tuple[bytes, Any]:
    """The SHA-256 of a value and the value as encoders take it; a media file is read once."""
    if not part.modality.is_media:
        return content_of(part.modality, root, value)
    if value not in hashes:
        hashes[value] = content_of(part.modality, root, value)
    return hashes[value]


def _encode_part(
    part: Part,
    items: Items,
    pending: _Pending,
    cache: VectorCache,
    problems: list[MediaProblem],
    batches: Iterable[tuple[list[bytes], Batch]],
    progress: Progress | None,
) -> Features:
    """Runs the batches of a part, each one stored before the next is waited for."""
    done, total = len(pending.vectors), len(pending.values) + len(pending.vectors)
    fingerprint = part.encoder.fingerprint
    if progress:
        progress(done, total, part.name)
    for contents, batch in batches:
        fresh = {contents[place]: vector for place, vector in batch.vectors.items()}
        if part.modality in KEPT:
            cache.put(fingerprint, fresh)
        pending.vectors.update(fresh)
        for place, reason in batch.reasons.items():
            rows = pending.rows[contents[place]]
            problems += [MediaProblem(items.ids[row], ", ".join(part.fields), reason) for row in rows]
        done += len(contents)
        if progress:
            progress(done, total, part.name)
    return _scattered(pending, len(items), part.encoder.dim, fingerprint)


def _batches(
    part: Part, values: Mapping[bytes, Any], submit: Submit, workers: int
) -> Iterator[tuple[list[bytes], Batch]]:
    """Batches as they are done, with a few given out ahead so that no worker waits."""
    contents, size = list(values), BATCH.get(part.modality, 4096)
    ahead: deque[tuple[list[bytes], Future[Batch]]] = deque()
    for start in range(0, len(contents), size):
        chosen = contents[start : start + size]
        ahead.append((chosen, submit(part.name, [values[content] for content in chosen])))
        if len(ahead) > (2 * workers if workers > 1 else 0):
            first, future = ahead.popleft()
            yield first, future.result()
    for first, future in ahead:
        yield first, future.result()


def _scattered(pending: _Pending, n_items: int, dim: int, fingerprint: str) -> Features:
    """Vectors to the rows of their items."""
    vectors, present = np.zeros((n_items, dim), np.float32), np.zeros(n_items, bool)
    for content, vector in pending.vectors.items():
        vectors[pending.rows[content]] = vector
        present[pending.rows[content]] = True
    return Features(vectors, present, fingerprint)
