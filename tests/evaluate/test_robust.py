"""Worse data on purpose: each disturbance does what it says, and good models fall as they should."""

from dataclasses import replace

import numpy as np
import pytest

from salon.data import Dataset, Events
from salon.data.parting import acted_pairs
from salon.data.split import leave_last_out, random_split
from salon.data.toy import content_world
from salon.encode.base import Features, FeatureSet
from salon.errors import DataError, SettingError
from salon.evaluate.robust import STRENGTHS, disturb, robustness
from salon.evaluate.transfer import DEFAULTS, Ground, transfer_settings
from salon.evaluate.tuned import holdout_value
from salon.models.content import ContentKNN
from salon.models.ease import EASE
from salon.models.neighbours import ItemKNN
from salon.models.popular import Popular


@pytest.fixture(scope="module")
def world():
    """People who like one of two kinds of thing, told by two modalities."""
    toy = content_world(60, 60, seed=1)
    data = toy.data
    split = random_split(data, rng=0)
    features = FeatureSet({n: Features(v, p, n) for n, (v, p) in toy.vectors.items()}, data.n_items)
    return split, features


def test_nothing_is_changed_at_strength_0(world):
    split, features = world
    for kind in STRENGTHS:
        same = disturb(kind, 0.0, split, features)
        assert same.train is split.train
        assert same.features is features
        assert same.test is split.test


def test_noise_is_as_large_as_it_says_and_leaves_gaps_alone(world):
    split, features = world
    for strength in (0.5, 2.0):
        changed = disturb("noise", strength, split, features, seed=3).features
        for name, before in features.items():
            here = before.present
            after = changed[name]
            spread = np.sqrt(np.mean((before.vectors[here] - before.vectors[here].mean(axis=0)) ** 2))
            added = (after.vectors - before.vectors)[here]
            assert added.std() / spread == pytest.approx(strength, rel=0.15)
            assert np.array_equal(after.present, here)
            assert np.array_equal(after.vectors[~here], before.vectors[~here])
            assert after.fingerprint == before.fingerprint
    again = disturb("noise", 2.0, split, features, seed=3).features
    assert all(np.array_equal(again[n].vectors, changed[n].vectors) for n in features)


def test_modalities_are_hidden_by_the_share_and_each_by_itself(world):
    split, features = world
    changed = disturb("missing", 0.5, split, features).features
    masks = []
    for name, before in features.items():
        after = changed[name].present
        assert after.sum() == before.present.sum() - round(0.5 * before.present.sum())
        assert not (after & ~before.present).any()
        masks.append(before.present & ~after)
    assert len(masks) > 1
    assert not np.array_equal(masks[0], masks[1])
    more = disturb("missing", 0.75, split, features).features
    assert not any((more[n].present & ~changed[n].present).any() for n in features)


