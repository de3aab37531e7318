"""Verbs that make and ask a model: fit, recommend, similar, explain."""

from __future__ import annotations

import csv
import time
from pathlib import Path
from typing import Annotated

import typer

from salon.artifacts import check_place
from salon.cli.show import Json, bars, emit, say, table
from salon.errors import SettingError
from salon.pipeline import Pipeline
from salon.pipeline_answers import Answer

ShopPath = Annotated[Path, typer.Argument(metavar="SHOP.toml", help="The file that describes the catalogue.")]
ModelPath = Annotated[Path, typer.Argument(metavar="MODEL", help="A folder that `salon fit` wrote.")]
Users = Annotated[list[str] | None, typer.Option("--user", "-u", help="Id of a known user; may be repeated.")]
History = Annotated[
    str,
    typer.Option(help="Item ids of anybody's history, oldest first: 17,256,901; ids with a comma in double quotes."),
]
Profile = Annotated[list[str] | None, typer.Option(help="Attribute of a new person: job=nurse; may be repeated.")]
Count = Annotated[int, typer.Option("-k", min=1, max=10_000, help="How many items.")]
Language = Annotated[str, typer.Option("--language", help="Of the reasons: en or zh.")]


def fit(
    shop: ShopPath,
    out: Annotated[Path, typer.Option(help="Folder to write the model to; an older model there is replaced.")],
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 0,
    json: Json = "",
) -> None:
    """Learn tastes from a catalogue and save the model.

    Media are turned into vectors first; those already in the cache are not made again, so a fit that was
    stopped goes on where it was.

    Example: salon fit shop.toml --out model/
    """
    start = time.perf_counter()
    check_place(out)
    pipeline = Pipeline.read(shop, parallel=True)
    with bars(quiet=bool(json)) as progress:
        pipeline.fit(rng=seed, progress=progress)
    pipeline.save(out)
    data = pipeline.dataset
    seconds = round(time.perf_counter() - start, 1)
    about = {"model": str(out), "items": data.n_items, "users": data.n_users, "events": len(data.events)}
    if not emit({**about, "seconds": seconds, "settings": pipeline.fitted.settings.model_dump()}, json):
        say(f"Learned from {len(data.events)} events of {data.n_users} users on {data.n_items} items in {seconds} s.")
        person = f"--user {data.users.ids[0]}" if data.n_users else f"--history {data.items.ids[0]}"
        say(f"Saved to {out}. Next: salon recommend {out} {person}")


def recommend(
    model: ModelPath,
    user: Users = None,
    history: History = "",
    k: Count = 10,
    profile: Profile = None,
    exclude: Annotated[str, typer.Option(help="Item ids to leave out: 3,4.")] = "",
    why: Annotated[bool, typer.Option("--why/--no-why", help="Say for each item what contributes to it.")] = True,
    language: Language = "en",
    json: Json = "",
) -> None:
    """Recommend items to known users, or to anybody by a history of item ids.

    Example: salon recommend model/ --user 42 -k 10

    Example: salon recommend model/ --history 17,256,901
    """
    pipeline = Pipeline.load(model)
    histories = [item_ids(history)] if history or (profile and not user) else None
    answers = pipeline.recommend(
        user,
        histories,
        k=k,
        profile=_pairs(profile or []),
        exclude=item_ids(exclude),
        explained=why,
        language=language,
    )
    if not emit(answers, json):
        for answer in answers:
            _show(f"For {answer.who}, who has {len(answer.history)} items in the history:", answer)


def similar(
    model: ModelPath,
    item: Annotated[list[str], typer.Option("--item", "-i", help="Id of an item; may be repeated.")],
    k: Count = 10,
    json: Json = "",
) -> None:
    """List the items most like a given one, by clicks and by content together.

    Example: salon similar model/ --item 17
    """
    pipeline = Pipeline.load(model)
    answers = pipeline.similar(item, k=k)
    if not emit(answers, json):
        for answer in answers:
            row = int(pipeline.dataset.items.ids.index([answer.who])[0])
            _show(f"Like {pipeline.dataset.items.title(row)} ({answer.who}):", answer)


def explain(
    model: ModelPath,
    item: Annotated[str, typer.Option("--item", "-i", help="Id of the item to explain.")],
    user: Annotated[str, typer.Option("--user", "-u", help="Id of a known user.")] = "",
    history: History = "",
    profile: Profile = None,
    most: Annotated[int, typer.Option(min=1, help="How many items of the history to show.")] = 10,
    language: Language = "en",
    json: Json = "",
) -> None:
    """Split the score of an item into what each item of the history contributes, by kind of information.

    A contribution is a part of the score. It is not a cause: nobody knows why a person likes a thing.

    Example: salon explain model/ --user 42 --item 901
    """
    pipeline = Pipeline.load(model)
    told = pipeline.explain(
        item,
        user=user or None,
        history=item_ids(history) if history or (profile and not user) else None,
        profile=_pairs(profile or []),
        language=language,
    )
    if emit(told, json):
        return
    say(f"{told.title} ({told.id}) has the score {told.score:.4g}, from {told.source!r}.")
    say(told.words + (f", {told.despite}" if told.despite else "") + ".")
    names = list(told.by)
    rows = [(p.id, p.title, f"{p.value:+.4f}", *(f"{p.by[n]:+.4f}" for n in names)) for p in told.parts[:most]]
    table("", ["item", "title", "contributes", *names], rows, right=range(2, 3 + len(names)))
    total = sum(p.value for p in told.parts)
    kind = "The parts sum to the score" if told.method == "exact" else "Parts are by removal; they need not sum to it"
    say(f"{kind}: {total:.4f} from the history, {told.rest:.4f} from elsewhere.")


def _show(title: str, answer: Answer) -> None:
    rows: list[tuple[object, ...]] = []
    for place, one in enumerate(answer.items, start=1):
        why = "" if one.why is None else one.why.words + (f", {one.why.despite}" if one.why.despite else "")
        rows.append((place, one.id, one.title, f"{one.score:.3f}", one.source, why))
    columns = ["", "item", "title", "score", "source", "why"]
    if all(one.why is None for one in answer.items):
        columns, rows = columns[:-1], [row[:-1] for row in rows]
    table(title, columns, rows, right=(0, 3))
    if not answer.items:
        say("Nothing is left to recommend.")


def item_ids(text: str) -> list[str]:
    """Ids with commas between them; one that has a comma itself stands in double quotes."""
    words = next(csv.reader([text], skipinitialspace=True), [])
    return [word.strip() for word in words if word.strip()]


def _pairs(words: list[str]) -> dict[str, str]:
    for word in words:
        if "=" not in word:
            raise SettingError(f"--profile {word!r} is no pair.", hint="Write it as attribute=value.")
    return dict(word.split("=", 1) for word in words)
