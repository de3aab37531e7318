"""Every registered component that needs torch keeps the same contract as the others."""

from typing import Any

import pytest

from salon import registry
from salon.errors import MissingExtraError
from salon.testing import check_fuser, check_recommender


NOT_HERE = {"openclip"}
"""Extras that `make test-torch` does not install: open_clip cannot be imported without torchvision."""


def deep(kind: str) -> list[str]:
    return [name for name in registry.names(kind) if registry.extra_of(kind, name)]


@pytest.mark.parametrize("kind", registry.KINDS)
def test_every_registered_class_exists_and_knows_its_kind(kind: str) -> None:
    for name in deep(kind):
        try:
            cls = registry.resolve(kind, name)
        except MissingExtraError:
            assert registry.extra_of(kind, name) in NOT_HERE
            continue
        assert cls.kind == kind
        assert registry.name_of(kind, cls) == name


@pytest.mark.parametrize("name", deep("fuser"))
def test_fuser_keeps_the_contract(name: str) -> None:
    check_fuser(registry.resolve("fuser", name), **QUICK.get(name, {}))


@pytest.mark.parametrize("name", deep("model"))
def test_model_keeps_the_contract(name: str) -> None:
    check_recommender(registry.resolve("model", name), **QUICK.get(name, {}))


PAIRS = {"dim": 16, "batch_size": 512, "epochs": 30, "patience": 0, "learning_rate": 0.02, "reg": 1e-2}
"""For models trained on pairs of users and items."""
QUICK: dict[str, dict[str, Any]] = dict.fromkeys(
    "bprmf lightgcn xsimgcl vbpr freedom bm3 lattice mgcn smore lgmrec alpharec mmgnn".split(), PAIRS
)
"""Settings under which the toy worlds of the suites are learned in seconds."""
STEPS = {"dim": 16, "batch_size": 16, "epochs": 40, "patience": 0, "learning_rate": 1e-2, "dropout": 0.1}
"""For models of the next item."""
QUICK |= dict.fromkeys("gru4rec sasrec mediasasrec mmrnn".split(), STEPS)
QUICK |= dict.fromkeys(["mediasasrec", "mmrnn"], {**STEPS, "epochs": 20, "hide": 0.5})  # before they learn by heart
FUSERS = {"dim": 16, "epochs": 2}
"""For fusers, whose suite asks nothing about quality; steps are for the one that reads sequences."""
QUICK |= dict.fromkeys(["sum", "dense", "soft-weights", "gated", "bilinear", "cross-attention", "transformer"], FUSERS)
QUICK["recurrent"] = {**FUSERS, "steps": 1}
QUICK["lambdamart"] = {"members": {"linear": {"search": False}, "itemknn": {}, "popular": {}}, "trees": 50}
RANKS = {
    "members": {"linear": {"search": False}, "contentknn": {}},
    "epochs": 20,
    "batch_size": 4,
    "learning_rate": 1e-2,
}
"""For rankers that are networks."""
QUICK |= dict.fromkeys(["dcn", "deepfm"], RANKS)
