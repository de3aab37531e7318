"""Off-policy estimates on made worlds where the value of every policy is known."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from salon.data import Dataset, Events
from salon.errors import DataError, SettingError
from salon.evaluate.offpolicy import Logged, estimates, greedy_policy, ips, logged, snips, softmax_policy

CONTEXTS, ITEMS, ROWS, REPEATS = 6, 5, 400, 200


class World:
    """Six kinds of people, five items, click chances that are known, and a log made by a softmax policy."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.reward = rng.uniform(0.05, 0.6, (CONTEXTS, ITEMS))
        self.logging = softmax_policy(rng.normal(size=(CONTEXTS, ITEMS)))
        self.target = softmax_policy(4 * self.reward)
        self.truth = float((self.target * self.reward).sum(axis=1).mean())

    def log(self, rng, rows=ROWS):
        context = rng.integers(CONTEXTS, size=rows)
        draws = rng.random((rows, 1))
        items = np.minimum((draws > np.cumsum(self.logging[context], axis=1)).sum(axis=1), ITEMS - 1)
        clicks = (rng.random(rows) < self.reward[context, items]).astype(float)
        return context, Logged(np.arange(rows), items, clicks, self.logging[context, items])


@pytest.fixture(scope="module")
def repeated():
    """The three estimates of 200 logs, with a reward model that is close but wrong."""
    world, rng = World(), np.random.default_rng(1)
    model = np.clip(world.reward + np.random.default_rng(2).normal(scale=0.05, size=world.reward.shape), 0, 1)
    found = []
    for _ in range(REPEATS):
        context, log = world.log(rng)
        found.append(estimates(log, world.target[context], predicted=model[context]))
    return world, found


@pytest.mark.parametrize("place", [0, 1, 2])
def test_estimates_hit_the_true_value_and_their_intervals_hold_it(repeated, place):
    world, found = repeated
    values = np.array([one[place].value for one in found])
    error = values.std() / np.sqrt(REPEATS)
    assert abs(values.mean() - world.truth) < 4 * error + 2e-3  # SNIPS is consistent, not unbiased
    inside = np.mean([one[place].low <= world.truth <= one[place].high for one in found])
    assert 0.90 <= inside <= 0.99


def test_the_logged_mean_is_not_the_value_of_the_other_policy(repeated):
    world, _ = repeated
    behaviour = float((world.logging * world.reward).sum(axis=1).mean())
    assert abs(behaviour - world.truth) > 0.03


def test_doubly_robust_varies_less_than_ips_and_has_shorter_intervals(repeated):
    _, found = repeated
    values = np.array([[v.value for v in one] for one in found])
    widths = np.array([[v.high - v.low for v in one] for one in found]).mean(axis=0)
    assert values[:, 2].var() < 0.9 * values[:, 0].var()
    assert values[:, 1].var() < values[:, 0].var()
    assert widths[2] < widths[0]


def test_doubly_robust_is_right_when_only_the_model_is():
    world, rng = World(), np.random.default_rng(3)
    context, log = world.log(rng, rows=20_000)
    wrong = replace(log, propensities=np.clip(log.propensities * rng.uniform(0.4, 1.6, len(log)), 0.01, 1) ** 0.7)
    first, _, robust = estimates(wrong, world.target[context], predicted=world.reward[context])
    assert abs(robust.value - world.truth) < 0.01
    assert abs(first.value - world.truth) > 0.03


@settings(max_examples=60)
@given(st.integers(0, 10_000), st.integers(2, 40), st.floats(-5, 5), st.floats(0.1, 10))
def test_the_logging_policy_itself_gives_the_plain_mean(seed, rows, shift, scale):
    rng = np.random.default_rng(seed)
    policy = softmax_policy(rng.normal(size=(rows, 4)))
    items = rng.integers(4, size=rows)
    rewards = shift + scale * rng.random(rows)
    log = Logged(np.arange(rows), items, rewards, policy[np.arange(rows), items])
    for one in estimates(log, policy, predicted=np.zeros((rows, 4))):
        assert one.value == pytest.approx(rewards.mean(), abs=1e-9)
        assert one.effective == pytest.approx(rows)
        assert (one.largest, one.clipped, one.notes) == (pytest.approx(1), 0, ())


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.floats(-3, 3))
def test_self_normalising_follows_a_shift_of_all_rewards(seed, shift):
    rng = np.random.default_rng(seed)
    log = Logged(np.arange(30), rng.integers(3, size=30), rng.random(30), rng.uniform(0.1, 1, 30))
    chances = rng.random(30)
    moved = replace(log, rewards=log.rewards + shift)
    assert snips(moved, chances).value == pytest.approx(snips(log, chances).value + shift)
    assert snips(log, chances).value <= log.rewards.max() + 1e-12


def test_ips_equals_its_sum_and_clipping_is_counted():
    log = Logged(np.array([0, 1, 2]), np.array([0, 1, 0]), np.array([1.0, 0.0, 1.0]), np.array([0.1, 0.5, 1.0]))
    chances = np.array([0.9, 0.5, 0.5])
    assert ips(log, chances).value == pytest.approx((9 + 0 + 0.5) / 3)
    assert snips(log, chances).value == pytest.approx(9.5 / 10.5)
    cut = ips(log, chances, clip=2)
    assert cut.value == pytest.approx((2 + 0.5) / 3)
    assert (cut.largest, cut.clipped) == (pytest.approx(9), 1)
    assert "clipped" in cut.notes[0]
    assert cut.effective == pytest.approx(3.5**2 / (4 + 1 + 0.25))


