"""Networks on another catalogue: at once, and as the place where training begins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from salon.artifacts import writing
from salon.component import load_component
from salon.data import Holdout, Queries
from salon.encode.base import Features, FeatureSet
from salon.errors import DataError, FingerprintError, SettingError
from salon.models.popular import Random
from salon.models.pretrained import Transferable
from salon.registry import names, resolve
from salon.training.watch import watching
from taste_world import Shop, taste_shop

STEPS = {"dim": 16, "batch_size": 32, "epochs": 15, "patience": 0, "learning_rate": 1e-2, "ids": False}
QUICK: dict[str, dict[str, Any]] = {
    "alpharec": {"dim": 16, "batch_size": 512, "epochs": 20, "patience": 0, "learning_rate": 1e-2},
    "mediasasrec": STEPS,
    "mmrnn": STEPS,
    "melu": {"dim": 16, "hidden": 16, "batch_size": 16, "epochs": 20, "patience": 0, "learning_rate": 1e-2},
}
NAMES = list(QUICK)


@pytest.fixture(scope="module")
def shops() -> tuple[Shop, Shop]:
    return taste_shop("a", 1), taste_shop("b", 2)


@pytest.fixture(scope="module")
def saved(shops: tuple[Shop, Shop], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder per model, fitted on the first catalogue."""
    folder = tmp_path_factory.mktemp("pretrained")
    for name in NAMES:
        resolve("model", name)(**QUICK[name]).fit(shops[0].data, shops[0].features, rng=0).save(folder / name)
    return folder


def test_these_are_all_networks_that_move() -> None:
    able = {
        name for name in names("model") if name != "lambdamart" and issubclass(resolve("model", name), Transferable)
    }
    assert able == {*NAMES, "fewshot"}


@pytest.mark.parametrize("name", NAMES)
def test_on_another_catalogue_a_network_is_far_above_chance_at_once(
    name: str, shops: tuple[Shop, Shop], saved: Path
) -> None:
    there = shops[1]
    model = load_component(saved / name, "model")
    chance = there.recall(Random().fit(there.data, rng=0))
    moved = model.moved_to(there.empty(), there.features)
    assert there.recall(moved) > 2 * chance
    again = moved.moved_to(there.data, there.features)
    assert there.recall(again) > 2 * chance  # with the log of the catalogue, which a graph reads


