"""The defaults keep their level on the validation part of a real split, where it is there."""

from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from salon.data import Dataset, Events
from salon.metrics import hit_matrix, ndcg, relevant_counts
from salon.registry import create

LEVELS = {"popular": 0.13, "itemknn": 0.26, "userknn": 0.255, "rp3beta": 0.257, "graphfilter": 0.27, "als": 0.268}
"""nDCG@20 on MovieLens-100K, a little below what was measured."""


@pytest.mark.shared
@pytest.mark.parametrize("name", LEVELS)
def test_default_settings_keep_their_level(name: str, shared_splits: Path) -> None:
    with np.load(shared_splits / "ml100k" / "random.npz", allow_pickle=False) as split:
        n_users, n_items = int(split["n_users"]), int(split["n_items"])
        data = Dataset.of(Events.of(split["train_u"], split["train_i"], times=split["train_t"]), n_users, n_items)
        asked = (np.ones(len(split["valid_u"]), np.float32), (split["valid_u"], split["valid_i"]))
    targets = sparse.csr_array(asked, shape=(n_users, n_items))
    people = np.flatnonzero(np.diff(targets.indptr))
    targets = sparse.csr_array(targets[people])
    found = create("model", name).fit(data).recommend(data.queries(people), 20)
    assert ndcg(hit_matrix(found.ids, targets), relevant_counts(targets), 20).mean() > LEVELS[name]
