"""A person known by a handful of actions: the taste that is most likely after them, given how tastes are spread."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field
from scipy import sparse

from salon.arrays import power_or_zero, scale_rows
from salon.data import Dataset, Holdout, Queries
from salon.encode.base import FeatureSet
from salon.errors import DataError, SettingError
from salon.models.additive import CLICKS
from salon.models.base import Contributions, Grid, VectorRecommender
from salon.models.deep_media import Media, having_any, moved, prepared
from salon.models.few_questions import few_questions
from salon.models.fewshot_prior import Prior, shifts, tastes_of
from salon.models.pretrained import PretrainedSettings, Start, Transferable, projection_state
from salon.models.rows import ones_like, touched_columns, training_rows
from salon.models.walks import leading
from salon.types import BoolArray, FloatArray, IntArray

NOISES = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
"""Noise that is tried, in units of the prior variance of a liked item."""
MAP_RIDGE = 1.0
"""Ridge of the map from media to the space of clicks; features have unit length."""


class FewShotSettings(PretrainedSettings):
    """Settings of `FewShot`."""

    space: Literal["clicks", "media"] = "clicks"
    """Vectors of items: leading directions of the log, where untouched items are placed by their media; or media alone,
    which can be moved to another catalogue."""
    dim: int = Field(64, ge=1)
    """Leading directions of the log."""
    width: int = Field(64, ge=1)
    """Leading directions (PCA) kept of each modality."""
    noise: float | None = Field(None, gt=0)
    """Variance of an action in units of the prior variance of a liked item; without it, it is chosen."""
    shots: tuple[int, ...] = (1, 3, 5, 10)
    """Lengths of history for which the noise is chosen, by hiding all other actions."""
    prior_people: float = Field(100.0, gt=0)
    """As many people of this catalogue weigh as much as all those of the pretrained model."""


class FewShot(Transferable, VectorRecommender):
    """Empirical Bayes over tastes: ridge regression on a few actions towards what people like, in closed form.

        u ~ N(mu, S) learned over people,  u_p = argmin |x_p - V u|^2 + r |u|^2,  score = v_i . E[u | k actions]

    x_p is 1 / sqrt(number of likes) for what a person liked, so that people weigh alike, times a constant that makes it
    1 on average, and 0 for every other touched item; v_i are the right singular vectors of these rows, or the features
    of all modalities side by side, absent ones 0. The posterior is that of `fewshot_prior`. A base learner in closed
    form inside meta-learning is the idea of R2-D2 (Bertinetto et al., ICLR 2019); here the outer problem, mu and S, is
    in closed form too, and only the noise is searched, by nDCG@20 over histories cut to `shots` random actions. A liked
    item is an observation of 1, a disliked one of -1, one seen and neither of 0; sizes of weights and ratings are not
    read, nor is the order. Without any action the answer is that of the mean taste.

    In the space of clicks untouched items are placed by a ridge map from their media, or have no score without media.
    """

    needs_features = False
    handles_cold_users = True
    settings: FewShotSettings
    carried = ("centre_", "root_", "noise_")
    shape = ("space",)
    grid: ClassVar[Grid] = {"dim": (32, 64, 128), "width": (32, 64)}

    def _fit(
        self, data: Dataset, items: FeatureSet, rng: np.random.Generator, validation: Holdout | None
    ) -> dict[str, Any]:
        s = self.settings
        if not self._learns(data):
            return super()._fit(data, items, rng, validation)
        start = self._start()
        rows = training_rows(data, weighted=False)
        if s.space == "media" or items.having_any().any():
            media = prepared(items, s.width) if start is None else moved(items, start.projections)
        else:
            media = {}
        noise = s.noise
        if noise is None and start is not None and validation is None:
            noise = start.arrays["noise_"]
        if noise is None:
            noise = self._chosen(data, media, start, validation, rng)
        space, placed = self._space(rows, media, rng)
        return self._answers(space, placed, self._prior(rows, space, start), noise, media)

    def _space(
        self, rows: sparse.csr_array, media: Mapping[str, Media], rng: np.random.Generator
    ) -> tuple[FloatArray, BoolArray]:
        """(items, d) vectors, and (items,) bool which items have one."""
        described = having_any(media, rows.shape[1])
        if self.settings.space == "media":
            return side_by_side(media), described
        touched = touched_columns(rows)
        dim = min(self.settings.dim, int(touched.sum()), rows.shape[0])
        vectors = leading(alike(rows), dim, rng)
        vectors[~touched] = 0
        if media and (described & touched).any():
            known = np.concatenate([side_by_side(media), np.ones((len(touched), 1), np.float32)], axis=1)
            taught = known[described & touched].astype(np.float64)
            square = taught.T @ taught + MAP_RIDGE * np.eye(taught.shape[1])
            fold = np.linalg.solve(square, taught.T @ vectors[described & touched])
            vectors[described & ~touched] = known[described & ~touched] @ fold
            return vectors, described | touched
        return vectors, touched

    def _prior(self, rows: sparse.csr_array, space: FloatArray, start: Start | None) -> Prior:
        people = alike(sparse.csr_array(rows[np.flatnonzero(np.diff(rows.indptr))]))
        before = None if start is None else Prior(start.arrays["centre_"], start.arrays["root_"])
        return Prior.of(tastes_of(people, space, touched_columns(rows)), before, self.settings.prior_people)

    def _answers(
        self, space: FloatArray, placed: BoolArray, prior: Prior, noise: float, media: Mapping[str, Media]
    ) -> dict[str, Any]:
        vectors = np.concatenate([space @ prior.root, (space @ prior.mean)[:, None]], axis=1)
        return {
            "items_": np.where(placed[:, None], vectors, 0).astype(np.float32),
            "placed_": placed,
            "centre_": prior.mean,
            "root_": prior.root,
            "noise_": float(noise),
            **projection_state(media),
        }

    def _chosen(
        self,
        data: Dataset,
        media: Mapping[str, Media],
        start: Start | None,
        validation: Holdout | None,
        rng: np.random.Generator,
    ) -> float:
        """The noise of the best mean nDCG@20 over the lengths of history; 1 if nobody can be asked."""
        people, questions = few_questions(data, validation, self.settings.shots, rng)
        rows = sparse.csr_array(ones_like(data.positives())[people])
        if not questions or not rows.nnz:
            return 1.0
        space, placed = self._space(rows, media, rng)
        prior = self._prior(rows, space, start)
        trial, values = type(self)(self.settings), []
        for noise in NOISES:
            trial.restore({"n_items_": data.n_items, **self._answers(space, placed, prior, noise, {})})
            values.append(sum(question.score(trial.score) for question in questions))
        return max(zip(values, NOISES, strict=True))[1]

    # -- answers -----------------------------------------------------------------------------------------------------

    def user_vectors(self, queries: Queries) -> FloatArray:
        """(n, d + 1) float32: how the history moves the taste, in units of the prior, and 1 for the mean taste."""
        self.check_fitted()
        moves = self._shifts(queries.only(self.placed_[queries.items]))
        return np.concatenate([moves, np.ones((len(queries), 1))], axis=1).astype(np.float32)

    def item_vectors(self) -> FloatArray:
        """(items, d + 1) float32; zero for items without a vector, which `score` leaves out."""
        self.check_fitted()
        return self.items_

    def _score(self, queries: Queries) -> FloatArray:
        scores: FloatArray = self.user_vectors(queries) @ self.items_.T
        scores[:, ~self.placed_] = -np.inf
        return scores

    def _shifts(self, queries: Queries) -> FloatArray:
        return shifts(queries, self.items_[:, :-1], self.items_[:, -1], self.noise_ * self._unit())

    def _unit(self) -> float:
        """The mean prior variance of an item that has a vector."""
        return max(float((self.items_[self.placed_, :-1].astype(np.float64) ** 2).sum(axis=1).mean()), 1e-12)

    def contributions(self, queries: Queries, targets: IntArray) -> Contributions:
        """The exact split, cov(i, a) (y_a - v_a . E[u]) / s per action; the rest is the mean taste. See `Explainable`.

        What an action adds depends on the others: of two that say the same each has half.
        """
        self.check_fitted()
        units, base = self.items_[:, :-1].astype(np.float64), self.items_[:, -1].astype(np.float64)
        moves = self.user_vectors(queries)[:, :-1].astype(np.float64)
        owner, seen = queries.row_of(), queries.items
        left = np.sign(queries.weights) - base[seen] - np.einsum("ad,ad->a", units[seen], moves[owner])
        close = np.einsum("ad,ad->a", units[seen], units[targets[owner]])
        values = np.where(self.placed_[seen], close * left / (self.noise_ * self._unit()), 0.0)
        part = CLICKS if self.settings.space == "clicks" else "media"
        return Contributions(values[:, None].astype(np.float32), (part,), base[targets].astype(np.float32))

    # -- other catalogues --------------------------------------------------------------------------------------------

    def _check_movable(self) -> None:
        if self.settings.space != "media":
            raise SettingError(
                "The model knows items by who liked them (space = 'clicks').", hint="Fit it with space = 'media'."
            )

    def _moved(self, data: Dataset, media: Mapping[str, Media], start: Start) -> dict[str, Any]:
        prior = Prior(start.arrays["centre_"], start.arrays["root_"])
        noise = float(start.arrays["noise_"])
        return self._answers(side_by_side(media), having_any(media, data.n_items), prior, noise, media)

    items_: FloatArray
    placed_: BoolArray
    centre_: FloatArray
    root_: FloatArray
    noise_: float


def alike(rows: sparse.csr_array) -> sparse.csr_array:
    """(people, items) float64: ones over the root of their number in the row, 1 on average over the people."""
    shares = power_or_zero(np.diff(rows.indptr), -0.5)
    return scale_rows(rows, shares / shares[shares > 0].mean())


def side_by_side(media: Mapping[str, Media]) -> FloatArray:
    """(items, all widths) float32, absent modalities 0."""
    if not media:
        raise DataError("There are no features.", hint="Declare text, image or other media, or take space = 'clicks'.")
    return np.concatenate([one.vectors for one in media.values()], axis=1)
