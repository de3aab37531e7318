"""A world in which each of two sources knows one half of the truth."""

from __future__ import annotations

import numpy as np

from salon.data import Dataset, Events
from salon.encode.base import Features, FeatureSet

SOURCES = {"contentknn": {}, "itemknn": {}}
LIKES = 14


def two_halves(seed=0, users=120):
    """Everybody likes 5 of 8 books on a topic that is theirs alone, and 9 of 15 songs of their company.

    Books have a text and songs have none, so content finds only books; nobody shares a book, so likes find only songs.
    """
    rng = np.random.default_rng(seed)
    books = users * 8
    topic = np.repeat(np.arange(users), 8)
    vectors = np.zeros((books + 60, 24), np.float32)
    vectors[:books] = rng.standard_normal((users, 24))[topic] + 0.3 * rng.standard_normal((books, 24))
    features = FeatureSet({"text": Features(vectors, np.arange(books + 60) < books, "t")})
    rows = []
    for u in range(users):
        own = u * 8 + rng.choice(8, 5, replace=False)
        company = books + u % 4 * 15 + rng.choice(15, 9, replace=False)
        rows.append(rng.permutation(np.concatenate([own, company])))
    times = np.tile(np.arange(float(LIKES)), users)
    events = Events.of(np.repeat(np.arange(users), LIKES), np.concatenate(rows), times=times)
    return Dataset.of(events, users, books + 60), features
