"""Runs of other seeds put together: users count once, spreads are told, and rules are never mixed."""

import json
from dataclasses import replace

import numpy as np
import pytest

from salon.data import Holdout
from salon.data.split import k_folds
from salon.errors import DataError, SettingError
from salon.evaluate.plots import accuracy_against_cost, pareto
from salon.evaluate.protocol import Rules, evaluate
from salon.evaluate.runs import combine, mean_per_user
from salon.evaluate.significance import compare
from salon.evaluate.table import heading, markdown, terminal, to_json
from salon.evaluate.values import Cost, Report
from salon.evaluate.views import view
from salon.models.base import Recommender
from salon.models.popular import Popular

RULES = Rules(split="by hand", seeds={"split": 0}, draws=200)


def some_of(holdout: Holdout, rows) -> Holdout:
    return Holdout(holdout.queries.take(rows), holdout.targets[rows])


@pytest.fixture(scope="module")
def reports(world):
    """Three runs: all users, the first 30, the last 30 in another order."""
    parts = [np.arange(40), np.arange(30), np.arange(39, 9, -1)]
    costs = [Cost(float(i + 1), 2.0, 10.0 * i) for i in range(3)]
    return [
        evaluate(
            world.models, some_of(world.holdout, rows), train=world.data, features=world.features,
            costs=dict.fromkeys(world.models, costs[i]), rules=replace(RULES, seeds={"split": i}, seed=i),
        )
        for i, rows in enumerate(parts)
    ]  # fmt: skip


def test_a_user_counts_once_with_the_mean_over_the_runs_that_asked(reports):
    found = combine(reports)
    slow: dict[int, list[float]] = {}
    for report in reports:
        for user, value in zip(report.users, report["good"].per_user["ndcg@10"], strict=True):
            slow.setdefault(int(user), []).append(value)
    expected = np.array([np.mean(slow[u]) for u in sorted(slow)])
    assert found.users.tolist() == sorted(slow)
    assert found["good"].per_user["ndcg@10"] == pytest.approx(expected)
    assert found["good"].metrics["ndcg@10"].mean == pytest.approx(expected.mean())
    assert found["good"].metrics["ndcg@10"].n == 40


def test_the_spread_is_the_standard_deviation_of_the_runs_means(reports):
    found = combine(reports)
    for metric in ("ndcg@10", "coverage@20"):
        means = [r["good"].metrics[metric].mean for r in reports]
        assert found["good"].metrics[metric].spread == pytest.approx(np.std(means, ddof=1))
    assert found["good"].metrics["coverage@20"].mean == pytest.approx(
        np.mean([r["good"].metrics["coverage@20"].mean for r in reports])
    )


def test_paired_tests_are_on_the_means_per_user(reports):
    found = combine(reports)
    per_user = {name: found[name].per_user["ndcg@10"] for name in found.names}
    assert found.comparisons == compare(per_user, "oracle", "ndcg@10", np.random.default_rng(0))
    assert all(c.n == 40 for c in found.comparisons)


def test_more_runs_of_the_same_users_are_no_more_users(world):
    one = evaluate(world.models, world.holdout, train=world.data, rules=RULES)
    three = combine([one, one, one])
    assert three["good"].metrics["ndcg@10"].mean == pytest.approx(one["good"].metrics["ndcg@10"].mean)
    assert three["good"].metrics["ndcg@10"].low == pytest.approx(one["good"].metrics["ndcg@10"].low, abs=0.02)
    assert three["good"].metrics["ndcg@10"].spread == pytest.approx(0)
    assert combine([one]) is one


def test_costs_are_means_and_the_largest_peak(reports):
    cost = combine(reports)["good"].cost
    assert (cost.cpu_seconds, cost.wall_seconds, cost.peak_mb) == (2.0, 2.0, 20.0)
    assert cost.p99_ms >= cost.p50_ms > 0


def test_slices_are_means_without_intervals(reports):
    found = combine(reports)
    assert {p.name for p in found.slices} == {p.name for r in reports for p in r.slices}
    part = next(p for p in found.slices if p.name == "cold items")
    values = [p.models["good"]["ndcg@10"].mean for r in reports for p in r.slices if p.name == "cold items"]
    assert part.models["good"]["ndcg@10"].mean == pytest.approx(np.mean(values))
    assert part.models["good"]["ndcg@10"].low is None


def test_the_report_says_how_many_runs_and_how_far_they_lie_apart(reports):
    found = combine(reports)
    assert found.setting.seeds == {"split": "0/1/2", "bootstrap and sign flips": 0}
    assert found.setting.runs == 3
    text = markdown(found)
    assert "3 runs" in text
    assert "between runs: oracle 0.0000" in text
    assert "Test: 33 users" in text
    back = Report.from_dict(json.loads(to_json(found)))
    assert back == found
    shown = view(found)
    assert ", sd " in shown.all_metrics.rows[1].cells[0].note
    coverage = next(row.cells[shown.beyond.head.index("Coverage@20") - 1] for row in shown.beyond.rows)
    assert coverage.note.startswith("sd ")  # which has no interval
    assert "sd" not in shown.models.rows[1].cells[0].note
    assert "runs" not in markdown(reports[0])


def test_a_reference_can_be_named(reports):
    found = combine(reports, reference="noise")
    assert {c.against for c in found.comparisons} == {"noise"}
    with pytest.raises(SettingError, match="'nobody'"):
        combine(reports, reference="nobody")


