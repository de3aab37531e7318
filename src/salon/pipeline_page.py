"""People and their recommendations as cards of a page: pictures, sounds, reasons."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from salon.data import Dataset
from salon.errors import DataError
from salon.evaluate.report import Card, PersonExample
from salon.media.paths import safe_join
from salon.models.base import Explainable
from salon.pipeline import Pipeline
from salon.pipeline_answers import Answer, Explanation, Suggestion
from salon.pipeline_judge import Trial
from salon.types import Modality

HISTORY = 6
"""Liked items of a history that a page shows, the latest ones."""


def some_people(data: Dataset, count: int, seed: int = 0) -> list[str]:
    """Ids of `count` people with a history of middling length, drawn with a seed."""
    liked = np.bincount(data.events.users[data.events.weights > 0], minlength=data.n_users)
    active = np.flatnonzero(liked > 0)
    low, high = np.quantile(liked[active], [0.3, 0.8]) if active.size else (0, 0)
    middling = active[(liked[active] >= low) & (liked[active] <= high)]
    chosen = np.random.default_rng(seed).permutation(middling)[:count]
    return [data.users.ids[int(row)] for row in np.sort(chosen)]


def examples(pipeline: Pipeline, users: Sequence[str], *, k: int = 8, language: str = "en") -> list[PersonExample]:
    """What a fitted pipeline recommends to some people, with its reasons."""
    answers = pipeline.recommend(users, k=k, explained=True, language=language)
    return [_example(pipeline.dataset, answer) for answer in answers]


def person_examples(pipeline: Pipeline, trial: Trial, *, people: int = 5, k: int = 8) -> list[PersonExample]:
    """The same for one model of a comparison (see `best_explained`), on training events."""
    best = best_explained(trial)
    asked = pipeline.asking(trial.models[best], trial.split.train)
    return examples(asked, some_people(trial.split.train, people), k=k)


def best_explained(trial: Trial) -> str:
    """The model to show: the first that splits its scores by modality, unless it is clearly worse; else the first."""
    names = [name for name in trial.report.names if isinstance(trial.models[name], Explainable)]
    for name in names:
        against = trial.report.comparison(name)
        if trial.models[name].handles_cold_items and not (against and against.resolved):
            return name
    return (names or list(trial.report.names))[0]


def _example(data: Dataset, answer: Answer) -> PersonExample:
    rows = data.items.ids.index(list(answer.history))
    if answer.who in data.users.ids:
        liked = data.positives()[data.users.ids.index([answer.who])].toarray()[0] > 0
        rows = rows[liked[rows]]
    history = [_card(data, int(row)) for row in rows[::-1][:HISTORY]]
    return PersonExample(answer.who, history, [_suggested(data, one) for one in answer.items])


def _suggested(data: Dataset, one: Suggestion) -> Card:
    row = int(data.items.ids.index([one.id])[0])
    why = one.why
    reasons = (why.words,) if why else ()
    despite = (why.despite,) if why and why.despite else ()
    return _card(data, row, reasons=reasons, despite=despite, parts=_parts(why), source=one.source, score=one.score)


def _parts(why: Explanation | None) -> dict[str, float]:
    """Kind of information to its share of the positive contributions."""
    positive = {name: value for name, value in why.by.items() if value > 0} if why else {}
    total = sum(positive.values())
    return {name: value / total for name, value in positive.items()} if total > 0 else {}


def _card(data: Dataset, row: int, **more: object) -> Card:
    media = {m.value: _file(data, m, row) for m in (Modality.IMAGE, Modality.AUDIO, Modality.VIDEO)}
    subtitle = ", ".join(label for field in data.items.of(Modality.CATEGORY) for label in field.values[row][:3])
    return Card(data.items.title(row), subtitle, **media, **more)  # type: ignore[arg-type]


def _file(data: Dataset, modality: Modality, row: int) -> Path | None:
    """The first medium of a kind that the item has and that is inside the catalogue's folder."""
    for field in data.items.of(modality):
        if field.present[row] and data.items.root is not None:
            try:
                path = safe_join(data.items.root, str(field.values[row]))
            except DataError:
                continue
            if path.is_file():
                return path
    return None
