"""LambdaMART by LightGBM: gradient-boosted trees put candidates in order.

Source: Burges, "From RankNet to LambdaRank to LambdaMART: An Overview", Microsoft Research 2010; Ke et al.,
"LightGBM: A Highly Efficient Gradient Boosting Decision Tree", NeurIPS 2017.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Literal

import lightgbm
import numpy as np
from pydantic import Field

from salon.models.base import threads
from salon.models.ensemble_choice import CUT
from salon.models.ranker import Groups, Ranker, RankerSettings
from salon.types import BoolArray, FloatArray, IntArray


class LambdaMARTSettings(RankerSettings):
    """Settings of `LambdaMART`."""

    trees: int = Field(300, ge=1)
    """Most trees."""
    leaves: int = Field(15, ge=2)
    """Most leaves of a tree."""
    learning_rate: float = Field(0.05, gt=0)
    """What a tree counts."""
    min_leaf: int = Field(20, ge=1)
    """Fewest candidates in a leaf."""
    reg: float = Field(1.0, ge=0)
    """Weight of the squared leaf values (L2)."""
    feature_share: float = Field(0.8, gt=0, le=1)
    """Share of the features that each tree may use."""
    patience: int = Field(30, ge=1)
    """Trees without a better validation score after which no more are added."""


class LambdaMART(Ranker):
    """Candidates of several models in the order of boosted trees; reads what is missing as missing."""

    settings: LambdaMARTSettings
    trees_: str

    def _learn(self, train: Groups, valid: Groups, touched: BoolArray, rng: np.random.Generator) -> dict[str, Any]:
        params = self._params(int(rng.integers(2**31)))
        data, stop = _dataset(train.shuffled(rng), params), []
        held = [_dataset(valid.shuffled(rng), params, data)] if len(valid) else []
        if held:
            stop = [lightgbm.early_stopping(self.settings.patience, verbose=False)]
        made = lightgbm.train(params, data, self.settings.trees, valid_sets=held, callbacks=stop)
        return {"trees_": made.model_to_string(num_iteration=made.best_iteration or -1)}

    def _params(self, seed: int) -> dict[str, Any]:
        s = self.settings
        return {
            "objective": "lambdarank",
            "metric": "ndcg",
            "eval_at": [CUT],
            "lambdarank_truncation_level": CUT + 10,
            "num_leaves": s.leaves,
            "learning_rate": s.learning_rate,
            "min_data_in_leaf": s.min_leaf,
            "lambda_l2": s.reg,
            "feature_fraction": s.feature_share,
            "seed": seed,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": threads(),
            "verbosity": -1,
        }

    def _values(self, features: FloatArray, items: IntArray) -> FloatArray:
        if not len(features):
            return np.zeros(0, np.float32)
        return np.asarray(_booster(self.trees_).predict(features, num_threads=threads()), np.float32)

    def importances(self, kind: Literal["gain", "split"] = "gain") -> dict[str, float]:
        """Feature name to what it adds, largest first, the sum being 1; empty where nothing could be learned.

        Args:
            kind: "gain": the loss that its splits took away; "split": how often it was split on.

        Raises:
            NotFittedError: `fit` was not called.
        """
        self.check_fitted()
        if not self.trained_:
            return {}
        found = np.asarray(_booster(self.trees_).feature_importance(kind), np.float64)
        shares = found / max(found.sum(), 1e-12)
        order = np.argsort(-shares, kind="stable")
        return {self.feature_names_[i]: float(shares[i]) for i in order}


def _dataset(groups: Groups, params: dict[str, Any], reference: Any = None) -> Any:
    return lightgbm.Dataset(groups.features, groups.labels, group=groups.sizes, params=params, reference=reference)


@lru_cache(maxsize=4)
def _booster(text: str) -> Any:
    """The trees of their text."""
    return lightgbm.Booster(model_str=text)
