"""One test for all models: exclusions hold, numbers are right, and the report says what it is."""

import json
import math
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
from scipy import sparse

from salon.data import Holdout
from salon.errors import DataError, NotFittedError, SettingError
from salon.evaluate.cost import measure_fit
from salon.evaluate.protocol import Rules, evaluate
from salon.evaluate.trial import Trial, rank
from salon.evaluate.values import Cost, Report
from salon.models.base import Recommender

RULES = Rules(split="by hand", seeds={"split": 3}, draws=200)


@pytest.fixture(scope="module")
def report(world):
    return evaluate(world.models, world.holdout, train=world.data, features=world.features, ks=(5, 10), rules=RULES)


def test_models_come_best_first_and_the_oracle_is_perfect(report):
    assert report.names == ("oracle", "good", "noise")
    best = report["oracle"].metrics
    for metric in ("ndcg@5", "recall@5", "map@5", "mrr@5", "hit_rate@5", "auc"):
        assert best[metric].mean == pytest.approx(1.0), metric
    assert best["ndcg@5"].low == best["ndcg@5"].high == pytest.approx(1.0)


def test_numbers_equal_a_slow_evaluation(world, report):
    """nDCG, recall, AUC and coverage of one model from its definition, user by user."""
    table, seen = world.models["good"].table, world.holdout.queries.seen(30).toarray() > 0
    gains, found, areas, shown = [], [], [], set()
    for u in range(len(world.holdout)):
        open_items = [i for i in range(30) if not seen[u, i]]
        order = sorted(open_items, key=lambda i: -table[u, i])[:5]
        good = {i for i in range(30) if world.targets[u, i]}
        ideal = sum(1 / math.log2(j + 2) for j in range(3))
        gains.append(sum(1 / math.log2(j + 2) for j, i in enumerate(order) if i in good) / ideal)
        found.append(len(good & set(order)) / 3)
        pairs = [(table[u, i] > table[u, j]) for i in good for j in open_items if j not in good]
        areas.append(np.mean(pairs))
        shown |= set(order)
    result = report["good"]
    assert result.per_user["ndcg@5"] == pytest.approx(gains)
    assert result.metrics["recall@5"].mean == pytest.approx(np.mean(found))
    assert result.per_user["auc"] == pytest.approx(areas)
    assert result.metrics["coverage@5"].mean == pytest.approx(len(shown) / 30)
    assert result.metrics["coverage@5"].low is None


def test_lists_hold_only_what_may_be_listed(world):
    rng = np.random.default_rng(1)
    candidates = rng.random(30) < 0.7
    barred = sparse.csr_array((rng.random((40, 30)) < 0.1).astype(np.float32))
    holdout = replace(world.holdout, exclude=barred, candidates=candidates)
    trial = Trial.of(holdout)
    lists = rank(world.models["noise"], trial, 30).lists
    seen = world.holdout.queries.seen(30).toarray()
    for row, ids in zip(trial.rows, lists.ids, strict=True):
        allowed = {i for i in range(30) if candidates[i] and not seen[row, i] and not barred.toarray()[row, i]}
        assert {int(i) for i in ids if i >= 0} == allowed


def test_lists_equal_those_of_recommend(world):
    trial = Trial.of(world.holdout)
    expected = world.models["good"].recommend(trial.queries, 7)
    found = rank(world.models["good"], trial, 7).lists
    assert (found.ids == expected.ids).all()
    assert (found.scores == expected.scores).all()


def test_targets_that_cannot_be_listed_are_left_out_and_counted(world):
    candidates = np.arange(30) < 20
    report = evaluate(
        world.models, replace(world.holdout, candidates=candidates), train=world.data, ks=(5,), rules=RULES
    )
    lost = int(world.targets[:, 20:].sum())
    assert any(line.startswith(f"{lost} targets") for line in report.warnings)
    assert report.setting.n_targets == 120 - lost
    assert report.setting.candidates == "20 of 30 items"
    assert report["oracle"].metrics["ndcg@5"].mean == pytest.approx(1.0)


def test_seen_items_may_be_ranked_when_asked(world):
    seen = sparse.csr_array(world.holdout.queries.seen(30))
    holdout = replace(world.holdout, targets=seen)
    with pytest.raises(DataError, match="can be listed"):
        evaluate(world.models, holdout, train=world.data)
    report = evaluate(world.models, holdout, train=world.data, exclude_seen=False, rules=RULES)
    assert "ranked too" in report.setting.seen_rule
    assert report.setting.n_targets == 320


def test_users_without_targets_are_no_part_of_the_test(world):
    targets = world.targets.copy()
    targets[:7] = 0
    report = evaluate(
        world.models, replace(world.holdout, targets=sparse.csr_array(targets)), train=world.data, rules=RULES
    )
    assert report.setting.n_users == 33
    assert len(report["good"].per_user["ndcg@10"]) == 33


def test_the_report_states_rules_seeds_and_sizes(report):
    setting = report.setting
    assert (setting.split, setting.main, setting.reference, setting.ks) == ("by hand", "ndcg@5", "oracle", (5, 10))
    assert (setting.n_users, setting.n_targets, setting.n_items, setting.n_candidates) == (40, 120, 30, 30)
    assert setting.seeds == {"split": 3, "bootstrap and sign flips": 0}
    assert setting.candidates == "all 30 items"
    assert "not ranked" in setting.seen_rule