@pytest.mark.parametrize("name", NAMES)
def test_moved_home_a_network_is_as_it_was(name: str, shops: tuple[Shop, Shop], saved: Path) -> None:
    here = shops[0]
    model = load_component(saved / name, "model")
    back, queries = model.moved_to(here.data, here.features), here.data.queries()
    if name == "melu":  # its references are drawn anew
        back.references_ = model.references_
    np.testing.assert_allclose(back.score(queries), model.score(queries), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_a_warm_start_reaches_a_score_in_fewer_epochs(name: str, shops: tuple[Shop, Shop], saved: Path) -> None:
    there = shops[1]
    holdout = Holdout(there.data.queries(), there.right)
    seen: dict[str, list[float]] = {}
    for start in ("", str(saved / name)):
        told = seen.setdefault(start, [])
        settings = {**QUICK[name], "epochs": 8, "learning_rate": 3e-3, "validate_every": 1, "pretrained": start}
        with watching(lambda epoch, score, told=told: told.append(score)):
            resolve("model", name)(**settings).fit(there.data, there.features, rng=0, validation=holdout)
    cold, warm = seen.values()
    assert warm[0] > cold[0]
    assert warm[0] >= sorted(cold)[len(cold) // 2]


@pytest.mark.parametrize("name", NAMES)
def test_without_epochs_or_without_a_log_the_pretrained_network_answers(
    name: str, shops: tuple[Shop, Shop], saved: Path
) -> None:
    there = shops[1]
    queries, model = there.data.queries(), load_component(saved / name, "model")
    make = resolve("model", name)
    nothing = make(**{**QUICK[name], "epochs": 0}, pretrained=str(saved / name)).fit(there.data, there.features)
    np.testing.assert_array_equal(nothing.score(queries), model.moved_to(there.data, there.features).score(queries))
    empty = make(**QUICK[name], pretrained=str(saved / name)).fit(there.empty(), there.features)
    np.testing.assert_array_equal(empty.score(queries), model.moved_to(there.empty(), there.features).score(queries))
    with pytest.raises(SettingError, match="epochs is 0"):
        make(**{**QUICK[name], "epochs": 0}).fit(there.data, there.features)


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_modality_is_masked_and_a_new_one_left_out(name: str, shops: tuple[Shop, Shop], saved: Path) -> None:
    there, model = shops[1], load_component(saved / name, "model")
    text = there.features.only(["text"])
    moved = model.moved_to(there.data, text)
    assert there.recall(moved) > 1.5 * there.recall(Random().fit(there.data, rng=0))
    more = model.moved_to(there.data, FeatureSet({**text, "audio": there.features["image"]}))
    np.testing.assert_array_equal(moved.score(there.data.queries()), more.score(there.data.queries()))
    with pytest.raises(DataError, match="Nothing is shared"):
        model.moved_to(there.data, FeatureSet({"audio": there.features["image"]}))
    other = Features(text["text"].vectors, text["text"].present, "text-2")
    with pytest.raises(FingerprintError, match=r"'text-2'.*text = \"none\" under \[encode\]"):
        model.moved_to(there.data, FeatureSet({"text": other}))


@pytest.mark.parametrize("name", NAMES)
def test_settings_that_shape_the_network_must_agree(name: str, shops: tuple[Shop, Shop], saved: Path) -> None:
    there = shops[1]
    model = resolve("model", name)(**{**QUICK[name], "dim": 32}, pretrained=str(saved / name))
    with pytest.raises(SettingError, match=r"dim is 32; the pretrained model has 16\. Set it to 16"):
        model.fit(there.data, there.features)
    assert not model.is_fitted


def test_free_vectors_cannot_move_but_may_be_added_to_a_warm_start(shops: tuple[Shop, Shop], saved: Path) -> None:
    here, there = shops
    make, settings = resolve("model", "mediasasrec"), {**QUICK["mediasasrec"], "epochs": 2}
    tied = make(**{**settings, "ids": True}).fit(here.data, here.features, rng=0)
    with pytest.raises(SettingError, match="ids = true"):
        tied.moved_to(there.data, there.features)
    warm = make(**{**settings, "ids": True}, pretrained=str(saved / "mediasasrec"))
    warm.fit(there.data, there.features, rng=0)
    assert np.isfinite(warm.score(Queries.from_lists([[1, 2]]))).all()


def test_a_saved_warm_start_needs_its_origin_no_more(shops: tuple[Shop, Shop], saved: Path, tmp_path: Path) -> None:
    there = shops[1]
    settings = {**QUICK["alpharec"], "epochs": 1}
    model = resolve("model", "alpharec")(**settings, pretrained=str(saved / "alpharec"))
    model.fit(there.data, there.features, rng=0).save(tmp_path / "warm")
    loaded = load_component(tmp_path / "warm", "model")
    loaded.settings = loaded.settings.model_copy(update={"pretrained": "gone"})
    queries = there.data.queries()
    np.testing.assert_array_equal(loaded.score(queries), model.score(queries))
    assert there.recall(loaded.moved_to(there.data, there.features)) > 0


def test_a_whole_pipeline_may_be_named(shops: tuple[Shop, Shop], saved: Path, tmp_path: Path) -> None:
    there = shops[1]
    with writing(tmp_path / "shop", "pipeline") as folder:
        (folder / "model").mkdir()
        load_component(saved / "alpharec", "model").write(folder / "model")
    queries, make = there.data.queries(), resolve("model", "alpharec")
    settings = {**QUICK["alpharec"], "epochs": 0}
    one, other = (
        make(**settings, pretrained=str(path)).fit(there.data, there.features)
        for path in (tmp_path / "shop", saved / "alpharec")
    )
    np.testing.assert_array_equal(one.score(queries), other.score(queries))
