"""How much one medium may cost: a file that asks for more is refused, and the error says how to raise the limit."""

from __future__ import annotations

import time
from typing import Literal

from pydantic import Field

from salon.config import Settings
from salon.errors import MediaError

ImageFormat = Literal["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"]


class MediaLimits(Settings):
    """Limits for one call on one medium; the defaults suit catalogues of photos, songs and clips on a laptop."""

    max_bytes: int = Field(default=512 << 20, gt=0)
    """Size of one file in bytes."""
    max_text_chars: int = Field(default=1_000_000, gt=0)
    """Characters of one text."""
    max_pixels: int = Field(default=50_000_000, gt=0)
    """Pixels of one picture or one video frame; decoding takes up to 24 bytes of memory per pixel."""
    image_formats: tuple[ImageFormat, ...] = Field(default=("PNG", "JPEG", "WEBP", "GIF", "BMP"), min_length=1)
    """Picture formats that may be opened at all, told by content and never by the suffix."""
    max_seconds: float = Field(default=1800.0, gt=0)
    """Seconds of sound decoded by one call."""
    max_frames: int = Field(default=20_000, gt=0)
    """Video frames decoded by one call, whether kept or not."""
    max_clip_pixels: int = Field(default=200_000_000, gt=0)
    """Pixels returned by one call on a video, all frames together; three bytes each."""
    max_streams: int = Field(default=16, gt=0)
    """Streams (pictures, sound, subtitles) in one container."""
    max_series_bytes: int = Field(default=32 << 20, gt=0)
    """Size of one sensor series in bytes, in a file or in place."""
    max_series_rows: int = Field(default=1_000_000, gt=0)
    """Rows of one sensor series, as stored and as resampled."""
    max_series_channels: int = Field(default=64, gt=0)
    """Channels (columns of numbers) of one sensor series."""
    max_work_seconds: float = Field(default=60.0, gt=0)
    """Seconds of wall clock that decoding one medium may take."""

    def check(self, limit: str, value: float, name: str, what: str, *, hint: str = "") -> None:
        """Refuse `value` when it is above a limit.

        Args:
            limit: The field of this class, such as "max_pixels".
            value: What the medium asks for.
            name: The medium, for the message.
            what: What is counted, for the message, such as "pixels".
            hint: What else the reader can do.

        Raises:
            MediaError: `value` is above the limit.
        """
        allowed = getattr(self, limit)
        if value > allowed:
            raise MediaError(
                f"{name} has {_plain(value)} {what}, more than the limit of {_plain(allowed)}.",
                hint=f"{hint} Or raise MediaLimits.{limit}.".strip() if hint else f"Raise MediaLimits.{limit}.",
            )


def _plain(number: float) -> str:
    """A number as people write it."""
    return f"{number:,.0f}" if number >= 1000 or number == int(number) else f"{number:.4g}"


DEFAULT_LIMITS = MediaLimits()
"""The limits that hold where none are given."""


class Budget:
    """What one decoding call has spent so far of the time and the frames it may take.

    Args:
        limits: `max_work_seconds` and `max_frames`.
        name: The medium, for the message.
    """

    def __init__(self, limits: MediaLimits, name: str) -> None:
        self.limits = limits
        self.name = name
        self._frames = 0
        self._start = time.monotonic()

    def check_time(self) -> None:
        """Raise a `MediaError` when the time is spent."""
        spent = time.monotonic() - self._start
        self.limits.check("max_work_seconds", spent, self.name, "seconds of decoding")

    def count_frame(self) -> None:
        """Count one more frame; raise a `MediaError` when there were too many."""
        self._frames += 1
        self.limits.check("max_frames", self._frames, self.name, "or more frames to decode", hint="Cut the video.")
