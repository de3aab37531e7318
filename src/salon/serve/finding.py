"""Search, explanations, and people: what is asked beside recommendations, of the same snapshot and the same rules."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from salon.arrays import top_k
from salon.data import Queries
from salon.errors import ArtifactError, DataError, UnknownIdError
from salon.explain import explain
from salon.language.template import reason
from salon.pipeline_answers import as_plain, explanation
from salon.pipeline_rank import POPULAR
from salon.pipeline_rank import known as knows
from salon.pipeline_search import matches
from salon.serve.answers import media_of, one, served
from salon.serve.asking import Asking
from salon.serve.engine import Engine
from salon.serve.live import Live, within
from salon.serve.people import asked, joined
from salon.serve.stages import Listed, Reader, allowed
from salon.serve.values import Ask, Found, Reply
from salon.types import FloatArray

ALIKE = 200
"""People whose tastes are compared by scores, those who share most likes."""
PAST = 200
"""Latest events that a person's page tells."""


def search(asking: Asking, query: Mapping[str, str | Path], ask: Ask, taste: float) -> list[Found]:
    """What a text, a picture, a sound or a film finds among what is allowed.

    Raises:
        ArtifactError: The model has no encoders.
        SettingError: The query is empty or names no modality.
        DataError: The catalogue has nothing to compare it with.
        MediaError: A file cannot be decoded.
    """
    asking.engine.catch_up()
    somebody = bool(ask.user or ask.history)
    ready = asking.prepare(replace(ask, seen=True) if not somebody else ask)
    question, live = ready.question, ready.question.live
    searcher = live.searcher
    if searcher is None:
        raise ArtifactError("This model has no encoders to read a query with.", hint="Fit and save it again.")
    rows = live.features.n_items
    mask = allowed(question, Reader(question, asking.engine.expressions))[:rows]
    scores: FloatArray | None = None
    if somebody and len(question.asked.query.items):
        (known,) = asking.scored([ready])
        scores = None if known.own is None else known.own.result()[:rows]
    found = matches(searcher, query, live.catalogue, ask.k, scores, taste, mask)
    return [
        Found(one(live, live.catalogue.rows[match.id], match.score, "search", ask), match.by)
        for match in found
        if match.id in live.catalogue.rows
    ]


def newest(asking: Asking, ask: Ask) -> Reply:
    """What came last among what is allowed; the score is the time. The answer is not kept."""
    asking.engine.catch_up()
    question = asking.prepare(ask, popular=True).question
    live, created = question.live, question.live.catalogue.created
    rows = np.flatnonzero(allowed(question, Reader(question, asking.engine.expressions)))
    best = rows[np.lexsort((-rows, -created[rows]))][: ask.k]
    found = Listed(best, created[best], ("new",) * len(best), np.ones(len(best)), len(rows))
    items = served(question, found)
    return Reply(secrets.token_hex(16), items, live.version, ask.scenario, more=len(rows) > len(best))


def explained(asking: Asking, ask: Ask, item: str) -> Mapping[str, Any]:
    """Why `item` has its score for a person, by the source that an answer would take.

    Raises:
        UnknownIdError: There is no such item.
        DataError: Nothing can score it.
    """
    asking.engine.catch_up()
    question = asking.prepare(ask).question
    live = question.live
    row = live.catalogue.rows.get(item, -1)
    if row < 0:
        raise UnknownIdError(f"There is no item {item!r}.", hint="Check the item id.")
    query = within(question.asked.query, live.model.n_items_)
    if row < live.model.n_items_ and knows(live.model, query)[0] and np.isfinite(live.model.score(query)[0, row]):
        (evidence,) = explain(live.model, query, np.array([row]))
        told = explanation(evidence, live.catalogue, source=live.name, language=ask.language)
        return dict(as_plain(told))
    if np.isfinite(live.popularity[row]):
        return _popular(live, row, ask.language)
    raise DataError(
        f"Nothing here can score item {item!r} for this person.",
        hint="Nobody acted on it, and nothing of its content ties it to the history.",
    )


