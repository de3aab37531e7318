"""The split of a score is exact: parts add up, a modality of weight 0 has none, each part is what the equations say."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from linear_worlds import POINT, features, fitted, one, profiled, world

from salon.data import Queries
from salon.encode.base import FeatureSet
from salon.errors import DataError
from salon.explain import explain
from salon.models.linear_media import Media

POINTS = {
    "plain": POINT,
    "order": POINT.moved({"order": 2.0, "order_reach": 3.0, "reach": 2.0}),
    "prior": POINT.moved({"prior": 0.7}),
    "both": POINT.moved({"order": 1.0, "prior": 0.3}),
    "clicks": POINT.moved({"media:text": 0.0, "media:image": 0.0}),
    "power": POINT.moved({"twin_power": 2}),
}
MODELS = {name: fitted(point) for name, point in POINTS.items()}

histories = st.lists(st.tuples(st.integers(0, 14), st.sampled_from([1.0, 2.0, -1.0])), min_size=1, max_size=8)


def split_of(model, queries, target):
    return model.contributions(queries, np.full(len(queries), target))


@settings(max_examples=60)
@given(name=st.sampled_from(sorted(POINTS)), history=histories)
def test_parts_add_up_to_the_score(name, history):
    model = MODELS[name]
    queries = Queries.from_lists([[i for i, _ in history]], [[w for _, w in history]])
    scores = model.score(queries)[0]
    size = np.abs(scores).max()
    for target in range(15):
        found = split_of(model, queries, target)
        tolerance = 1e-4 * float(max(np.abs(found.values).sum(), size))
        assert found.values.sum() == pytest.approx(scores[target], abs=tolerance)
        assert found.values.shape == (len(queries.items), len(found.parts))


@pytest.mark.parametrize("name", POINTS)
@pytest.mark.parametrize("target", [4, 12])
def test_parts_add_up_action_by_action(name, target):
    model, history = MODELS[name], [2, 13, 9]
    found = split_of(model, one(*history), target)
    for place, item in enumerate(history):
        weight = np.exp(-(2 - place) / model.point.reach) if model.point.reach else 1.0
        alone = model.score(one(item))[0, target] * weight
        assert found.values[place].sum() == pytest.approx(alone, rel=1e-3, abs=1e-5)


def test_each_query_has_its_own_target():
    model = MODELS["both"]
    queries = Queries.from_lists([[1, 2], [13], [], [4, 5, 6]])
    targets = np.array([3, 12, 5, 14])
    found = model.contributions(queries, targets)
    sums = np.bincount(queries.row_of(), found.values.sum(axis=1), minlength=4) + found.rest
    scores = model.score(queries)[np.arange(4), targets]
    np.testing.assert_allclose(sums[[0, 1, 3]], scores[[0, 1, 3]], rtol=1e-3)
    assert sums[2] == 0


def test_the_profile_is_the_rest():
    data = profiled()
    model = fitted(data=data)
    queries = data.queries(np.array([0, 1]))
    found = model.contributions(queries, np.array([3, 13]))
    sums = np.bincount(queries.row_of(), found.values.sum(axis=1), minlength=2) + found.rest
    np.testing.assert_allclose(sums, model.score(queries)[[0, 1], [3, 13]], rtol=1e-3)
    assert (found.rest != 0).all()


def test_clicks_and_media_parts_are_what_the_equation_says():
    model, media, data = MODELS["plain"], Media.of(features()), world()
    x = np.zeros((40, 12))
    x[data.events.users, data.events.items] = 1
    x *= (x.sum(axis=1) ** -POINT.user_exponent)[:, None]
    scaled = x * model.into_
    gram = scaled.T @ scaled
    unit = gram.diagonal().mean()
    rest = np.eye(12) - model.weights_
    ridge = POINT.ridge * unit + POINT.dropout / (1 - POINT.dropout) * gram.diagonal()
    expected = {"clicks": gram @ rest}
    for name in media.names:
        rows = media.rows[name][:12].astype(float)
        expected[name] = POINT.media[name] * unit * rows @ rows.T @ rest
    found = split_of(model, one(3), 4)
    for name, part in zip(found.parts, found.values[0], strict=True):
        value = expected[name][3, 4] / ridge[3] * model.into_[3] * model.out_[4]
        assert part == pytest.approx(value, rel=1e-3, abs=1e-6)


def test_a_modality_of_weight_zero_has_no_part():
    found = split_of(MODELS["plain"].refit_with({"media:image": 0.0}), one(3, 5), 4)
    assert found.parts == ("clicks", "text", "image")
    assert (found.values[:, 2] == 0).all()
    assert (found.values[:, 1] != 0).any()


def test_cold_targets_are_explained_by_modality_alone():
    found = split_of(MODELS["plain"], one(3, 5), 13)
    assert (found.values[:, 0] == 0).all()
    off = split_of(MODELS["plain"].refit_with({"twins:image": 0.0}), one(3, 5), 13)
    assert (off.values[:, 2] == 0).all()


def test_dislikes_count_against_in_the_split():
    found = split_of(MODELS["plain"], one(3, 5, weights=[1.0, -1.0]), 4)
    assert found.values[0].sum() > 0 > found.values[1].sum()


def test_the_target_itself_adds_nothing_and_a_bare_item_cannot_be_split():
    assert (split_of(MODELS["plain"], one(3, 5), 3).values[0] == 0).all()
    hidden = FeatureSet({name: f.hide(np.array([14])) for name, f in features().items()})
    with pytest.raises(DataError, match="Item row 14"):
        split_of(fitted(items=hidden), one(3), 14)


def test_the_evidence_of_the_library_is_exact():
    model = MODELS["both"]
    evidence = explain(model, one(3, 5), np.array([4]))[0]
    assert evidence.method == "exact"
