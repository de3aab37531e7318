"""Video: evenly spaced frames, what a file holds, where its scenes change, and its sound.

Frames are (h, w, 3) uint8 RGB, turned upright by the rotation in the file; pixels are taken to be square.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from av import FFmpegError
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from salon.errors import DataError, MediaError
from salon.media.audio import Wave, read_sound
from salon.media.container import (
    audio_stream,
    check_complete,
    open_container,
    stream_seconds,
    video_frames,
    video_stream,
)
from salon.media.image import Picture, resize
from salon.media.limits import DEFAULT_LIMITS, Budget, MediaLimits
from salon.media.source import source_name
from salon.types import FloatArray

_NEAR_SECONDS = 4.0  # to a target this close ahead, decoding on is cheaper than seeking back to a key frame
_SILENCE = 10 ** (-70 / 20)  # peak, -70 dB of full scale


@dataclass(frozen=True)
class VideoInfo:
    """What a video file holds.

    Attributes:
        duration: Seconds, as its header says; None where it does not.
        fps: Mean frames per second; None where unknown.
        width: Pixels across, upright.
        height: Pixels down, upright.
        has_audio: Whether there is a sound stream (it may be silent, see `video_sound`).
        codec: FFmpeg's name of the decoder, such as "h264".
    """

    duration: float | None
    fps: float | None
    width: int
    height: int
    has_audio: bool
    codec: str


def video_info(source: Path | bytes, *, limits: MediaLimits = DEFAULT_LIMITS) -> VideoInfo:
    """What a video file holds, told by its header and its first frame.

    Raises:
        MediaError: There is no video, or the first frame cannot be decoded within the limits.
    """
    budget = Budget(limits, source_name(source))
    with open_container(source, limits) as container:
        stream = video_stream(container, budget.name, limits)
        first = next(video_frames(container, stream, budget), None)
        if first is None:
            raise MediaError(f"{budget.name} holds no frames.", hint="The file is damaged or cut short.")
        turned = _turns(first) % 2 == 1
        return VideoInfo(
            duration=stream_seconds(container, stream),
            fps=float(stream.average_rate) if stream.average_rate else None,
            width=first.height if turned else first.width,
            height=first.width if turned else first.height,
            has_audio=audio_stream(container) is not None,
            codec=stream.codec_context.name,
        )


def sample_frames(
    source: Path | bytes,
    count: int = 8,
    *,
    size: tuple[int, int] | None = None,
    limits: MediaLimits = DEFAULT_LIMITS,
) -> Picture:
    """Frames from the middles of `count` equal parts of a video.

    They are found by seeking. Where the header gives no length or a wrong one, or seeking fails, the whole video is
    decoded in order instead, twice; never more than `count` frames are kept.

    Args:
        source: Path of an MP4, Matroska, WebM, AVI or Ogg file, or its bytes.
        count: How many frames.
        size: (height, width) to stretch each frame to; None keeps theirs.
        limits: `max_bytes`, `max_pixels`, `max_clip_pixels`, `max_frames`, `max_streams`, `max_work_seconds`.

    Returns:
        (frames, h, w, 3) uint8; fewer frames than `count` when the video has fewer, never the same one twice.

    Raises:
        MediaError: There is no video, it is damaged, or larger than the limits.
        DataError: `count` or `size` is below 1.
    """
    if count < 1 or (size is not None and min(size) < 1):
        raise DataError(f"Cannot sample {count} frames of size {size}.")
    budget = Budget(limits, source_name(source))

    def keep(frame: VideoFrame) -> Picture:
        height, width = size or (frame.height, frame.width)
        limits.check(
            "max_clip_pixels",
            count * height * width,
            budget.name,
            "pixels asked for",
            hint="Pass size=(height, width).",
        )
        return resize(_picture(frame), size, method="bilinear") if size else _picture(frame)

    frames = _by_seeking(source, count, keep, budget) or _in_order(source, count, keep, budget)
    if any(frame.shape != frames[0].shape for frame in frames):
        raise MediaError(f"{budget.name} changes its frame size on the way.", hint="Pass size=(height, width).")
    return np.stack(frames)


def _by_seeking(
    source: Path | bytes, count: int, keep: Callable[[VideoFrame], Picture], budget: Budget
) -> list[Picture]:
    """The sampled frames, or none where the file cannot be sought; `_in_order` then says whether it is damaged."""
    with open_container(source, budget.limits) as container:
        stream = video_stream(container, budget.name, budget.limits)
        duration = stream_seconds(container, stream)
        if duration is None:
            return []
        targets = [_start(stream) + (part + 0.5) * duration / count for part in range(count)]
        try:
            return [keep(frame) for frame in _frames_at(container, stream, targets, budget)]
        except (FFmpegError, LookupError, ValueError):
            return []


def _frames_at(
    container: InputContainer, stream: VideoStream, targets: list[float], budget: Budget
) -> Iterator[VideoFrame]:
    """The first frame at or after each time; a frame that serves two times comes once.

    Raises:
        FFmpegError, ValueError: Seeking or decoding failed.
        LookupError: Frames carry no times, or a target is never reached.
    """
    frames = video_frames(container, stream, budget)
    now = _start(stream) - 1e-6
    for target in targets:
        if now >= target:
            continue
        if target - now > _NEAR_SECONDS and stream.time_base:
            container.seek(int(target / stream.time_base), stream=stream)
            frames = video_frames(container, stream, budget)
        frame = next((frame for frame in frames if _time(frame) >= target), None)
        if frame is None:
            raise LookupError("a target was not reached")
        now = _time(frame)
        yield frame


def _in_order(source: Path | bytes, count: int, keep: Callable[[VideoFrame], Picture], budget: Budget) -> list[Picture]:
    """The sampled frames of a video decoded from its start: once to count its frames, once more to take them."""
    total = _count_frames(source, budget)
    wanted = set(np.unique((2 * np.arange(count) + 1) * total // (2 * count)).tolist())
    again = Budget(budget.limits, budget.name)
    with open_container(source, budget.limits) as container:
        stream = video_stream(container, budget.name, budget.limits)
        frames = enumerate(video_frames(container, stream, again))
        return [keep(frame) for place, frame in frames if place in wanted]


def _count_frames(source: Path | bytes, budget: Budget) -> int:
    """How many frames a video has, at least one.

    Raises:
        MediaError: There are none, or they end well before the length stated for the video.
    """
    total, end = 0, None
    with open_container(source, budget.limits) as container:
        stream = video_stream(container, budget.name, budget.limits)
        for frame in video_frames(container, stream, budget):
            total, end = total + 1, frame.pts
        _check_end(container, stream, end, budget.name)
    if not total:
        raise MediaError(f"{budget.name} holds no frames.", hint="The file is damaged or cut short.")
    return total


def scene_cuts(
    source: Path | bytes,
    threshold: float = 0.06,
    *,
    rate: float = 8.0,
    gap: float = 0.5,
    limits: MediaLimits = DEFAULT_LIMITS,
) -> list[float]:
    """When the picture changes at once, in seconds from the start.

    The whole video is decoded in order; `rate` frames a second are made 64 x 64 and compared with the one before by
    their histograms of red, green and blue: the mean earth mover's distance, as a share of the full scale, which a
    little flicker or grain does not move.

    Args:
        source: Path of a video file, or its bytes.
        threshold: The distance that makes a cut, 0 (same colours) to 1 (black to white).
        rate: Frames compared per second.
        gap: Seconds that cuts are apart at least.
        limits: `max_bytes`, `max_pixels`, `max_frames`, `max_streams` and `max_work_seconds`.

    Returns:
        Rising times; empty for a single scene.

    Raises:
        MediaError: There is no video, it is damaged, or larger than the limits.
        DataError: A number is out of range.
    """
    if not (0 < threshold <= 1 and rate > 0 and gap >= 0):
        raise DataError(f"Cannot look for cuts with {threshold=}, {rate=}, {gap=}.")
    budget = Budget(limits, source_name(source))
    cuts: list[float] = []
    before, looked, end = None, -np.inf, None
    with open_container(source, limits) as container:
        stream = video_stream(container, budget.name, limits)
        for frame in video_frames(container, stream, budget):
            now, end = _time(frame) - _start(stream), frame.pts
            if now - looked < 1 / rate - 1e-6:
                continue
            colours, looked = _colours(frame), now
            changed = before is not None and np.abs(colours - before).mean() > threshold
            if changed and (not cuts or now - cuts[-1] >= gap):
                cuts.append(now)
            before = colours
        _check_end(container, stream, end, budget.name)
    return cuts


def video_sound(
    source: Path | bytes,
    rate: int = 16000,
    *,
    seconds: float | None = None,
    limits: MediaLimits = DEFAULT_LIMITS,
) -> Wave | None:
    """The sound of a video as `decode_audio` gives it; None when it has no sound stream or a silent one.

    Silent means that no sample is louder than -70 dB of full scale.

    Args:
        source: Path of a video file, or its bytes.
        rate: Samples per second of the result.
        seconds: Decode only this much from the start.
        limits: As for `decode_audio`.

    Returns:
        (n,) float32, or None.

    Raises:
        MediaError: The file is damaged, or its sound is longer than the limits.
        DataError: The rate or seconds are out of range.
    """
    with open_container(source, limits) as container:
        stream = audio_stream(container)
        if stream is None:
            return None
        wave = read_sound(container, stream, rate, seconds, source_name(source), limits)
    return wave if np.abs(wave).max() > _SILENCE else None


def _time(frame: VideoFrame) -> float:
    """When a frame is shown, in seconds.

    Raises:
        LookupError: The frame does not say.
    """
    if frame.pts is None or frame.time_base is None:
        raise LookupError("its frames carry no times")
    return float(frame.pts * frame.time_base)


def _start(stream: VideoStream) -> float:
    """The time of the first frame in seconds."""
    return float(stream.start_time * stream.time_base) if stream.start_time and stream.time_base else 0.0


def _check_end(container: InputContainer, stream: VideoStream, end: int | None, name: str) -> None:
    """Refuse a video whose last frame, shown at `end`, comes well before the length stated for it."""
    if end is not None and stream.time_base is not None:
        check_complete(container, stream, float(end * stream.time_base) - _start(stream), name)


def _turns(frame: VideoFrame) -> int:
    """Quarter turns, counter-clockwise, that make a frame upright."""
    return round(frame.rotation / 90) % 4


def _picture(frame: VideoFrame) -> Picture:
    """An upright RGB copy of a frame."""
    pixels = frame.to_ndarray(format="rgb24")
    return np.ascontiguousarray(np.rot90(pixels, _turns(frame)), dtype=np.uint8)


def _colours(frame: VideoFrame) -> FloatArray:
    """(256, 3) share of the pixels of a small copy up to each level, per channel."""
    small = frame.reformat(width=64, height=64, format="rgb24").to_ndarray().reshape(-1, 3)
    counts = np.stack([np.bincount(channel, minlength=256) for channel in small.T], axis=1)
    return np.cumsum(counts, axis=0) / len(small)
