"""Do settings carry over: those chosen on one set of data, applied to another.

Settings are chosen on the validation part of each set (`tune`); here every choice is fitted on the training part of
every set and measured on its test. What is lost against the set's own choice is the regret of not tuning there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from salon.data.split import Split
from salon.encode.base import FeatureSet
from salon.errors import SettingError
from salon.evaluate.significance import measure
from salon.evaluate.tuned import Plan, holdout_values, model_of
from salon.evaluate.values import Measured

DEFAULTS = "defaults"
"""The row of settings that were chosen nowhere."""


@dataclass(frozen=True)
class Ground:
    """One set of data, parted and with its features."""

    split: Split
    features: FeatureSet


@dataclass(frozen=True)
class Transfer:
    """Settings of one model across sets.

    Attributes:
        model: Registered name.
        metric: Such as "ndcg@10".
        values: (chosen on, applied to) -> the metric on the test.
        regret: (chosen on, applied to) -> what is lost against the own choice of that set, paired by user; above 0 is a
            loss.
    """

    model: str
    metric: str
    values: Mapping[tuple[str, str], Measured]
    regret: Mapping[tuple[str, str], Measured]

    def rows(self) -> list[dict[str, Any]]:
        """Plain values, one row per pair, for tables and JSON."""
        return [
            {"chosen on": a, "applied to": b, self.metric: v.mean, "regret": self.regret[a, b].mean}
            for (a, b), v in self.values.items()
        ]


def transfer_settings(
    model: str,
    chosen: Mapping[str, Mapping[str, Any]],
    grounds: Mapping[str, Ground],
    *,
    metric: str = "ndcg@10",
    seed: int = 0,
) -> Transfer:
    """Every choice of settings on every set, and the defaults beside them.

    Args:
        model: Registered name.
        chosen: Set to the settings chosen there; every one must be among `grounds`.
        grounds: Set to its data.
        metric: Such as "ndcg@10".
        seed: Of the fits.

    Raises:
        SettingError: A set has no data or no choice, or is called "defaults".
    """
    if set(chosen) != set(grounds) or DEFAULTS in chosen:
        raise SettingError(
            f"Settings were chosen on {sorted(chosen)}, and there are data of {sorted(grounds)}.",
            hint=f"Both need the same names, none of them {DEFAULTS!r}.",
        )
    plan = Plan(model, {}, metric=metric, seed=seed)
    per_user = {}
    for source, settings in {**chosen, DEFAULTS: {}}.items():
        for target, ground in grounds.items():
            made = model_of(plan, settings)
            made.fit(ground.split.train, ground.features, rng=seed, validation=ground.split.valid)
            per_user[source, target] = holdout_values(made, ground.split.test, metric)
    found = {}
    for pair, values in per_user.items():
        own = per_user[pair[1], pair[1]]
        found[pair] = measure({"value": values, "regret": own - values}, np.random.default_rng(seed))
    return Transfer(
        model, metric, {p: m["value"] for p, m in found.items()}, {p: m["regret"] for p, m in found.items()}
    )
