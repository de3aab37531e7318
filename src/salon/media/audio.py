"""Sound: decoding to mono at one rate in bounded memory, and cutting it into pieces.

Every sound is a (n,) float32 array, one channel, nominally -1 to 1. What describes its spectrum is in
`salon.media.spectrum` and can be imported from here too.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

import numpy as np
import soxr
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from numpy.typing import NDArray

from salon.errors import DataError, MediaError
from salon.media.container import audio_stream, check_complete, open_container, sound_frames, stream_seconds
from salon.media.limits import DEFAULT_LIMITS, Budget, MediaLimits
from salon.media.source import source_name
from salon.media.spectrum import denoise, log_mel, mel_filterbank, mel_power, mfcc

__all__ = [
    "Wave",
    "decode_audio",
    "denoise",
    "log_mel",
    "mel_filterbank",
    "mel_power",
    "mfcc",
    "split",
    "trim_silence",
]

Wave: TypeAlias = NDArray[np.float32]

_RATES = (1_000, 768_000)  # samples per second; a header outside is damaged
_FULL_SCALE = {"u8": 128.0, "s16": 32768.0, "s32": 2147483648.0}


def decode_audio(
    source: Path | bytes,
    rate: int = 16000,
    *,
    seconds: float | None = None,
    limits: MediaLimits = DEFAULT_LIMITS,
) -> Wave:
    """The first sound stream as one channel (the mean of all) at `rate`, decoded piece by piece.

    Headers are not believed: a sound is as long as what can be decoded, and no more is decoded than is returned. One
    that ends well before the length stated for it in MP4, FLAC or Matroska is refused as cut short; other formats
    state none that could be trusted, so a shortened WAV is a shorter sound.

    Args:
        source: Path of a WAV, Ogg, MP3, FLAC, AAC, AIFF, MP4, Matroska or AVI file, or its bytes.
        rate: Samples per second of the result; resampled by soxr (HQ).
        seconds: Decode only this much from the start; the rest is neither read nor checked. None means all, which
            then has to be within `max_seconds`.
        limits: `max_bytes`, `max_seconds`, `max_streams` and `max_work_seconds`.

    Returns:
        (n,) float32, n about rate x seconds; memory peaks at two and a half times that.

    Raises:
        MediaError: There is no sound, it is damaged or cut short, or longer than the limits.
        DataError: The rate or seconds are out of range.
    """
    name = source_name(source)
    with open_container(source, limits) as container:
        stream = audio_stream(container)
        if stream is None:
            raise MediaError(f"{name} has no sound that can be decoded.", hint="Leave the value out.")
        return read_sound(container, stream, rate, seconds, name, limits)


def _check_request(rate: int, seconds: float | None) -> None:
    """Refuse rates at which nobody records, and no time at all."""
    if seconds is not None and not seconds > 0:
        raise DataError(f"seconds={seconds} is not above 0.")
    if not _RATES[0] <= rate <= _RATES[1]:
        raise DataError(f"The rate {rate} is not within {_RATES[0]} to {_RATES[1]} samples per second.")


def read_sound(
    container: InputContainer,
    stream: AudioStream,
    rate: int,
    seconds: float | None,
    name: str,
    limits: MediaLimits,
) -> Wave:
    """The sound of an open stream; see `decode_audio`."""
    _check_request(rate, seconds)
    hint = "Pass seconds=... to use the start only."
    declared = stream_seconds(container, stream)
    most = limits.max_seconds if seconds is None else seconds
    if seconds is not None:
        limits.check("max_seconds", seconds, name, "seconds asked for")
    elif declared is not None:
        limits.check("max_seconds", declared, name, "seconds of sound in its header", hint=hint)
    pieces, heard = [], 0.0
    resampler: soxr.ResampleStream | None = None
    for piece, source_rate in _mono_pieces(sound_frames(container, stream, Budget(limits, name)), name):
        if resampler is None:
            resampler = soxr.ResampleStream(source_rate, rate, 1, dtype="float32", quality="HQ")
        room = int(np.ceil((most - heard) * source_rate)) + 1
        pieces.append(resampler.resample_chunk(piece[:room]))
        heard += min(len(piece), room) / source_rate
        if heard > most and seconds is None:
            limits.check("max_seconds", heard, name, "or more seconds of sound", hint=hint)
        if seconds is not None and heard >= most:
            break
    if resampler is None:
        raise MediaError(f"{name} holds no sound at all.", hint="Leave the value out.")
    pieces.append(resampler.resample_chunk(np.zeros(0, np.float32), last=True))
    if seconds is None or heard < most:
        check_complete(container, stream, heard, name, hint=hint)
    wave = np.concatenate(pieces)[: round(most * rate)]
    return _checked_wave(wave, name)


def _mono_pieces(frames: Iterator[AudioFrame], name: str) -> Iterator[tuple[Wave, int]]:
    """(samples,) float32 and the rate of each frame; the rate must not change on the way."""
    rate = None
    for frame in frames:
        if not _RATES[0] <= frame.sample_rate <= _RATES[1]:
            raise MediaError(f"{name} states {frame.sample_rate} samples per second.", hint="The file is damaged.")
        if rate is not None and frame.sample_rate != rate:
            raise MediaError(f"{name} changes from {rate} to {frame.sample_rate} samples per second on the way.")
        rate = frame.sample_rate
        if frame.samples:
            yield _mono(frame), rate


def _mono(frame: AudioFrame) -> Wave:
    """(samples,) float32, the mean of the channels, of a frame of any sample format."""
    channels = frame.layout.nb_channels
    samples = frame.to_ndarray()
    if not frame.format.is_planar:
        samples = samples.reshape(-1, channels).T
    kind = frame.format.packed.name
    if kind in _FULL_SCALE:
        offset = 128 if kind == "u8" else 0
        return np.asarray((samples.mean(axis=0) - offset) / _FULL_SCALE[kind], dtype=np.float32)
    return np.asarray(samples.mean(axis=0), dtype=np.float32)


def _checked_wave(wave: Wave, name: str) -> Wave:
    """`wave` when it has samples and all are numbers."""
    if wave.size == 0:
        raise MediaError(f"{name} holds no sound at all.", hint="Leave the value out.")
    if not np.isfinite(wave).all():
        raise MediaError(f"{name} holds samples that are not numbers.", hint="The file is damaged.")
    return wave


def trim_silence(wave: Wave, rate: int, *, top_db: float = 40.0) -> Wave:
    """The sound without the quiet at its start and end.

    Quiet is a 25 ms window (every 10 ms) whose power is `top_db` decibels or more below that of the loudest one.

    Args:
        wave: (n,) float32.
        rate: Samples per second.
        top_db: How far below the loudest window still counts as sound, above 0.

    Returns:
        A part of `wave`; empty when all of it is zero.
    """
    width, hop = max(1, rate // 40), max(1, rate // 100)
    starts = np.arange(0, max(1, len(wave) - width + hop), hop)
    total = np.concatenate([[0.0], np.cumsum(np.square(wave, dtype=np.float64))])
    ends = np.minimum(starts + width, len(wave))
    power = (total[ends] - total[starts]) / np.maximum(1, ends - starts)
    if not power.max(initial=0.0) > 0:
        return wave[:0]
    loud = np.flatnonzero(power > power.max() * 10 ** (-top_db / 10))
    return wave[starts[loud[0]] : ends[loud[-1]]]


def split(wave: Wave, rate: int, seconds: float, *, hop: float | None = None) -> Wave:
    """Windows of equal length; the last is filled with zeros, so that no sound is lost at the end.

    Args:
        wave: (n,) float32, n at least 1.
        rate: Samples per second.
        seconds: Length of a window.
        hop: Seconds from one start to the next; None means windows side by side.

    Returns:
        (windows, rate x seconds) float32, at least one window.

    Raises:
        DataError: The wave is empty, or a length is below one sample.
    """
    length, step = round(seconds * rate), round((seconds if hop is None else hop) * rate)
    if length < 1 or step < 1 or wave.size == 0:
        raise DataError(f"Cannot split {wave.size} samples into windows of {length} every {step}.")
    count = min(1 + max(0, -(-(wave.size - length) // step)), -(-wave.size // step))
    padded = np.zeros(max(wave.size, (count - 1) * step + length), dtype=np.float32)
    padded[: wave.size] = wave
    return np.lib.stride_tricks.sliding_window_view(padded, length)[::step][:count].copy()
