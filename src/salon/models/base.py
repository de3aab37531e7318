"""The contract of recommenders: data in, preferences out; a query carries the history it is about."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, Self, runtime_checkable

import numpy as np
from threadpoolctl import threadpool_limits

from salon.arrays import block_size, blocks, top_k
from salon.component import Component
from salon.data import Dataset, Holdout, Queries
from salon.encode.base import FeatureSet
from salon.errors import DataError, SettingError
from salon.types import BoolArray, FloatArray, IntArray, TopK

Grid = Mapping[str, tuple[Any, ...]]
"""Setting name to the values that are worth trying, a handful in all."""


class Recommender(Component, ABC):
    """Learns from a dataset and scores every item for every query.

    A subclass writes `_fit`, which returns what was learned (attribute names ending in "_"), and `_score`.
    Everything else (checking, blocks, exclusions, padding) is written once, here.
    """

    kind = "model"
    needs_features: ClassVar[bool] = False
    """Whether `fit` needs item features."""
    handles_cold_items: ClassVar[bool] = False
    """Whether an item without any action can be recommended."""
    handles_cold_users: ClassVar[bool] = False
    """Whether a history that was not in the training data is answered from its items."""
    reads_profiles: ClassVar[bool] = False
    """Whether the attributes of a person count, so that somebody without a history can be answered."""

    grid: ClassVar[Grid] = {}
    """Values worth trying when the settings are tuned on validation; empty where there is nothing to tune."""

    n_items_: int

    def fit(
        self,
        data: Dataset,
        items: FeatureSet | None = None,
        *,
        rng: np.random.Generator | int | None = None,
        validation: Holdout | None = None,
    ) -> Self:
        """Learns from `data`; twice equals once, and a failed fit leaves the object as it was.

        Args:
            data: Items, events and users.
            items: Features of the items, rows as in `data.items`.
            rng: A seed or generator; the default is seed 0.
            validation: Questions for models that choose settings or stop early; without it they hold out part of
                `data`.

        Raises:
            DataError: There is nothing to learn from, or features are missing or do not fit.
        """
        if self.needs_features and not items:
            raise DataError(f"{type(self).__name__} needs item features.", hint="Declare text, image or other media.")
        if items is not None and len(items) and items.n_items != data.n_items:
            raise DataError(f"Features of {items.n_items} items for a catalogue of {data.n_items}.")
        with threadpool_limits(threads()):
            learned = self._fit(
                data, items or FeatureSet({}, data.n_items), np.random.default_rng(rng or 0), validation
            )
        for name in [n for n in vars(self) if n.endswith("_")]:
            delattr(self, name)
        return self.restore({"n_items_": data.n_items, **learned})

    @abstractmethod
    def _fit(
        self, data: Dataset, items: FeatureSet, rng: np.random.Generator, validation: Holdout | None
    ) -> dict[str, Any]:
        """What was learned, by attribute name; `self` is not changed."""

    @abstractmethod
    def _score(self, queries: Queries) -> FloatArray:
        """(n, items) float scores; -inf for items that this model cannot score."""

    def score(self, queries: Queries) -> FloatArray:
        """(n, items) float32 scores, higher is better; -inf for items that this model cannot score.

        Raises:
            NotFittedError: `fit` was not called.
            DataError: A query names an item row outside the catalogue.
        """
        self.check_fitted()
        self._check_rows(queries)
        return np.asarray(self._score(queries), dtype=np.float32)

    def score_unseen(self, queries: Queries) -> FloatArray:
        """(n, items) float32: `score` with -inf for the items of each history, which saves some models work.

        Raises:
            NotFittedError: `fit` was not called.
            DataError: A query names an item row outside the catalogue.
        """
        self.check_fitted()
        self._check_rows(queries)
        scores = np.asarray(self._score_unseen(queries), dtype=np.float32)
        scores[queries.row_of(), queries.items] = -np.inf
        return scores

    def _score_unseen(self, queries: Queries) -> FloatArray:
        """As `_score`; what it gives the items of the history is not read."""
        return self._score(queries)

    def _check_rows(self, queries: Queries) -> None:
        outside = queries.items[(queries.items < 0) | (queries.items >= self.n_items_)]
        if outside.size:
            raise DataError(f"A query names item row {int(outside[0])} of {self.n_items_}.")

    def recommend(
        self,
        queries: Queries,
        k: int = 10,
        *,
        exclude_seen: bool = True,
        allow: BoolArray | None = None,
    ) -> TopK:
        """The k best items per query.

        Args:
            queries: The histories, n of them.
            k: How many, at least 1; rows run short when fewer items are allowed.
            exclude_seen: Leave out the items of the history.
            allow: (items,) or (n, items) bool, the items that may be recommended.

        Returns:
            ids (n, k) and scores (n, k), short rows padded with -1 and -inf.
        """
        if k < 1:
            raise SettingError(f"k is {k}.", hint="Ask for at least one item.")
        self.check_fitted()
        found = []
        for rows in blocks(len(queries), block_size(self.n_items_)):
            mask = allow[rows] if allow is not None and allow.ndim == 2 else allow
            found.append(self._recommend(queries.take(rows), k, exclude_seen=exclude_seen, allow=mask))
        if not found:
            return TopK(np.zeros((0, k), np.int64), np.zeros((0, k), np.float32))
        return TopK(np.concatenate([f.ids for f in found]), np.concatenate([f.scores for f in found]))

    def _recommend(self, queries: Queries, k: int, *, exclude_seen: bool, allow: BoolArray | None) -> TopK:
        """The k best items of a block of queries, as `recommend`; for models that need not score all to find them."""
        scores = self.score_unseen(queries) if exclude_seen else self.score(queries)
        if allow is not None:
            scores[~allow & np.ones_like(scores, bool)] = -np.inf
        return top_k(scores, k)

    def similar(self, items: IntArray, k: int = 10, *, allow: BoolArray | None = None) -> TopK:
        """The k items most like each given item: what this model recommends to someone who liked only that one."""
        return self.recommend(Queries.from_lists([[int(i)] for i in items]), k, allow=allow)


def threads() -> int:
    """Threads of the numerical libraries during a fit: $SALON_THREADS, or 1.

    Threads that wait for each other on a busy machine cost several times the work; more pay on idle cores and
    catalogues of many thousands of items.
    """
    given = os.environ.get("SALON_THREADS", "1")
    if not given.isdigit() or given == "0":
        raise SettingError(f"SALON_THREADS is {given!r}.", hint="Give a number of threads, at least 1.")
    return int(given)


@dataclass(frozen=True)
class Contributions:
    """Scores of one target item per query, split into what each action of the history adds.

    Attributes:
        values: (actions, parts) float32; row a belongs to action a of the queries (`Queries.items[a]`).
        parts: What the columns are: "clicks" and the modalities, or one name where a model knows no modalities.
        rest: (n,) float32, what no action explains, such as a bias or the profile of the person.

    The score of query i is `values` summed over its actions and all parts, plus `rest[i]`.
    """

    values: FloatArray
    parts: tuple[str, ...]
    rest: FloatArray


@runtime_checkable
class Explainable(Protocol):
    """A recommender that can split its scores exactly."""

    def contributions(self, queries: Queries, targets: IntArray) -> Contributions:
        """The split of score(queries)[i, targets[i]] for every query i; targets is (n,) int."""


class VectorRecommender(Recommender):
    """A recommender whose score is a product of two vectors, so that an index can search it."""

    metric: ClassVar[str] = "dot"

    @abstractmethod
    def user_vectors(self, queries: Queries) -> FloatArray:
        """(n, d) float32."""

    @abstractmethod
    def item_vectors(self) -> FloatArray:
        """(items, d) float32."""

    def _score(self, queries: Queries) -> FloatArray:
        scores: FloatArray = self.user_vectors(queries) @ self.item_vectors().T
        return scores


class RatingPredictor(Recommender):
    """A recommender that also predicts explicit ratings."""

    @property
    def predicts_ratings(self) -> bool:
        """Whether `predict` can be asked; False for a fitted model that has learned no ratings."""
        return True

    @abstractmethod
    def predict(self, queries: Queries, items: IntArray) -> FloatArray:
        """(n,) float32 predicted rating of items[i] by query i."""
