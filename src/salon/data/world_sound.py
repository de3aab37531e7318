"""The tunes of the shop: a few instruments and moods, synthesised note by note."""

from __future__ import annotations

import wave
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.signal import lfilter

from salon.types import FloatArray

RATE = 16_000
"""Samples per second."""

SECONDS = 2.4


def _time(seconds: float) -> FloatArray:
    return np.arange(int(seconds * RATE)) / RATE


def _partials(pitch: float, seconds: float, table: tuple[tuple[float, float, float], ...]) -> FloatArray:
    """Decaying sines: (multiple of the pitch, loudness, decays per second)."""
    t = _time(seconds)
    return np.asarray(sum(a * np.exp(-d * t) * np.sin(2 * np.pi * m * pitch * t) for m, a, d in table))


def music_box(pitch: float, seconds: float, rng: np.random.Generator) -> FloatArray:
    """A plucked steel tooth, two octaves up."""
    return _partials(pitch * 2, seconds + 0.4, ((1, 1, 5), (3.02, 0.35, 12), (5.9, 0.12, 25)))


def bell(pitch: float, seconds: float, rng: np.random.Generator) -> FloatArray:
    """A bronze bell with its minor third."""
    table = (
        (0.5, 0.5, 1.2),
        (1, 0.8, 1.6),
        (1.19, 0.5, 2),
        (1.5, 0.3, 2.6),
        (2, 0.6, 3),
        (2.74, 0.25, 5),
        (4.1, 0.1, 8),
    )
    return _partials(pitch, seconds + 1.2, table)


def plucked(pitch: float, seconds: float, rng: np.random.Generator) -> FloatArray:
    """A plucked string (Karplus and Strong 1983)."""
    period = max(int(RATE / pitch), 2)
    burst = np.zeros(int((seconds + 0.3) * RATE))
    burst[:period] = rng.uniform(-1, 1, period)
    loop = np.zeros(period + 2)
    loop[0], loop[period], loop[period + 1] = 1, -0.497, -0.497
    return np.asarray(lfilter([1.0], loop, burst))


def bowed(pitch: float, seconds: float, rng: np.random.Generator) -> FloatArray:
    """Strings with vibrato that swell and fade."""
    t = _time(seconds + 0.5)
    phase = 2 * np.pi * pitch * t + 0.25 * np.sin(2 * np.pi * 5.2 * t + rng.uniform(0, 6))
    tone = sum(np.sin(n * phase) / n**1.4 for n in range(1, 8))
    return np.asarray(tone * np.minimum(t / 0.25, 1) * np.clip((t[-1] - t) / 0.4, 0, 1))


def flute(pitch: float, seconds: float, rng: np.random.Generator) -> FloatArray:
    """A flute with a little breath."""
    t = _time(seconds + 0.08)
    breath = lfilter([0.12], [1, -0.88], rng.standard_normal(len(t)))
    tone = np.sin(2 * np.pi * pitch * t) + 0.25 * np.sin(4 * np.pi * pitch * t) + 0.3 * breath
    return np.asarray(tone * np.minimum(t / 0.05, 1) * np.clip((t[-1] - t) / 0.1, 0, 1))


def drum(pitch: float, seconds: float, rng: np.random.Generator) -> FloatArray:
    """A skin: a falling tone and a slap."""
    t = _time(0.35)
    low = pitch / 3
    skin = np.sin(2 * np.pi * low * (t + 0.06 * (1 - np.exp(-18 * t)))) * np.exp(-11 * t)
    return np.asarray(skin + 0.4 * rng.standard_normal(len(t)) * np.exp(-45 * t))


Instrument = Callable[[float, float, np.random.Generator], FloatArray]


@dataclass(frozen=True)
class Mood:
    """How a tune of this mood goes.

    Attributes:
        instruments: The usual one first.
        scale: Semitones above the root.
        tempo: Notes per second.
        root: Of the scale, in hertz.
    """

    instruments: tuple[Instrument, Instrument]
    scale: tuple[int, ...]
    tempo: float
    root: float


MOODS: dict[str, Mood] = {
    "calm": Mood((music_box, flute), (0, 2, 4, 7, 9, 12), 2.6, 392.0),
    "merry": Mood((plucked, music_box), (0, 2, 4, 5, 7, 9, 11, 12), 6.2, 330.0),
    "solemn": Mood((bell, bowed), (0, 3, 5, 7, 8), 1.4, 165.0),
    "rousing": Mood((drum, plucked), (0, 0, 7, 0, 5, 12), 7.5, 220.0),
    "dreamy": Mood((bowed, flute), (0, 4, 6, 7, 11, 14), 1.9, 262.0),
}
"""Mood to how it sounds."""


def tune(mood: str, rng: np.random.Generator) -> FloatArray:
    """A short melody, a random walk on the scale of its mood.

    Args:
        mood: A key of `MOODS`.
        rng: For notes, tempo and instrument (the usual one three times out of four).

    Returns:
        (samples,) float32 within -1 and 1, `SECONDS` long at `RATE`.
    """
    how = MOODS[mood]
    play = how.instruments[int(rng.random() > 0.75)]
    gap = 1 / (how.tempo * rng.uniform(0.88, 1.14))
    root = how.root * 2 ** (rng.integers(-3, 4) / 12)
    sound = np.zeros(int(SECONDS * RATE))
    step = int(rng.integers(len(how.scale)))
    for number, start in enumerate(np.arange(0.02, SECONDS - 0.15, gap)):
        step = int(np.clip(step + rng.integers(-2, 3), 0, len(how.scale) - 1))
        note = play(root * 2 ** (how.scale[step] / 12), gap, rng)
        first = int(start * RATE)
        note = note[: len(sound) - first] * (1.0 if number % 4 == 0 else rng.uniform(0.55, 0.85))
        sound[first : first + len(note)] += note
    return _in_a_room(sound)


def _in_a_room(sound: FloatArray) -> FloatArray:
    """Some echo, an even loudness, and no click at the end."""
    for delay, gain in ((0.031, 0.28), (0.067, 0.2), (0.113, 0.12)):
        late = int(delay * RATE)
        sound[late:] += gain * sound[:-late]
    sound *= np.minimum(np.arange(len(sound))[::-1] / (0.12 * RATE), 1)
    return np.asarray(0.8 * sound / np.abs(sound).max(), np.float32)


def write_wav(path: Path, sound: FloatArray) -> None:
    """The sound as 16-bit mono."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(np.rint(sound * 32767).astype("<i2").tobytes())
