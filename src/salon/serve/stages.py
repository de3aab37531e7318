"""From scores to a list, step by step: what is allowed, sources, boosts, promotions, caps, diversity, exploration.

Filters come first and on the whole catalogue, so a list runs short only where fewer items are allowed. Sources are
tiers: what the model scores comes before what is only popular, and that before what is only new, unless a scenario
gives a source places of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import sparse

from salon.arrays import top_k
from salon.errors import SettingError, did_you_mean
from salon.language.sentences import Sentence
from salon.rerank.candidates import Blend, blended
from salon.rerank.columns import Columns, Labels, Texts, scalar
from salon.rerank.diversity import dpp, mmr
from salon.rerank.exploration import Policy, explore
from salon.rerank.expression import Expression
from salon.rerank.rules import boosted, capped
from salon.serve.bounded import Bounded
from salon.serve.catalogue import Catalogue
from salon.serve.live import Live
from salon.serve.people import Asked, Person
from salon.serve.scenarios import Scenario
from salon.serve.values import Ask
from salon.types import BoolArray, FloatArray, IntArray

PROMOTED, EXPLORED = "promoted", "explored"
EXPLORE_POOL = 200
"""Items that may be explored in one answer."""


@dataclass(frozen=True)
class Question:
    """Everything that a list is made of.

    Attributes:
        ask: As it came.
        live: Snapshot that answers.
        settings: Of the scenario and the variant.
        person: Who asks.
        asked: The question in rows.
        served: (m,) int64 rows that earlier pages showed.
        now: Seconds since 1970.
        popular: Whether only popular items are asked for.
    """

    ask: Ask
    live: Live
    settings: Scenario
    person: Person
    asked: Asked
    served: IntArray
    now: float
    popular: bool = False


@dataclass(frozen=True)
class Listed:
    """A list in rows.

    Attributes:
        rows: (m,) int64, best first.
        scores: (m,) float, of the source of each.
        sources: m names.
        propensities: (m,) float64.
        allowed: How many items there were to choose from.
    """

    rows: IntArray
    scores: FloatArray
    sources: tuple[str, ...]
    propensities: FloatArray
    allowed: int


class Expressions:
    """Expressions that were read; their masks are kept with the catalogue that they are about."""

    def __init__(self, size: int = 256) -> None:
        self._parsed: Bounded[str, Expression] = Bounded(size)

    def parse(self, text: str) -> Expression:
        """The expression of a text.

        Raises:
            SettingError: It cannot be read.
        """
        return self._parsed.find(text, lambda: Expression.parse(text))

    def mask(self, text: str, columns: Columns, catalogue: Catalogue) -> BoolArray:
        """(rows,) bool, where it holds; not to be written to."""
        expression = self.parse(text)
        if expression.personal:
            return expression.mask(columns)
        return catalogue.masks.find(text, lambda: expression.mask(columns))


class Reader:
    """Reads expressions for one question."""

    def __init__(self, question: Question, expressions: Expressions) -> None:
        self._expressions, self._catalogue = expressions, question.live.catalogue
        fields = question.ask.profile or question.person.fields
        self.columns = Columns(
            len(self._catalogue),
            self._catalogue.columns,
            {name: scalar(value, name) for name, value in fields.items()},
            {name: scalar(value, name) for name, value in question.ask.context.items()},
            question.now,
        )

    def mask(self, text: str) -> BoolArray:
        """(rows,) bool, where an expression holds; not to be written to."""
        return self._expressions.mask(text, self.columns, self._catalogue)

    def factors(self, texts: Sequence[str]) -> FloatArray | None:
        """(rows,) float64 product of some expressions, missing values as 1; None where there are none."""
        found = [self._expressions.parse(text).numbers(self.columns) for text in texts if text]
        return np.prod([np.where(np.isnan(one), 1.0, one) for one in found], axis=0) if found else None


def allowed(question: Question, reader: Reader) -> BoolArray:
    """(rows,) bool, what may be answered at all."""
    ask, catalogue = question.ask, question.live.catalogue
    mask: BoolArray = catalogue.shown.copy()
    if ask.candidates is not None:
        chosen = np.zeros(len(mask), bool)
        rows = catalogue.index(ask.candidates)
        chosen[rows[rows >= 0]] = True
        mask &= chosen
    for text in (question.settings.filter, ask.filter):
        if text:
            mask &= reader.mask(text)
    out = catalogue.index(ask.exclude)
    mask[out[out >= 0]] = False
    mask[question.served] = False
    mask[question.asked.never] = False
    if not ask.seen:
        mask[question.asked.seen] = False
    return mask


def listed(
    question: Question,
    scores: FloatArray,
    recent: FloatArray | None,
    reader: Reader,
    policy: Callable[[IntArray], Policy],
    rng: np.random.Generator,
) -> Listed:
    """The list for one question.

    Args:
        question: What is asked.
        scores: (rows,) float32 of the model, -inf where it has none.
        recent: (rows,) the same for the latest likes alone, where the scenario gives them places.
        reader: Of its expressions.
        policy: How the rows of a pool are explored.
        rng: Draws of exploration.
    """
    ask, settings = question.ask, question.settings
    mask = allowed(question, reader)
    own = np.where(mask, scores, -np.inf).astype(np.float32)
    boosts = reader.factors((settings.booster, ask.booster))
    if boosts is not None:
        own = boosted(own, boosts)
    plain = not (settings.caps or _diversity(question) or settings.promotions or settings.sources)
    wide = ask.k if plain and not _exploration(question) else max(settings.pool, 4 * ask.k)
    blend = _blend(question, Scored(own, recent, mask), wide, reader)
    ids, value = blend.ids, _values(blend, own)
    if settings.caps:
        kept = _capped(question, ids, reader.columns)
        ids, value = ids[kept], value[kept]
    if (diversity := _diversity(question)) and len(ids) > 1:
        choose = mmr if settings.diversity_by == "mmr" else dpp
        ids = ids[choose(value, question.live.content(ids), ask.k, diversity)]
    ids, chances, explored = _explored(question, ids, mask, reader, policy, rng)
    sources = _sources(question.live, ids, blend, explored)
    return Listed(ids, _shown_scores(question.live, ids, sources, own), sources, chances, int(mask.sum()))


def _diversity(question: Question) -> float:
    given = question.ask.diversity
    return question.settings.diversity if given is None else given


def _exploration(question: Question) -> float:
    given = question.ask.exploration
    return question.settings.exploration if given is None else given


# -- sources -----------------------------------------------------------------------------------------------------------


class Scored(NamedTuple):
    """(rows,) scores of the model and of the latest likes alone, and what is allowed."""

    own: FloatArray
    recent: FloatArray | None
    mask: BoolArray


def _blend(question: Question, scored: Scored, wide: int, reader: Reader) -> Blend:
    """The first `wide` places of all sources, the model first."""
    live, (own, recent, mask) = question.live, scored
    lists = {} if question.popular else {live.name: _best(own, wide)}
    shares = {} if question.popular else dict(question.settings.sources)
    if recent is not None:
        lists["similar"] = _best(np.where(mask, recent, -np.inf), wide)
    for number, one in enumerate(question.settings.promotions):
        chosen = mask & reader.mask(one.filter)
        name = f"{PROMOTED} {number}"
        best = _best(np.where(chosen, own, -np.inf), wide)
        lists[name] = np.concatenate([best, _newest(live, _left(chosen, best), wide - len(best))])
        shares[name] = one.share
    short = len(lists.get(live.name, ())) < wide
    if short or "popular" in shares:
        lists["popular"] = _best(np.where(mask, live.popularity, -np.inf), wide)
    if short or "new" in shares:
        rest = mask if "new" in shares else _left(mask, *lists.values())
        lists["new"] = _newest(live, rest, wide)
    return blended(lists, {name: share for name, share in shares.items() if name in lists}, wide)


def _sources(live: Live, rows: IntArray, blend: Blend, explored: Sequence[bool]) -> tuple[str, ...]:
    """The name of the source of each row; what the model takes from content neighbours is told from what it learned."""
    where = {int(row): blend.names[source] for row, source in zip(blend.ids, blend.sources, strict=True)}
    found = []
    for row, fresh in zip(rows.tolist(), explored, strict=True):
        name = EXPLORED if fresh else where[row].partition(" ")[0]
        found.append("similar" if name == live.name and row >= live.model.n_items_ else name)
    return tuple(found)


def _best(scores: FloatArray, k: int) -> IntArray:
    """(m,) int64 places of the k largest scores above -inf."""
    ids = top_k(scores[None], max(k, 1)).ids[0]
    return ids[ids >= 0]


def _left(mask: BoolArray, *taken: IntArray) -> BoolArray:
    left = mask.copy()
    for rows in taken:
        left[rows] = False
    return left


def _newest(live: Live, mask: BoolArray, k: int) -> IntArray:
    """(m,) int64 rows of the k newest items."""
    if k < 1 or not mask.any():
        return np.zeros(0, np.int64)
    created = live.catalogue.created
    return _best(np.where(mask, created - created[mask].max(), -np.inf), k)  # single precision tells ages, not dates


def _values(blend: Blend, own: FloatArray) -> FloatArray:
    """(m,) what the order is worth: scores of the model where only it speaks, else the place."""
    if len(set(blend.sources.tolist())) == 1 and np.isfinite(own[blend.ids]).all():
        return own[blend.ids]
    return -np.arange(len(blend.ids), dtype=np.float64)


def _shown_scores(live: Live, rows: IntArray, sources: Sequence[str], own: FloatArray) -> FloatArray:
    found = [live.popularity[row] if name == "popular" else own[row] for row, name in zip(rows, sources, strict=True)]
    return np.array([score if np.isfinite(score) else 0.0 for score in found], np.float64)


# -- rules -------------------------------------------------------------------------------------------------------------


def _capped(question: Question, ids: IntArray, columns: Columns) -> IntArray:
    """(m,) places in `ids` that keep all caps of the scenario."""
    kept = np.arange(len(ids))
    for name, cap in question.settings.caps.items():
        kept = kept[capped(ids[kept], _labels(name, columns), cap, len(kept))]
    return kept


def _labels(name: str, columns: Columns) -> sparse.csr_array:
    """(rows, values) sparse, 1 where an item has a label or text."""
    column = columns.items.get(name)
    if isinstance(column, Labels):
        return sparse.csr_array(column.matrix)
    if isinstance(column, Texts):
        there = np.flatnonzero(column.codes >= 0)
        shape = (columns.n, max(len(column.values), 1))
        return sparse.csr_array((np.ones(len(there), np.float32), (there, column.codes[there])), shape=shape)
    raise SettingError(f"A cap names {name!r}, which has no labels.", hint=did_you_mean(name, columns.items))


def _explored(
    question: Question,
    ids: IntArray,
    mask: BoolArray,
    reader: Reader,
    policy: Callable[[IntArray], Policy],
    rng: np.random.Generator,
) -> tuple[IntArray, FloatArray, Sequence[bool]]:
    """The first k items, some places explored, with the chance of each to be shown."""
    share, k = _exploration(question), question.ask.k
    if not share:
        return ids[:k], np.ones(min(k, len(ids))), [False] * min(k, len(ids))
    pool = explore_pool(question, mask, reader)
    pool = pool[~np.isin(pool, ids[:k])]
    if question.settings.caps:  # any choice among what survives together keeps the caps
        both = np.concatenate([ids[:k], pool])
        kept = _capped(question, both, reader.columns)
        pool = both[kept[kept >= len(ids[:k])]]
    found = explore(ids, pool, k, share, policy(pool), rng)
    return found.ids, found.propensities, found.explored.tolist()


def explore_pool(question: Question, mask: BoolArray, reader: Reader) -> IntArray:
    """(m,) int64 rows that may be explored: the least liked of what the scenario allows, the newest of them first."""
    live, text = question.live, question.settings.explore
    able = mask & reader.mask(text) if text else mask
    created = live.catalogue.created
    first, last = (float(created[able].min()), float(created[able].max())) if able.any() else (0.0, 0.0)
    worth = (created - first) / (last - first + 1.0)
    worth[: len(live.counts)] -= live.counts
    return _best(np.where(able, worth, -np.inf), EXPLORE_POOL)


def notes_of(question: Question, found: Listed, unknown: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """What the caller should know of a list."""
    notes = list(question.asked.notes)
    for what, names in unknown.items():
        if names:
            notes.append(Sentence("unknown_ids", count=len(names), where=what, first=names[0][:40]))
    live, k = question.live, question.ask.k
    if not live.catalogue.count:
        notes.append(Sentence("empty_catalogue"))
    elif not found.allowed:
        notes.append(Sentence("nothing_allowed"))
    elif len(found.rows) < k and len(found.rows) == found.allowed:
        notes.append(Sentence("few_allowed", count=found.allowed))
    popular, new = (found.sources.count(name) for name in ("popular", "new"))
    if not question.popular and popular:
        why = "no_answer" if len(question.asked.query.items) else "no_history"
        notes.append(Sentence(why, count=popular, total=len(found.rows)))
    if new and "new" not in question.settings.sources:
        notes.append(Sentence("new_items", count=new, total=len(found.rows)))
    return tuple(notes)
