"""Limits on what comes in: how often a key may call, and how large a body may be."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from starlette.exceptions import HTTPException
from starlette.types import Message, Receive

from salon.errors import RateError

MOST_BUCKETS = 10_000
"""Keys and addresses that are remembered at once."""


class Buckets:
    """Token buckets: a key may make `burst` calls at once and `rate` calls per second for long.

    The longest unused bucket is forgotten when there are too many; a forgotten key begins with a full one.

    Args:
        rate: Calls per second; 0 sets no limit.
        burst: Calls at once.
        clock: Seconds from anywhere.
    """

    def __init__(self, rate: float, burst: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.rate, self.burst, self._clock = rate, burst, clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._left)

    def take(self, name: str, cost: float = 1.0) -> None:
        """Spends `cost` calls of `name`.

        Raises:
            RateError: None is left; the error says when there will be.
        """
        if not self.rate:
            return
        now = self._clock()
        left, then = self._left.pop(name, (float(self.burst), now))
        left = min(float(self.burst), left + (now - then) * self.rate)
        allowed = left >= cost
        self._left[name] = (left - cost if allowed else left, now)
        if len(self._left) > MOST_BUCKETS:
            self._left.popitem(last=False)
        if not allowed:
            wait = (cost - left) / self.rate
            hint = f"At most {self.rate:g} per second and {self.burst} at once are allowed: wait {wait:.1f} s."
            raise RateError("There were too many calls.", hint=hint, wait=wait)


def bounded(receive: Receive, most: int, declared: str | None) -> Receive:
    """`receive` that refuses a body of more than `most` bytes while it arrives.

    Args:
        receive: Gives the parts of the body.
        most: Bytes that are allowed.
        declared: The Content-Length that was sent, which is refused before anything is read.
    """
    seen = 0

    async def counted() -> Message:
        nonlocal seen
        if declared is not None and declared.isdecimal() and int(declared) > most:
            raise HTTPException(413, f"The body has {int(declared):,} bytes; {most:,} are allowed.")
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > most:
            raise HTTPException(413, f"The body has more than the {most:,} bytes that are allowed.")
        return message

    return counted
