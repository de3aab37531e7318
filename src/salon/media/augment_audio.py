"""Augmentation of sounds: noise, echo, speed and pitch; whatever is done, samples stay within -1 and 1."""

from __future__ import annotations

import numpy as np
import soxr
from numpy.typing import NDArray
from pydantic import Field

from salon.config import Settings
from salon.errors import DataError
from salon.media.audio import Wave
from salon.media.augment_steps import Step, run_steps

Probability = Field(default=0.5, ge=0, le=1)
MAX_SPEED = 4.0
"""Speeds and pitch ratios beyond this factor, either way, are refused."""


class AudioAugmentation(Settings):
    """How sounds are augmented: for each way how often it happens and how far it may go."""

    strength: float = Field(default=1.0, ge=0, le=4)
    """Multiplies how far everything may go; 0 leaves sounds as they are."""
    noise: float = Field(default=0.1, ge=0, le=1)
    """Largest level of white noise, as a share of the sound's own root mean square (0.1 is 20 dB below it)."""
    noise_probability: float = Probability
    """How often noise is added."""
    echo: float = Field(default=0.4, ge=0, lt=1)
    """Loudest echo, as a share of the sound."""
    echo_seconds: float = Field(default=0.3, gt=0, le=5)
    """Longest delay of the echo; the shortest is a tenth of it."""
    echo_probability: float = Probability
    """How often there is an echo."""
    speed: float = Field(default=0.1, ge=0, le=1)
    """Largest change of speed: between 1 / (1 + speed) and 1 + speed. Pitch and duration change with it, as on tape."""
    speed_probability: float = Probability
    """How often the speed changes."""
    pitch: float = Field(default=2.0, ge=0, le=12)
    """Largest change of pitch in semitones, either way; the duration stays."""
    pitch_probability: float = Probability
    """How often the pitch changes."""


def augment_audio(
    samples: Wave, rate: int, rng: np.random.Generator, settings: AudioAugmentation | None = None
) -> Wave:
    """A sound changed at random: speed, pitch, echo, noise, in this order.

    Args:
        samples: (n,) float, nominally within -1 to 1; silence and no samples at all are allowed.
        rate: Samples per second.
        rng: The only source of chance: the same state gives the same sound.
        settings: How often and how far.

    Returns:
        (m,) float32 within -1 to 1 at the same rate; m is n but for a change of speed, which makes it
        round(n / factor). A sound that would be too loud is made quieter as a whole; the argument is left alone.

    Raises:
        DataError: It is no (n,) array of finite numbers, or the rate is not above 0.
    """
    settings = settings or AudioAugmentation()
    wave = np.array(samples, dtype=np.float32)
    if wave.ndim != 1 or not np.isfinite(wave).all():
        raise DataError(f"A sound is (n,) finite numbers, not {wave.shape}.", hint="Mix it down to one channel.")
    if rate <= 0:
        raise DataError(f"The rate {rate} is not above 0.")
    return within_one(run_steps(wave, rng, _steps(settings, rate)))


def _steps(chosen: AudioAugmentation, rate: int) -> list[Step[Wave]]:
    far = chosen.strength

    def speed(wave: Wave, rng: np.random.Generator, most: float) -> Wave:
        return change_speed(wave, min(MAX_SPEED, float(np.exp(rng.uniform(-1, 1) * np.log1p(most)))))

    def pitch(wave: Wave, rng: np.random.Generator, most: float) -> Wave:
        return shift_pitch(wave, float(np.clip(rng.uniform(-most, most), -24, 24)))

    def echo(wave: Wave, rng: np.random.Generator, most: float) -> Wave:
        seconds = chosen.echo_seconds * rng.uniform(0.1, 1)
        return add_echo(wave, max(1, round(seconds * rate)), rng.uniform(0, most))

    return [
        Step(chosen.speed_probability, far * chosen.speed, speed),
        Step(chosen.pitch_probability, far * chosen.pitch, pitch),
        Step(chosen.echo_probability, min(0.95, far * chosen.echo), echo),
        Step(
            chosen.noise_probability, far * chosen.noise, lambda w, rng, most: add_noise(w, rng.uniform(0, most), rng)
        ),
    ]


def within_one(wave: Wave) -> Wave:
    """The sound, divided by its peak where that is above 1."""
    peak = float(np.abs(wave).max(initial=0.0))
    return np.asarray(wave / np.float32(peak) if peak > 1 else wave, dtype=np.float32)


def add_noise(wave: Wave, level: float, rng: np.random.Generator) -> Wave:
    """White Gaussian noise of `level` times the sound's root mean square added; silence stays silent. Same length."""
    loudness = float(np.sqrt(np.mean(np.square(wave, dtype=np.float64)))) if wave.size else 0.0
    return np.asarray(wave + level * loudness * rng.standard_normal(wave.size), dtype=np.float32)


