"""Other systems that run beside salon's models in `bench_models.py`, called directly under salon's questions.

Each tries a small grid on the validation questions (recall@20) before the fit that is timed, as the quoted ones did.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any, ClassVar

import numpy as np
from scipy import sparse

from salon.data import Dataset, Holdout, Queries
from salon.metrics import hit_matrix, recall, relevant_counts
from salon.models.base import Recommender
from salon.types import FloatArray


class Implicit(Recommender):
    """A matrix factorisation of `implicit`; `chosen_` holds what was best on validation."""

    handles_cold_users = True
    grid_of: ClassVar[dict[str, tuple[Any, ...]]]

    def __init__(self, data: Dataset, valid: Holdout) -> None:
        super().__init__()
        points = [dict(zip(self.grid_of, values, strict=True)) for values in product(*self.grid_of.values())]
        self.chosen = max(points, key=lambda point: self._quality(data, valid, point))

    def _quality(self, data: Dataset, valid: Holdout, point: dict[str, Any]) -> float:
        self.chosen = point
        self.fit(data)
        found = self.recommend(valid.queries, 20).ids
        targets = sparse.csr_array(valid.targets)
        return float(recall(hit_matrix(found, targets), relevant_counts(targets), 20).mean())

    def _made(self, seed: int) -> Any:
        raise NotImplementedError

    def _fit(self, data: Dataset, items: Any, rng: np.random.Generator, validation: Any) -> dict[str, Any]:
        model = self._made(int(rng.integers(2**31)))
        rows = sparse.csr_matrix(data.positives().astype(np.float32))
        model.fit(rows, show_progress=False)
        return {"model_": model, "chosen_": self.chosen}


class ImplicitALS(Implicit):
    """Alternating least squares; people are folded in from their history."""

    grid_of: ClassVar[dict[str, tuple[Any, ...]]] = {
        "factors": (32, 64, 128),
        "regularization": (0.01, 10.0),
        "alpha": (1.0, 10.0),
    }

    def _made(self, seed: int) -> Any:
        from implicit.cpu.als import AlternatingLeastSquares

        return AlternatingLeastSquares(**self.chosen, iterations=15, num_threads=1, random_state=seed)

    def _score(self, queries: Queries) -> FloatArray:
        rows = sparse.csr_matrix(queries.positives(self.n_items_))
        people = self.model_.recalculate_user(np.arange(len(queries)), rows)
        return np.atleast_2d(people) @ self.model_.item_factors.T


class ImplicitBPR(Implicit):
    """Matrix factorisation by pairwise ranking; it answers people by their trained vector alone."""

    grid_of: ClassVar[dict[str, tuple[Any, ...]]] = {"factors": (64, 128), "learning_rate": (0.01, 0.05)}

    def _made(self, seed: int) -> Any:
        from implicit.cpu.bpr import BayesianPersonalizedRanking

        return BayesianPersonalizedRanking(**self.chosen, iterations=100, num_threads=1, random_state=seed)

    def _score(self, queries: Queries) -> FloatArray:
        return self.model_.user_factors[queries.users] @ self.model_.item_factors.T


PEERS: dict[str, Callable[[Dataset, Holdout], Recommender]] = {
    "implicit-als": ImplicitALS,
    "implicit-bpr": ImplicitBPR,
}
