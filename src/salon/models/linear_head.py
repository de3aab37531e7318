"""A search that begins on the items most people touched, where solves over all of them would use up its budget.

A dense solve costs the cube of the number of items, and a search wants dozens of them. What is found on the head of the
catalogue is carried to all of it: ridge, alphas and prior are told in units of the mean diagonal, which falls when rare
items join, and keep their size in actions.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from salon.models.linear_holdout import Task, asked_only
from salon.models.linear_point import Point
from salon.models.linear_problem import FLOPS, SOLVE, Problem, solve_seconds
from salon.models.linear_solve import scales_of

AFFORDED = 20
"""Solves over all items that a search must be able to pay, or else it begins on fewer items."""
WANTED = 40
"""Solves that it can pay there."""
PART = 0.6
"""Of the budget, for the fewer items."""
SMALLEST = 1000
"""Items that are searched on at least."""


def head_size(touched: int, seconds: float) -> int:
    """How many items a search of so many seconds of the reference core begins on; all where that is affordable."""
    if AFFORDED * solve_seconds(touched) <= seconds:
        return touched
    fitting = int((PART * max(seconds, 0.0) / WANTED * FLOPS / SOLVE) ** (1 / 3))
    return min(max(fitting, SMALLEST), touched)


def head_of(task: Task, size: int, rng: np.random.Generator) -> Task:
    """The same questions on the `size` most touched items, as if there were no others."""
    problem, train = task.problem, task.problem.train
    counts = np.bincount(train.items[train.weights > 0], minlength=problem.n_items)
    head = np.zeros(problem.n_items, bool)
    head[np.argsort(-counts, kind="stable")[:size]] = True
    asked = asked_only(task.holdout, head, rng)
    asked = replace(asked, queries=asked.queries.only(head[asked.queries.items]))
    return Task(Problem(train.only(head[train.items]), problem.media, problem.n_items, problem.n_attributes), asked)


def carried(point: Point, head: Problem, whole: Problem) -> Point:
    """The point with the strengths that it has on the head, in the units of the whole."""
    share = _unit(head, point) / _unit(whole, point)
    return point.moved(
        {
            "ridge": point.ridge * share,
            "prior": point.prior * share,
            **{f"media:{name}": alpha * share for name, alpha in point.media.items()},
        }
    )


def _unit(problem: Problem, point: Point) -> float:
    return scales_of(problem.statistics(point), problem.grams(point), point).unit
