"""Two versions on the newest events that neither has learned: what people liked next, against what each would list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy import sparse

from salon.arrays import blocks, top_k
from salon.metrics import hit_matrix, ndcg, relevant_counts
from salon.serve.live import Live
from salon.serve.people import Person, asked, joined, profile_row
from salon.serve.tastes import Tastes
from salon.store.values import StoredEvent
from salon.types import FloatArray

K = 10
AT_ONCE = 64
MOST = 2_000
"""People who are asked about, those who acted last."""
LATEST = 0.1
"""Share of all events, the newest of those that the live version has not learned, that is kept for judging."""


@dataclass(frozen=True)
class Question:
    """One person, and what they liked next."""

    person: Person
    liked: tuple[str, ...]


@dataclass(frozen=True)
class Judgement:
    """How a new version did beside the live one.

    Attributes:
        questions: People who were asked about.
        enough: Whether they were enough to say anything.
        new: Mean nDCG@10 of the new version.
        live: The same of the live one.
        difference: Mean of the differences per person.
        error: Standard error of that mean.
        no_worse: Whether the new version may go live.
        tolerance: Share of its accuracy that it was allowed to lose.
    """

    questions: int
    enough: bool
    new: float = 0.0
    live: float = 0.0
    difference: float = 0.0
    error: float = 0.0
    no_worse: bool = False
    tolerance: float = 0.0

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def cut_of(events: Sequence[StoredEvent], learned: int) -> int:
    """Revision after which events are kept for judging.

    Args:
        events: All, by revision.
        learned: Revision up to which the live version was fitted.
    """
    later = [event.revision for event in events if event.revision > learned]
    kept = min(len(later), max(1, int(LATEST * len(events))))
    return later[-kept] - 1 if kept else (events[-1].revision if events else 0)


def questions_of(
    events: Sequence[StoredEvent], cut: int, tastes: Tastes, fields: Mapping[str, Mapping[str, Any]]
) -> list[Question]:
    """People who liked something new after the cut, with their history before it.

    Args:
        events: All, by revision.
        cut: A revision.
        tastes: Rules that weigh events.
        fields: Attributes by person.
    """
    before: dict[str, list[StoredEvent]] = {}
    after: dict[str, list[StoredEvent]] = {}
    for event in events:
        (before if event.revision <= cut else after).setdefault(event.user, []).append(event)
    found = []
    for user in list(after)[-MOST:]:
        person = Person(user, tastes.of(before.get(user, [])), fields.get(user, {}), known=True)
        later = tastes.of(after[user])
        known = set(person.taste.items)
        liked = tuple(i for i, w in zip(later.items, later.weights, strict=True) if w > 0 and i not in known)
        if liked:
            found.append(Question(person, liked))
    return found


def judged(new: Live, live: Live, questions: Sequence[Question], *, least: int, tolerance: float) -> Judgement:
    """Compares two versions: the new one is no worse if it loses at most `tolerance` of the accuracy of the live one.

    One standard error of the difference is granted to it, since few people say little.
    """
    asked_of = [one for one in questions if any(item in live.catalogue.rows for item in one.liked)]
    if len(asked_of) < least:
        return Judgement(len(asked_of), enough=False, tolerance=tolerance)
    mine, theirs = accuracy(new, asked_of), accuracy(live, asked_of)
    difference = mine - theirs
    mean, error = float(difference.mean()), float(difference.std(ddof=1) / np.sqrt(len(difference)))
    no_worse = mean + error >= -tolerance * float(theirs.mean())
    return Judgement(len(asked_of), True, float(mine.mean()), float(theirs.mean()), mean, error, no_worse, tolerance)


def accuracy(live: Live, questions: Sequence[Question]) -> FloatArray:
    """(n,) nDCG@10 of what people liked next; where the model has no answer, the popular items are its answer."""
    found: list[FloatArray] = [np.zeros(0)]
    for part in blocks(len(questions), AT_ONCE):
        some = questions[part]
        queries = [_query(live, one.person) for one in some]
        scores = np.concatenate([live.score(joined([query])) for query in queries])
        nothing = ~np.isfinite(scores).any(axis=1)
        scores[nothing] = live.popularity
        for row, query in enumerate(queries):
            scores[row, query.items] = -np.inf
        scores[:, ~live.catalogue.shown] = -np.inf
        hits = hit_matrix(top_k(scores, K).ids, targets := _targets(live, some))
        found.append(ndcg(hits, relevant_counts(targets), K))
    return np.concatenate(found)


def _query(live: Live, person: Person) -> Any:
    profile, _ = profile_row(live.profiles, person.fields)
    return asked(live.catalogue, person, (), profile, ordered=live.ordered).query


def _targets(live: Live, questions: Sequence[Question]) -> sparse.csr_array:
    rows = [live.catalogue.index(one.liked) for one in questions]
    rows = [mine[mine >= 0] for mine in rows]
    indptr = np.concatenate([[0], np.cumsum([len(mine) for mine in rows])]).astype(np.int64)
    indices = np.concatenate([np.zeros(0, np.int64), *rows])
    shape = (len(questions), len(live.catalogue))
    return sparse.csr_array((np.ones(len(indices), np.float32), indices, indptr), shape=shape)
