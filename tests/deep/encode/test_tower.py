"""Towers learn what they are given, from pictures, sounds, texts and videos, and say no where they should."""

import wave
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from PIL import Image
from scipy import sparse

from salon.arrays import nearest_rows
from salon.component import load_component
from salon.encode.lessons import Lesson
from salon.encode.tower import Tower
from salon.encode.tower_audio import AudioTower
from salon.encode.tower_image import ImageTower
from salon.encode.tower_text import TextTower
from salon.encode.tower_video import VideoTower
from salon.errors import ArtifactError, DataError, ResourceError, SettingError, WeightsError
from salon.testing import check_encoder

TINY: dict[type[Tower], dict[str, Any]] = {
    ImageTower: {"side": 16, "width": 8},
    AudioTower: {"width": 8, "depth": 1, "bands": 16, "seconds": 1},
    TextTower: {"width": 16, "depth": 1, "words": 512},
    VideoTower: {"side": 16, "frame_width": 8, "width": 8, "frames": 4},
}
QUICK = {"dim": 8, "epochs": 30, "batch_size": 16, "learning_rate": 5e-3, "holdout": 0.0, "device": "cpu"}


def quick(cls: type[Tower], **given: Any) -> Tower:
    return cls(**{**QUICK, **TINY[cls], **given})


