"""Versions: learned anew in a process of its own, judged, swapped without a dropped question, rolled back."""

import os
import signal
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from salon.errors import ArtifactError, ConflictError, UnknownIdError
from salon.pipeline import Pipeline
from salon.serve import refitting
from salon.serve.judging import cut_of, judged, questions_of
from salon.serve.keeper import due
from salon.serve.live import Live
from salon.serve.options import LiveOptions
from salon.serve.people import Person
from salon.serve.refit import RefitJob, main, run
from salon.serve.service import LiveService
from salon.serve.tastes import Tastes
from salon.serve.truth import stored_events, stored_items
from salon.serve.values import Ask, Job, Reply
from salon.store.values import StoredEvent, Version

Wait = Callable[..., float]
Open = Callable[..., LiveService]


def told_more(service: LiveService, people: int = 12) -> None:
    """Later likes of many people, each of their own colour."""
    service.add_events(
        [
            StoredEvent(f"p{u:02d}", f"thing-{i:02d}", "buy")
            for u in range(people)
            for i in range(u % 2, 24, 2)
            if (u + i) % 3 == 0
        ]
    )


def job_of(service: LiveService, folder: Path, **more: object) -> RefitJob:
    engine = service.engine
    given = {
        "store": str(engine.url),
        "home": str(engine.home),
        "live": engine.current.shelf.version,
        "folder": str(folder / "new"),
        "root": str(engine.current.shelf.live.root),
        "progress": str(folder / "progress.json"),
        "judged_questions": 5,
        "tolerance": 0.02,
    }
    return RefitJob(**{**given, **more})  # type: ignore[arg-type]


def ended(service: LiveService, job: Job, wait_until: Wait) -> Job:
    wait_until(lambda: service.engine.jobs.get(job.id).ended is not None, 120)  # type: ignore[union-attr]
    found = service.engine.jobs.get(job.id)
    assert found is not None
    return found


def test_a_refit_learns_everything_stored(open_service: Open, shop_folder: Path, tmp_path: Path) -> None:
    service = open_service(shop_folder)
    told_more(service)
    service.delete_items(["thing-10"])
    steps: list[str] = []
    metrics = run(job_of(service, tmp_path), lambda done, total, what: steps.append(what))
    made = Pipeline.load(tmp_path / "new")
    assert made.dataset.n_items == metrics["items"] == 24
    assert len(made.dataset.events) == metrics["events"] == service.engine.store.events.count()
    assert metrics["judged"]["enough"]
    assert metrics["judged"]["questions"] >= 5
    assert 0 <= metrics["judged"]["new"] <= 1
    assert steps[-1] == "saved"
    few = run(job_of(service, tmp_path, judged_questions=1000))
    assert not few["judged"]["enough"]
    assert not few["judged"]["no_worse"]


def test_a_refit_runs_in_a_process_of_its_own_and_takes_over(
    open_service: Open, shop_folder: Path, wait_until: Wait
) -> None:
    service = open_service(shop_folder, options=LiveOptions(judged_questions=1000, follow_seconds=0.05))
    told_more(service)
    first = service.versions()[0].version
    job = service.refit()
    with pytest.raises(ConflictError, match="running"):
        service.refit()
    done = ended(service, job, wait_until)
    assert done.state == "done", done.detail
    assert done.detail["live"], "asked for by hand, and too few newer events to say anything against it"
    (new, old) = service.versions()
    assert (new.state, old.state, old.version) == ("live", "retired", first)
    assert service.ready()["model"] == new.version
    assert service.recommend([Ask(user="p00")])[0].version == new.version  # type: ignore[union-attr]
    assert service.rollback().version == first
    assert service.ready()["model"] == first
    assert not (service.engine.home / "jobs" / new.version).exists()
    assert service.comparison()["versions"][0]["judged"]["questions"] >= 0


def test_a_version_that_is_worse_stays_a_candidate(open_service: Open, shop_folder: Path) -> None:
    service = open_service(shop_folder)
    told_more(service, 30)
    engine = service.engine
    live = engine.current.shelf.live
    events = list(stored_events(engine.store))
    asked = questions_of(events, cut_of(events, 0), engine.tastes, {})
    broken = replace(live, model=_Backwards(live.model))  # type: ignore[arg-type]
    worse = judged(broken, live, asked, least=5, tolerance=0.02)
    same = judged(live, live, asked, least=5, tolerance=0.02)
    assert worse.enough
    assert not worse.no_worse
    assert worse.new < worse.live
    assert same.no_worse
    assert same.difference == 0.0


class _Backwards:
    """A model whose scores are turned around."""

    def __init__(self, model: object) -> None:
        self.model = model
        self.n_items_ = model.n_items_  # type: ignore[attr-defined]
        self.reads_profiles = False

    def score(self, queries: object) -> np.ndarray:
        scores: np.ndarray = -self.model.score(queries)  # type: ignore[attr-defined]
        return scores


