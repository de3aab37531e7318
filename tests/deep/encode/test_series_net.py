"""The trained encoder of sensor series: it learns to fill in, tells kinds of series apart, and keeps the contract."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from salon.data.ids import IdMap
from salon.data.items import Field, Items
from salon.encode.run import encode_items
from salon.encode.series_net import FillIn, SeriesNet
from salon.errors import MediaError
from salon.testing import check_encoder

SMALL = {"window": 32, "overlap": 0.6, "maps": 4, "width": 8, "epochs": 12, "device": "cpu"}


def shapes(count: int, seed: int) -> tuple[list[str], np.ndarray]:
    """JSON series of saw teeth and sines: equal mean, spread and pace; only the shape differs."""
    rng = np.random.default_rng(seed)
    kinds = rng.integers(0, 2, count)
    values = []
    for kind in kinds:
        time = np.arange(int(rng.integers(100, 200))) / 16 + rng.random()
        wave = (time % 1 - 0.5) * np.sqrt(12) if kind else np.sin(2 * np.pi * time) * np.sqrt(2)
        values.append(json.dumps((wave + 0.05 * rng.standard_normal(len(time))).round(4).tolist()))
    return values, kinds


def test_it_keeps_the_contract() -> None:
    check_encoder(SeriesNet, shapes(4, 0)[0], **SMALL)


def test_training_lowers_the_error_and_tells_shapes_apart() -> None:
    values, kinds = shapes(120, 1)
    encoder = SeriesNet(**SMALL).fit(values)
    assert encoder.losses_[-1] < 0.6 * encoder.losses_[0]
    vectors = encoder.encode(values)
    distance = ((vectors[:, None] - vectors[None]) ** 2).sum(axis=2)
    np.fill_diagonal(distance, np.inf)
    assert (kinds[distance.argmin(axis=1)] == kinds).mean() > 0.95


def test_the_same_seed_gives_the_same_vectors_and_another_one_others() -> None:
    values, _ = shapes(20, 2)
    settings = SMALL | {"epochs": 2}
    one, two = (SeriesNet(**settings).fit(values).encode(values) for _ in range(2))
    np.testing.assert_array_equal(one, two)
    assert np.abs(SeriesNet(**settings, seed=1).fit(values).encode(values) - one).max() > 1e-3


def test_the_loss_looks_at_what_is_asked_only_and_never_shows_it() -> None:
    torch.manual_seed(0)
    network = FillIn(2, 4, 3)
    values, seen = torch.randn(5, 2, 20), (torch.rand(5, 2, 20) > 0.3).float()
    asked = (1 - seen) * (torch.rand(5, 2, 20) > 0.3).float()
    neither = (seen == 0) & (asked == 0)
    changed = torch.where(neither, values + 100, values)
    assert torch.allclose(network(values, seen, asked), network(changed, seen, asked))
    filled = network.up(network.encode(values, seen)).detach()[:, :, :20]
    hidden = torch.where(asked > 0, values * 50, values)
    assert torch.equal(network.encode(hidden, seen), network.encode(values, seen))
    places = [(i, c, t) for i in range(5) for c in range(2) for t in range(20) if asked[i, c, t]]
    slow = sum(float((filled[at] - values[at]) ** 2) for at in places) / len(places)
    assert network(values, seen, asked).item() == pytest.approx(slow, rel=1e-4)


@pytest.mark.parametrize("window", [16, 17, 100])
def test_any_window_is_filled_in_whole(window: int) -> None:
    network = FillIn(1, 4, 3)
    full = torch.ones(2, 1, window)
    assert network(full, full, full).isfinite()
    assert network.encode(full, full).shape == (2, 3, -(-window // 8))


def test_what_is_filled_up_counts_for_nothing() -> None:
    encoder = SeriesNet(**SMALL | {"epochs": 1}).fit(shapes(8, 4)[0])
    short = json.dumps(np.sin(np.arange(20) * 0.4).round(4).tolist())
    parts = encoder.prepare(short)
    assert np.isnan(parts[0, 0, 20:]).all()
    found = encoder.network_.encode(*(torch.from_numpy(np.nan_to_num(a)).float() for a in (parts, np.isfinite(parts))))
    kept = found.detach().numpy()[0, :, :3]  # three columns of eight rows hold the twenty
    np.testing.assert_allclose(encoder.encode([short])[0], [*kept.mean(axis=1), *kept.std(axis=1)], rtol=1e-4)


def test_gaps_short_series_and_broken_ones_do_no_harm() -> None:
    values = [*shapes(10, 3)[0], "[1, 2]", json.dumps([0.5, *[None] * 100, 1.0, 2.0]), "[1, 2", "[null]"]
    items = Items(IdMap([str(i) for i in range(len(values))]), {"s": Field.of("s", "series", values)})
    features, problems = encode_items(items, {"series": {"name": "series-net", **SMALL, "epochs": 2}})
    assert features["series"].present.tolist() == [True] * 12 + [False] * 2
    assert [p.id for p in problems] == ["12", "13"]
    with pytest.raises(MediaError):
        SeriesNet(**SMALL).fit(["[1, 2"]).prepare("[1, 2")
