"""Every registered component keeps its contract."""

from collections.abc import Callable
from typing import Any

import pytest

from salon import registry
from salon.errors import WeightsError
from salon.testing import check_encoder, check_fuser, check_index, check_recommender

IMPERSONAL = {"random", "popular", "recent"}
"""Baselines whose answers do not follow the history."""

TOLERANCE = {"minilm": 0.05, "text": 0.05}
"""Encoders quantised to 8 bits: their scales depend on what else is in the batch."""

ELSEWHERE = {"endpoint"}
"""Encoders that need more than settings: this one a server, see tests/encode/test_endpoint.py."""


def plain(kind: str) -> list[str]:
    """Names of the components that a plain installation can create; the others are checked in tests/deep."""
    return [name for name in registry.names(kind) if not registry.extra_of(kind, name)]


def test_the_suites_see_components() -> None:
    assert len(registry.names("model")) > 10
    assert set(registry.names("model")) >= IMPERSONAL
    assert set(registry.names("encoder")) >= set(TOLERANCE)


@pytest.mark.parametrize("name", plain("model"))
def test_model_keeps_the_contract(name: str) -> None:
    check_recommender(registry.resolve("model", name), personal=name not in IMPERSONAL)


@pytest.mark.parametrize("name", plain("index"))
def test_index_keeps_the_contract(name: str) -> None:
    check_index(registry.resolve("index", name))


@pytest.mark.parametrize("name", plain("fuser"))
def test_fuser_keeps_the_contract(name: str) -> None:
    check_fuser(registry.resolve("fuser", name))


@pytest.mark.parametrize("name", [name for name in plain("encoder") if name not in ELSEWHERE])
def test_encoder_keeps_the_contract(name: str, raw_values: Callable[..., list[Any]]) -> None:
    cls = registry.resolve("encoder", name)
    try:
        check_encoder(cls, raw_values(cls.modality), tolerance=TOLERANCE.get(name, 1e-3))
    except WeightsError as error:
        pytest.skip(f"the weights are not on this machine: {error}")
