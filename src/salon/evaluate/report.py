"""One page that holds everything: the data, the test, the models, and people's recommendations with their pictures.

The file stands alone: no script, no font and no picture is fetched from anywhere, and a content security policy
forbids it. All text is escaped; it may come from a hostile catalogue.
"""

from __future__ import annotations

import hashlib
import math
import os
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from salon.errors import DataError, SettingError
from salon.evaluate.embed import Embedded, Embedder
from salon.evaluate.outline import outline
from salon.evaluate.values import Report
from salon.evaluate.views import view

TEMPLATES = Path(__file__).parent / "templates"
PART_COLOURS = {"text": "--c1", "image": "--c4", "audio": "--c2", "video": "--c3", "clicks": "--c0"}
OTHER_COLOURS = ("--c5", "--c6", "--c7")


@dataclass(frozen=True)
class Card:
    """One item on the page.

    Attributes:
        title: Its name.
        subtitle: A second line, such as year and genre.
        image: Path of a picture, already checked to lie in its folder, or None.
        audio: Path of a sound, likewise.
        video: Path of a clip, likewise.
        reasons: Why it is recommended, one sentence each.
        despite: What speaks against it.
        parts: Modality -> share of the score, drawn as a bar; negative shares are named but not drawn.
        source: Which model or fallback it comes from.
        score: Its score, or None.
    """

    title: str
    subtitle: str = ""
    image: Path | None = None
    audio: Path | None = None
    video: Path | None = None
    reasons: tuple[str, ...] = ()
    despite: tuple[str, ...] = ()
    parts: Mapping[str, float] = field(default_factory=dict)
    source: str = ""
    score: float | None = None

    def __post_init__(self) -> None:
        for name, share in self.parts.items():
            if not math.isfinite(share):
                raise DataError(f"The share of {name!r} in {self.title!r} is {share}.", hint="Give finite numbers.")


@dataclass(frozen=True)
class PersonExample:
    """A person's history and what is recommended to them.

    Attributes:
        name: What to call the person; a pseudonym, not an identity.
        history: What they liked, latest first.
        recommendations: Best first.
    """

    name: str
    history: Sequence[Card]
    recommendations: Sequence[Card]


@dataclass(frozen=True)
class Part:
    """One modality's share of a score: its colour, its width in the bar and its label, both in percent."""

    name: str
    colour: str
    width: float
    percent: str


@dataclass(frozen=True)
class CardView:
    """A card with its media embedded."""

    card: Card
    image: Embedded | None
    audio: Embedded | None
    video: Embedded | None
    parts: tuple[Part, ...]
    initial: str
    hue: int


def write_report(
    path: Path | str,
    *,
    report: Report | None = None,
    quality: Mapping[str, Any] | None = None,
    examples: Sequence[PersonExample] | None = None,
    title: str = "Recommendations, measured",
    about: Mapping[str, str] | None = None,
) -> None:
    """Writes one self-contained HTML page; an older one is replaced in one step.

    Args:
        path: The file; its folder is made if needed.
        report: An evaluation.
        quality: The data report as nested plain values.
        examples: People with their recommendations.
        title: Heading of the page.
        about: Facts at its foot, such as the machine and the command.

    Raises:
        SettingError: There is nothing to show.
    """
    write_page(Path(path), render(report=report, quality=quality, examples=examples, title=title, about=about))


def write_page(path: Path, text: str) -> None:
    """Writes a page, replacing an older one in one step; its folder is made if needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.parent / f".{path.name}.new-{uuid.uuid4().hex[:8]}"
    try:
        with fresh.open("w", encoding="utf-8", errors="replace") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


def render(
    *,
    report: Report | None = None,
    quality: Mapping[str, Any] | None = None,
    examples: Sequence[PersonExample] | None = None,
    title: str = "Recommendations, measured",
    about: Mapping[str, str] | None = None,
) -> str:
    """The page as text; arguments as for `write_report`."""
    if report is None and not quality and not examples:
        raise SettingError("There is nothing to show.", hint="Give a report, a data report or examples.")
    embedder = Embedder()
    return environment().get_template("report.html").render(
        title=title,
        report=None if report is None else view(report),
        quality=outline(quality) if quality else None,
        people=[_person(p, embedder) for p in examples or ()],
        about={"made": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"), **(about or {})},
    )  # fmt: skip


@cache
def environment() -> Environment:
    """The templates of pages; what is put into them is escaped."""
    loader = FileSystemLoader(TEMPLATES)
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)


def _person(person: PersonExample, embedder: Embedder) -> dict[str, Any]:
    history = [_card(c, embedder) for c in person.history]
    return {
        "name": person.name,
        "history": history,
        "recommendations": [_card(c, embedder) for c in person.recommendations],
    }


def _card(card: Card, embedder: Embedder) -> CardView:
    return CardView(
        card,
        None if card.image is None else embedder.picture(card.image),
        None if card.audio is None else embedder.clip(card.audio),
        None if card.video is None else embedder.clip(card.video),
        part_bar(card.parts),
        next((sign.upper() for sign in card.title if sign.isalnum()), "?"),
        hashlib.sha256(card.title.encode("utf-8", "replace")).digest()[0] * 360 // 256,
    )


def part_bar(shares: Mapping[str, float]) -> tuple[Part, ...]:
    """Segments in the order given; widths of the positive shares add up to 100."""
    total = sum(share for share in shares.values() if share > 0)
    spare = iter(OTHER_COLOURS * len(shares))
    parts = []
    for name, share in shares.items():
        colour = PART_COLOURS.get(name) or next(spare)
        width = 100 * share / total if share > 0 else 0.0
        parts.append(Part(name, colour, round(width, 2), f"{100 * share:.0f} %".replace("-", "−")))
    return tuple(parts)
