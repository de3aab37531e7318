"""The toy worlds are what they say."""

import numpy as np
import pytest

from salon.data.toy import checkerboard, content_world


def test_checkerboard_withholds_the_diagonal_and_nothing_else() -> None:
    world = checkerboard(10)
    liked = world.data.positives().toarray() > 0
    u, i = np.indices((10, 10))
    assert np.array_equal(liked, ((u + i) % 2 == 0) & (u != i))
    assert np.array_equal(world.holdout.targets.toarray(), np.eye(10))


def test_rated_checkerboard_leaves_two_items_to_choose_from() -> None:
    world = checkerboard(10, rated=True)
    seen = world.holdout.queries.seen(10).toarray() > 0
    assert [np.flatnonzero(~row).tolist() for row in seen] == [sorted({u, (u + 1) % 10}) for u in range(10)]
    assert set(world.data.events.values.tolist()) == {1.0, 5.0}
    assert np.array_equal(world.data.events.weights > 0, world.data.events.values == 5)


@pytest.mark.parametrize("seed", [0, 1])
def test_content_world_has_cold_items_missing_media_and_one_right_answer(seed: int) -> None:
    world = content_world(seed=seed)
    liked = world.data.positives().toarray() > 0
    assert np.array_equal(~liked.any(axis=0), world.cold)
    assert world.cold.sum() == 12
    users, items = np.nonzero(liked)
    assert np.array_equal(users % 2, world.bits[items])
    assert not world.seen_by_media().all()
    both = [vectors[present, 0] for vectors, present in world.vectors.values()]
    for (vectors, present), first in zip(world.vectors.values(), both, strict=True):
        assert np.array_equal(first > 0, world.bits[present] == 1)
        assert not vectors[~present].any()
        assert 0 < present.sum() < len(present)
    targets = world.holdout.targets.toarray() > 0
    assert (targets.sum(axis=1) >= 3).all()
    assert not targets[:, ~(world.cold & world.seen_by_media())].any()
