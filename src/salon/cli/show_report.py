"""Printing evaluations; apart from `show`, so that verbs that measure nothing start faster."""

from __future__ import annotations

from salon.cli.show import out
from salon.evaluate.table import terminal
from salon.evaluate.values import Report


def show_report(report: Report) -> None:
    """The table of an evaluation, with as many metrics as the window is wide."""
    k = report.setting.ks[0]
    few = (report.setting.main, f"recall@{k}")
    out.print(terminal(report, () if out.width >= 140 else [*few, f"coverage@{report.setting.ks[-1]}"]))