def add_echo(wave: Wave, delay: int, gain: float) -> Wave:
    """The sound and `gain` times itself `delay` samples later; what rings on after its end is cut. Same length."""
    result = wave.astype(np.float32, copy=True)
    if 0 < delay < wave.size:
        result[delay:] += np.float32(gain) * wave[:-delay]
    return result


def change_speed(wave: Wave, factor: float) -> Wave:
    """Played `factor` times as fast, by resampling (soxr): round(n / factor) samples, frequencies times `factor`.

    Source of the idea: Ko et al., "Audio augmentation for speech recognition", Interspeech 2015.

    Raises:
        DataError: The factor is not within 1/4 to 4.
    """
    _check_factor(factor)
    if wave.size < 2 or factor == 1:
        return wave.astype(np.float32, copy=True)
    return _fitted(soxr.resample(wave.astype(np.float32), factor, 1.0, quality="HQ"), max(1, round(wave.size / factor)))


def shift_pitch(wave: Wave, semitones: float) -> Wave:
    """Every frequency times 2^(semitones / 12), same length: stretched in time, then resampled back.

    Raises:
        DataError: The shift is more than 24 semitones either way.
    """
    ratio = 2.0 ** (semitones / 12)
    _check_factor(ratio)
    if wave.size < 2 or semitones == 0:
        return wave.astype(np.float32, copy=True)
    longer = stretch(wave, ratio)
    return _fitted(soxr.resample(longer, ratio, 1.0, quality="HQ"), wave.size)


def _check_factor(factor: float) -> None:
    if not 1 / MAX_SPEED <= factor <= MAX_SPEED:
        raise DataError(f"The factor {factor:.4g} is not within {1 / MAX_SPEED} to {MAX_SPEED}.")


def stretch(wave: Wave, factor: float, *, window: int = 1024) -> Wave:
    """`factor` times as long at the same pitch, by a phase vocoder: round(n x factor) samples.

    Frames are read every hop / factor samples and laid down every hop. The phase of each peak of the spectrum goes on
    by what its true frequency makes in one hop; the bins about a peak keep their phase relative to it. Attacks get
    softer, as is known of the method. Source: Laroche and Dolson, "Improved phase vocoder time-scale modification of
    audio", IEEE Transactions on Speech and Audio Processing, 1999 (identity phase locking).

    Args:
        wave: (n,) float32.
        factor: Above 0.
        window: Samples per frame, a multiple of 4.
    """
    hop, length = window // 4, max(1, round(wave.size * factor))
    lead = round(window * factor)  # the padding in front of the sound, stretched
    frames = int(np.ceil((lead + length + window) / hop))
    shape = np.hanning(window + 1)[:-1]
    padded = np.pad(wave.astype(np.float64), (window, 2 * window + hop))
    result, weight = np.zeros(frames * hop + window), np.zeros(frames * hop + window)
    advance = np.zeros(window // 2 + 1)
    phase = np.zeros(window // 2 + 1)
    for frame in range(frames):
        start = min(round(frame * hop / factor), padded.size - window - hop)
        before = np.fft.rfft(shape * padded[start : start + window])
        after = np.fft.rfft(shape * padded[start + hop : start + hop + window])
        peak = _nearest_peak(np.abs(before))
        angle = np.angle(before)
        phase = (phase + advance)[peak] + angle - angle[peak]
        place = slice(frame * hop, frame * hop + window)
        result[place] += shape * np.fft.irfft(np.abs(before) * np.exp(1j * phase))
        weight[place] += shape**2
        advance = _advance(angle, np.angle(after), hop, window)
    return _fitted((result / np.maximum(weight, 1e-8))[lead:].astype(np.float32), length)


def _nearest_peak(magnitude: NDArray[np.float64]) -> NDArray[np.int64]:
    """For every bin the nearest bin that is louder than the two on either side; itself where there is no such bin."""
    middle = magnitude[2:-2]
    louder = [middle > magnitude[shift : shift + middle.size] for shift in (0, 1, 3, 4)]
    peaks = np.flatnonzero(np.logical_and.reduce(louder)) + 2
    bins = np.arange(magnitude.size)
    return peaks[np.searchsorted((peaks[1:] + peaks[:-1]) / 2, bins)] if peaks.size else bins


def _advance(before: NDArray[np.float64], after: NDArray[np.float64], hop: int, window: int) -> NDArray[np.float64]:
    """How far the phase of every bin goes on in one hop, whole turns included."""
    expected = 2 * np.pi * hop * np.arange(before.size) / window
    drift = after - before - expected
    return expected + drift - 2 * np.pi * np.round(drift / (2 * np.pi))


def _fitted(wave: Wave, length: int) -> Wave:
    """Cut, or filled with zeros at the end, to a length."""
    return np.asarray(np.pad(wave[:length], (0, max(0, length - wave.size))), dtype=np.float32)
