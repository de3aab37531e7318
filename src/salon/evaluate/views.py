"""What the page of a report says, as plain values for its templates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from salon.evaluate import plots
from salon.evaluate.names import about, label, number
from salon.evaluate.svg import VARIABLES
from salon.evaluate.table import cost_words, heading, mark, rule_lines, shown_metrics
from salon.evaluate.values import Comparison, Cost, Measured, Report

BEYOND = ("coverage", "gini", "novelty", "popularity", "serendipity")
MARKS = {
    "ref": "reference",
    "▲": "better than the reference",
    "▼": "worse than the reference",
    "≈": "not told apart from the reference",
}


@dataclass(frozen=True)
class Cell:
    """A value of a table: its text, its interval under it, and how long its bar is (0 to 1)."""

    text: str
    note: str = ""
    share: float = 0.0
    best: bool = False


@dataclass(frozen=True)
class Row:
    """A line of a table: a name with its colour and its mark, and cells."""

    name: str
    cells: tuple[Cell, ...]
    colour: str = ""
    mark: str = ""
    says: str = ""
    baseline: str = ""


@dataclass(frozen=True)
class Grid:
    """A table."""

    head: tuple[str, ...]
    rows: tuple[Row, ...]


Plot = tuple[Markup, Markup]


@dataclass(frozen=True)
class ReportView:
    """Everything the templates need of a report."""

    figures: tuple[tuple[str, str], ...]
    verdict: tuple[str, ...]
    rules: tuple[str, ...]
    warnings: tuple[str, ...]
    models: Grid
    all_metrics: Grid
    beyond: Grid
    slices: Grid
    slice_notes: tuple[tuple[str, str], ...]
    legend: tuple[tuple[str, str], ...]
    glossary: tuple[tuple[str, str], ...]
    bars: Plot | None
    differences: Plot | None
    cost: Plot | None
    coverage: Plot | None
    slice_plot: Plot | None


def view(report: Report) -> ReportView:
    """The report as tables, sentences and drawings."""
    s = report.setting
    k = s.main.partition("@")[2] or str(s.ks[0])
    other = f"recall@{k}" if not s.main.startswith("recall") else f"ndcg@{k}"
    metrics = [m for m in (s.main, other) if m in report.models[0].metrics]
    names = list(report.models[0].metrics)
    keys = dict.fromkeys(m.partition("@")[0].partition("[")[0] for m in names)
    return ReportView(
        figures=(
            ("people tested", f"{s.n_users:,}"),
            ("targets", f"{s.n_targets:,}"),
            ("candidates", f"{s.n_candidates:,}"),
            ("models", f"{len(report.models):,}"),
        ),
        verdict=tuple(verdict(report)),
        rules=tuple(rule_lines(report)),
        warnings=report.warnings,
        models=_grid(report, shown_metrics(report), costs=True),
        all_metrics=_grid(report, names, marks=False),
        beyond=_grid(report, _beyond(report), marks=False),
        slices=_slices(report),
        slice_notes=tuple((p.name, p.what) for p in report.slices),
        legend=tuple((n, css_colour(report, n)) for n in plots.slice_models(report)),
        glossary=tuple((about(m).label, about(m).says) for m in keys if about(m).says),
        bars=plots.both(lambda w: plots.metric_bars(report, metrics, w)),
        differences=plots.both(lambda w: plots.differences(report, w)),
        cost=plots.both(lambda w: plots.accuracy_against_cost(report, w)),
        coverage=plots.both(lambda w: plots.beyond_accuracy(report, w)),
        slice_plot=plots.both(lambda w: plots.slice_dots(report, w)),
    )


def css_colour(report: Report, name: str) -> str:
    """The CSS variable of a model's colour."""
    return VARIABLES[plots.colour_of(report, name)]


def verdict(report: Report) -> list[str]:
    """What the numbers say, in sentences that claim no more than the test resolves."""
    best, main = report.models[0], report.setting.main
    value = best.metrics[main]
    within = "" if value.low is None or value.high is None else (
        f" (95 % interval {number(main, value.low)} to {number(main, value.high)})"
    )  # fmt: skip
    lines = [f"{heading(report)}."] if heading(report) else []
    lines.append(f"{best.name} comes first: {label(main)} {number(main, value.mean)}{within}.")
    if best.name != report.setting.reference:
        lines.append(_against(report.comparison(best.name), main))
    elif len(report.models) > 1:
        second = report.models[1].name
        lines.append(_lead(report.comparison(second), second, main, report.setting.n_users))
        trail, others = sum(c.resolved for c in report.comparisons), len(report.comparisons)
        who = f"All {others}" if trail == others else f"{trail} of the {others}"
        lines.append(f"{who} other models trail it by more than chance." if others > 1 else "")
    return [line for line in lines if line]


