"""The spectrum of sound: mel bands, cepstra, and a spectral gate. Frames are rows, bands are columns.

The mel scale and filters are Slaney's (Auditory Toolbox, 1998), as in librosa with `htk=False, norm="slaney"`; the
numbers agree with librosa 0.11, whose matrices are the transposes of ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage, signal

from salon.errors import DataError

Floats: TypeAlias = NDArray[np.float32]
Padding = Literal["constant", "reflect"]

_BREAK_HZ, _BREAK_MEL, _HZ_PER_MEL = 1000.0, 15.0, 200.0 / 3  # linear below 1 kHz, logarithmic above
_LOG_STEP = np.log(6.4) / 27.0
_FRAMES_AT_ONCE = 2048


def hz_to_mel(hz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Slaney's mel of frequencies in Hz, elementwise."""
    above = _BREAK_MEL + np.log(np.maximum(hz, _BREAK_HZ) / _BREAK_HZ) / _LOG_STEP
    return np.where(hz < _BREAK_HZ, hz / _HZ_PER_MEL, above)


def mel_to_hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    """Frequencies in Hz of Slaney's mels, elementwise."""
    above = _BREAK_HZ * np.exp(_LOG_STEP * (np.maximum(mel, _BREAK_MEL) - _BREAK_MEL))
    return np.where(mel < _BREAK_MEL, mel * _HZ_PER_MEL, above)


