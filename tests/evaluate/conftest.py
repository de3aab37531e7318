"""A small test with models whose answers are known."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import sparse

from salon.data import Dataset, Events, Holdout
from salon.encode.base import Features, FeatureSet
from salon.models.base import RatingPredictor, Recommender

N_USERS, N_ITEMS = 40, 30


class Fixed(Recommender):
    """Scores that do not depend on anything but the user row; -inf where it has no answer."""

    handles_cold_users = True

    def __init__(self, table):
        super().__init__()
        self.table = table

    def _fit(self, data, items, rng, validation):
        return {"table_": self.table}

    def _score(self, queries):
        return self.table_[queries.users]


class FixedRatings(Fixed, RatingPredictor):
    """Predicts the rating 3 for everything."""

    def predict(self, queries, items):
        assert len(queries) == len(items)
        return np.full(len(items), 3.0, np.float32)


@pytest.fixture(scope="session")
def world():
    """40 users, 30 items (the last 6 cold), 8 training actions and 3 targets each."""
    rng = np.random.default_rng(0)
    users = np.repeat(np.arange(N_USERS), 8)
    items = np.concatenate([rng.permutation(24)[:8] for _ in range(N_USERS)])
    data = Dataset.of(Events.of(users, items), N_USERS, N_ITEMS)
    queries = data.queries()
    targets = np.zeros((N_USERS, N_ITEMS), np.float32)
    for u in range(N_USERS):
        fresh = np.setdiff1d(np.arange(N_ITEMS), items[users == u])
        targets[u, rng.permutation(fresh)[:3]] = 1
    holdout = Holdout(queries, sparse.csr_array(targets))
    vectors = rng.normal(size=(N_ITEMS, 4)).astype(np.float32)
    features = FeatureSet({"text": Features(vectors, np.arange(N_ITEMS) % 5 > 0)}, N_ITEMS)
    noise = rng.random((N_USERS, N_ITEMS)).astype(np.float32)
    models = {
        "noise": Fixed(noise).fit(data),
        "good": Fixed(noise + 0.5 * targets).fit(data),
        "oracle": Fixed(noise + 2 * targets).fit(data),
    }
    return SimpleNamespace(
        data=data,
        holdout=holdout,
        targets=targets,
        features=features,
        models=models,
        noise=noise,
        fixed=Fixed,
        fixed_ratings=FixedRatings,
    )