def test_rows_of_one_person_do_not_make_the_interval_shorter():
    rng = np.random.default_rng(0)
    log = Logged(np.arange(50), np.zeros(50, int), rng.random(50), np.full(50, 0.5))
    four = Logged(*(np.tile(c, 4) for c in (log.users, log.items, log.rewards, log.propensities)))
    once, repeated = (ips(one, np.full(len(one), 0.5)) for one in (log, four))
    assert (repeated.low, repeated.high) == (pytest.approx(once.low), pytest.approx(once.high))
    alone = ips(replace(log, users=np.zeros(50, int)), np.full(50, 0.5))
    assert alone.low is alone.high is None


def test_a_policy_that_the_log_hardly_met_is_told():
    chances = np.full(100, 1e-4)
    chances[0] = 1
    log = Logged(np.arange(100), np.zeros(100, int), np.ones(100), np.full(100, 0.5))
    assert "Only about 1 of 100" in ips(log, chances).notes[0]
    with pytest.raises(DataError, match="never shows what was logged"):
        ips(log, np.zeros(100))


@pytest.mark.parametrize(
    ("propensity", "told"),
    [(0.0, "propensity 0 in row 1"), (-0.5, "-0.5"), (1.5, "1.5"), (np.nan, "1 of 3 exposures have no propensity")],
)
def test_chances_that_are_none_are_refused(propensity, told):
    with pytest.raises(DataError, match=told):
        Logged(np.arange(3), np.zeros(3, int), np.ones(3), np.array([0.5, propensity, 0.5]))


def test_other_bad_input_is_refused():
    log = Logged(np.arange(3), np.zeros(3, int), np.ones(3), np.full(3, 0.5))
    with pytest.raises(DataError, match=r"sum to 0\.8"):
        estimates(log, np.full((3, 2), 0.4))
    with pytest.raises(DataError, match=r"\(2, 2\) for 3 rows"):
        estimates(log, np.full((2, 2), 0.5))
    with pytest.raises(DataError, match="reward model"):
        estimates(log, np.full((3, 2), 0.5), predicted=np.full((3, 2), np.nan))
    with pytest.raises(SettingError, match="clip is 0"):
        ips(log, np.ones(3), clip=0)
    with pytest.raises(DataError, match="columns"):
        Logged(np.arange(2), np.zeros(3, int), np.ones(3), np.ones(3))
    with pytest.raises(DataError, match="columns"):
        Logged(*(np.zeros(0),) * 4)


def test_policies_of_scores_are_distributions():
    scores = np.array([[1.0, 3.0, -np.inf], [0.0, 0.0, 2.0]])
    greedy = greedy_policy(scores, explore=0.3)
    assert greedy == pytest.approx(np.array([[0.15, 0.85, 0], [0.1, 0.1, 0.8]]))
    soft = softmax_policy(scores, temperature=2.0)
    assert soft.sum(axis=1) == pytest.approx([1, 1])
    assert soft[0, 1] / soft[0, 0] == pytest.approx(np.e)
    assert soft[0, 2] == 0
    with pytest.raises(DataError, match="Row 1 has no finite score"):
        softmax_policy(np.array([[0.0], [-np.inf]]))
    with pytest.raises(SettingError, match="explore is 2"):
        greedy_policy(scores, explore=2)
    with pytest.raises(SettingError, match="temperature"):
        softmax_policy(scores, temperature=0)


def test_a_like_is_the_reward_of_the_latest_exposure_before_it():
    events = Events.of(
        [0, 0, 0, 0, 1, 1, 1],
        [3, 3, 3, 2, 3, 2, 1],
        weights=[0, 0, 1, 0, 1, 1, 1],
        times=[1, 2, 3, 3, 0, 5, 6],
        shown=np.array([True, True, False, True, False, False, False]),
        context={"propensity": np.array([0.5, 0.25, np.nan, 0.1, np.nan, 0.2, np.nan])},
    )
    found = logged(Dataset.of(events, 2, 4))
    assert found.items.tolist() == [3, 3, 2, 2]
    assert found.rewards.tolist() == [0, 1, 0, 1]  # the like at 3 belongs to the second showing; the last row is both
    assert found.propensities.tolist() == [0.5, 0.25, 0.1, 0.2]


def test_a_log_without_chances_says_how_to_name_them():
    shown = np.array([True, False])
    with pytest.raises(DataError, match=r"no propensities.*\[events\]"):
        logged(Dataset.of(Events.of([0, 0], [0, 1], shown=shown), 1, 2))
    half = Events.of([0, 0], [0, 1], shown=shown, context={"propensity": np.array([np.nan, 0.5])})
    with pytest.raises(DataError, match="1 of 2 exposures have no propensity"):
        logged(Dataset.of(half, 1, 2))
    words = Events.of([0, 0], [0, 1], context={"propensity": np.array(["a", "b"])})
    with pytest.raises(DataError, match="holds no numbers"):
        logged(Dataset.of(words, 1, 2))
