"""Exploration shows what it says with the chances it says."""

from collections import Counter
from math import comb

import numpy as np
import pytest

from salon.errors import SettingError
from salon.rerank.exploration import Policy, _chances_of_count, explore, linucb, thompson, uniform

BEST, POOL = np.arange(10), np.array([3, 20, 21, 22, 23])
POLICIES = {
    "uniform": uniform(),
    "linucb": linucb(np.array([9.0, 1.0, 5.0, 2.0, 0.0])),
    "thompson": thompson(np.array([0, 0, 4, 1, 0]), np.array([0, 0, 10, 10, 10])),
}


@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize("k", [4, 6])
def test_propensities_are_the_chances_to_be_shown(name: str, k: int) -> None:
    rng = np.random.default_rng(0)
    draws = 300 if name == "thompson" else 3000  # each takes 200 draws of its own
    seen: Counter[int] = Counter()
    claimed: dict[int, list[float]] = {}
    for _ in range(draws):
        found = explore(BEST, POOL, k, 0.3, POLICIES[name], rng)
        assert len(set(found.ids.tolist())) == k
        seen.update(found.ids.tolist())
        for item, chance in zip(found.ids.tolist(), found.propensities.tolist(), strict=True):
            claimed.setdefault(item, []).append(chance)
    for item, count in seen.items():
        share = count / draws
        slack = 4 * np.sqrt(share * (1 - share) / draws) + 0.02
        assert np.mean(claimed[item]) == pytest.approx(share, abs=slack), item


def test_linucb_explores_the_largest_bound_first() -> None:
    found = explore(BEST, POOL, 5, 1.0, POLICIES["linucb"], np.random.default_rng(0))
    assert set(found.ids[found.explored].tolist()) == {20, 21, 22, 23}
    assert found.ids[found.explored].tolist()[0] == 21, "item 3 of the pool is among the best already"


def test_nothing_is_explored_without_a_share_or_a_pool() -> None:
    rng = np.random.default_rng(0)
    for pool, share in ((POOL, 0.0), (POOL[:0], 0.5), (POOL[:1], 0.5)):
        found = explore(BEST, pool, 5, share, uniform(), rng)
        assert found.ids.tolist() == [0, 1, 2, 3, 4]
        assert found.propensities.tolist() == [1.0] * 5
        assert not found.explored.any()


def test_a_short_list_is_filled_from_the_pool() -> None:
    found = explore(BEST[:2], POOL, 5, 0.1, uniform(), np.random.default_rng(3))
    assert len(found.ids) == 5
    assert found.explored.sum() >= 3
    assert (found.propensities > 0).all()
    assert (found.propensities <= 1).all()


def test_thompson_prefers_what_is_clicked_but_not_always() -> None:
    rng = np.random.default_rng(0)
    policy: Policy = thompson(np.array([30.0, 1.0]), np.array([60.0, 60.0]))
    first = Counter(int(policy.order(2, rng)[0]) for _ in range(300))
    assert first[0] > 295
    unsure = thompson(np.array([1.0, 0.0]), np.array([3.0, 3.0]))
    assert 30 < Counter(int(unsure.order(2, rng)[0]) for _ in range(300))[1] < 150


@pytest.mark.parametrize("share", [5e-324, 1e-308, 1e-3, 0.5, 1.0])
def test_the_number_of_explored_places_is_binomial_for_any_share(share: float) -> None:
    chances = _chances_of_count(3, share, 3, 0)
    expected = [comb(3, m) * share**m * (1 - share) ** (3 - m) for m in range(4)]
    np.testing.assert_allclose(chances, expected, rtol=1e-12, atol=1e-300)
    assert explore(BEST, POOL, 5, share, uniform(), np.random.default_rng(0)).propensities.max() <= 1


def test_a_share_above_one_is_refused() -> None:
    with pytest.raises(SettingError, match=r"is 1\.5"):
        explore(BEST, POOL, 3, 1.5, uniform(), np.random.default_rng(0))
