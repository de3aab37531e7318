"""Every registered component keeps its contract."""

import importlib.util
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


def component(kind: str, name: str) -> type:
    """The registered class; the test is skipped only while its module is not there yet."""
    module = registry.table()[kind][name].partition(":")[0]
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is not written yet")
    return registry.resolve(kind, name)


def test_the_suites_see_components() -> None:
    assert len(registry.names("model")) > 10
    assert set(registry.names("model")) >= IMPERSONAL
    assert set(registry.names("encoder")) >= set(TOLERANCE)


@pytest.mark.parametrize("name", registry.names("model"))
def test_model_keeps_the_contract(name: str) -> None:
    check_recommender(component("model", name), personal=name not in IMPERSONAL)


@pytest.mark.parametrize("name", registry.names("index"))
def test_index_keeps_the_contract(name: str) -> None:
    check_index(component("index", name))


@pytest.mark.parametrize("name", registry.names("fuser"))
def test_fuser_keeps_the_contract(name: str) -> None:
    check_fuser(component("fuser", name))


@pytest.mark.parametrize("name", registry.names("encoder"))
def test_encoder_keeps_the_contract(name: str, raw_values: Callable[..., list[Any]]) -> None:
    cls = component("encoder", name)
    try:
        check_encoder(cls, raw_values(cls.modality), tolerance=TOLERANCE.get(name, 1e-3))
    except WeightsError as error:
        pytest.skip(f"the weights are not on this machine: {error}")
