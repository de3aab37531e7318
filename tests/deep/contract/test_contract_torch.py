"""Every registered component that needs torch keeps the same contract as the others."""

from typing import Any

import numpy as np
import pytest

from salon import registry
from salon.data.toy import content_world
from salon.errors import MissingExtraError
from salon.testing import check_fuser, check_recommender
from salon.testing.recommenders import features_of

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


@pytest.mark.parametrize("name", [n for n in deep("model") if n != "lambdamart"])
def test_model_learns_alike_in_mixed_precision(name: str) -> None:
    """Products in bfloat16 change the scores a little, and nothing else."""
    world, cls = content_world(), registry.resolve("model", name)
    settings = {**QUICK.get(name, {}), "epochs": 2}
    fits = [cls(**settings, precision=p).fit(world.data, features_of(world), rng=3) for p in ("32-true", "bf16-mixed")]
    plain, mixed = (model.score(world.data.queries()) for model in fits)
    placed = np.isfinite(plain)
    np.testing.assert_array_equal(np.isfinite(mixed), placed)
    assert np.corrcoef(plain[placed], mixed[placed])[0, 1] > 0.98


PAIRS = {"dim": 16, "batch_size": 512, "epochs": 30, "patience": 0, "learning_rate": 0.02, "reg": 1e-2}
"""For models trained on pairs of users and items."""
STEPS = {"dim": 16, "batch_size": 16, "epochs": 40, "patience": 0, "learning_rate": 1e-2, "dropout": 0.1}
"""For models of the next item."""
STEPS_WITH_MEDIA = {**STEPS, "epochs": 20, "hide": 0.5}
"""For models of the next item that read media: stopped before they learn the toy world by heart."""
CODES = {**STEPS, "epochs": 8, "dropout": 0.5}
"""For models that generate codes of content: likewise."""
TOWERS = {"dim": 16, "batch_size": 128, "epochs": 15, "patience": 0, "learning_rate": 2e-2}
"""For models with two towers."""
RANKS = {
    "members": {"linear": {"search": False}, "contentknn": {}},
    "epochs": 20,
    "batch_size": 4,
    "learning_rate": 1e-2,
}
"""For rankers that are networks."""
TREES = {"members": {"linear": {"search": False}, "itemknn": {}, "popular": {}}, "trees": 50}
"""For rankers that are trees."""
FUSERS = {"dim": 16, "epochs": 2}
"""For fusers, whose suite asks nothing about quality."""
GROUPS: list[tuple[dict[str, Any], str]] = [
    ({**PAIRS, "reg": 0.1}, "vbpr"),
    (PAIRS, "bprmf lightgcn xsimgcl freedom bm3 lattice mgcn smore lgmrec alpharec mmgnn"),
    (STEPS, "gru4rec sasrec"),
    (STEPS_WITH_MEDIA, "mediasasrec mmrnn"),
    (CODES, "generative"),
    (TOWERS, "twotower mmoe"),
    (RANKS, "dcn deepfm"),
    (TREES, "lambdamart"),
    (FUSERS, "sum dense soft-weights gated bilinear cross-attention transformer"),
    ({**FUSERS, "steps": 1}, "recurrent"),
    ({"dim": 16, "hidden": 16, "epochs": 30, "patience": 0, "learning_rate": 1e-2}, "melu"),
]
QUICK: dict[str, dict[str, Any]] = {name: given for given, names in GROUPS for name in names.split()}
"""Settings under which the toy worlds of the suites are learned in seconds."""
