"""Accuracy on a real set, one solve, settings written down: Last.fm 2K, random split, test nDCG@20 (EASE .283)."""

import numpy as np
import pytest
from scipy import sparse

from salon.arrays import top_k
from salon.data import Dataset, Events
from salon.encode.base import Features, FeatureSet
from salon.metrics import hit_matrix, ndcg, relevant_counts
from salon.models.linear import Linear, LinearSettings
from salon.models.linear_point import Point

POINT = Point(
    user_exponent=0.5, item_exponent=0.125, ridge=8.0, dropout=0.5, popularity=0.25, confidence=1.0,
    media={"text": 0.25, "audio": 0.0625, "tokens": 0.25}, twin_media=1.0,
)  # fmt: skip


@pytest.mark.shared
def test_one_solve_with_given_settings_is_far_ahead_of_ease(shared_splits):
    folder = shared_splits / "lastfm"
    with np.load(folder / "random.npz") as stored:
        split = dict(stored)
    n_users, n_items = int(split["n_users"]), int(split["n_items"])
    data = Dataset.of(Events.of(split["train_u"], split["train_i"]), n_users, n_items)
    vectors = {name: np.load(folder / f"{name}.npy") for name in ("text", "audio")}
    counts = sparse.load_npz(folder / "tokens.npz").toarray()
    vectors["tokens"] = counts * np.log(n_items / np.maximum((counts > 0).sum(axis=0), 1))
    items = FeatureSet({n: Features(v.astype(np.float32), v.any(axis=1), n) for n, v in vectors.items()})
    model = Linear(LinearSettings(point=POINT, search=False)).fit(data, items)
    queries = data.queries()
    scores = model.score(queries)
    scores[queries.row_of(), queries.items] = -np.inf
    scores[split["valid_u"], split["valid_i"]] = -np.inf
    ones = np.ones(len(split["test_u"]), np.float32)
    targets = sparse.csr_array((ones, (split["test_u"], split["test_i"])), shape=(n_users, n_items))
    asked = np.flatnonzero(relevant_counts(targets))
    targets = sparse.csr_array(targets[asked])
    value = ndcg(hit_matrix(top_k(scores[asked], 20).ids, targets), relevant_counts(targets), 20).mean()
    assert value > 0.315
