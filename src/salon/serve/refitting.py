"""Starts refits, watches them, and decides what becomes of the result. One runs at a time among all processes."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from salon.artifacts import read_json
from salon.errors import ArtifactError, ConflictError, ResourceError, SalonError
from salon.serve.engine import Engine
from salon.serve.jobs import told
from salon.serve.refit import RefitJob
from salon.serve.values import Job
from salon.serve.versions import activate

LEASE = "refit"
"""Name of the value in the store that says who refits."""
WORD = 2_000
"""Last characters of what a process that died had written."""


@dataclass
class _Running:
    job: Job
    version: str
    folder: Path
    work: Path
    process: subprocess.Popen[bytes]
    until: float
    asked: bool


class Refitter:
    """Runs refits of one engine.

    Args:
        engine: Opened.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._running: _Running | None = None

    @property
    def busy(self) -> bool:
        """Whether one runs here."""
        return self._running is not None

    def start(self, why: str, *, asked: bool) -> Job:
        """Starts a process that learns anew.

        Args:
            why: "asked", "schedule" or "drift".
            asked: Whether somebody wants the result even where too few newer events can judge it.

        Raises:
            ConflictError: One is running already, here or in another process.
        """
        engine = self.engine
        with engine.lock:
            if self._running is not None:
                raise ConflictError("A refit is running.", hint="Wait for it; see the jobs.")
            self._take_lease()
            version = engine.registry.fresh()
            live = engine.current.shelf.live
            work = engine.home / "jobs" / version
            work.mkdir(parents=True)
            folder = engine.home / "versions" / version
            root = live.root or engine.home / "media"
            told_to = RefitJob(
                str(engine.url),
                str(engine.home),
                live.version,
                str(folder),
                str(root),
                str(work / "progress.json"),
                engine.options.judged_questions,
                engine.options.tolerance,
                engine.options.refit_memory_gb,
            )
            told_to.write(work / "job.json")
            job = engine.jobs.new("refit", "running", why=why, version=version)
            until = time.time() + engine.options.refit_seconds
            self._running = _Running(job, version, folder, work, _process(work), until, asked)
        return job

    def poll(self) -> None:
        """Looks after the process that runs, if one does."""
        one, engine = self._running, self.engine
        if one is None:
            return
        state = _state(one.work)
        code = one.process.poll()
        if code is None and time.time() > one.until:
            one.process.kill()
            one.process.wait()
            error = ResourceError(
                f"The refit did not end within {engine.options.refit_seconds:g} seconds.", hint="Raise refit_seconds."
            )
            self._failed(one, told(error))
        elif code is None:
            detail = {name: state[name] for name in ("done", "total", "what") if name in state}
            engine.jobs.now(one.job, "running", **detail)
        elif state.get("state") == "done":
            self._done(one, state["metrics"])
        else:
            self._failed(one, state.get("error") or _death(one, code))

    def close(self) -> None:
        """Stops what runs."""
        one = self._running
        if one is not None:
            one.process.kill()
            one.process.wait()
            error = ResourceError("The service ended before the refit did.", hint="Start it again.")
            self._failed(one, told(error))

    # -- how it ends -------------------------------------------------------------------------------------------------

    def _done(self, one: _Running, metrics: Mapping[str, Any]) -> None:
        engine = self.engine
        self._end(one)
        try:
            version = engine.registry.add(one.folder, metrics, name=one.version)
            judged = metrics["judged"]
            wanted = judged["no_worse"] if judged["enough"] else one.asked
            if wanted:
                activate(engine, version.version)
            engine.jobs.now(one.job, "done", live=wanted, judged=judged)
            engine.registry.tidy()
        except SalonError as error:
            engine.jobs.now(one.job, "failed", error=told(error))
            engine.note(error)

    def _failed(self, one: _Running, error: Mapping[str, Any]) -> None:
        engine = self.engine
        self._end(one)
        shutil.rmtree(one.folder, ignore_errors=True)
        engine.registry.fail(one.version, error)
        engine.jobs.now(one.job, "failed", error=error)

    def _end(self, one: _Running) -> None:
        self._running = None
        shutil.rmtree(one.work, ignore_errors=True)
        found = self.engine.store.values.get(LEASE)
        if found is not None and found[0].get("owner") == _me():
            self.engine.store.values.put(LEASE, {}, expected=found[1])

    def _take_lease(self) -> None:
        """Raises ConflictError where another process refits; a process that died loses its lease by the clock."""
        store, found = self.engine.store, self.engine.store.values.get(LEASE)
        now = time.time()
        if found is not None and found[0].get("until", 0.0) > now and found[0].get("owner") != _me():
            raise ConflictError(f"A refit is running on {found[0]['owner']}.", hint="Wait for it; see the jobs.")
        body = {"owner": _me(), "until": now + self.engine.options.refit_seconds + 60.0}
        if not store.values.put(LEASE, body, expected=None if found is None else found[1]):
            raise ConflictError("Another process starts a refit at this moment.", hint="Wait for it; see the jobs.")


def _process(work: Path) -> subprocess.Popen[bytes]:
    with (work / "words.txt").open("wb") as words:
        return subprocess.Popen(  # noqa: S603  our own module, with a file of ours
            [sys.executable, "-m", "salon.serve.refit", str(work / "job.json")],
            stdin=subprocess.DEVNULL,
            stdout=words,
            stderr=words,
        )


def _state(work: Path) -> Mapping[str, Any]:
    try:
        found = read_json(work / "progress.json")
    except ArtifactError:  # not there yet
        return {}
    return found if isinstance(found, dict) else {}


def _death(one: _Running, code: int) -> Mapping[str, Any]:
    """The error of a process that ended without a word of its own, such as one killed for its memory."""
    words = (one.work / "words.txt").read_text(encoding="utf-8", errors="replace")[-WORD:].strip()
    how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
    hint = "It may have needed more memory than there is; set refit_memory_gb." if code == -9 else words
    return told(ResourceError(f"The refit {how}.", hint=hint))


def _me() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"
