from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from salon.data import Dataset, Events, Holdout
from salon.data.reviews import review_texts
from salon.data.split import (
    Split,
    cold_split,
    hide_modality,
    k_folds,
    leave_last_out,
    random_split,
    read_split,
    split_by_labels,
    time_split,
)
from salon.errors import DataError, SettingError


@st.composite
def worlds(draw: st.DrawFn) -> Dataset:
    """Small logs with repeats, dislikes, neutral ratings, exposures and ties in time."""
    n = draw(st.integers(6, 60))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    weights = rng.choice([1.0, 2.0, 0.0, -1.0], n, p=[0.6, 0.2, 0.1, 0.1])
    shown = rng.random(n) < 0.1
    events = Events.of(
        rng.integers(0, 4, n),
        rng.integers(0, 9, n),
        weights=np.where(shown, 0, weights),
        values=np.where(rng.random(n) < 0.5, rng.integers(0, 6, n), np.nan),
        times=rng.integers(0, 8, n),
        shown=shown,
        texts=tuple(f"text {i}" for i in range(n)),
    )
    return Dataset.of(events, 5, 10, repeat=draw(st.sampled_from(["max", "sum", "last"])))


PROTOCOLS = {
    "random": lambda data: random_split(data, valid=0.2, test=0.2, rng=1),
    "loo": leave_last_out,
    "time": lambda data: time_split(data, valid=0.2, test=0.2),
    "cold": lambda data: cold_split(data, valid=0.2, test=0.3, rng=1),
    "cold-all": lambda data: cold_split(data, valid=0.2, test=0.3, candidates="all", rng=1),
    "fold": lambda data: next(iter(k_folds(data, 3, rng=1))),
}


def pairs(matrix, users) -> set[tuple[int, int]]:
    rows, columns = matrix.nonzero()
    return {(int(users[r]), int(c)) for r, c in zip(rows, columns, strict=True)}


def history(hold: Holdout) -> set[tuple[int, int]]:
    owner = hold.queries.users[hold.queries.row_of()]
    return set(zip(owner.tolist(), hold.queries.items.tolist(), strict=True))


def targets(hold: Holdout) -> set[tuple[int, int]]:
    return pairs(hold.targets, hold.queries.users)


def acted(data: Dataset) -> set[tuple[int, int]]:
    kept = ~data.events.shown
    return set(zip(data.events.users[kept].tolist(), data.events.items[kept].tolist(), strict=True))


def try_split(protocol: str, data: Dataset) -> Split | None:
    try:
        return PROTOCOLS[protocol](data)
    except DataError:
        return None


@pytest.mark.parametrize("protocol", PROTOCOLS)
@settings(max_examples=40)
@given(data=worlds())
def test_nothing_that_is_asked_is_known(protocol, data):
    split = try_split(protocol, data)
    if split is None:
        return
    known = acted(split.train)
    liked = {(int(u), int(i)) for u, i in zip(*np.nonzero(data.positives().toarray()), strict=True)}
    for hold in (split.valid, split.test):
        assert not targets(hold) & known
        assert not targets(hold) & history(hold)
        assert (hold.targets.sum(axis=1) > 0).all()
        assert len(np.unique(hold.queries.users)) == len(hold)
        shown = set(zip(split.train.events.users.tolist(), split.train.events.items.tolist(), strict=True))
        assert protocol == "time" or not targets(hold) & shown
        if protocol in ("random", "cold", "cold-all", "fold"):
            assert targets(hold) <= liked
        if hold.exclude is not None:
            assert not pairs(hold.exclude, hold.queries.users) & targets(hold)
    assert not targets(split.valid) & targets(split.test)
    assert not targets(split.test) & history(split.valid)
    asked = {u for u, _ in targets(split.test)}
    for pair in targets(split.valid):
        if pair[0] in asked and protocol not in ("cold",):
            excluded = set() if split.test.exclude is None else pairs(split.test.exclude, split.test.queries.users)
            assert pair in history(split.test) | excluded


