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

from salon.arrays import blocks
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
TOGETHER = 64
"""Targets for which the vectors of items are read once."""
NUMBERS = 8_000_000
"""Numbers of twins' weights by modality that are held at once."""
ROWS = 4096
"""Vectors that are turned to float64 at a time."""


@dataclass(frozen=True)
class Column:
    """What the split of a touched target needs, whichever rows are asked for.

    Attributes:
        place: j, its place among the rows of the solve.
        near: (k,) int64, the other rows that B_j may use.
        weights: (k,) float64, B_ij of these.
        mixed: By modality (d,) float64, sum over i of (e_j - B_j)_i f_i.
    """

    place: int
    near: IntArray
    weights: FloatArray
    mixed: dict[str, FloatArray]

    @property
    def rest(self) -> tuple[IntArray, FloatArray]:
        """e_j - B_j: places and values."""
        return rest_of(self.place, self.near, self.weights)


@dataclass(frozen=True)
class Told:
    """What the splits of some targets need, by item row.

    Attributes:
        columns: The touched ones.
        twins: The cold ones: their place among the cold items, and W_j by modality (t, m).
    """

    columns: dict[int, Column]
    twins: dict[int, tuple[int, FloatArray]]


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

    def _stored(self, j: int) -> tuple[IntArray, FloatArray]:
        """The rows of the solve that B_j may use, j left out, and their weights."""
        near = np.delete(np.arange(len(self.scorer.rows)), j)
        return near, self.scorer.weights[near, j].astype(np.float64)

    def _handed(self, places: IntArray, by_modality: FloatArray) -> FloatArray:
        """(len(places), m) what W_j by modality (t, m) takes over, at some rows of the solve."""
        found: FloatArray = self.scorer.handed[places, : self.scorer.warm_count].astype(np.float64) @ by_modality
        return found

    def columns(self, targets: IntArray) -> dict[int, Column]:
        """The touched ones of some targets, by item row."""
        places = places_in(self.scorer.rows[: self.scorer.warm_count], targets)
        touched = {int(t): int(j) for t, j in zip(targets, places, strict=True) if j >= 0}
        stored = {j: self._stored(j) for j in touched.values()}
        mixed = self._mixed([rest_of(j, *found) for j, found in stored.items()])
        return {
            target: Column(j, *stored[j], {name: rows[k] for name, rows in mixed.items()})
            for k, (target, j) in enumerate(touched.items())
        }

    def _mixed(self, rests: list[tuple[IntArray, FloatArray]]) -> dict[str, FloatArray]:
        """By modality that counts (columns, d) float64 sums of vectors, each weighed by e_j - B_j."""
        count = self.scorer.warm_count
        rows = np.unique(np.concatenate([places for places, _ in rests] or [np.zeros(0, np.int64)]))
        rows = rows[: np.searchsorted(rows, count)]
        weights = np.zeros((len(rests), len(rows)))
        for k, (places, values) in enumerate(rests):
            items = places < count
            weights[k, np.searchsorted(rows, places[items])] = values[items]
        found: dict[str, FloatArray] = {}
        for name in (name for name in self.media.names if self.point.media[name]):
            vectors = self.media.rows[name]
            total = np.zeros((len(rests), vectors.shape[1]))
            for part in blocks(len(rows), ROWS):
                total += weights[:, part] @ vectors[self.scorer.rows[rows[part]]].astype(np.float64)
            found[name] = total
        return found

    def column_at(self, column: Column, wanted: IntArray) -> FloatArray:
        """(m, p) float64: B_ij of some rows i of the solve, split by source; 0 where B_j uses them not."""
        asked = np.intersect1d(column.near, wanted)
        row, found = places_in(asked, wanted), np.zeros((len(wanted), len(self.names)))
        if not len(asked):
            return found
        places, rest = column.rest
        split = [self._among(self.statistics.gram, asked, places, rest)]
        if self.order_unit:
            assert self.statistics.past is not None
            assert self.statistics.follow is not None
            gained = self._among(self.statistics.follow, asked, places[-1:], rest[-1:])
            gained -= self._among(self.statistics.past, asked, column.near, column.weights)
            split.append(self.order_unit * gained)
        split += [self._media(name, asked, column) for name in self.media.names]
        stacked = np.stack(split, axis=1) / (self.ridge[asked] + self.point.prior * self.unit)[:, None]
        found[row >= 0] = stacked[row[row >= 0]]
        return found

    def _among(self, matrix: sparse.csr_array, asked: IntArray, places: IntArray, vector: FloatArray) -> FloatArray:
        """D^-b (matrix) D^-b vector at the rows `asked` of the solve; the vector stands at `places`."""
        into, rows = self.scorer.into.astype(np.float64), self.scorer.rows
        wide = np.zeros(matrix.shape[0])
        wide[rows[places]] = into[places] * vector
        product: FloatArray = (sparse.csr_array(matrix[rows[asked]]) @ wide) * into[asked]
        return product

    def _media(self, name: str, asked: IntArray, column: Column) -> FloatArray:
        """alpha K (e_j - B_j) at the rows `asked`, and the modality's share of the prior."""
        alpha, part = self.point.media[name], np.zeros(len(asked))
        if not alpha:
            return part
        items = asked < self.scorer.warm_count
        vectors = self.media.rows[name][self.scorer.rows[asked[items]]].astype(np.float64)
        part[items] = alpha * self.unit * (vectors @ column.mixed[name])
        if self.graphs:
            share = alpha / sum(self.point.media.values())
            near = self.graphs[name][:, [column.place]].toarray().ravel()
            part += self.point.prior * self.unit * share * near[asked]
        return part

    def units(self, target: int, told: Told, rows: IntArray) -> FloatArray:
        """(m, p) float64: what one unit of each row adds to the score of a target, split by source.

        Args:
            target: Item row.
            told: What was found for it.
            rows: (m,) rows of items and, numbered from the number of items on, attributes.

        Raises:
            DataError: The target has neither actions nor media.
        """
        if target in told.columns:
            return self._touched_units(told.columns[target], rows)
        if target in told.twins:
            return self._cold_units(*told.twins[target], rows)
        raise DataError(f"Item row {target} cannot be scored.", hint="It has neither actions nor media.")

    def _touched_units(self, column: Column, rows: IntArray) -> FloatArray:
        scorer, cold = self.scorer, places_in(self.scorer.twins.cold, rows)
        place, scale = places_in(scorer.rows, rows), scorer.into * float(scorer.out[column.place])
        inside, found = place >= 0, np.zeros((len(rows), len(self.names)))
        found[inside] = self.column_at(column, place[inside]) * scale[place[inside], None]
        others = np.flatnonzero(cold >= 0)
        if len(others):
            total, items = np.zeros(scorer.warm_count), column.near < scorer.warm_count
            total[column.near[items]] = (column.weights * scale[column.near])[items]
            for some in blocks(len(others), self._at_once()):
                parts = self._twin_parts(cold[others[some]])
                found[others[some], -len(self.media.names) :] = np.einsum("t,ctm->cm", total, parts)
        return found

    def _cold_units(self, j: int, by_modality: FloatArray, rows: IntArray) -> FloatArray:
        scorer, twins = self.scorer, self.scorer.twins
        place, cold = places_in(scorer.rows, rows), places_in(twins.cold, rows)
        inside, found = place >= 0, np.zeros((len(rows), len(self.names)))
        found[inside] = self._passed(j, by_modality, place[inside])
        others = (cold >= 0) & (cold != j)  # an item is not its own twin
        if others.any():
            direct = self._passed(j, by_modality, np.arange(scorer.warm_count))
            found[others] = twins.weights[:, cold[others]].T @ direct
        return found

    def _passed(self, j: int, by_modality: FloatArray, places: IntArray) -> FloatArray:
        """(len(places), p) what one unit of some rows of the solve adds to the score of the cold item at place j."""
        scorer, items = self.scorer, places < self.scorer.warm_count
        scaled = by_modality * float(scorer.twins.gain[j])
        passed = self._handed(places, scaled)
        passed[items] += scorer.twins.own * scaled[places[items]]
        parts = np.zeros((len(places), len(self.names)))
        parts[:, -scaled.shape[1] :] = passed * scorer.into[places, None]
        return parts

    def _at_once(self) -> int:
        """How many cold items are split together."""
        return max(1, NUMBERS // max(1, self.scorer.warm_count * len(self.media.names)))

    def _twin_parts(self, cold: IntArray) -> FloatArray:
        """(c, t, m) float64 W_j by modality, of cold items by their place; the last that counts has what is left."""
        twins, names = self.scorer.twins, self.media.names
        counts = [k for k, name in enumerate(names) if self.point.twins[name]]
        parts = np.zeros((len(cold), self.scorer.warm_count, len(names)))
        for k in counts[:-1]:
            parts[:, :, k] = twins.part(self.media, self.point, names[k], twins.cold[cold]).T
        parts[:, :, counts[-1]] = twins.columns(cold).T - parts.sum(axis=2)
        return parts

    def told(self, targets: IntArray) -> Told:
        """What the splits of some targets need."""
        places = places_in(self.scorer.twins.cold, targets)
        cold = np.flatnonzero(places >= 0)
        parts = self._twin_parts(places[cold]) if len(cold) else ()
        twins = {int(targets[k]): (int(places[k]), one) for k, one in zip(cold, parts, strict=True)}
        return Told(self.columns(targets), twins)

    def contributions(self, queries: Queries, targets: IntArray) -> Contributions:
        """The splits of score(queries)[i, targets[i]]; `rest` is what the profile adds."""
        weights = action_weights(queries, self.point)
        values = np.zeros((len(queries.items), len(self.names)), np.float32)
        rest = np.zeros(len(queries), np.float32)
        wanted, profiles, distinct = targets[queries.row_of()], queries.profiles, np.unique(targets)
        attributes = np.arange(self.scorer.n_items, len(self.statistics.counts) if profiles is not None else 0)
        for some in blocks(len(distinct), min(TOGETHER, self._at_once())):
            told = self.told(distinct[some])
            for target in distinct[some].tolist():
                actions = np.flatnonzero(wanted == target)
                units = self.units(target, told, np.concatenate([queries.items[actions], attributes]))
                values[actions] = units[: len(actions)] * weights[actions, None]
                if profiles is not None and len(attributes):
                    asked = np.flatnonzero(targets == target)
                    rest[asked] = profiles[asked] @ units[len(actions) :].sum(axis=1)
        return Contributions(values, self.names, rest)


def rest_of(j: int, near: IntArray, weights: FloatArray) -> tuple[IntArray, FloatArray]:
    """e_j - B_j: the places of what is not 0, j last, and the values."""
    return np.append(near, j), np.append(-weights, 1.0)


def places_in(known: IntArray, rows: IntArray) -> IntArray:
    """(m,) int64 place of each row among sorted ones, -1 where it is missing."""
    if not len(known):
        return np.full(len(rows), -1, np.int64)
    place = np.minimum(np.searchsorted(known, rows), len(known) - 1)
    return np.where(known[place] == rows, place, -1)
