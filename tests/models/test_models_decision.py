"""One model per modality: answers are joined by the stated formulas, and what is missing has no say."""

from __future__ import annotations

import numpy as np
import pytest

from salon.component import load_component
from salon.data import Dataset, Events, Queries
from salon.data.toy import content_world
from salon.encode.base import Features, FeatureSet
from salon.errors import DataError, SettingError
from salon.metrics import auc
from salon.models.content import ContentKNN
from salon.models.decision import Decision, rank_shares, standardised
from salon.models.decision_stack import hold_out, logistic, stacked
from salon.testing.recommenders import features_of

INF = float("inf")


@pytest.fixture(scope="module")
def world():
    made = content_world()
    return made.data, features_of(made)


def apart(data, features, queries):
    """Scores of one contentknn per modality, float64."""
    return [ContentKNN().fit(data, features.only([n])).score(queries).astype(np.float64) for n in features]


def joined(parts, weights):
    """The weighted mean over what can be scored, written out."""
    want = np.full(parts[0].shape, -INF)
    for i, j in np.ndindex(*want.shape):
        able = [(w, part[i, j]) for w, part in zip(weights, parts, strict=True) if part[i, j] > -INF]
        if able:
            want[i, j] = sum(w * s for w, s in able) / sum(w for w, _ in able)
    return want


def test_ranks_are_shares_and_ties_take_their_mean():
    scores = np.array([[3.0, 1.0, -INF, 1.0, 7.0], [-INF] * 5])
    np.testing.assert_allclose(rank_shares(scores)[0], [0.75, 1.5 / 4, -INF, 1.5 / 4, 1])
    assert (rank_shares(scores)[1] == -INF).all()


def test_standardised_scores_have_mean_0_and_deviation_1():
    rng = np.random.default_rng(0)
    scores = rng.standard_normal((4, 30)) * 7 + 3
    scores[:, ::5] = -INF
    scores[3] = 2.5
    made = standardised(scores)
    able = np.isfinite(scores)
    for row in range(3):
        want = (scores[row, able[row]] - scores[row, able[row]].mean()) / scores[row, able[row]].std()
        np.testing.assert_allclose(made[row, able[row]], want, atol=1e-6)
    assert not made[3, 1:].any(), "a model that scores everything alike says nothing"
    assert np.array_equal(np.isfinite(made[:3]), able[:3])


@pytest.mark.parametrize(("join", "brought"), [("rank", rank_shares), ("score", standardised)])
def test_ranks_and_scores_are_joined_by_their_weighted_mean(world, join, brought):
    data, features = world
    queries = data.queries()
    model = Decision(join=join, weights={"image": 3.0}).fit(data, features)
    want = joined([brought(p) for p in apart(data, features, queries)], (1, 3))
    np.testing.assert_allclose(model.score(queries), want, atol=1e-5)


def test_a_vote_is_for_the_best_unseen_items_and_ties_go_by_rank(world):
    data, features = world
    queries, top = data.queries(), 5
    parts = apart(data, features, queries)
    votes = [np.where(np.isfinite(part), 0.0, -INF) for part in parts]
    for vote, part in zip(votes, parts, strict=True):
        for row in range(len(queries)):
            seen = queries.take(np.array([row])).items
            edge = np.sort(np.delete(part[row], seen))[-top]
            vote[row, (part[row] >= edge) & np.isfinite(part[row])] = 1
    want = joined(votes, (1, 1)) + 1e-3 * joined([rank_shares(p) for p in parts], (1, 1))
    np.testing.assert_allclose(Decision(join="vote", top=top).fit(data, features).score(queries), want, atol=1e-5)


@pytest.mark.parametrize("join", ["score", "rank", "vote", "stack"])
def test_an_item_is_scored_exactly_where_one_of_the_models_can(world, join):
    data, features = world
    queries = data.queries()
    able = np.any([np.isfinite(p) for p in apart(data, features, queries)], axis=0)
    assert np.array_equal(np.isfinite(Decision(join=join).fit(data, features).score(queries)), able)