@pytest.mark.parametrize("protocol", PROTOCOLS)
@settings(max_examples=15)
@given(data=worlds())
def test_a_split_repeats_itself(protocol, data):
    first, second = try_split(protocol, data), try_split(protocol, data)
    assert (first is None) == (second is None)
    if first is not None and second is not None:
        assert np.array_equal(first.train.events.items, second.train.events.items)
        assert (first.test.targets != second.test.targets).nnz == 0
        assert first.about == second.about


@pytest.mark.parametrize("protocol", ["random", "fold"])
@settings(max_examples=40)
@given(data=worlds())
def test_parts_cover_every_pair_once(protocol, data):
    split = try_split(protocol, data)
    if split is not None:
        liked = {(int(u), int(i)) for u, i in zip(*np.nonzero(data.positives().toarray()), strict=True)}
        assert liked <= acted(split.train) | targets(split.valid) | targets(split.test)


@settings(max_examples=40)
@given(data=worlds())
def test_folds_ask_every_liked_pair_exactly_once(data):
    try:
        found = [pair for split in k_folds(data, 3, rng=2) for pair in targets(split.test)]
    except DataError:  # too small a log: a fold has nothing to train on
        return
    assert len(found) == len(set(found))
    assert set(found) == {(int(u), int(i)) for u, i in zip(*np.nonzero(data.positives().toarray()), strict=True)}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@settings(max_examples=30)
@given(data=worlds())
def test_reviews_of_held_out_actions_never_reach_an_item(protocol, data):
    split = try_split(protocol, data)
    if split is None:
        return
    texts = {text for item in review_texts(split.train) for text in item}
    owner = {f"text {i}": (int(u), int(p)) for i, (u, p) in enumerate(zip(data.events.users, data.events.items))}  # noqa: B905
    for hold in (split.valid, split.test):
        leaked = {text for text in texts if owner[text] in targets(hold)}
        assert protocol == "time" or not leaked
    assert texts <= set(split.train.events.texts or ())


def test_review_texts_stay_with_their_item_and_come_once():
    events = Events.of([0, 1, 1, 0], [1, 1, 0, 1], texts=("good", "bad", None, "good"))
    assert review_texts(Dataset.of(events, 2, 3)) == ((), ("good", "bad"), ())
    assert review_texts(Dataset.of(Events.of([0], [0]), 1, 2)) == ((), ())


def one_user(items: list[int], **more) -> Dataset:
    return Dataset.of(Events.of([0] * len(items), items, **more), 1, 10)


def test_leave_last_out_takes_the_last_new_like_and_nothing_after_it():
    split = leave_last_out(one_user([1, 2, 3, 1, 4, 2], times=[1, 2, 3, 4, 5, 6]))
    assert targets(split.valid) == {(0, 3)}
    assert targets(split.test) == {(0, 4)}
    assert split.valid.queries.items.tolist() == [1, 2]
    assert split.test.queries.items.tolist() == [2, 3, 1]
    assert split.train.events.items.tolist() == [1, 2]


def test_leave_last_out_breaks_ties_by_input_order_and_knows_dislikes():
    split = leave_last_out(one_user([5, 1, 2, 3], times=[9, 9, 9, 9]))
    assert targets(split.test) == {(0, 3)}
    assert targets(split.valid) == {(0, 2)}
    split = leave_last_out(one_user([1, 2, 3, 4], weights=[1, 1, 1, -1]))
    assert targets(split.test) == {(0, 3)}
    assert split.test.queries.items.tolist() == [1, 2]


def test_users_with_two_likes_are_in_train_only():
    data = Dataset.of(Events.of([0, 0, 1, 1, 1], [0, 1, 0, 1, 2]), 2, 3)
    for split in (leave_last_out(data), random_split(data)):
        assert split.test.queries.users.tolist() == [1]
        assert {(0, 0), (0, 1)} <= acted(split.train)
    with pytest.raises(DataError, match="three liked items"):
        random_split(Dataset.of(Events.of([0, 0], [0, 1]), 1, 2))


