"""What the studio shows: whether the service is well, what the catalogue holds, and live numbers."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from salon.artifacts import read_json
from salon.errors import SalonError
from salon.feedback.drift import Drift, of_kinds, of_numbers
from salon.language.sentences import said
from salon.language.template import PHRASES
from salon.pipeline_answers import as_plain
from salon.serve.engine import Engine
from salon.serve.maps import map_of
from salon.serve.tastes import NEVER, SATISFACTION
from salon.types import Modality

REPORT = "report.json"
"""What `salon compare --json report.json` writes, where it lies beside the model or in the service's folder."""
DRIFT_ITEMS = 50
"""Most liked items whose shares of the likes are watched; the others count together."""


def ready(engine: Engine) -> Mapping[str, Any]:
    """Whether the service can answer: {"ready", "store", "model", "error"}."""
    if engine.main is None:
        return {"ready": False, "store": False, "model": "", "error": engine.error or "The service is starting."}
    try:
        engine.store.revision()
    except SalonError as error:
        return {"ready": False, "store": False, "model": engine.main.shelf.version, "error": str(error)}
    return {"ready": True, "store": True, "model": engine.main.shelf.version, "error": engine.error}


def catalogue(engine: Engine) -> Mapping[str, Any]:
    """Declared fields with modality, kinds of events, counts, languages."""
    engine.catch_up()
    live = engine.current.shelf.live
    items, declared = live.catalogue, live.catalogue.declared
    fields = []
    for name in items.fields:
        there = sum(1 for row in items.rows.values() if name in items.items[row].fields)
        modality = declared.get(name)
        about = {"name": name, "modality": "" if modality is None else modality.value, "declared": modality is not None}
        fields.append({**about, "present": there})
    return {
        "fields": fields,
        "features": list(live.features),
        "searchable": sorted({part.modality.value for part in live.encoders.parts}) if live.encoders else [],
        "title": next((name for name, one in declared.items() if one is Modality.TEXT), ""),
        "kinds": {**engine.tastes.kinds, NEVER: "dislike", SATISFACTION: "shown"},
        "attributes": _attributes(engine),
        "counts": {
            "items": items.count,
            "shown": int(items.shown.sum()),
            "users": engine.store.users.count(),
            "events": engine.store.events.count(),
        },
        "languages": list(PHRASES),
        "model": live.name,
        "version": live.version,
    }


def _attributes(engine: Engine) -> list[str]:
    """Attributes of people that the model reads, with the values it knows, such as "club=red"."""
    profiles = engine.current.shelf.live.profiles
    return [] if profiles is None else list(profiles.names)


def stats(engine: Engine) -> Mapping[str, Any]:
    """Live numbers of this process, the last hour by minute."""
    tally, live = engine.tally, engine.current.shelf.live
    total = sum(tally.sources.values())
    shown = sum(1 for name in tally.shown if name in live.catalogue.rows)
    version = engine.registry.get(live.version)
    return {
        "since": engine.since,
        "events": tally.per_minute("events"),
        "answers": tally.per_minute("answers"),
        "clicks": tally.per_minute("clicks"),
        "answered": tally.answers,
        "click_through": tally.clicks / tally.answers if tally.answers else None,
        "placements": tally.placements(),
        "sources": {name: count / total for name, count in tally.sources.most_common()} if total else {},
        "fallbacks": tally.fallbacks / tally.answers if tally.answers else 0.0,
        "coverage": shown / max(live.catalogue.count, 1),
        "steps": tally.steps(),
        "batch": engine.batcher.tasks / max(engine.batcher.batches, 1),
        "people": {
            "kept": len(engine.people.kept),
            "hits": engine.people.kept.hits,
            "misses": engine.people.kept.misses,
        },
        "waiting": {
            "encode": engine.current.shelf.waiting,
            "learn": engine.current.learner.waiting,
            "lost_exposures": engine.exposures.lost,
        },
        "model": {
            "name": live.name,
            "version": live.version,
            "age_seconds": time.time() - version.created,
            "live_seconds": time.time() - (version.activated or version.created),
        },
        "modalities": _modalities(engine),
        "drift": as_plain(drift(engine)),
        "error": engine.error,
    }


def _modalities(engine: Engine) -> Mapping[str, float]:
    """Share of the shown items that have each kind of vectors."""
    live = engine.current.shelf.live
    shown = live.catalogue.shown[: live.features.n_items]
    count = max(int(shown.sum()), 1)
    return {name: float(one.present[: len(shown)][shown].sum()) / count for name, one in live.features.items()}


def quality(engine: Engine, language: str = "en") -> Mapping[str, Any]:
    """The report on the data that the live version was fitted on, with what was found in sentences of a language."""
    version = engine.current.shelf.version

    def made() -> Mapping[str, Any]:
        pipeline = engine.registry.load(engine.registry.get(version))
        report = pipeline.check()
        return {"report": as_plain(report.to_dict()), "sentences": pipeline.findings(report)}

    with engine.looking:
        found = engine.looked.find(("quality", version), made)
    return {**found["report"], "sentences": list(said(found["sentences"], language)), "version": version}


def plane_of(engine: Engine, most: int) -> Mapping[str, Any]:
    """The map of the catalogue; items that came later are placed when it is next drawn, at most once a minute."""
    live = engine.current.shelf.live
    key = ("map", f"{live.version} {most} {int(time.time() // 60)}")
    with engine.looking:
        found = engine.looked.find(key, lambda: map_of(live, most))
    rows = live.catalogue.rows
    return {**found, "items": [one for one in found["items"] if one["id"] in rows]}


def comparison(engine: Engine) -> Mapping[str, Any]:
    """The last comparison of models, `report.json` beside the model folder, and how refits did against the live one."""
    told: dict[str, Any] = {"rows": [], "report": None, "versions": []}
    for version in engine.registry.all():
        judged = version.metrics.get("judged")
        about = {"version": version.version, "state": version.state, "created": version.created, "judged": judged}
        told["versions"].append(
            {**about, "model": version.metrics.get("model", ""), "error": version.metrics.get("error")}
        )
    for place in (engine.home / REPORT, engine.model.parent / REPORT):
        if place.is_file():
            report = read_json(place)
            told["report"] = report
            told["rows"] = [_row(one) for one in report.get("models", [])] if isinstance(report, dict) else []
            break
    return told


def _row(model: Mapping[str, Any]) -> Mapping[str, Any]:
    metrics = {name: value.get("mean") for name, value in model.get("metrics", {}).items()}
    return {
        "name": model.get("name", ""),
        "baseline": model.get("baseline"),
        "metrics": metrics,
        "cost": model.get("cost"),
    }


def drift(engine: Engine) -> list[Drift]:
    """How far likes and scores have moved since the live version was loaded."""
    learner, live = engine.current.learner, engine.current.shelf.live
    then = np.zeros(len(live.counts))
    then[: len(learner.first)] = learner.first[: len(then)]
    now = np.maximum(live.counts - then, 0.0)
    top = np.argsort(-then, kind="stable")[:DRIFT_ITEMS]
    names = [live.catalogue.ids[int(row)] for row in top]
    before, after = (
        {**{n: int(v) for n, v in zip(names, c[top], strict=True)}, "": int(c.sum() - c[top].sum())}
        for c in (then, now)
    )
    scores = engine.tally.best
    half = len(scores) // 2
    moved = of_numbers("scores", np.array(scores[:half]), np.array(scores[half:]))
    return [of_kinds("likes", before, after), moved]
