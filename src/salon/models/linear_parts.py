"""Why a score is what it is: the exact split into history items x {clicks, order, each modality}.

The conditions for the minimum say, off the diagonal (see `linear_solve`), where each B_ij comes from, so the score of a
touched item, sum_i x_i into_i B_ij out_j, splits into one number per action and source. A cold item's column is
(B + s I) W_j, and W_j is a sum over modalities; a cold item of the history is read as its twins in the same way.
Nothing is approximated: the parts add up to the score within rounding, and a modality whose alpha is 0 has no part.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from salon.data import Queries
from salon.errors import DataError
from salon.models.base import Contributions
from salon.models.linear_media import Media
from salon.models.linear_point import Point
from salon.models.linear_query import action_weights
from salon.models.linear_score import Scorer
from salon.models.linear_statistics import Statistics
from salon.types import FloatArray, IntArray

CLICKS, ORDER = "clicks", "order"


@dataclass(frozen=True)
class Ledger:
    """What a split needs.

    Attributes:
        scorer: What scores.
        statistics: Sums over users.
        media: Vectors.
        point: Settings.
        ridge: (n,) float64 diag(L).
        unit: mean diag(G).
        order_unit: weight of the ordered sums.
        graphs: Content graph by modality, (n, n) sparse; empty without a prior.
    """

    scorer: Scorer
    statistics: Statistics
    media: Media
    point: Point
    ridge: FloatArray
    unit: float
    order_unit: float
    graphs: dict[str, sparse.csr_array]

    @property
    def names(self) -> tuple[str, ...]:
        """The sources of a score."""
        return (CLICKS, *((ORDER,) if self.order_unit else ()), *self.media.names)

    def column(self, j: int) -> FloatArray:
        """(n, p) float64: B_ij of all rows i of the solve, split by source; row j is 0."""
        weights = self._weights(j)
        rest = -weights
        rest[j] += 1.0  # e_j - B_j
        split = [self._clicks(self.statistics.gram, rest)]
        if self.order_unit:
            assert self.statistics.past is not None
            assert self.statistics.follow is not None
            unit = np.zeros(len(rest))
            unit[j] = 1.0
            gained = self._clicks(self.statistics.follow, unit) - self._clicks(self.statistics.past, weights)
            split.append(self.order_unit * gained)
        split += [self._media(name, rest, j) for name in self.media.names]
        stacked = np.stack(split, axis=1) / (self.ridge + self.point.prior * self.unit)[:, None]
        stacked[j] = 0.0
        return stacked

    def _weights(self, j: int) -> FloatArray:
        """(n,) float64, B_j."""
        found: FloatArray = self.scorer.weights[:, j].astype(np.float64)
        return found

    def _handed(self, by_modality: FloatArray) -> FloatArray:
        """(n, m) what W_j by modality (t, m) takes over."""
        found: FloatArray = self.scorer.handed[:, : self.scorer.warm_count].astype(np.float64) @ by_modality
        return found

    def _clicks(self, matrix: sparse.csr_array, vector: FloatArray) -> FloatArray:
        """D^-b (matrix) D^-b vector over the rows of the solve."""
        wide = np.zeros(matrix.shape[0])
        wide[self.scorer.rows] = self.scorer.into * vector
        product: FloatArray = (matrix.astype(np.float64) @ wide)[self.scorer.rows] * self.scorer.into
        return product

    def _media(self, name: str, rest: FloatArray, j: int) -> FloatArray:
        """alpha K (e_j - B_j), and the modality's share of the prior."""
        part = np.zeros(len(rest))
        alpha = self.point.media[name]
        if alpha:
            items = self.scorer.rows[: self.scorer.warm_count]
            vectors = self.media.rows[name][items].astype(np.float64)
            part[: len(items)] = alpha * self.unit * (vectors @ (vectors.T @ rest[: len(items)]))
            if self.graphs:
                share = alpha / sum(self.point.media.values())
                column = self.graphs[name][:, [j]].toarray().ravel()
                part += self.point.prior * self.unit * share * column
        return part

    def column_at(self, j: int, places: IntArray) -> FloatArray:
        """(m, p) float64: rows of `column`."""
        return self.column(j)[places]

    def units(self, target: int, rows: IntArray) -> FloatArray:
        """(m, p) float64: what one unit of each row adds to the score of a target, split by source.

        Args:
            target: Item row.
            rows: (m,) rows of items and, numbered from the number of items on, attributes.

        Raises:
            DataError: The target has neither actions nor media.
        """
        scorer, twins = self.scorer, self.scorer.twins
        place, cold = places_in(scorer.rows, rows), places_in(twins.cold, rows)
        inside, found = place >= 0, np.zeros((len(rows), len(self.names)))
        (j,) = places_in(twins.cold, np.array([target]))
        if j >= 0:
            direct = self._passed(int(j))  # (n, p)
            found[inside] = direct[place[inside]]
            others = (cold >= 0) & (cold != j)  # an item is not its own twin
            found[others] = twins.weights[:, cold[others]].T @ direct[: scorer.warm_count]
            return found
        (j,) = places_in(scorer.rows[: scorer.warm_count], np.array([target]))
        if j < 0:
            raise DataError(f"Item row {target} cannot be scored.", hint="It has neither actions nor media.")
        scale = scorer.into * float(scorer.out[j])
        found[inside] = self.column_at(int(j), place[inside]) * scale[place[inside], None]
        if (cold >= 0).any():
            total = (self._weights(int(j)) * scale)[: scorer.warm_count]
            for row in np.flatnonzero(cold >= 0):
                found[row, -len(self.media.names) :] = total @ self._twin_parts(int(cold[row]))
        return found

    def _passed(self, j: int) -> FloatArray:
        """(n, p) what one unit of each row of the solve adds to the score of the cold item at place j."""
        scorer, count = self.scorer, self.scorer.warm_count
        by_modality = self._twin_parts(j) * float(scorer.twins.gain[j])  # (t, m)
        passed = self._handed(by_modality)
        passed[:count] += scorer.twins.own * by_modality
        parts = np.zeros((len(scorer.rows), len(self.names)))
        parts[:, -by_modality.shape[1] :] = passed * scorer.into[:, None]
        return parts

    def _twin_parts(self, j: int) -> FloatArray:
        """(t, m) W_j by modality."""
        cold = self.scorer.twins.cold[[j]]
        return np.concatenate(
            [self.scorer.twins.part(self.media, self.point, name, cold) for name in self.media.names], axis=1
        ).astype(np.float64)

    def contributions(self, queries: Queries, targets: IntArray) -> Contributions:
        """The splits of score(queries)[i, targets[i]]; `rest` is what the profile adds."""
        weights = action_weights(queries, self.point)
        values = np.zeros((len(queries.items), len(self.names)), np.float32)
        rest = np.zeros(len(queries), np.float32)
        wanted, profiles = targets[queries.row_of()], queries.profiles
        attributes = np.arange(self.scorer.n_items, len(self.statistics.counts) if profiles is not None else 0)
        for target in np.unique(targets):
            actions = np.flatnonzero(wanted == target)
            units = self.units(int(target), np.concatenate([queries.items[actions], attributes]))
            values[actions] = units[: len(actions)] * weights[actions, None]
            if profiles is not None and len(attributes):
                asked = np.flatnonzero(targets == target)
                rest[asked] = profiles[asked] @ units[len(actions) :].sum(axis=1)
        return Contributions(values, self.names, rest)


def places_in(known: IntArray, rows: IntArray) -> IntArray:
    """(m,) int64 place of each row among sorted ones, -1 where it is missing."""
    if not len(known):
        return np.full(len(rows), -1, np.int64)
    place = np.minimum(np.searchsorted(known, rows), len(known) - 1)
    return np.where(known[place] == rows, place, -1)
