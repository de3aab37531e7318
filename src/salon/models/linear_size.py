"""Dense or local, and what either form of the linear model would need; what would not fit is not begun."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from salon.data import Queries
from salon.errors import ResourceError
from salon.models.linear_holdout import MANY
from salon.models.linear_media import Media
from salon.models.linear_problem import solve_seconds
from salon.models.linear_solve import DOUBLE, KEPT

Form = Literal["auto", "dense", "local"]
SOLVES = 1
"""Dense solves that must fit the budget of a search; the others are made on fewer items."""


@dataclass(frozen=True)
class Size:
    """What decides the form.

    Attributes:
        touched: Items and attributes with actions.
        cold: Items with media and without actions.
        modalities: How many kinds of media.
        dims: Length of all media vectors together.
        n_items: Items of the catalogue.
        pairs: Sum of the squared lengths of the histories, no more than all pairs.
    """

    touched: int
    cold: int
    modalities: int
    dims: int
    n_items: int
    pairs: float

    @classmethod
    def of(cls, queries: Queries, n_items: int, media: Media, n_attributes: int) -> Size:
        """The size of some training histories."""
        liked = queries.weights > 0
        touched = len(np.unique(queries.items[liked])) + n_attributes
        cold = int(media.any_present(n_items).sum()) - touched if media.names else 0
        lengths = np.bincount(queries.row_of()[liked], minlength=len(queries)).astype(np.float64)
        dims = sum(rows.shape[1] for rows in media.rows.values())
        pairs = min(float(((lengths + n_attributes) ** 2).sum()), float(touched) ** 2)
        return cls(touched, max(cold, 0), len(media.names), dims, n_items, pairs)

    @property
    def solve_seconds(self) -> float:
        """One dense solve on the reference core."""
        return solve_seconds(self.touched)

    def dense_gigabytes(self, *, search: bool) -> float:
        """What the dense form needs."""
        matrices = 12 + self.modalities  # of 4 bytes: sums, one per modality, B twice, and the inverse at work
        if search:
            sets = 5 if self.touched < MANY else 3  # the hidden folds and their rival
            matrices += KEPT + (sets * (4 + self.modalities) if self.cold > 0 else 0)
        if self.touched <= DOUBLE:
            matrices *= 2
        return (4.0 * matrices * self.touched**2 + 8.0 * self.touched * self.cold) / 2**30

    def local_gigabytes(self, width: int, *, ordered: bool) -> float:
        """What the local form needs at most, with `width` neighbours per column."""
        sums = 8.0 * self.pairs * (1.5 + (4.0 if ordered else 0.0))
        columns = 24.0 * self.touched * min(width, self.touched)
        return (sums + columns + 200.0 * self.n_items + 12.0 * self.n_items * self.dims) / 2**30


def choose_form(
    size: Size, mode: Form, *, search: bool, seconds: float, max_items: int, memory_gb: float, width: int, ordered: bool
) -> Literal["dense", "local"]:
    """The form that is asked for; with "auto" the dense one where it fits items, memory and the budget of the search.

    Raises:
        ResourceError: The form does not fit `memory_gb`, or the dense one `max_items`.
    """
    dense, local = size.dense_gigabytes(search=search), size.local_gigabytes(width, ordered=ordered)
    fits = size.touched <= max_items and dense <= memory_gb
    if mode == "dense" and not fits:
        raise ResourceError(
            f"{size.touched} touched items need about {dense:.1f} GB and {size.solve_seconds:.0f} s for each solve; "
            f"allowed are {max_items} items and {memory_gb:g} GB.",
            hint="Set mode to 'auto' or 'local', leave out rare items, raise max_items and memory_gb, "
            "or set search to false.",
        )
    if mode == "dense" or (mode == "auto" and fits and (not search or SOLVES * size.solve_seconds <= seconds)):
        return "dense"
    if mode == "auto" and fits and local > memory_gb:
        return "dense"
    if local > memory_gb:
        raise ResourceError(
            f"The local form of {size.touched} touched items needs about {local:.1f} GB; allowed are {memory_gb:g} GB.",
            hint="Lower neighbours or max_history, shorten the vectors with a fuser such as 'pca', or raise memory_gb.",
        )
    return "local"
