"""Encoding a catalogue: what is encoded once stays, what is broken is masked and named, a kill loses one batch."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
import time

import numpy as np
import pytest

from salon.encode.cache import VectorCache
from salon.encode.classic import Hashing
from salon.encode.plan import plan
from salon.encode.run import CatalogueEncoder, encode_items
from salon.encode.worker import pool
from salon.errors import ArtifactError, ResourceError, SettingError

CHEAP = {"text": "hashing", "image": "colour", "audio": "mfcc"}


@pytest.fixture
def shop(make_items, make_picture, make_sound, tmp_path):
    """Five items: texts, pictures (one broken, one absent, two equal), sounds, labels, prices."""
    for seed in range(3):
        make_picture(tmp_path / f"{seed}.png", seed)
    (tmp_path / "copy.png").write_bytes((tmp_path / "0.png").read_bytes())
    (tmp_path / "broken.png").write_bytes((tmp_path / "1.png").read_bytes()[:60])
    make_sound(tmp_path / "a.wav")
    make_sound(tmp_path / "silent.wav", level=0.0)
    return make_items(
        tmp_path,
        title=("text", ["red shoe", "blue hat", "red shoe", "", "!!!"]),
        about=("text", ["Nice.", None, "Nice.", None, None]),
        photo=("image", ["0.png", "broken.png", "copy.png", "../secret.png", "gone.png"]),
        clip=("audio", ["a.wav", "silent.wav", None, None, None]),
        kind=("category", [("shoe",), ("hat",), ("shoe",), ("hat", "new"), None]),
        price=("number", [1.0, 2.0, None, 4.0, 5.0]),
        given=("vector", [[1, 2], [3, 4], None, [5, 6], [7, 8]]),
    )


def test_every_modality_gets_features_and_what_is_broken_is_named(shop):
    features, problems = encode_items(shop, CHEAP)
    assert list(features) == ["text", "image", "audio", "category", "number", "vector"]
    assert features["text"].present.tolist() == [True, True, True, False, False]
    assert features["image"].present.tolist() == [True, False, True, False, False]
    assert features["audio"].present.tolist() == [True, False, False, False, False]
    assert features["category"].present.tolist() == [True, True, True, True, False]
    assert features["number"].present.tolist() == [True, True, False, True, True]
    assert not features["image"].vectors[[1, 3, 4]].any()
    named = {(p.id, p.field): p.reason for p in problems}
    assert set(named) == {
        ("item-1", "photo"), ("item-3", "photo"), ("item-4", "photo"), ("item-1", "clip"), ("item-4", "title, about"),
    }  # fmt: skip
    assert "climbs out" in named["item-3", "photo"]
    assert "cannot be opened" in named["item-4", "photo"]
    assert "silent" in named["item-1", "clip"]


def test_equal_contents_are_encoded_once_and_both_items_exist(shop):
    cache = VectorCache(None)
    features, _ = encode_items(shop, CHEAP, cache)
    assert np.array_equal(features["image"].vectors[0], features["image"].vectors[2])
    noted = cache.contents("image")
    assert noted["item-0"] == noted["item-2"]
    assert len(cache) == 4  # two texts, one picture, one sound


def test_a_second_run_takes_everything_from_the_cache(shop, tmp_path, monkeypatch):
    with VectorCache(tmp_path / "vectors.sqlite") as cache:
        before, _ = encode_items(shop, CHEAP, cache)
    monkeypatch.setattr(Hashing, "embed", lambda *_: pytest.fail("encoded again"))
    seen = []
    with VectorCache(tmp_path / "vectors.sqlite") as cache:
        after, _ = encode_items(shop.take(np.array([0, 1, 2])), CHEAP, cache, progress=lambda *s: seen.append(s))
    assert np.array_equal(before["text"].vectors[:3], after["text"].vectors)
    assert (2, 2, "text") in seen
    assert all(done <= total for done, total, _ in seen)


def test_another_encoder_never_gets_these_vectors(shop):
    cache = VectorCache(None)
    one, _ = encode_items(shop, CHEAP, cache)
    other, _ = encode_items(shop, {**CHEAP, "text": {"name": "hashing", "dim": 64}}, cache)
    assert one["text"].dim == 512
    assert other["text"].dim == 64
    assert one["text"].fingerprint != other["text"].fingerprint


def test_workers_give_the_same_features_and_problems(shop):
    alone, parallel = (encode_items(shop, CHEAP, workers=workers) for workers in (1, 2))
    assert list(alone.features) == list(parallel.features)
    for name in alone.features:
        np.testing.assert_allclose(alone.features[name].vectors, parallel.features[name].vectors, atol=1e-6)
    assert sorted(map(str, alone.problems)) == sorted(map(str, parallel.problems))


def test_fitted_encoders_are_saved_for_items_that_come_later(shop, tmp_path):
    encoders = CatalogueEncoder.of(shop, {**CHEAP, "text": "tfidf"}).fit(shop)
    before, _ = encoders.encode(shop)
    (tmp_path / "saved").mkdir()
    encoders.write(tmp_path / "saved")
    again = CatalogueEncoder.read(tmp_path / "saved")
    later, _ = again.encode(shop.take(np.array([2, 0])))
    for name in before:
        assert np.array_equal(later[name].vectors, before[name].vectors[[2, 0]])
        before[name].check_same_space(later[name])
    (tmp_path / "saved" / "encoders.json").write_text('[{"name": "text"}]')
    with pytest.raises(ArtifactError):
        CatalogueEncoder.read(tmp_path / "saved")


def test_fields_are_joined_or_kept_apart_as_declared(make_items):
    items = make_items(
        title=("text", ["Shoe.", "Hat"]),
        about=("text", ["Red", None]),
        front=("image", ["a.png", None]),
        back=("image", ["b.png", None]),
        kind=("category", [("a",), ("b",)]),
        maker=("category", [("x",), None]),
    )
    parts = {part.name: part for part in plan(items)}
    assert list(parts) == ["text", "image:front", "image:back", "category"]
    assert parts["text"].values(items) == ["Shoe. Red", "Hat"]
    assert parts["category"].values(items) == [("kind: a", "maker: x"), ("kind: b",)]
    apart = {part.name: part.fields for part in plan(items, {"about": "hashing", "back": None})}
    assert apart == {
        "text": ("title",), "text:about": ("about",), "image:front": ("front",), "category": ("kind", "maker"),
    }  # fmt: skip
    several = [part.name for part in plan(items, {"front": ["lite0", "colour"], "category": None})]
    assert several == ["text", "image:front", "image:front-colour", "image:back"]
    for wrong in ({"photo": "lite0"}, {"text": "lite0"}, {"text": 3}, {"text": "hashin"}):
        with pytest.raises(SettingError):
            plan(items, wrong)


def test_a_number_field_without_any_value_costs_only_itself(make_items):
    items = make_items(price=("number", [1.0, 2.0, None]), weight=("number", [None, None, None]))
    encoders = CatalogueEncoder.of(items).fit(items)
    assert [part.fields for part in encoders.parts] == [("price",)]
    found = encoders.encode(items).features["number"]
    assert found.present.tolist() == [True, True, False]
    empty = make_items(weight=("number", [None, None, None]))
    assert not CatalogueEncoder.of(empty).fit(empty).parts


def test_video_has_frames_and_sound_as_features_of_their_own(make_items, make_video, tmp_path):
    make_video(tmp_path / "a.mp4", 0)
    items = make_items(tmp_path, film=("video", ["a.mp4", None]))
    assert [part.name for part in plan(items)] == ["video", "video-sound"]
    features, problems = encode_items(items, {"video": [{"name": "video", "frames": 2}, "video-sound"]})
    assert features["video"].present.tolist() == [True, False]
    assert not features["video-sound"].present.any()
    assert problems == []


def kill_the_workers_and_go_on() -> None:
    with pool({"t": Hashing()}, 2) as submit:
        assert len(submit("t", ["red shoe"]).result().vectors) == 1
        for child in multiprocessing.active_children():
            child.kill()
            child.join()
        submit("t", ["blue hat"]).result()


def test_a_killed_worker_is_our_error():
    with pytest.raises(ResourceError, match="worker process ended"):
        kill_the_workers_and_go_on()


SLOW = """
import sys, time
import numpy as np
from salon.data.ids import IdMap
from salon.data.items import Field, Items
from salon.encode import run
from salon.encode.cache import VectorCache
from salon.encode.classic import Hashing

