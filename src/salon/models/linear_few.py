"""Histories of a few actions: what else is liked, given these likes and nothing said about all other items.

The closed form of `linear_solve` reads an item that a history lacks as one that is not liked. Of somebody who has just
come that is wrong: nearly all of their likes are still unknown. With the sums over people, w_u = |x_u|^(-4a),

    m = sum_u w_u x_u / sum_u w_u        C = sum_u w_u x_u x_u^T / sum_u w_u - m m^T

are the mean and the covariance of the rows of people. If rows were normal, the expectation of all given some is

    score = m + C_H a,    a = (C_HH + s R)^-1 (y - m_H)

with H the items of the history (and the attributes of the person), y their weights and s R a noise on the diagonal,
more for older actions. It takes a system as large as the history and nothing beside the sums. Of a single like it is
close to how many of those who like this item like the other, drawn towards popularity where few do.

Whether, up to which length and with which noise it answers is chosen in `linear_few_search`. A short history is not
always the beginning of a longer one: some people like few things, close to each other. Where the closed form would have
found the likes of a history from each other, the history is left to it.

Only touched items are scored so. The scores are multiplied by what brings the head of the list to the height it has in
the closed form, so that cold items, whose scores stay as they are, compete as before.

Source: Bishop, "Pattern Recognition and Machine Learning", 2006, section 2.3.1. Reading what is not seen as unknown is
what `fewshot` does as well, over leading directions instead of items.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse

from salon.data import Queries
from salon.models.base import Contributions
from salon.models.linear_point import Point
from salon.models.linear_query import action_weights
from salon.models.linear_statistics import Statistics
from salon.types import BoolArray, FloatArray, IntArray

Split = Callable[[Queries, IntArray], Contributions]
"""Histories and one target of each to the split of its score."""
LEAST = 1e-6
"""Variance that is assumed at least, as where everybody likes the same."""
HEAD = 20
"""Places of a list that are brought to the height of the closed form, and among which it finds a history."""


@dataclass(frozen=True)
class Seen:
    """What is known of some people, in compressed rows; it does not depend on the noise.

    Attributes:
        indptr: (n + 1,) int64.
        rows: (m,) int64 rows of items and, numbered from the number of items on, attributes.
        values: (m,) float64, y.
        noise: (m,) float64, the diagonal of R.
        actions: (m,) int64 which action of the queries it is, -1 for attributes.
        gram: (u, items + attributes) sparse, the rows of G0 that are named.
        place: (m,) int64 place of each among them.
    """

    indptr: IntArray
    rows: IntArray
    values: FloatArray
    noise: FloatArray
    actions: IntArray
    gram: sparse.csr_array
    place: IntArray

    def __len__(self) -> int:
        return len(self.indptr) - 1

    @cached_property
    def owner(self) -> IntArray:
        """(m,) int64 the query of each."""
        return np.repeat(np.arange(len(self)), np.diff(self.indptr))

    @cached_property
    def systems(self) -> list[tuple[IntArray, FloatArray]]:
        """For each length k: (q, k) int64 who belongs together, and (q, k, k) float64 G0 among them."""
        found: list[tuple[IntArray, FloatArray]] = []
        counts = np.diff(self.indptr)
        for k in np.unique(counts[counts > 0]):
            at = self.indptr[:-1][counts == k][:, None] + np.arange(k)
            left, right = np.broadcast_arrays(self.place[at][:, :, None], self.rows[at][:, None, :])
            among = np.asarray(self.gram[left.ravel(), right.ravel()], np.float64)
            found.append((at, among.reshape(left.shape)))
        return found


@dataclass(frozen=True)
class Few:
    """Scores of short histories.

    Attributes:
        statistics: Sums over users.
        point: Settings.
        n_items: Number of items.
    """

    statistics: Statistics
    point: Point
    n_items: int

    @cached_property
    def mean(self) -> FloatArray:
        """(items + attributes,) float64, m."""
        assert self.statistics.sums is not None
        return np.asarray(self.statistics.sums / self.statistics.people)

    @cached_property
    def warm(self) -> IntArray:
        """(t,) int64, the touched items."""
        return np.flatnonzero(self.statistics.counts[: self.n_items] > 0)

    @cached_property
    def noise(self) -> float:
        """s: the setting times the mean variance of a touched item."""
        variances = self.statistics.gram.diagonal() / self.statistics.people - self.mean**2
        return self.point.few_noise * max(float(variances[self.warm].mean()), LEAST)

    def answers(self, queries: Queries) -> BoolArray:
        """(n,) bool, the histories that are answered so: short, with a like, and of touched items alone."""
        weights, owner = action_weights(queries, self.point), queries.row_of()
        heard = weights != 0
        known = self.statistics.counts[queries.items] > 0

        def counted(actions: BoolArray) -> IntArray:
            return np.bincount(owner[actions], minlength=len(queries))

        short = counted(heard) <= self.point.few
        return np.asarray(short & (counted(heard & (weights > 0)) > 0) & (counted(heard & ~known) == 0))

    def seen(self, queries: Queries) -> Seen:
        """What the queries say."""
        weights = action_weights(queries, self.point).astype(np.float64)
        kept = np.flatnonzero(weights)
        owner, rows = queries.row_of()[kept], queries.items[kept]
        given = queries.weights[kept].astype(np.float64)
        values = np.where(given < 0, self.point.dislike * given, given)
        noise = values / weights[kept]  # 1, and more for what is less recent
        if queries.profiles is not None and len(self.mean) > self.n_items:
            profiles = sparse.coo_array(queries.profiles)
            owner = np.concatenate([owner, profiles.row])
            rows = np.concatenate([rows, self.n_items + profiles.col])
            values = np.concatenate([values, profiles.data.astype(np.float64)])
            noise = np.concatenate([noise, np.full(profiles.nnz, 1.0 / max(self.point.profile, 1e-6))])
            kept = np.concatenate([kept, np.full(profiles.nnz, -1)])
        order = np.argsort(owner, kind="stable")
        indptr = np.searchsorted(owner[order], np.arange(len(queries) + 1)).astype(np.int64)
        named, place = np.unique(rows[order], return_inverse=True)
        gram = sparse.csr_array(self.statistics.gram[named])  # looking up in a few rows, not in all
        return Seen(indptr, rows[order], values[order], noise[order], kept[order], gram, place)

    def pulls(self, seen: Seen) -> FloatArray:
        """(m,) float64, a."""
        found = np.zeros(len(seen.rows))
        for at, among in seen.systems:
            mean, own = self.mean[seen.rows[at]], np.arange(at.shape[1])
            system = among / self.statistics.people - mean[:, :, None] * mean[:, None, :]
            system[:, own, own] += self.noise * seen.noise[at]
            found[at] = np.linalg.solve(system, (seen.values[at] - mean)[:, :, None])[:, :, 0]
        return found

    def scores(self, seen: Seen, items: IntArray) -> FloatArray:
        """(n, items) float64, m + C_H a for some items, not yet scaled."""
        pulls = self.pulls(seen)
        rows = sparse.csr_array((pulls, seen.place, seen.indptr), shape=(len(seen), seen.gram.shape[0]))
        taken = np.bincount(seen.owner, pulls * self.mean[seen.rows], minlength=len(seen))
        found = (rows @ seen.gram)[:, items].toarray() / self.statistics.people
        found += (1.0 - taken)[:, None] * self.mean[items]
        return np.asarray(found)

    def scales(self, queries: Queries, found: FloatArray, closed: FloatArray) -> FloatArray:
        """(n,) float64, what brings the head of (n, t) scores to the height of those of the closed form.

        Args:
            queries: The histories, whose items do not count; nor do scores below 0.
            found: Scores of the touched items.
            closed: The same by the closed form.
        """
        place = np.full(self.n_items, -1, np.int64)
        place[self.warm] = np.arange(len(self.warm))
        columns, owner = place[queries.items], queries.row_of()
        inside = columns >= 0
        heights = []
        for scores in (found, closed):
            open_ = np.maximum(scores, 0.0).astype(np.float64)
            open_[owner[inside], columns[inside]] = 0.0
            width = min(HEAD, open_.shape[1])
            heights.append(np.partition(open_, -width, axis=1)[:, -width:].sum(axis=1))
        able = (heights[0] > 0) & (heights[1] > 0)
        return np.where(able, heights[1] / np.where(able, heights[0], 1.0), 1.0)

    def new(self, queries: Queries, closed: FloatArray) -> BoolArray:
        """(n,) bool, the histories that the closed form would not have found: one like, or likes far from each other.

        As diag(B) = 0, its score of an item of the history comes from the others. Found means that the geometric mean
        of the places of all likes is among the first `HEAD`.

        Args:
            queries: Histories of touched items.
            closed: (n, t) scores of the touched items by the closed form.
        """
        liked = np.flatnonzero(action_weights(queries, self.point) > 0)
        owner, column = queries.row_of()[liked], np.searchsorted(self.warm, queries.items[liked])
        counts = np.bincount(owner, minlength=len(queries))
        order = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
        places = np.zeros(len(queries))
        for nth in range(int(counts.max(initial=0))):
            one = order == nth
            above = closed[owner[one]] > closed[owner[one], column[one]][:, None]
            places[owner[one]] += np.log(above.sum(axis=1) + 1.0)
        return np.asarray((counts == 1) | (places > np.log(HEAD) * counts))

    def replace(self, queries: Queries, scores: FloatArray) -> None:
        """Writes the answers of the short histories over (n, items) scores of the closed form."""
        rows = np.flatnonzero(self.answers(queries))
        if len(rows):
            rows = rows[self.new(queries.take(rows), scores[np.ix_(rows, self.warm)])]
            part, places = queries.take(rows), np.ix_(rows, self.warm)
            found = self.scores(self.seen(part), self.warm)
            scores[places] = found * self.scales(part, found, scores[places])[:, None]

    def split(
        self, queries: Queries, targets: IntArray, closed: Callable[[Queries], FloatArray], ledger: Split
    ) -> Contributions:
        """The split of the score of a target for each history, clicks first.

        Of short histories and touched targets C_ja a_a is what an action adds, all of it clicks; the mean and the
        attributes of the person are the rest. What an action adds depends on the others: of two that say the same each
        has half. All other scores are split as the closed form splits them.

        Args:
            queries: n histories.
            targets: (n,) item rows.
            closed: Scores all items by the closed form.
            ledger: Splits scores of the closed form.
        """
        rows, scales = self._answered(queries, targets, closed)
        if not len(rows):
            return ledger(queries, targets)
        mine = np.zeros(len(queries), bool)
        mine[rows] = True
        other, plain = mine[queries.row_of()], ledger(queries.take(np.flatnonzero(~mine)), targets[~mine])
        values, rest = np.zeros((len(queries.items), len(plain.parts)), np.float32), np.zeros(len(queries), np.float32)
        values[~other], rest[~mine] = plain.values, plain.rest
        values[other, 0], rest[mine] = self._parts(queries.take(rows), targets[rows], scales)
        return Contributions(values, plain.parts, rest)

    def _answered(
        self, queries: Queries, targets: IntArray, closed: Callable[[Queries], FloatArray]
    ) -> tuple[IntArray, FloatArray]:
        """The rows whose score is not the closed form's, ascending, and what their scores are multiplied by."""
        rows = np.flatnonzero(self.answers(queries) & np.isin(targets, self.warm))
        if not len(rows):
            return rows, np.ones(0)
        first, of = distinct(queries.take(rows))
        heads = queries.take(rows[first])  # one history is often asked about many targets
        plain = closed(heads)[:, self.warm]
        scales = self.scales(heads, self.scores(self.seen(heads), self.warm), plain)[of]
        new = self.new(heads, plain)[of]
        return rows[new], scales[new]

    def _parts(self, queries: Queries, targets: IntArray, scales: FloatArray) -> tuple[FloatArray, FloatArray]:
        """(actions,) what each action adds to the score of the target of its row, and (n,) what else does."""
        seen = self.seen(queries)
        owner, wanted = seen.owner, targets[seen.owner]
        met = np.asarray(seen.gram[seen.place, wanted], np.float64) / self.statistics.people
        added = scales[owner] * self.pulls(seen) * (met - self.mean[seen.rows] * self.mean[wanted])
        mine, values = seen.actions >= 0, np.zeros(len(queries.items))
        values[seen.actions[mine]] = added[mine]
        return values, scales * self.mean[targets] + np.bincount(owner[~mine], added[~mine], minlength=len(queries))


def distinct(queries: Queries) -> tuple[IntArray, IntArray]:
    """(u,) the first row of each distinct question, by history and profile, and (n,) which of them each row is."""
    known: dict[tuple[bytes, ...], int] = {}
    first: list[int] = []
    of = np.zeros(len(queries), np.int64)
    for row in range(len(queries)):
        actions = slice(queries.indptr[row], queries.indptr[row + 1])
        key: tuple[bytes, ...] = (queries.items[actions].tobytes(), queries.weights[actions].tobytes())
        if queries.profiles is not None:
            profile = sparse.csr_array(queries.profiles[[row]])
            key += (profile.indices.tobytes(), profile.data.tobytes())
        if key not in known:
            known[key] = len(first)
            first.append(row)
        of[row] = known[key]
    return np.array(first, np.int64), of
