"""What tuning found, as a snippet for the catalogue file and as a page with the search and the importances drawn."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup
from matplotlib.ticker import MaxNLocator

from salon.evaluate.names import label, number
from salon.evaluate.plots import NARROW, ROW, WIDE, both
from salon.evaluate.report import environment, write_page
from salon.evaluate.svg import CARD, INK, MUTED, SERIES, Canvas
from salon.evaluate.tuned import Tuned
from salon.evaluate.views import Cell, Grid, Row

BARE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")
SHOWN = 60
"""Trials in the table of the page, best first."""


def snippet(tuned: Tuned, *about: str) -> str:
    """TOML to paste into a catalogue file: the section [model] with the best settings.

    Args:
        tuned: What came of tuning.
        about: For the comment, such as how the log was parted.
    """
    plan = tuned.plan
    found = f"{number(plan.metric, tuned.value)} (defaults {number(plan.metric, tuned.default)})"
    lines = [
        f"# salon tune: {label(plan.metric)} on validation {found}, "
        + ", ".join([f"{len(tuned.trials)} trials", *about]),
        "[model]",
        f"name = {json.dumps(plan.model)}",
        *(f"{_key(name)} = {_toml(value)}" for name, value in {**plan.base, **tuned.settings}.items()),
    ]
    return "\n".join(lines) + "\n"


def _key(name: str) -> str:
    return name if set(name) <= BARE else json.dumps(name)


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(str(k))} = {_toml(v)}" for k, v in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def write_tuning(path: Path, tuned: Tuned, *, title: str, about: Mapping[str, str]) -> None:
    """Writes one self-contained page: best settings, trials, how the search went, importances.

    Args:
        path: The file.
        tuned: What came of tuning.
        title: Heading.
        about: Facts at the foot, such as protocol and command.
    """
    metric = tuned.plan.metric
    page = environment().get_template("tune.html").render(
        title=title,
        verdict=verdict(tuned),
        snippet=snippet(tuned),
        trials=_table(tuned),
        more=max(0, len(tuned.trials) - SHOWN),
        history=both(lambda width: history(tuned, width)),
        importance=both(lambda width: importance(tuned, width)),
        metric=label(metric),
        about=about,
    )  # fmt: skip
    write_page(path, page)


def verdict(tuned: Tuned) -> list[str]:
    """What came of it in sentences."""
    metric = tuned.plan.metric
    found, before = number(metric, tuned.value), number(metric, tuned.default)
    lines = [f"{label(metric)} on validation: {found} with the best settings, {before} with the defaults."]
    if not tuned.settings:
        lines = [f"No trial was better than the defaults ({label(metric)} on validation {before})."]
    states = [one.state for one in tuned.trials]
    told = ", ".join(f"{states.count(s)} {s}" for s in ("complete", "pruned", "failed") if s in states) or "none"
    whole = "; the whole space was tried" if tuned.complete else ""
    lines.append(f"Trials: {told}, {tuned.seconds:,.0f} seconds{whole}.")
    lines.append("The best of many values on validation is a little too good; only a test says what it is worth.")
    return lines


def _table(tuned: Tuned) -> Grid:
    metric, names = tuned.plan.metric, list(tuned.plan.space)
    order = sorted(enumerate(tuned.trials), key=lambda pair: -(pair[1].value if pair[1].value is not None else -1.0))
    top = max([one.value or 0.0 for one in tuned.trials] + [1e-12])
    rows = []
    for place, one in order[:SHOWN]:
        value = Cell(number(metric, one.value) if one.value is not None else one.state, one.error[:120],
                     (one.value or 0.0) / top, one.value is not None and one.value == tuned.value)  # fmt: skip
        cells = [Cell(f"{v:.4g}" if isinstance(v := one.settings.get(n), float) else str(v)) for n in names]
        rows.append(Row(f"{place + 1}", (value, *cells, Cell(f"{one.seconds:.1f}"))))
    return Grid(("trial", label(metric), *names, "seconds"), tuple(rows))


def history(tuned: Tuned, width: float) -> Markup | None:
    """The value of every trial and the best so far, beside the value of the defaults."""
    known = [(i + 1, one.value) for i, one in enumerate(tuned.trials) if one.value is not None]
    if len(known) < 2:
        return None
    canvas = Canvas(width, 300)
    axes = canvas.axes(58, 26, width - 58 - 16, 300 - 26 - 50)
    axes.axhline(tuned.default, color=MUTED, linewidth=1.2, linestyle=(0, (4, 3)))
    best, steps = tuned.default, []
    for _, value in known:
        best = max(best, value)
        steps.append(best)
    axes.step([n for n, _ in known], steps, where="post", color=SERIES[0], linewidth=2)
    for place, value in known:
        axes.plot(place, value, "o", markersize=7, color=SERIES[0], markeredgecolor=CARD, markeredgewidth=1.2)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    metric = label(tuned.plan.metric)
    axes.text(0, 1.0, f"{metric} on validation", transform=axes.transAxes, va="bottom", fontsize=12.5, color=INK,
              weight="bold")  # fmt: skip
    axes.set_xlabel("trial", fontsize=11.5, color=MUTED, labelpad=6)
    return canvas.svg(f"{metric} on validation of {len(known)} trials")


def importance(tuned: Tuned, width: float) -> Markup | None:
    """A bar per setting: its share in what the trials differ by."""
    if not tuned.importance:
        return None
    names, shares = list(tuned.importance), list(tuned.importance.values())
    left = 7.4 * min(max(map(len, names)), 20 if width >= WIDE else 14) + 20
    canvas = Canvas(width, ROW * len(names) + 50)
    axes = canvas.axes(left, 8, width - left - (60 if width > NARROW else 48), ROW * len(names))
    axes.barh(range(len(names)), shares, height=0.62, color=SERIES[1])
    for row, share in enumerate(shares):
        axes.text(share + 0.01, row, f"{100 * share:.0f} %", va="center", fontsize=11.5, color=INK)
    axes.set_yticks(range(len(names)), [canvas.word(name, 20) for name in names], fontsize=12.5, color=INK)
    axes.grid(axis="y", visible=False)
    axes.set_ylim(len(names) - 0.45, -0.6)
    axes.set_xlim(0, max(1.0, *shares))
    axes.set_xticks([0, 0.5, 1], ["0", "50 %", "100 %"])
    return canvas.svg(f"Importance of {len(names)} settings")
