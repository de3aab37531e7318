"""Fitting models of the next item: planted orders and intervals are found, new items are placed, bad input refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse
from sequence_world import QUICK, RING, SEQUENCE, dataset, hit_rate, ring, ring_features

from salon.data import Dataset, Events, Holdout, Queries
from salon.encode.base import Features, FeatureSet
from salon.errors import ArtifactError, DataError, ResourceError, SettingError
from salon.models.neighbours import ItemKNN
from salon.models.popular import Popular
from salon.models.sequence import SequenceRecommender
from salon.registry import resolve
from salon.testing import check_recommender

MEDIA = ["mediasasrec", "mmrnn"]


def following(order: np.ndarray, items: np.ndarray) -> np.ndarray:
    """The items after these on the ring."""
    place = np.empty(RING, np.int64)
    place[order] = np.arange(RING)
    return order[(place[items] + 1) % RING]


@pytest.mark.parametrize("name", SEQUENCE)
def test_a_planted_order_is_learned_that_counts_of_pairs_cannot_see(name: str) -> None:
    data, order, walks = ring()
    wanted = following(order, walks[:, -1])
    model = resolve("model", name)(**QUICK).fit(data, ring_features(order, missing=4), rng=0)
    assert hit_rate(model, data, wanted) > 0.95
    assert hit_rate(ItemKNN(k=30).fit(data), data, wanted) < 0.75
    assert hit_rate(Popular().fit(data), data, wanted) < 0.2
    back = Queries.from_lists([[int(i) for i in walk[::-1]] for walk in walks])
    best = model.recommend(back, 1, exclude_seen=False).ids[:, 0]
    assert (best == following(order, walks[:, 0])).mean() > 0.5  # the order of the query counts, not its set


@pytest.mark.parametrize(
    "loss", [{"loss": "sampled", "negatives": 8}, {"loss": "sampled", "negatives": 8, "power": 1.0}]
)
def test_a_sampled_softmax_learns_it_too(loss: dict[str, object]) -> None:
    data, order, walks = ring()
    model = resolve("model", "sasrec")(**{**QUICK, "epochs": 60}, **loss).fit(data, rng=0)
    assert hit_rate(model, data, following(order, walks[:, -1])) > 0.9


def interval_world(people: int = 240, seed: int = 0) -> tuple[Dataset, np.ndarray]:
    """Any of six items, any of four others, and a third: the number of the first, or after a long pause one more.

    The third is left out of the log of every third person, of whom it is asked.
    """
    rng = np.random.default_rng(seed)
    first, middle = rng.integers(6, size=people), 6 + rng.integers(4, size=people)
    long = rng.integers(2, size=people)
    last = 10 + (first + long) % 6
    pause = np.where(long, rng.uniform(1e5, 5e5, people), rng.uniform(1, 50, people))
    start = rng.uniform(0, 1e6, people)
    asked = np.arange(people) % 3 == 0
    histories = [[a, b] if q else [a, b, c] for a, b, c, q in zip(first, middle, last, asked, strict=True)]
    times = [[s, s + p, s + p + 10][: len(h)] for s, p, h in zip(start, pause, histories, strict=True)]
    return dataset(histories, 16, times), np.where(asked, last, -1)


def test_intervals_decide_where_they_are_read() -> None:
    data, last = interval_world()
    asked = np.flatnonzero(last >= 0)
    queries = data.queries(asked)
    quick = {**QUICK, "batch_size": 64, "epochs": 60, "dropout": 0.0}
    timed = resolve("model", "sasrec")(**quick, intervals=True).fit(data, rng=0)
    blank = replace(queries, times=None)
    right = (timed.recommend(queries, 1).ids[:, 0] == last[asked]).mean()
    blind = (timed.recommend(blank, 1).ids[:, 0] == last[asked]).mean()
    plain = resolve("model", "sasrec")(**quick).fit(data, rng=0)
    without = (plain.recommend(queries, 1).ids[:, 0] == last[asked]).mean()
    assert right > 0.9
    assert blind < 0.7
    assert without < 0.7
    two = timed.recommend(blank, 2).ids  # without times both readings come first
    assert (two == last[asked][:, None]).any(axis=1).mean() > 0.8


def test_intervals_need_timestamps() -> None:
    for given in (Events.of([0, 0], [0, 1]), Events.of([0, 0], [0, 1], times=[1, 2], time_kind="order")):
        with pytest.raises(DataError, match="no timestamps"):
            resolve("model", "sasrec")(intervals=True).fit(Dataset.of(given, 1, 2))


def test_validation_is_asked_with_the_times_of_the_log() -> None:
    data, last = interval_world()
    asked = np.flatnonzero(last >= 0)
    targets = sparse.csr_array(
        (np.ones(len(asked), np.float32), (np.arange(len(asked)), last[asked])), shape=(len(asked), 16)
    )
    holdout = Holdout(data.queries(asked), targets)
    quick = {**QUICK, "batch_size": 64, "epochs": 60, "dropout": 0.0, "validate_every": 10}
    model = resolve("model", "sasrec")(**quick, intervals=True).fit(data, rng=0, validation=holdout)
    assert (model.recommend(holdout.queries, 1).ids[:, 0] == last[asked]).mean() > 0.8


@pytest.mark.parametrize("name", MEDIA)
def test_new_items_are_placed_by_their_media_alone(name: str) -> None:
    """Two kinds of items take turns; five items of each kind were never touched."""
    rng = np.random.default_rng(0)
    kind = np.arange(40) % 2
    warm = np.arange(40) < 30
    histories = [[int(rng.choice(np.flatnonzero(warm & (kind == (u + t) % 2)))) for t in range(5)] for u in range(60)]
    vectors = 0.3 * rng.standard_normal((40, 6))
    vectors[:, 0] = 2 * kind - 1
    there = np.arange(40) != 39
    text = Features(np.where(there[:, None], vectors, 0).astype(np.float32), there)
    data = dataset(histories, 40)
    model = resolve("model", name)(**{**QUICK, "epochs": 12}, ids=False).fit(data, FeatureSet({"text": text}), rng=0)
    scores = model.score(data.queries())[:, 30:]
    assert (scores[:, -1] == -np.inf).all()  # neither liked by anybody nor described
    nxt = kind[[h[-1] for h in histories]] == 0
    best = kind[30 + scores.argmax(axis=1)] == 1
    assert (nxt == best).mean() > 0.95
    from_new = model.recommend(Queries.from_lists([[i] for i in range(30, 39)]), 3).ids
    assert (kind[from_new] != kind[30:39, None]).mean() > 0.8  # and they are read in a history


@pytest.mark.parametrize("name", MEDIA)
def test_an_item_without_any_media_is_placed_by_likes_only_with_ids(name: str) -> None:
    data, order, _ = ring()
    features = ring_features(order)
    gone = features["text"].hide(np.array([3]))
    items = FeatureSet({"text": gone, "image": features["image"].hide(np.array([3]))})
    quick = {**QUICK, "epochs": 2}
    with_ids = resolve("model", name)(**quick, ids=True).fit(data, items, rng=0)
    without = resolve("model", name)(**quick, ids=False).fit(data, items, rng=0)
    queries = Queries.from_lists([[0], [3]])
    assert np.isfinite(with_ids.score(queries)).all()
    assert (without.score(queries)[:, 3] == -np.inf).all()
    assert np.isfinite(without.score(queries)[0, :3]).all()
    assert (without.score(queries)[1] == -np.inf).all()


@pytest.mark.parametrize("name", MEDIA)
def test_a_modality_that_no_item_has_is_left_out_and_none_at_all_is_refused(name: str) -> None:
    data, order, _ = ring()
    text = ring_features(order)["text"]
    none = Features(np.zeros((RING, 3), np.float32), np.zeros(RING, bool))
    model, quick = resolve("model", name), {**QUICK, "epochs": 2}
    with_none = model(**quick).fit(data, FeatureSet({"text": text, "audio": none}), rng=0)
    np.testing.assert_array_equal(
        with_none.item_vectors(), model(**quick).fit(data, FeatureSet({"text": text}), rng=0).item_vectors()
    )
    with pytest.raises(DataError, match=r"No item has features \(modalities: audio\)"):
        model(**quick).fit(data, FeatureSet({"audio": none}), rng=0)


@pytest.mark.parametrize(("name", "more"), [("sasrec", {}), ("mediasasrec", {"join": "gate"})])
def test_with_intervals_an_answer_depends_on_its_history_alone(name: str, more: dict[str, object]) -> None:
    data, order, _ = ring()
    model = resolve("model", name)(**{**QUICK, "epochs": 2}, intervals=True, **more)
    model.fit(data, ring_features(order), rng=0)
    queries = data.queries()
    np.testing.assert_allclose(model.score(queries.take(np.array([5, 2]))), model.score(queries)[[5, 2]], atol=1e-4)


def test_the_contract_holds_without_ids() -> None:
    steps = {"dim": 16, "batch_size": 16, "epochs": 20, "patience": 0, "learning_rate": 1e-2, "dropout": 0.1}
    check_recommender(resolve("model", "mediasasrec"), **steps, hide=0.5, ids=False)


def test_an_action_more_changes_the_answer_at_once_and_dislikes_do_not() -> None:
    data, order, _ = ring()
    model = resolve("model", "sasrec")(**QUICK).fit(data, rng=0)
    walk = [int(i) for i in order[:4]]
    best = model.recommend(Queries.from_lists([walk[:2], walk[:3], walk]), 1).ids[:, 0]
    assert best.tolist() == order[2:5].tolist()
    disliked = Queries.from_lists([[*walk[:2], 17]], [[1, 1, -1]])
    np.testing.assert_allclose(model.score(disliked), model.score(Queries.from_lists([walk[:2]])), atol=1e-5)


@pytest.mark.parametrize("name", ["gru4rec", "sasrec"])
def test_items_nobody_liked_and_histories_without_a_known_item_are_not_scored(name: str) -> None:
    data = dataset([[0, 1, 2], [1, 2, 0]], 4)
    scores = resolve("model", name)(**{**QUICK, "epochs": 1}).fit(data, rng=0).score(Queries.from_lists([[0], [3], []]))
    assert np.isfinite(scores[0, :3]).all()
    assert scores[0, 3] == -np.inf
    assert (scores[1:] == -np.inf).all()


def test_training_stops_by_the_last_items_and_then_learns_from_all() -> None:
    data, order, walks = ring()
    model = resolve("model", "gru4rec")(**{**QUICK, "epochs": 200, "patience": 5, "validate_every": 5}).fit(data, rng=0)
    assert hit_rate(model, data, following(order, walks[:, -1])) > 0.9


@pytest.mark.parametrize("name", SEQUENCE)
def test_seeds_decide_and_saved_settings_fit_the_weights(name: str) -> None:
    data, order, _ = ring()
    features, quick = ring_features(order), {**QUICK, "epochs": 1}
    one, same, other = (resolve("model", name)(**quick).fit(data, features, rng=seed) for seed in (1, 1, 2))
    queries = data.queries()
    np.testing.assert_array_equal(one.score(queries), same.score(queries))
    assert np.abs(one.score(queries) - other.score(queries)).max() > 1e-3
    assert isinstance(one, SequenceRecommender)
    wrong = resolve("model", name)(**{**quick, "dim": 64}).restore(one.state())
    with pytest.raises(ArtifactError, match="weights for a network of"):
        wrong.score(queries)


def test_bad_input_is_refused() -> None:
    data, _, _ = ring()
    sasrec = resolve("model", "sasrec")
    with pytest.raises(DataError, match="no positive actions"):
        sasrec().fit(Dataset.of(Events.of([0], [1], weights=[-1.0]), 2, 3))
    with pytest.raises(DataError, match="No history has two liked items"):
        sasrec(patience=0).fit(Dataset.of(Events.of([0, 1], [1, 2]), 2, 3))
    with pytest.raises(DataError, match="No history has two liked items"):
        sasrec().fit(Dataset.of(Events.of([0, 1], [1, 2]), 2, 3))
    with pytest.raises(SettingError, match="64 numbers cannot be parted among 5 heads"):
        sasrec(heads=5).fit(data)
    with pytest.raises(ResourceError, match=r"GB for 30 items and \d+ steps per batch; allowed are 1e-06 GB"):
        sasrec(memory_gb=1e-6).fit(data)


@pytest.mark.parametrize("name", SEQUENCE)
def test_the_grid_names_settings_and_values_that_are_allowed(name: str) -> None:
    model = resolve("model", name)
    assert 1 < np.prod([len(values) for values in model.grid.values()]) <= 20
    for setting, values in model.grid.items():
        for value in values:
            assert getattr(model(**{setting: value}).settings, setting) == value


def test_a_checkpoint_folder_is_used_and_cleared(tmp_path: Path) -> None:
    data, _, _ = ring()
    settings = {**QUICK, "epochs": 4, "validate_every": 2, "patience": 2}
    plain = resolve("model", "sasrec")(**settings).fit(data, rng=0)
    kept = resolve("model", "sasrec")(**settings, checkpoint=str(tmp_path / "run")).fit(data, rng=0)
    np.testing.assert_array_equal(plain.item_vectors(), kept.item_vectors())
    assert not list((tmp_path / "run").glob("*"))
