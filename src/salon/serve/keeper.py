"""What goes on in the background of one service: encoding, learning by event, sharing what was explored.

Each kind of work has a thread of its own, so that an item is encoded while a model is solved.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from threading import Event, Thread

from salon.errors import SalonError
from salon.serve.engine import Engine, InUse
from salon.serve.insight import drift
from salon.serve.jobs import told
from salon.serve.refitting import Refitter
from salon.serve.uploads import encoded
from salon.serve.versions import follow, match_experiments

log = logging.getLogger(__name__)
AT_ONCE = 64
"""Items that are encoded before their vectors are taken in."""
CHECK_SECONDS = 60.0
"""How often it is asked whether the model should be learned anew."""
REST = 4.0
"""An update rests for so many times as long as it took, so that learning leaves most of a core to answers."""


class Keeper:
    """Runs the threads.

    Args:
        engine: Opened.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.refitter = Refitter(engine)
        self._asked_at = time.time()
        self._end = Event()
        self._threads: list[Thread] = []

    @property
    def ended(self) -> bool:
        """Whether it was closed."""
        return self._end.is_set()

    def start(self) -> None:
        """Starts everything."""
        self._loop("salon-encode", self._encode, engine_wakes=True)
        self._loop("salon-learn", self._learn)
        self._loop("salon-share", self._share)
        self._loop("salon-watch", self._watch)

    def close(self) -> None:
        """Ends everything; what is being worked on is finished."""
        self._end.set()
        self.engine.wake.set()
        for thread in self._threads:
            thread.join()
        self.refitter.close()

    def _loop(self, name: str, work: Callable[[], float], *, engine_wakes: bool = False) -> None:
        """A thread that works, then waits for as long as the work says."""

        def run() -> None:
            pause = 0.0
            while not self._end.wait(0.0 if engine_wakes else pause):
                if engine_wakes:
                    self.engine.wake.wait(pause)
                    self.engine.wake.clear()
                    if self._end.is_set():
                        return
                try:
                    pause = work()
                except SalonError as error:
                    log.warning("%s: %s", name, error)
                    self.engine.note(error)
                    pause = 1.0
                except Exception as error:
                    log.exception("%s failed", name)
                    self.engine.error = str(told(error)["message"])
                    pause = 1.0

        thread = Thread(target=run, name=name, daemon=True)
        thread.start()
        self._threads.append(thread)

    # -- encoding ----------------------------------------------------------------------------------------------------

    def _encode(self) -> float:
        for one in list(self.engine.used.values()):
            while one.shelf.waiting and not self._end.is_set():
                self.encode(one)
        return 1.0

    def encode(self, one: InUse) -> None:
        """Encodes the next items that wait, as a job."""
        engine, count = self.engine, min(one.shelf.waiting, AT_ONCE)
        with engine.jobs.running("encode", items=count, version=one.shelf.version) as detail:
            with engine.tally.timed("encode"):
                names, problems = one.shelf.encode(AT_ONCE)
            one.learner.touch_new(names)
            if one is engine.main:
                encoded(engine, names, problems)
            detail["masked"] = [{"item": p.id, "field": p.field, "reason": p.reason} for p in problems[:20]]

    # -- learning by event -------------------------------------------------------------------------------------------

    def _learn(self) -> float:
        start = time.perf_counter()
        for one in list(self.engine.used.values()):
            self.learn(one)
        return max(self.engine.options.update_seconds, REST * (time.perf_counter() - start))

    def learn(self, one: InUse) -> None:
        """Takes in what people did since the last time, as a job where there was anything."""
        engine, learner = self.engine, one.learner
        if learner.replaced >= engine.options.recount_updates:
            learner.touch_all()
        if not learner.due:
            return
        with engine.jobs.running("update", version=one.shelf.version) as detail, engine.tally.timed("update"):
            done = learner.update()
            detail |= {"people": done.people, "solved": done.solved}

    # -- exploration -------------------------------------------------------------------------------------------------

    def _share(self) -> float:
        self.engine.explorers.sync()
        return 1.0

    # -- versions ----------------------------------------------------------------------------------------------------

    def _watch(self) -> float:
        self.refitter.poll()
        follow(self.engine)
        match_experiments(self.engine)
        if time.time() - self._asked_at > CHECK_SECONDS and not self.refitter.busy:
            self._asked_at = time.time()
            if why := due(self.engine):
                self.refitter.start(why, asked=False)
        return self.engine.options.follow_seconds


def due(engine: Engine) -> str:
    """Why the model should be learned anew now: "schedule" or "drift"; "" where it should not."""
    options = engine.options
    version = engine.registry.get(engine.current.shelf.version)
    fresh = engine.store.events.count() - int(version.metrics.get("events", 0))
    if fresh < options.refit_events:
        return ""
    if options.refit_hours and time.time() - version.created >= 3600.0 * options.refit_hours:
        return "schedule"
    moved = max((one.psi for one in drift(engine)), default=0.0)
    return "drift" if options.refit_drift and moved > options.refit_drift else ""
