"""Statistics of sensor series, and series as a modality of a catalogue from the table to the vectors."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from salon.config import build
from salon.data.ids import IdMap
from salon.data.items import Field, Items
from salon.data.read import read_items
from salon.data.sources import ItemsSource
from salon.encode.cache import VectorCache
from salon.encode.run import CatalogueEncoder, encode_items
from salon.encode.series import STATISTICS, SeriesStatistics, window_statistics
from salon.errors import MediaError
from salon.pipeline import Pipeline
from salon.quality_content import exact_duplicates
from salon.types import Modality


def measured(wave: np.ndarray, step: float = 1.0) -> dict[str, float]:
    return dict(zip(STATISTICS, window_statistics(wave[None, :, None], step)[0, 0].tolist(), strict=True))


def wave(hz: float, *, seconds: float = 8.0, rate: float = 64.0, size: float = 3.0, level: float = 2.0) -> np.ndarray:
    return level + size * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)


@pytest.mark.parametrize("hz", [1.0, 5.3, 11.7, 20.0])
def test_a_sine_has_the_statistics_of_the_textbook(hz: float) -> None:
    found = measured(wave(hz), 1 / 64)
    assert abs(found["frequency"] - hz) < 0.03
    assert found["purity"] > 0.9
    assert abs(found["mean"] - 2) < 0.1
    assert abs(found["std"] - 3 / np.sqrt(2)) < 0.03
    assert abs(found["energy"] - np.log1p(4 + 4.5)) < 0.05
    assert abs(found["crossings"] - 2 * hz) < 0.3
    assert abs(found["slope"]) < 0.2
    assert abs(found["autocorrelation"] - np.cos(2 * np.pi * hz / 64)) < 0.03
    assert found["period"] > 0.5
    assert found["present"] == 1


def test_a_line_has_its_slope_and_no_crossings_but_one() -> None:
    found = measured(3 * np.arange(100) * 0.5 + 7, 0.5)
    assert found["slope"] == pytest.approx(3)
    assert (found["min"], found["max"]) == (7, 7 + 3 * 49.5)
    assert found["crossings"] * 49.5 == pytest.approx(1)


def test_a_flat_series_has_no_wave_whatever_rounding_says() -> None:
    found = measured(np.full(64, 7.1))
    assert [found[name] for name in ("frequency", "purity", "crossings", "autocorrelation", "period")] == [0] * 5


def test_gaps_are_left_out_and_a_single_number_says_nothing() -> None:
    full = wave(2.0)
    gappy = full.copy()
    gappy[np.random.default_rng(0).random(len(full)) < 0.2] = np.nan
    whole, part = measured(full, 1 / 64), measured(gappy, 1 / 64)
    assert part["present"] == pytest.approx(np.isfinite(gappy).mean())
    assert part["mean"] == pytest.approx(np.nanmean(gappy))
    assert part["std"] == pytest.approx(np.nanstd(gappy))
    assert part["frequency"] == pytest.approx(whole["frequency"], abs=0.05)
    lone = np.full(64, np.nan)
    lone[3] = 1.0
    assert np.isnan(list(measured(lone).values())).all()


def two_kinds(count: int, rng: np.random.Generator) -> tuple[list[str], np.ndarray]:
    """JSON series of two frequencies, each with its own level, size, phase, length and noise."""
    kinds = rng.integers(0, 2, count)
    values = []
    for kind in kinds:
        time = np.arange(int(rng.integers(150, 400))) / 20
        hz = (1.0, 2.2)[kind] * rng.uniform(0.9, 1.1)
        clean = rng.normal(0, 1) + rng.uniform(0.5, 2) * np.sin(2 * np.pi * (hz * time + rng.random()))
        values.append(json.dumps((clean + 0.1 * rng.standard_normal(len(time))).round(4).tolist()))
    return values, kinds


def nearest_is_right(vectors: np.ndarray, kinds: np.ndarray) -> float:
    distance = ((vectors[:, None] - vectors[None]) ** 2).sum(axis=2)
    np.fill_diagonal(distance, np.inf)
    return float((kinds[distance.argmin(axis=1)] == kinds).mean())


def test_two_kinds_of_waves_are_told_apart_by_their_nearest_neighbour() -> None:
    values, kinds = two_kinds(80, np.random.default_rng(1))
    vectors = SeriesStatistics(window=64).fit(values).encode(values)
    assert vectors.shape == (80, 25)
    assert nearest_is_right(vectors, kinds) > 0.95
    assert 0.3 < nearest_is_right(np.random.default_rng(0).normal(size=(80, 25)), kinds) < 0.7


def test_scaling_is_learned_at_fit_and_frozen() -> None:
    values, _ = two_kinds(40, np.random.default_rng(2))
    encoder = SeriesStatistics().fit(values)
    vectors = encoder.encode(values)[:, :24]
    spread = vectors.std(axis=0)
    assert np.abs(vectors.mean(axis=0)).max() < 0.2
    assert ((spread > 0.7) & (spread < 1.1) | (spread == 0)).all()
    np.testing.assert_array_equal(encoder.encode(values[:1])[0, :24], vectors[0])
    far = json.dumps((1e9 * np.arange(100.0)).tolist())
    assert np.abs(encoder.encode([far])).max() <= 5


def test_a_missing_channel_is_masked_not_zero_read_as_a_value(tmp_path: Path) -> None:
    for i in range(6):
        lines = ["time,heart,steps"] + [f"{t},{60 + i + t % 3},{100 * (t % 2)}" for t in range(40)]
        (tmp_path / f"{i}.csv").write_text("\n".join(lines))
    (tmp_path / "half.csv").write_text("\n".join(["time,heart"] + [f"{t},{60 + t % 3}" for t in range(40)]))
    paths = [tmp_path / f"{i}.csv" for i in range(6)] + [tmp_path / "half.csv"]
    encoder = SeriesStatistics().fit(paths)
    assert encoder.channels_ == ["heart", "steps"]
    assert encoder.step_ == 1
    half = encoder.encode(paths)[-1].reshape(2, 25)
    assert half[0, -1] == 1
    assert half[1].tolist() == [0] * 25
    (tmp_path / "other.csv").write_text("time,pulse\n0,1\n1,2\n2,3\n")
    with pytest.raises(MediaError, match="none of heart, steps"):
        encoder.prepare(tmp_path / "other.csv")


def test_irregular_and_regular_recordings_of_one_wave_are_alike(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    paths = []
    for name, times in (("even", np.arange(0, 60, 0.1)), ("odd", np.sort(rng.uniform(0, 60, 600)))):
        for hz in (0.5, 1.5):
            path = tmp_path / f"{name}-{hz}.csv"
            path.write_text("time,v\n" + "\n".join(f"{t},{np.sin(2 * np.pi * hz * t)}" for t in times))
            paths.append(path)
    vectors = SeriesStatistics().fit(paths).encode(paths)
    for odd, same, other in ((2, 0, 1), (3, 1, 0)):
        assert np.linalg.norm(vectors[odd] - vectors[same]) < np.linalg.norm(vectors[odd] - vectors[other])


def catalogue(root: Path) -> Items:
    """Seven items: a file, a file in another format, a list, a broken file, an absent one, one outside, none."""
    (root / "s").mkdir()
    (root / "s/a.csv").write_text("0,v\n" + "\n".join(f"{i},{i % 5}" for i in range(50)))
    np.save(root / "s/b.npy", np.arange(30.0))
    (root / "s/broken.csv").write_text("v\nonly,words\n")
    (root.parent / "secret.csv").write_text("1\n2\n3\n")
    (root / "s/link.csv").symlink_to(root.parent / "secret.csv")
    values = ["s/a.csv", "s/b.npy", "[1, 2, 3, 2, 1, null, 3]", "s/broken.csv", "s/absent.csv", "s/link.csv", None]
    field = Field.of("heart", "series", values)
    return Items(IdMap([f"i{n}" for n in range(len(values))]), {"heart": field}, root)


def test_broken_series_are_masked_and_reported_like_pictures(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    items = catalogue(tmp_path / "root")
    features, problems = encode_items(items)
    assert features["series"].present.tolist() == [True, True, True, False, False, False, False]
    assert features["series"].dim == 50  # the channels "0" and "v", learned from the files
    told = {p.id: p.reason for p in problems}
    assert set(told) == {"i3", "i4", "i5"}
    assert "no channel" in told["i3"]
    assert "cannot be opened" in told["i4"]
    assert "leaves its folder" in told["i5"]


def test_a_catalogue_of_broken_series_is_masked_whole(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    items = catalogue(tmp_path / "root").take(np.array([3, 4]))
    features, problems = encode_items(items)
    assert not features["series"].present.any()
    assert len(problems) == 2


def test_vectors_are_cached_by_content_and_survive_saving(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    items = catalogue(tmp_path / "root")
    encoders = CatalogueEncoder.of(items).fit(items)
    (tmp_path / "saved").mkdir()
    encoders.write(tmp_path / "saved")
    again = CatalogueEncoder.read(tmp_path / "saved")
    with VectorCache(tmp_path / "vectors.sqlite") as cache:
        first = encoders.encode(items, cache).features["series"]
        done: list[tuple[int, int]] = []
        second = again.encode(items, cache, progress=lambda d, t, w: done.append((d, t))).features["series"]
    np.testing.assert_array_equal(first.vectors, second.vectors)
    assert first.fingerprint == second.fingerprint
    assert done[0] == (3, 4)  # three come from the cache, the broken one is tried again


def test_series_are_declared_in_a_catalogue_file(tmp_path: Path) -> None:
    (tmp_path / "items.jsonl").write_text(
        '{"item_id": "a", "heart": "a.csv"}\n{"item_id": "b", "heart": "../b.csv"}\n{"item_id": "c", "heart": null}\n'
    )
    (tmp_path / "a.csv").write_text("1\n2\n3\n")
    (tmp_path / "shop.toml").write_text('[items]\npath = "items.jsonl"\nseries = ["heart"]\n')
    pipeline = Pipeline.read(tmp_path / "shop.toml").encode()
    assert pipeline.features["series"].present.tolist() == [True, False, False]
    assert "leaves the media folder" in str(dict(pipeline.read_result.rejects.counts))


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_lists_in_a_table_are_series_in_place(tmp_path: Path, kind: str) -> None:
    rows = [{"id": "a", "heart": [1, 2.5, None, 4]}, {"id": "b", "heart": [3, 4]}, {"id": "c", "heart": []}]
    if kind == "parquet":
        pl.DataFrame(rows, strict=False).write_parquet(tmp_path / "items.parquet")
    else:
        (tmp_path / "items.jsonl").write_text("\n".join(map(json.dumps, rows)))
    items, _ = read_items(build(ItemsSource, {"path": f"items.{kind}", "id": "id", "series": "heart"}), tmp_path)
    assert items["heart"].values == ("[1.0, 2.5, null, 4.0]", "[3.0, 4.0]", None)
    features, problems = encode_items(items)
    assert features["series"].present.tolist() == [True, True, False]
    assert not problems


def test_arrays_and_lists_become_series_in_place() -> None:
    field = Field.of("s", Modality.SERIES, [np.array([1.0, 2.0]), [[1, None], [2, 3]], (), None, "a.csv"])
    assert field.values == ("[1.0, 2.0]", "[[1, null], [2, 3]]", None, None, "a.csv")


def test_only_files_are_compared_as_files(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    items = catalogue(tmp_path / "root")
    found, absent = exact_duplicates(items)
    assert found == []
    assert {id for id, _ in absent["heart"]} == {"i4", "i5"}
