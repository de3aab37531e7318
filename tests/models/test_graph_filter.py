"""The multimodal graph filter against a slow, obvious version, and what its search does."""

import numpy as np
import pytest
from scipy import sparse

from salon.data import Dataset, Events, Holdout, Queries
from salon.encode.base import Features, FeatureSet
from salon.errors import DataError, SettingError
from salon.models.graph_filter import MediaGraphFilter, robust_rows

USERS, ITEMS, WARM = 60, 20, 17


def world(seed=0):
    """People like half of the items; text tells the halves apart, image is noise; the last three are untouched."""
    rng = np.random.default_rng(seed)
    side = np.arange(USERS) % 2
    owner = np.repeat(np.arange(USERS), 6)
    items = (2 * rng.integers((WARM + 1) // 2, size=len(owner)) + side[owner]) % WARM
    data = Dataset.of(Events.of(owner, items), USERS, ITEMS)
    text = np.stack([np.arange(ITEMS) % 2, 1 - np.arange(ITEMS) % 2], axis=1) + 0.1 * rng.normal(size=(ITEMS, 2))
    there = np.arange(ITEMS) != 4
    return data, FeatureSet(
        {
            "text": Features(text.astype(np.float32), np.ones(ITEMS, bool)),
            "image": Features(np.where(there[:, None], rng.normal(size=(ITEMS, 5)), 0).astype(np.float32), there),
        }
    )


def slow_graph(vectors, present, k):
    """D^-1/2 max(A, A^T) D^-1/2 of the k largest positive cosines, by loops."""
    centred = vectors - vectors[present].mean(axis=0)
    graph = np.zeros((ITEMS, ITEMS))
    for i in np.flatnonzero(present):
        cosine = np.full(ITEMS, -np.inf)
        for j in np.flatnonzero(present):
            if i != j:
                cosine[j] = centred[i] @ centred[j] / np.linalg.norm(centred[i]) / np.linalg.norm(centred[j])
        for j in np.argsort(-cosine)[:k]:
            graph[i, j] = max(cosine[j], 0)
    graph = np.maximum(graph, graph.T)
    degree = graph.sum(axis=1)
    scale = np.where(degree > 0, 1 / np.sqrt(np.where(degree > 0, degree, 1)), 0)
    return scale[:, None] * graph * scale


def test_scores_are_those_of_the_slow_version():
    data, items = world()
    weights = {"clicks:1": 1.0, "clicks:2": -0.5, "clicks:3": 0.25, "clicks:low": 0.3, "text:1": 0.2, "image:2": 0.4}
    model = MediaGraphFilter(weights=weights, search=False, rank=3, item_exponent=0.4, neighbours=4).fit(data, items)
    x = np.zeros((USERS, ITEMS))
    x[data.events.users, data.events.items] = 1
    popularity = x.sum(axis=0)
    smooth = x / np.sqrt(x.sum(axis=1, keepdims=True)) * np.where(popularity > 0, popularity, 1) ** -0.4
    values, vectors = np.linalg.eigh(smooth.T @ smooth)
    p, low = smooth.T @ smooth / values[-1], vectors[:, -3:] @ vectors[:, -3:].T
    text, image = (slow_graph(f.vectors.astype(float), f.present, 4) for f in items.values())
    image_first = 0.0625 * image  # what is not named keeps its start
    filters = p - 0.5 * p @ p + 0.25 * p @ p @ p + 0.3 * low + 0.2 * text + image_first + 0.4 * image @ image
    np.testing.assert_allclose(model.score(data.queries()), x @ filters, atol=1e-4)


def test_the_search_lets_the_telling_modality_speak_and_beats_the_start():
    data, items = world()
    asked = np.tile(np.arange(ITEMS) % 2 == 1, (USERS, 1)) ^ (np.arange(USERS) % 2 == 0)[:, None]
    seen = np.zeros((USERS, ITEMS), bool)
    seen[data.events.users, data.events.items] = True
    holdout = Holdout(data.queries(), sparse.csr_array((asked & ~seen).astype(np.float32)))
    start = {"text:1": 2.0**-9, "image:1": 1.0, "image:2": 1.0}
    model = MediaGraphFilter(weights=start).fit(data, items, validation=holdout)
    fixed = MediaGraphFilter(weights=start, search=False).fit(data, items)
    assert model.search_["ndcg"] > 0.95
    assert model.weights_["text:1"] > 2.0**-9
    hits = [m.recommend(Queries.from_lists([[1, 3], [0, 2]]), 5).ids % 2 == [[1], [0]] for m in (model, fixed)]
    assert hits[0].mean() == 1.0
    assert hits[0].mean() > hits[1].mean()


def test_without_given_questions_it_asks_its_own_and_is_repeatable():
    data, items = world()
    one, two = (MediaGraphFilter().fit(data, items, rng=5) for _ in range(2))
    assert one.search_["ndcg"] > 0
    assert one.weights_ == two.weights_
    assert all(one.weights_[f"{name}:1"] > 0 for name in ("text", "image"))


def test_robust_scaling_is_by_median_and_interquartile_range():
    vectors = np.array([[0, 5, 1], [1, 5, 1], [2, 5, 1], [3, 5, 1], [100, 5, 9], [7, 7, 7]], np.float32)
    present = np.arange(6) < 5
    found = robust_rows(Features(np.where(present[:, None], vectors, 0), present))
    np.testing.assert_allclose(found[:, 0], [-1, -0.5, 0, 0.5, 49, 0])
    assert (found[:, 1] == 0).all()  # constant
    assert np.ptp(found[:5, 2]) == pytest.approx(8 / np.std([1, 1, 1, 1, 9]))  # no range: the deviation


def test_what_cannot_be_used_is_named():
    data, items = world()
    with pytest.raises(SettingError, match="no part 'txt:1'"):
        MediaGraphFilter(weights={"txt:1": 1.0}).fit(data, items)
    with pytest.raises(DataError, match="no positive action"):
        MediaGraphFilter().fit(Dataset.of(Events.of([0], [0], weights=[-1.0]), 1, 3))
