"""The same lists judged on parts of the test: cold items, cold users, bands of popularity, items lacking a modality.

The lists and the candidates stay as they are; only the targets (or the users) outside the slice are taken away. A place
that holds another target of the same user therefore counts as missed within the slice, for all models alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from salon import metrics
from salon.data import Queries
from salon.encode.base import FeatureSet
from salon.evaluate.significance import measure
from salon.evaluate.values import SliceResult
from salon.types import BoolArray, IntArray

FEW = 5
"""A cold user has at most so many liked items in the history."""
BANDS = ("head", "middle", "tail")


@dataclass(frozen=True)
class Slice:
    """Some targets, or some users.

    Attributes:
        name: Such as "cold items".
        what: One sentence on who is in it.
        items: (items,) bool, the targets that count, or None for all.
        users: (n,) bool, the queries that count, or None for all.
    """

    name: str
    what: str
    items: BoolArray | None = None
    users: BoolArray | None = None

    def restrict(self, targets: sparse.csr_array) -> sparse.csr_array:
        """(n, items) the targets inside the slice; the rows of other users are empty."""
        found = sparse.coo_array(targets)
        rows, columns = found.coords
        kept = np.ones(len(rows), bool)
        if self.items is not None:
            kept &= self.items[columns]
        if self.users is not None:
            kept &= self.users[rows]
        return sparse.csr_array((found.data[kept], (rows[kept], columns[kept])), shape=targets.shape)


def popularity_bands(popularity: IntArray) -> dict[str, BoolArray]:
    """Items in three bands that carry a third of the training actions each; untouched items are in none.

    Args:
        popularity: (items,) training actions.

    Returns:
        "head", "middle", "tail" -> (items,) bool; equal counts are split by the smaller item row.
    """
    order = np.argsort(-popularity, kind="stable")
    before = np.cumsum(popularity[order]) - popularity[order]
    band = np.minimum(3 * before // max(int(popularity.sum()), 1), 2)
    placed = np.empty(len(popularity), np.int64)
    placed[order] = band
    return {name: (placed == i) & (popularity > 0) for i, name in enumerate(BANDS)}


def standard_slices(
    queries: Queries, popularity: IntArray, features: FeatureSet | None = None, *, few: int = FEW
) -> tuple[Slice, ...]:
    """The slices of every report.

    Args:
        queries: The histories of the test, n of them.
        popularity: (items,) training actions.
        features: For the items that lack a modality.
        few: Liked items up to which a user is cold.
    """
    liked = np.bincount(queries.row_of()[queries.weights > 0], minlength=len(queries))
    found = [
        Slice("cold items", "Targets that nobody touched in training.", items=popularity == 0),
        Slice("cold users", f"People with at most {few} liked items in their history.", users=liked <= few),
    ]
    says = "Targets among the {} popular items that carry a third of the training actions."
    words = {"head": "most", "middle": "moderately", "tail": "least"}
    bands = popularity_bands(popularity)
    found += [Slice(f"{name} items", says.format(words[name]), items=mask) for name, mask in bands.items()]
    for name, column in (features or {}).items():
        found.append(Slice(f"items without {name}", f"Targets whose {name} is missing.", items=~column.present))
    return tuple(found)


def slice_result(
    part: Slice,
    lists: Mapping[str, IntArray],
    targets: sparse.csr_array,
    ks: tuple[int, ...],
    rng: np.random.Generator,
    *,
    draws: int = 1000,
) -> SliceResult | None:
    """nDCG and recall of every model within a slice, or None where no target is in it.

    Args:
        part: The slice.
        lists: model name -> (n, k) ranked ids.
        targets: (n, items) sparse, all targets of the test.
        ks: Lengths of the lists.
        rng: Draws the bootstrap samples.
        draws: How many.
    """
    inside = part.restrict(targets)
    relevant = metrics.relevant_counts(inside)
    rows = np.flatnonzero(relevant)
    if not rows.size:
        return None
    inside, relevant = sparse.csr_array(inside[rows]), relevant[rows]
    values = {}
    for name, ids in lists.items():
        hits = metrics.hit_matrix(ids[rows], inside)
        for k in ks:
            values[name, f"ndcg@{k}"] = metrics.ndcg(hits, relevant, k)
            values[name, f"recall@{k}"] = metrics.recall(hits, relevant, k)
    measured = measure({f"{i}": v for i, v in enumerate(values.values())}, rng, draws=draws)
    models: dict[str, dict[str, object]] = {name: {} for name in lists}
    for i, (name, metric) in enumerate(values):
        models[name][metric] = measured[f"{i}"]
    return SliceResult(part.name, part.what, len(rows), int(relevant.sum()), models)  # type: ignore[arg-type]