def test_means_leave_out_what_is_undefined():
    found = mean_per_user([np.array([1.0, np.nan]), np.array([3.0, np.nan])], [np.array([0, 1]), np.array([0, 2])], 4)
    assert found == pytest.approx([2, np.nan, np.nan, np.nan], nan_ok=True)


def test_what_cannot_be_put_together_is_refused(world, reports):
    with pytest.raises(SettingError, match="no runs"):
        combine([])
    other = replace(reports[1], setting=replace(reports[1].setting, split="another"))
    with pytest.raises(SettingError, match="split 'by hand' and 'another'"):
        combine([reports[0], other])
    fewer = replace(reports[1], models=reports[1].models[:2])
    with pytest.raises(SettingError, match="other models: noise"):
        combine([reports[0], fewer])
    with pytest.raises(DataError, match="read from JSON"):
        combine([reports[0], Report.from_dict(reports[1].to_dict())])


# -- the literature's protocol ---------------------------------------------------------------------------------------


class Memory(Recommender):
    """Puts first what its people liked in validation, which it was told of."""

    def __init__(self, table):
        super().__init__()
        self.table = table

    def _fit(self, data, items, rng, validation):
        return {"table_": self.table}

    def _score(self, queries):
        return self.table_[queries.users]


@pytest.fixture(scope="module")
def folds(world):
    split = next(k_folds(world.data, 4, rng=0))
    users = split.test.queries.users
    liked = split.valid.targets.toarray()
    table = np.random.default_rng(0).random((40, 30)).astype(np.float32)
    for row, user in enumerate(split.valid.queries.users):
        table[user] += 5 * liked[row]
    assert len(users) == 40
    return split, {"memory": Memory(table).fit(split.train), "popular": Popular().fit(split.train)}


def test_items_of_validation_are_ranked_by_the_literature_only(folds):
    split, models = folds
    honest, papers = (
        evaluate(models, split.test, train=split.train, rules=replace(RULES, literature=literature))
        for literature in (False, True)
    )
    shown = papers["memory"].lists.ids[:, :2]
    liked = {(int(u), int(i)) for u, row in zip(split.valid.queries.users, split.valid.targets.toarray(), strict=True)
             for i in np.flatnonzero(row)}  # fmt: skip
    assert {(int(u), int(i)) for u, row in zip(papers.users, shown, strict=True) for i in row} <= liked
    ours = {(int(u), int(i)) for u, row in zip(honest.users, honest["memory"].lists.ids, strict=True) for i in row}
    assert not ours & liked
    assert honest["memory"].metrics["ndcg@10"].mean > papers["memory"].metrics["ndcg@10"].mean


def test_the_literature_stands_under_a_heading_of_its_own_and_is_never_mixed(folds):
    split, models = folds
    honest, papers = (
        evaluate(models, split.test, train=split.train, rules=replace(RULES, literature=literature))
        for literature in (False, True)
    )
    assert heading(honest) == ""
    assert "not to be put beside other tables" in heading(papers)
    assert markdown(papers).startswith(f"**{heading(papers)}**")
    assert heading(papers)[:20] in str(terminal(papers).renderables[0].title)
    assert view(papers).verdict[0].startswith("Protocol of the literature")
    assert papers.setting.rule == "literature"
    assert "those of validation are ranked" in papers.setting.seen_rule
    with pytest.raises(SettingError, match="rule 'honest' and 'literature'"):
        combine([honest, papers])


def test_a_split_that_masks_nothing_has_no_other_protocol(world):
    with pytest.raises(SettingError, match="masks no item of validation"):
        evaluate(world.models, world.holdout, train=world.data, rules=Rules(literature=True))


# -- costs -----------------------------------------------------------------------------------------------------------


def test_the_latency_of_single_queries_is_measured_and_printed(world):
    report = evaluate(world.models, world.holdout, train=world.data, rules=RULES)
    for model in report.models:
        assert 0 < model.cost.p50_ms <= model.cost.p99_ms
    assert "p50/p99 ms" in markdown(report)
    assert view(report).models.head[-1] == "one query, ms"


def test_a_slow_model_is_asked_fewer_times(world, monkeypatch):
    calls = []
    model = world.fixed(world.noise).fit(world.data)
    monkeypatch.setattr("salon.evaluate.cost.PATIENCE", 0.0)
    monkeypatch.setattr(type(model), "recommend", lambda self, queries, k: calls.append(len(queries)))
    evaluate({"slow": model}, world.holdout, train=world.data, rules=RULES)
    assert calls == [1, 1]  # one to warm up, one that counts


def test_the_pareto_front_holds_those_that_nobody_beats():
    costs, values = [3.0, 1.0, 2.0, 4.0, 1.0, 5.0], [0.5, 0.2, 0.1, 0.5, 0.3, 0.9]
    front = pareto(costs, values)
    assert front == [4, 0, 5]
    slow = [
        i for i in range(6)
        if not any((costs[j] <= costs[i] and values[j] > values[i]) or (costs[j] < costs[i] and values[j] >= values[i])
                   for j in range(6))
    ]  # fmt: skip
    assert sorted(front) == slow
    assert pareto([1.0], [0.0]) == [0]


def test_the_front_is_drawn_in_the_plot_of_costs(reports):
    assert str(accuracy_against_cost(reports[0], 760)).count("stroke-dasharray") >= 1
