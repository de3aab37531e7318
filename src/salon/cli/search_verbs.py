"""The verb that finds items by words, a picture, a sound or a film."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from salon.cli.model_verbs import Count, History, ModelPath, item_ids
from salon.cli.show import Json, emit, say, table
from salon.pipeline import Pipeline

File = Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="A file of that kind.")]


def search(
    model: ModelPath,
    text: Annotated[str, typer.Option("--text", "-t", help="What is looked for, in words.")] = "",
    image: File = None,
    audio: File = None,
    video: File = None,
    user: Annotated[str, typer.Option("--user", "-u", help="Id of a known user whose taste counts too.")] = "",
    history: History = "",
    taste: Annotated[float, typer.Option(min=0, max=1, help="Share of the person's taste in the score.")] = 0.3,
    k: Count = 10,
    json: Json = "",
) -> None:
    """Find items by words, a picture, a sound or a film; several of these are joined.

    The columns say what each item's score is made of: the features that were compared with the query and how (same: by
    their own encoder; shared: in the space of one model; aligned: by the model's fuser; words: by the names that the
    network gives to what it sees or hears, which is approximate), and the taste of the person, if one is given.

    Example: salon search model/ --text "quiet film about the sea"

    Example: salon search model/ --image poster.jpg --user 42
    """
    pipeline = Pipeline.load(model)
    query = {"text": text, "image": image, "audio": audio, "video": video}
    found = pipeline.search(
        {name: value for name, value in query.items() if value},
        k=k,
        user=user or None,
        history=item_ids(history) if history else None,
        taste=taste,
    )
    if emit(found, json):
        return
    ways = list(dict.fromkeys(way for match in found for way in match.by))
    rows = [
        (
            place,
            one.id,
            one.title,
            f"{one.score:.2f}",
            *(f"{one.by[way]:+.2f}" if way in one.by else "" for way in ways),
        )
        for place, one in enumerate(found, start=1)
    ]
    table("Found:", ["", "item", "title", "score", *ways], rows, right=(0, *range(3, 4 + len(ways))))
    if not found:
        say("Nothing was found.")