def test_random_shares_are_kept():
    rng = np.random.default_rng(0)
    items = np.concatenate([rng.permutation(100)[:50] for _ in range(20)])
    split = random_split(Dataset.of(Events.of(np.repeat(np.arange(20), 50), items), 20, 100), valid=0.1, test=0.2)
    assert split.test.targets.sum(axis=1).tolist() == [10] * 20
    assert split.valid.targets.sum(axis=1).tolist() == [5] * 20
    assert len(split.train.events) == 20 * 35
    assert split.about["seed"] == 0


def test_ratings_of_held_out_pairs_are_kept_liked_or_not():
    n = 40
    weights = np.where(np.arange(n) % 2, 1.0, -1.0)
    split = random_split(one_user_of(n, weights=weights, values=np.arange(n) % 5), valid=0.1, test=0.2)
    ratings = split.test.ratings
    assert ratings is not None
    assert ratings.nnz == 8
    assert split.test.targets.nnz == 4
    for item, value in zip(ratings.indices, ratings.data, strict=True):
        assert value == item % 5


def one_user_of(n: int, **more) -> Dataset:
    return Dataset.of(Events.of(np.zeros(n), np.arange(n), **more), 1, n)


def test_time_split_parts_all_users_at_the_same_moments():
    events = Events.of([0, 1, 0, 1, 2, 0, 1], [0, 1, 2, 0, 3, 4, 1], times=[1, 2, 3, 4, 5, 6, 7])
    split = time_split(Dataset.of(events, 3, 5), valid=0.3, test=0.3)
    assert split.train.events.times.max() < split.about["valid_from"]
    assert targets(split.test) == {(0, 4), (2, 3)} - targets(split.valid)
    with pytest.raises(DataError, match="no timestamps"):
        time_split(Dataset.of(Events.of([0], [0]), 1, 1))
    with pytest.raises(DataError, match="No action is left"):
        time_split(Dataset.of(Events.of([0, 0], [0, 1], times=[5, 5]), 1, 2))


def test_cold_items_have_no_action_in_train_and_are_ranked_alone():
    rng = np.random.default_rng(0)
    n = 3000
    data = Dataset.of(Events.of(rng.integers(0, 60, n), rng.integers(0, 50, n), shown=rng.random(n) < 0.1), 60, 50)
    cold, everything = cold_split(data, rng=3), cold_split(data, rng=3, candidates="all")
    assert cold.test.candidates is not None
    assert cold.valid.candidates is not None
    hidden = cold.test.candidates | cold.valid.candidates
    assert not hidden[cold.train.events.items].any()
    assert (cold.test.candidates.sum(), cold.valid.candidates.sum()) == (10, 5)
    assert cold.test.candidates[cold.test.targets.indices].all()
    assert cold.valid.candidates[cold.valid.targets.indices].all()
    assert everything.test.candidates is None
    assert np.array_equal(everything.train.events.items, cold.train.events.items)
    assert targets(cold.test) < targets(everything.test)


def test_hidden_rows_are_present_ones_and_grow_with_the_share():
    present = np.arange(100) % 2 == 0
    some, more = hide_modality(present, 0.2, rng=5), hide_modality(present, 0.6, rng=5)
    assert (some.sum(), more.sum()) == (10, 30)
    assert not some[~present].any()
    assert not (some & ~more).any()
    assert hide_modality(present, 1.0).sum() == 50
    with pytest.raises(SettingError, match="share"):
        hide_modality(present, 1.5)


@pytest.mark.parametrize(
    "call",
    [
        lambda d: random_split(d, test=1.0),
        lambda d: random_split(d, valid=-0.1),
        lambda d: random_split(d, valid=0.5, test=0.5),
        lambda d: cold_split(d, candidates="hot"),
        lambda d: list(k_folds(d, 2)),
    ],
)
def test_impossible_settings_are_refused(call):
    with pytest.raises(SettingError):
        call(one_user([1, 2, 3, 4]))


