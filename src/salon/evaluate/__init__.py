"""Honest evaluation: one protocol for all, intervals, paired tests, slices, costs, and a page that shows it."""

from salon.evaluate.cost import measure_fit
from salon.evaluate.protocol import Rules, evaluate
from salon.evaluate.values import Cost, Report

__all__ = ["Cost", "Report", "Rules", "evaluate", "measure_fit"]
