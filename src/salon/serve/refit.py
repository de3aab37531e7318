"""A new version from everything stored, in a process of its own: python -m salon.serve.refit JOB.json

    1  All but the newest events that the live version has not learned are read, and a model is fitted on them.
    2  It is compared with the live version on those newest events (`judging`), which neither has learned.
    3  The new version is fitted on all events and saved.

How far it is, and how it ended, is told by a file beside the job. The service that started it decides what to do with
the result; killing this process leaves nothing behind but that file.
"""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from salon.artifacts import read_json, write_json
from salon.data.catalogue import ReadResult
from salon.errors import ResourceError
from salon.pipeline import Pipeline
from salon.serve.jobs import told
from salon.serve.judging import Judgement, Question, cut_of, judged, questions_of
from salon.serve.live import Live
from salon.serve.registry import Registry
from salon.serve.shelf import Shelf, unmet
from salon.serve.tastes import Tastes
from salon.serve.truth import dataset_of, stored_events, stored_items, stored_users
from salon.store import Store, open_store
from salon.types import Progress

ENCODE_AT_ONCE = 256


@dataclass(frozen=True)
class RefitJob:
    """What the process is to do.

    Attributes:
        store: Path or URL of the store.
        home: Folder that paths of versions start from.
        live: Version to beat.
        folder: Where the new version is written.
        root: Folder of the media.
        progress: File that tells how far it is.
        judged_questions: People with newer likes below which nothing is compared.
        tolerance: Share of its accuracy that the new version may lose.
        memory_gb: Address space beyond which the work is given up; 0: as the machine allows.
        rng: Seed.
    """

    store: str
    home: str
    live: str
    folder: str
    root: str
    progress: str
    judged_questions: int
    tolerance: float
    memory_gb: float = 0.0
    rng: int = 0

    def write(self, path: Path) -> None:
        """Writes the job file; it may hold the password of a database, so that only its owner may read it."""
        path.touch(mode=0o600)
        write_json(path, asdict(self))


def run(job: RefitJob, progress: Progress | None = None) -> dict[str, Any]:
    """Makes the new version.

    Returns:
        Metrics: what was learned from, how long it took, and how it compared.

    Raises:
        SalonError: Something of it cannot be done.
    """
    start = time.time()
    say = progress or (lambda done, total, what: None)
    with open_store(job.store, create=False) as store:
        old_version = (registry := Registry(store, Path(job.home), keep=2)).get(job.live)
        old = registry.load(old_version)
        tastes = Tastes(old.shop.events, old.dataset.repeat)
        revision = store.revision()
        root = Path(job.root)
        learned = int(old_version.metrics.get("revision", 0))
        events = list(stored_events(store, until=revision))
        cut = cut_of(events, learned)
        fields = {user.id: user.fields for user in stored_users(store)}
        asked = questions_of(events, cut, tastes, fields)
        judgement = Judgement(len(asked), enough=False, tolerance=job.tolerance)
        if len(asked) >= job.judged_questions:
            say(1, 4, "fitting on the older events")
            probe = _fitted(store, old, tastes, root, cut, job.rng)
            say(2, 4, "comparing with the live version")
            judgement = _judged(store, (probe, cut), (old, learned), asked, job)
        say(3, 4, "fitting on all events")
        final = _fitted(store, old, tastes, root, revision, job.rng)
        final.save(job.folder)
    say(4, 4, "saved")
    data = final.dataset
    return {
        "model": type(final.fitted).__name__,
        "items": data.n_items,
        "people": data.n_users,
        "events": len(data.events),
        "revision": revision,
        "root": os.path.relpath(root, job.home),
        "judged": judgement.plain(),
        "against": job.live,
        "seconds": round(time.time() - start, 1),
    }


def _fitted(store: Store, old: Pipeline, tastes: Tastes, root: Path, until: int, rng: int) -> Pipeline:
    """The catalogue of now and the events up to a revision, learned with the settings of another version."""
    data = dataset_of(store, old.dataset, tastes, root=root, until=until)
    return Pipeline(old.shop, ReadResult(data), root).encode().fit(rng=rng)


def _judged(
    store: Store, new: tuple[Pipeline, int], old: tuple[Pipeline, int], asked: list[Question], job: RefitJob
) -> Judgement:
    mine, theirs = (_live(store, name, *one, Path(job.root)) for name, one in (("new", new), ("live", old)))
    return judged(mine, theirs, asked, least=job.judged_questions, tolerance=job.tolerance)


def _live(store: Store, name: str, pipeline: Pipeline, learned: int, root: Path) -> Live:
    """A version over the catalogue of now, as it would serve."""
    items = {item.id: item for item in stored_items(store)}
    shelf = Shelf(Live.of(name, pipeline, items, root))
    shelf.put(unmet(items, pipeline.dataset, learned), again=True)
    while shelf.waiting:
        shelf.encode(ENCODE_AT_ONCE)
    return shelf.live


# -- the process -------------------------------------------------------------------------------------------------------


def main(path: Path) -> int:
    """Does the job in a file; 0 where it went well."""
    job = RefitJob(**read_json(path))
    place = Path(job.progress)

    def say(done: int, total: int, what: str) -> None:
        _tell(place, {"state": "running", "done": done, "total": total, "what": what})

    try:
        if job.memory_gb:
            limit = int(job.memory_gb * 2**30)
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        _tell(place, {"state": "done", "metrics": run(job, say)})
    except MemoryError:
        error = ResourceError(
            f"The refit needs more than {job.memory_gb:g} GiB of memory."
            if job.memory_gb
            else "The refit ran out of memory.",
            hint="Raise refit_memory_gb, or give the model smaller settings.",
        )
        _tell(place, {"state": "failed", "error": told(error)})
        return 1
    except Exception as error:
        _tell(place, {"state": "failed", "error": told(error)})
        return 1
    return 0


def _tell(place: Path, state: Mapping[str, Any]) -> None:
    """Replaces the file at once, so that nobody reads half of it."""
    fresh = place.with_suffix(".new")
    write_json(fresh, state)
    fresh.replace(place)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
