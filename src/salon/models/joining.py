"""What models made of other models share: how answers are joined, and how the inner models are named and saved."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from scipy.stats import rankdata

from salon.errors import SettingError
from salon.models.base import Recommender
from salon.registry import create
from salon.types import BoolArray, FloatArray

PREFIX = "model_."
"""Before the number of an inner model and the names of what it learned, in a saved state."""

Members = dict[str, dict[str, Any]]
"""Name of a member to its settings. The name is that of the model too, unless the settings give one as `model`."""


def member(name: str, given: Mapping[str, Any]) -> Recommender:
    """A new model, not fitted.

    Raises:
        SettingError: There is no such model or setting.
    """
    settings = dict(given)
    model: Recommender = create("model", str(settings.pop("model", name)), settings)
    return model


def check_members(members: Members) -> None:
    """Raises SettingError unless there are members and each can be made."""
    if not members:
        raise SettingError("There are no members.", hint="Name at least one model, such as 'linear'.")
    for name, given in members.items():
        member(name, given)


class Combined(Recommender):
    """A recommender that has learned `models_`; what they learned is saved under their numbers."""

    models_: list[Recommender]

    @abstractmethod
    def _blank(self, number: int) -> Recommender:
        """Model `number` of `models_`, not fitted."""

    def state(self) -> dict[str, Any]:
        """Everything learned, what the inner models learned under their numbers."""
        plain = super().state()
        models = plain.pop("models_", [])
        inner = {f"{PREFIX}{i}.{name}": value for i, m in enumerate(models) for name, value in m.state().items()}
        return plain | inner

    def restore(self, state: Mapping[str, Any]) -> Self:
        """Takes back what `state` gave, or whole models under the name "models_"."""
        super().restore({name: value for name, value in state.items() if not name.startswith(PREFIX)})
        inner: dict[int, dict[str, Any]] = {}
        for name, value in state.items():
            if name.startswith(PREFIX):
                number, _, attribute = name.removeprefix(PREFIX).partition(".")
                inner.setdefault(int(number), {})[attribute] = value
        if inner:
            self.models_ = [self._blank(number).restore(inner[number]) for number in sorted(inner)]
        return self


def weighted_mean(parts: Sequence[FloatArray], weights: FloatArray) -> FloatArray:
    """(n, items) float32: the weighted mean over the models that can score an item, -inf where none can.

    Args:
        parts: One (n, items) per model, -inf where it cannot score.
        weights: (models,), at least 0.
    """
    total, weight = np.zeros((2, *parts[0].shape), np.float32)
    for share, part in zip(weights, parts, strict=True):
        able = np.isfinite(part)
        total += share * np.where(able, part, np.float32(0))
        weight += share * able
    return np.divide(total, weight, out=np.full_like(total, -np.inf), where=weight > 0)


def learned_sum(parts: Sequence[FloatArray], weights: FloatArray, bias: FloatArray) -> FloatArray:
    """(n, items) float32: sum of w_m s_m + b_m over the models that can score an item, -inf where none can.

    Args:
        parts: One (n, items) per model, -inf where it cannot score.
        weights: (models,).
        bias: (models,).
    """
    total = np.zeros(parts[0].shape, np.float32)
    some: BoolArray = np.zeros(total.shape, bool)
    for weight, add, part in zip(weights, bias, parts, strict=True):
        able = np.isfinite(part)
        total += np.where(able, weight * np.where(able, part, 0) + add, np.float32(0))
        some |= able
    return np.where(some, total, np.float32(-np.inf))


def rank_shares(scores: FloatArray) -> FloatArray:
    """(n, items) float32: rank among the finite scores of the row over their number, so 1 is the best; ties share
    their mean rank; -inf stays."""
    able = np.isfinite(scores)
    ranks = rankdata(scores, axis=1) - (~able).sum(axis=1, keepdims=True)
    shares = ranks / np.maximum(able.sum(axis=1, keepdims=True), 1)
    return np.where(able, shares, -np.inf).astype(np.float32)


def standardised(scores: FloatArray) -> FloatArray:
    """(n, items) float32: minus the mean, over the standard deviation of the finite scores of the row; -inf stays."""
    able = np.isfinite(scores)
    count = np.maximum(able.sum(axis=1, keepdims=True), 1)
    values = np.where(able, scores, 0).astype(np.float64)
    centred = np.where(able, values - values.sum(axis=1, keepdims=True) / count, 0)
    spread = np.sqrt(np.square(centred).sum(axis=1, keepdims=True) / count)
    even = np.divide(centred, spread, out=np.zeros_like(centred), where=spread > 1e-9)
    return np.where(able, even, -np.inf).astype(np.float32)
