"""Encoders of pictures, sounds and videos: what is alike is near, and what cannot be heard is not invented."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from salon.encode.classic_audio import LogMel, Mfcc
from salon.encode.classic_image import ColourTexture, edge_histogram, texture_histogram
from salon.encode.pictures import EfficientNetLite0
from salon.encode.sentences import MultilingualUSE
from salon.encode.sounds import GE2EVoice, MusiCNN, spread_windows
from salon.encode.videos import VideoFrames, VideoSound
from salon.encode.words import Words, class_names, conse_vectors
from salon.errors import MediaError, SettingError


def nearest(vectors: np.ndarray) -> np.ndarray:
    centred = vectors - vectors.mean(axis=0)
    unit = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    near = unit @ unit.T
    np.fill_diagonal(near, -2)
    return near.argmax(axis=1)


@pytest.mark.parametrize("encoder", [EfficientNetLite0(), ColourTexture()], ids=["lite0", "colour"])
def test_a_picture_is_nearest_to_its_own_jpeg(encoder, make_picture, tmp_path):
    paths = []
    for seed in range(5):
        png = make_picture(tmp_path / f"{seed}.png", seed)
        Image.open(png).save(tmp_path / f"{seed}.jpg", quality=60)
        paths += [png, tmp_path / f"{seed}.jpg"]
    assert np.array_equal(nearest(encoder.encode(paths)), np.arange(10) ^ 1)


def test_the_whole_picture_is_seen_on_white(tmp_path):
    Image.new("RGB", (400, 100), (0, 0, 0)).save(tmp_path / "wide.png")
    square = EfficientNetLite0().prepare(tmp_path / "wide.png")
    assert square.shape == (224, 224, 3)
    assert (square[0] == 255).all()
    assert (square[112] == 0).all()


def test_texture_and_edges_follow_their_definitions():
    stripes = np.tile([0.0, 0, 255, 255], (128, 32)).astype(np.float32)
    across = edge_histogram(stripes).reshape(16, 8)
    along = edge_histogram(stripes.T).reshape(16, 8)
    assert (across.argmax(axis=1) == 0).all()
    assert (along.argmax(axis=1) == 4).all()
    flat = texture_histogram(np.full((128, 128), 9.0, np.float32))
    assert flat[8] == 1  # every neighbour is as bright as the middle
    assert texture_histogram(np.random.default_rng(0).random((128, 128), np.float32))[9] > 0.5


@pytest.mark.parametrize("encoder", [LogMel(), Mfcc()], ids=["logmel", "mfcc"])
def test_sound_statistics_tell_pitches_apart(encoder, make_sound, tmp_path):
    paths = [make_sound(tmp_path / f"{n}.wav", n // 2, level=0.2 + 0.2 * (n % 2)) for n in range(6)]
    vectors = encoder.encode(paths)
    assert vectors.shape == (6, encoder.dim)
    assert np.array_equal(nearest(vectors), np.arange(6) ^ 1)


@pytest.mark.parametrize("encoder", [LogMel(), MusiCNN(), GE2EVoice()], ids=["logmel", "musicnn", "voice"])
def test_silence_and_damage_are_refused(encoder, make_sound, make_picture, tmp_path):
    silent = make_sound(tmp_path / "silent.wav", level=0.0)
    with pytest.raises(MediaError, match="silent"):
        encoder.prepare(silent)
    with pytest.raises(MediaError):
        encoder.prepare(make_picture(tmp_path / "picture.png"))


@pytest.mark.parametrize(("frames", "windows"), [(1, 1), (186, 1), (187, 1), (188, 2), (560, 3), (562, 4)])
def test_windows_cover_every_frame(frames, windows):
    marked = np.arange(frames, dtype=np.float32)[:, None].repeat(2, axis=1)
    found = spread_windows(marked, 187)
    assert found.shape == (windows, 187, 2)
    assert set(found[..., 0].ravel()) == set(range(frames))
    assert found[-1, -1, 0] == frames - 1 or frames < 187


def test_voice_windows_are_those_of_the_authors():
    encoder = GE2EVoice()
    rng = np.random.default_rng(0)
    for seconds, count in ((0.5, 1), (1.6, 1), (3.0, 3), (4.0, 4)):
        wave = rng.standard_normal(int(16000 * seconds)).astype(np.float32) * 0.1
        assert encoder.windows(wave).shape == (count, 160, 40)


def test_a_video_is_nearest_to_another_cut_of_itself(make_video, tmp_path):
    paths = [make_video(tmp_path / f"{n}.mp4", n // 2, level=0.3 if n % 2 else None) for n in range(6)]
    vectors = VideoFrames(frames=4).encode(paths)
    assert vectors.shape == (6, 1280)
    assert np.array_equal(nearest(vectors), np.arange(6) ^ 1)


def test_a_video_without_sound_has_no_sound_vector(make_video, tmp_path):
    encoder = VideoSound()
    assert encoder.prepare(make_video(tmp_path / "mute.mp4")) is None
    assert encoder.prepare(make_video(tmp_path / "silent.mp4", level=0.0)) is None
    assert encoder.prepare(make_video(tmp_path / "loud.mp4", level=0.3)).shape[1:] == (187, 96)
    with pytest.raises(MediaError, match="without sound"):
        encoder.encode([tmp_path / "mute.mp4"])


@pytest.mark.weights
def test_sound_tracks_and_files_share_a_network(make_video, make_sound, tmp_path):
    vectors = VideoSound().encode([make_video(tmp_path / "a.mp4", level=0.3)])
    assert vectors.shape == MusiCNN().encode([make_sound(tmp_path / "a.wav")]).shape


def test_conse_agrees_with_the_formula_written_out():
    rng = np.random.default_rng(0)
    scores, names = rng.random((4, 9)), rng.standard_normal((9, 5))
    centred = names - names.mean(axis=0)
    found = conse_vectors(scores, names, top=3)
    for row in range(4):
        best = np.argsort(-scores[row])[:3]
        expected = scores[row, best] @ centred[best]
        np.testing.assert_allclose(found[row], expected / np.linalg.norm(expected), atol=1e-5)


def test_there_is_a_name_for_every_class():
    for names, count in (("imagenet_classes", 1000), ("mtt_tags", 50)):
        assert len(set(class_names(names))) == count
        assert all(name == name.strip() and name for name in class_names(names))


def test_words_need_an_encoder_that_names_classes():
    with pytest.raises(SettingError, match="names no classes"):
        Words(ColourTexture())
    with pytest.raises(SettingError, match="without a text encoder"):
        Words(EfficientNetLite0()).query_vectors(["shoe"])


def clothes(shared_data: Path, *labels: str, count: int = 12) -> tuple[list[Path], np.ndarray]:
    folder = shared_data / "clothing-images"
    with (folder / "items.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["label"] in labels]
    kept = [row for label in labels for row in [r for r in rows if r["label"] == label][:count]]
    return [folder / row["image_path"] for row in kept], np.array([row["label"] for row in kept])


@pytest.mark.shared
def test_real_clothes_are_named_and_found_by_words(shared_data):
    paths, labels = clothes(shared_data, "shoes", "t-shirt", "pants")
    encoder = EfficientNetLite0()
    vectors = encoder.encode(paths)
    named = [label[0].name for label in Words(encoder).labels(vectors, 1)]
    assert sum(name == "jersey, T-shirt" for name, label in zip(named, labels, strict=True) if label == "t-shirt") >= 9
    assert sum(name == "jeans" for name, label in zip(named, labels, strict=True) if label == "pants") >= 5
    assert Words(encoder).top_labels(paths[12], 1)[0] == Words(encoder).labels(vectors[12:13], 1)[0][0]
    words = Words(encoder, MultilingualUSE())
    for queries in (["shoes", "T-shirt", "trousers"], ["鞋", "T恤", "裤子"]):
        found = (words.text_vectors(vectors) @ words.query_vectors(queries).T).argmax(axis=1)
        right = np.array(["shoes", "t-shirt", "pants"])[found] == labels
        assert right.mean() > 0.6  # chance is 1/3


@pytest.mark.shared
@pytest.mark.weights
def test_real_voices_are_told_apart(shared_data):
    folder = shared_data / "spoken-digits-audio"
    with (folder / "items.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    speakers = sorted({row["speaker"] for row in rows})[:3]
    kept = [row for s in speakers for row in [r for r in rows if r["speaker"] == s][:5]]
    vectors = GE2EVoice().encode([folder / row["audio_path"] for row in kept])
    who = np.array([row["speaker"] for row in kept])
    assert (who[nearest(vectors)] == who).mean() > 0.9
