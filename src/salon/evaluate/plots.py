"""The pictures of a report: accuracy with intervals, differences, accuracy against cost, beyond accuracy, slices.

Each function draws for a given width in pixels, so that a page can hold one drawing for desks and one for phones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from salon.evaluate.names import label, number, sort_sign
from salon.evaluate.svg import CARD, INK, LINE, MUTED, SERIES, Canvas
from salon.evaluate.values import Measured, ModelResult, Report

WIDE, NARROW = 760, 350
ROW = 27
LONGEST = {WIDE: 20, NARROW: 15}
"""Columns after which names at the left are cut."""
SLICE_MODELS = 5
"""At most so many models in the plot of slices; the table beside it has all."""


def both(draw: Callable[[float], Markup | None]) -> tuple[Markup, Markup] | None:
    """The drawing for desks and for phones, or None where there is nothing to draw."""
    wide, narrow = draw(WIDE), draw(NARROW)
    return None if wide is None or narrow is None else (wide, narrow)


def colour_of(report: Report, name: str) -> str:
    """The colour of a model, the same in all pictures of a report."""
    return SERIES[report.names.index(name) % len(SERIES)]


def metric_bars(report: Report, metrics: Sequence[str], width: float) -> Markup:
    """A bar per model with its 95 % interval, one panel per metric; panels stand beside or below each other."""
    beside = width >= WIDE
    left = _left(report.names, width)
    panels = len(metrics)
    each = (width - left - 46 * panels) / panels if beside else width - left - 50
    height = ROW * len(report.models)
    step = height + 62
    canvas = Canvas(width, step if beside else step * panels)
    for i, metric in enumerate(metrics):
        x, y = (left + i * (each + 46), 30) if beside else (left, 30 + i * step)
        axes = canvas.axes(x, y, each, height)
        _bars(canvas, axes, report, metric, names=not beside or i == 0)
    return canvas.svg(f"{', '.join(map(label, metrics))} of {len(report.models)} models with 95 % intervals")


def _bars(canvas: Canvas, axes: Axes, report: Report, metric: str, *, names: bool) -> None:
    found = [m.metrics.get(metric, Measured(None)) for m in report.models]
    rows = range(len(found))
    means = [v.mean or 0.0 for v in found]
    axes.barh(rows, means, height=0.62, color=[colour_of(report, n) for n in report.names])
    top = max([v.high or v.mean or 0.0 for v in found] + [1e-9])
    for row, value in zip(rows, found, strict=True):
        if value.low is not None and value.high is not None:
            axes.plot([value.low, value.high], [row, row], color=INK, linewidth=1.4, solid_capstyle="butt")
        axes.text((value.high or value.mean or 0) + top * 0.02, row, number(metric, value.mean), va="center",
                  fontsize=11.5, color=INK)  # fmt: skip
    axes.set_xlim(0, top * 1.04)
    _row_labels(canvas, axes, report.names if names else [""] * len(rows), bold=report.setting.reference)
    axes.xaxis.set_major_locator(MaxNLocator(3))
    axes.text(0, 1.0, label(metric), transform=axes.transAxes, va="bottom", fontsize=13, color=INK, weight="bold")


def _left(names: Sequence[str], width: float) -> float:
    """Pixels that the longest name needs, with a margin."""
    longest = LONGEST[WIDE] if width >= WIDE else LONGEST[NARROW]
    return 7.4 * min(max(len(n.encode("utf-16-le")) / 2 for n in names), longest) + 20


def _row_labels(canvas: Canvas, axes: Axes, names: Sequence[str], *, bold: str = "") -> None:
    """Names down the left side, the first at the top."""
    size = LONGEST[WIDE] if canvas.width >= WIDE else LONGEST[NARROW]
    axes.set_yticks(range(len(names)), [canvas.word(n, size) for n in names], fontsize=12.5, color=INK)
    for tick, name in zip(axes.get_yticklabels(), names, strict=True):
        tick.set_fontweight("bold" if name and name == bold else "normal")
    axes.grid(axis="y", visible=False)
    axes.set_ylim(len(names) - 0.45, -0.6)


def differences(report: Report, width: float) -> Markup | None:
    """The difference of each model from the reference, with its interval; hollow where it is not resolved."""
    if not report.comparisons:
        return None
    left = _left([c.name for c in report.comparisons], width)
    canvas = Canvas(width, ROW * len(report.comparisons) + 48)
    axes = canvas.axes(left, 8, width - left - 22, ROW * len(report.comparisons))
    axes.axvline(0, color=MUTED, linewidth=1.2)
    for row, c in enumerate(report.comparisons):
        colour = colour_of(report, c.name)
        axes.plot([c.low, c.high], [row, row], color=colour, linewidth=2.4, solid_capstyle="round")
        axes.plot(c.difference, row, "o", markersize=8, color=colour, markeredgewidth=2,
                  markerfacecolor=colour if c.resolved else CARD)  # fmt: skip
    _row_labels(canvas, axes, [c.name for c in report.comparisons])
    axes.xaxis.set_major_locator(MaxNLocator(4 if width < WIDE else 7))
    _caption(axes, canvas, f"{label(report.setting.main)}, minus that of {report.setting.reference}")
    return canvas.svg(f"Differences in {label(report.setting.main)} from {report.setting.reference}")


def _caption(axes: Axes, canvas: Canvas, text: str) -> None:
    axes.set_xlabel(canvas.word(text, 90), fontsize=11.5, color=MUTED, labelpad=6)


def accuracy_against_cost(report: Report, width: float) -> Markup | None:
    """The main metric over processor seconds of the fit, or over milliseconds per query where no fit was measured."""
    main = report.setting.main
    cpu = {m.name: m.cost.cpu_seconds for m in report.models if m.cost and m.cost.cpu_seconds is not None}
    ms = {m.name: m.cost.recommend_ms for m in report.models if m.cost and m.cost.recommend_ms is not None}
    costs, what = (cpu, "fit, CPU seconds") if len(cpu) > 1 else (ms, "milliseconds per query")
    shown = [m for m in report.models if m.name in costs and m.metrics[main].mean is not None]
    if len(shown) < 2:
        return None
    x = [max(float(costs[m.name] or 0), 1e-3) for m in shown]
    canvas = Canvas(width, 360 if width >= WIDE else 320)
    axes = canvas.axes(54, 26, width - 54 - 16, canvas.height - 26 - 52)
    axes.set_xscale("log")
    span = max(x) / min(x)
    axes.set_xlim(min(x) / span**0.06 / 1.3, max(x) * span ** (0.25 if width >= WIDE else 0.45) * 1.6)
    axes.xaxis.set_major_locator(LogLocator(numticks=7 if width >= WIDE else 5))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    front = pareto(x, [sort_sign(main) * (m.metrics[main].mean or 0.0) for m in shown])
    axes.step(
        [x[i] for i in front] + [axes.get_xlim()[1]],
        [shown[i].metrics[main].mean or 0.0 for i in [*front, front[-1]]],
        where="post", color=MUTED, linewidth=1, alpha=0.55, zorder=0, linestyle=(0, (4, 3)),
    )  # fmt: skip
    _points(canvas, axes, report, shown, x, [m.metrics[main] for m in shown])
    axes.text(0, 1.0, label(main), transform=axes.transAxes, va="bottom", fontsize=12.5, color=INK, weight="bold")
    _caption(axes, canvas, f"{what} (logarithmic)")
    return canvas.svg(f"{label(main)} against {what}")


def pareto(costs: Sequence[float], values: Sequence[float]) -> list[int]:
    """Places of those that no other beats: dearer than another only if better; by rising cost."""
    front: list[int] = []
    for i in sorted(range(len(costs)), key=lambda j: (costs[j], -values[j])):
        if not front or values[i] > values[front[-1]]:
            front.append(i)
    return front


def _points(
    canvas: Canvas,
    axes: Axes,
    report: Report,
    shown: Sequence[ModelResult],
    x: Sequence[float],
    y: Sequence[Measured],
) -> None:
    """Named points with vertical intervals; names give way to each other."""
    axes.grid(axis="y", color=LINE, linewidth=1)
    axes.yaxis.set_major_locator(MaxNLocator(5))
    for model, px, value in zip(shown, x, y, strict=True):
        colour = colour_of(report, model.name)
        if value.low is not None and value.high is not None:
            axes.plot([px, px], [value.low, value.high], color=colour, linewidth=2, alpha=0.55)
        axes.plot(px, value.mean or 0.0, "o", markersize=9, color=colour, markeredgecolor=CARD, markeredgewidth=1.5)
    low, high = axes.get_ylim()
    axes.set_ylim(low, high)
    spots = axes.transData.transform([(px, v.mean or 0.0) for px, v in zip(x, y, strict=True)])
    back = axes.transData.inverted()
    for model, (sx, sy), (px, py) in zip(shown, _apart(spots, canvas.width), spots, strict=True):
        bold = "bold" if model.name == report.setting.reference else "normal"
        left, middle = back.transform((sx + 9, sy))
        if abs(sy - py) > 5:  # a line leads from the point to a name that had to give way
            ends = back.transform([(px, py), (sx + 8, sy)])
            axes.plot(ends[:, 0], ends[:, 1], color=MUTED, linewidth=0.9)
        axes.text(left, middle, canvas.word(model.name, 18), fontsize=12, color=INK, va="center", weight=bold)


def _apart(spots: np.ndarray, width: float) -> np.ndarray:
    """(n, 2) places of names in pixels, pushed up or down where they would cover a name, or a point to their right."""
    moved = spots.copy()
    reach, line = (130, 15) if width >= WIDE else (105, 15)
    for _ in range(60):
        for i in range(len(moved)):
            for j in range(i):
                gap = moved[i, 1] - moved[j, 1]
                if abs(moved[i, 0] - moved[j, 0]) < reach and abs(gap) < line:
                    push = (line - abs(gap)) / 2 * (1 if gap > 0 or (gap == 0 and i > j) else -1)
                    moved[i, 1] += push
                    moved[j, 1] -= push
            ahead = (spots[:, 0] > moved[i, 0] + 4) & (spots[:, 0] < moved[i, 0] + reach / 2)
            for gap in moved[i, 1] - spots[ahead, 1]:
                if abs(gap) < 9:
                    moved[i, 1] += (9 - abs(gap)) * (1 if gap >= 0 else -1) / 2
    return moved


def beyond_accuracy(report: Report, width: float) -> Markup | None:
    """Novelty over coverage: who shows much of the catalogue, and who shows what is little known."""
    k = report.setting.ks[-1]
    pairs = [(m, m.metrics.get(f"coverage@{k}"), m.metrics.get(f"novelty@{k}")) for m in report.models]
    shown = [(m, c.mean, n) for m, c, n in pairs if c and n and c.mean is not None and n.mean is not None]
    if len(shown) < 2:
        return None
    canvas = Canvas(width, 330 if width >= WIDE else 310)
    axes = canvas.axes(46, 26, width - 46 - 16, canvas.height - 26 - 52)
    axes.set_xlim(-0.03, 1.22 if width >= WIDE else 1.45)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25 %", "50 %", "75 %", "100 %"])
    _points(canvas, axes, report, [m for m, _, _ in shown], [c for _, c, _ in shown], [n for _, _, n in shown])
    axes.text(0, 1.0, f"Novelty@{k}, bits", transform=axes.transAxes, va="bottom", fontsize=12.5, color=INK,
              weight="bold")  # fmt: skip
    _caption(axes, canvas, f"share of the candidates in anyone's first {k}")
    return canvas.svg(f"Novelty against coverage of {len(shown)} models")


def slice_metric(report: Report) -> str:
    """The metric by which slices are drawn: the main one where slices have it, else nDCG."""
    main = report.setting.main
    known = any(main in metrics for s in report.slices for metrics in s.models.values())
    return main if known else f"ndcg@{report.setting.ks[0]}"


def slice_models(report: Report) -> tuple[str, ...]:
    """The models in the plot of slices: the reference first, then the best."""
    rest = [n for n in report.names if n != report.setting.reference]
    return (report.setting.reference, *rest)[:SLICE_MODELS]


def slice_dots(report: Report, width: float) -> Markup | None:
    """A row per slice, in it a dot with its interval per model."""
    if not report.slices:
        return None
    metric, names = slice_metric(report), slice_models(report)
    left = _left([p.name for p in report.slices], width) + 6
    tall = 11 * len(names) + 16
    canvas = Canvas(width, tall * len(report.slices) + 54)
    axes = canvas.axes(left, 6, width - left - 22, tall * len(report.slices))
    axes.set_ylim(len(report.slices) - 0.5, -0.5)
    axes.set_yticks([])
    top = 1e-9
    for row, part in enumerate(report.slices):
        axes.axhline(row + 0.5, color=LINE, linewidth=1)
        axes.text(-12 / (width - left), row, canvas.word(part.name, 22), transform=axes.get_yaxis_transform(),
                  ha="right", va="bottom", fontsize=12.5, color=INK)  # fmt: skip
        axes.text(-12 / (width - left), row, f"{part.n_users:,} users", transform=axes.get_yaxis_transform(),
                  ha="right", va="top", fontsize=11, color=MUTED)  # fmt: skip
        for i, name in enumerate(names):
            top = max(top, _dot(axes, row + (i - (len(names) - 1) / 2) * 11 / tall, part.models[name][metric],
                                colour_of(report, name)))  # fmt: skip
    axes.set_xlim(-0.01 * top, top * 1.04)
    axes.xaxis.set_major_locator(MaxNLocator(4 if width < WIDE else 7))
    _caption(axes, canvas, label(metric))
    return canvas.svg(f"{label(metric)} by slice of the test")


def _dot(axes: Axes, y: float, value: Measured, colour: str) -> float:
    """Draws one value; gives the right end of it."""
    if value.mean is None:
        return 0.0
    if value.low is not None and value.high is not None:
        axes.plot([value.low, value.high], [y, y], color=colour, linewidth=2, alpha=0.55)
    axes.plot(value.mean, y, "o", markersize=7, color=colour)
    return value.high or value.mean
