"""Joins the answers of several sources (models, indexes, popularity) into one list that remembers who proposed what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np

from salon.errors import DataError, SettingError, did_you_mean
from salon.types import MISSING_ID, FloatArray, IntArray, TopK

Rule = Literal["round_robin", "score", "weight"]


def merge_candidates(
    sources: Mapping[str, TopK], k: int, *, rule: Rule = "round_robin", weights: Mapping[str, float] | None = None
) -> TopK:
    """One list per query out of several, without duplicates.

    With p the place (from 0) and s the score of an item in the list of a source, an item is worth

        round_robin   1 / (1 + p): first all first places in the order of `sources`, then all second places, ...
        score         (s - min) / (max - min) over the list, 1 where all scores are equal
        weight        the same times the weight of the source

    and is credited to the source where it is worth most; equal worth goes by the order of `sources`, then by place.

    Args:
        sources: Name to answer, all over the same n queries; they may differ in k.
        k: How many to keep per query, at least 1; rows run short when the sources propose fewer.
        rule: How candidates of different sources compare.
        weights: Weight per source for rule="weight", above 0; those not named weigh 1.

    Returns:
        ids (n, k), worth (n, k) as scores, and the source of each.

    Raises:
        DataError: There is no source, or they answer different numbers of queries.
        SettingError: k, the rule or a weight cannot be used.
    """
    if k < 1:
        raise SettingError(f"k is {k}.", hint="Ask for at least one item.")
    sizes = {len(found) for found in sources.values()}
    if len(sizes) != 1:
        raise DataError(
            f"The sources answer {sorted(sizes)} queries.", hint="Give at least one source, all of equal length."
        )
    factors = _factors(sources, rule, weights or {})
    worth = np.concatenate([_worth(f, rule) * w for f, w in zip(sources.values(), factors, strict=True)], axis=1)
    ids = np.concatenate([found.ids for found in sources.values()], axis=1)
    origin = np.repeat(np.arange(len(sources)), [found.k for found in sources.values()]).astype(np.int8)
    worth = np.where(ids == MISSING_ID, -np.inf, worth)
    return _best_once(ids, worth, origin, k, tuple(sources))


def _factors(sources: Mapping[str, TopK], rule: str, weights: Mapping[str, float]) -> list[float]:
    if rule not in ("round_robin", "score", "weight"):
        raise SettingError(f"Unknown rule {rule!r}.", hint=did_you_mean(rule, ["round_robin", "score", "weight"]))
    if weights and rule != "weight":
        raise SettingError(f"Weights are given, but rule={rule!r} has no use for them.", hint="Use rule='weight'.")
    for name, weight in weights.items():
        if name not in sources:
            raise SettingError(f"There is no source {name!r} to weigh.", hint=did_you_mean(name, sources))
        if not 0 < weight < np.inf:
            raise SettingError(f"The weight of {name!r} is {weight}.", hint="Weights are above 0.")
    return [float(weights.get(name, 1.0)) for name in sources]


def _worth(found: TopK, rule: str) -> FloatArray:
    """(n, k) float32 worth of each place of one source before weighing."""
    if rule == "round_robin":
        return np.broadcast_to(1 / (1 + np.arange(found.k, dtype=np.float32)), found.ids.shape)
    there = found.ids != MISSING_ID
    top = np.where(there, found.scores, -np.inf).max(axis=1, initial=-np.inf, keepdims=True)
    low = np.where(there, found.scores, np.inf).min(axis=1, initial=np.inf, keepdims=True)
    span = np.where(there.any(axis=1, keepdims=True), top - low, 0)
    above = np.where(there, found.scores - np.where(np.isfinite(low), low, 0), 0)
    return np.divide(above, span, out=np.ones_like(above), where=span > 0)


def _best_once(ids: IntArray, worth: FloatArray, origin: IntArray, k: int, names: tuple[str, ...]) -> TopK:
    """The k ids of largest worth per row, each once; ties by the order of the columns."""
    n, columns = ids.shape
    order = np.argsort(-worth, axis=1, kind="stable")
    ids, worth = np.take_along_axis(ids, order, axis=1), np.take_along_axis(worth, order, axis=1)
    by_id = np.argsort(ids, axis=1, kind="stable")
    sorted_ids = np.take_along_axis(ids, by_id, axis=1)
    again = np.zeros((n, columns), bool)
    again[:, 1:] = sorted_ids[:, 1:] == sorted_ids[:, :-1]
    repeated = np.zeros((n, columns), bool)
    np.put_along_axis(repeated, by_id, again, axis=1)
    dropped = repeated | (ids == MISSING_ID)
    front = np.argsort(dropped, axis=1, kind="stable")[:, :k]
    kept = ~np.take_along_axis(dropped, front, axis=1)
    out_ids, out_worth = np.full((n, k), MISSING_ID), np.full((n, k), -np.inf, np.float32)
    out_origin = np.zeros((n, k), np.int8)
    width = front.shape[1]
    out_ids[:, :width] = np.where(kept, np.take_along_axis(ids, front, axis=1), MISSING_ID)
    out_worth[:, :width] = np.where(kept, np.take_along_axis(worth, front, axis=1), -np.inf)
    out_origin[:, :width] = np.where(kept, origin[np.take_along_axis(order, front, axis=1)], 0)
    return TopK(out_ids, out_worth, out_origin, names)
