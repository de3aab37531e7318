"""Two towers: tastes, profiles and new items find their places, and each tower is of use without the other."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sequence_world import RING, dataset, hit_rate, ring, ring_features

from salon.component import load_component
from salon.data import Dataset, Events, Queries
from salon.data.ids import IdMap
from salon.data.items import Field, Items, Users
from salon.data.toy import content_world
from salon.encode.base import Features, FeatureSet
from salon.errors import ArtifactError, DataError, FingerprintError, ResourceError, SettingError
from salon.models.two_tower import TwoTower
from salon.models.two_tower_parts import ItemModel, UserModel
from salon.registry import resolve
from salon.testing.recommenders import features_of
from salon.training.settings import TrainingSettings, settings_for_all

QUICK: dict[str, Any] = {"dim": 16, "batch_size": 128, "epochs": 12, "patience": 0, "learning_rate": 2e-2}
BOTH = pytest.mark.parametrize("name", ["twotower", "mmoe"])


def clubs(people: int = 60, seed: int = 0) -> tuple[Dataset, FeatureSet, np.ndarray, np.ndarray]:
    """Two clubs with a taste each; every third person has told their club and nothing else.

    Returns:
        The log, features that show the taste, the taste of people, and of the 30 items, six of them new.
    """
    rng = np.random.default_rng(seed)
    taste, kind = np.arange(people) % 2, rng.permutation(30) % 2
    rows = [
        (u, i)
        for u in range(people)
        if u % 3
        for i in rng.permutation(np.flatnonzero((kind == taste[u]) & (np.arange(30) < 24)))[:6]
    ]
    vectors = 0.2 * rng.standard_normal((30, 5))
    vectors[:, 0] = 2 * kind - 1
    users, items = np.array(rows).T
    names = Users(
        IdMap(map(str, range(people)), what="user"),
        {"club": Field.of("club", "category", [("red", "blue")[t] for t in taste])},
    )
    data = Dataset(Items(IdMap(map(str, range(30)))), Events.of(users, items), names)
    return data, FeatureSet({"text": Features(vectors.astype(np.float32), np.ones(30, bool), "v1")}), taste, kind


@pytest.fixture(scope="module")
def world() -> tuple[TwoTower, Dataset, FeatureSet, np.ndarray, np.ndarray]:
    """A model fitted on the clubs, which tests must not change."""
    data, features, taste, kind = clubs()
    return TwoTower(**QUICK).fit(data, features, rng=0), data, features, taste, kind


def right_first(scores: np.ndarray, taste: np.ndarray, kind: np.ndarray) -> float:
    """How often the best item is one of the right kind."""
    return float((kind[scores.argmax(axis=1)] == taste).mean())


# -- what is answered, and how -----------------------------------------------------------------------------------------


@BOTH
def test_people_with_a_profile_alone_get_items_of_their_taste(name: str) -> None:
    data, features, taste, kind = clubs()
    model = resolve("model", name)(**QUICK).fit(data, features, rng=0)
    unknown = np.arange(0, 60, 3)
    queries = data.queries(unknown)
    assert not len(queries.items)
    assert right_first(model.score(queries), taste[unknown], kind) == 1
    assert right_first(model.score(queries)[:, 24:], taste[unknown], kind[24:]) == 1  # among new items too
    assert (model.score(Queries.from_lists([[]])) == -np.inf).all()


def test_a_history_counts_beside_a_profile(world: Any) -> None:
    model, data, _, taste, kind = world
    profile = data.profiles().matrix
    liked = [np.flatnonzero((kind != t) & (np.arange(30) < 24))[:6] for t in taste[:2]]  # against their club
    both = Queries.from_lists([list(map(int, items)) for items in liked])
    both = Queries(both.indptr, both.items, both.weights, both.users, both.ordered, profile[:2])
    alone = Queries.from_lists([[], []])
    alone = Queries(alone.indptr, alone.items, alone.weights, alone.users, alone.ordered, profile[:2])
    change = model.score(both) - model.score(alone)
    assert all(c[kind != t].mean() > c[kind == t].mean() for c, t in zip(change, taste, strict=False))


def test_new_items_are_ranked_by_their_content_whichever_modality_they_have() -> None:
    world = content_world()
    model = TwoTower(**QUICK).fit(world.data, features_of(world), rng=0)
    reachable = world.cold & world.seen_by_media()
    right = right_first(model.score(world.data.queries())[:, reachable], np.arange(40) % 2, world.bits[reachable])
    assert right > 0.95
    nothing = ~world.data.touched() & ~world.seen_by_media()
    assert nothing.any()
    assert (model.score(world.data.queries())[:, nothing] == -np.inf).all()


@pytest.mark.parametrize("pool", ["mean", "attention", "gru"])
def test_every_pool_finds_tastes(pool: str) -> None:
    data, features, taste, kind = clubs()
    model = TwoTower(**QUICK, pool=pool).fit(data, features, rng=0)
    known = np.arange(60)[np.arange(60) % 3 > 0]
    queries = data.queries(known)
    bare = Queries(queries.indptr, queries.items, queries.weights, queries.users, queries.ordered)
    assert right_first(model.score(bare), taste[known], kind) > 0.95


def test_order_is_read_by_a_recurrent_pool_where_the_log_has_order() -> None:
    data, order, walks = ring()
    place = np.empty(RING, np.int64)
    place[order] = np.arange(RING)
    wanted = order[(place[walks[:, -1]] + 1) % RING]
    quick = {**QUICK, "epochs": 30, "dropout": 0.0, "learning_rate": 1e-2}
    ordered = TwoTower(**quick, pool="gru").fit(data, ring_features(order), rng=0)
    assert hit_rate(ordered, data, wanted) > 0.8
    forth, back = (Queries.from_lists([[int(i) for i in w[::step]] for w in walks]) for step in (1, -1))
    assert np.abs(ordered.score(forth) - ordered.score(back)).max() > 0.1


@pytest.mark.parametrize(("pool", "kind"), [("gru", "none"), ("mean", "timestamp")])
def test_order_does_not_matter_where_it_means_nothing_or_is_not_read(pool: str, kind: str) -> None:
    data, order, walks = ring(people=30)
    users, items = data.events.users, data.events.items
    data = data.with_events(Events.of(users, items, times=data.events.times, time_kind=kind))
    model = TwoTower(**{**QUICK, "epochs": 2}, pool=pool).fit(data, ring_features(order), rng=0)
    forth, back = (Queries.from_lists([[int(i) for i in w[::step]] for w in walks]) for step in (1, -1))
    np.testing.assert_allclose(model.score(forth), model.score(back), atol=1e-5)


def test_without_media_items_are_known_by_likes_and_without_ids_by_media_alone() -> None:
    data, features, _, _ = clubs()
    quick = {**QUICK, "epochs": 6}
    plain = TwoTower(**quick).fit(data, rng=0)
    assert np.isfinite(plain.score(data.queries())[:, :24]).all()
    assert (plain.score(data.queries())[:, 24:] == -np.inf).all()
    with pytest.raises(DataError, match="reads no modality"):
        plain.place(features)
    with pytest.raises(DataError, match="No item has features"):
        TwoTower(**quick, ids=False).fit(data)
    without = TwoTower(**quick, ids=False).fit(data, features, rng=0)
    np.testing.assert_allclose(without.place(features), without.item_vectors(), atol=1e-5)


def test_further_negatives_and_no_correction_are_learned_from_too() -> None:
    data, features, taste, kind = clubs()
    for more in ({"negatives": 8}, {"log_q": False}):
        model = TwoTower(**QUICK, **more).fit(data, features, rng=0)
        assert right_first(model.score(data.queries()), taste, kind) > 0.95


# -- each tower alone --------------------------------------------------------------------------------------------------


def test_new_items_are_placed_without_a_fit(world: Any) -> None:
    model, data, features, taste, kind = world
    vectors = model.place(features.take(np.arange(24, 30)))
    np.testing.assert_allclose(vectors, model.item_vectors()[24:], atol=1e-5)  # nobody liked them
    scores = model.user_vectors(data.queries()) @ vectors.T
    assert right_first(scores, taste, kind[24:]) == 1
    absent = FeatureSet({"text": features["text"].take(np.array([24])).hide(np.array([0]))})
    assert not model.place(absent).any()
    other = Features(features["text"].vectors, features["text"].present, "v2")
    with pytest.raises(FingerprintError):
        model.place(FeatureSet({"text": other}))
    with pytest.raises(DataError, match="reads no modality 'texts'"):
        model.place(FeatureSet({"texts": features["text"]}))


def test_the_item_tower_is_saved_and_asked_alone(world: Any, tmp_path: Path) -> None:
    model, _, features, _, kind = world
    model.item_model().save(tmp_path / "items")
    tower = ItemModel.load(tmp_path / "items")
    np.testing.assert_array_equal(tower.vectors(), model.item_vectors())
    np.testing.assert_array_equal(tower.place(features), model.place(features))
    found = tower.similar(np.arange(30), 5)
    assert (kind[found.ids] == kind[:, None]).mean() > 0.95
    assert not (found.ids == np.arange(30)[:, None]).any()
    with pytest.raises(ArtifactError):
        UserModel.load(tmp_path / "items")


def test_the_user_tower_is_saved_and_asked_alone(world: Any, tmp_path: Path) -> None:
    model, data, _, _, _ = world
    model.user_model().save(tmp_path / "users")
    tower = UserModel.load(tmp_path / "users")
    np.testing.assert_array_equal(tower.vectors(data.queries()), model.user_vectors(data.queries()))
    assert tower.known(data.queries()).all()
    assert not tower.known(Queries.from_lists([[]])).any()


def test_a_saved_model_keeps_both_towers(world: Any, tmp_path: Path) -> None:
    model, data, features, _, _ = world
    model.save(tmp_path / "model")
    again = load_component(tmp_path / "model", "model")
    np.testing.assert_array_equal(again.score(data.queries()), model.score(data.queries()))
    np.testing.assert_array_equal(again.place(features), model.place(features))


def test_profiles_of_other_attributes_are_refused(world: Any) -> None:
    model, data, _, _, _ = world
    queries = data.queries(np.array([0]))
    wrong = Queries(
        *[getattr(queries, n) for n in ("indptr", "items", "weights", "users", "ordered")], data.positives()[:1]
    )
    with pytest.raises(DataError, match="Profiles of 30 attributes for a model of 2"):
        model.score(wrong)


# -- fitting -----------------------------------------------------------------------------------------------------------


@BOTH
def test_training_stops_by_what_it_holds_out_and_then_learns_from_all(name: str) -> None:
    data, features, taste, kind = clubs()
    more = {"epochs": 20, "patience": 1, "validate_every": 5}
    model = resolve("model", name)(**{**QUICK, **more}).fit(data, features, rng=0)
    assert right_first(model.score(data.queries()), taste, kind) > 0.95


def test_the_number_of_epochs_is_that_of_the_run_with_data_apart(tmp_path: Path) -> None:
    given = TrainingSettings(epochs=50, validate_every=5, checkpoint=str(tmp_path))
    asked = []

    def choose(settings: TrainingSettings) -> int:
        asked.append(settings.checkpoint)
        return 15

    found = settings_for_all(given, choose)
    assert (found.epochs, found.checkpoint, asked) == (15, str(tmp_path / "all"), [str(tmp_path / "choose")])
    for more in ({"patience": 0}, {"epochs": 5}):
        same = given.model_copy(update=more)
        assert settings_for_all(same, choose) is same
    assert len(asked) == 1


@BOTH
def test_a_checkpoint_folder_is_used_and_cleared(name: str, tmp_path: Path) -> None:
    data, features, _, _ = clubs()
    settings = {**QUICK, "epochs": 3, "validate_every": 1, "patience": 2}
    plain = resolve("model", name)(**settings).fit(data, features, rng=0)
    kept = resolve("model", name)(**settings, checkpoint=str(tmp_path / "run")).fit(data, features, rng=0)
    np.testing.assert_array_equal(plain.score(data.queries()), kept.score(data.queries()))
    assert not list((tmp_path / "run").glob("*"))


@BOTH
def test_bad_input_is_refused(name: str) -> None:
    data, features, _, _ = clubs()
    model = resolve("model", name)
    with pytest.raises(ResourceError, match=r"GB for 30 items, \d+ pairs and batches of \d+; allowed are 1e-06 GB"):
        model(memory_gb=1e-6).fit(data, features)
    with pytest.raises(DataError, match="no positive actions"):
        model().fit(Dataset.of(Events.of([0], [1], weights=[-1.0]), 2, 3))
    with pytest.raises(DataError, match="one liked item"):
        model(patience=0).fit(dataset([[0], [1]], 2))
    with pytest.raises(SettingError, match="16 numbers cannot be parted among 3 heads"):
        model(dim=16, heads=3).fit(data, features)


@BOTH
def test_the_grid_names_settings_and_values_that_are_allowed(name: str) -> None:
    model = resolve("model", name)
    assert 1 < np.prod([len(values) for values in model.grid.values()]) <= 20
    for setting, values in model.grid.items():
        for value in values:
            assert getattr(model(**{setting: value}).settings, setting) == value