def mel_filterbank(rate: int, n_fft: int, bands: int, fmin: float = 0.0, fmax: float | None = None) -> Floats:
    """Triangles of unit area, evenly spaced in mel: `librosa.filters.mel(htk=False, norm="slaney")`.

    Args:
        rate: Samples per second.
        n_fft: Length of the Fourier transform in samples.
        bands: How many triangles.
        fmin: Lower edge of the first in Hz.
        fmax: Upper edge of the last in Hz; None means half the rate.

    Returns:
        (bands, 1 + n_fft // 2) float32, to be multiplied with power spectra.

    Raises:
        DataError: A number is out of range.
    """
    top = rate / 2 if fmax is None else fmax
    if rate < 1 or n_fft < 2 or bands < 1 or not 0 <= fmin < top <= rate / 2:
        raise DataError(f"No mel filters for {rate=}, {n_fft=}, {bands=}, {fmin=}, {fmax=}.")
    low, high = hz_to_mel(np.array([fmin, top]))
    edges = mel_to_hz(np.linspace(low, high, bands + 2))
    bins = np.arange(1 + n_fft // 2) * (rate / n_fft)
    distance = edges[:, None] - bins  # (bands + 2, bins)
    widths = np.diff(edges)[:, None]
    rising, falling = -distance[:-2] / widths[:-1], distance[2:] / widths[1:]
    area = 2.0 / (edges[2:] - edges[:-2])
    return np.asarray(np.maximum(0, np.minimum(rising, falling)) * area[:, None], dtype=np.float32)


def mel_power(
    wave: Floats,
    rate: int,
    n_fft: int,
    hop: int,
    bands: int,
    window: str = "hann",
    centre: bool = True,
    *,
    padding: Padding = "constant",
) -> Floats:
    """Power in mel bands over time: `librosa.feature.melspectrogram(power=2.0)`, transposed.

    Args:
        wave: (n,) float32.
        rate: Samples per second.
        n_fft: Length of a frame and of its Fourier transform in samples.
        hop: Samples from one frame to the next.
        bands: Mel bands, see `mel_filterbank`.
        window: Name of a periodic window of `scipy.signal.get_window`.
        centre: Frame i is centred on sample i x hop, the ends padded by n_fft // 2; else it starts there.
        padding: With `centre`, zeros ("constant", librosa since 0.10) or a mirror ("reflect", librosa before).

    Returns:
        (frames, bands) float32; 1 + n // hop frames with `centre`, else 1 + (n - n_fft) // hop.

    Raises:
        DataError: The wave is too short for one frame, or a number is out of range.
    """
    filters = mel_filterbank(rate, n_fft, bands).T
    return np.concatenate([power @ filters for power in _power_blocks(wave, n_fft, hop, window, centre, padding)])


def _power_blocks(wave: Floats, n_fft: int, hop: int, window: str, centre: bool, padding: Padding) -> Iterator[Floats]:
    """Power spectra (frames, 1 + n_fft // 2) float32, some frames at a time."""
    wave = np.asarray(wave, dtype=np.float32)
    if centre and wave.size > (n_fft // 2 if padding == "reflect" else 0):
        wave = np.pad(wave, n_fft // 2, mode=padding)
    if wave.ndim != 1 or hop < 1 or wave.size < n_fft:
        raise DataError(f"Sound of shape {wave.shape} is too short for frames of {n_fft} every {hop} samples.")
    shape = signal.get_window(window, n_fft, fftbins=True).astype(np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(wave, n_fft)[::hop]
    for start in range(0, len(frames), _FRAMES_AT_ONCE):
        spectrum = fft.rfft(frames[start : start + _FRAMES_AT_ONCE] * shape, axis=1)
        yield spectrum.real**2 + spectrum.imag**2


def log_mel(
    wave: Floats,
    rate: int = 16000,
    *,
    n_fft: int = 512,
    hop: int = 256,
    bands: int = 96,
    top_db: float | None = None,
) -> Floats:
    """Mel power in decibels, 10 log10(max(power, 1e-10)), centred frames.

    Args:
        wave: (n,) float32.
        rate: Samples per second.
        n_fft: Length of a frame in samples.
        hop: Samples from one frame to the next.
        bands: Mel bands.
        top_db: Raise everything to at least this far below the loudest value; None leaves it.

    Returns:
        (1 + n // hop, bands) float32.

    Raises:
        DataError: As `mel_power`.
    """
    decibels = 10 * np.log10(np.maximum(mel_power(wave, rate, n_fft, hop, bands), np.float32(1e-10)))
    return decibels if top_db is None else np.maximum(decibels, decibels.max() - np.float32(top_db))


def mfcc(
    wave: Floats, rate: int = 16000, *, count: int = 20, n_fft: int = 2048, hop: int = 512, bands: int = 128
) -> Floats:
    """Mel-frequency cepstra: the orthonormal DCT-II of `log_mel` (80 dB range), as `librosa.feature.mfcc`.

    Args:
        wave: (n,) float32.
        rate: Samples per second.
        count: How many coefficients, at most `bands`.
        n_fft: Length of a frame in samples.
        hop: Samples from one frame to the next.
        bands: Mel bands.

    Returns:
        (1 + n // hop, count) float32.

    Raises:
        DataError: As `mel_power`, or `count` is out of range.
    """
    if not 1 <= count <= bands:
        raise DataError(f"Cannot take {count} cepstra of {bands} mel bands.")
    mel = log_mel(wave, rate, n_fft=n_fft, hop=hop, bands=bands, top_db=80.0)
    return np.asarray(fft.dct(mel, type=2, norm="ortho", axis=1)[:, :count], dtype=np.float32)


def denoise(wave: Floats, rate: int, *, reduction_db: float = 20.0, margin_db: float = 6.0) -> Floats:
    """Steady noise turned down by a spectral gate.

    Power is averaged over 3 frequencies and 5 frames (of 64 ms, a quarter apart). The noise floor of each frequency is
    the quietest tenth of these; where power is less than `margin_db` above it, it is turned down by `reduction_db`.
    The gate is averaged in the same way so that it does not ring. Sound that never pauses is taken for noise.

    Args:
        wave: (n,) float32, n at least 1.
        rate: Samples per second.
        reduction_db: How far noise is turned down.
        margin_db: How far above the floor sound begins.

    Returns:
        (n,) float32; memory is about 30 times that of `wave`.

    Raises:
        DataError: The wave is empty.
    """
    if wave.size == 0:
        raise DataError("An empty sound cannot be denoised.")
    size = 1 << max(4, round(np.log2(rate * 0.064)))
    overlap = size - size // 4
    padded = np.pad(wave, (0, max(0, size - wave.size)))
    spectrum = signal.stft(padded, rate, nperseg=size, noverlap=overlap)[2]  # (bins, frames)
    power = ndimage.uniform_filter(spectrum.real**2 + spectrum.imag**2, size=(3, 5))
    floor = np.quantile(power, 0.1, axis=1, keepdims=True).astype(np.float32)
    sounding = (power > floor * np.float32(10 ** (margin_db / 10))).astype(np.float32)
    low = np.float32(10 ** (-reduction_db / 20))
    gain = low + (1 - low) * ndimage.uniform_filter(sounding, size=(3, 5))
    clean = signal.istft(spectrum * gain, rate, nperseg=size, noverlap=overlap)[1]
    return np.asarray(clean[: wave.size], dtype=np.float32)
