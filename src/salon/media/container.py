"""Opening sound and video containers with FFmpeg (PyAV) so that a file can neither reach out nor run away.

Only listed container formats are probed (no playlists that name other files), nothing else may be opened, streams and
pixels are limited before decoding, one thread decodes, and a clock is looked at between packets.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.frame import Frame
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from salon.errors import MediaError
from salon.media.limits import Budget, MediaLimits
from salon.media.source import as_media_error, open_source, source_name

_FORMATS = "aac,aiff,avi,flac,matroska,mov,mp3,ogg,wav"  # matroska includes webm, mov includes mp4, m4a and 3gp


@contextmanager
def open_container(source: Path | bytes, limits: MediaLimits) -> Iterator[InputContainer]:
    """A container for reading, always closed; whatever fails inside the block is a `MediaError`.

    Args:
        source: Path of a file, or its bytes.
        limits: `max_bytes`, `max_streams` and `max_pixels` are handed to FFmpeg.

    Raises:
        MediaError: The file is of no allowed format, damaged, or larger than the limits.
    """
    name = source_name(source)
    options = {
        "format_whitelist": _FORMATS,
        "protocol_whitelist": "none",
        "max_streams": str(limits.max_streams),
        "max_pixels": str(limits.max_pixels),
    }
    with open_source(source, limits) as stream, as_media_error(name):
        try:
            container = av.open(stream, "r", options=options, io_open=_refuse, metadata_errors="replace")
        except MemoryError as error:  # also what FFmpeg says when there are too many streams
            raise MediaError(
                f"{name} has more than {limits.max_streams} streams, or asks for more memory than there is.",
                hint="Raise MediaLimits.max_streams.",
            ) from error
        try:
            limits.check("max_streams", len(container.streams), name, "streams")
            for one in (*container.streams.video, *container.streams.audio):
                if one.codec_context is not None:
                    one.codec_context.thread_count = 1
            for video in container.streams.video:
                if video.codec_context is not None:
                    video.codec_context.options = {"max_pixels": str(limits.max_pixels)}
            yield container
        finally:
            container.close()


def _refuse(url: str, flags: int, options: dict[str, str]) -> Any:
    """Called when a container wants to open another file."""
    raise MediaError(f"The container refers to another file, {url!r}.", hint="Only self-contained files are read.")


def audio_stream(container: InputContainer) -> AudioStream | None:
    """The first sound stream that can be decoded, or None."""
    return next((one for one in container.streams.audio if one.codec_context is not None), None)


def video_stream(container: InputContainer, name: str, limits: MediaLimits) -> VideoStream:
    """The first video stream that can be decoded and is not a cover picture.

    Raises:
        MediaError: There is none, or its frames are too large.
    """
    cover = av.stream.Disposition.attached_pic
    for one in container.streams.video:
        if one.codec_context is not None and not one.disposition & cover:
            limits.check("max_pixels", one.width * one.height, name, "pixels per frame", hint="Scale the video down.")
            return one
    raise MediaError(f"{name} has no video that can be decoded.", hint="Declare it as audio, or leave it out.")


def stream_seconds(container: InputContainer, stream: AudioStream | VideoStream) -> float | None:
    """How long the header says that a stream lasts, in seconds; None where it does not say."""
    if stream.duration is not None and stream.time_base is not None:
        seconds = float(stream.duration * stream.time_base)
    elif container.duration is not None:
        seconds = container.duration / av.time_base
    else:
        return None
    return seconds if seconds > 0 else None


def check_complete(
    container: InputContainer, stream: AudioStream | VideoStream, seconds: float, name: str, *, hint: str = ""
) -> None:
    """Refuse a stream that ends well before the length that is stated for it.

    Only lengths of the stream itself count: those of MP4 and FLAC, and the DURATION tag of Matroska. Elsewhere the
    length is FFmpeg's guess, or that of the longest stream.

    Args:
        container: Where the stream is from.
        stream: The stream, decoded to its end.
        seconds: How much of it was there.
        name: The medium, for the message.
        hint: What the reader can do besides fetching the file again.

    Raises:
        MediaError: More than a tenth and half a second are missing.
    """
    stated = None
    if any(kind in container.format.name for kind in ("flac", "mov")) and stream.duration is not None:
        stated = stream_seconds(container, stream)
    elif tag := re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", stream.metadata.get("DURATION", "")):
        stated = 3600 * int(tag[1]) + 60 * int(tag[2]) + float(tag[3])
    if stated is not None and seconds < 0.9 * stated - 0.5:
        raise MediaError(
            f"{name} is cut short: {seconds:.1f} of {stated:.1f} seconds are there.",
            hint=f"Fetch the file again. {hint}".strip(),
        )


def sound_frames(container: InputContainer, stream: AudioStream, budget: Budget) -> Iterator[AudioFrame]:
    """The frames of a sound stream from where the container stands.

    Raises:
        FFmpegError, ValueError: A packet or frame is damaged.
        MediaError: The time is spent.
    """
    for packet in container.demux(stream):
        budget.check_time()
        for frame in packet.decode():
            _refuse_damaged(frame)
            yield frame


def video_frames(container: InputContainer, stream: VideoStream, budget: Budget) -> Iterator[VideoFrame]:
    """The frames of a video stream from where the container stands.

    Raises:
        FFmpegError, ValueError: A packet or frame is damaged.
        MediaError: The frames or the time are spent.
    """
    for packet in container.demux(stream):
        budget.check_time()
        for frame in packet.decode():
            budget.count_frame()
            _refuse_damaged(frame)
            yield frame


def _refuse_damaged(frame: Frame) -> None:
    """Raise a ValueError for a frame that the decoder marks as damaged; `as_media_error` translates it."""
    if frame.is_corrupt:
        raise ValueError("a frame is damaged")
