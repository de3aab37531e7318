"""Mel bands and cepstra against slow, obvious versions and against numbers from librosa 0.11."""

import numpy as np
import pytest
from media_makers import tone

from salon.errors import DataError
from salon.media.spectrum import hz_to_mel, log_mel, mel_filterbank, mel_power, mel_to_hz, mfcc

NOISE = (np.random.default_rng(5).standard_normal(6000) * 0.1).astype(np.float32)


def slow_mel(hz: float) -> float:
    return hz * 3 / 200 if hz < 1000 else 15 + 27 * np.log(hz / 1000) / np.log(6.4)


def slow_filterbank(rate: int, n_fft: int, bands: int) -> np.ndarray:
    """Triangle by triangle, bin by bin; the edges found by bisection."""

    def hz_of(mel: float) -> float:
        low, high = 0.0, float(rate)
        for _ in range(80):
            middle = (low + high) / 2
            low, high = (middle, high) if slow_mel(middle) < mel else (low, middle)
        return low

    top = slow_mel(rate / 2)
    edges = [hz_of(top * i / (bands + 1)) for i in range(bands + 2)]
    filters = np.zeros((bands, n_fft // 2 + 1))
    for band in range(bands):
        left, peak, right = edges[band : band + 3]
        for place in range(n_fft // 2 + 1):
            hz = place * rate / n_fft
            height = 2 / (right - left)
            if left < hz <= peak:
                filters[band, place] = height * (hz - left) / (peak - left)
            elif peak < hz < right:
                filters[band, place] = height * (right - hz) / (right - peak)
    return filters


def slow_power(wave: np.ndarray, n_fft: int, hop: int, padding: str) -> np.ndarray:
    """Frame by frame by the definition of the Fourier transform."""
    wave = np.pad(wave.astype(np.float64), n_fft // 2, mode=padding)  # type: ignore[call-overload]
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)
    table = np.exp(-2j * np.pi * np.outer(np.arange(n_fft // 2 + 1), np.arange(n_fft)) / n_fft)
    starts = range(0, len(wave) - n_fft + 1, hop)
    return np.array([np.abs(table @ (wave[s : s + n_fft] * window)) ** 2 for s in starts])


@pytest.mark.parametrize(("rate", "n_fft", "bands"), [(16000, 512, 96), (16000, 400, 40), (22050, 1024, 20)])
def test_the_filters_agree_with_the_slow_version(rate: int, n_fft: int, bands: int) -> None:
    filters = mel_filterbank(rate, n_fft, bands)
    assert (filters.dtype, filters.shape) == (np.float32, (bands, n_fft // 2 + 1))
    np.testing.assert_allclose(filters, slow_filterbank(rate, n_fft, bands), atol=1e-7)


def test_the_filters_agree_with_librosa() -> None:
    filters = mel_filterbank(16000, 512, 96)
    np.testing.assert_allclose(filters[[0, 50, 95]].max(axis=1), [0.03199922, 0.01307774, 0.00398456], rtol=1e-5)
    np.testing.assert_allclose(filters.sum(), 3.071914, rtol=1e-6)


def test_the_mel_scale_is_undone_by_its_inverse() -> None:
    hz = np.array([0.0, 440.0, 999.0, 1000.0, 6400.0, 11025.0])
    np.testing.assert_allclose(mel_to_hz(hz_to_mel(hz)), hz)
    np.testing.assert_allclose(hz_to_mel(hz), [slow_mel(one) for one in hz])
    assert hz_to_mel(np.array(6400.0)) == pytest.approx(42)


@pytest.mark.parametrize("padding", ["constant", "reflect"])
@pytest.mark.parametrize(("n_fft", "hop", "bands"), [(512, 256, 96), (400, 160, 40)])
def test_mel_power_agrees_with_the_slow_version(padding: str, n_fft: int, hop: int, bands: int) -> None:
    mel = mel_power(NOISE, 16000, n_fft, hop, bands, padding=padding)  # type: ignore[arg-type]
    assert (mel.dtype, mel.shape) == (np.float32, (1 + 6000 // hop, bands))
    expected = slow_power(NOISE, n_fft, hop, padding) @ slow_filterbank(16000, n_fft, bands).T
    np.testing.assert_allclose(mel, expected, rtol=2e-4, atol=1e-6)


def test_mel_power_and_mfcc_agree_with_librosa() -> None:
    found = mel_power(NOISE, 16000, 512, 256, 96)[3, [0, 10, 95]]
    np.testing.assert_allclose(found, [0.01599933, 0.05825187, 0.05113216], rtol=1e-5)
    expected = [-0.6305234, 2.7187169, 2.2272496, 1.0138056, 0.03876212]
    np.testing.assert_allclose(mfcc(NOISE)[5, :5], expected, atol=1e-4)


def test_frames_that_are_not_centred_start_where_they_say() -> None:
    mel = mel_power(NOISE, 16000, 400, 160, 40, centre=False)
    assert mel.shape == (1 + (6000 - 400) // 160, 40)
    inner = mel_power(NOISE[160:560], 16000, 400, 160, 40, centre=False)
    np.testing.assert_allclose(mel[1:2], inner, rtol=1e-5)


def test_long_sound_is_done_in_blocks_with_the_same_result() -> None:
    wave = np.tile(NOISE, 60)
    mel = mel_power(wave, 16000, 256, 128, 8)
    assert len(mel) == 1 + len(wave) // 128 > 2048
    np.testing.assert_allclose(mel[2500:2505], mel_power(wave[2490 * 128 :], 16000, 256, 128, 8)[10:15], rtol=1e-4)


def test_a_tone_lights_the_band_that_holds_it() -> None:
    mel = log_mel(tone(1.0, hz=1000.0))
    centres = mel_to_hz(np.linspace(0, slow_mel(8000), 98))[1:-1]
    assert abs(centres[mel[30].argmax()] - 1000) < 60


def test_log_mel_has_a_floor_and_a_range() -> None:
    np.testing.assert_allclose(log_mel(np.zeros(4000, np.float32)), -100, atol=1e-3)
    ranged = log_mel(tone(), top_db=30.0)
    assert ranged.max() - ranged.min() == pytest.approx(30, abs=1e-3)
    assert ranged.dtype == np.float32


def test_mfcc_is_the_orthonormal_cosine_transform_by_definition() -> None:
    mel = log_mel(NOISE, n_fft=512, hop=256, bands=24, top_db=80.0).astype(np.float64)
    places = np.arange(24)
    basis = np.sqrt(2 / 24) * np.cos(np.pi * np.outer(np.arange(13), 2 * places + 1) / 48)
    basis[0] /= np.sqrt(2)
    found = mfcc(NOISE, count=13, n_fft=512, hop=256, bands=24)
    np.testing.assert_allclose(found, mel @ basis.T, atol=1e-3)


def test_what_cannot_be_analysed_is_refused() -> None:
    short = NOISE[:100]
    for call in (
        lambda: mel_power(NOISE[:0], 16000, 512, 256, 40),
        lambda: mel_power(short, 16000, 512, 256, 40, centre=False),
        lambda: mel_power(short, 16000, 512, 256, 40, padding="reflect"),
        lambda: mel_power(NOISE, 16000, 512, 0, 40),
        lambda: mel_filterbank(16000, 512, 0),
        lambda: mel_filterbank(16000, 512, 40, fmax=9000.0),
        lambda: mel_filterbank(16000, 512, 40, fmin=5000.0, fmax=4000.0),
        lambda: mfcc(NOISE, count=0),
        lambda: mfcc(NOISE, count=129),
    ):
        with pytest.raises(DataError):
            call()
