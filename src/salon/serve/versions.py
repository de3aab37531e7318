"""Another version becomes the live one without a dropped question: it is loaded beside the old one, then takes over."""

from __future__ import annotations

import logging

from salon.errors import SalonError
from salon.serve.engine import Engine, InUse
from salon.store.values import Version

log = logging.getLogger(__name__)
ENCODE_AT_ONCE = 256


def activate(engine: Engine, name: str) -> Version:
    """Makes a version live, for this process at once and for others when they look.

    Raises:
        UnknownIdError: There is none of that name.
        ArtifactError: Its folder is damaged; the old version goes on.
        ConflictError: It failed.
    """
    with engine.swapping:
        version = engine.registry.get(name)
        fresh = None if _serves(engine, name) else loaded(engine, version)
        version = engine.store.versions.activate(name)
        if fresh is not None:
            _swap(engine, fresh)
        return version


def rollback(engine: Engine) -> Version:
    """Makes the version that was live before the live one.

    Raises:
        UnknownIdError: There is none.
        ArtifactError: Its folder is damaged.
    """
    return activate(engine, engine.registry.before().version)


def follow(engine: Engine) -> None:
    """Takes over a version that another process made live; one that cannot be loaded is told and left alone."""
    version = engine.registry.live()
    if version is None or _serves(engine, version.version) or version.version in engine.refused:
        return
    with engine.swapping:
        if _serves(engine, version.version):
            return
        try:
            fresh = loaded(engine, version)
        except SalonError as error:
            engine.refused.add(version.version)
            engine.note(error)
            log.error("version %s cannot be loaded: %s", version.version, error)
            return
        _swap(engine, fresh)


def match_experiments(engine: Engine) -> None:
    """Loads versions that running experiments name, and lets go of those that nobody needs."""
    with engine.swapping:
        wanted = {engine.current.shelf.version, *engine.places.used()}
        for name in wanted - set(engine.used) - engine.refused:
            try:
                loaded(engine, engine.registry.get(name))
            except SalonError as error:
                engine.refused.add(name)
                engine.note(error)
        with engine.lock:
            for name in set(engine.used) - wanted:
                del engine.used[name]


def loaded(engine: Engine, version: Version) -> InUse:
    """A version in memory, its items encoded and what people did since it was fitted learned."""
    found = engine.used.get(version.version) or engine.load(version, engine.registry.load(version))
    while found.shelf.waiting:
        names, _ = found.shelf.encode(ENCODE_AT_ONCE)
        found.learner.touch_new(names)
    found.learner.update()
    return found


def _serves(engine: Engine, name: str) -> bool:
    return engine.current.shelf.version == name


def _swap(engine: Engine, fresh: InUse) -> None:
    """Questions that began on the old version end on it; those that come now begin on the new one."""
    old = engine.current.shelf.version
    engine.main = fresh
    with engine.lock:
        if old not in engine.places.used():
            engine.used.pop(old, None)
