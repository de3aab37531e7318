"""What a pipeline answers: names and titles instead of integers, each item with its source and its reason."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from salon.explain import Evidence
from salon.language import template


class Named(Protocol):
    """Rows that have ids and titles, such as the items of a dataset."""

    @property
    def ids(self) -> Indexed:
        """Id of each row."""

    def title(self, row: int) -> str:
        """What to call a row."""


class Indexed(Protocol):
    """Names by row."""

    def __getitem__(self, row: int, /) -> str: ...


@dataclass(frozen=True)
class Part:
    """What one item of the history contributes to a score.

    Attributes:
        id: The item.
        title: Its title.
        value: Its contribution; negative ones speak against the recommendation.
        by: Kind of information ("clicks", "text", "image", ...) to its share of `value`.
    """

    id: str
    title: str
    value: float
    by: dict[str, float]


@dataclass(frozen=True)
class Explanation:
    """Why an item has the score that it has.

    Attributes:
        id: The item.
        title: Its title.
        score: Its score.
        parts: The history, the largest contribution first.
        by: Kind of information to its contribution over the whole history.
        rest: What no item of the history explains.
        method: "exact" if the parts and the rest sum to the score, else "removal".
        words: The same in one line.
        despite: What speaks against it, in one line, or "".
        source: Whose score it is: the model's name, or "popular" where that had no answer.
    """

    id: str
    title: str
    score: float
    parts: tuple[Part, ...]
    by: dict[str, float]
    rest: float
    method: str
    words: str
    despite: str
    source: str = ""


@dataclass(frozen=True)
class Suggestion:
    """One recommended item.

    Attributes:
        id: The item.
        title: Its title.
        score: Its score; scores of different sources cannot be compared.
        source: What found it: the model's name, or "popular" where that had no answer.
        why: Its explanation, where one was asked for.
    """

    id: str
    title: str
    score: float
    source: str
    why: Explanation | None = None


@dataclass(frozen=True)
class Answer:
    """The recommendations for one person or history.

    Attributes:
        who: The id of the user, or "history" for people who are in no table.
        history: Ids of the history, oldest first.
        items: The recommendations, best first.
    """

    who: str
    history: tuple[str, ...]
    items: tuple[Suggestion, ...]


def explanation(evidence: Evidence, items: Named, *, source: str = "", language: str = "en") -> Explanation:
    """The evidence with names, titles and words."""
    totals = evidence.values.sum(axis=1)
    order = (-totals).argsort(kind="stable")
    parts = tuple(
        Part(
            items.ids[int(evidence.items[i])],
            items.title(int(evidence.items[i])),
            float(totals[i]),
            {name: float(v) for name, v in zip(evidence.parts, evidence.values[i], strict=True)},
        )
        for i in order
    )
    because = [items.title(i) for i in evidence.because()]
    despite = [items.title(i) for i in evidence.despite()]
    by = evidence.by_part()
    exact_rest = evidence.method == "exact" and not because  # exact models leave the profile alone to the rest
    told = {"profile": evidence.rest} if exact_rest else by
    return Explanation(
        items.ids[evidence.target],
        items.title(evidence.target),
        evidence.score,
        parts,
        by,
        evidence.rest,
        evidence.method,
        template.reason(because, told, source=source, language=language),
        template.despite(despite, language),
        source,
    )


def as_plain(value: Any) -> Any:
    """Answers as plain dictionaries and lists, for JSON; numbers that are not finite become None."""
    if hasattr(value, "__dataclass_fields__"):
        return {name: as_plain(getattr(value, name)) for name in value.__dataclass_fields__}
    if isinstance(value, dict):
        return {str(k): as_plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_plain(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
