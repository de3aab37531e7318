"""Fitting: planted tastes are found, bad input is refused, and training follows its settings."""

from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from salon.arrays import top_k
from salon.data import Dataset, Events, Holdout, Queries
from salon.encode.base import Features, FeatureSet
from salon.errors import DataError, ResourceError, SettingError
from salon.metrics import hit_matrix, ndcg, relevant_counts
from salon.models.base import Recommender
from salon.models.deep import DeepRecommender
from salon.models.popular import Popular
from salon.registry import extra_of, names, resolve

DEEP = [
    name
    for name in names("model")
    if extra_of("model", name) == "torch" and issubclass(resolve("model", name), DeepRecommender)
]
MEDIA = [name for name in DEEP if resolve("model", name).needs_features]
COLD = [name for name in DEEP if resolve("model", name).handles_cold_items]
QUICK = {"dim": 16, "batch_size": 256, "epochs": 25, "patience": 0, "learning_rate": 0.02}


def two_tastes(seed: int = 0) -> tuple[Dataset, Holdout, FeatureSet]:
    """80 people of two tastes, 24 items for each taste and 8 that nearly everybody likes; half of the taste is asked.

    The text of an item shows its taste; a fifth of the texts is missing.
    """
    rng = np.random.default_rng(seed)
    n, m = 80, 56
    taste, of_item = np.arange(n) % 2, np.r_[np.arange(48) % 2, np.full(8, 2)]
    chance = np.where(of_item == 2, 0.8, np.where(of_item == taste[:, None], 0.9, 0.02))
    likes = rng.random((n, m)) < chance
    asked = np.zeros_like(likes)
    for person in range(n):
        own = np.flatnonzero(likes[person] & (of_item == taste[person]))
        asked[person, rng.permutation(own)[: len(own) // 2]] = True
    users, items = np.nonzero(likes & ~asked)
    data = Dataset.of(Events.of(users, items), n, m)
    vectors = 0.4 * rng.standard_normal((m, 8))
    vectors[:, 0] = np.array([-1, 1, 0])[of_item]
    present = rng.random(m) > 0.2
    features = Features(np.where(present[:, None], vectors, 0).astype(np.float32), present)
    holdout = Holdout(data.queries(), sparse.csr_array(asked.astype(np.float32)))
    return data, holdout, FeatureSet({"text": features})


def with_new_items() -> tuple[Dataset, np.ndarray, FeatureSet]:
    """The world of two tastes without the actions on a quarter of the items with a text, and which (56,) these are."""
    data, _, items = two_tastes()
    cold = np.isin(np.arange(56), np.flatnonzero(items["text"].present)[::4])
    return data.with_events(data.events.take(~cold[data.events.items])), cold, items


def quality(model: Recommender, holdout: Holdout) -> float:
    """Mean nDCG@10 over people with an answer."""
    scores = model.score(holdout.queries)
    scores[holdout.queries.row_of(), holdout.queries.items] = -np.inf
    relevant = relevant_counts(holdout.targets)
    found = ndcg(hit_matrix(top_k(scores, 10).ids, holdout.targets), relevant, 10)
    return float(found[relevant > 0].mean())


@pytest.mark.parametrize("name", DEEP)
def test_planted_tastes_are_found(name: str) -> None:
    data, holdout, items = two_tastes()
    more = {"contrast_weight": 0.01} if name == "xsimgcl" else {}  # a contrast of equals: here only two tastes are
    model = resolve("model", name)(**QUICK, **more).fit(data, items, rng=0)
    popular = quality(Popular().fit(data), holdout)
    assert quality(model, holdout) > max(1.5 * popular, 0.5)


@pytest.mark.parametrize("name", ["lightgcn", "freedom", "mgcn"])
def test_folded_in_people_are_answered_nearly_as_well_as_trained_ones(name: str) -> None:
    """Without one of their likes the histories are new, so that no trained vector is found for them."""
    data, holdout, items = two_tastes()
    model = resolve("model", name)(**QUICK).fit(data, items, rng=0)
    fewer = holdout.queries.take(np.arange(80))
    lists = [fewer.take(np.array([row])).items[1:] for row in range(80)]
    asked = Holdout(Queries.from_lists([list(part) for part in lists]), holdout.targets)
    assert quality(model, asked) > 0.8 * quality(model, holdout)


@pytest.mark.parametrize("name", COLD)
def test_new_items_are_ranked_by_their_media(name: str) -> None:
    warm, cold, items = with_new_items()
    model = resolve("model", name)(**QUICK).fit(warm, items, rng=0)
    tasted = cold & (np.arange(56) < 48)
    scores = model.score(warm.queries())[:, tasted]
    right = (np.flatnonzero(tasted) % 2)[None, :] == (np.arange(80) % 2)[:, None]
    assert np.isfinite(scores).all()
    better = [s[r].mean() > s[~r].mean() for s, r in zip(scores, right, strict=True)]
    assert np.mean(better) > 0.9


@pytest.mark.parametrize("name", MEDIA)
def test_a_modality_that_no_item_has_is_left_out_and_none_at_all_is_refused(name: str) -> None:
    data, _, items = two_tastes()
    none = Features(np.zeros((56, 3), np.float32), np.zeros(56, bool))
    model, quick = resolve("model", name), {**QUICK, "epochs": 2}
    with_none = model(**quick).fit(data, FeatureSet({"text": items["text"], "audio": none}), rng=0)
    without = model(**quick).fit(data, items, rng=0)
    np.testing.assert_array_equal(with_none.item_vectors(), without.item_vectors())
    with pytest.raises(DataError, match=r"No item has features \(modalities: audio\)"):
        model(**quick).fit(data, FeatureSet({"audio": none}), rng=0)


@pytest.mark.parametrize("name", DEEP)
def test_a_fit_that_needs_too_much_memory_is_refused_before_it_starts(name: str) -> None:
    data, _, items = two_tastes()
    with pytest.raises(ResourceError, match=r"GB for 80 users, 56 items and \d+ likes; allowed are 1e-06 GB"):
        resolve("model", name)(memory_gb=1e-6).fit(data, items)


def test_no_likes_are_refused() -> None:
    data = Dataset.of(Events.of(np.array([0]), np.array([1]), weights=np.array([-1.0])), 2, 3)
    with pytest.raises(DataError, match="no positive actions"):
        resolve("model", "lightgcn")().fit(data)


def test_a_contrast_layer_that_is_not_there_is_refused() -> None:
    data, _, _ = two_tastes()
    with pytest.raises(SettingError, match="contrast_layer is 3, but there are 2 layers"):
        resolve("model", "xsimgcl")(contrast_layer=3).fit(data)


@pytest.mark.parametrize("name", DEEP)
def test_the_grid_names_settings_and_values_that_are_allowed(name: str) -> None:
    model = resolve("model", name)
    assert 1 < np.prod([len(values) for values in model.grid.values()]) <= 20
    for setting, values in model.grid.items():
        for value in values:
            assert getattr(model(**{setting: value}).settings, setting) == value


def test_training_stops_by_validation_and_keeps_the_best_weights() -> None:
    data, holdout, _ = two_tastes()
    more = {"dim": 16, "batch_size": 512, "learning_rate": 0.05, "epochs": 200, "validate_every": 2, "patience": 3}
    model = resolve("model", "lightgcn")
    stopped = model(**more).fit(data, rng=0, validation=holdout)
    assert quality(stopped, holdout) >= quality(model(**more, reg=0.0).fit(data, rng=0), holdout) - 0.02
    alone = model(**more).fit(data, rng=0)  # holds out likes of its own, then learns from all of them
    assert quality(alone, holdout) > 1.5 * quality(Popular().fit(data), holdout)


def test_validation_that_asks_nothing_trains_all_epochs() -> None:
    data, holdout, _ = two_tastes()
    nothing = Holdout(holdout.queries, sparse.csr_array(holdout.targets.shape, dtype=np.float32))
    quick = {**QUICK, "epochs": 4}
    asked = resolve("model", "lightgcn")(**quick, validate_every=1).fit(data, rng=0, validation=nothing)
    plain = resolve("model", "lightgcn")(**quick).fit(data, rng=0)
    np.testing.assert_allclose(asked.item_vectors(), plain.item_vectors(), atol=1e-6)


def test_a_checkpoint_folder_is_used_and_cleared(tmp_path: Path) -> None:
    data, _, _ = two_tastes()
    settings = {"dim": 8, "epochs": 6, "validate_every": 2, "patience": 2, "batch_size": 512}
    plain = resolve("model", "lightgcn")(**settings).fit(data, rng=0)
    kept = resolve("model", "lightgcn")(**settings, checkpoint=str(tmp_path / "run")).fit(data, rng=0)
    np.testing.assert_array_equal(plain.item_vectors(), kept.item_vectors())
    assert not list((tmp_path / "run").glob("*"))
