"""Fusers in a chain: the steps do what they do alone, are saved with it, and are checked before anything is learned."""

from __future__ import annotations

import numpy as np
import pytest

from salon.component import load_component
from salon.data import Events
from salon.encode.base import Features, FeatureSet
from salon.errors import NotFittedError, SettingError
from salon.fuse.chain import Chain
from salon.fuse.impute_graph import ImputeGraph
from salon.fuse.simple import Concat
from salon.pipeline import Pipeline


def gappy(n: int = 30) -> FeatureSet:
    rng = np.random.default_rng(0)
    found = {}
    for name, dim in (("text", 5), ("image", 3)):
        present = rng.random(n) < 0.7
        vectors = rng.standard_normal((n, dim)).astype(np.float32)
        found[name] = Features(np.where(present[:, None], vectors, np.float32(0)), present, name)
    return FeatureSet(found)


EVENTS = Events.of(np.arange(60) % 7, np.arange(60) % 30)
STEPS = [{"name": "impute-graph", "neighbours": 4}, {"name": "concat", "weights": {"text": 2.0}}]


def test_a_chain_is_its_steps_one_after_the_other():
    features = gappy()
    graph = ImputeGraph(neighbours=4).fit(features, EVENTS)
    between = graph.transform(features)
    expected = Concat(weights={"text": 2.0}).fit(between).transform(between)["fused"]
    chain = Chain(steps=STEPS).fit(features, EVENTS)
    found = chain.transform(features)["fused"]
    assert np.array_equal(found.vectors, expected.vectors)
    assert found.fingerprint == expected.fingerprint
    for name, rows in graph.filled(features).items():
        assert np.array_equal(chain.filled(features)[name], rows)


@pytest.mark.parametrize("steps", [STEPS, ["impute-mean", {"name": "chain", "steps": ["impute-ridge", "pca"]}]])
def test_a_chain_is_saved_with_its_steps(steps, tmp_path):
    features = gappy()
    chain = Chain(steps=steps).fit(features, EVENTS)
    chain.save(tmp_path / "chain")
    before, after = chain.transform(features), load_component(tmp_path / "chain", "fuser").transform(features)
    assert list(before) == list(after)
    for name in before:
        assert np.array_equal(before[name].vectors, after[name].vectors)
        assert before[name].fingerprint == after[name].fingerprint


def test_a_chain_without_an_imputer_fills_nothing():
    assert Chain(steps=["concat"]).fit(gappy()).filled(gappy()) == {}


def test_steps_are_checked_before_anything_is_learned():
    with pytest.raises(SettingError, match="impute-graph"):
        Chain(steps=["impute-grapf"])
    with pytest.raises(SettingError, match="neighbours"):
        Chain(steps=[{"name": "impute-graph", "neighbors": 3}])
    with pytest.raises(SettingError, match="step of 'chain'"):
        Chain(steps=[{"neighbours": 3}])
    with pytest.raises(SettingError, match="steps"):
        Chain(steps=[])
    with pytest.raises(NotFittedError):
        Chain(steps=["concat"]).transform(gappy())


def test_a_catalogue_file_may_name_a_chain(make_shop, tmp_path):
    path = make_shop(tmp_path, model='name = "contentknn"')
    steps = 'steps = [{ name = "impute-graph", neighbours = 3 }, "concat"]'
    path.write_text(f'{path.read_text()}\n[fuse]\nname = "chain"\n{steps}\n')
    shop = Pipeline.read(path).fit()
    shop.save(tmp_path / "model")
    again = Pipeline.load(tmp_path / "model")
    (before,), (after,) = (one.recommend(histories=[["thing-02", "thing-04"]], k=5) for one in (shop, again))
    assert [item.id for item in before.items] == [item.id for item in after.items]
    assert isinstance(again.fuser, Chain)
    assert {n: rows.tolist() for n, rows in again.fuser.filled(again.features).items()} == {
        n: rows.tolist() for n, rows in shop.fuser.filled(shop.features).items()
    }
