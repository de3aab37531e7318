"""How well an imputer finds what is known: known vectors are hidden, filled, and compared with the truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from salon.arrays import centred_unit_rows
from salon.data import Events
from salon.data.split import hide_modality
from salon.encode.base import Features, FeatureSet
from salon.errors import DataError
from salon.fuse.impute import ImputeMean, Imputer, mean_of
from salon.types import BoolArray, FloatArray

MEAN = "masked mean"
"""The row that every imputer is measured against."""


@dataclass(frozen=True)
class Recovery:
    """How near the guesses of one imputer for one modality are to the truth.

    Attributes:
        imputer: Its name.
        modality: What was hidden.
        n: Hidden items of which something else is known; a gap that was left open counts as the mean.
        filled: How many of them were filled.
        cosine: Mean cosine of guess and truth.
        centred: The same after the mean of the vectors left to learn from is taken off both, 0 for the mean itself;
            vectors of one encoder share a large common part, which makes plain cosines look good.
        r2: 1 - squared error / squared error of that mean, over all items and dimensions.
        recall: Share of the truths among the k hidden vectors nearest to the guess by centred cosine; NaN for n < 4.
        k: At most a quarter of n.
        chance: Recall of a guess at random, k / n.
    """

    imputer: str
    modality: str
    n: int
    filled: int
    cosine: float
    centred: float
    r2: float
    recall: float
    k: int
    chance: float


def impute_report(
    imputers: Mapping[str, Imputer],
    features: FeatureSet,
    events: Events | None = None,
    *,
    share: float = 0.2,
    modalities: Sequence[str] | None = None,
    k: int = 10,
    rng: np.random.Generator | int = 0,
) -> list[Recovery]:
    """Hides known vectors, fits every imputer on what is left, and compares its guesses with what was hidden.

    Args:
        imputers: Name to imputer; their settings are used, they are not fitted themselves.
        features: All modalities, with their gaps.
        events: Training actions.
        share: Share of the known vectors of a modality to hide, the same for all imputers.
        modalities: Which to hide, one after the other; None: all.
        k: Length of the lists for recall, at most a quarter of the hidden items.
        rng: A seed or generator.

    Returns:
        Per modality the masked mean first, then the imputers in their order.

    Raises:
        DataError: A modality has no vector to hide.
    """
    draw = np.random.default_rng(rng)
    found = []
    for name in modalities or list(features):
        hidden = hide_modality(features[name].present, share, rng=draw)
        kept = FeatureSet({**features, name: features[name].hide(hidden)}, features.n_items)
        asked = hidden & kept.having_any()
        if not asked.any():
            raise DataError(f"No vector of {name!r} can be hidden.", hint="Other modalities must know the item.")
        seed = int(draw.integers(2**31))
        for label, imputer in {MEAN: ImputeMean(), **imputers}.items():
            fitted = type(imputer)(imputer.settings).fit(kept, events, rng=np.random.default_rng(seed))
            guess = fitted.transform(kept)[name]
            found.append(recovery(label, name, guess, features[name].vectors[asked], asked, mean_of(kept[name]), k))
    return found


def recovery(
    label: str, modality: str, guess: Features, truth: FloatArray, asked: BoolArray, mean: FloatArray, k: int
) -> Recovery:
    """How near a guess is to the truth.

    Args:
        label: Name of the imputer.
        modality: What was hidden.
        guess: (items, d) what was filled, over all items.
        truth: (n, d) what was hidden of the items asked for.
        asked: (items,) bool, n true.
        mean: (d,) of the vectors that were left to learn from.
        k: Length of the lists for recall, at most n / 4.
    """
    filled = guess.present[asked]
    guessed = np.where(filled[:, None], guess.vectors[asked], mean)
    every = np.ones(len(truth), bool)
    ours, theirs = (centred_unit_rows(rows, every, mean) for rows in (guessed, truth))
    plain = [centred_unit_rows(rows, every, np.zeros_like(mean)) for rows in (guessed, truth)]
    k = min(k, len(truth) // 4)
    base = float(((truth - mean) ** 2).sum())
    return Recovery(
        label,
        modality,
        len(truth),
        int(filled.sum()),
        float((plain[0] * plain[1]).sum(axis=1).mean()),
        float((ours * theirs).sum(axis=1).mean()),
        1 - float(((truth - guessed) ** 2).sum()) / base if base else float("nan"),
        _recall(ours @ theirs.T, k),
        k,
        k / len(truth),
    )


def _recall(scores: FloatArray, k: int) -> float:
    """Share of rows whose own column is among the k largest; ties count for what chance would give."""
    if not k:
        return float("nan")
    own = np.diagonal(scores)[:, None]
    above, level = (scores > own).sum(axis=1), (scores == own).sum(axis=1)
    return float(np.clip((k - above) / level, 0, 1).mean())
