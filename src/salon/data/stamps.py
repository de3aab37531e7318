"""A world of real pictures, sounds and names: the stamps of Tux Paint, with people whose tastes are known.

Debian's package tuxpaint-stamps-default (GPL-2) has a picture of each thing, folders as categories, its name in English
and most in Chinese, and an effect sound for some. Only the people and what they do are drawn; everybody likes some
folders, shelves within them, colours, and things that make a sound.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from salon.data.world_files import empty_folder, write_catalogue, write_table
from salon.data.world_people import Stock, populate
from salon.data.world_truth import World
from salon.errors import DataError, MissingExtraError
from salon.types import Progress

STAMPS = Path("/usr/share/tuxpaint/stamps")
"""Where Debian puts them."""

STRENGTH = {"folder": 1.8, "shelf": 1.8, "colour": 2.0, "light": 1.2, "sound": 1.2}
"""Group of traits to how much it counts for people."""

HUES = ((18, "red"), (45, "orange"), (70, "yellow"), (165, "green"), (255, "blue"), (320, "purple"), (361, "red"))
"""Upper bound of a hue in degrees, and its name."""

COLUMNS = (
    'text = ["name", "name_zh"]',
    'image = "image"',
    'audio = "sound"',
    'category = ["folder"]',
    'separators = { folder = "|" }',
)


@dataclass(frozen=True)
class Stamp:
    """One picture and what lies beside it.

    Attributes:
        id: Its path with dots, such as "animals.birds.duck".
        folders: From the outermost, such as ("animals", "birds").
        picture: A PNG.
        sound: Its effect sound, if any.
        name: In English, or empty.
        name_zh: In Chinese, or empty.
    """

    id: str
    folders: tuple[str, ...]
    picture: Path
    sound: Path | None
    name: str
    name_zh: str


def stamps_world(
    folder: Path, *, seed: int = 0, people: int = 300, source: Path = STAMPS, progress: Progress | None = None
) -> World:
    """Copies the stamps into a folder and writes what people did with them; the truth as for `draw_shop`.

    Args:
        folder: New or empty; gets shop.toml, items.csv, events.csv, users.csv and media/.
        seed: Of the order of the items, the tastes and the actions.
        people: How many.
        source: Folder of the stamps.
        progress: Called as progress(done, total, what).

    Raises:
        MissingExtraError: The stamps are not installed.
        DataError: The folder is not empty, or `source` has too few stamps.
    """
    stamps = list(read_stamps(source))
    if len(stamps) < 40:
        raise DataError(f"{str(source)!r} has {len(stamps)} stamps.", hint="Give a folder with at least 40.")
    stamps = [stamps[i] for i in np.random.default_rng([seed, 1]).permutation(len(stamps))]
    folder = empty_folder(Path(folder))
    (folder / "media").mkdir()
    rows = []
    for done, stamp in enumerate(stamps, 1):
        rows.append(_copied(stamp, folder))
        if progress is not None:
            progress(done, len(stamps), "copying stamps")
    write_table(folder / "items.csv", ("id", "name", "name_zh", "folder", "image", "sound"), rows)
    write_catalogue(folder / "shop.toml", "The stamps of Tux Paint (GPL-2).", COLUMNS, ("quarter", "age"))
    missing = {
        "name": tuple(s.id for s in stamps if not s.name),
        "name_zh": tuple(s.id for s in stamps if not s.name_zh),
        "audio": tuple(s.id for s in stamps if s.sound is None),
    }
    new = len(stamps) - round(len(stamps) * 0.1)
    stock = Stock(folder, tuple(s.id for s in stamps), _labels(stamps), new, missing, {})
    return populate(stock, STRENGTH, people, seed)


def read_stamps(source: Path = STAMPS) -> Iterator[Stamp]:
    """The stamps in the order of their paths, without money, digits and other symbols, and without mirror images.

    Raises:
        MissingExtraError: `source` is not a folder.
    """
    if not source.is_dir():
        raise MissingExtraError(
            f"The stamps of Tux Paint are not at {str(source)!r}.",
            hint="Run: apt-get install -y tuxpaint-stamps-default",
        )
    for picture in sorted(source.rglob("*.png")):
        folders = picture.relative_to(source).parts[:-1]
        if not folders or folders[0] == "symbols" or "_mirror" in picture.stem or "_flip" in picture.stem:
            continue
        sounds = (picture.with_suffix(end) for end in (".ogg", ".wav"))
        name, name_zh = _names(picture.with_suffix(".txt"))
        sound = next((path for path in sounds if path.is_file()), None)
        yield Stamp(".".join((*folders, picture.stem)), folders, picture, sound, name, name_zh)


def _names(path: Path) -> tuple[str, str]:
    """The English name (the first line) and the Chinese one (zh_CN, or else zh_TW)."""
    if not path.is_file():
        return "", ""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    named = dict(line.split("=", 1) for line in lines[1:] if "=" in line)
    name_zh = named.get("zh_CN.utf8") or named.get("zh_TW.utf8", "")
    return lines[0].strip() if lines else "", name_zh.strip()


def _copied(stamp: Stamp, folder: Path) -> tuple[object, ...]:
    """Copies the media of a stamp and returns its row of items.csv."""
    image = f"media/{stamp.id}.png"
    shutil.copyfile(stamp.picture, folder / image)
    sound = None
    if stamp.sound is not None:
        sound = f"media/{stamp.id}{stamp.sound.suffix}"
        shutil.copyfile(stamp.sound, folder / sound)
    return (stamp.id, stamp.name, stamp.name_zh, "|".join(stamp.folders), image, sound)


def _labels(stamps: list[Stamp]) -> list[dict[str, str]]:
    """The traits: folder, shelf (the next folder, if it holds six or more), colour and light as seen, sound or not."""
    shelves = [".".join(s.folders[:2]) for s in stamps]
    labels = []
    for stamp, shelf in zip(stamps, shelves, strict=True):
        colour, light = seen_colour(stamp.picture)
        item = {"folder": stamp.folders[0], "colour": colour, "light": light}
        if len(stamp.folders) > 1 and shelves.count(shelf) >= 6:
            item["shelf"] = shelf
        if stamp.sound is not None:
            item["sound"] = "yes"
        labels.append(item)
    return labels


def seen_colour(picture: Path) -> tuple[str, str]:
    """The colour that most of a picture has, weighed by how strong it is, and whether the picture is dark or bright."""
    with Image.open(picture) as image:
        small = image.convert("RGBA").resize((32, 32), Image.Resampling.BOX)
    cover = np.asarray(small)[..., 3].ravel() / 255
    hue, strength, value = (channel.ravel() / 255 for channel in np.moveaxis(np.asarray(small.convert("HSV")), -1, 0))
    weight = cover * strength * value
    light = "dark" if (cover * value).sum() < 0.5 * cover.sum() else "bright"
    if weight.sum() < 0.15 * cover.sum():
        return "grey", light
    totals: dict[str, float] = {}
    low = 0.0
    for high, name in HUES:
        inside = (hue * 360 >= low) & (hue * 360 < high)
        totals[name] = totals.get(name, 0.0) + float(weight[inside].sum())
        low = high
    return max(totals, key=lambda name: totals[name]), light
