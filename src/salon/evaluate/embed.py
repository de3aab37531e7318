"""Media small enough to travel inside a page: pictures as thumbnails, short sounds and clips as they are.

Everything becomes a data URI within a budget for the whole page; what is broken or too large is said on the card, never
left out in silence. Paths must come from the caller's own safe join; they are read, and never written into the page.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

from PIL import Image

from salon.errors import MediaError
from salon.media.image import decode_image
from salon.media.limits import MediaLimits

THUMBNAIL = (360, 440)
"""Largest width and height of a thumbnail in pixels: twice what a card shows."""
QUALITY = 78
MAX_CLIP_BYTES = 300_000
"""Sounds and clips up to this size are embedded; larger ones are only named by a badge."""
MAX_PAGE_BYTES = 24 << 20
"""All embedded media of one page together."""
LIMITS = MediaLimits(max_bytes=64 << 20)
MIME = {
    ".mp3": "audio/mpeg",
    ".wav": "audio/wav",
    ".ogg": "audio/ogg",
    ".oga": "audio/ogg",
    ".opus": "audio/ogg",
    ".flac": "audio/flac",
    ".m4a": "audio/mp4",
    ".mp4": "video/mp4",
    ".m4v": "video/mp4",
    ".webm": "video/webm",
}
"""By suffix, for what browsers play; the page allows no scripts whatever the file holds."""


@dataclass(frozen=True)
class Embedded:
    """What a page can show of one medium.

    Attributes:
        uri: A data URI, or "" when it is not embedded.
        note: Why not, in a few words, or "".
        width: Pixels of a thumbnail.
        height: Pixels of a thumbnail.
    """

    uri: str = ""
    note: str = ""
    width: int = 0
    height: int = 0


@dataclass
class Embedder:
    """Embeds the media of one page within its budget; the same file is read once.

    Args:
        max_page_bytes: Budget for all data URIs together, repeats counted each time.
    """

    max_page_bytes: int = MAX_PAGE_BYTES
    used: int = 0
    seen: dict[Path, Embedded] = field(default_factory=dict)

    def picture(self, path: Path) -> Embedded:
        """A picture as a JPEG thumbnail."""
        if path not in self.seen:
            self.seen[path] = _thumbnail(path)
        return self._within_budget(self.seen[path])

    def clip(self, path: Path) -> Embedded:
        """A sound or a clip as it is, when it is short and of a kind that browsers play."""
        if path not in self.seen:
            self.seen[path] = _clip(path)
        return self._within_budget(self.seen[path])

    def _within_budget(self, found: Embedded) -> Embedded:
        if self.used + len(found.uri) > self.max_page_bytes:
            return Embedded(note="page is full")
        self.used += len(found.uri)
        return found


def _thumbnail(path: Path) -> Embedded:
    try:
        image = Image.fromarray(decode_image(path, limits=LIMITS))
    except MediaError:
        return Embedded(note="picture cannot be read")
    image.thumbnail(THUMBNAIL, Image.Resampling.LANCZOS, reducing_gap=2.0)
    buffer = BytesIO()
    image.save(buffer, format="JPEG", quality=QUALITY, optimize=True, progressive=True)
    return Embedded(data_uri("image/jpeg", buffer.getvalue()), width=image.width, height=image.height)


def _clip(path: Path) -> Embedded:
    mime = MIME.get(path.suffix.lower())
    if mime is None:
        return Embedded(note="not playable in browsers")
    try:
        if path.stat().st_size > MAX_CLIP_BYTES:
            return Embedded(note="too large to embed")
        with path.open("rb") as file:
            content = file.read(MAX_CLIP_BYTES + 1)
    except OSError:
        return Embedded(note="file cannot be read")
    return Embedded(data_uri(mime, content)) if 0 < len(content) <= MAX_CLIP_BYTES else Embedded(note="empty file")


def data_uri(mime: str, content: bytes) -> str:
    """Bytes as the address of an image or a sound inside a page."""
    return f"data:{mime};base64,{base64.b64encode(content).decode('ascii')}"