def _lead(comparison: Comparison | None, second: str, main: str, n_users: int) -> str:
    if comparison is None:
        return ""
    lead = number(main, abs(comparison.difference))
    if comparison.resolved:
        return f"Its lead of {lead} over {second} is more than chance (adjusted p {p_value(comparison.p_holm)})."
    return f"Its lead of {lead} over {second} is not resolved with {n_users:,} people."


def _against(comparison: Comparison | None, main: str) -> str:
    if comparison is None:
        return ""
    word = "more than chance" if comparison.resolved else "not resolved"
    size = number(main, comparison.difference)
    return f"Its difference of {size} from {comparison.against} is {word} (adjusted p {p_value(comparison.p_holm)})."


def p_value(p: float) -> str:
    """Such as "< 0.001" or "0.034"."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _beyond(report: Report) -> tuple[str, ...]:
    k = report.setting.ks[-1]
    found = report.models[0].metrics
    return tuple(
        m for m in found if m.endswith(f"@{k}") and m.partition("@")[0].partition("[")[0] in (*BEYOND, "diversity")
    )


def _grid(report: Report, metrics: Sequence[str], *, costs: bool = False, marks: bool = True) -> Grid:
    columns = [_column(m, [model.metrics.get(m) for model in report.models], spread=not marks) for m in metrics]
    head = [label(m) for m in metrics]
    if costs:
        head += ["fit, CPU s", "peak, MB", "ms / query", "one query, ms"]
        columns += [_costs(report, f) for f in ("cpu_seconds", "peak_mb", "recommend_ms")]
        columns.append([_latency(model.cost or Cost()) for model in report.models])
    rows = []
    for i, model in enumerate(report.models):
        sign = mark(report.comparison(model.name)) if marks else ""
        cells = tuple(column[i] for column in columns)
        rows.append(
            Row(model.name, cells, css_colour(report, model.name), sign, MARKS.get(sign, ""), model.baseline or "")
        )
    return Grid(("model", *head), tuple(rows))


def _column(metric: str, values: Sequence[Measured | None], *, spread: bool = False) -> list[Cell]:
    """The cells of a metric, with their interval and, if wanted, the standard deviation between runs."""
    found = [v.mean for v in values if v is not None and v.mean is not None]
    top = max([abs(v) for v in found] + [1e-12])
    better = about(metric).better
    best = None if better is None or not found else max(found) if better == "higher" else min(found)
    cells = []
    for v in values:
        if v is None or v.mean is None:
            cells.append(Cell("–"))
            continue
        note = "" if v.low is None or v.high is None else f"{number(metric, v.low)} – {number(metric, v.high)}"
        if spread and v.spread is not None:
            note = ", ".join([note] * bool(note) + [f"sd {number(metric, v.spread)}"])
        cells.append(Cell(number(metric, v.mean), note, abs(v.mean) / top, v.mean == best and len(found) > 1))
    return cells


def _costs(report: Report, name: str) -> list[Cell]:
    values = [getattr(model.cost or Cost(), name) for model in report.models]
    return [Cell(cost_words(v)) for v in values]


def _latency(cost: Cost) -> Cell:
    return Cell("–") if cost.p50_ms is None else Cell(cost_words(cost.p50_ms), f"p99 {cost_words(cost.p99_ms)}")


def _slices(report: Report) -> Grid:
    metric = plots.slice_metric(report)
    rows = []
    for part in report.slices:
        values: Mapping[str, Measured] = {n: m[metric] for n, m in part.models.items()}
        cells = [Cell(f"{part.n_users:,}"), Cell(f"{part.n_targets:,}")]
        rows.append(Row(part.name, (*cells, *_column(metric, [values.get(n) for n in report.names])), says=part.what))
    return Grid((label(metric), "users", "targets", *report.names), tuple(rows))
