"""From rows to answers: ids, titles, fields, media, and reasons in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from salon.explain import Evidence, explain
from salon.language import template
from salon.serve.live import Live, within
from salon.serve.stages import Listed, Question
from salon.serve.values import Ask, Reason, Served, media_address
from salon.types import IntArray

EXPLAINED = 100
"""Items of an answer that are explained."""
BECAUSE = 3
"""Items of the history that a reason names."""


def served(question: Question, found: Listed) -> tuple[Served, ...]:
    """The items of a list, with reasons where they were asked for."""
    reasons = _reasons(question, found) if question.ask.explained else {}
    live = question.live
    return tuple(
        one(
            live,
            int(row),
            float(found.scores[place]),
            found.sources[place],
            question.ask,
            reason=reasons.get(place),
            propensity=float(found.propensities[place]),
        )
        for place, row in enumerate(found.rows)
    )


def one(
    live: Live,
    row: int,
    score: float,
    source: str,
    ask: Ask,
    *,
    reason: Reason | None = None,
    propensity: float = 1.0,
) -> Served:
    """One item as it is answered."""
    catalogue = live.catalogue
    fields = catalogue.items[row].fields
    wanted = {} if ask.fields is None else {name: fields[name] for name in ask.fields if name in fields}
    media, title = media_of(live, row), catalogue.title(row)
    return Served(catalogue.ids[row], title, score, source, wanted, media, reason=reason, propensity=propensity)


def media_of(live: Live, row: int) -> dict[str, str]:
    """Media field of an item to the address of the medium."""
    return {name: media_address(live.catalogue.ids[row], name) for name in live.catalogue.media(row)}


# -- reasons -----------------------------------------------------------------------------------------------------------


def _reasons(question: Question, found: Listed) -> dict[int, Reason]:
    live, language = question.live, question.ask.language
    template.phrases(language)  # an unknown language is an error, also where nothing is explained
    places = list(range(min(len(found.rows), EXPLAINED)))
    told = {
        place: Reason(template.reason((), {}, source=found.sources[place], language=language))
        for place in places
        if found.sources[place] != live.name
    }
    mine = [place for place in places if place not in told]
    for place, evidence in zip(mine, evidence_for(question, found.rows[mine]), strict=True):
        told[place] = reason_of(live, evidence, language)
    return told


def evidence_for(question: Question, rows: IntArray) -> list[Evidence]:
    """The evidence of the model for some rows, all of which it can score."""
    if not len(rows):
        return []
    model = question.live.model
    query = within(question.asked.query, model.n_items_)
    return explain(model, query, rows)


def reason_of(live: Live, evidence: Evidence, language: str) -> Reason:
    """The evidence in words."""
    title = live.catalogue.title
    because, despite = evidence.because(BECAUSE), evidence.despite()
    by_item, by = evidence.by_item(), evidence.by_part()
    told = {"profile": evidence.rest} if evidence.method == "exact" and not because else by
    return Reason(
        template.reason([title(row) for row in because], told, language=language),
        tuple((live.catalogue.ids[row], title(row), _share(by_item[row], by_item)) for row in because),
        by,
        template.despite([title(row) for row in despite], language),
        evidence.method,
    )


def _share(value: float, by_item: Mapping[int, float]) -> float:
    """Part of what speaks for an item."""
    total = sum(part for part in by_item.values() if part > 0)
    return value / total if total > 0 else 0.0


def unknown_in(live: Live, ask: Ask) -> dict[str, Sequence[str]]:
    """Ids of a question that name nothing."""
    rows = live.catalogue.rows
    found: dict[str, Any] = {"exclude": ask.exclude, "candidates": ask.candidates or ()}
    return {what: [name for name in names if name not in rows] for what, names in found.items()}
