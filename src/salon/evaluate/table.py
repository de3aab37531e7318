"""A report as a table: for the terminal (rich), for pages (Markdown) and for programs (JSON)."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from salon.errors import DataError
from salon.evaluate.names import label, number, sort_sign
from salon.evaluate.values import Comparison, Cost, Measured, Report


def shown_metrics(report: Report) -> tuple[str, ...]:
    """The metrics of the short table: nDCG and recall at every k, coverage at the last, and the main one."""
    ks = report.setting.ks
    names = [f"{m}@{k}" for m in ("ndcg", "recall") for k in ks] + [f"coverage@{ks[-1]}"]
    return tuple(dict.fromkeys([report.setting.main, *names]))


def mark(comparison: Comparison | None) -> str:
    """How a model stands against the reference: "ref", "▲" or "▼" where resolved, "≈" where not."""
    if comparison is None:
        return "ref"
    if not comparison.resolved:
        return "≈"
    return "▲" if comparison.difference * sort_sign(comparison.metric) > 0 else "▼"


def cell(metric: str, value: Measured | None) -> str:
    """Such as "0.1234 ±0.0056", half the width of the interval after the sign."""
    if value is None or value.mean is None:
        return "–"
    if value.low is None or value.high is None:
        return number(metric, value.mean)
    return f"{number(metric, value.mean)} ±{number(metric, (value.high - value.low) / 2)}"


LITERATURE = "Protocol of the literature, not to be put beside other tables: items of validation are ranked at test"


def heading(report: Report) -> str:
    """What a table must say above itself: nothing under salon's own rules."""
    return LITERATURE if report.setting.rule == "literature" else ""


def rule_lines(report: Report) -> list[str]:
    """The rules of the test, one line each."""
    s = report.setting
    seeds = ", ".join(f"{name} {value}" for name, value in s.seeds.items())
    each = " per run" if s.runs > 1 else ""
    return [
        *([f"{heading(report)}."] if heading(report) else []),
        f"Split: {s.split}. Test: {s.n_users} users, {s.n_targets} targets{each}.",
        *([spread_line(report)] if s.runs > 1 else []),
        f"Candidates: {s.candidates}; {s.seen_rule}.",
        f"Intervals: 95 %, bootstrap over users ({s.draws} draws). Seeds: {seeds}.",
        f"Marks: ▲ ▼ better, worse than {s.reference} in {label(s.main)} (sign-flip test per user, Holm-adjusted "
        "p < 0.05); ≈ not resolved.",
    ]


def spread_line(report: Report) -> str:
    """How far the runs are apart, for each model."""
    s, main = report.setting, report.setting.main
    found = [(m.name, m.metrics[main].spread) for m in report.models]
    told = ", ".join(f"{name} {number(main, value)}" for name, value in found if value is not None)
    return (
        f"{s.runs} runs: values are the means of each user's mean over the runs. Standard deviation of {label(main)} "
        f"between runs: {told}."
    )


COSTS = ("fit CPU s", "peak MB", "ms/query", "p50/p99 ms")
"""The last one is of queries asked one by one."""


def terminal(report: Report, metrics: Sequence[str] = (), *, costs: int = len(COSTS)) -> RenderableType:
    """What a rich console prints: the table, the rules of the test, and the warnings.

    Args:
        report: The evaluation.
        metrics: Columns; the default is `shown_metrics`.
        costs: How many of `COSTS` to show, for narrow windows.
    """
    title = f"{len(report.models)} models, best first by {label(report.setting.main)}"
    title = f"{heading(report)}.\n{title}" if heading(report) else title
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("model", no_wrap=True)
    table.add_column("", justify="center")
    names = tuple(metrics) or shown_metrics(report)
    for name in names:
        table.add_column(label(name), justify="right", no_wrap=True)
    for column in COSTS[:costs]:
        table.add_column(column, justify="right", no_wrap=True)
    for row in _rows(report, names):
        shown = row[: len(row) - len(COSTS) + costs]
        table.add_row(*(escape(value) for value in shown), style="bold" if row[0] == report.setting.reference else "")
    lines = [Text(line, style="dim") for line in rule_lines(report)]
    return Group(table, *lines, *(Text(f"Warning: {line}", style="yellow") for line in report.warnings))


def markdown(report: Report, metrics: Sequence[str] = ()) -> str:
    """The same as GitHub-flavoured Markdown.

    Args:
        report: The evaluation.
        metrics: Columns; the default is `shown_metrics`.
    """
    names = tuple(metrics) or shown_metrics(report)
    heads = ["model", "", *(label(n) for n in names), *COSTS]
    rules = ["---", ":-:", *["--:"] * (len(heads) - 2)]
    rows = [heads, rules, *([_plain(v) for v in row] for row in _rows(report, names))]
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    notes = [*rule_lines(report), *(f"**Warning:** {line}" for line in report.warnings)]
    above = [f"**{heading(report)}**", ""] if heading(report) else []
    return "\n".join([*above, *lines, "", *(f"- {_plain(note)}" for note in notes)]) + "\n"


def to_json(report: Report) -> str:
    """The report as JSON text, in the schema of `values.py`."""
    return json.dumps(report.to_dict(), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def from_json(text: str) -> Report:
    """The report that `to_json` wrote, without the arrays per user.

    Raises:
        DataError: The text is no JSON, or no report of this format.
    """
    try:
        plain = json.loads(text)
    except ValueError as error:
        raise DataError(f"The report is not JSON: {error}.") from None
    if not isinstance(plain, dict):
        raise DataError(f"The report is a JSON {type(plain).__name__}, not an object.")
    return Report.from_dict(plain)


def _rows(report: Report, metrics: Sequence[str]) -> list[list[str]]:
    rows = []
    for model in report.models:
        cost = model.cost or Cost()
        costs = map(cost_words, (cost.cpu_seconds, cost.peak_mb, cost.recommend_ms))
        values = [cell(m, model.metrics.get(m)) for m in metrics]
        rows.append([model.name, mark(report.comparison(model.name)), *values, *costs, latency_words(cost)])
    return rows


def latency_words(cost: Cost) -> str:
    """Such as "1.2 / 3.4": median and 99th percentile."""
    return "–" if cost.p50_ms is None else f"{cost_words(cost.p50_ms)} / {cost_words(cost.p99_ms)}"


def cost_words(value: float | None) -> str:
    """Such as "1,234", "12.3", "1.23" or "< 0.01"; "–" where it is not known."""
    if value is None:
        return "–"
    if value < 0.01:
        return "< 0.01"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _plain(text: str) -> str:
    """Text on one line that cannot leave its cell, become a link, or turn into HTML."""
    escaped = re.sub(r"([\\|`\[\]])", r"\\\1", " ".join(text.split()))
    return html.escape(escaped, quote=False)
