"""Models that can split their scores do so exactly, and part by part as removal says where the score is additive."""

import numpy as np
import pytest

from salon.data import Dataset, Events, Queries
from salon.encode.base import Features, FeatureSet
from salon.explain import explain
from salon.models.base import Explainable, Recommender
from salon.models.content import ContentKNN
from salon.models.ease import EASE
from salon.models.neighbours import ItemKNN
from salon.models.walks import RP3Beta

RNG = np.random.default_rng(0)
ITEMS = 12


def world() -> tuple[Dataset, FeatureSet, Queries]:
    rows = RNG.random((40, ITEMS)) < 0.3
    rows[:, 0] |= ~rows.any(axis=1)
    users, items = np.nonzero(rows)
    data = Dataset.of(Events.of(users, items, weights=RNG.integers(1, 4, len(users))), 40, ITEMS)
    present = [RNG.random(ITEMS) < 0.8 for _ in range(2)]
    features = FeatureSet(
        {n: Features(RNG.normal(size=(ITEMS, 5)) * p[:, None], p) for n, p in zip("ab", present, strict=True)}
    )
    return data, features, data.queries()


DATA, FEATURES, QUERIES = world()
MODELS = [
    ItemKNN(),
    ItemKNN(weighted=True),
    RP3Beta(),
    EASE(reg=5.0),
    ContentKNN(),
    ContentKNN(weighted=True, weights={"a": 2.0}),
    ContentKNN(match="max"),
]


@pytest.mark.parametrize("model", MODELS, ids=lambda m: f"{type(m).__name__}-{m.settings!r}"[:50])
def test_the_parts_sum_to_the_score(model: Recommender) -> None:
    model.fit(DATA, FEATURES)
    assert isinstance(model, Explainable)
    scores = model.score(QUERIES)
    targets = np.argmax(scores, axis=1)
    kept = np.flatnonzero(np.isfinite(scores.max(axis=1)))
    assert len(kept) > 20
    for one in explain(model, QUERIES.take(kept), targets[kept]):
        assert one.method == "exact"
        assert one.values.sum() + one.rest == pytest.approx(one.score, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("model", [ItemKNN(), RP3Beta(), EASE(reg=5.0)], ids=lambda m: type(m).__name__)
def test_a_part_is_what_removal_takes_away(model: Recommender) -> None:
    model.fit(DATA, FEATURES)
    queries = QUERIES.take(np.flatnonzero(np.diff(QUERIES.indptr) >= 3)[:5])
    scores = model.score(queries)
    scores[queries.row_of(), queries.items] = -np.inf
    targets = np.argmax(scores, axis=1)
    for row, one in enumerate(explain(model, queries, targets)):
        part_of = slice(queries.indptr[row], queries.indptr[row + 1])
        history = dict(zip(queries.items[part_of].tolist(), queries.weights[part_of].tolist(), strict=True))
        for item, part in one.by_item().items():
            rest = {i: w for i, w in history.items() if i != item}
            left = Queries.from_lists([list(rest)], [list(rest.values())])
            now = model.score(left)[0, targets[row]]
            assert one.score - (now if np.isfinite(now) else 0) == pytest.approx(part, rel=1e-3, abs=1e-5)
