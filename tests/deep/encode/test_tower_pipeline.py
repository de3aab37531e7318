"""A catalogue file trains towers, and what is held out is never looked at."""

import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import salon
from salon.data.split import random_split
from salon.encode.run import CatalogueEncoder
from salon.errors import DataError, SettingError
from salon.pipeline import Pipeline
from salon.pipeline_judge import judge

TOWER = "side = 16, width = 8, dim = 8, epochs = 2, holdout = 0.0, device = 'cpu'"


def shop_with(make_shop: Callable[..., Path], folder: Path, image: str) -> Pipeline:
    path = make_shop(folder)
    text = path.read_text().replace('image = "colour"', f"image = {image}")
    assert tomllib.loads(text)["encode"]["image"]
    path.write_text(text)
    return Pipeline.read(path)


def test_an_event_trained_tower_sees_the_training_part_alone(make_shop: Callable[..., Path], tmp_path: Path) -> None:
    pipeline = shop_with(make_shop, tmp_path / "a", f"{{name = 'tower-image', {TOWER}}}").encode()
    assert "image" not in pipeline.features  # it waits for a log
    data = pipeline.dataset
    split = random_split(data, rng=0)
    before = pipeline.features_for(split.train)["image"]
    assert before.present.sum() == 23  # one picture is broken, one absent
    assert any("3.png" in str(p) or p.id == "thing-03" for p in pipeline.encoded.problems)  # type: ignore[union-attr]

    seen = set(zip(split.train.events.users.tolist(), split.train.events.items.tolist(), strict=True))
    held = [i for i, pair in enumerate(zip(data.events.users, data.events.items, strict=True)) if pair not in seen]
    assert len(held) > 20
    items = data.events.items.copy()
    items[held] = (items[held] + 1) % 20  # other answers to the same questions
    changed = data.with_events(replace(data.events, items=items))
    kept = changed.with_events(changed.events.take(np.setdiff1d(np.arange(len(items)), held)))
    after = pipeline.features_for(kept)["image"]
    assert after.fingerprint == before.fingerprint
    assert np.array_equal(after.vectors, before.vectors)
    everything = pipeline.features_for(data)["image"]
    assert everything.fingerprint != before.fingerprint  # the events do matter


def test_a_comparison_trains_on_its_training_part(make_shop: Callable[..., Path], tmp_path: Path) -> None:
    pipeline = shop_with(make_shop, tmp_path, f"{{name = 'tower-image', {TOWER}}}")
    trial = judge(pipeline, ["contentknn"], seed=3)
    alone = pipeline.features_for(trial.split.train, rng=3)["image"]
    assert trial.features["image"].fingerprint == alone.fingerprint


def test_a_fitted_shop_with_a_tower_is_saved_and_answers(make_shop: Callable[..., Path], tmp_path: Path) -> None:
    pipeline = shop_with(make_shop, tmp_path, f"['colour', {{name = 'tower-image', {TOWER}}}]").fit()
    assert list(pipeline.features) == ["text", "image", "category", "number"]
    pipeline.save(tmp_path / "model")
    wanted = [s.id for s in pipeline.recommend(["p01"], k=3)[0].items]
    assert [s.id for s in salon.load(tmp_path / "model").recommend(["p01"], k=3)[0].items] == wanted


def test_labels_of_a_field_are_learned_before_any_log(make_shop: Callable[..., Path], tmp_path: Path) -> None:
    spec = f"{{name = 'tower-image', learn = 'classes', label = 'kind', {TOWER.replace('epochs = 2', 'epochs = 12')}}}"
    pipeline = shop_with(make_shop, tmp_path, spec).encode()
    found = pipeline.features["image"]
    kinds = np.array([values[0] for values in pipeline.dataset.items["kind"].values])[found.present]
    vectors = found.vectors[found.present]
    same = (vectors @ vectors.T)[kinds[:, None] == kinds[None]].mean()
    assert same > (vectors @ vectors.T)[kinds[:, None] != kinds[None]].mean() + 0.3


@pytest.mark.parametrize(
    ("label", "error", "match"),
    [("nonsense", DataError, "no field 'nonsense'"), ("price", SettingError, "'price' is declared number")],
)
def test_a_wrong_label_is_told(
    make_shop: Callable[..., Path], tmp_path: Path, label: str, error: type[Exception], match: str
) -> None:
    spec = f"{{name = 'tower-image', learn = 'classes', label = '{label}', {TOWER}}}"
    with pytest.raises(error, match=match):
        shop_with(make_shop, tmp_path, spec).encode()


def test_a_tower_of_one_shop_starts_that_of_another(make_shop: Callable[..., Path], tmp_path: Path) -> None:
    first = shop_with(make_shop, tmp_path / "a", f"{{name = 'tower-image', {TOWER}}}")
    items, liked = first.dataset.items, first.dataset.positives()
    encoders = CatalogueEncoder.of(items, {"image": first.shop.encode.specs["image"]}).fit(items, liked)
    tower = encoders["image"]
    (tmp_path / "b").mkdir()
    tower.save(tmp_path / "b" / "tower")
    second = shop_with(make_shop, tmp_path / "b", "{name = 'tower-image', start = 'tower', learn = 'nothing'}")
    found = second.encode().features["image"]
    assert found.dim == tower.dim == 8
    path = tmp_path / "b" / "media" / "0.png"
    assert np.allclose(found.vectors[0], tower.encode([path])[0], atol=1e-6)


def test_a_comparison_knows_of_features_that_wait(make_shop: Callable[..., Path], tmp_path: Path) -> None:
    pipeline = shop_with(make_shop, tmp_path, f"{{name = 'tower-image', {TOWER}}}").encode()
    assert pipeline.encoded is not None
    assert pipeline.encoded.waiting == ("image",)
    assert pipeline.encoded.names == [*pipeline.features, "image"]
