"""Rankers: several models propose candidates, one learned function puts them in order.

    1  A tenth of everybody's likes is held out, and the sources are fitted on the rest.
    2  Every source lists its best unseen items for every person; the lists are merged (`merge_candidates`).
    3  The ranker learns from the features of `ranker_features` to place what was held out above the other candidates
       of the same person. The sources have not seen those answers.
    4  The sources are fitted on everything; features of answers come from these.

Where the log has timestamps, a question of step 3 is asked at the time of the last action that was held out; for every
second person the moment is left unknown, so that questions without one are answered too. `validation` and tests carry
no moment, so what it brings is in no report.

Training stops by `validation` where it is given, whose questions the sources of step 4 answer, else by the candidates
of a fifth of the people. What was held out and is no candidate teaches nothing.

The score of a candidate is the learned one. Other items come below all candidates, in the order of the first source,
behind them what only the second can score, and so on; they are what is left when filters take the candidates away.
Items of the history are never candidates. Candidates of equal score keep that order too.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from pydantic import Field
from scipy import sparse

from salon.arrays import blocks, top_k
from salon.config import Settings
from salon.data import Dataset, Holdout, Queries
from salon.data.parting import among, pair_keys
from salon.encode.base import FeatureSet
from salon.index.candidates import merge_candidates
from salon.models.base import Recommender
from salon.models.decision_stack import hold_out
from salon.models.ensemble_choice import CUT, some
from salon.models.joining import Combined, Members, check_members, member, rank_shares, standardised, weighted_mean
from salon.models.ranker_features import Facts
from salon.types import MISSING_ID, BoolArray, FloatArray, IntArray

AT_ONCE = 256
"""People whose candidates are in memory at a time."""
VALID_PART = 5
"""Every so manieth person is asked for early stopping where no validation is given."""
TIE = np.float32(1e-4)


class RankerSettings(Settings):
    """Settings of all rankers."""

    members: Members = {"linear": {}, "itemknn": {}, "popular": {}}  # noqa: RUF012  pydantic copies it
    """Name of each source to its settings; the name is that of the model, unless the settings name one as `model`."""
    candidates: int = Field(100, ge=1)
    """Items that each source proposes."""
    questions: int = Field(2000, ge=1)
    """Most people from whom the ranker learns."""


@dataclass(frozen=True)
class Groups:
    """Candidates of several questions, one group behind the other.

    Attributes:
        features: (m, f) float32, NaN where unknown.
        items: (m,) int64.
        labels: (m,) float32, 1 for what was held out.
        sizes: (groups,) int64, candidates per question.
    """

    features: FloatArray
    items: IntArray
    labels: FloatArray
    sizes: IntArray

    def __len__(self) -> int:
        return len(self.sizes)

    def take(self, chosen: BoolArray) -> Groups:
        """Some groups only; chosen is (groups,) bool."""
        rows = np.repeat(chosen, self.sizes)
        return Groups(self.features[rows], self.items[rows], self.labels[rows], self.sizes[chosen])

    def shuffled(self, rng: np.random.Generator) -> Groups:
        """The candidates of every group in random order, so that equal scores do not keep the order of the lists."""
        owner = np.repeat(np.arange(len(self)), self.sizes)
        rows = np.lexsort((rng.random(len(owner)), owner))
        return Groups(self.features[rows], self.items[rows], self.labels[rows], self.sizes)

    def ndcg(self, values: FloatArray) -> float:
        """Mean nDCG@20 over the groups of candidates in the order of `values` (m,)."""
        best = self._gains(self.labels)
        return float((self._gains(values) / best).mean())

    def _gains(self, values: FloatArray) -> FloatArray:
        owner = np.repeat(np.arange(len(self)), self.sizes)
        order = np.lexsort((-values, owner))
        place = np.arange(len(owner)) - np.repeat(np.cumsum(self.sizes) - self.sizes, self.sizes)
        gains = np.where(place < CUT, self.labels[order] / np.log2(place + 2.0), 0)
        return np.asarray(np.bincount(owner, weights=gains, minlength=len(self)), np.float64)


@dataclass(frozen=True)
class Pool:
    """Fitted sources and the facts of the same data.

    Attributes:
        names: Names of the sources.
        models: The sources.
        facts: Facts.
        candidates: Items that each source proposes.
    """

    names: Sequence[str]
    models: Sequence[Recommender]
    facts: Facts
    candidates: int

    def feature_names(self) -> list[str]:
        """Names of the columns of the features."""
        each = [f"{name}.{kind}" for name in self.names for kind in ("score", "place")]
        return [*each, "sources.score", "sources.lists", *self.facts.names()]

    def scores(self, queries: Queries) -> list[FloatArray]:
        """One (n, items) per source."""
        return [model.score(queries) for model in self.models]

    def propose(
        self, queries: Queries, scores: Sequence[FloatArray], barred: BoolArray
    ) -> tuple[IntArray, IntArray, FloatArray]:
        """(m,) queries and (m,) items of the candidates, sorted by query, and (m, sources) float32 of their places in
        the lists of the sources, 0 the first, NaN where not listed.

        Args:
            queries: n histories.
            scores: One (n, items) per source.
            barred: (n, items) bool, what may not be a candidate beside the history.
        """
        free = barred.copy()
        free[queries.row_of(), queries.items] = True
        lists = {
            name: top_k(np.where(free, -np.inf, part), self.candidates)
            for name, part in zip(self.names, scores, strict=True)
        }
        ids = merge_candidates(lists, self.candidates * len(lists)).ids
        owner, place = np.nonzero(ids != MISSING_ID)
        owner, items = owner.astype(np.int64), ids[owner, place]
        places = [_places(found.ids, free.shape[1])[owner, items] for found in lists.values()]
        return owner, items, np.stack(places, axis=1)

    def features(
        self, queries: Queries, scores: Sequence[FloatArray], owner: IntArray, items: IntArray, places: FloatArray
    ) -> FloatArray:
        """(m, f) float32 of what was proposed, NaN where unknown; see `ranker_features`."""
        standard = [standardised(part) for part in scores]
        mean = weighted_mean(standard, np.ones(len(standard)))[owner, items]
        parts = []
        for number, part in enumerate(standard):
            own = part[owner, items]
            parts += [np.where(np.isfinite(own), own, np.nan), np.log1p(places[:, number])]
        parts += [mean, (~np.isnan(places)).sum(axis=1).astype(np.float32)]
        return np.concatenate([np.stack(parts, axis=1), self.facts.columns(queries, owner, items)], axis=1)

    def groups(self, questions: Holdout) -> Groups:
        """The candidates of every question that has a right and a wrong one among them."""
        found = [self._some_groups(some(questions, rows)) for rows in _row_blocks(len(questions))]
        width = len(self.feature_names())
        empty = Groups(
            np.zeros((0, width), np.float32), np.zeros(0, np.int64), np.zeros(0, np.float32), np.zeros(0, int)
        )
        columns = zip(*[(g.features, g.items, g.labels, g.sizes) for g in [empty, *found]], strict=True)
        return Groups(*[np.concatenate(column) for column in columns])

    def _some_groups(self, questions: Holdout) -> Groups:
        queries, scores = questions.queries, self.scores(questions.queries)
        barred: BoolArray = np.zeros(questions.targets.shape, bool)
        if questions.exclude is not None:
            barred |= questions.exclude.toarray() != 0
        if questions.candidates is not None:
            barred |= ~questions.candidates
        owner, items, places = self.propose(queries, scores, barred)
        labels = questions.targets.toarray()[owner, items] > 0
        right = np.bincount(owner, weights=labels, minlength=len(queries))
        sizes = np.bincount(owner, minlength=len(queries))
        useful = (right > 0) & (right < sizes)
        kept = useful[owner]
        owner, items, labels = owner[kept], items[kept], labels[kept].astype(np.float32)
        return Groups(self.features(queries, scores, owner, items, places[kept]), items, labels, sizes[useful])


class Ranker(Combined):
    """Candidates of several models in an order that is learned from features. A subclass learns the order."""

    handles_cold_items = True
    handles_cold_users = True
    reads_profiles = True
    settings: RankerSettings
    names_: list[str]
    feature_names_: list[str]
    trained_: bool

    @abstractmethod
    def _learn(self, train: Groups, valid: Groups, touched: BoolArray, rng: np.random.Generator) -> dict[str, Any]:
        """What was learned, by attribute name.

        Args:
            train: At least one group.
            valid: For early stopping; may be empty.
            touched: (items,) bool, items that the sources of `train` met.
            rng: Randomness.
        """

    @abstractmethod
    def _values(self, features: FloatArray, items: IntArray) -> FloatArray:
        """(m,) learned scores of m candidates with (m, f) features and (m,) item rows."""

    def _fit(
        self, data: Dataset, items: FeatureSet, rng: np.random.Generator, validation: Holdout | None
    ) -> dict[str, Any]:
        check_members(self.settings.members)
        seeds = rng.integers(2**62, size=len(self.settings.members))
        questions, known = hold_out(data, rng)
        pool = self._pool(data, items, seeds)
        learned: dict[str, Any] = {}
        if len(questions):
            judges = self._pool(known, items, seeds, pool.facts)
            asked = with_moments(some(questions, self._sample(len(questions), rng)), data)
            train = judges.groups(asked)
            train, valid = self._parted(train, pool, validation, rng)
            learned = self._learn(train, valid, known.touched(), rng) if len(train) else {}
        return {
            "models_": list(pool.models),
            "names_": list(pool.names),
            "feature_names_": pool.feature_names(),
            "trained_": bool(learned),
            **pool.facts.state(),
            **learned,
        }

    def _pool(self, data: Dataset, items: FeatureSet, seeds: IntArray, shape: Facts | None = None) -> Pool:
        members = self.settings.members
        models = [member(name, given) for name, given in members.items()]
        fitted = [model.fit(data, items, rng=int(seed)) for model, seed in zip(models, seeds, strict=True)]
        return Pool(list(members), fitted, Facts.of(data, items, shape), self.settings.candidates)

    def _parted(
        self, train: Groups, pool: Pool, validation: Holdout | None, rng: np.random.Generator
    ) -> tuple[Groups, Groups]:
        """What to learn from, and when to stop."""
        if validation is not None:
            return train, pool.groups(some(validation, self._sample(len(validation), rng)))
        asked = np.arange(len(train)) % VALID_PART == 0
        return (
            (train.take(~asked), train.take(asked))
            if len(train) >= 2 * VALID_PART
            else (train, train.take(np.zeros_like(asked)))
        )

    def _sample(self, n: int, rng: np.random.Generator) -> IntArray:
        most = self.settings.questions
        return np.arange(n) if n <= most else np.sort(rng.choice(n, most, replace=False))

    def _blank(self, number: int) -> Recommender:
        return member(self.names_[number], self.settings.members[self.names_[number]])

    def _score(self, queries: Queries) -> FloatArray:
        pool = Pool(self.names_, self.models_, Facts.restored(vars(self)), self.settings.candidates)
        found = [self._some_scores(pool, queries.take(rows)) for rows in _row_blocks(len(queries))]
        return np.concatenate([np.zeros((0, self.n_items_), np.float32), *found])

    def _some_scores(self, pool: Pool, queries: Queries) -> FloatArray:
        scores = pool.scores(queries)
        rest = order_of_sources(scores)
        owner, items, places = pool.propose(queries, scores, np.zeros(rest.shape, bool))
        if self.trained_:
            features = pool.features(queries, scores, owner, items, places)
            values = self._values(features, items).astype(np.float32)
        else:
            values = weighted_mean([standardised(part) for part in scores], np.ones(len(scores)))[owner, items]
        values = values + TIE * rest[owner, items]
        lowest = np.zeros(len(queries), np.float32)
        first = np.flatnonzero(np.r_[True, owner[1:] != owner[:-1]]) if len(owner) else owner
        lowest[owner[first]] = np.minimum.reduceat(values, first) if len(owner) else values
        rest += lowest[:, None] - 2
        rest[owner, items] = values
        return rest


def with_moments(questions: Holdout, data: Dataset) -> Holdout:
    """The questions at the time of their last answer, every second one at an unknown time; needs timestamps."""
    whole = data.queries(questions.queries.users)
    if whole.times is None:
        return questions
    answers = sparse.coo_array(questions.targets)
    right = np.sort(pair_keys(answers.row, answers.col, data.n_items))
    mine = among(pair_keys(whole.row_of(), whole.items, data.n_items), right)
    now: FloatArray = np.full(len(questions), -np.inf)
    np.maximum.at(now, whole.row_of()[mine], whole.times[mine])
    now = np.where(np.isfinite(now) & (np.arange(len(now)) % 2 == 0), now, np.nan)
    return replace(questions, queries=replace(questions.queries, now=now))


def order_of_sources(scores: Sequence[FloatArray]) -> FloatArray:
    """(n, items) float32: rank share under the first source that can score the item, minus 1 for every source passed
    over, so at most 1; -inf where none can."""
    found: FloatArray = np.full(scores[0].shape, -np.inf, np.float32)
    for number, part in reversed(list(enumerate(scores))):
        found = np.where(np.isfinite(part), rank_shares(part) - np.float32(number), found)
    return found


def _places(ids: IntArray, n_items: int) -> FloatArray:
    """(n, items) float32 place in lists (n, k) of ids, NaN where not listed."""
    places: FloatArray = np.full((len(ids), n_items), np.nan, np.float32)
    row, place = np.nonzero(ids != MISSING_ID)
    places[row, ids[row, place]] = place
    return places


def _row_blocks(n: int) -> Iterator[IntArray]:
    return (np.arange(n)[rows] for rows in blocks(n, AT_ONCE))
