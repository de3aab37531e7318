"""Work in the background: what it is, where it is, how it ended. The latest are remembered."""

from __future__ import annotations

import time
import uuid
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from threading import Lock
from typing import Any, Literal

from salon.errors import SalonError
from salon.serve.values import Job

State = Literal["waiting", "running", "done", "failed"]


class Jobs:
    """A bounded list of jobs.

    Args:
        size: How many are remembered; those that are not over stay.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._kept: OrderedDict[str, Job] = OrderedDict()
        self._lock = Lock()

    def new(self, kind: str, state: State = "waiting", **detail: Any) -> Job:
        """Remembers a job that begins."""
        job = Job(f"{kind}-{uuid.uuid4().hex[:12]}", kind, state, time.time(), detail=detail)
        with self._lock:
            self._kept[job.id] = job
            over = [name for name, one in self._kept.items() if one.ended is not None]
            for name in over[: max(0, len(self._kept) - self.size)]:
                del self._kept[name]
        return job

    def now(self, job: Job, state: State, **detail: Any) -> Job:
        """Where the job is now; a state that is an end sets the time."""
        ended = time.time() if state in ("done", "failed") else None
        with self._lock:
            old = self._kept.get(job.id, job)
            new = replace(old, state=state, ended=ended, detail={**old.detail, **detail})
            self._kept[job.id] = new
        return new

    def get(self, name: str) -> Job | None:
        """The job of this name, if it is remembered."""
        return self._kept.get(name)

    def all(self) -> list[Job]:
        """All that are remembered, newest first."""
        with self._lock:
            return list(reversed(self._kept.values()))

    @contextmanager
    def running(self, kind: str, **detail: Any) -> Iterator[dict[str, Any]]:
        """A job around a block, which may put numbers into what it is given; an error is told and goes on."""
        job, found = self.new(kind, "running", **detail), {}  # type: ignore[var-annotated]
        try:
            yield found
        except Exception as error:
            self.now(job, "failed", **found, error=told(error))
            raise
        self.now(job, "done", **found)


def told(error: BaseException) -> Mapping[str, Any]:
    """An error as plain data with a code, a message and a hint."""
    if isinstance(error, SalonError):
        return error.to_dict()
    return {"code": "error", "message": f"{type(error).__name__}: {error}", "hint": "", "retryable": False}
