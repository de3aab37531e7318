"""The world of real stamps: read where they are installed, refused with the line to run where not."""

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from salon.data.stamps import STAMPS, read_stamps, seen_colour, stamps_world
from salon.data.world_truth import World
from salon.errors import DataError, MissingExtraError

needs_stamps = pytest.mark.skipif(not STAMPS.is_dir(), reason="apt-get install -y tuxpaint-stamps-default")


@pytest.fixture(scope="module")
def stamps(tmp_path_factory: pytest.TempPathFactory) -> World:
    return stamps_world(tmp_path_factory.mktemp("stamps"), seed=2, people=60)


def few_stamps(folder: Path, count: int) -> Path:
    """A made-up folder of stamps, red and blue."""
    for i in range(count):
        place = folder / ("animals/birds" if i % 2 else "food")
        place.mkdir(parents=True, exist_ok=True)
        Image.new("RGBA", (40, 30), (200, 20, 20, 255) if i % 3 else (20, 20, 200, 255)).save(place / f"s{i}.png")
        (place / f"s{i}.txt").write_text(f"A thing {i}.\nde.utf8=Ding\nzh_CN.utf8=东西{i}。\n", encoding="utf-8")
    Image.new("RGBA", (8, 8)).save(folder / "food" / "s0_mirror.png")
    return folder


def test_without_the_package_the_error_says_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(MissingExtraError, match="apt-get install -y tuxpaint-stamps-default"):
        stamps_world(tmp_path / "world", source=tmp_path / "nowhere")


def test_names_folders_and_colours_are_read(tmp_path: Path) -> None:
    found = list(read_stamps(few_stamps(tmp_path, 4)))
    assert [s.id for s in found] == ["animals.birds.s1", "animals.birds.s3", "food.s0", "food.s2"]
    assert (found[0].name, found[0].name_zh, found[0].folders) == ("A thing 1.", "东西1。", ("animals", "birds"))
    assert [seen_colour(s.picture) for s in found] == [
        ("red", "bright"),
        ("blue", "bright"),
        ("blue", "bright"),
        ("red", "bright"),
    ]
    with pytest.raises(DataError, match="4 stamps"):
        stamps_world(tmp_path / "world", source=tmp_path)


def test_a_world_of_any_stamps_is_the_same_for_the_same_seed(tmp_path: Path) -> None:
    source = few_stamps(tmp_path / "source", 60)
    first, again = (stamps_world(tmp_path / name, seed=3, people=20, source=source) for name in "ab")
    for name in ("items.csv", "events.csv", "users.csv", "shop.toml"):
        assert (first.folder / name).read_bytes() == (again.folder / name).read_bytes()
    np.testing.assert_array_equal(first.appeal, again.appeal)
    assert len(first.new_items) == 6


@needs_stamps
def test_the_real_stamps_are_all_there_and_their_media_lie_inside(stamps: World) -> None:
    with (stamps.folder / "items.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(stamps.item_ids) > 450
    for row in rows:
        assert (stamps.folder / row["image"]).is_file()
        assert not row["sound"] or (stamps.folder / row["sound"]).is_file()
    assert sum(bool(r["name_zh"]) for r in rows) > 300
    assert sum(bool(r["sound"]) for r in rows) > 60
    assert any(name.startswith("colour:") for name in stamps.trait_names)
    for row in rows[:20]:
        with Image.open(stamps.folder / row["image"]) as picture:
            picture.load()
