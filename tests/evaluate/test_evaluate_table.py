"""The table for people and the text for programs say what the report says."""

import json
from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from salon.errors import DataError
from salon.evaluate import names
from salon.evaluate.protocol import Rules, evaluate
from salon.evaluate.table import from_json, markdown, shown_metrics, terminal, to_json
from salon.evaluate.values import Cost, Measured


@pytest.fixture(scope="module")
def report(world):
    costs = {"good": Cost(12.345, 6.0, 256.0)}
    rules = Rules(split="by hand", draws=100)
    return evaluate(world.models, world.holdout, train=world.data, features=world.features, costs=costs, rules=rules)


def printed(renderable):
    console = Console(file=StringIO(), width=200)
    console.print(renderable)
    return console.file.getvalue()


def test_the_terminal_table_shows_models_marks_costs_rules_and_warnings(report):
    text = printed(terminal(report))
    for word in ("oracle", "ref", "▼", "nDCG@10", "Recall@20", "Coverage@20", "1.0000 ±0.0000", "12.3", "256"):
        assert word in text
    for word in ("by hand", "40 users, 120 targets", "all 30 items", "Warning: Not compared", "Holm"):
        assert word in text


def test_columns_can_be_chosen(report):
    text = printed(terminal(report, ["auc", "novelty@10"]))
    assert "AUC" in text
    assert "nDCG@20" not in text


def test_markup_in_a_model_name_is_printed_as_it_is(report):
    odd = replace(report, models=(replace(report.models[0], name="[red]a[/red]"),), comparisons=())
    assert "[red]a[/red]" in printed(terminal(odd))


def test_markdown_is_a_table_that_hostile_names_cannot_leave(report):
    odd = replace(report, models=(replace(report.models[0], name="a|b <script>\n| x"), *report.models[1:]))
    lines = markdown(odd).splitlines()
    assert lines[0].startswith("| model |")
    assert lines[1].startswith("| --- | :-: | --: |")
    assert lines[2].startswith("| a\\|b &lt;script&gt; \\| x |")
    assert len(lines[2].replace("\\|", "").split("|")) == len(lines[0].split("|"))
    assert "- **Warning:** Not compared" in markdown(odd)


def test_json_survives_the_round_trip(report):
    assert from_json(to_json(report)) == report
    plain = json.loads(to_json(report))
    assert plain["baselines_present"] is False
    assert "per_user" not in plain["models"][0]


@pytest.mark.parametrize("text", ["", "[1]", "{}"])
def test_text_that_is_no_report_is_refused(text):
    with pytest.raises(DataError):
        from_json(text)


def test_every_measured_metric_has_a_printed_name(report):
    assert {names.about(m).says for m in report.models[0].metrics} >= {"Harmonic mean of precision and recall."}
    assert all(names.about(m).says for m in report.models[0].metrics)
    assert names.label("diversity[text]@10") == "Diversity of text@10"
    assert names.number("auc", None) == "–"
    assert shown_metrics(report)[0] == "ndcg@10"
    assert Measured(None).low is None
