"""Fitting the model of generated ids: planted orders, new items, filters, early stopping, saving, refusals."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from sequence_world import QUICK as STEPS
from sequence_world import RING, following, hit_rate, ring, ring_features, turns

from salon.component import load_component
from salon.data import Dataset, Events, Holdout, Queries
from salon.data.toy import content_world
from salon.encode.base import FeatureSet
from salon.errors import ArtifactError, DataError, NotFittedError, ResourceError, SettingError
from salon.models import generative
from salon.models.generative import Generative
from salon.testing import check_recommender
from salon.testing.recommenders import features_of

QUICK = {"clicks": 0, "dense": 0.0, **STEPS, "codes": 8, "hidden": 32}
TOY: dict[str, Any] = {
    "dim": 16,
    "batch_size": 16,
    "epochs": 8,
    "patience": 0,
    "learning_rate": 1e-2,
    "dropout": 0.5,
}
"""Under which the worlds of the contract are learned in seconds, but not by heart."""


@pytest.mark.parametrize(
    "more",
    [{}, {"ids": "rqvae", "id_epochs": 30}, {"search": "beam", "beam": 5, "dense": 0.5}, {"clicks": 16, "dense": 0.5}],
)
def test_a_planted_order_is_learned(more: dict[str, Any]) -> None:
    data, order, walks = ring()
    wanted = following(order, walks[:, -1])
    model = Generative(**(QUICK | more)).fit(data, ring_features(order, missing=4), rng=0)
    assert hit_rate(model, data, wanted) > 0.95
    assert (model.recommend(data.queries(), 1).ids[:, 0] == wanted).mean() > 0.95
    back = Queries.from_lists([[int(i) for i in walk[::-1]] for walk in walks])
    best = model.recommend(back, 1, exclude_seen=False).ids[:, 0]
    assert (best == following(order, walks[:, 0])).mean() > 0.5  # the order of the query counts, not its set


@pytest.mark.parametrize("more", [{"search": "beam", "beam": 7}, {"search": "beam", "beam": 7, "dense": 0.5}])
def test_the_contract_holds_for_a_beam(more: dict[str, Any]) -> None:
    check_recommender(Generative, **TOY, **more)


@pytest.mark.parametrize("search", ["exact", "beam"])
def test_new_items_are_generated_by_their_content_alone(search: str) -> None:
    data, items, kind = turns()
    model = Generative(**{**QUICK, "epochs": 12, "dropout": 0.4}, search=search, beam=5).fit(data, items, rng=0)
    new = np.arange(40) >= 30
    found = model.recommend(data.queries(), 3, allow=new).ids
    asked = data.queries()
    last = kind[asked.items[asked.indptr[1:] - 1]]
    assert (kind[found[:, 0]] != last).mean() > 0.95
    from_new = model.recommend(Queries.from_lists([[i] for i in range(30, 39)]), 3).ids
    assert (kind[from_new] != kind[30:39, None]).mean() > 0.8  # and they are read in a history


def test_an_item_of_which_nothing_is_known_has_no_id_unless_clicks_are_coded() -> None:
    data, order, _ = ring()
    features = ring_features(order)
    items = FeatureSet({name: one.hide(np.array([3])) for name, one in features.items()})
    quick = {**QUICK, "epochs": 2}
    queries = Queries.from_lists([[0], [3]])
    without = Generative(**quick).fit(data, items, rng=0)
    assert (without.codes[3] == -1).all()
    assert without.report.coded == RING - 1
    assert (without.score(queries)[:, 3] == -np.inf).all()
    assert np.isfinite(without.score(queries)[0, :3]).all()
    assert (without.score(queries)[1] == -np.inf).all()
    with_clicks = Generative(**{**quick, "clicks": 8}).fit(data, items, rng=0)
    assert with_clicks.report.coded == RING
    assert np.isfinite(with_clicks.score(queries)).all()


@pytest.mark.parametrize("seed", range(5, 11))
def test_items_that_lack_different_modalities_share_no_code_unless_they_are_alike(seed: int) -> None:
    world = content_world()  # a third has its text alone, a third its image alone, and both tell the bit
    model = Generative(**{**TOY, "epochs": 1}).fit(world.data, features_of(world), rng=seed)
    first = model.codes[:, 0]
    for code in range(first.max() + 1):
        assert len(np.unique(world.bits[first == code])) <= 1


def test_ids_differ_and_say_what_the_quantiser_says() -> None:
    data, order, _ = ring()
    features = ring_features(order, missing=4)
    model = Generative(**{**QUICK, "epochs": 1}).fit(data, features, rng=0)
    assert model.codes.shape == (RING, 4)
    assert len(np.unique(model.codes, axis=0)) == RING
    assert model.codes[:, 0].max() + 1 <= 3  # eight items to a code
    decoded = model.quantiser.decode(model.codes[:, :3])
    np.testing.assert_array_equal(model.quantiser.assign(decoded, np.ones(RING, bool)).shape, (RING, 3))
    assert model.report.error < 0.6
    place = np.empty(RING, np.int64)
    place[order] = np.arange(RING)
    gaps = np.abs(np.diff(model.codes[order, 0]))
    assert (gaps == 0).mean() > 0.5  # neighbours on the ring share their first code


def test_a_loaded_model_answers_alike_by_score_and_by_beam(tmp_path: Path) -> None:
    data, order, _ = ring()
    for more in ({}, {"ids": "rqvae", "id_epochs": 2}, {"dense": 0.5}):
        model = Generative(**(QUICK | {"epochs": 2} | more), search="beam", beam=4).fit(
            data, ring_features(order), rng=0
        )
        model.save(tmp_path / "model")
        loaded = load_component(tmp_path / "model", "model")
        queries = data.queries()
        np.testing.assert_array_equal(loaded.score(queries), model.score(queries))
        np.testing.assert_array_equal(loaded.recommend(queries, 4).ids, model.recommend(queries, 4).ids)
        assert loaded.report == model.report
        np.testing.assert_array_equal(loaded.quantiser.books, model.quantiser.books)


def test_large_catalogues_are_searched_by_a_beam(monkeypatch: pytest.MonkeyPatch) -> None:
    data, order, _ = ring()
    model = Generative(**{**QUICK, "epochs": 2}, beam=1).fit(data, ring_features(order), rng=0)
    queries = data.queries()
    exact = model.recommend(queries, 3)
    monkeypatch.setattr(generative, "EXACT_UP_TO", RING - 1)
    beam = model.recommend(queries, 3)
    scores = model.score(queries)
    np.testing.assert_allclose(beam.scores, np.take_along_axis(scores, beam.ids, axis=1), atol=1e-4)
    assert (beam.scores.sum(axis=1) <= exact.scores.sum(axis=1) + 1e-4).all()
    seen = queries.seen(RING).toarray() > 0
    assert not np.take_along_axis(seen, beam.ids, axis=1).any()
    with pytest.raises(DataError, match="names item row 30 of 30"):
        model.recommend(Queries.from_lists([[RING]]), 1)


def test_training_stops_by_validation_or_by_the_last_items() -> None:
    data, order, walks = ring()
    features, wanted = ring_features(order), following(order, walks[:, -1])
    settings = {**QUICK, "epochs": 100, "patience": 3, "validate_every": 5}
    alone = Generative(**settings).fit(data, features, rng=0)
    assert hit_rate(alone, data, wanted) > 0.9
    places = (np.ones(len(wanted), np.float32), (np.arange(len(wanted)), wanted))
    holdout = Holdout(data.queries(), sparse.csr_array(places, shape=(len(wanted), RING)))
    asked = Generative(**settings).fit(data, features, rng=0, validation=holdout)
    assert hit_rate(asked, data, wanted) > 0.9


def test_a_checkpoint_folder_is_used_and_cleared(tmp_path: Path) -> None:
    data, order, _ = ring()
    settings = {**QUICK, "epochs": 4, "validate_every": 2, "patience": 2}
    plain = Generative(**settings).fit(data, ring_features(order), rng=0)
    kept = Generative(**settings, checkpoint=str(tmp_path / "run")).fit(data, ring_features(order), rng=0)
    np.testing.assert_array_equal(plain.score(data.queries()), kept.score(data.queries()))
    assert not list((tmp_path / "run").glob("*"))


def test_seeds_decide_and_saved_settings_fit_the_weights() -> None:
    data, order, _ = ring()
    quick = {**QUICK, "epochs": 1}
    one, same, other = (Generative(**quick).fit(data, ring_features(order), rng=seed) for seed in (1, 1, 2))
    queries = data.queries()
    np.testing.assert_array_equal(one.score(queries), same.score(queries))
    assert np.abs(one.score(queries) - other.score(queries)).max() > 1e-3
    with pytest.raises(ArtifactError, match="weights for a network of"):
        Generative(**{**quick, "dim": 64}).restore(one.state())


def test_bad_input_is_refused() -> None:
    data, order, _ = ring()
    features = ring_features(order)
    nothing = FeatureSet({"text": features["text"].hide(np.arange(RING))})
    with pytest.raises(DataError, match=r"No item has features \(modalities: text\)"):
        Generative(clicks=0).fit(data, nothing)
    with pytest.raises(DataError, match="no positive actions"):
        Generative().fit(Dataset.of(Events.of([0], [1], weights=[-1.0]), 2, RING), features)
    with pytest.raises(DataError, match="No history has two liked items"):
        Generative(patience=0).fit(Dataset.of(Events.of([0, 1], [1, 2]), 2, RING), features)
    with pytest.raises(SettingError, match="64 numbers cannot be parted among 5 heads"):
        Generative(heads=5).fit(data, features)
    with pytest.raises(ResourceError, match=r"GB for 30 items and \d+ steps per batch; allowed are 1e-06 GB"):
        Generative(memory_gb=1e-6).fit(data, features)
    for ask in (lambda: Generative().codes, lambda: Generative().report, lambda: Generative().quantiser):
        with pytest.raises(NotFittedError):
            ask()


def test_the_grid_names_settings_and_values_that_are_allowed() -> None:
    assert 1 < np.prod([len(values) for values in Generative.grid.values()]) <= 20
    for setting, values in Generative.grid.items():
        for value in values:
            assert getattr(Generative(**{setting: value}).settings, setting) == value