def test_questions_are_likes_after_the_cut_that_nobody_knew() -> None:
    events = [
        StoredEvent("a", "x", "view", revision=1, time=1),
        StoredEvent("a", "y", "view", revision=2, time=2),
        StoredEvent("b", "x", "dislike", revision=3, time=3),
        StoredEvent("a", "x", "view", revision=4, time=4),
        StoredEvent("a", "z", "view", revision=5, time=5),
        StoredEvent("b", "y", "dislike", revision=6, time=6),
    ]
    tastes = Tastes(None)
    (one,) = questions_of(events, 3, tastes, {})
    assert one.liked == ("z",)
    assert one.person == Person("a", one.person.taste, {}, known=True)
    assert one.person.taste.items == ("x", "y")
    assert cut_of(events, 6) == 6, "everything was learned: nothing is left to judge by"
    assert cut_of(events, 2) == 5, "the newest tenth of what was not learned, at least one"
    assert cut_of([], 0) == 0


# -- failures ----------------------------------------------------------------------------------------------------------


def test_a_failing_refit_leaves_the_live_model_alone(
    open_service: Open, shop_folder: Path, wait_until: Wait, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = open_service(shop_folder)
    first = service.ready()["model"]
    monkeypatch.setattr(refitting, "RefitJob", lambda *given: RefitJob(*given[:2], "nothing", *given[3:]))
    job = ended(service, service.refit(), wait_until)
    assert job.state == "failed"
    assert job.detail["error"]["code"] == "unknown_id"
    failed = service.versions()[0]
    assert failed.state == "failed"
    assert failed.metrics["error"]["message"].startswith("There is no version")
    assert service.ready() == {"ready": True, "store": True, "model": first, "error": ""}
    with pytest.raises((ArtifactError, ConflictError)):
        service.activate(failed.version)


def test_a_refit_that_is_killed_or_too_slow_is_marked_as_failed(
    open_service: Open, shop_folder: Path, wait_until: Wait
) -> None:
    service = open_service(shop_folder)
    job = service.refit()
    running = service.keeper.refitter._running
    assert running is not None
    os.kill(running.process.pid, signal.SIGKILL)
    killed = ended(service, job, wait_until)
    assert "signal 9" in killed.detail["error"]["message"]
    assert "memory" in killed.detail["error"]["hint"]
    service.engine.options = LiveOptions(refit_seconds=0.01)
    slow = ended(service, service.refit(), wait_until)
    assert "did not end" in slow.detail["error"]["message"]
    assert [one.state for one in service.versions()] == ["failed", "failed", "live"]


def test_memory_beyond_the_limit_is_a_clear_error(
    open_service: Open, shop_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = open_service(shop_folder)
    job_of(service, tmp_path).write(tmp_path / "job.json")

    def hungry(job: RefitJob, progress: object) -> dict[str, object]:
        raise MemoryError

    monkeypatch.setattr("salon.serve.refit.run", hungry)
    assert main(tmp_path / "job.json") == 1
    assert '"code": "resource"' in (tmp_path / "progress.json").read_text()
    assert (tmp_path / "job.json").stat().st_mode & 0o077 == 0, "a database URL may hold a password"


def test_one_refit_runs_among_all_processes(open_service: Open, shop_folder: Path) -> None:
    service = open_service(shop_folder)
    store = service.engine.store
    store.values.put("refit", {"owner": "elsewhere:1", "until": 9e12}, expected=None)
    with pytest.raises(ConflictError, match="elsewhere"):
        service.refit()
    found = store.values.get("refit")
    assert found is not None
    store.values.put("refit", {"owner": "elsewhere:1", "until": 1.0}, expected=found[1])
    service.refit()  # that process died; closing the service ends this one


# -- swapping ----------------------------------------------------------------------------------------------------------


def second_version(service: LiveService, folder: Path) -> Version:
    """Another version in the registry, learned from the same data."""
    pipeline = Pipeline.load(service.engine.model)
    pipeline.save(folder / "second")
    metrics = {"revision": service.engine.store.revision(), "root": os.path.relpath(folder, service.engine.home)}
    return service.engine.registry.add(folder / "second", metrics)


def test_a_damaged_version_is_refused_and_the_old_one_goes_on(
    open_service: Open, shop_folder: Path, wait_until: Wait
) -> None:
    service = open_service(shop_folder)
    first = service.ready()["model"]
    second = second_version(service, shop_folder)
    arrays = shop_folder / "second/model/arrays.npz"
    arrays.write_bytes(arrays.read_bytes()[:-100])
    with pytest.raises(ArtifactError, match="damaged"):
        service.activate(second.version)
    assert service.ready()["model"] == first
    assert [one.state for one in service.versions()] == ["candidate", "live"]
    with pytest.raises(UnknownIdError):
        service.activate("nothing")
    service.engine.store.versions.activate(second.version)  # another process, where it could be read
    wait_until(lambda: "damaged" in service.ready()["error"])
    assert service.recommend([Ask(user="p00")])[0].version == first  # type: ignore[union-attr]


def test_a_start_with_a_damaged_version_takes_the_one_before(open_service: Open, shop_folder: Path) -> None:
    service = open_service(shop_folder)
    first, second = service.ready()["model"], second_version(service, shop_folder)
    service.activate(second.version)
    service.close()
    arrays = shop_folder / "second/model/arrays.npz"
    arrays.write_bytes(arrays.read_bytes()[:-100])
    again = open_service(shop_folder)
    assert again.ready()["model"] == first
    assert "damaged" in again.ready()["error"]
    again.close()
    (shop_folder / "model/shop.json").write_text("{}")
    with pytest.raises(ArtifactError):
        open_service(shop_folder)


def test_other_processes_follow_the_live_version(open_service: Open, shop_folder: Path, wait_until: Wait) -> None:
    here, there = open_service(shop_folder), open_service(shop_folder)
    second = second_version(here, shop_folder)
    here.activate(second.version)
    wait_until(lambda: there.ready()["model"] == second.version)
    there.rollback()
    wait_until(lambda: here.ready()["model"] != second.version)
    live = [one for one in here.versions() if one.state == "live"]
    assert len(live) == 1


def test_a_swap_under_load_drops_nothing(open_service: Open, shop_folder: Path) -> None:
    service = open_service(shop_folder)
    second = second_version(service, shop_folder)
    first = service.ready()["model"]
    wrong: list[object] = []
    answered: set[str] = set()
    over = threading.Event()

    def ask() -> None:
        n = 0
        while not over.is_set():
            n += 1
            (reply,) = service.recommend([Ask(user=f"p{n % 30:02d}", k=5)])
            if not isinstance(reply, Reply) or len(reply.items) != 5:
                wrong.append(reply)
            else:
                answered.add(reply.version)

    asking = [threading.Thread(target=ask) for _ in range(3)]
    for thread in asking:
        thread.start()
    for version in (second.version, first, second.version):
        service.activate(version)
        service.add_events([StoredEvent("p00", "thing-03", "view")])
    over.set()
    for thread in asking:
        thread.join()
    assert not wrong
    assert answered <= {first, second.version}
    assert set(service.engine.used) == {second.version}


def test_a_model_that_was_fitted_again_becomes_the_live_version(open_service: Open, shop_folder: Path) -> None:
    service = open_service(shop_folder)
    first = service.ready()["model"]
    service.add_events([StoredEvent("guest", "thing-01", "buy")])
    service.close()
    pipeline = Pipeline.load(shop_folder / "model")
    pipeline.fit(rng=1).save(shop_folder / "model")
    (shop_folder / "model/shop.json").touch()
    again = open_service(shop_folder)
    version = again.ready()["model"]
    if version == first:  # the same bytes: the same version
        assert len(again.versions()) == 1
        return
    assert [one.state for one in again.versions()] == ["live", "retired"]
    assert again.events(user="guest").rows
    with pytest.raises(ArtifactError, match="another model"):
        again.rollback()


def test_when_a_refit_is_due(open_service: Open, shop_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    service = open_service(shop_folder)
    engine = service.engine
    engine.options = LiveOptions(refit_events=10)
    assert due(engine) == ""
    told_more(service)
    assert due(engine) == ""
    engine.options = LiveOptions(refit_events=10, refit_hours=1e-9)
    assert due(engine) == "schedule"
    engine.options = LiveOptions(refit_events=10, refit_hours=0)
    monkeypatch.setattr("salon.serve.keeper.drift", lambda engine: [SimpleNamespace(psi=0.5)])
    assert due(engine) == "drift"
    engine.options = LiveOptions(refit_events=10_000, refit_hours=0)
    assert due(engine) == ""


def test_old_folders_are_tidied(open_service: Open, shop_folder: Path) -> None:
    service = open_service(shop_folder, options=LiveOptions(versions=2))
    engine = service.engine
    pipeline = Pipeline.load(engine.model)
    names = []
    for number in range(5):
        folder = engine.home / "versions" / str(number)
        pipeline.save(folder)
        engine.store.versions.activate(engine.registry.add(folder, {}, name=f"v{number}").version)
        names.append(folder)
    engine.registry.tidy()
    assert [folder.exists() for folder in names] == [False, False, True, True, True]
    assert engine.model.is_dir(), "a model that the service did not make stays"


def test_live_is_compared_by_identity(service: LiveService) -> None:
    live = service.engine.current.shelf.live
    assert live == live
    assert live != replace(live)
    assert isinstance(Live.of("x", Pipeline.load(service.engine.model), dict.fromkeys(()), None), Live)
    assert len(list(stored_items(service.engine.store))) == 25
