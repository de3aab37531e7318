"""Media on their way in and out: told by their content, never by a name or header; pictures made small on demand."""

from __future__ import annotations

import io
from collections import OrderedDict
from pathlib import Path
from threading import Lock

import numpy as np
from PIL import Image

from salon.errors import MediaError
from salon.media.image import decode_image, resize
from salon.media.limits import MediaLimits

TYPES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".webp": "image/webp",
    ".gif": "image/gif",
    ".bmp": "image/bmp",
    ".wav": "audio/wav",
    ".mp3": "audio/mpeg",
    ".flac": "audio/flac",
    ".ogg": "audio/ogg",
    ".m4a": "audio/mp4",
    ".mp4": "video/mp4",
    ".mov": "video/quicktime",
    ".webm": "video/webm",
    ".mkv": "video/x-matroska",
    ".avi": "video/x-msvideo",
    ".jpeg": "image/jpeg",
    ".csv": "text/csv",
}
"""Suffix to media type; whatever else a file is called, it is sent as bytes."""
WIDTHS = (64, 1024)
"""Smallest and largest width of a small picture."""
MOST_SMALL = 64 << 20
"""Bytes of small pictures that are kept in memory."""

_MAGIC = (
    (0, b"\x89PNG\r\n\x1a\n", ".png"),
    (0, b"\xff\xd8\xff", ".jpg"),
    (0, b"GIF8", ".gif"),
    (0, b"BM", ".bmp"),
    (8, b"WEBP", ".webp"),
    (8, b"WAVE", ".wav"),
    (8, b"AVI ", ".avi"),
    (0, b"fLaC", ".flac"),
    (0, b"OggS", ".ogg"),
    (0, b"ID3", ".mp3"),
    (4, b"ftypM4A", ".m4a"),
    (4, b"ftypqt", ".mov"),
    (4, b"ftyp", ".mp4"),
)


def suffix_of(content: bytes) -> str:
    """The suffix that belongs to a file, from its first bytes; whether it can be decoded is asked later.

    Raises:
        MediaError: It begins like no picture, sound or film that can be read.
    """
    for place, sign, suffix in _MAGIC:
        if content[place : place + len(sign)] == sign:
            return suffix
    if content[:4] == b"\x1aE\xdf\xa3":
        return ".webm" if b"webm" in content[:64] else ".mkv"
    if len(content) > 1 and content[0] == 0xFF and content[1] & 0xE6 == 0xE2:  # a frame of MPEG audio, layer III
        return ".mp3"
    kinds = ", ".join(sorted({suffix.removeprefix(".") for _, _, suffix in _MAGIC}))
    raise MediaError("The file is no picture, sound or film that salon reads.", hint=f"It reads {kinds}.")


class SmallPictures:
    """Pictures made small, the most recently used kept in memory.

    Args:
        most: Bytes that are kept.
    """

    def __init__(self, most: int = MOST_SMALL) -> None:
        self._most, self._size, self._lock = most, 0, Lock()
        self._kept: OrderedDict[tuple[str, int, int], bytes] = OrderedDict()

    def get(self, path: Path, width: int) -> bytes:
        """A JPEG of a picture, `width` pixels wide at most.

        Raises:
            MediaError: The file is no picture.
        """
        key = (str(path), path.stat().st_mtime_ns, width)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        small = _small(path, width)
        with self._lock:
            if key not in self._kept:
                self._kept[key] = small
                self._size += len(small)
            while self._size > self._most and len(self._kept) > 1:
                self._size -= len(self._kept.popitem(last=False)[1])
        return small


def _small(path: Path, width: int) -> bytes:
    picture = decode_image(path, limits=MediaLimits())
    height, full = picture.shape[:2]
    if full > width:
        picture = resize(picture, (max(1, round(height * width / full)), width))
    out = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(picture)).save(out, "JPEG", quality=85)
    return out.getvalue()