def _popular(live: Live, row: int, language: str) -> dict[str, Any]:
    words = reason((), {}, source=POPULAR, language=language)
    count = float(live.popularity[row])
    return {
        "id": live.catalogue.ids[row],
        "title": live.catalogue.title(row),
        "score": count,
        "parts": [],
        "by": {},
        "rest": count,
        "method": "exact",
        "words": words,
        "despite": "",
        "source": POPULAR,
    }


def person(asking: Asking, user: str, k: int, language: str) -> Mapping[str, Any]:
    """One person's history with times and kinds, newest first, and what is recommended with why.

    Raises:
        UnknownIdError: Nobody heard of them.
    """
    engine = asking.engine
    engine.catch_up()
    somebody = engine.people.get(user)
    if not somebody.known:
        raise UnknownIdError(f"There is no user {user!r}.", hint="Check the user id.")
    live = engine.current.shelf.live
    catalogue = live.catalogue
    events = engine.store.events.of_user(somebody.id, limit=PAST)
    weights, shown = engine.tastes.weights([e.kind for e in events], [e.value for e in events])
    history = []
    for event, weight, only in zip(events, weights.tolist(), shown.tolist(), strict=True):
        row = catalogue.rows.get(event.item, -1)
        taste = "shown" if only else "like" if weight > 0 else "dislike" if weight < 0 else "seen"
        title = catalogue.title(row) if row >= 0 else event.item
        history.append(
            {"item": event.item, "title": title, "kind": event.kind, "value": event.value, "time": event.time}
            | {"taste": taste, "known": row >= 0, "event_id": event.event_id}
            | {"media": media_of(live, row) if row >= 0 else {}}
        )
    reply = asking.one(Ask(user=user, k=k, explained=True, language=language, logged=False))
    return {
        "user": somebody.id,
        "fields": dict(somebody.fields),
        "history": sorted(history, key=lambda one: -one["time"]),
        "recommended": as_plain(reply),
    }


def similar_users(engine: Engine, user: str, k: int) -> list[tuple[str, float]]:
    """People whose scores of the catalogue point the same way, by cosine, among those who share most likes.

    Raises:
        UnknownIdError: Nobody heard of this person.
    """
    engine.catch_up()
    somebody = engine.people.get(user)
    if not somebody.known:
        raise UnknownIdError(f"There is no user {user!r}.", hint="Check the user id.")
    shelf, learner = engine.current
    live = shelf.live
    mine = asked(live.catalogue, somebody, (), None, ordered=live.ordered).query
    liked = mine.items[mine.weights > 0]
    names, rows = learner.matrix(len(live.catalogue))
    if not len(liked) or not len(names):
        return []
    wanted = np.zeros(len(live.catalogue), np.float32)
    wanted[liked] = 1.0
    shared = rows @ wanted
    lengths = np.sqrt(np.maximum(np.diff(rows.indptr), 1))
    near = top_k(np.where(shared > 0, shared / lengths, -np.inf)[None], ALIKE + 1).ids[0]
    others = [names[int(row)] for row in near if row >= 0 and names[int(row)] != somebody.id]
    queries = [asked(live.catalogue, engine.people.get(name), (), None, ordered=live.ordered).query for name in others]
    found = _cosines(live, mine, queries)
    order = np.argsort(-found, kind="stable")[:k]
    return [(others[int(place)], float(found[place])) for place in order]


def _cosines(live: Live, mine: Queries, others: list[Queries]) -> FloatArray:
    """(n,) cosines of centred scores; items that either side cannot score do not count."""
    if not others:
        return np.zeros(0)
    scores = live.score(joined([mine, *others]))
    able = np.isfinite(scores)
    centred = np.where(able, scores, 0.0).astype(np.float64)
    centred -= np.where(able, centred.sum(axis=1, keepdims=True) / np.maximum(able.sum(axis=1, keepdims=True), 1), 0.0)
    lengths = np.linalg.norm(centred, axis=1)
    products = centred[1:] @ centred[0]
    return np.divide(products, lengths[1:] * lengths[0], out=np.zeros(len(others)), where=lengths[1:] * lengths[0] > 0)
