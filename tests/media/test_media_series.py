"""Sensor series: every format, times, gaps, broken and hostile files, and the regular grid."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from salon.errors import DataError, MediaError
from salon.media import MediaLimits
from salon.media.series import Series, read_series
from salon.media.series_grid import resample, usual_step, windows

CSV = "time,heart,steps,note\n0,60,1,rest\n1,62,,\n2,64,3,walk\n"


def parquet(**columns: list) -> bytes:
    buffer = io.BytesIO()
    pl.DataFrame(columns, strict=False).write_parquet(buffer)
    return buffer.getvalue()


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        CSV.encode(),
        CSV.replace(",", ";").encode(),
        CSV.replace(",", "\t").replace("\n", "\r\n").encode("utf-8-sig"),
        parquet(time=[0, 1, 2], heart=[60, 62, 64], steps=[1.0, None, 3.0], note=["rest", None, "walk"]),
        b'{"time": 0, "heart": 60, "steps": 1, "note": "rest"}\n{"time": 1, "heart": 62}\n\n'
        b'{"time": 2, "heart": 64, "steps": 3}\n',
        b'[{"time": 0, "heart": 60, "steps": 1}, {"time": 1, "heart": 62, "steps": null},'
        b' {"time": 2, "heart": 64, "steps": 3}]',
        b"when are we,Time,heart,steps\nnoon,2,64,3\nlater,0,60,1\nnever,1,62,nan\n,,1000,1000\n",
    ],
)
def test_every_format_says_the_same(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "named.wrong").write_bytes(content)
    for source in (content, tmp_path / "named.wrong"):
        series = read_series(source)
        assert (series.channels, series.timed) == (("heart", "steps"), True)
        np.testing.assert_array_equal(series.times, [0, 1, 2])
        np.testing.assert_array_equal(series.values, [[60, 1], [62, np.nan], [64, 3]])


@pytest.mark.parametrize(
    "content", ["[1, null, 3.5]", b"1\n\n3.5\n", b"[[1], [null], [3.5]]", npy(np.array([1, np.nan, 3.5]))]
)
def test_numbers_alone_are_evenly_spaced(content: str | bytes) -> None:
    series = read_series(content)
    assert (series.channels, series.timed) == (("0",), False)
    kept = series.values[np.isfinite(series.values)]
    np.testing.assert_array_equal(kept, [1, 3.5])
    np.testing.assert_array_equal(series.times, np.arange(len(series.times)))


def test_columns_of_an_array_are_channels() -> None:
    values = np.arange(12.0).reshape(4, 3)
    series = read_series(npy(np.asfortranarray(values)))
    assert series.channels == ("0", "1", "2")
    np.testing.assert_array_equal(series.values, values)


def test_dates_are_seconds_and_same_times_are_averaged() -> None:
    written = "date,v\n2024-01-01T00:01:00,5\n2024-01-01T00:00:00,1\n2024-01-01T00:00:00,3\nsoon,100\n"
    series = read_series(written.encode())
    np.testing.assert_allclose(series.times - 1704067200, [0, 60])
    np.testing.assert_allclose(series.values[:, 0], [2, 5])


def test_channels_and_time_can_be_named() -> None:
    series = read_series(b"a,b,c\n0,5,9\n10,6,8\n", time="a", channels=("c", "missing"))
    assert series.channels == ("c",)
    np.testing.assert_array_equal(series.times, [0, 10])
    with pytest.raises(MediaError, match="no column 'clock'"):
        read_series(CSV.encode(), time="clock")


def test_a_column_is_a_channel_when_half_of_it_is_numbers() -> None:
    series = read_series(b"a,b\n1,x\n2,1\nbroken,y\n4,z\n")
    assert series.channels == ("a",)
    np.testing.assert_array_equal(series.values[:, 0], [1, 2, np.nan, 4])


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "empty"),
        (b"\x93NUMPY\x01\x00", "cannot be decoded"),
        (npy(np.array([1.0, 2.0]))[:-4], "cannot be decoded"),
        (npy(np.zeros((2, 2, 2))), "not rows of numbers"),
        (npy(np.array([{"run": "me"}], dtype=object)), "not rows of numbers"),
        (b"PAR1 and then nothing", "cannot be decoded"),
        (parquet(time=[1, 2, 3], v=[1, 2, 3])[:-20], "cannot be decoded"),
        (b"\xff\xfe\x00\x01", "no text"),
        (b"[1, 2", "cannot be decoded"),
        (b"[" * 100_000, "cannot be decoded"),
        (b'{"a": 1}\nnot json', "cannot be decoded"),
        (b'"a" word\nonly words', "no channel"),
        (b"[]", "no channel"),
        (b"[null, null, NaN, Infinity]", "no channel"),
        (b"[5]", "no channel"),
        (b"time,v\n,1\n,2\n", "no row with a time"),
        (b"\x89PNG\r\n\x1a\n", "no text"),
    ],
)
def test_broken_files_are_told(content: bytes, told: str) -> None:
    with pytest.raises(MediaError, match=told):
        read_series(content)


def test_limits_hold_before_memory_is_taken(tmp_path: Path) -> None:
    small = MediaLimits(max_series_rows=100, max_series_channels=4, max_series_bytes=20_000)
    rows = "v\n" + "1\n" * 101
    for content in (rows.encode(), npy(np.zeros(101)), json.dumps([0] * 101).encode(), parquet(v=[0] * 101)):
        with pytest.raises(MediaError, match="101 rows"):
            read_series(content, limits=small)
    wide = {f"c{i}": [1.0, 2.0] for i in range(5)}
    with pytest.raises(MediaError, match="5 channels"):
        read_series(parquet(**wide), limits=small)
    with pytest.raises(MediaError, match="columns beyond"):
        read_series(npy(np.zeros((2, 13))), limits=small)
    with pytest.raises(MediaError, match="20,001 bytes"):
        read_series(b"1\n" * 20_000, limits=small)
    header = npy(np.zeros(2)).replace(b"(2,), ", b"(99999999999999,), ")
    with pytest.raises(MediaError, match="rows"):
        read_series(header)
    pipe = tmp_path / "folder"
    pipe.mkdir()
    with pytest.raises(MediaError, match="not a regular file"):
        read_series(pipe)


def sampled(times: np.ndarray, *columns: np.ndarray) -> Series:
    return Series(times, np.stack(columns, axis=1), tuple(map(str, range(len(columns)))), True)


def test_irregular_times_meet_the_wave_on_the_grid() -> None:
    times = np.sort(np.random.default_rng(0).uniform(0, 10, 2000))
    series = sampled(times, np.sin(2 * np.pi * times))
    values = resample(series, 0.05)
    grid = times[0] + 0.05 * np.arange(len(values))
    assert len(values) == int((times[-1] - times[0]) / 0.05) + 1
    np.testing.assert_allclose(values[:, 0], np.sin(2 * np.pi * grid), atol=0.1)
    assert usual_step(series) < 0.01


def test_short_gaps_are_bridged_and_long_ones_stay() -> None:
    times = np.arange(20.0)
    column = times * 2
    column[[4, 5]] = np.nan  # numbers at 3 and 6 are 3 steps apart
    column[10:14] = np.nan  # 9 and 14 are 5 apart
    values = resample(sampled(times, column), 1.0, bridge=3)[:, 0]
    np.testing.assert_allclose(values[:10], times[:10] * 2)
    assert np.isnan(values[10:14]).all()
    np.testing.assert_allclose(values[14:], times[14:] * 2)
    assert np.isfinite(resample(sampled(times, column), 1.0, bridge=5)).all()
    assert np.isnan(resample(sampled(times, column), 1.0, bridge=0)[4, 0])
    column[:3] = np.nan
    assert np.isnan(resample(sampled(times, column), 1.0)[:3]).all()  # nothing is made up before the first number


def test_a_coarser_grid_takes_means_so_that_nothing_fast_poses_as_slow() -> None:
    times = np.arange(1000.0)
    wave = np.sin(2 * np.pi * times * 0.45)
    assert np.abs(resample(sampled(times, wave), 20.0)[2:-2]).max() < 0.12


def test_a_wrong_time_far_away_is_refused() -> None:
    with pytest.raises(MediaError, match="wrong time"):
        resample(sampled(np.array([0.0, 1.0, 1e13]), np.ones(3)), 1.0)
    with pytest.raises(DataError, match="step 0"):
        resample(sampled(np.arange(3.0), np.ones(3)), 0.0)


@settings(max_examples=60)
@given(st.integers(1, 40), st.integers(1, 12), st.integers(1, 12))
def test_windows_cover_every_row(rows: int, length: int, hop: int) -> None:
    values = np.arange(rows, dtype=float)[:, None]
    parts = windows(values, length, min(hop, length))
    assert parts.shape[1:] == (length, 1)
    assert set(parts[np.isfinite(parts)].astype(int)) == set(range(rows))
    assert (np.diff(parts[:, :, 0][:, : min(rows, length)], axis=1) == 1).all()


def test_impossible_windows_are_told() -> None:
    with pytest.raises(DataError, match="at least 1"):
        windows(np.zeros((3, 1)), 0, 1)


@settings(max_examples=80)
@given(st.binary(max_size=300))
def test_any_bytes_are_a_series_or_a_told_error(content: bytes) -> None:
    try:
        series = read_series(content)
    except MediaError:
        return
    assert series.values.shape == (len(series.times), len(series.channels))
    assert (np.diff(series.times) > 0).all()