def test_labels_must_fit_and_leave_something_to_learn():
    data = one_user([1, 2, 3])
    with pytest.raises(DataError, match="2 labels for 3 events"):
        split_by_labels(data, np.array([0, 1]))
    with pytest.raises(DataError, match="train on"):
        split_by_labels(data, np.array([1, 1, 2]))


def write_npz(path, **more):
    arrays = {f"{part}_{c}": np.array(v) for part, (u, i) in PARTS.items() for c, v in (("u", u), ("i", i))}
    np.savez(path, **{"n_users": 2, "n_items": 6, **arrays, **more})


PARTS = {"train": ([0, 0, 1], [0, 1, 1]), "valid": ([0], [2]), "test": ([0, 1], [3, 4]), "warm": ([1], [0])}


def test_a_stored_split_follows_its_protocol(tmp_path):
    path = tmp_path / "s.npz"
    write_npz(path, cold_valid=[2], cold_test=[3, 4], train_t=[5.0, 4.0, 0.0])
    random = read_split(path, "random")
    assert random.test.queries.items.tolist() == [1, 0, 1]
    assert pairs(random.test.exclude, random.test.queries.users) == {(0, 2)}
    loo = read_split(path, "loo")
    assert history(loo.test) == {(0, 0), (0, 1), (0, 2), (1, 1)}
    assert loo.test.exclude is None
    cold, everything = read_split(path, "cold"), read_split(path, "cold-all")
    assert np.flatnonzero(cold.test.candidates).tolist() == [3, 4]
    assert np.flatnonzero(cold.valid.candidates).tolist() == [2]
    assert everything.test.candidates is None
    assert targets(everything.test) == {(0, 3), (1, 4), (1, 0)}
    assert targets(cold.test) == {(0, 3), (1, 4)}


def test_folds_without_a_liked_item_are_refused():
    data = Dataset.of(Events.of([0, 0, 0], [0, 1, 2], weights=[-1, -1, -1]), 1, 3)
    with pytest.raises(DataError, match="No user is left"):
        list(k_folds(data, 3))


def test_a_stored_split_that_is_damaged_is_a_clear_error(tmp_path):
    path = tmp_path / "s.npz"
    with pytest.raises(DataError, match="There is no file"):
        read_split(path, "random")
    path.write_bytes(b"PK\x03\x04 nonsense")
    with pytest.raises(DataError, match="cannot be read"):
        read_split(path, "random")
    write_npz(path)
    with pytest.raises(DataError, match="no array 'cold_valid'"):
        read_split(path, "cold")
    with pytest.raises(SettingError, match="Did you mean 'cold'"):
        read_split(path, "colt")
    write_npz(path, train_u=[0, 0, 7])
    with pytest.raises(DataError, match="user row 7"):
        read_split(path, "random")
    write_npz(path, train_i=[0.5, 0, 0])
    with pytest.raises(DataError, match="no integers"):
        read_split(path, "random")
    write_npz(path, train_i=[0, 0])
    with pytest.raises(DataError, match="train_i"):
        read_split(path, "random")
    np.savez(path, n_users=np.array([{}], dtype=object), n_items=1)
    with pytest.raises(DataError, match="cannot be read"):
        read_split(path, "random")


@pytest.mark.shared
@pytest.mark.parametrize("name", ["ml100k", "amzind", "lastfm"])
def test_the_peers_splits_lose_no_target(shared_splits, name):
    for file, protocol in (("random", "random"), ("loo", "loo"), ("cold", "cold"), ("cold", "cold-all")):
        path = shared_splits / name / f"{file}.npz"
        if not path.exists():
            continue
        split = read_split(path, protocol)
        with np.load(path, allow_pickle=False) as stored:
            warm = len(stored["warm_u"]) if protocol == "cold-all" else 0
            assert split.about["test_targets"] == len(stored["test_u"]) + warm
            assert split.about["valid_targets"] == len(stored["valid_u"])
            assert len(split.train.events) == len(stored["train_u"])
