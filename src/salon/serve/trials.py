"""What came of an experiment: who saw which variant, what followed from it, and what may be said of the difference."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from salon.config import build
from salon.errors import UnknownIdError, did_you_mean
from salon.feedback.attribution import Acts, Shown, attributed
from salon.feedback.experiments import Effect, effect, harmed, rates, sample_ratio
from salon.pipeline_answers import as_plain
from salon.serve.engine import Engine
from salon.serve.scenarios import Experiment, named
from salon.serve.truth import stored_events
from salon.store.values import Exposure, StoredEvent
from salon.types import FloatArray, IntArray

AT_ONCE = 5_000


def put_experiment(engine: Engine, name: str, body: Mapping[str, Any]) -> None:
    """Checks and stores an experiment; where it begins in the log stays when it is changed.

    Raises:
        SettingError: The name or a setting cannot be.
        UnknownIdError: A variant names an unknown version.
    """
    named(name, "an experiment")
    one = build(Experiment, body, where=f"experiment {name}")
    for variant in one.variants.values():
        if variant.version:
            engine.registry.get(variant.version)
    before = engine.store.experiments.get(name) or {}
    start = {"revision": before.get("revision", engine.store.revision()), "start": one.start or before.get("start")}
    start["start"] = start["start"] or time.time()
    engine.store.experiments.put(name, one.model_copy(update=start).model_dump(mode="json"))
    engine.places.read()


def results(engine: Engine, name: str) -> Mapping[str, Any]:
    """What each variant of an experiment reached.

    Success is counted per answer: an answer succeeds with every item of it on which an action of the kinds that count
    follows. Guardrails are counted the same way.

    Raises:
        UnknownIdError: There is no such experiment.
    """
    body = engine.store.experiments.get(name)
    if body is None:
        raise UnknownIdError(f"There is no experiment {name!r}.", hint=did_you_mean(name, engine.places.experiments))
    one = build(Experiment, body, where=f"experiment {name}")
    engine.exposures.flush()
    shown = [exposure for exposure in _exposures(engine, one.start) if exposure.experiment == name]
    people = list(dict.fromkeys(exposure.user or exposure.session for exposure in shown))
    place = {person: row for row, person in enumerate(people)}
    log = _Log(shown, place)
    events = [e for e in stored_events(engine.store, after=one.revision) if e.user in place or e.recommendation_id]
    variants = list(one.variants)
    of_person = np.array([variants.index(v) if v in variants else -1 for v in log.variant_of], np.int64)
    counts = np.bincount(of_person[of_person >= 0], minlength=len(variants))
    answers = np.bincount(log.person, minlength=len(people)).astype(np.float64)
    groups = _Groups(variants, of_person, answers, one.expected)
    success = log.follows(events, _successes(engine, one, events))
    guards = []
    for kind, most in one.guardrails.items():
        follows = log.follows(events, np.array([event.kind == kind for event in events], bool))
        for found in groups.effects(kind, follows, higher_is_better=False):
            harm = harmed(found, most=most, higher_is_better=False)
            guards.append({**as_plain(found), "most": most, "harmed": harm})
    ratio = sample_ratio([v.share for v in one.variants.values()], counts.tolist())
    return {
        "name": name,
        "state": one.state,
        "people": dict(zip(variants, counts.tolist(), strict=True)),
        "answers": {v: float(answers[of_person == i].sum()) for i, v in enumerate(variants)},
        "success": {v: float(success[of_person == i].sum()) for i, v in enumerate(variants)},
        "ratio": asdict(ratio),
        "effects": as_plain(groups.effects("success", success)),
        "guardrails": guards,
    }


def _exposures(engine: Engine, since: float) -> Iterator[Exposure]:
    cursor = ""
    while True:
        page = engine.store.exposures.page(cursor, AT_ONCE, since=since)
        yield from page.rows
        cursor = page.cursor
        if not cursor:
            return


def _successes(engine: Engine, one: Experiment, events: Sequence[StoredEvent]) -> Any:
    if one.success:
        return np.array([event.kind in one.success for event in events], bool)
    weights, shown = engine.tastes.weights([e.kind for e in events], [e.value for e in events])
    return (weights > 0) & ~shown


class _Log:
    """Answers of an experiment as arrays: one row per item that was shown."""

    def __init__(self, exposures: Sequence[Exposure], place: Mapping[str, int]) -> None:
        self.place = place
        self.person = np.array([place[e.user or e.session] for e in exposures], np.int64)
        self.variant_of = [""] * len(place)
        for exposure in exposures:
            self.variant_of[place[exposure.user or exposure.session]] = exposure.variant
        self.names = {exposure.recommendation_id: row for row, exposure in enumerate(exposures)}
        lengths = [len(exposure.items) for exposure in exposures]
        self.items = {item: i for i, item in enumerate(dict.fromkeys(i for e in exposures for i in e.items))}
        self.shown = Shown(
            np.repeat(np.arange(len(exposures)), lengths),
            np.repeat(self.person, lengths) if len(exposures) else np.zeros(0, np.int64),
            np.array([self.items[item] for e in exposures for item in e.items], np.int64),
            np.repeat([e.time for e in exposures], lengths).astype(np.float64),
        )

    def follows(self, events: Sequence[StoredEvent], counted: Any) -> FloatArray:
        """(people,) how many of the counted events follow from what each was shown."""
        kept = [event for event, yes in zip(events, counted, strict=True) if yes and event.item in self.items]
        acts = Acts(
            np.array([self.place.get(event.user, -1) for event in kept], np.int64),
            np.array([self.items[event.item] for event in kept], np.int64),
            np.array([event.time for event in kept], np.float64),
            np.array([self._answer(event) for event in kept], np.int64),
        )
        rows: IntArray = attributed(self.shown, acts)
        rows = np.unique(rows[rows >= 0])  # twice the same item of one answer is one success
        return np.bincount(self.shown.users[rows], minlength=len(self.place)).astype(np.float64)

    def _answer(self, event: StoredEvent) -> int:
        """The answer that an event names; one outside of the experiment follows from nothing here."""
        if not event.recommendation_id:
            return -1
        return self.names.get(event.recommendation_id, len(self.names))


class _Groups:
    """People by variant, the first of which is the control."""

    def __init__(self, variants: Sequence[str], of_person: IntArray, answers: FloatArray, expected: float) -> None:
        self.variants, self.of_person, self.answers, self.expected = variants, of_person, answers, expected

    def effects(self, metric: str, counts: FloatArray, *, higher_is_better: bool = True) -> list[Effect]:
        """Each variant against the control, by (people,) counts of what followed."""
        tops = {name: counts[self.of_person == i] for i, name in enumerate(self.variants)}
        bottoms = {name: self.answers[self.of_person == i] for i, name in enumerate(self.variants)}
        values = rates(tops, bottoms)
        control = values[self.variants[0]]
        return [
            effect(metric, name, values[name], control, expected=self.expected, higher_is_better=higher_is_better)
            for name in self.variants[1:]
        ]