def test_missing_baselines_and_small_tests_are_warned_of(report):
    assert not report.baselines_present
    assert "Not compared with the baselines popular, random, contentknn." in report.warnings
    assert any("Only 40 users" in line for line in report.warnings)


def test_noise_is_resolved_as_worse_than_the_oracle(report):
    comparison = report.comparison("noise")
    assert comparison.resolved
    assert comparison.high < 0
    assert report.comparison("oracle") is None


def test_the_reference_can_be_chosen(world):
    rules = replace(RULES, reference="noise", main="recall@10")
    report = evaluate(world.models, world.holdout, train=world.data, rules=rules)
    assert {c.name for c in report.comparisons} == {"good", "oracle"}
    assert all(c.difference > 0 and c.metric == "recall@10" for c in report.comparisons)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"main": "ndgc@10"}, "ndcg"),
        ({"main": "ndcg@7"}, "ndcg@"),
        ({"main": "novelty@10"}, "order"),
        ({"main": "coverage@10"}, "per user"),
        ({"reference": "god"}, "good"),
    ],
)
def test_an_unknown_metric_or_model_is_refused_with_a_hint(world, change, word):
    with pytest.raises(SettingError, match=word):
        evaluate(world.models, world.holdout, train=world.data, rules=replace(RULES, **change))


def test_an_unfitted_model_and_foreign_data_are_refused(world):
    with pytest.raises(NotFittedError):
        evaluate({"a": world.fixed(world.noise)}, world.holdout, train=world.data)
    wrong = Holdout(world.holdout.queries, sparse.csr_array(world.targets[:, :29]))
    with pytest.raises(DataError, match="29"):
        evaluate(world.models, wrong, train=world.data)
    with pytest.raises(SettingError, match="0 models"):
        evaluate({}, world.holdout, train=world.data)


def test_ratings_are_measured_where_a_model_predicts_them(world):
    ratings = sparse.csr_array(world.targets * 5)
    model = world.fixed_ratings(world.noise).fit(world.data)
    report = evaluate(
        {"r": model, "good": world.models["good"]},
        replace(world.holdout, ratings=ratings),
        train=world.data,
        rules=RULES,
    )
    for metric in ("rmse", "mae", "rmse_pooled"):
        assert report["r"].metrics[metric].mean == pytest.approx(2.0)
        assert metric not in report["good"].metrics


def test_ratings_are_not_asked_of_a_model_that_has_learned_none(world):
    class Without(world.fixed_ratings):
        predicts_ratings = False

    ratings = sparse.csr_array(world.targets * 5)
    holdout = replace(world.holdout, ratings=ratings)
    report = evaluate({"w": Without(world.noise).fit(world.data)}, holdout, train=world.data, rules=RULES)
    assert "rmse" not in report["w"].metrics


def test_a_model_without_an_answer_counts_as_wrong_not_as_absent(world):
    nothing = world.fixed(np.full((40, 30), -np.inf, np.float32)).fit(world.data)
    report = evaluate({"nothing": nothing}, world.holdout, train=world.data, rules=RULES)
    result = report["nothing"].metrics
    assert result["ndcg@10"].mean == 0.0
    assert result["coverage@10"].mean == 0.0
    assert result["novelty@10"].mean is None
    assert result["auc"].mean == pytest.approx(0.5)


def test_the_same_seed_gives_the_same_report(world, report):
    again = evaluate(world.models, world.holdout, train=world.data, features=world.features, ks=(5, 10), rules=RULES)
    assert without_times(again) == without_times(report)


def without_times(report):
    return replace(report, models=tuple(replace(m, cost=None) for m in report.models))


def test_a_report_survives_json_and_cannot_be_changed(report):
    text = json.dumps(report.to_dict(), allow_nan=False)
    again = Report.from_dict(json.loads(text))
    assert again == report
    assert again.to_dict() == report.to_dict()
    with pytest.raises(FrozenInstanceError):
        report.warnings = ()


@pytest.mark.parametrize("damage", [{"format": 2}, {"format": 1}, {"format": 1, "setting": {"ks": [1], "x": 1}}])
def test_a_damaged_report_is_refused(damage):
    with pytest.raises(DataError):
        Report.from_dict(damage)


class Greedy(Recommender):
    """Holds 64 MiB while it is fitted."""

    def _fit(self, data, items, rng, validation):
        held = np.ones((64 << 20) // 8)
        return {"total_": float(held.sum())}

    def _score(self, queries):
        return np.zeros((len(queries), self.n_items_), np.float32)


def test_a_fit_is_measured_and_peak_memory_is_seen(world):
    model = Greedy()
    cost = measure_fit(model, world.data)
    assert model.is_fitted
    assert cost.cpu_seconds > 0
    assert cost.wall_seconds > 0
    assert cost.peak_mb is None or 50 < cost.peak_mb < 200


def test_costs_are_passed_on_and_the_time_to_recommend_is_measured(world):
    report = evaluate(world.models, world.holdout, train=world.data, costs={"good": Cost(1.5, 2.0, 30.0)}, rules=RULES)
    cost = report["good"].cost
    assert (cost.cpu_seconds, cost.wall_seconds, cost.peak_mb) == (1.5, 2.0, 30.0)
    assert cost.recommend_ms > 0
    assert report["noise"].cost.cpu_seconds is None
