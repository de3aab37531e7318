"""What one tenant's service is made of: the store, the versions in use, histories, and what keeps them up to date.

Every write, own or of another process, arrives by one way: the store's feed of changes. `catch_up` reads it before each
answer, so an acknowledged event counts in the next one.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Event, RLock
from typing import Any, NamedTuple

from salon.artifacts import MANIFEST, sha256
from salon.data import Dataset, Queries
from salon.errors import ArtifactError, NotFittedError, SalonError
from salon.pipeline import Pipeline
from salon.serve.batcher import Batcher
from salon.serve.bounded import Bounded
from salon.serve.explorers import Explorers
from salon.serve.exposures import ExposureLog
from salon.serve.homes import STORE, home_of
from salon.serve.jobs import Jobs
from salon.serve.learner import Learner
from salon.serve.live import Live
from salon.serve.options import LiveOptions
from salon.serve.people import People, joined
from salon.serve.registry import Registry
from salon.serve.scenarios import Places
from salon.serve.shelf import Shelf, unmet
from salon.serve.stages import Expressions
from salon.serve.tally import Tally
from salon.serve.tastes import Tastes
from salon.serve.together import Together
from salon.serve.truth import import_dataset, stored_items
from salon.serve.values import Job
from salon.store import EventWriter, Store, open_store
from salon.store.values import Changes, Version
from salon.types import FloatArray

IMPORT, BEGUN, DONE = "import", "begun", "done"
"""Name of the value in the store that says whether a catalogue was imported, and what it says."""


class InUse(NamedTuple):
    """A version that answers: its snapshot, and what keeps its model up with people."""

    shelf: Shelf
    learner: Learner


class Engine:
    """Opens, holds and closes everything; one per tenant.

    Args:
        model: Folder that `salon fit` wrote: the first version, and the catalogue of a new store.
        store: Path or URL of the store; None: `salon.db` in `home`.
        home: Folder of later versions and uploads; None: beside the model, its name with ".live" behind.
        options: Settings.
    """

    def __init__(
        self,
        model: Path,
        *,
        store: str | Path | None = None,
        home: Path | None = None,
        options: LiveOptions | None = None,
    ) -> None:
        self.model = Path(os.path.abspath(model))
        self.home = Path(os.path.abspath(home or home_of(self.model)))
        self.url: str | Path = store if store is not None else self.home / STORE
        self.options = options or LiveOptions()
        self.error = ""
        self.since = time.time()
        self.tally = Tally()
        self.jobs = Jobs(self.options.jobs)
        self.expressions = Expressions()
        self.wake = Event()
        self.uploads: dict[str, list[Job]] = {}
        self.looked: Bounded[tuple[str, str], Mapping[str, Any]] = Bounded(8)
        self.looking = RLock()
        self.lock = RLock()
        self.swapping = RLock()
        self.refused: set[str] = set()
        self.used: dict[str, InUse] = {}
        self.main: InUse | None = None
        self.position = 0
        self._looking = Together(self._look)

    # -- opening and closing -----------------------------------------------------------------------------------------

    def open(self) -> None:
        """Opens the store, imports the model's catalogue into an empty one, and loads the live version.

        Raises:
            StoreError: The store cannot be opened.
            ArtifactError: No version can be loaded.
        """
        self.home.mkdir(parents=True, exist_ok=True)
        self.store: Store = open_store(self.url)
        self.registry = Registry(self.store, self.home, self.options.versions)
        try:
            version, pipeline = self._first()
        except BaseException:
            self.store.close()
            raise
        rules = pipeline.shop.events
        self.tastes = Tastes(rules, pipeline.dataset.repeat)
        self.people = People(self.store, self.tastes, size=self.options.people, latest=self.options.history)
        self.places = Places(self.store)
        self.explorers = Explorers(self.store)
        self.writer = EventWriter(self.store)
        self.exposures = ExposureLog(self.store, self.options.exposures, self.note)
        self.batcher: Batcher[tuple[Live, bool], Queries, FloatArray] = Batcher(_scored, most=self.options.batch)
        self.places.read()
        self.position = self.store.revision()
        self.main = self.load(version, pipeline)

    def close(self) -> None:
        """Writes what waits and closes the store; nothing where it was never opened."""
        if self.main is None:
            return
        self.writer.close()
        try:
            self.exposures.close()
            self.explorers.sync()
        finally:
            self.store.close()

    def note(self, error: SalonError) -> None:
        """Remembers an error of background work, which `ready` tells."""
        self.error = str(error)

    # -- versions ----------------------------------------------------------------------------------------------------

    @property
    def current(self) -> InUse:
        """The version that is live in this process.

        Raises:
            NotFittedError: `open` was not called.
        """
        if self.main is None:
            raise NotFittedError("The service was not started.", hint="Call start() first.")
        return self.main

    def _first(self) -> tuple[Version, Pipeline]:
        """The version to begin with; a model folder that is new here becomes a version and is made live."""
        digest = sha256(self.model / MANIFEST) if (self.model / MANIFEST).is_file() else None
        known = {one.metrics.get("manifest") for one in self.registry.all()}
        if digest is not None and digest not in known:
            pipeline = Pipeline.load(self.model)
            if not known:
                self._import(pipeline.dataset)
            fresh = self.registry.add(self.model, self._about(pipeline, imported=not known))
            return self.store.versions.activate(fresh.version), pipeline
        return self._loadable()

    def _import(self, data: Dataset) -> None:
        """Puts a catalogue into an empty store, or into one where an earlier import was cut short."""
        found = self.store.values.get(IMPORT)
        begun = found is not None and found[0] == BEGUN
        if begun or not self.store.revision():
            self.store.values.put(IMPORT, BEGUN, expected=None if found is None else found[1])
            import_dataset(self.store, data)
            found = self.store.values.get(IMPORT)
            self.store.values.put(IMPORT, DONE, expected=None if found is None else found[1])

    def _about(self, pipeline: Pipeline, *, imported: bool) -> dict[str, object]:
        """What is known of a version that came from outside."""
        data, root = pipeline.dataset, pipeline.dataset.items.root
        return {
            "model": type(pipeline.fitted).__name__,
            "items": data.n_items,
            "people": data.n_users,
            "events": len(data.events),
            "revision": self.store.revision() if imported else 0,
            "root": "" if root is None else os.path.relpath(root, self.home),
        }

    def _loadable(self) -> tuple[Version, Pipeline]:
        """The live version, or the latest that was live before and can be read; what was wrong is told by `ready`."""
        order = [one for one in self.registry.all() if one.state in ("live", "retired")]
        order.sort(key=lambda one: (one.state != "live", -(one.activated or 0.0)))
        problem: SalonError = ArtifactError(f"There is no model at {str(self.model)!r}.", hint="Run salon fit.")
        for number, one in enumerate(order):
            try:
                pipeline = self.registry.load(one)
            except SalonError as error:
                problem = problem if number else error
                self.note(problem)
                continue
            return one, pipeline
        raise problem

    def load(self, version: Version, pipeline: Pipeline) -> InUse:
        """A version over everything that is stored now, ready to answer."""
        data = pipeline.dataset
        start = self.position
        items = {item.id: item for item in stored_items(self.store)}
        live = Live.of(version.version, pipeline, items, self.root(version, data))
        shelf = Shelf(live)
        learner = Learner.of(shelf, self.people, data)
        found = InUse(shelf, learner)
        trained = int(version.metrics.get("revision", 0))
        shelf.put(unmet(items, data, trained), again=True)
        self._touched(learner, trained, start)
        with self.lock:
            self._apply_after(start, found)
            self.used[version.version] = found
        return found

    def root(self, version: Version, data: Dataset) -> Path:
        """Folder of the media; catalogues without any get one for uploads."""
        named = version.metrics.get("root", "")
        if named:
            return Path(os.path.normpath(self.home / str(named)))
        return data.items.root or self.home / "media"

    def _touched(self, learner: Learner, after: int, until: int) -> None:
        """Marks everybody who did something that the version has not learned."""
        while after < until:
            changes = self.store.changes(after)
            self._tell(changes, InUse(learner.shelf, learner), catalogue=False)
            after = changes.revision
            if not changes.more:
                return

    def _apply_after(self, position: int, one: InUse) -> None:
        """Brings a version that was loaded at one position to where the others are."""
        while position < self.position:
            changes = self.store.changes(position)
            self._tell(changes, one)
            position = changes.revision

    # -- the feed ----------------------------------------------------------------------------------------------------

    def catch_up(self) -> None:
        """Takes over everything that was written by anybody up to now; callers that come meanwhile share one look."""
        self._looking()

    def _look(self) -> None:
        if self.store.revision() == self.position:
            return
        with self.lock:
            while True:
                changes = self.store.changes(self.position)
                self._forget(changes)
                for one in list(self.used.values()):
                    self._tell(changes, one)
                rows = len(changes.events) + len(changes.items) + len(changes.users)
                if changes.revision - self.position > rows:  # something else was written as well
                    self.places.read()
                self.position = changes.revision
                if not changes.more:
                    break
        self.wake.set()

    def _forget(self, changes: Changes) -> None:
        """Drops histories that changed."""
        users = {event.user for event in changes.events}
        for user in changes.users:
            users |= {user.id, user.merged_into} if user.merged_into else {user.id}
        named = {removal.user for removal in changes.removals if removal.user}
        if any(not removal.user for removal in changes.removals) or changes.deleted_users:
            self.people.forget_all()  # somebody may be merged into a person who is deleted
        self.people.forget([*users, *named, *changes.deleted_users])

    def _tell(self, changes: Changes, one: InUse, *, catalogue: bool = True) -> None:
        """Hands changes to one version."""
        shelf, learner = one
        if catalogue:
            shelf.put(changes.items)
            shelf.remove(changes.deleted_items)
        learner.touch(event.user for event in changes.events)
        learner.touch(user.id for user in changes.users)
        learner.touch(changes.deleted_users)
        learner.touch(removal.user for removal in changes.removals if removal.user)
        items = {removal.item for removal in changes.removals if removal.item and not removal.user}
        learner.touch_items(items | set(changes.deleted_items))
        if any(not removal.user and not removal.item for removal in changes.removals):
            learner.touch_all()


def _scored(key: tuple[Live, bool], queries: Sequence[Queries]) -> Sequence[FloatArray]:
    """(rows,) scores for each question of one batch, all of which have an order or none has."""
    return list(key[0].score(joined(queries)))
