"""Several ranked lists joined into one: each source has a share of the places, spread evenly over the list."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from salon.errors import SettingError
from salon.types import IntArray


@dataclass(frozen=True)
class Blend:
    """A list and where each place comes from.

    Attributes:
        ids: (m,) int64, m <= k distinct items.
        sources: (m,) int8 index into `names`.
        names: The sources, the main one first.
    """

    ids: IntArray
    sources: IntArray
    names: tuple[str, ...]


def blended(lists: Mapping[str, IntArray], shares: Mapping[str, float], k: int) -> Blend:
    """The first k places of several ranked lists.

    The first list is the main one. Every other source j is owed floor(share_j (p + 1)) places among the places 0..p,
    and takes a place as soon as it is owed one; the main list takes the others. An item stands where the first source
    brings it, once; a source that has run out owes nothing, and when the main list has run out the others fill up in
    their order.

    Args:
        lists: Source to (n,) int item rows, best first.
        shares: Source to its share of the places, 0 to 1; sources that are not named only fill up.
        k: Places.

    Raises:
        SettingError: A share names no list, is outside of 0..1, or all together are more than 1.
    """
    names = tuple(lists)
    _check_shares(names, shares)
    waiting = {name: [int(i) for i in lists[name] if i >= 0] for name in names}
    heads = dict.fromkeys(names, 0)
    taken: set[int] = set()
    given = dict.fromkeys(names, 0)
    ids: list[int] = []
    sources: list[int] = []

    def take(name: str) -> bool:
        mine = waiting[name]
        while heads[name] < len(mine):
            item = mine[heads[name]]
            heads[name] += 1
            if item not in taken:
                taken.add(item)
                given[name] += 1
                ids.append(item)
                sources.append(names.index(name))
                return True
        return False

    while len(ids) < k:
        owed = [n for n in names[1:] if int(shares.get(n, 0.0) * (len(ids) + 1) + 1e-9) > given[n]]
        if not any(take(name) for name in (*owed, *names)):
            break
    return Blend(np.array(ids, np.int64), np.array(sources, np.int8), names)


def _check_shares(names: tuple[str, ...], shares: Mapping[str, float]) -> None:
    for name, share in shares.items():
        if name not in names:
            raise SettingError(f"A share names the source {name!r}.", hint=f"Known: {', '.join(names)}.")
        if not 0 <= share <= 1:
            raise SettingError(f"The share of {name!r} is {share}.", hint="Give a number from 0 to 1.")
    total = sum(share for name, share in shares.items() if name != names[0])
    if total > 1 + 1e-9:
        raise SettingError(f"The shares of the sources sum to {total:g}.", hint="At most 1; the main one has the rest.")