def noisy_world(seed=0, n=150, users=80):
    """Taste shows in the text; the picture is noise."""
    rng = np.random.default_rng(seed)
    groups = rng.integers(4, size=n)
    vectors = {"text": np.eye(6)[groups] + 0.3 * rng.standard_normal((n, 6)), "image": rng.standard_normal((n, 6))}
    features = FeatureSet({k: Features(v.astype(np.float32), np.ones(n, bool), k) for k, v in vectors.items()})
    chosen = [(u, i) for u in range(users) for i in rng.choice(np.flatnonzero(groups == u % 4), 8, replace=False)]
    events = Events.of(*np.array(chosen).T)
    return Dataset.of(events, users, n), features, groups[None, :] == np.arange(users)[:, None] % 4


def test_stacking_learns_which_model_to_trust():
    data, features, right = noisy_world()
    model = Decision(join="stack").fit(data, features, rng=0)
    text, image = model.weights_
    assert text > 1
    assert abs(image) < 0.3 * text
    even = Decision(join="score").fit(data, features)
    seen = data.queries().seen(data.n_items).toarray() > 0
    quality = [float(auc(m.score(data.queries()), right, ~seen).mean()) for m in (model, even)]
    assert quality[0] > quality[1] + 0.02


def test_stacking_uses_the_validation_it_is_given():
    data, features, _ = noisy_world()
    holdout, rest = hold_out(data, np.random.default_rng(1))
    model = Decision(join="stack").fit(rest, features, rng=0, validation=holdout)
    inner = [ContentKNN().fit(rest, features.only([n])) for n in features]
    weights, bias = stacked(holdout, lambda q: [standardised(m.score(q)) for m in inner], np.random.default_rng(0))
    assert weights[0] > 1
    assert model.weights_[0] == pytest.approx(weights[0], rel=0.2), "other random items, the same questions"
    assert len(bias) == 2


def test_where_nobody_can_be_asked_all_weigh_alike():
    data = Dataset.of(Events.of([0, 1], [0, 1]), 2, 4)
    features = FeatureSet({n: Features(np.eye(4, dtype=np.float32), np.ones(4, bool), n) for n in ("a", "b")})
    model = Decision(join="stack").fit(data, features)
    assert model.weights_.tolist() == [0.5, 0.5]


def test_logistic_regression_finds_the_odds():
    """With one 0/1 input and hardly any penalty the weight is the difference of the log odds."""
    inputs = np.repeat([0.0, 1.0], 4000)[:, None]
    labels = np.concatenate([np.arange(4000) % 4 == 0, np.arange(4000) % 2 == 0]).astype(float)
    assert logistic(inputs, labels)[0] == pytest.approx(np.log(1) - np.log(1 / 3), abs=0.03)


@pytest.mark.parametrize("inner", ["linear", "itemknn"])
def test_any_model_can_be_inside_and_is_saved_whole(world, inner, tmp_path):
    data, features = world
    model = Decision(model=inner, inner={"search": False} if inner == "linear" else {}).fit(data, features, rng=0)
    model.save(tmp_path / "model")
    again = load_component(tmp_path / "model", "model")
    queries = Queries.from_lists([[0, 2], [1]])
    np.testing.assert_allclose(again.score(queries), model.score(queries), atol=1e-6)


def test_wrong_settings_are_refused_in_words(world):
    data, features = world
    with pytest.raises(SettingError, match="txet"):
        Decision(weights={"txet": 1.0}).fit(data, features)
    with pytest.raises(SettingError, match="All weights are 0"):
        Decision(weights={"text": 0.0, "image": 0.0}).fit(data, features)
    with pytest.raises(SettingError, match="contentkn"):
        Decision(model="contentkn").fit(data, features)
    with pytest.raises(SettingError, match="matsch"):
        Decision(inner={"matsch": "max"}).fit(data, features)
    with pytest.raises(DataError, match="features"):
        Decision().fit(data)
