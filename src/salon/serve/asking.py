"""The life of a question: what is known of the person, scores from the batch, the list, its words, and the exposure."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

import numpy as np

from salon.data import Queries
from salon.errors import ArtifactError, SalonError, SettingError, UnknownIdError
from salon.language.sentences import Sentence, said
from salon.rerank.exploration import Policy
from salon.serve.answers import served, unknown_in
from salon.serve.engine import Engine
from salon.serve.explorers import features
from salon.serve.live import Live
from salon.serve.people import Person, asked, profile_row
from salon.serve.scenarios import Place
from salon.serve.stages import Listed, Question, Reader, listed, notes_of
from salon.serve.values import Ask, Reply
from salon.store.values import Exposure
from salon.types import FloatArray, IntArray

RECENT = 3
"""Latest likes that "similar" items are found by."""
MOST_SERVED = 10_000
"""Items that pages of one answer may show."""
BLANK = Ask()
REPEATED = [field.name for field in fields(Ask) if field.name not in ("k", "after", "logged")]
"""Parts of a question that its next page asks again."""


@dataclass(frozen=True)
class Ready:
    """A question that only needs scores.

    Attributes:
        question: In rows.
        place: What holds for the person.
        notes: What the caller should know so far.
        page: Ids that earlier pages showed.
    """

    question: Question
    place: Place
    notes: tuple[str, ...]
    page: tuple[str, ...]


class Scores(NamedTuple):
    """(rows,) scores of the model, and of the latest likes alone; None where none are needed."""

    own: Future[FloatArray] | None
    recent: Future[FloatArray] | None


class Asking:
    """Answers questions from one engine."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def recommend(self, asks: Sequence[Ask]) -> list[Reply | Exception]:
        """One reply per question, or the error of it."""
        engine, start = self.engine, time.perf_counter()
        engine.catch_up()
        ready = [self._try(ask) for ask in asks]
        scores = iter(self.scored([one for one in ready if isinstance(one, Ready)]))
        found = [self._answer(one, next(scores)) if isinstance(one, Ready) else one for one in ready]
        engine.tally.took("recommend", time.perf_counter() - start)
        return found

    def one(self, ask: Ask, *, item: str = "", popular: bool = False) -> Reply:
        """The reply to one question: for a person, for an item ("more like this"), or for nobody (popular).

        Raises:
            SalonError: The question cannot be answered.
        """
        self.engine.catch_up()
        ready = self.prepare(ask, item=item, popular=popular)
        found = self._answer(ready, *self.scored([ready]))
        if isinstance(found, Exception):
            raise found
        return found

    def _try(self, ask: Ask) -> Ready | SalonError:
        try:
            return self.prepare(ask)
        except SalonError as error:
            return error

    # -- before scoring ----------------------------------------------------------------------------------------------

    def prepare(self, ask: Ask, *, item: str = "", popular: bool = False) -> Ready:
        """Looks up everything that the list is made of, and sends the question to the batch."""
        engine = self.engine
        with engine.tally.timed("prepare"):
            if ask.k < 1:
                raise SettingError(f"k is {ask.k}.", hint="Ask for at least one item.")
            ask, page = self._continued(ask)
            person = engine.people.get(ask.user) if ask.user else Person("")
            now = time.time()
            place = engine.places.place(ask.scenario, ask.user or str(ask.context.get("session", "")), now)
            live, notes = self._live(place)
            if ask.scenario and ask.scenario not in engine.places.scenarios:
                notes = (*notes, Sentence("unknown_scenario", name=ask.scenario))
            profile, more = profile_row(live.profiles, ask.profile or person.fields)
            if item:
                row = live.catalogue.rows.get(item, -1)
                if row < 0:
                    raise UnknownIdError(f"There is no item {item!r}.", hint="Check the item id.")
                known = asked(live.catalogue, Person(""), (item,), None, ordered=live.ordered)
                mine = asked(live.catalogue, person, ask.history, None, ordered=live.ordered)
                found = replace(known, never=np.concatenate([mine.never, known.seen]))
            else:
                found = asked(live.catalogue, person, ask.history, profile, ordered=live.ordered)
                notes = (*notes, *more)
            before = live.catalogue.index(page)
            question = Question(ask, live, place.settings, person, found, before[before >= 0], now, popular)
        return Ready(question, place, notes, page)

    def _live(self, place: Place) -> tuple[Live, tuple[str, ...]]:
        """The snapshot that answers: that of the variant's version where it is in use, else the live one."""
        engine = self.engine
        one = engine.used.get(place.version) if place.version else engine.current
        if one is None:
            return engine.current.shelf.live, (Sentence("version_not_loaded", name=place.version),)
        return one.shelf.live, ()

    def _continued(self, ask: Ask) -> tuple[Ask, tuple[str, ...]]:
        """The question, and what earlier pages showed; a bare question for a next page is the one before it again."""
        if not ask.after:
            return ask, ()
        before = self.engine.exposures.get(ask.after)
        if before is None:
            raise UnknownIdError(f"There is no recommendation {ask.after!r}.", hint="Ask for a first page again.")
        shown = (*before.request.get("served", ()), *before.items)
        if len(shown) > MOST_SERVED:
            raise SettingError(
                f"{len(shown)} items were shown on these pages.", hint="Narrow the question by a filter."
            )
        if replace(ask, k=BLANK.k, after="", logged=BLANK.logged) == BLANK:
            again = ask_of(before.request.get("ask", {}))
            ask = replace(again, k=ask.k, after=ask.after, logged=ask.logged)
        return ask, shown

    def scored(self, ready: Sequence[Ready]) -> list[Scores]:
        """The scores for some questions, in common batches with those that others ask meanwhile."""
        with self.engine.tally.timed("score"):
            found = [self._submit(one.question) for one in ready]
            self.engine.batcher.lead([future for both in found for future in both if future is not None])
        return found

    def _submit(self, question: Question) -> Scores:
        if question.popular:
            return Scores(None, None)
        query = question.asked.query
        tasks = [query, latest_likes(query)] if question.settings.sources.get("similar") else [query]
        futures = self.engine.batcher.submit((question.live, query.ordered), tasks)
        return Scores(futures[0], futures[1] if len(futures) > 1 else None)

    # -- after scoring -----------------------------------------------------------------------------------------------

    def _answer(self, ready: Ready, known: Scores) -> Reply | Exception:
        tally, question = self.engine.tally, ready.question
        name = secrets.token_hex(16)
        try:
            rows = len(question.live.catalogue)
            scores = np.full(rows, -np.inf, np.float32) if known.own is None else known.own.result()
            recent = None if known.recent is None else known.recent.result()
            with tally.timed("list"):
                reader = Reader(question, self.engine.expressions)
                found = listed(question, scores, recent, reader, self._policy(ready, scores), _rng(question, name))
            with tally.timed("tell"):
                items = served(question, found)
        except SalonError as error:
            return error
        notes = (*ready.notes, *notes_of(question, found, unknown_in(question.live, question.ask)))
        notes = said(notes, question.ask.language)
        live, place = question.live, ready.place
        more = found.allowed > len(found.rows) and len(found.rows) == question.ask.k
        reply = Reply(name, items, live.version, question.ask.scenario, place.experiment, place.variant, notes, more)
        if question.ask.logged:
            self._log(ready, reply, found, scores)
        return reply

    def _policy(self, ready: Ready, scores: FloatArray) -> Any:
        explorers, question = self.engine.explorers, ready.question

        def policy(pool: IntArray) -> Policy:
            kind = question.settings.policy
            return explorers.policy(kind, question.ask.scenario, question.live, scores, pool)

        return policy

    def _log(self, ready: Ready, reply: Reply, found: Listed, scores: FloatArray) -> None:
        question, place = ready.question, ready.place
        request: dict[str, Any] = {"ask": plain_ask(question.ask)}
        if ready.page:
            request["served"] = list(ready.page)
        rows = np.array([r for r, s in zip(found.rows, found.sources, strict=True) if s == "explored"], np.int64)
        if len(rows):
            values = features(question.live, scores, rows)
            names = [question.live.catalogue.ids[int(row)] for row in rows]
            request["explored"] = dict(zip(names, values.tolist(), strict=True))
            self.engine.explorers.shown(question.ask.scenario, names, values)
        ids = tuple(one.id for one in reply.items)
        first = found.sources[:1] == (question.live.name,)
        self.engine.tally.answer(ids, found.sources, float(found.scores[0]) if first else None)
        self.engine.tally.place("answers", self.engine.places.known(question.ask.scenario), place.variant)
        self.engine.exposures.add(
            Exposure(
                reply.recommendation_id,
                question.person.id,
                question.now,
                ids,
                found.sources,
                tuple(float(score) for score in found.scores),
                tuple(float(chance) for chance in found.propensities),
                str(question.ask.context.get("session", "")),
                question.ask.scenario,
                place.experiment,
                place.variant,
                reply.version,
                request,
            )
        )


