"""Content similarity against loops; missing media; items that join later."""

import numpy as np
import pytest

from salon.data import Dataset, Events, Queries
from salon.encode.base import Features, FeatureSet
from salon.errors import DataError, FingerprintError, SettingError
from salon.models import content
from salon.models.content import ContentKNN

DATA = Dataset.of(Events.of([0, 0, 1, 1, 2], [0, 1, 2, 3, 9]), 3, 10)
HISTORIES = [[0, 3, 5], [9], [], [2, 4], [7, 8, 1, 6]]


def features(seed: int = 0, items: int = 10) -> FeatureSet:
    rng = np.random.default_rng(seed)
    made = {
        name: Features(rng.standard_normal((items, dim)).astype(np.float32), rng.random(items) < 0.7, name)
        for name, dim in (("text", 4), ("image", 3))
    }
    return FeatureSet({name: f.hide(np.array([4, 9])) for name, f in made.items()} if items == 10 else made)


def placed(items: FeatureSet) -> dict[str, np.ndarray]:
    """Centred unit vectors by modality, NaN where missing."""
    out = {}
    for name, f in items.items():
        vectors = f.vectors - f.vectors[f.present].mean(axis=0)
        vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        out[name] = np.where(f.present[:, None], vectors, np.nan)
    return out


def slow_scores(items: FeatureSet, weights: dict[str, float], match: str) -> np.ndarray:
    vectors = placed(items)
    scores = np.full((len(HISTORIES), items.n_items), -np.inf)
    for q, history in enumerate(HISTORIES):
        for j in range(items.n_items):
            found = []
            for group in [history] if match == "mean" else [[i] for i in history]:
                top = below = 0.0
                for name, matrix in vectors.items():
                    have = [i for i in group if items[name].present[i]]
                    if have and items[name].present[j]:
                        top += weights[name] * matrix[have].mean(axis=0) @ matrix[j]
                        below += weights[name]
                if below:
                    found.append(top / below)
            if found:
                scores[q, j] = max(found)
    return scores


@pytest.mark.parametrize("match", ["mean", "max"])
@pytest.mark.parametrize("weights", [{}, {"image": 3.0}, {"text": 0.0}])
def test_scores_equal_loops(match: str, weights: dict[str, float]) -> None:
    model = ContentKNN(match=match, weights=weights).fit(DATA, features())
    expected = slow_scores(features(), {"text": 1.0, "image": 1.0} | weights, match)
    np.testing.assert_allclose(model.score(Queries.from_lists(HISTORIES)), expected, atol=1e-5)


def test_max_in_small_blocks_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    model = ContentKNN(match="max").fit(DATA, features())
    whole = model.score(Queries.from_lists(HISTORIES))
    monkeypatch.setattr(content, "block_size", lambda *_, **__: 2)
    np.testing.assert_allclose(model.score(Queries.from_lists(HISTORIES)), whole, rtol=1e-6)


def test_an_item_without_media_is_never_recommended() -> None:
    scores = ContentKNN().fit(DATA, features()).score(Queries.from_lists(HISTORIES))
    assert (scores[:, [4, 9]] == -np.inf).all()
    assert (scores[1] == -np.inf).all()  # nor is a history without media answered


def test_new_items_join_with_the_frozen_centre() -> None:
    model = ContentKNN().fit(DATA, features())
    queries = Queries.from_lists(HISTORIES)
    before = model.score(queries)
    copies = features().take(np.array([0, 5, 4]))
    after = model.add_items(copies).score(queries)
    assert after.shape == (5, 13)
    np.testing.assert_allclose(after[:, :10], before, rtol=1e-5)
    np.testing.assert_allclose(after[:, 10:], before[:, [0, 5, 4]], rtol=1e-5)


def test_new_items_may_lack_a_modality() -> None:
    model = ContentKNN().fit(DATA, features())
    model.add_items(features().only(["text"]).take(np.array([0])))
    assert model.present_[10].tolist() == [bool(features()["text"].present[0]), False]


def test_new_items_of_another_encoder_are_refused() -> None:
    model = ContentKNN().fit(DATA, features())
    foreign = Features(np.ones((1, 4), np.float32), np.ones(1, bool), "another")
    with pytest.raises(FingerprintError, match="another"):
        model.add_items(FeatureSet({"text": foreign}))
    with pytest.raises(SettingError, match="'sound'"):
        model.add_items(FeatureSet({"sound": foreign}))
    assert model.n_items_ == 10


def test_weights_are_checked() -> None:
    with pytest.raises(SettingError, match="'text'"):
        ContentKNN(weights={"txet": 1.0}).fit(DATA, features())
    with pytest.raises(SettingError, match="-1"):
        ContentKNN(weights={"text": -1.0}).fit(DATA, features())
    with pytest.raises(DataError, match="features"):
        ContentKNN().fit(DATA)
