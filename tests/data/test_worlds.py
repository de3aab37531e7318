"""The drawn shop: the same bytes for the same seed, media that decode, truth that is true, problems where it says."""

import csv
import hashlib
import wave
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from scipy import sparse

from salon.arrays import top_k
from salon.config import build, read_toml
from salon.data import Dataset, Holdout, Queries
from salon.data.catalogue import EventsSource, ItemsSource, UsersSource, read_dataset
from salon.data.world_items import plan_items
from salon.data.world_sound import MOODS, tune
from salon.data.worlds import World, draw_shop, ranking_quality
from salon.errors import DataError, SettingError
from salon.metrics import hit_matrix, ndcg, recall, relevant_counts

ITEMS, PEOPLE = 50, 150


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return draw_shop(tmp_path_factory.mktemp("shop"), seed=4, items=ITEMS, people=PEOPLE)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def load(world: World) -> tuple[Dataset, int]:
    """The shop as salon reads it, and the number of rejected rows."""
    tables = read_toml(world.catalogue)
    found = read_dataset(
        build(ItemsSource, tables["items"]),
        build(EventsSource, tables["events"]),
        build(UsersSource, tables["users"]),
        world.folder,
    )
    return found.dataset, len(found.rejects.rows)


def last_fifth(data: Dataset) -> Holdout:
    """The last fifth of the items that each person liked, without those of earlier actions."""
    queries = data.queries()
    histories, targets = [], sparse.lil_array((len(queries), data.n_items))
    for user in range(len(queries)):
        history = queries.items[queries.indptr[user] : queries.indptr[user + 1]]
        cut = max(len(history) - max(len(history) // 5, 1), 1)
        histories.append([int(i) for i in history[:cut]])
        liked = queries.weights[queries.indptr[user] : queries.indptr[user + 1]][cut:] > 0
        for item in history[cut:][liked]:
            targets[user, item] = 1
    asked = Queries.from_lists(histories)
    asked = Queries(asked.indptr, asked.items, asked.weights, queries.users)
    return Holdout(asked, sparse.csr_array(targets))


def digests(folder: Path) -> dict[str, str]:
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def test_the_same_seed_gives_the_same_bytes(world: World, tmp_path: Path) -> None:
    again = draw_shop(tmp_path / "again", seed=4, items=ITEMS, people=PEOPLE)
    assert len(digests(world.folder)) > ITEMS
    assert digests(again.folder) == digests(world.folder)
    np.testing.assert_array_equal(again.appeal, world.appeal)
    assert again.planted == world.planted


def test_another_seed_gives_another_shop() -> None:
    assert plan_items(4, ITEMS).labels != plan_items(5, ITEMS).labels


def test_all_media_that_are_named_are_there_and_decode(world: World) -> None:
    broken = set(world.planted["truncated"])
    seen = {"image": 0, "audio": 0, "video": 0}
    for row in rows_of(world.folder / "items.csv"):
        for what in seen:
            seen[what] += bool(row[what])
            assert not row[what] or (world.folder / row[what]).is_file()
        if row["image"] and row["id"] not in broken:
            with Image.open(world.folder / row["image"]) as picture:
                assert picture.size == (256, 256)
                assert np.asarray(picture).std() > 10
        if row["audio"]:
            with wave.open(str(world.folder / row["audio"])) as sound:
                samples = np.frombuffer(sound.readframes(sound.getnframes()), "<i2")
                assert 2 <= sound.getnframes() / sound.getframerate() <= 3
            assert np.abs(samples).max() > 20_000
        if row["video"]:
            with av.open(str(world.folder / row["video"])) as film:
                shots = [frame.to_ndarray(format="gray") for frame in film.decode(video=0)]
            assert len(shots) > 20
            assert max(np.abs(shots[0].astype(float) - s).mean() for s in shots) > 1
    assert min(seen.values()) >= 5
    assert sum(p.stat().st_size for p in world.folder.rglob("*") if p.is_file()) < 40e6 * ITEMS / 320


def test_what_is_missing_is_missing_in_the_tables(world: World) -> None:
    rows = rows_of(world.folder / "items.csv")
    for what, column in (
        ("text", "name"),
        ("image", "image"),
        ("audio", "audio"),
        ("video", "video"),
        ("kind", "kind"),
    ):
        assert {r["id"] for r in rows if not r[column]} == set(world.missing[what])
        assert world.missing[what]


def test_texts_are_english_and_chinese_and_half_keep_quiet_about_colour(world: World) -> None:
    rows = [r for r in rows_of(world.folder / "items.csv") if r["name"]]
    chinese = [any("\u4e00" <= c <= "\u9fff" for c in r["name"]) for r in rows]
    assert 0.1 < np.mean(chinese) < 0.45
    told = [r["name"].split()[0] in ("Plain", "Striped", "Polka-dot", "Checked", "Zigzag", "Starry") for r in rows]
    assert 0.3 < np.mean(np.array(told)[~np.array(chinese)]) < 0.7


def test_the_planted_problems_are_there(world: World) -> None:
    items = {r["id"]: r for r in rows_of(world.folder / "items.csv")}
    (cut,) = world.planted["truncated"]
    with pytest.raises(OSError, match="truncated"), Image.open(world.folder / items[cut]["image"]) as picture:
        picture.load()
    original, copy = (items[name] for name in world.planted["duplicate"])
    assert (original["name"], original["description"]) == (copy["name"], copy["description"])
    assert (world.folder / original["image"]).read_bytes() == (world.folder / copy["image"]).read_bytes()
    original, near = (items[name] for name in world.planted["near_duplicate"])
    assert original["description"] != near["description"]
    pixels = [np.asarray(Image.open(world.folder / r["image"])).astype(float) for r in (original, near)]
    assert 0 < np.abs(pixels[0] - pixels[1]).mean() < 6
    (stray,) = world.planted["unknown_item"]
    assert stray not in items
    assert sum(r["item"] == stray for r in rows_of(world.folder / "events.csv")) == 1


def test_salon_reads_the_shop_and_rejects_only_the_stray_event(world: World) -> None:
    data, rejected = load(world)
    assert (data.n_items, data.n_users, rejected) == (ITEMS, PEOPLE, 1)
    assert data.events.shown.any()
    assert (data.events.weights < 0).any()
    assert set(np.unique(data.events.weights)) == {-1.0, 0.0, 1.0, 3.0}


def test_new_items_are_untouched_and_the_others_mostly_are_not(world: World) -> None:
    data, _ = load(world)
    truth = world.aligned(data.items.ids, data.users.ids)
    acted = np.zeros(data.n_items, bool)
    acted[data.events.items] = True
    assert len(truth.new_items) == ITEMS // 10
    assert not acted[truth.new_items].any()
    assert acted.sum() == ITEMS - len(truth.new_items)


def test_true_appeal_beats_popularity_by_far_and_agrees_with_the_metrics(world: World) -> None:
    data, _ = load(world)
    truth = world.aligned(data.items.ids, data.users.ids)
    holdout = last_fifth(data)
    best = truth.best_possible(holdout, 10)
    counts = holdout.queries.positives(data.n_items).sum(axis=0)
    popular = ranking_quality(np.tile(np.asarray(counts, np.float32), (len(holdout), 1)), holdout, 10)
    assert best["ndcg"] > 1.4 * popular["ndcg"]
    assert best["recall"] > popular["recall"] + 0.15
    seen = holdout.queries.seen(data.n_items).toarray() > 0
    found = top_k(np.where(seen, -np.inf, truth.scores(holdout.queries.users)), 10)
    relevant = relevant_counts(holdout.targets)
    hits = hit_matrix(found.ids, holdout.targets)
    assert best["ndcg"] == pytest.approx(ndcg(hits, relevant, 10)[relevant > 0].mean())
    assert best["recall"] == pytest.approx(recall(hits, relevant, 10)[relevant > 0].mean())


@pytest.mark.parametrize("group", ["kind", "colour", "pattern", "occasion", "mood", "motion"])
def test_every_group_of_traits_moves_people(world: World, group: str) -> None:
    data, _ = load(world)
    truth = world.aligned(data.items.ids, data.users.ids)
    holdout = last_fifth(data)
    without = np.array([not name.startswith(f"{group}:") for name in truth.trait_names])
    blind = truth.tastes[:, without] @ truth.traits[:, without].T
    whole = truth.tastes @ truth.traits.T
    assert ranking_quality(blind, holdout, 10)["ndcg"] < ranking_quality(whole, holdout, 10)["ndcg"]


def test_appeal_is_taste_times_traits_and_a_stranger_gets_the_mean(world: World) -> None:
    quality = world.appeal - world.tastes @ world.traits.T
    np.testing.assert_allclose(quality, np.tile(quality[:1], (PEOPLE, 1)), atol=1e-4)
    np.testing.assert_allclose(world.scores(np.array([-1]))[0], world.appeal.mean(axis=0), rtol=1e-5)
    assert (world.tastes != 0).mean() < 0.35
    trait, weight = world.likes(0)[0]
    assert weight == pytest.approx(np.abs(world.tastes[0]).max())
    assert trait in world.trait_names


def test_quick_moods_have_more_onsets_than_slow_ones() -> None:
    def onsets(mood: str) -> float:
        counts = []
        for seed in range(4):
            sound = tune(mood, np.random.default_rng(seed))
            loud = np.abs(sound[: len(sound) // 320 * 320]).reshape(-1, 320).max(axis=1)
            counts.append((np.diff(loud) > 0.12).sum())
        return float(np.mean(counts))

    assert min(onsets("merry"), onsets("rousing")) > max(onsets("calm"), onsets("solemn"))
    assert set(MOODS) == {"calm", "merry", "solemn", "rousing", "dreamy"}


def test_a_folder_in_use_and_a_tiny_shop_are_refused(world: World, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not empty"):
        draw_shop(world.folder)
    with pytest.raises(SettingError, match="too small"):
        draw_shop(tmp_path / "tiny", items=5)