def _rng(question: Question, name: str) -> np.random.Generator:
    """A generator that depends on the person and the answer alone."""
    digest = hashlib.sha256(f"{question.person.id}\0{name}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "big"))


def latest_likes(query: Queries) -> Queries:
    """One question from the latest likes of another alone."""
    liked = np.flatnonzero(query.weights > 0)[-RECENT:]
    return replace(
        query,
        indptr=np.array([0, len(liked)], np.int64),
        items=query.items[liked],
        weights=query.weights[liked],
        profiles=None,
    )


def plain_ask(ask: Ask) -> dict[str, Any]:
    """What of a question is not as usual, as plain data, so that a next page can ask again."""
    found: dict[str, Any] = {}
    for name in REPEATED:
        value = getattr(ask, name)
        if value != getattr(BLANK, name):
            found[name] = list(value) if isinstance(value, tuple) else value
    return found


def ask_of(plain: dict[str, Any]) -> Ask:
    """What `plain_ask` gave.

    Raises:
        ArtifactError: It is damaged.
    """
    given: dict[str, Any] = {n: tuple(value) if isinstance(value, list) else value for n, value in plain.items()}
    try:
        return Ask(**given)
    except TypeError as error:
        raise ArtifactError(f"The recorded question is damaged: {error}.") from None
