"""Sampling frames, cuts and sound of videos, whatever their headers say."""

import contextlib
import io
import struct
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from media_makers import encoded, grey_ramp, picture, sound_bytes, tone, video_bytes

from salon.errors import DataError, MediaError
from salon.media import MediaLimits, video
from salon.media.video import sample_frames, scene_cuts, video_info, video_sound

RAMP = grey_ramp(100)
KINDS = [("mp4", "mpeg4"), ("mp4", "libx264"), ("matroska", "libx264"), ("avi", "mpeg4")]


def places(frames: np.ndarray, count: int = 100) -> np.ndarray:
    """The numbers of the frames of a grey ramp, read off their levels."""
    return (frames.mean(axis=(1, 2, 3)) - 20) / 215 * (count - 1)


@pytest.mark.parametrize(("container", "codec"), KINDS)
def test_frames_come_from_the_middles_of_equal_parts(container: str, codec: str, tmp_path: Path) -> None:
    path = tmp_path / "v"
    path.write_bytes(video_bytes(RAMP, container_format=container, codec=codec))
    frames = sample_frames(path, 8)
    assert (frames.shape, frames.dtype) == ((8, 48, 64, 3), np.uint8)
    np.testing.assert_allclose(places(frames), (np.arange(8) + 0.5) * 12.5, atol=2.5)


def test_seeking_reads_little_of_a_long_video(monkeypatch: pytest.MonkeyPatch) -> None:
    counted = []
    monkeypatch.setattr(video.Budget, "count_frame", lambda self: counted.append(1))
    data = video_bytes(grey_ramp(600), fps=5, container_format="matroska", codec="libx264", keyframes=10)
    np.testing.assert_allclose(places(sample_frames(data, 6), 600), (np.arange(6) + 0.5) * 100, atol=8)
    assert len(counted) < 200


@pytest.mark.parametrize("count", [1, 3, 8, 40, 100])
def test_decoding_in_order_gives_nearly_the_same_frames(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    data = video_bytes(RAMP, codec="libx264")
    sought = sample_frames(data, count)
    monkeypatch.setattr(video, "_by_seeking", lambda *_: [])
    in_order = sample_frames(data, count)
    assert len(sought) == len(in_order) == count
    assert np.abs(places(sought) - places(in_order)).max() < 3


def test_a_live_recording_without_length_is_decoded_in_order() -> None:
    data = video_bytes(RAMP, container_format="matroska", codec="libx264", live=True)
    assert video_info(data).duration is None
    np.testing.assert_allclose(places(sample_frames(data, 4)), [12, 37, 62, 87], atol=2.5)


def test_fewer_frames_come_from_a_shorter_video_and_none_twice() -> None:
    assert len(sample_frames(video_bytes(grey_ramp(3)), 8)) == 3
    assert len(sample_frames(video_bytes(grey_ramp(1)), 8)) == 1


def test_frames_can_be_resized_and_a_clip_that_is_too_large_is_refused() -> None:
    data = video_bytes(RAMP[:10])
    assert sample_frames(data, 4, size=(20, 30)).shape == (4, 20, 30, 3)
    limits = MediaLimits(max_clip_pixels=4 * 48 * 64 - 1)
    with pytest.raises(MediaError, match=r"Pass size=.*max_clip_pixels"):
        sample_frames(data, 4, limits=limits)
    assert len(sample_frames(data, 4, size=(8, 8), limits=limits)) == 4
    for count, size in [(0, None), (4, (0, 8))]:
        with pytest.raises(DataError, match="Cannot sample"):
            sample_frames(data, count, size=size)


def turned(data: bytes) -> bytes:
    """An MP4 whose track header asks for a quarter turn clockwise, as telephones write it."""
    start = data.index(b"tkhd") + 4 + 40
    matrix = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)
    return data[:start] + matrix + data[start + 36 :]


def test_portrait_video_of_a_telephone_is_turned_upright() -> None:
    landscape = np.zeros((48, 64, 3), np.uint8)
    landscape[:24, :32] = 255  # upper left; after a quarter turn clockwise it is upper right
    data = turned(video_bytes([landscape] * 4))
    frame = sample_frames(data, 1)[0]
    assert frame.shape == (64, 48, 3)
    assert frame[:28, 28:].min() > 200
    assert frame[36:].max() < 60
    assert frame[:, :20].max() < 60
    info = video_info(data)
    assert (info.width, info.height) == (48, 64)


@pytest.mark.parametrize(("container", "codec"), KINDS)
def test_info_says_what_the_file_holds(container: str, codec: str) -> None:
    data = video_bytes(RAMP[:20], container_format=container, codec=codec, sound=tone(2.0))
    info = video_info(data)
    assert (info.width, info.height, info.fps, info.has_audio) == (64, 48, 10, True)
    assert info.duration == pytest.approx(2.0, abs=0.2)
    assert info.codec == {"libx264": "h264"}.get(codec, codec)
    assert not video_info(video_bytes(RAMP[:5], container_format=container, codec=codec)).has_audio


def test_scene_cuts_are_found_where_the_colours_change() -> None:
    scenes = [np.full((48, 64, 3), colour, np.uint8) for colour in ((200, 30, 30), (30, 200, 30), (30, 30, 200))]
    frames = [scene for scene in scenes for _ in range(20)]
    data = video_bytes(frames, codec="libx264")
    np.testing.assert_allclose(scene_cuts(data, rate=10), [2.0, 4.0], atol=0.11)
    np.testing.assert_allclose(scene_cuts(data, rate=10, gap=3.0), [2.0], atol=0.11)
    rng = np.random.default_rng(0)
    grainy = [np.clip(picture() + rng.normal(0, 12, (48, 64, 3)), 0, 255).astype(np.uint8) for _ in range(20)]
    assert scene_cuts(video_bytes(grainy, codec="libx264"), rate=10) == []
    for bad in ({"threshold": 0.0}, {"threshold": 1.5}, {"rate": 0.0}, {"gap": -1.0}):
        with pytest.raises(DataError, match="Cannot look for cuts"):
            scene_cuts(data, **bad)


