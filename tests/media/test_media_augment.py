"""Augmentation of pictures, texts and sounds: known answers, seeds, what is kept, and hostile values."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from media_makers import tone
from PIL import Image

from salon.config import build
from salon.data.ids import IdMap
from salon.data.items import Field, Items
from salon.errors import DataError, SettingError
from salon.evaluate.augmented import augmented_examples, write_augmented
from salon.media import augment_audio as sound
from salon.media import augment_image as picture
from salon.media.augment import (
    AudioAugmentation,
    Augment,
    Augmentation,
    ImageAugmentation,
    TextAugmentation,
    augment_audio,
    augment_image,
    augment_text,
)
from salon.media.augment_templates import rephrase
from salon.media.augment_text import delete_words, replace_synonyms, swap_words, synonyms_of
from salon.media.words import is_chinese, pieces, tokenise
from salon.types import Modality

RATE = 16000
ENGLISH = "A quiet film about the sea and love, directed by Tom's friend."
CHINESE = "虽然这部电影很安静，但是画面非常美丽，适合全家一起观看。"


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def quarters(side: int = 8) -> np.ndarray:
    """Red, green over blue, white: four squares of `side`."""
    colours = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [255, 255, 255]]], np.uint8)
    return colours.repeat(side, axis=0).repeat(side, axis=1)


# -- pictures --------------------------------------------------------------------------------------------------------


def test_a_quarter_turn_and_a_flip_put_the_squares_where_they_belong() -> None:
    image = Image.fromarray(quarters())
    np.testing.assert_array_equal(np.array(picture.rotate(image, 90)), np.rot90(quarters()))
    np.testing.assert_array_equal(np.array(picture.flip(image)), quarters()[:, ::-1])


def test_a_zoom_by_two_shows_the_middle_and_by_a_half_lays_the_rim_bare() -> None:
    image = Image.fromarray(quarters())
    inner = np.array(picture.scale(image, 2.0))
    np.testing.assert_array_equal(inner[[0, 0, -1, -1], [0, -1, 0, -1]], quarters()[[0, 0, -1, -1], [0, -1, 0, -1]])
    outer = np.array(picture.scale(image, 0.5, fill=7))
    assert (outer[0] == 7).all()
    np.testing.assert_array_equal(outer[5, 5], [255, 0, 0])


def test_colours_change_as_stated() -> None:
    grey = np.full((4, 4, 3), 100, np.uint8)
    assert np.array(picture.recolour(Image.fromarray(grey), 1.5, 1, 1)).max() == 150
    assert np.array(picture.recolour(Image.fromarray(quarters()), 1, 1, 0)).std(axis=2).max() == 0
    third = np.array(picture.turn_hue(Image.fromarray(quarters()), 1 / 3))
    assert third[0, 0].argmax() == 1  # red became green
    assert third[0, -1].argmax() == 2  # green became blue
    np.testing.assert_array_equal(third[-1, -1], [255, 255, 255])


@settings(max_examples=40)
@given(st.integers(1, 30), st.integers(1, 30), st.integers(0, 2**32), st.floats(0, 4))
def test_any_picture_keeps_its_size_and_kind(height: int, width: int, seed: int, strength: float) -> None:
    given_picture = rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    before = given_picture.copy()
    chosen = ImageAugmentation(strength=strength)
    one = augment_image(given_picture, rng(seed), chosen)
    assert (one.shape, one.dtype) == (before.shape, np.uint8)
    np.testing.assert_array_equal(given_picture, before)
    np.testing.assert_array_equal(one, augment_image(given_picture, rng(seed), chosen))
    pillow = augment_image(Image.fromarray(given_picture), rng(seed), chosen)
    np.testing.assert_array_equal(np.array(pillow), one)


def test_pictures_change_with_the_seed_and_not_at_strength_zero() -> None:
    image = quarters()
    assert len({augment_image(image, rng(seed)).tobytes() for seed in range(10)}) > 5
    for seed in range(5):
        np.testing.assert_array_equal(augment_image(image, rng(seed), ImageAugmentation(strength=0)), image)


@pytest.mark.parametrize("wrong", [np.zeros((0, 4, 3), np.uint8), np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3))])
def test_what_is_no_picture_is_told(wrong: np.ndarray) -> None:
    with pytest.raises(DataError, match="A picture is"):
        augment_image(wrong, rng())


# -- texts -----------------------------------------------------------------------------------------------------------


@settings(max_examples=60)
@given(st.text(max_size=80) | st.sampled_from([ENGLISH, CHINESE]), st.integers(0, 2**32), st.floats(0, 4))
def test_any_text_keeps_a_word_and_the_seed_decides(text: str, seed: int, strength: float) -> None:
    chosen = TextAugmentation(strength=strength, delete=0.9, delete_probability=1)
    one = augment_text(text, rng(seed), chosen)
    assert one == augment_text(text, rng(seed), chosen)
    if tokenise(text):
        assert tokenise(one)
    if strength == 0:
        assert one == text


@settings(max_examples=60)
@given(st.text(max_size=80), st.sampled_from(["en", "zh", "other"]))
def test_pieces_joined_are_the_text(text: str, language: str) -> None:
    assert "".join(piece for piece, _ in pieces(text, language)) == text  # type: ignore[arg-type]


def test_long_runs_of_chinese_are_cut_without_loss() -> None:
    text = "的" * 2500 + "电影"
    assert "".join(piece for piece, _ in pieces(text, "zh")) == text


@pytest.mark.parametrize("seed", range(20))
def test_a_chinese_sentence_stays_chinese_and_an_english_one_english(seed: int) -> None:
    chosen = TextAugmentation(strength=2)
    assert is_chinese(augment_text(CHINESE, rng(seed), chosen), share=0.9)
    assert augment_text(ENGLISH, rng(seed), chosen).isascii()


def test_words_are_replaced_by_words_of_their_group_with_their_capitals() -> None:
    known = synonyms_of("en")
    assert "movie" in known["film"]
    assert "film" not in known["film"]
    found = {replace_synonyms("Film, FILM and film!", rng(seed), 1, {"film": ("movie",)}, "en") for seed in range(3)}
    assert found == {"Movie, MOVIE and movie!"}
    for seed in range(10):
        words = tokenise(replace_synonyms(CHINESE, rng(seed), 1, synonyms_of("zh"), "zh"))
        assert "电影" not in words
        assert words != tokenise(CHINESE)


def test_own_synonyms_join_the_shipped_ones() -> None:
    chosen = TextAugmentation(groups=(("zorp", "blip"),), synonyms=1, synonyms_probability=1, template_probability=0)
    quiet = chosen.model_copy(update={"delete": 0.0, "swap": 0.0})
    assert augment_text("the zorp here", rng(), quiet) == "the blip here"
    with pytest.raises(SettingError, match="two words or more"):
        build(TextAugmentation, {"groups": [["alone"]]})


@pytest.mark.parametrize(("text", "language"), [(ENGLISH, "en"), (CHINESE, "zh"), ("Ünter den Linden", "other")])
def test_swapping_keeps_the_words_and_deleting_keeps_their_order(text: str, language: str) -> None:
    words = [piece for piece, is_word in pieces(text, language) if is_word]  # type: ignore[arg-type]
    for seed in range(10):
        swapped = swap_words(text, rng(seed), 0.5, language)  # type: ignore[arg-type]
        assert Counter(swapped) == Counter(text)
        left = iter(words)
        kept = [p for p, is_word in pieces(delete_words(text, rng(seed), 0.5, language), "en") if is_word]
        assert language == "zh" or all(word in left for word in kept)
    assert len(tokenise(delete_words(text, rng(), 1.0, language))) == 1  # type: ignore[arg-type]
    assert delete_words("red, blue (green)!", rng(3), 0.0, "en") == "red, blue (green)!"


def test_no_blank_is_left_before_a_comma() -> None:
    for seed in range(30):
        text = delete_words(ENGLISH, rng(seed), 0.5, "en")
        assert " ," not in text
        assert "  " not in text
        assert text == text.strip()


def test_templates_lead_there_and_back() -> None:
    assert rephrase("因为便宜，所以好卖", rng(), "zh") == "之所以好卖，是因为便宜"
    assert rephrase("之所以好卖，是因为便宜", rng(), "zh") == "因为便宜，所以好卖"
    assert rephrase("love and war", rng(), "en") == "war and love"
    assert rephrase("Plain chair", rng(), "en").endswith("Plain chair")
    assert rephrase("Ünter den Linden", rng(), "other") == "Ünter den Linden"
    assert rephrase("!?", rng(), "en") == "!?"


# -- sounds ----------------------------------------------------------------------------------------------------------


def loudest_hz(wave: np.ndarray) -> float:
    return float(np.abs(np.fft.rfft(wave * np.hanning(len(wave)))).argmax() * RATE / len(wave))


@pytest.mark.parametrize("semitones", [-12, -5, -0.5, 3, 7, 12])
def test_pitch_moves_by_semitones_and_duration_and_loudness_stay(semitones: float) -> None:
    wave = tone(1.0)
    moved = sound.shift_pitch(wave, semitones)
    assert (moved.dtype, len(moved)) == (np.float32, len(wave))
    assert abs(loudest_hz(moved) - 440 * 2 ** (semitones / 12)) < 1.5
    assert np.sqrt(np.mean(moved**2)) == pytest.approx(np.sqrt(np.mean(wave**2)), rel=0.05)


@pytest.mark.parametrize("factor", [0.5, 0.8, 1.25, 2.0])
def test_speed_divides_the_duration_and_stretching_multiplies_it(factor: float) -> None:
    wave = tone(1.0)
    fast, long = sound.change_speed(wave, factor), sound.stretch(wave, factor)
    assert (len(fast), len(long)) == (round(RATE / factor), round(RATE * factor))
    assert abs(loudest_hz(fast) - 440 * factor) < 3
    assert abs(loudest_hz(long) - 440) < 3


def test_an_echo_comes_after_its_delay_and_noise_has_its_level() -> None:
    click = np.zeros(100, np.float32)
    click[3] = 1
    heard = sound.add_echo(click, 40, 0.5)
    assert np.flatnonzero(heard).tolist() == [3, 43]
    assert heard[43] == 0.5
    np.testing.assert_array_equal(sound.add_echo(click, 200, 0.5), click)
    wave = tone(2.0)
    noise = sound.add_noise(wave, 0.1, rng()) - wave
    assert noise.std() == pytest.approx(0.1 * np.sqrt(np.mean(wave**2)), rel=0.02)


@settings(max_examples=30)
@given(st.integers(0, 5000), st.integers(0, 2**32), st.floats(0, 4), st.floats(0, 2))
def test_any_sound_stays_within_one(length: int, seed: int, strength: float, level: float) -> None:
    wave = (level * rng(seed).standard_normal(length)).astype(np.float32).clip(-1, 1)
    chosen = AudioAugmentation(strength=strength)
    one = augment_audio(wave, RATE, rng(seed), chosen)
    assert one.dtype == np.float32
    assert np.isfinite(one).all()
    assert np.abs(one).max(initial=0) <= 1
    np.testing.assert_array_equal(one, augment_audio(wave, RATE, rng(seed), chosen))
    if strength == 0:
        np.testing.assert_array_equal(one, wave)


def test_silence_stays_silent_and_what_is_no_sound_is_told() -> None:
    loud = AudioAugmentation(strength=4)
    for seed in range(5):
        assert not augment_audio(np.zeros(3000, np.float32), RATE, rng(seed), loud).any()
    for wrong in (np.zeros((4, 2)), np.array([0.0, np.nan])):
        with pytest.raises(DataError, match="finite numbers"):
            augment_audio(wrong, RATE, rng())  # type: ignore[arg-type]
    with pytest.raises(DataError, match="rate 0"):
        augment_audio(tone(), 0, rng())
    with pytest.raises(DataError, match="factor"):
        sound.change_speed(tone(), 9)


# -- together --------------------------------------------------------------------------------------------------------


def test_one_object_augments_every_kind_and_refuses_others() -> None:
    augment = Augment(Augmentation(text=TextAugmentation(strength=0)))
    assert augment(Modality.TEXT, ENGLISH, rng()) == ENGLISH
    np.testing.assert_array_equal(augment(Modality.IMAGE, quarters(), rng(3)), augment_image(quarters(), rng(3)))
    np.testing.assert_array_equal(augment(Modality.AUDIO, tone(), rng(3)), augment_audio(tone(), RATE, rng(3)))
    with pytest.raises(SettingError, match="no augmentation of number"):
        augment(Modality.NUMBER, 3.0, rng())


def test_the_page_holds_originals_and_copies_and_escapes_titles(tmp_path: Path) -> None:
    Image.fromarray(quarters()).save(tmp_path / "a.png")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    fields = {
        "name": Field.of("name", "text", ["<script>alert(1)</script> chair", "Red sofa"]),
        "photo": Field.of("photo", "image", ["a.png", "broken.png"]),
    }
    examples = augmented_examples(Items(IdMap(["a", "b"]), fields, tmp_path), Augmentation(), copies=2)
    assert [(one.field, len(one.copies)) for one in examples] == [("name", 2), ("name", 2), ("photo", 2)]
    write_augmented(tmp_path / "new" / "page.html", examples, Augmentation(), name="toys")
    page = (tmp_path / "new" / "page.html").read_text(encoding="utf-8")
    assert page.count("data:image/jpeg;base64,") == 3
    assert "<script>" not in page
    assert "Red sofa" in page
    with pytest.raises(DataError, match="no text, picture or sound"):
        augmented_examples(Items(IdMap(["a"]), {}, tmp_path), Augmentation())


def test_check_shows_augmentation(make_shop: Callable[..., Path], tmp_path: Path) -> None:
    shop, page = make_shop(tmp_path), tmp_path / "o" / "augmentation.html"
    program = [sys.executable, "-m", "salon", "check", str(shop), "--show-augmentation"]
    run = subprocess.run(program, check=True, capture_output=True, text=True, timeout=120)
    assert "original" in run.stdout
    assert "--out" in run.stdout
    more = ["--strength", "0", "--out", str(page.parent), "--json"]
    run = subprocess.run([*program, *more], check=True, capture_output=True, text=True, timeout=120)
    told = json.loads(run.stdout)
    assert told["page"] == str(page)
    assert told["texts"]
    assert all(copy == one["original"] for one in told["texts"] for copy in one["copies"])
    assert page.is_file()
