"""What the studio shows: whether the service is well, what the catalogue holds, and live numbers."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from salon.errors import SalonError
from salon.language.template import PHRASES
from salon.serve.engine import Engine
from salon.serve.tastes import NEVER, SATISFACTION
from salon.types import Modality

WINDOW = 60
"""Minutes that live numbers look back."""


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
        "error": engine.error,
    }


def _modalities(engine: Engine) -> Mapping[str, float]:
    """Share of the shown items that have each kind of vectors."""
    live = engine.current.shelf.live
    shown = live.catalogue.shown[: live.features.n_items]
    count = max(int(shown.sum()), 1)
    return {name: float(one.present[: len(shown)][shown].sum()) / count for name, one in live.features.items()}