def test_the_sound_of_a_video_is_given_unless_it_is_silent_or_absent() -> None:
    wave = video_sound(video_bytes(RAMP[:20], sound=tone(2.0)), seconds=1.0)
    assert wave is not None
    assert (wave.dtype, len(wave)) == (np.float32, 16000)
    assert 0.3 < np.abs(wave).max() < 0.7
    assert video_sound(video_bytes(RAMP[:20], sound=np.zeros(32000, np.float32))) is None
    assert video_sound(video_bytes(RAMP[:20])) is None


def test_sound_is_no_video_and_neither_is_its_cover_picture() -> None:
    with pytest.raises(MediaError, match="no video"):
        sample_frames(sound_bytes(tone(0.3), 16000, "mp4", "aac"))
    cover = encoded(picture(), "PNG")
    body = struct.pack(">I", 3) + struct.pack(">I", 9) + b"image/png" + struct.pack(">5I", 0, 64, 48, 24, 0)
    block = body + struct.pack(">I", len(cover)) + cover
    flac = sound_bytes(tone(0.3), 16000, "flac", "flac")
    with_cover = flac[:42] + bytes([6]) + len(block).to_bytes(3, "big") + block + flac[42:]
    with av.open(io.BytesIO(with_cover)) as container:
        assert len(container.streams.video) == 1
    with pytest.raises(MediaError, match="no video"):
        video_info(with_cover)


def test_frame_pixel_stream_and_time_limits_hold() -> None:
    data = video_bytes(RAMP[:30], sound=tone(0.5))
    for limits, name in [
        (MediaLimits(max_pixels=48 * 64 - 1), "max_pixels|cannot be decoded"),
        (MediaLimits(max_frames=5), "max_frames"),
        (MediaLimits(max_streams=1), "max_streams"),
        (MediaLimits(max_work_seconds=1e-9), "max_work_seconds"),
        (MediaLimits(max_bytes=1000), "max_bytes"),
    ]:
        with pytest.raises(MediaError, match=name):
            sample_frames(data, limits=limits)


def test_a_header_that_claims_ten_hours_is_not_believed_and_a_claim_for_the_stream_is_called_out() -> None:
    lying = bytearray(video_bytes(grey_ramp(20), container_format="matroska"))
    place = lying.index(b"\x44\x89\x88") + 3  # Duration of the segment, a double in milliseconds
    lying[place : place + 8] = struct.pack(">d", 36_000_000.0)
    assert video_info(bytes(lying)).duration == pytest.approx(36_000)
    np.testing.assert_allclose(places(sample_frames(bytes(lying), 4), 20), [2, 7, 12, 17], atol=1)
    tagged = bytes(lying).replace(b"00:00:02.", b"10:00:02.")  # the DURATION tag of the stream
    for call in (sample_frames, scene_cuts):
        with pytest.raises(MediaError, match=r"is cut short: 1\.9 of 36002\.0 seconds"):
            call(tagged)


@pytest.mark.parametrize(("container", "codec"), KINDS)
def test_a_video_cut_short_gives_whole_frames_or_a_media_error(container: str, codec: str) -> None:
    data = video_bytes([picture(seed=i) for i in range(40)], container_format=container, codec=codec, sound=tone(4.0))
    refused = 0
    for twentieth in range(20):
        short = data[: len(data) * twentieth // 20]
        try:
            assert sample_frames(short).shape[1:] == (48, 64, 3)
        except MediaError:
            refused += 1
    assert refused >= (20 if container == "mp4" else 10)


STILLS = [picture(32, 32, i) for i in range(6)]
FILES = {
    f"{container}-{codec}": video_bytes(STILLS, container_format=container, codec=codec, sound=tone(0.6))
    for container, codec in KINDS
}


@settings(max_examples=60)
@given(st.sampled_from(sorted(FILES)), st.data())
def test_flipped_bytes_give_a_video_or_a_media_error(kind: str, data: st.DataObject) -> None:
    broken = bytearray(FILES[kind])
    reach = data.draw(st.sampled_from([300, len(broken)]))
    end = data.draw(st.booleans())  # the index of an MP4 is at its end
    for place in data.draw(st.lists(st.integers(0, reach - 1), min_size=1, max_size=6)):
        broken[-1 - place if end else place] = data.draw(st.integers(0, 255))
    limits = MediaLimits(max_frames=500, max_pixels=1_000_000, max_seconds=60)
    for call in (sample_frames, video_info, scene_cuts, video_sound):
        with contextlib.suppress(MediaError):
            call(bytes(broken), limits=limits)


@pytest.mark.shared
def test_real_clips_agree_with_their_table(shared_data: Path) -> None:
    folder = shared_data / "short-videos" / "media" / "video"
    for name, size, sound in [
        ("archery.mp4", (240, 320), "heard"),
        ("car-detection.mp4", (432, 768), "silent"),
        ("asl_again.mkv", (480, 640), "none"),
    ]:
        info = video_info(folder / name)
        assert ((info.height, info.width), info.codec) == (size, "h264")
        assert info.has_audio == (sound != "none")
        assert sample_frames(folder / name, 4, size=(60, 80)).shape == (4, 60, 80, 3)
        wave = video_sound(folder / name)
        assert (wave is not None) == (sound == "heard")
