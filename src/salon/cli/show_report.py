"""Printing evaluations; apart from `show`, so that verbs that measure nothing start faster."""

from __future__ import annotations

from salon.cli.show import out
from salon.evaluate.table import terminal
from salon.evaluate.values import Report

WIDE, MIDDLE = 155, 112
"""Columns of a window from which on all metrics, or all costs, are shown."""


def show_report(report: Report) -> None:
    """The table of an evaluation, with as many columns as the window is wide."""
    k, last = report.setting.ks[0], report.setting.ks[-1]
    few = [report.setting.main, f"recall@{k}"]
    if out.width >= WIDE:
        out.print(terminal(report))
    elif out.width >= MIDDLE:
        out.print(terminal(report, [*few, f"coverage@{last}"]))
    else:
        out.print(terminal(report, few, costs=1))
