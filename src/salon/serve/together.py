"""Work that many callers want done after something they did: one run serves all who came before it began."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock


class Together:
    """Runs `work` so that each call returns after a run that began no earlier than the call.

    Callers that come while a run is on wait for the next one, which they share. An error goes to the caller whose run
    it was; the others try themselves.

    Args:
        work: What is run, by one caller at a time.
    """

    def __init__(self, work: Callable[[], None]) -> None:
        self._work = work
        self._asked = self._served = 0
        self._counting, self._turn = Lock(), Lock()

    def __call__(self) -> None:
        """Returns once the work was done for this call."""
        with self._counting:
            self._asked += 1
            mine = self._asked
        with self._turn:
            if self._served >= mine:
                return
            with self._counting:
                everybody = self._asked
            self._work()
            self._served = everybody
