"""Names outside, dense integers inside: the one place where the two meet."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np

from salon.errors import DataError, UnknownIdError, did_you_mean
from salon.types import IntArray

MAX_ID_LENGTH = 300
"""Longest id in characters."""


def check_id(name: str, what: str) -> None:
    """Refuses what cannot be an id.

    Raises:
        DataError: `name` is empty or too long; `what` it names is for the message.
    """
    if not name or len(name) > MAX_ID_LENGTH:
        raise DataError(f"The {what} id {name[:40]!r} has {len(name)} characters.", hint="Allowed: 1 to 300.")


class IdMap:
    """A frozen two-way map between names and 0..n-1, in the order given.

    Args:
        names: Distinct, non-empty names of at most 300 characters.
        what: What they name, for messages: "item" or "user".

    Raises:
        DataError: A name is empty, too long, or comes twice.
    """

    __slots__ = ("_index", "names", "what")

    def __init__(self, names: Iterable[str], *, what: str = "item") -> None:
        self.names: tuple[str, ...] = tuple(names)
        self.what = what
        self._index = {name: position for position, name in enumerate(self.names)}
        for name in self._index:
            check_id(name, what)
        if len(self._index) != len(self.names):
            seen: set[str] = set()
            twice = next(n for n in self.names if n in seen or seen.add(n))  # type: ignore[func-returns-value]
            raise DataError(f"The {what} id {twice!r} comes more than once.", hint="Ids must be distinct.")

    def __len__(self) -> int:
        return len(self.names)

    def __contains__(self, name: object) -> bool:
        return name in self._index

    def __getitem__(self, position: int) -> str:
        return self.names[position]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, IdMap) and self.names == other.names

    def __hash__(self) -> int:
        return hash(self.names)

    def __repr__(self) -> str:
        return f"IdMap({len(self)} {self.what}s)"

    def index(self, names: Sequence[str], *, on_unknown: Literal["raise", "skip"] = "raise") -> IntArray:
        """The integers of `names`, (n,) int64; unknown ones are -1 with on_unknown="skip".

        Raises:
            UnknownIdError: A name is unknown; the hint gives close ones.
        """
        found = np.fromiter((self._index.get(name, -1) for name in names), dtype=np.int64, count=len(names))
        if on_unknown == "raise" and (found < 0).any():
            name = names[int(np.argmax(found < 0))]
            known = self.names if len(self.names) <= 5000 else ()
            hint = did_you_mean(name, known) if len(known) > 0 else ""
            raise UnknownIdError(
                f"There is no {self.what} {name!r} among {len(self)}.",
                hint=hint if hint.startswith("Did") else f"Check the {self.what} id.",
            )
        return found
