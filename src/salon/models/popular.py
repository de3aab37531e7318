"""Baselines that no model may lose to: chance, popularity, and popularity of late. None reads the history.

They answer everybody, with or without a history, so they are also what a pipeline falls back to.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from pydantic import Field

from salon.config import Settings
from salon.data import Dataset, Holdout, Queries
from salon.encode.base import FeatureSet
from salon.models.base import Recommender
from salon.models.rows import touched_columns, training_rows
from salon.types import FloatArray, IntArray

DAY = 86400.0
GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def mixed(values: IntArray) -> IntArray:
    """SplitMix64 (Steele, Lea, Flood 2014): (…) uint64 in, well mixed uint64 out."""
    z = values + GOLDEN
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


class Random(Recommender):
    """A uniformly random order of the catalogue per history.

    score(q, i) = hash(seed, history of q, i) in [0, 1), so the answer depends neither on the batch nor on who came
    before, and a new item leaves the scores of the others alone.
    """

    handles_cold_items = True
    handles_cold_users = True

    def _fit(
        self, data: Dataset, items: FeatureSet, rng: np.random.Generator, validation: Holdout | None
    ) -> dict[str, Any]:
        return {"seed_": int(rng.integers(2**62))}

    def _score(self, queries: Queries) -> FloatArray:
        seed = self.seed_.to_bytes(8, "little")
        rows = [queries.items[start:end] for start, end in zip(queries.indptr[:-1], queries.indptr[1:], strict=True)]
        digests = [hashlib.sha256(seed + row.astype("<i8").tobytes()).digest()[:8] for row in rows]
        keys = np.frombuffer(b"".join(digests), dtype="<u8").astype(np.uint64)
        columns = mixed(np.arange(self.n_items_, dtype=np.uint64))
        return (mixed(keys[:, None] ^ columns[None, :]) >> np.uint64(40)).astype(np.float32) / np.float32(1 << 24)

    seed_: int


class PopularSettings(Settings):
    """Settings of `Popular`."""

    weighted: bool = False
    """Add up the weights of the actions instead of counting people."""


class Popular(Recommender):
    """score(i) = number of people who liked item i, or the sum of their weights; -inf for untouched items."""

    handles_cold_users = True
    settings: PopularSettings

    def _fit(
        self, data: Dataset, items: FeatureSet, rng: np.random.Generator, validation: Holdout | None
    ) -> dict[str, Any]:
        rows = training_rows(data, weighted=self.settings.weighted)
        counts = np.asarray(rows.sum(axis=0), np.float64)
        return {"counts_": np.where(touched_columns(rows), counts, -np.inf).astype(np.float32)}

    def _score(self, queries: Queries) -> FloatArray:
        return np.tile(self.counts_, (len(queries), 1))

    counts_: FloatArray


class RecentSettings(Settings):
    """Settings of `Recent`."""

    half_life_days: float | None = Field(default=None, gt=0)
    """After how many days an action counts half; used where the events carry timestamps."""
    half_life_share: float = Field(default=0.25, gt=0)
    """The half-life as a share of the whole log, where no days are given or times are only an order."""


class Recent(Recommender):
    """Popularity with a memory: score(i) = sum over likes e of item i of w_e 2^(-(now - t_e) / half-life).

    `now` is the time of the last event. Where events have no timestamps their order takes the place of time. The
    score is kept in units of the largest one, so -inf (untouched) and 0 (liked long ago) stay apart.
    """

    handles_cold_users = True
    settings: RecentSettings

    def _fit(
        self, data: Dataset, items: FeatureSet, rng: np.random.Generator, validation: Holdout | None
    ) -> dict[str, Any]:
        touched = touched_columns(training_rows(data))
        events = data.events
        liked = (events.weights > 0) & ~events.shown
        age = events.times[liked].max() - events.times[liked]
        days = self.settings.half_life_days if events.time_kind == "timestamp" else None
        half_life = days * DAY if days else self.settings.half_life_share * float(age.max())
        decayed = events.weights[liked] * np.exp2(-age / (half_life or 1.0))
        counts = np.bincount(events.items[liked], weights=decayed, minlength=data.n_items)
        scores = np.where(touched, counts / counts.max(), -np.inf)
        return {"counts_": scores.astype(np.float32)}

    def _score(self, queries: Queries) -> FloatArray:
        return np.tile(self.counts_, (len(queries), 1))

    counts_: FloatArray
