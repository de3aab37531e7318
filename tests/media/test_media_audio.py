"""Decoding sound of every kind in bounded memory, and cutting it."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from media_makers import picture, sound_bytes, tone, video_bytes, wav_bytes

from salon.errors import DataError, MediaError
from salon.media import MediaLimits
from salon.media.audio import decode_audio, denoise, split, trim_silence


def loudest_hz(wave: np.ndarray, rate: int = 16000) -> float:
    return float(np.abs(np.fft.rfft(wave * np.hanning(len(wave)))).argmax() * rate / len(wave))


def test_a_wav_at_the_asked_rate_comes_back_to_the_last_bit(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(wav_bytes(tone()))
    wave = decode_audio(path)
    assert (wave.dtype, wave.shape) == (np.float32, (16000,))
    np.testing.assert_allclose(wave, tone() * 32767 / 32768, atol=2 / 32768)


@pytest.mark.parametrize(
    ("container", "codec", "rate"),
    [
        ("ogg", "libopus", 48000), ("ogg", "flac", 22050), ("flac", "flac", 8000), ("mp3", "libmp3lame", 44100),
        ("mp4", "aac", 44100), ("adts", "aac", 32000), ("matroska", "libopus", 48000), ("aiff", "pcm_s16be", 11025),
        ("wav", "pcm_u8", 16000), ("wav", "pcm_s32le", 16000), ("wav", "pcm_f32le", 16000), ("wav", "pcm_f64le", 8000),
    ],
)  # fmt: skip
def test_every_format_keeps_pitch_length_and_loudness(container: str, codec: str, rate: int) -> None:
    wave = decode_audio(sound_bytes(tone(1.0, rate), rate, container, codec))
    assert abs(len(wave) / 16000 - 1.0) < 0.15
    middle = wave[4000:12000]
    assert abs(loudest_hz(middle) - 440) < 4
    assert abs(np.sqrt(np.mean(middle**2)) - 0.5 / np.sqrt(2)) < 0.03


def test_stereo_is_the_mean_of_its_channels() -> None:
    both = np.stack([tone(), -tone()], axis=1)
    assert np.abs(decode_audio(wav_bytes(both))).max() < 1e-4
    both[:, 1] = 0
    np.testing.assert_allclose(decode_audio(wav_bytes(both)), tone() / 2, atol=1e-3)


def test_resampling_removes_what_the_new_rate_cannot_hold() -> None:
    high = decode_audio(wav_bytes(tone(1.0, 48000, hz=11000), 48000), rate=16000)
    assert np.abs(high[1000:-1000]).max() < 1e-3


def test_only_the_asked_seconds_are_decoded() -> None:
    wave = decode_audio(wav_bytes(tone(3.0)), seconds=0.25)
    np.testing.assert_allclose(wave, tone(0.25), atol=1e-3)
    assert len(decode_audio(wav_bytes(tone(0.1)), seconds=5.0)) == 1600


def test_a_header_that_claims_ten_hours_gives_the_sound_that_is_there() -> None:
    for claim in (36_000 * 32_000, 2**32 - 1, 0):
        assert len(decode_audio(wav_bytes(tone(), declared=claim))) == 16000


def test_sound_above_the_limit_is_refused_or_cut_on_request() -> None:
    limits = MediaLimits(max_seconds=1.0)
    with pytest.raises(MediaError, match=r"more than the limit of 1\. Pass seconds=.*MediaLimits\.max_seconds"):
        decode_audio(wav_bytes(tone(1.5)), limits=limits)
    assert len(decode_audio(wav_bytes(tone(1.5)), seconds=1.0, limits=limits)) == 16000
    with pytest.raises(MediaError, match="2 seconds asked for"):
        decode_audio(wav_bytes(tone(1.5)), seconds=2.0, limits=limits)


def test_the_limit_holds_where_it_falls_between_two_frames() -> None:
    whole = 512 * 8 / 16000  # FFmpeg reads WAV in frames of 512 samples
    for seconds in (whole, whole / 2):
        with pytest.raises(MediaError, match="more than the limit"):
            decode_audio(wav_bytes(tone(2 * whole), declared=2**32 - 1), limits=MediaLimits(max_seconds=seconds))
    assert len(decode_audio(wav_bytes(tone(whole)), limits=MediaLimits(max_seconds=whole))) == 4096


def test_a_stream_without_a_stated_length_is_stopped_at_the_limit() -> None:
    endless = sound_bytes(tone(4.0), 16000, "adts", "aac")
    with pytest.raises(MediaError, match="limit of 1"):
        decode_audio(endless, limits=MediaLimits(max_seconds=1.0))


def test_time_spent_is_limited() -> None:
    with pytest.raises(MediaError, match="max_work_seconds"):
        decode_audio(wav_bytes(tone()), limits=MediaLimits(max_work_seconds=1e-9))


def test_sound_without_samples_is_refused() -> None:
    for data in (b"", wav_bytes(tone()[:0]), b"RIFF\0\0\0\0WAVE", b"not sound at all" * 100):
        with pytest.raises(MediaError):
            decode_audio(data)


def test_a_video_without_sound_is_refused_as_audio() -> None:
    with pytest.raises(MediaError, match="no sound"):
        decode_audio(video_bytes([picture()] * 3))


def test_samples_that_are_not_numbers_are_refused() -> None:
    wave = tone()
    wave[100] = np.nan
    with pytest.raises(MediaError, match="not numbers"):
        decode_audio(sound_bytes(wave, 16000, "wav", "pcm_f32le"))


def test_a_playlist_cannot_make_us_open_other_files(tmp_path: Path) -> None:
    path = tmp_path / "secret.wav"
    path.write_bytes(wav_bytes(tone()))
    for text in (f"#EXTM3U\n#EXTINF:1,\nfile://{path}\n", f"ffconcat version 1.0\nfile '{path}'\n"):
        (tmp_path / "list.m3u8").write_text(text)
        with pytest.raises(MediaError, match="cannot be decoded"):
            decode_audio(tmp_path / "list.m3u8")


@pytest.mark.parametrize("rate", [0, -1, 999, 10**9])
def test_impossible_rates_and_lengths_are_refused(rate: int) -> None:
    with pytest.raises(DataError, match="rate"):
        decode_audio(wav_bytes(tone()), rate=rate)
    with pytest.raises(DataError, match="seconds"):
        decode_audio(wav_bytes(tone()), seconds=min(0.0, rate))


def test_flac_and_mp4_cut_short_are_refused_anywhere() -> None:
    for data in (sound_bytes(tone(4.0), 16000, "flac", "flac"), sound_bytes(tone(4.0), 16000, "mp4", "aac")):
        for twentieth in range(18):
            with pytest.raises(MediaError):
                decode_audio(data[: len(data) * twentieth // 20])


def test_wav_and_ogg_cut_short_are_shorter_or_refused() -> None:
    for data in (wav_bytes(tone(2.0)), sound_bytes(tone(2.0, 48000), 48000, "ogg", "libopus")):
        for twentieth in range(20):
            try:
                wave = decode_audio(data[: len(data) * twentieth // 20])
            except MediaError:
                continue
            assert 0 < len(wave) < 2.1 * 16000
            assert np.isfinite(wave).all()


FILES = {
    "wav": wav_bytes(tone(0.2)),
    "ogg": sound_bytes(tone(0.5, 48000), 48000, "ogg", "libopus"),
    "ogg-flac": sound_bytes(tone(0.2), 16000, "ogg", "flac"),
    "mp3": sound_bytes(tone(0.2), 16000, "mp3", "libmp3lame"),
    "flac": sound_bytes(tone(0.2), 16000, "flac", "flac"),
    "m4a": sound_bytes(tone(0.2), 16000, "mp4", "aac"),
}


@settings(max_examples=120)
@given(st.sampled_from(sorted(FILES)), st.data())
def test_flipped_bytes_give_a_sound_or_a_media_error(kind: str, data: st.DataObject) -> None:
    broken = bytearray(FILES[kind])
    reach = data.draw(st.sampled_from([100, len(broken)]))
    for place in data.draw(st.lists(st.integers(0, reach - 1), min_size=1, max_size=6)):
        broken[place] = data.draw(st.integers(0, 255))
    limits = MediaLimits(max_seconds=60)
    try:
        wave = decode_audio(bytes(broken), limits=limits)
    except MediaError:
        return
    assert 0 < len(wave) <= 60 * 16000
    assert np.isfinite(wave).all()


def test_silence_is_trimmed_at_both_ends_only() -> None:
    quiet = np.zeros(8000, np.float32)
    wave = np.concatenate([quiet, tone(0.5), quiet, tone(0.5), quiet])
    trimmed = trim_silence(wave, 16000)
    assert abs(len(trimmed) - 24000) < 900
    assert trim_silence(quiet, 16000).size == 0
    assert trim_silence(quiet[:0], 16000).size == 0
    np.testing.assert_array_equal(trim_silence(tone(), 16000), tone())
    assert trim_silence(tone(0.001), 16000).size == 16


def test_split_covers_every_sample_and_pads_the_last_window() -> None:
    wave = np.arange(1, 11, dtype=np.float32)
    np.testing.assert_array_equal(split(wave, 1, 4), [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 0, 0]])
    np.testing.assert_array_equal(split(wave[:6], 1, 4, hop=2), [[1, 2, 3, 4], [3, 4, 5, 6]])
    np.testing.assert_array_equal(split(wave[:2], 1, 4), [[1, 2, 0, 0]])
    np.testing.assert_array_equal(split(wave[:5], 1, 2, hop=3), [[1, 2], [4, 5]])
    for bad in (lambda: split(wave[:0], 1, 4), lambda: split(wave, 1, 0), lambda: split(wave, 1, 4, hop=0.0)):
        with pytest.raises(DataError):
            bad()


@given(st.integers(1, 60), st.integers(1, 12), st.integers(1, 12))
def test_split_agrees_with_a_plain_loop(size: int, length: int, hop: int) -> None:
    wave = np.arange(1, size + 1, dtype=np.float32)
    expected, start = [], 0
    while True:
        window = wave[start : start + length]
        expected.append(np.pad(window, (0, length - len(window))))
        start += hop
        if start - hop + length >= size or start >= size:
            break
    np.testing.assert_array_equal(split(wave, 1, length, hop=hop), expected)


def test_denoise_turns_steady_noise_down_and_keeps_the_sound() -> None:
    rng = np.random.default_rng(0)
    sound = np.concatenate([np.zeros(16000, np.float32), tone(1.0), np.zeros(16000, np.float32)])
    noise = 0.02 * rng.standard_normal(sound.size).astype(np.float32)
    cleaned = denoise(sound + noise, 16000)
    assert (cleaned.dtype, cleaned.shape) == (np.float32, sound.shape)
    assert np.mean(cleaned[:14000] ** 2) < 0.1 * np.mean(noise[:14000] ** 2)
    assert np.mean((cleaned - sound)[18000:30000] ** 2) < 0.5 * np.mean(noise**2)
    assert denoise(tone(0.01), 16000).shape == (160,)
    with pytest.raises(DataError):
        denoise(sound[:0], 16000)


@pytest.mark.shared
def test_real_recordings_have_the_lengths_of_their_table(shared_data: Path) -> None:
    folder = shared_data / "sound-clips" / "media" / "audio"
    for name, seconds in {"robin": 2.7, "trumpet": 5.33, "libri1": 14.84, "pibble": 46.95}.items():
        assert abs(len(decode_audio(folder / f"{name}.ogg")) / 16000 - seconds) < 0.05
    digits = sorted((shared_data / "spoken-digits-audio" / "media" / "audio").glob("*.wav"))
    assert len(digits) == 600
    assert all(0.1 < len(decode_audio(path)) / 16000 < 3 for path in digits[::20])
