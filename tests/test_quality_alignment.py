"""Alignment of a catalogue is judged on items that the aligner did not see, against the names of what is seen."""

import numpy as np
import pytest

from salon.encode.base import Features, FeatureSet
from salon.encode.pictures import EfficientNetLite0
from salon.encode.words import class_names
from salon.errors import DataError, WeightsError
from salon.fuse.align_cca import CCA
from salon.quality_alignment import judged_alignment, judged_items, worded


def views(n: int, *, shared: bool = True) -> FeatureSet:
    rng = np.random.default_rng(0)
    latent = rng.standard_normal((n, 4))
    found = {}
    for name, dim in (("text", 12), ("image", 9)):
        source = latent if shared else rng.standard_normal((n, 4))
        vectors = source @ rng.standard_normal((4, dim)) + 0.1 * rng.standard_normal((n, dim))
        found[name] = Features(vectors.astype(np.float32), np.ones(n, bool), name)
    return FeatureSet(found)


def test_what_belongs_together_is_found_and_what_does_not_is_at_chance() -> None:
    for shared in (True, False):
        features = views(500, shared=shared)
        report = judged_alignment(CCA(dim=4), features, judged_items(features))
        one = report.crossing("text", "image")
        assert one.n == 100
        if shared:
            assert one.recall[1] > 0.9
        else:
            assert one.mrr < 3 * one.chance_mrr


def test_judged_items_are_not_learned_from() -> None:
    """Judged items whose pairs are shuffled change the report and not the maps."""
    features = views(300)
    judged = judged_items(features)
    mixed = features["image"].vectors.copy()
    mixed[judged] = mixed[judged][::-1]
    turned = FeatureSet({"text": features["text"], "image": Features(mixed, features["image"].present, "image")})
    one, other = CCA(dim=4), CCA(dim=4)
    good = judged_alignment(one, features, judged).crossing("text", "image")
    bad = judged_alignment(other, turned, judged).crossing("text", "image")
    assert np.array_equal(one.maps_, other.maps_)
    assert good.recall[1] > 0.9 > 0.1 > bad.recall[1]


def test_too_few_items_are_refused() -> None:
    with pytest.raises(DataError, match="10 items are too few"):
        judged_items(views(50))
    with pytest.raises(DataError, match="too few"):
        judged_items(FeatureSet({}, 100))


class Letters:
    """A stand-in for a text encoder: one place per name of a class."""

    def encode(self, texts: list[str]) -> np.ndarray:
        return np.eye(1000, dtype=np.float32)[[class_names("imagenet_classes").index(text) for text in texts]]


def test_pictures_are_worded_where_their_encoder_names_classes() -> None:
    rng = np.random.default_rng(0)
    pictures = np.abs(rng.standard_normal((30, 1280))).astype(np.float32)
    texts = np.eye(1000, dtype=np.float32)[:30]
    features = FeatureSet(
        {
            "text": Features(texts, np.ones(30, bool), "letters"),
            "image": Features(pictures, np.arange(30) > 4, "lite0"),
            "number": Features(texts[:, :3], np.ones(30, bool), "numbers"),
        }
    )
    encoders = {"text": Letters(), "image": EfficientNetLite0()}
    try:
        found = worded(encoders, features)
    except WeightsError as error:
        pytest.skip(f"the weights are not on this machine: {error}")
    assert list(found) == ["text", "image"]
    assert found["image"].dim == 1000
    assert not found["image"].vectors[:5].any()
    likeliest = encoders["image"].class_scores(pictures[5:]).argmax(axis=1)
    assert np.array_equal(found["image"].vectors[5:].argmax(axis=1), likeliest)
    assert len(worded({}, features)) == 0
