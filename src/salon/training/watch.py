"""Watching a training run from outside, such as to stop one that lags behind others; needs no torch.

Models train deep inside their `fit`; whoever calls `fit` under `watching` is told every validation score and ends the
run by raising an exception, which passes through `fit` unchanged and leaves the model as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Watcher = Callable[[int, float], None]
"""Called as watcher(epoch from 1, validation score, higher is better)."""

_WATCHER: ContextVar[Watcher | None] = ContextVar("watcher", default=None)


@contextmanager
def watching(watcher: Watcher) -> Iterator[None]:
    """Every training run inside tells `watcher` its validation scores, unless it is spread over processes."""
    token = _WATCHER.set(watcher)
    try:
        yield
    finally:
        _WATCHER.reset(token)


def tell(epoch: int, score: float) -> None:
    """Tells the watcher, if there is one."""
    watcher = _WATCHER.get()
    if watcher is not None:
        watcher(epoch, score)