embed = Hashing.embed
def slow(self, batch):
    time.sleep(0.1)
    return embed(self, batch)
Hashing.embed = slow
run.BATCH["text"] = 4
texts = [f"word{i} thing{i}" for i in range(200)]
items = Items(IdMap([str(i) for i in range(200)]), {"t": Field.of("t", "text", texts)})
step = lambda done, total, what: print(done, flush=True)
run.encode_items(items, {"text": "hashing"}, VectorCache(sys.argv[1]), progress=step)
"""


def test_a_kill_in_the_middle_loses_at_most_the_batch_in_hand(make_items, tmp_path):
    path = tmp_path / "vectors.sqlite"
    process = subprocess.Popen([sys.executable, "-c", SLOW, str(path)], stdout=subprocess.PIPE, text=True)
    done = 0
    while done < 20:
        line = process.stdout.readline()
        assert line, "the run ended before it was killed"
        done = int(line)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    kept = len(VectorCache(path))
    assert done <= kept <= done + 8
    assert kept < 200
    texts = [f"word{i} thing{i}" for i in range(200)]
    items = make_items(t=("text", texts))
    seen = []
    with VectorCache(path) as cache:
        resumed, _ = encode_items(items, {"text": "hashing"}, cache, progress=lambda *s: seen.append(s[0]))
    assert seen[0] == kept
    fresh, _ = encode_items(items, {"text": "hashing"})
    assert np.array_equal(resumed["text"].vectors, fresh["text"].vectors)


def test_the_cache_keeps_its_size_and_forgets_items(tmp_path):
    rng = np.random.default_rng(0)
    with VectorCache(tmp_path / "v.sqlite", max_bytes=200_000) as cache:
        for number in range(20):
            cache.put("e", {bytes([number]) * 32: rng.random(5000, np.float32)})
        assert cache.trim() > 0
        assert cache.size() <= 200_000
        assert bytes([19]) * 32 in cache.get("e", [bytes([19]) * 32])
        assert not cache.get("e", [bytes(32)])
        cache.note("text", {"a": bytes([19]) * 32, "b": bytes([19]) * 32})
        cache.forget(["a"])
        assert cache.get("e", [bytes([19]) * 32])
        cache.forget(["b"])
        assert not cache.get("e", [bytes([19]) * 32])


def test_a_foreign_or_damaged_cache_is_refused(tmp_path):
    (tmp_path / "v.sqlite").write_bytes(b"not a database, but long enough to look at" * 10)
    with pytest.raises(ArtifactError, match="damaged"):
        len(VectorCache(tmp_path / "v.sqlite"))
    newer = sqlite3.connect(tmp_path / "w.sqlite")
    newer.execute("PRAGMA user_version = 99")
    newer.close()
    with pytest.raises(ArtifactError, match="format 99"):
        len(VectorCache(tmp_path / "w.sqlite"))


def test_two_writers_share_a_cache(tmp_path):
    one, other = VectorCache(tmp_path / "v.sqlite"), VectorCache(tmp_path / "v.sqlite")
    start = time.monotonic()
    for number in range(30):
        one.put("e", {bytes([number]) * 32: np.ones(3, np.float32)})
        other.put(
            "e", {bytes([number]) * 32: np.zeros(3, np.float32), bytes([99, number]) * 16: np.ones(3, np.float32)}
        )
    assert len(one) == len(other) == 60
    assert other.get("e", [bytes(32)])[bytes(32)].tolist() == [1, 1, 1]
    assert time.monotonic() - start < 20
    one.close()
    other.close()