@pytest.mark.parametrize("part", [random_split, leave_last_out])
def test_false_clicks_are_new_pairs_in_the_log_and_in_the_histories(world, part):
    data = content_world(60, 60, seed=1).data
    split = part(data)
    changed = disturb("clicks", 0.5, split, FeatureSet({}, data.n_items), seed=2)
    before, after = acted_pairs(split.train), acted_pairs(changed.train)
    false = np.setdiff1d(after, before)
    assert np.isin(before, after).all()
    assert 0.3 * len(before) < len(false) <= round(0.5 * len(before))
    for old, new in ((split.valid, changed.valid), (split.test, changed.test)):
        rows, items = old.targets.nonzero()
        assert not np.isin(old.queries.users[rows] * data.n_items + items, false).any()
        for row, user in enumerate(old.queries.users):
            mine = old.queries.items[old.queries.indptr[row] : old.queries.indptr[row + 1]]
            now = new.queries.items[new.queries.indptr[row] : new.queries.indptr[row + 1]]
            extra = false[false // data.n_items == user] % data.n_items
            assert sorted(now[: len(extra)]) == sorted(extra)
            assert now[len(extra) :].tolist() == mine.tolist()
        assert new.targets is old.targets


def test_outliers_are_new_people_who_like_anything(world):
    split, features = world
    changed = disturb("outliers", 0.25, split, features).train
    old = split.train
    active = len(old.active_users())
    assert changed.n_users == old.n_users + round(0.25 * active)
    assert changed.users.ids[old.n_users] == "outlier 1"
    counts = np.bincount(acted_pairs(changed) // old.n_items, minlength=changed.n_users)
    assert (counts[old.n_users :] == counts[old.n_users]).all()
    assert counts[old.n_users] >= np.quantile(counts[: old.n_users], 0.95)
    assert np.array_equal(changed.events.items[: len(old.events)], old.events.items)


def test_logs_with_texts_values_and_further_columns_grow_too():
    events = Events.of(
        [0, 0, 1, 1, 2, 2], [0, 1, 2, 3, 0, 4], values=[5, 4, 3, 5, 4, 4], times=[1, 2, 3, 4, 5, 6],
        texts=("a",) * 6, context={"device": np.array(["phone"] * 6), "age": np.arange(6.0)},
    )  # fmt: skip
    split = random_split(Dataset.of(events, 3, 9), valid=0, test=0)
    split = replace(split, valid=split.test)
    for kind in ("clicks", "outliers"):
        after = disturb(kind, 1.0, split, FeatureSet({}, 9)).train.events
        assert len(after) > 6
        assert len(after.texts) == len(after)
        assert set(after.texts[6:]) == {None}
        assert np.isnan(after.values[6:]).all()
        assert set(after.context["device"][6:]) == {""}
        assert np.isnan(after.context["age"][6:]).all()
        assert (after.weights[6:] == 1).all()


def test_content_models_fall_with_their_features_and_others_do_not(world):
    split, features = world
    models = {"content": ContentKNN().fit(split.train, features), "clicks": ItemKNN().fit(split.train)}
    found = robustness(models, split, features, "noise", strengths=(1.0, 8.0))
    content, clicks = found.of("content"), found.of("clicks")
    assert [f.strength for f in content] == [0, 1, 8]
    assert content[0].kept == 1
    assert content[0].change is None
    assert content[2].value.mean < 0.8 * content[0].value.mean
    assert content[2].change.high < 0
    assert content[2].kept == pytest.approx(content[2].value.mean / content[0].value.mean)
    assert [f.change.mean for f in clicks[1:]] == [0, 0]
    assert content[0].value.mean == pytest.approx(holdout_value(models["content"], split.test, "ndcg@10"))
    assert found.to_dict()["falls"][0]["model"] == "content"


def test_models_given_stay_as_they_are(world):
    split, features = world
    model = ItemKNN(k=5).fit(split.train)
    before = model.similarity_.toarray()
    calls = []
    robustness({"a": model}, split, features, "clicks", strengths=(1.0,), progress=lambda *a: calls.append(a))
    assert np.array_equal(model.similarity_.toarray(), before)
    assert calls == [(1, 2, "fit models (clicks)"), (2, 2, "fit models (clicks)")]


def test_false_clicks_cost_a_model_of_clicks_and_leave_random_order_of_strengths(world):
    split, features = world
    falls = robustness({"knn": ItemKNN()}, split, features, "clicks", strengths=(3.0, 0.2)).falls
    assert [f.strength for f in falls] == [0, 0.2, 3.0]
    assert falls[2].value.mean < falls[0].value.mean


def test_mistakes_are_named(world):
    split, features = world
    models = {"popular": Popular()}
    with pytest.raises(SettingError, match=r"'nois'.*'noise'"):
        robustness(models, split, features, "nois")
    with pytest.raises(SettingError, match=r"1\.5 of 'missing'"):
        robustness(models, split, features, "missing", strengths=(1.5,))
    with pytest.raises(SettingError, match="-1 of 'noise'"):
        robustness(models, split, features, "noise", strengths=(-1,))
    with pytest.raises(DataError, match="no features to disturb"):
        robustness(models, split, FeatureSet({}, split.train.n_items), "noise")
    taken = replace(split.train, users=disturb("outliers", 0.1, split, features).train.users)
    with pytest.raises(DataError, match="outlier 1"):
        disturb("outliers", 0.1, replace(split, train=taken), features)


# -- settings of another set -----------------------------------------------------------------------------------------


def ground(seed: int) -> Ground:
    data = content_world(50, 60, seed=seed).data
    return Ground(random_split(data, rng=seed), FeatureSet({}, data.n_items))


def test_settings_chosen_on_one_set_are_measured_on_the_others():
    grounds = {"a": ground(1), "b": ground(2)}
    chosen = {"a": {"k": 30}, "b": {"k": 1}}
    found = transfer_settings("itemknn", chosen, grounds, metric="recall@10")
    assert set(found.values) == {(s, t) for s in ("a", "b", DEFAULTS) for t in ("a", "b")}
    for (source, target), value in found.values.items():
        settings = chosen.get(source, {})
        model = ItemKNN(**settings).fit(grounds[target].split.train)
        assert value.mean == pytest.approx(holdout_value(model, grounds[target].split.test, "recall@10"))
        own = found.values[target, target].mean
        assert found.regret[source, target].mean == pytest.approx(own - value.mean)
    assert found.regret["a", "a"].mean == 0
    assert found.rows()[0] == {
        "chosen on": "a", "applied to": "a", "recall@10": found.values["a", "a"].mean, "regret": 0.0,
    }  # fmt: skip


def test_sets_and_choices_must_have_the_same_names():
    with pytest.raises(SettingError, match=r"\['a'\].*\['b'\]"):
        transfer_settings("ease", {"a": {}}, {"b": ground(1)})
    with pytest.raises(SettingError, match="defaults"):
        transfer_settings("ease", {DEFAULTS: {}}, {DEFAULTS: ground(1)})


def test_ease_is_fitted_in_every_disturbance(world):
    """A model that chooses its settings by validation does so anew on the worse data."""
    split, features = world
    falls = robustness({"ease": EASE()}, split, features, "outliers", strengths=(0.2,)).falls
    assert all(np.isfinite(f.value.mean) for f in falls)
