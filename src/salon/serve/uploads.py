"""Media that are sent in: decoded within the limits first, then kept by the hash of their content."""

from __future__ import annotations

import hashlib
import os
import re
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from salon.errors import DataError, MediaError, UnknownIdError, did_you_mean
from salon.media import MediaProblem
from salon.media.audio import decode_audio
from salon.media.image import decode_image
from salon.media.limits import MediaLimits
from salon.media.paths import safe_join
from salon.media.series import read_series
from salon.media.video import video_info
from salon.serve.engine import Engine
from salon.serve.jobs import told
from salon.serve.values import Job
from salon.types import Modality

FOLDER = "uploads"
CHECKED_SECONDS = 30.0
"""How much of a sound is decoded to see that it is one; all of it is when it is encoded."""
SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,8}")
SERIES_SUFFIXES = (".csv", ".tsv", ".parquet", ".npy", ".jsonl", ".json")


def _check_audio(content: bytes, limits: MediaLimits) -> Any:
    return decode_audio(content, seconds=CHECKED_SECONDS, limits=limits)


CHECKS: dict[Modality, Callable[[bytes, MediaLimits], Any]] = {
    Modality.IMAGE: lambda content, limits: decode_image(content, limits=limits),
    Modality.AUDIO: _check_audio,
    Modality.VIDEO: lambda content, limits: video_info(content, limits=limits),
    Modality.SERIES: lambda content, limits: read_series(content, limits=limits),
}


def put_medium(engine: Engine, item: str, name: str, content: bytes, suffix: str) -> Job:
    """Keeps a media file of an item and has the item encoded again.

    Raises:
        UnknownIdError: There is no such item.
        DataError: The field is declared no medium, or the suffix cannot be one.
        MediaError: The file is larger than the limits, or cannot be decoded.
    """
    live = engine.current.shelf.live
    modality = live.catalogue.declared.get(name)
    if modality is None or not modality.is_media:
        media = [field for field, one in live.catalogue.declared.items() if one.is_media]
        raise DataError(f"{name!r} is declared no medium.", hint=did_you_mean(name, media))
    stored = engine.store.items.get([item]).get(item)
    if stored is None:
        raise UnknownIdError(f"There is no item {item!r}.", hint="Put the item first.")
    most = int(engine.options.upload_mb * 2**20)
    if len(content) > most:
        raise MediaError(f"The file has {len(content)} bytes.", hint=f"At most {most} are taken; see upload_mb.")
    suffix = suffix.lower()
    if not SUFFIX.fullmatch(suffix) or (modality is Modality.SERIES and suffix not in SERIES_SUFFIXES):
        raise DataError(f"{suffix[:40]!r} is no suffix of a file.", hint="Give the suffix, such as '.jpg'.")
    CHECKS[modality](content, MediaLimits(max_bytes=most))
    path = _kept(live.root or engine.home / "media", content, suffix)
    job = engine.jobs.new("encode", item=item, field=name, path=path)
    if stored.fields.get(name) == path:  # the same file again: there is nothing to encode
        return engine.jobs.now(job, "done")
    engine.store.items.patch(item, {name: path})
    with engine.lock:
        engine.uploads.setdefault(item, []).append(job)
    engine.catch_up()
    return job


def encoded(engine: Engine, names: Sequence[str], problems: Sequence[MediaProblem]) -> None:
    """Ends the jobs of media whose items were encoded."""
    reasons = {(problem.id, field): problem.reason for problem in problems for field in problem.field.split(", ")}
    with engine.lock:
        ended = [job for name in names for job in engine.uploads.pop(name, [])]
    for job in ended:
        reason = reasons.get((job.detail["item"], job.detail["field"]))
        if reason is None:
            engine.jobs.now(job, "done")
        else:
            engine.jobs.now(job, "failed", error=told(MediaError(reason, hint="Send another file.")))


def medium(engine: Engine, item: str, name: str) -> Path:
    """The file of a medium of an item.

    Raises:
        UnknownIdError: There is no such item, field or file.
        MediaError: Its path leaves the folder of the catalogue.
    """
    engine.catch_up()
    live = engine.current.shelf.live
    row = live.catalogue.rows.get(item, -1)
    path = live.catalogue.media(row).get(name) if row >= 0 else None
    if path is None or live.root is None:
        raise UnknownIdError(f"The item {item!r} has no medium {name!r}.", hint="Check the ids.")
    file = safe_join(live.root, path)
    if not file.is_file():
        raise UnknownIdError(f"The file of {name!r} of item {item!r} is not there.", hint="Send it again.")
    return file


def _kept(root: Path, content: bytes, suffix: str) -> str:
    """Writes a file once, and gives its path below the root."""
    digest = hashlib.sha256(content).hexdigest()
    relative = f"{FOLDER}/{digest[:2]}/{digest}{suffix}"
    path = root / relative
    if path.is_file():
        return relative
    fresh = path.with_name(f".{uuid.uuid4().hex}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with fresh.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        hint = "The folder of the media must be writable for uploads."
        raise MediaError(f"The file cannot be kept in {str(root)!r}: {error.strerror}.", hint=hint) from error
    return relative
