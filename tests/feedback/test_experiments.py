"""Assignment is stable and fair, and the statistics keep their promise however often somebody looks."""

import numpy as np
import pytest

from salon.errors import DataError, SettingError
from salon.feedback.bandits import Arms, LinUCB
from salon.feedback.drift import of_kinds, of_numbers
from salon.feedback.experiments import assigned, effect, harmed, rates, sample_ratio


def test_a_person_stays_in_a_variant_and_experiments_are_independent() -> None:
    people = [f"p{i}/é" for i in range(4000)]
    first = np.array([assigned("row", p, [0.5, 0.3]) for p in people])
    assert first.tolist() == [assigned("row", p, [0.5, 0.3]) for p in people]
    assert [(first == v).mean() for v in (0, 1, -1)] == pytest.approx([0.5, 0.3, 0.2], abs=0.03)
    other = np.array([assigned("page", p, [0.5, 0.5]) for p in people])
    assert (other[first == 0] == 0).mean() == pytest.approx(0.5, abs=0.04)
    with pytest.raises(SettingError, match=r"0\.9"):
        assigned("row", "p", [0.9, 0.9])


def test_widening_an_experiment_moves_nobody_who_is_in_its_first_variant() -> None:
    people = [f"p{i}" for i in range(500)]
    before = {p for p in people if assigned("x", p, [0.1]) == 0}
    assert before <= {p for p in people if assigned("x", p, [0.4]) == 0}


def test_looking_every_day_claims_a_false_difference_rarely() -> None:
    rng = np.random.default_rng(0)
    claimed = missed = 0
    for _ in range(200):
        a, b = rng.binomial(5, 0.1, (2, 2000)).astype(float)
        looks = range(100, 2001, 100)
        found = [effect("clicks", "b", a[:n], b[:n], expected=0.05) for n in looks]
        claimed += any(f.p < 0.05 for f in found)
        missed += any(not f.low <= 0 <= f.high for f in found)
        assert all((f.p < 0.05) == (not f.low <= 0 <= f.high) for f in found), "p and interval say the same"
    assert claimed <= 0.05 * 200 + 5
    assert missed == claimed


def test_a_real_difference_is_found_and_its_direction_told() -> None:
    rng = np.random.default_rng(1)
    better, control = rng.normal(0.3, 1, 3000), rng.normal(0.0, 1, 3000)
    found = effect("dwell", "new", better, control, expected=0.2)
    assert found.verdict == "better"
    assert found.low < 0.3 < found.high
    assert effect("errors", "new", better, control, expected=0.2, higher_is_better=False).verdict == "worse"
    assert effect("dwell", "new", better[:10], control, expected=0.2).verdict == "too few people"
    assert harmed(effect("dwell", "old", control, better, expected=0.2), most=0.1)
    assert not harmed(found, most=0.1)
    with pytest.raises(SettingError, match="expected is 0"):
        effect("x", "y", better, control, expected=0.0)


def test_a_wrong_sample_ratio_is_seen_and_a_right_one_is_left_alone() -> None:
    rng = np.random.default_rng(2)
    false = 0
    for _ in range(100):
        steps = rng.multinomial(100, [0.5, 0.5], size=40).cumsum(axis=0)
        false += any(sample_ratio([0.5, 0.5], s.tolist()).wrong for s in steps)
    assert false <= 1
    assert sample_ratio([0.5, 0.5], [5000, 4400]).wrong
    assert sample_ratio([0.4, 0.4], [5000, 4400]).wrong, "shares of a part of the people are planned shares too"
    assert sample_ratio([0.5, 0.5], [0, 0]).p == 1.0


def test_rates_per_person_have_the_rate_as_their_mean() -> None:
    clicks, answers = np.array([1.0, 0.0, 4.0, 9.0]), np.array([2.0, 5.0, 5.0, 0.0])
    found = rates({"a": clicks, "b": clicks[:0]}, {"a": answers, "b": answers[:0]})
    assert found["a"].mean() == pytest.approx(5 / 12)
    assert len(found["a"]) == 3
    assert len(found["b"]) == 0


def test_linucb_learns_and_its_doubt_shrinks() -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(400, 3))
    state = LinUCB.new(3).updated(x, x @ [1.0, 0.0, -1.0])
    assert state.values(np.eye(3), c=0.0) == pytest.approx([1, 0, -1], abs=0.02)
    assert (LinUCB.new(3).values(np.eye(3), c=1.0) > state.values(np.eye(3), c=1.0) - [1, 0, -1]).all()
    again = LinUCB.of(state.plain())
    assert np.allclose(again.values(x), state.values(x))
    halves = LinUCB.new(3).updated(x[:200], x[:200, 0]).updated(x[200:], x[200:, 0])
    assert np.allclose(halves.gram, LinUCB.new(3).updated(x, x[:, 0]).gram)
    slow = np.linalg.inv(np.eye(3) + x.T @ x)
    assert np.allclose(
        state.values(x[:5], c=2.0), x[:5] @ slow @ state.moment + 2 * np.sqrt(np.diag(x[:5] @ slow @ x[:5].T))
    )
    with pytest.raises(DataError, match="damaged"):
        LinUCB.of({"gram": [[1]], "moment": [1, 2], "ridge": 1, "n": 0})
    with pytest.raises(DataError, match="not finite"):
        LinUCB.new(1).updated(np.array([[np.nan]]), np.array([1.0]))


def test_arms_add_up() -> None:
    arms = Arms({}, {}).updated({"a": 2}, {}).updated({"a": 1, "b": 1}, {"a": 1})
    assert [x.tolist() for x in arms.counts(["a", "b", "c"])] == [[1, 0, 0], [3, 1, 0]]


def test_drift_is_seen_where_it_is_and_not_where_it_is_not() -> None:
    rng = np.random.default_rng(4)
    then = rng.normal(size=5000)
    assert of_numbers("score", then, rng.normal(size=300)).verdict == "steady"
    moved = of_numbers("score", then, rng.normal(1.0, 1, size=300))
    assert moved.verdict == "moved"
    assert moved.p is not None
    assert moved.p < 1e-6
    assert of_numbers("score", then, then[:10]).verdict == "too few"
    assert of_numbers("constant", np.ones(100), np.ones(100)).verdict == "steady"
    assert of_kinds("kind", {"view": 900, "buy": 100}, {"view": 91, "buy": 9}).verdict == "steady"
    assert of_kinds("kind", {"view": 900, "buy": 100}, {"view": 100, "gift": 100}).verdict == "moved"
    assert of_kinds("kind", {}, {"view": 100}).verdict == "too few"
