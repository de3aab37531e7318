"""A search that begins on the items most people touched, where solves over all of them would use up its budget.

A dense solve costs the cube of the number of items, and a search wants dozens of them. What is found on the head of the
catalogue is carried to all of it: ridge, alphas and prior are told in units of the mean diagonal, which falls when rare
items join, and keep their size in actions. Who is whose content twin costs as much: there the head has the twins and
the cold items are those that are ranked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from salon.models.linear_holdout import Task, asked_only
from salon.models.linear_media import KeptMedia
from salon.models.linear_point import Point
from salon.models.linear_problem import FLOPS, SOLVE, Problem, solve_seconds, twin_flops
from salon.models.linear_solve import scales_of
from salon.types import BoolArray, IntArray

AFFORDED = 20
"""Solves over all items that a search must be able to pay, or else it begins on fewer items."""
WANTED = 40
"""Solves that it can pay there."""
PART = 0.6
"""Of the budget, for the fewer items."""
SMALLEST = 1000
"""Items that are searched on at least."""
TRIALS = 5
"""Weighings of twins over all items that a search must be able to pay, or else it takes fewer items."""
TRIALS_WANTED = 30
"""Weighings that it can pay there."""


def head_size(touched: int, seconds: float) -> int:
    """How many items a search of so many seconds of the reference core begins on; all where that is affordable."""
    if AFFORDED * solve_seconds(touched) <= seconds:
        return touched
    fitting = int((PART * max(seconds, 0.0) / WANTED * FLOPS / SOLVE) ** (1 / 3))
    return min(max(fitting, SMALLEST), touched)


def head_of(task: Task, size: int, rng: np.random.Generator) -> Task:
    """The same questions on the `size` most touched items, as if there were no others."""
    problem, train = task.problem, task.problem.train
    head = _most_touched(problem, size)
    asked = asked_only(task.holdout, head, rng)
    asked = replace(asked, queries=asked.queries.only(head[asked.queries.items]))
    return Task(Problem(train.only(head[train.items]), problem.media, problem.n_items, problem.n_attributes), asked)


def trial_seconds(tasks: Sequence[Task], size: int | None = None) -> float:
    """One weighing of the twins of all tasks on the reference core, on all items or on the `size` most touched."""
    total = 0.0
    for task in tasks:
        touched, cold = task.problem.touched, _ranked(task)
        if size is None:
            warm, placed = touched, 0 if task.cold is None else len(task.cold)
            total += task.problem.media.gram_flops(warm, placed)
        else:
            warm, placed = min(size, touched), len(cold)
        total += twin_flops(warm, placed) + len(task.holdout) * (120.0 * task.problem.n_items + 2.0 * placed * warm)
    return total / FLOPS


def twin_head_size(tasks: Sequence[Task], seconds: float) -> int | None:
    """How many items have the twins in a search of so many seconds; None where all can."""
    if TRIALS * trial_seconds(tasks) <= seconds:
        return None
    size = max(len(np.unique(task.problem.train.items)) for task in tasks)
    while size > SMALLEST and TRIALS_WANTED * trial_seconds(tasks, size) > seconds:
        size = max(SMALLEST, int(0.9 * size))
    return size


def twin_head_of(task: Task, size: int) -> Task:
    """The same questions about cold items where nothing but the `size` most touched items is known of histories."""
    problem, train = task.problem, task.problem.train
    head = _most_touched(problem, size)
    media = KeptMedia(problem.media.rows, problem.media.centres, problem.media.fingerprints)
    smaller = Problem(train.only(head[train.items]), media, problem.n_items, problem.n_attributes)
    queries = task.holdout.queries.only(head[task.holdout.queries.items])
    return Task(smaller, replace(task.holdout, queries=queries), _ranked(task))


def _ranked(task: Task) -> IntArray:
    """The cold items of a task that are ranked."""
    cold = np.zeros(0, np.int64) if task.cold is None else task.cold
    candidates = task.holdout.candidates
    return cold if candidates is None else cold[candidates[cold]]


def _most_touched(problem: Problem, size: int) -> BoolArray:
    """(items,) bool."""
    liked = problem.train.items[problem.train.weights > 0]
    head = np.zeros(problem.n_items, bool)
    head[np.argsort(-np.bincount(liked, minlength=problem.n_items), kind="stable")[:size]] = True
    return head


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