def write_picture(path: Path, kind: int, rng: np.random.Generator) -> Path:
    """Light and dark stripes across or down, in any colours: no mean colour tells them apart."""
    place = np.mgrid[0:16, 0:16][kind] + rng.integers(8)
    light, dark = rng.integers(150, 256, 3), rng.integers(0, 100, 3)
    Image.fromarray(np.where((place // 4 % 2)[:, :, None] > 0, light, dark).astype(np.uint8)).save(path)
    return path


def write_sound(path: Path, kind: int, rng: np.random.Generator) -> Path:
    """A tone that rises or one that falls: over time the mean spectrum is the same."""
    time = np.arange(6400) / 16000
    low, high = rng.uniform(300, 400), rng.uniform(2500, 3000)
    start, stop = (low, high) if kind else (high, low)
    tone = 0.3 * np.sin(2 * np.pi * (start * time + (stop - start) * time**2 / (2 * time[-1])))
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes((tone * 32767).astype("<i2").tobytes())
    return path


def write_video(path: Path, kind: int, rng: np.random.Generator) -> Path:
    """A square that goes right or left over a grey of any level."""
    grey = int(rng.integers(60, 120))
    with av.open(str(path), "w") as file:
        film = file.add_stream("mpeg4", rate=Fraction(8))
        film.width = film.height = 32
        film.pix_fmt = "yuv420p"
        for number in range(8):
            frame = np.full((32, 32, 3), grey, np.uint8)
            at = 3 * (number if kind else 7 - number)
            frame[8:24, at : at + 10] = 240
            file.mux(film.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        file.mux(film.encode())
    return path


def text_of(kind: int, rng: np.random.Generator) -> str:
    """dog bites man, man bites dog: the same words in another order."""
    one, other = [("dog", "man"), ("man", "dog")][kind]
    filler = rng.choice(["the", "a", "that", "old"], 2)
    return f"{filler[0]} {one} bites {filler[1]} {other}"


def made(cls: type[Tower], folder: Path, n: int, seed: int = 0) -> tuple[list[Any], list[str]]:
    rng = np.random.default_rng(seed)
    kinds = [i % 2 for i in range(n)]
    write = {ImageTower: (write_picture, "png"), AudioTower: (write_sound, "wav"), VideoTower: (write_video, "mp4")}
    if cls is TextTower:
        return [text_of(kind, rng) for kind in kinds], [str(kind) for kind in kinds]
    make, ending = write[cls]
    return [make(folder / f"{seed}-{i}.{ending}", kind, rng) for i, kind in enumerate(kinds)], [str(k) for k in kinds]


def right(tower: Tower, values: list[Any], labels: list[str]) -> float:
    """How often the nearest other value has the same label."""
    vectors = tower.encode(values)
    nearest = nearest_rows(vectors, vectors, 1, skip_self=True).ids[:, 0]
    return float(np.mean([labels[i] == label for i, label in zip(nearest, labels, strict=True)]))


def taste_log(labels: list[str], people: int = 60) -> sparse.csr_array:
    """Everybody likes six things of one kind."""
    rng = np.random.default_rng(0)
    rows = np.zeros((people, len(labels)), np.float32)
    for person in range(people):
        mine = np.flatnonzero(np.array(labels) == str(person % 2))
        rows[person, rng.choice(mine, min(6, len(mine)), replace=False)] = 1
    return sparse.csr_array(rows)


@pytest.mark.parametrize("cls", TINY)
def test_towers_keep_the_contract_of_encoders(cls: type[Tower], tmp_path: Path) -> None:
    values, _ = made(cls, tmp_path, 4)
    values = values[:2] + (["a much longer text about dogs and men"] if cls is TextTower else values[2:])
    check_encoder(cls, values, **{**TINY[cls], "learn": "nothing", "dim": 8, "device": "cpu"})


VARIANTS = [
    (ImageTower, {"epochs": 15}),
    (AudioTower, {}),
    (AudioTower, {"network": "transformer", "width": 16, "epochs": 40}),
    (TextTower, {}),
    (TextTower, {"network": "lstm"}),
    (VideoTower, {"epochs": 20}),
    (VideoTower, {"network": "transformer", "epochs": 30}),
]


@pytest.mark.parametrize(("cls", "more"), VARIANTS, ids=lambda x: x.__name__ if isinstance(x, type) else str(x))
def test_towers_learn_classes_that_need_place_or_order(cls: type[Tower], more: dict[str, Any], tmp_path: Path) -> None:
    values, labels = made(cls, tmp_path, 40)
    tower = quick(cls, learn="classes", label="kind", **more).fit(values, Lesson(labels=labels))
    fresh, wanted = made(cls, tmp_path, 20, seed=1)
    assert right(tower, fresh, wanted) >= 0.9


@pytest.mark.parametrize("learn", ["softmax", "bpr"])
def test_a_tower_learns_tastes_end_to_end(learn: str, tmp_path: Path) -> None:
    values, labels = made(ImageTower, tmp_path, 40)
    tower = quick(ImageTower, learn=learn, epochs=15, holdout=0.2).fit(
        values, Lesson(positives=taste_log(labels)), rng=1
    )
    fresh, wanted = made(ImageTower, tmp_path, 20, seed=1)
    assert right(tower, fresh, wanted) >= 0.9
    assert tower.log_["score"] > 0.1


def test_the_same_seed_gives_the_same_tower(tmp_path: Path) -> None:
    values, labels = made(TextTower, tmp_path, 12)
    lesson = Lesson(labels=labels)
    settings = {"learn": "classes", "label": "kind", "epochs": 3, "augment": 1.0, "views": 3}
    one, same, other = (quick(TextTower, **settings).fit(values, lesson, rng=seed) for seed in (0, 0, 1))
    assert np.array_equal(one.encode(values), same.encode(values))
    assert one.fingerprint == same.fingerprint != other.fingerprint
    again = one.fit(values, lesson, rng=1)
    assert again.fingerprint == other.fingerprint  # fitting twice is fitting once


def test_a_saved_tower_starts_another_on_another_catalogue(tmp_path: Path) -> None:
    values, labels = made(ImageTower, tmp_path, 40)
    first = quick(ImageTower, learn="classes", label="kind", epochs=15).fit(values, Lesson(labels=labels))
    first.save(tmp_path / "saved")
    fresh, wanted = made(ImageTower, tmp_path, 20, seed=2)
    taken = quick(ImageTower, learn="nothing", start="saved", side=99).fit(fresh, Lesson(folder=tmp_path))
    assert np.array_equal(taken.encode(fresh), first.encode(fresh))  # its own side is taken over, not 99
    assert right(taken, fresh, wanted) >= 0.9
    tuned = quick(ImageTower, learn="classes", label="kind", start=str(tmp_path / "saved"), tune="head", epochs=3)
    tuned.fit(fresh, Lesson(labels=wanted))
    assert right(tuned, fresh, wanted) >= 0.9
    assert frozen_blocks(tuned, first, len(first.network_.blocks))
    assert not torch.equal(tuned.network_.head[-1].weight, first.network_.head[-1].weight)
    tuned.save(tmp_path / "tuned")
    (tmp_path / "saved").rename(tmp_path / "gone")
    loaded = load_component(tmp_path / "tuned", "encoder")
    assert np.array_equal(loaded.encode(fresh), tuned.encode(fresh))


def frozen_blocks(one: Tower, other: Tower, stop: int) -> bool:
    pairs = zip(one.network_.blocks[:stop].parameters(), other.network_.blocks[:stop].parameters(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("tune", ["last", "lora"])
def test_what_is_frozen_stays_frozen(tune: str, tmp_path: Path) -> None:
    values, labels = made(TextTower, tmp_path, 12)
    lesson = Lesson(labels=labels)
    settings = {"learn": "classes", "label": "kind", "epochs": 4, "depth": 3}
    first = quick(TextTower, **settings).fit(values, lesson)
    first.save(tmp_path / "saved")
    tuned = quick(TextTower, **settings, start=str(tmp_path / "saved"), tune=tune, layers=1).fit(values, lesson, rng=1)
    assert len(tuned.network_.blocks) == 6  # tokens, positions, three layers, pool
    assert frozen_blocks(tuned, first, 4)
    before, after = first.network_.blocks[4], tuned.network_.blocks[4]
    assert not torch.equal(before.query.weight, after.query.weight)
    assert torch.equal(before.norms[0].weight, after.norms[0].weight) == (tune == "lora")
    if tune == "lora":
        assert torch.linalg.matrix_rank(after.wide.weight - before.wide.weight) <= 4


def test_lite0_is_frozen_thawed_and_adapted(tmp_path: Path) -> None:
    values, labels = made(ImageTower, tmp_path, 12)
    lesson = Lesson(labels=labels)
    given = {"network": "lite0", "side": 32, "learn": "classes", "label": "kind", "dim": 4, "device": "cpu"}
    counts = {}
    for tune in ("head", "lora", "last"):
        tower = ImageTower(**given, epochs=2, tune=tune, layers=2, augment=0.5, views=2).fit(values, lesson)
        counts[tune] = tower.log_["trained_numbers"]
        assert tower.encode(values[:3]).shape == (3, 4)
        assert not [name for name in tower.state() if "down" in name or "up" in name]  # adapters are merged
    assert counts["head"] == 1280 * 4 + 4
    assert counts["head"] < counts["lora"] < counts["last"]


def test_minilm_starts_where_it_was_trained() -> None:
    texts = ["a small dog runs", "the puppy is running", "stock markets fell today", "shares lost value"]
    try:
        tower = TextTower(network="bert", learn="nothing", dim=16, device="cpu").fit(texts)
    except WeightsError as error:
        pytest.skip(str(error))
    assert right(tower, texts, ["0", "0", "1", "1"]) == 1.0
    assert tower.restore(tower.state()).encode(texts).shape == (4, 16)


def test_broken_media_are_left_out_of_the_lesson(tmp_path: Path) -> None:
    values, labels = made(ImageTower, tmp_path, 12)
    (tmp_path / "broken.png").write_bytes(b"no picture")
    settings = {"learn": "classes", "label": "kind", "epochs": 2}
    whole = quick(ImageTower, **settings).fit(values, Lesson(labels=labels))
    broken = quick(ImageTower, **settings).fit(
        [values[0], tmp_path / "broken.png", *values[1:]], Lesson(labels=[labels[0], "1", *labels[1:]])
    )
    assert broken.fingerprint == whole.fingerprint
    with pytest.raises(DataError, match="0 of 2 values can be used"):
        quick(ImageTower, **settings).fit([tmp_path / "broken.png"] * 2, Lesson(labels=["0", "1"]))


def test_what_cannot_be_is_told_before_it_is_tried(tmp_path: Path) -> None:
    values, labels = made(TextTower, tmp_path, 8)
    lesson = Lesson(labels=labels)
    with pytest.raises(DataError, match="learns from events"):
        quick(TextTower).fit(values)
    with pytest.raises(DataError, match="8 labels for 7 values"):
        quick(TextTower, learn="classes", label="kind").fit(values[:7], lesson)
    with pytest.raises(SettingError, match="needs a label"):
        quick(TextTower, learn="classes").fit(values, lesson)
    with pytest.raises(SettingError, match="as random as it starts"):
        quick(TextTower, learn="classes", label="kind", tune="lora").fit(values, lesson)
    with pytest.raises(SettingError, match="processes"):
        quick(TextTower, processes=2)
    with pytest.raises(ArtifactError, match="not an artefact"):
        quick(TextTower, learn="nothing", start="nowhere").fit(values)
    pictures, _ = made(ImageTower, tmp_path, 4)
    quick(ImageTower, learn="nothing").fit(pictures).save(tmp_path / "pictures")
    with pytest.raises(ArtifactError, match="a ImageTower, not a TextTower"):
        quick(TextTower, learn="nothing", start=str(tmp_path / "pictures")).fit(values)
    with pytest.raises(ResourceError, match="memory_mb is 1"):
        quick(ImageTower, side=512, memory_mb=1, learn="classes", label="k").fit(pictures, Lesson(labels=list("0101")))


def test_an_lstm_has_nothing_to_adapt(tmp_path: Path) -> None:
    values, labels = made(TextTower, tmp_path, 8)
    quick(TextTower, network="lstm", learn="nothing").fit(values).save(tmp_path / "saved")
    tower = quick(TextTower, learn="classes", label="kind", start=str(tmp_path / "saved"), tune="lora", layers=1)
    with pytest.raises(SettingError, match="no linear map to adapt"):
        tower.fit(values, Lesson(labels=labels))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_gpu_that_is_not_there_is_told(tmp_path: Path) -> None:
    values, _ = made(TextTower, tmp_path, 4)
    with pytest.raises(SettingError, match="'cuda' is not on this machine"):
        quick(TextTower, learn="nothing", device="cuda").fit(values)


def test_training_that_runs_away_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values, labels = made(AudioTower, tmp_path, 8)
    tower = quick(AudioTower, learn="classes", label="kind")
    monkeypatch.setattr(AudioTower, "example", lambda self, read, shape: np.full((5, 32), np.nan, np.float32))
    with pytest.raises(DataError, match="loss of epoch 1 is nan"):
        tower.fit(values, Lesson(labels=labels))
    assert not tower.is_fitted
