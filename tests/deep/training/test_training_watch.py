"""Training runs tell their validation scores to whoever watches, who may end them."""

import numpy as np
import pytest

from salon.data.split import random_split
from salon.data.toy import checkerboard
from salon.encode.base import FeatureSet
from salon.models.bprmf import BPRMF
from salon.training.watch import tell, watching

SMALL = {"epochs": 6, "validate_every": 2, "patience": 0, "dim": 4, "device": "cpu"}


def test_every_look_is_told_and_a_stopped_fit_leaves_the_model_as_it_was():
    split = random_split(checkerboard().data, rng=0)
    told: list[tuple[int, float]] = []
    with watching(lambda epoch, score: told.append((epoch, score))):
        model = BPRMF(**SMALL).fit(split.train, FeatureSet({}, split.train.n_items), validation=split.valid)
    assert [epoch for epoch, _ in told] == [2, 4, 6]
    assert all(np.isfinite(score) for _, score in told)
    before = model.item_vectors().copy()

    def stop(epoch: int, score: float) -> None:
        if epoch == 4:
            raise StopIteration

    with watching(stop), pytest.raises(StopIteration):
        model.fit(split.train, FeatureSet({}, split.train.n_items), rng=1, validation=split.valid)
    assert np.array_equal(model.item_vectors(), before)


def test_nobody_is_told_outside():
    told: list[float] = []
    with watching(lambda epoch, score: told.append(score)):
        tell(1, 0.5)
        with pytest.raises(ZeroDivisionError), watching(lambda epoch, score: 1 / 0):
            tell(2, 0.6)
        tell(3, 0.7)
    tell(4, 0.8)
    assert told == [0.5, 0.7]
