"""Small worlds whose right answer is known exactly, as arrays: what the contract suites ask models about.

Here everything is numbers; `salon.data.worlds` writes real media.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from salon.data.dataset import Dataset
from salon.data.events import Events
from salon.data.queries import Holdout
from salon.types import BoolArray, FloatArray, IntArray


@dataclass(frozen=True)
class ToyWorld:
    """A dataset and what it would be right to answer.

    Attributes:
        data: What a model may learn from; user u is query u.
        holdout: Every user's history, and the right items.
        vectors: Modality name to (items, d) float32 vectors and (items,) bool mask.
        bits: (items,) 0 or 1, the taste that an item meets.
        cold: (items,) bool, items without any action.
    """

    data: Dataset
    holdout: Holdout
    vectors: dict[str, tuple[FloatArray, BoolArray]]
    bits: IntArray
    cold: BoolArray

    def seen_by_media(self) -> BoolArray:
        """(items,) bool, the items with at least one modality."""
        return np.any([present for _, present in self.vectors.values()], axis=0)


def checkerboard(n: int = 24, *, rated: bool = False) -> ToyWorld:
    """Even users like even items, odd users odd ones, and the diagonal is withheld: the right answer for user u is u.

    Args:
        n: Number of users and of items, even.
        rated: Give ratings: 5 for what is liked, and 1 with a negative weight for the other colour, except item u + 1,
            which is withheld too, so that two items are left to choose from.
    """
    users, items = (grid.ravel() for grid in np.meshgrid(np.arange(n), np.arange(n), indexing="ij"))
    same = (users + items) % 2 == 0
    kept = (same & (users != items)) | (~same & (items != (users + 1) % n) & rated)
    users, items, liked = users[kept], items[kept], same[kept]
    values = np.where(liked, 5.0, 1.0) if rated else None
    events = Events.of(users, items, weights=np.where(liked, 1.0, -1.0), values=values)
    data = Dataset.of(events, n, n)
    bits = np.arange(n) % 2
    rng = np.random.default_rng(0)
    vectors = {"text": (_coloured(bits, 4, rng), np.ones(n, bool))}
    right = sparse.csr_array(np.eye(n, dtype=np.float32))
    return ToyWorld(data, Holdout(data.queries(), right), vectors, bits, np.zeros(n, bool))


def content_world(n_users: int = 40, n_items: int = 60, *, seed: int = 0) -> ToyWorld:
    """Taste follows a content bit that text and image show; some items are cold, some media are missing.

    User u likes a random 60 % of the warm items whose bit is u mod 2. The last fifth of the items has no action; a
    third of the items lacks its image, a third its text, and every ninth both. The right answers are the cold items of
    the user's bit that have any media: nothing else is known about a cold item.
    """
    rng = np.random.default_rng(seed)
    n_cold = n_items // 5
    bits = np.concatenate([rng.permutation(np.arange(n) % 2) for n in (n_items - n_cold, n_cold)])
    cold = np.arange(n_items) >= n_items - n_cold
    likes = (np.arange(n_users)[:, None] % 2 == bits) & ~cold & (rng.random((n_users, n_items)) < 0.6)
    users, items = np.nonzero(likes)
    order = rng.permutation(len(users))
    data = Dataset.of(Events.of(users[order], items[order], times=np.arange(len(order))), n_users, n_items)
    place = np.arange(n_items)
    vectors = {
        "text": (_coloured(bits, 6, rng), (place % 3 != 0) & (place % 9 != 8)),
        "image": (_coloured(bits, 5, rng), (place % 3 != 1) & (place % 9 != 8)),
    }
    vectors = {name: (np.where(there[:, None], v, np.float32(0)), there) for name, (v, there) in vectors.items()}
    reachable = cold & np.any([there for _, there in vectors.values()], axis=0)
    right = (np.arange(n_users)[:, None] % 2 == bits) & reachable
    holdout = Holdout(data.queries(), sparse.csr_array(right.astype(np.float32)), candidates=cold)
    return ToyWorld(data, holdout, vectors, bits, cold)


def _coloured(bits: IntArray, dim: int, rng: np.random.Generator) -> FloatArray:
    """(items, dim) float32: the bit as a sign in the first number, a little noise in the others."""
    vectors = 0.2 * rng.standard_normal((len(bits), dim))
    vectors[:, 0] = 2.0 * bits - 1.0
    return np.asarray(vectors, np.float32)
