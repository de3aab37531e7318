"""Factor models: a person and an item are short vectors, and a score is their product.

No table of people is kept: the vector of a history is solved for when it is asked for (fold-in), in closed form over
the item factors, so people who joined a second ago are answered like everybody else and forgetting a person leaves
no row behind.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache
from typing import Any, ClassVar, Literal

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from implicit.cpu.bpr import BayesianPersonalizedRanking
from pydantic import Field
from scipy import sparse
from threadpoolctl import ThreadpoolController

from salon.arrays import blocks
from salon.config import Settings
from salon.data import Dataset, Holdout, Queries
from salon.data.queries import merge_repeats
from salon.encode.base import FeatureSet
from salon.errors import DataError
from salon.models.base import Grid, RatingPredictor, VectorRecommender
from salon.models.factors_start import leading_factors
from salon.models.rows import answerable, query_rows, touched_columns, training_rows
from salon.types import BoolArray, FloatArray, IntArray

SOLVED_AT_ONCE = 256
"""Small systems stacked for one LAPACK call."""
MAP_RIDGE = 10.0
"""r of the fold-in of `ImplicitBPR`, in actions."""
LEVELS = 50
"""Most weights told apart when ratings are read back from weights."""


@cache
def _libraries() -> ThreadpoolController:
    return ThreadpoolController()


def single_thread() -> AbstractContextManager[object]:
    """One BLAS thread inside: on small systems more threads are slower, and `implicit` warns of them."""
    return _libraries().limit(limits=1, user_api="blas")


def solve_rows(
    weights: sparse.csr_array, pull: FloatArray, vectors: FloatArray, base: FloatArray, ridge: FloatArray
) -> FloatArray:
    """Row by row z = (base + ridge I + V^T diag(w) V)^-1 V^T pull, V the rows of `vectors` that the row names.

    Args:
        weights: (n, m) sparse w, stored zeros included.
        pull: (nnz,) float, in the order of `weights.data`.
        vectors: (m, d) float.
        base: (d, d) float.
        ridge: (n,) float.

    Returns:
        (n, d) float64.
    """
    n, dim = weights.shape[0], vectors.shape[1]
    solved = np.zeros((n, dim))
    with single_thread():
        for rows in blocks(n, SOLVED_AT_ONCE):
            left = base + ridge[rows, None, None] * np.eye(dim)
            right = np.zeros((rows.stop - rows.start, dim))
            for place, row in enumerate(range(rows.start, rows.stop)):
                part = slice(weights.indptr[row], weights.indptr[row + 1])
                named = np.asarray(vectors[weights.indices[part]], np.float64)  # (history, d)
                left[place] += named.T @ (weights.data[part, None] * named)
                right[place] = pull[part] @ named
            solved[rows] = np.linalg.solve(left, right[..., None])[..., 0]
    return solved


def gram_of(vectors: FloatArray) -> FloatArray:
    """(d, d) float64 Y^T Y of (items, d) factors."""
    wide = np.asarray(vectors, np.float64)
    return np.asarray(wide.T @ wide)


def fold_in(
    history: sparse.csr_array, vectors: FloatArray, alpha: float, reg: float, gram: FloatArray | None = None
) -> FloatArray:
    """The user step of implicit ALS (Hu, Koren, Volinsky 2008): vectors of new histories, items held fixed.

    min over z of  sum_i c_i (p_i - z.y_i)^2 + reg |z|^2,  where c = alpha x and p = 1 for items of the history, and
    c = 1 and p = 0 for all others.

    Args:
        history: (n, items) sparse positive weights x.
        vectors: (items, d) float item factors y.
        gram: `gram_of(vectors)`, where it is known.

    Returns:
        (n, d) float32; the zero vector for an empty history.
    """
    confidence = alpha * history.data.astype(np.float64)
    extra = sparse.csr_array((confidence - 1, history.indices, history.indptr), shape=history.shape)
    base = gram_of(vectors) if gram is None else gram
    return solve_rows(extra, confidence, vectors, base, np.full(history.shape[0], reg)).astype(np.float32)


class ImplicitALSSettings(Settings):
    """Settings of `ImplicitALS`."""

    dim: int = Field(default=64, ge=1)
    """Numbers per vector."""
    reg: float = Field(default=30.0, gt=0)
    """Strength of the ridge; it grows with alpha."""
    alpha: float = Field(default=10.0, gt=0)
    """Confidence of an action of weight 1; that of no action is 1."""
    sweeps: int = Field(default=5, ge=1)
    """Alternations between people and items; more cost time and rarely rank better."""
    start: Literal["svd", "random"] = "svd"
    """Begin at the leading factors of the log, from which one or two sweeps are nearly enough, or anywhere."""
    weighted: bool = False
    """Let the weights of the actions multiply the confidence."""
    threads: int = Field(default=1, ge=0)
    """Threads of the solver; 0 takes all cores."""


class ImplicitALS(VectorRecommender):
    """Weighted matrix factorisation of implicit feedback (Hu, Koren, Volinsky 2008), by the library `implicit`.

    Items are learned by `implicit`, beginning at `leading_factors`; a history becomes a vector by `fold_in`, the user
    half-step of its training.
    """

    handles_cold_users = True
    settings: ImplicitALSSettings
    grid: ClassVar[Grid] = {"dim": (32, 64, 128), "reg": (3.0, 10.0, 30.0), "alpha": (1.0, 3.0, 10.0)}

    def _fit(
        self, data: Dataset, items: FeatureSet, rng: np.random.Generator, validation: Holdout | None
    ) -> dict[str, Any]:
        rows, s = training_rows(data, weighted=self.settings.weighted), self.settings
        with single_thread():
            model = AlternatingLeastSquares(
                factors=s.dim, regularization=s.reg, alpha=s.alpha, iterations=s.sweeps, num_threads=s.threads,
                random_state=int(rng.integers(2**31)),
            )  # fmt: skip
            if s.start == "svd":
                model.user_factors, model.item_factors = leading_factors(rows, s.dim, rng)
            model.fit(sparse.csr_matrix(rows), show_progress=False)
        vectors = np.asarray(model.item_factors)
        return {"vectors_": vectors, "gram_": gram_of(vectors), "touched_": touched_columns(rows)}

    def user_vectors(self, queries: Queries) -> FloatArray:
        """(n, d) float32; the zero vector for a history without likes."""
        self.check_fitted()
        history = query_rows(queries, self.n_items_, weighted=self.settings.weighted)
        return fold_in(history, self.vectors_, self.settings.alpha, self.settings.reg, self.gram_)

    def item_vectors(self) -> FloatArray:
        """(items, d) float32; the zero vector for untouched items, which `score` leaves out."""
        self.check_fitted()
        return self.vectors_

    def _score(self, queries: Queries) -> FloatArray:
        return answerable(super()._score(queries), query_rows(queries, self.n_items_), self.touched_)

    vectors_: FloatArray
    gram_: FloatArray | None = None
    touched_: BoolArray


class ImplicitBPRSettings(Settings):
    """Settings of `ImplicitBPR`."""

    dim: int = Field(default=64, ge=1)
    """Numbers per vector."""
    lr: float = Field(default=0.01, gt=0)
    """Step size."""
    reg: float = Field(default=0.02, ge=0)
    """Weight decay."""
    epochs: int = Field(default=200, ge=1)
    """Passes over the actions."""
    threads: int = Field(default=1, ge=0)
    """Threads of the solver; with more than one the result is not repeatable."""


class ImplicitBPR(VectorRecommender):
    """Bayesian personalised ranking (Rendle et al. 2009) by the library `implicit`, with item biases.

    Training maximises sum ln sigma(s_ui - s_uj), s_ui = b_i + z_u.y_i, with negatives j drawn by popularity. A history
    becomes a vector approximately: a linear map A from the mean item vector of a history to the learned vector of its
    owner is fitted over the training people, min sum_u n_u |z_u - A [mean of y_i, 1]|^2 + r |A|^2, and applied to any
    history. Training people are answered by it too; on our data it ranks at least as well as their own vectors.
    """

    handles_cold_users = True
    settings: ImplicitBPRSettings
    grid: ClassVar[Grid] = {"dim": (32, 64, 128), "lr": (0.005, 0.01, 0.05), "reg": (0.005, 0.02, 0.1)}

    def _fit(
        self, data: Dataset, items: FeatureSet, rng: np.random.Generator, validation: Holdout | None
    ) -> dict[str, Any]:
        rows, s = training_rows(data, weighted=False), self.settings
        with single_thread():
            model = BayesianPersonalizedRanking(
                factors=s.dim, learning_rate=s.lr, regularization=s.reg, iterations=s.epochs, num_threads=s.threads,
                random_state=int(rng.integers(2**31)),
            )  # fmt: skip
            model.fit(sparse.csr_matrix(rows), show_progress=False)
        touched = touched_columns(rows)
        vectors = np.where(touched[:, None], model.item_factors, np.float32(0))  # the last column is the bias
        people = np.flatnonzero(np.diff(rows.indptr))
        means = _history_means(sparse.csr_array(rows[people]), vectors)
        return {
            "vectors_": vectors,
            "touched_": touched,
            "map_": _ridge(means, model.user_factors[people], np.diff(rows.indptr)[people], MAP_RIDGE),
        }

    def user_vectors(self, queries: Queries) -> FloatArray:
        """(n, d + 1) float32, the last number 1 for the bias; an empty history has the biases alone."""
        self.check_fitted()
        history = query_rows(queries, self.n_items_, weighted=False)
        users = (_history_means(history, self.vectors_) @ self.map_).astype(np.float32)
        users[np.diff(history.indptr) == 0] = 0
        users[:, -1] = 1
        return users

    def item_vectors(self) -> FloatArray:
        """(items, d + 1) float32, the last number the bias; zero for untouched items, which `score` leaves out."""
        self.check_fitted()
        return self.vectors_

    def _score(self, queries: Queries) -> FloatArray:
        return np.where(self.touched_, super()._score(queries), -np.inf)

    vectors_: FloatArray
    touched_: BoolArray
    map_: FloatArray


def _history_means(history: sparse.csr_array, vectors: FloatArray) -> FloatArray:
    """(n, d + 1) float64: the mean vector of each history, and 1."""
    counts = np.maximum(np.diff(history.indptr), 1)[:, None]
    return np.concatenate([np.asarray(history @ vectors.astype(np.float64)) / counts, np.ones_like(counts)], axis=1)


def _ridge(inputs: FloatArray, targets: FloatArray, weights: IntArray, strength: float) -> FloatArray:
    """(d, e) float64 solution of min sum_u w_u |t_u - x_u A|^2 + strength |A|^2."""
    weighted = inputs * weights[:, None]
    left = inputs.T @ weighted + strength * np.eye(inputs.shape[1])
    return np.asarray(np.linalg.solve(left, weighted.T @ targets.astype(np.float64)))


class BiasedMFSettings(Settings):
    """Settings of `BiasedMF`."""

    dim: int = Field(default=16, ge=1)
    """Numbers per vector."""
    reg: float = Field(default=0.08, gt=0)
    """Strength of the ridge per rating."""
    sweeps: int = Field(default=10, ge=1)
    """Alternations between people and items."""


class BiasedMF(RatingPredictor):
    """Explicit ratings by biases and factors (Koren, Bell, Volinsky 2009), by weighted ALS (Zhou et al. 2008).

        r_ui = mu + b_u + b_i + p_u.q_i
        min sum (r - r_ui)^2 + reg (sum_u n_u |(p_u, b_u)|^2 + sum_i n_i |(q_i, b_i)|^2)

    with n the number of ratings of a person or item. Each half-step is one ridge regression per person (per item). A
    query is answered by the user half-step on its history, so training people and unknown ones are answered alike.

    A query carries weights, not ratings; the rating that a weight stands for is the mean rating of the training actions
    of that weight, interpolated between weights. Where weights rise with ratings this gives the ratings back exactly.
    Items without a rating are never ranked; their predicted rating is mu + b_u.
    """

    handles_cold_users = True
    settings: BiasedMFSettings
    grid: ClassVar[Grid] = {"dim": (8, 16, 32), "reg": (0.03, 0.08, 0.2)}

    def _fit(
        self, data: Dataset, items: FeatureSet, rng: np.random.Generator, validation: Holdout | None
    ) -> dict[str, Any]:
        ratings = _ratings(data)
        mean = float(ratings.data.mean())
        residuals = sparse.csr_array((ratings.data - mean, ratings.indices, ratings.indptr), shape=ratings.shape)
        turned = sparse.csr_array(residuals.T)
        vectors: FloatArray = np.zeros((data.n_items, self.settings.dim + 1))  # the last number is the bias
        vectors[:, :-1] = 0.1 * rng.standard_normal((data.n_items, self.settings.dim))
        for _ in range(self.settings.sweeps):
            vectors = self._half_step(turned, self._half_step(residuals, vectors))
        rated = touched_columns(ratings)
        levels, values = _rating_levels(data)
        return {
            "mean_": mean,
            "vectors_": np.where(rated[:, None], vectors, 0),
            "rated_": rated,
            "levels_": levels,
            "level_ratings_": values,
            "lowest_": float(ratings.data.min()),
            "highest_": float(ratings.data.max()),
        }

    def _half_step(self, residuals: sparse.csr_array, others: FloatArray) -> FloatArray:
        """(n, d + 1) factors and bias of each row of residuals r - mu, given those of its columns."""
        factors = np.concatenate([others[:, :-1], np.ones((len(others), 1))], axis=1)
        ones = sparse.csr_array((np.ones(residuals.nnz), residuals.indices, residuals.indptr), shape=residuals.shape)
        pull = residuals.data - others[residuals.indices, -1]
        ridge = self.settings.reg * np.maximum(np.diff(residuals.indptr), 1)
        return solve_rows(ones, pull, factors, np.zeros((factors.shape[1],) * 2), ridge)

    def _people(self, queries: Queries) -> FloatArray:
        """(n, d + 1) factors and bias of each history."""
        ratings = np.interp(queries.weights, self.levels_, self.level_ratings_)
        kept = self.rated_[queries.items]
        entries = (ratings[kept] - self.mean_, (queries.row_of()[kept], queries.items[kept]))
        return self._half_step(sparse.csr_array(entries, shape=(len(queries), self.n_items_)), self.vectors_)

    def _score(self, queries: Queries) -> FloatArray:
        people = self._people(queries)
        products = people[:, :-1] @ self.vectors_[:, :-1].T
        scores = self.mean_ + people[:, -1:] + self.vectors_[:, -1] + products
        return np.where(self.rated_, scores, -np.inf)

    def predict(self, queries: Queries, items: IntArray) -> FloatArray:
        """(n,) float32 predicted rating of items[i] by query i, within the range of the training ratings."""
        self.check_fitted()
        people, asked = self._people(queries), self.vectors_[np.asarray(items, np.int64)]
        ratings = self.mean_ + people[:, -1] + asked[:, -1] + (people[:, :-1] * asked[:, :-1]).sum(axis=1)
        return np.clip(ratings, self.lowest_, self.highest_).astype(np.float32)

    mean_: float
    vectors_: FloatArray
    rated_: BoolArray
    levels_: FloatArray
    level_ratings_: FloatArray
    lowest_: float
    highest_: float


def _ratings(data: Dataset) -> sparse.csr_array:
    """(users, items) float64 of the explicit ratings, the last one where somebody rated twice."""
    rows = data.events.in_order()
    rows = rows[~data.events.shown[rows] & np.isfinite(data.events.values[rows])]
    if rows.size == 0:
        raise DataError("There are no explicit ratings to learn from.", hint="Declare the rating column of the events.")
    events = data.events
    last, values = merge_repeats(events.users[rows], events.items[rows], events.values[rows], "last")
    users, items = events.users[rows[last]], events.items[rows[last]]
    return sparse.csr_array((values.astype(np.float64), (users, items)), shape=(data.n_users, data.n_items))


def _rating_levels(data: Dataset) -> tuple[FloatArray, FloatArray]:
    """Rising weights, at most 50, and the mean rating of the actions near each, both float64."""
    rated = ~data.events.shown & np.isfinite(data.events.values)
    weights, values = data.events.weights[rated].astype(np.float64), data.events.values[rated].astype(np.float64)
    levels = np.unique(weights)
    if len(levels) > LEVELS:
        levels = np.unique(np.quantile(weights, np.linspace(0, 1, LEVELS)))
    place = np.searchsorted((levels[1:] + levels[:-1]) / 2, weights)
    counts = np.bincount(place, minlength=len(levels))
    sums = np.bincount(place, weights=values, minlength=len(levels))
    return levels[counts > 0], sums[counts > 0] / counts[counts > 0]
