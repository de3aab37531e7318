"""How the linear model chooses its settings: coordinate search on questions made from the training data or given.

First everything about touched items, from two starts; then, if there are cold items, who is whose twin, on items that
are hidden as if they were new; last the scale that lets warm and cold compete. Grids are coarse and a move has to gain
a little, so that the search does not follow the noise of a small set of questions. It is a pure function of its input:
the budget is counted in operations, not in seconds of this machine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from scipy import sparse

from salon.arrays import block_size, blocks
from salon.data import Holdout, Queries
from salon.models.linear_few_search import Trial, choose_few
from salon.models.linear_head import PART, carried, head_of, head_size, twin_head_of, twin_head_size
from salon.models.linear_holdout import (
    WARM_SHARE,
    Task,
    asked_only,
    cold_folds,
    hide_items,
    targets_of,
    warm_task,
)
from salon.models.linear_point import (
    CLICK_GRID,
    COLD_SCALES,
    DISLIKES,
    MEDIA_GRID,
    ORDER_GRID,
    PROFILES,
    SHAPE_GRID,
    STARTS,
    TWIN_GRID,
    TWIN_SHARES,
    Point,
)
from salon.models.linear_problem import Budget, Problem
from salon.types import BoolArray, FloatArray

GAIN = 5e-4
"""A move must gain this share of the value, so that ties go to what is simpler or was there before."""
SWITCHES, SWITCH_GAIN = {"order", "prior", "reach"}, 5e-3
"""A part of the model that is off must gain more to be switched on."""
ROUNDS = 4
FEWEST = 20
"""With fewer questions than this nothing is searched."""
Grid = Mapping[str, Sequence[float]]


@dataclass(frozen=True)
class Found:
    """The result of a search.

    Attributes:
        point: The settings.
        warm: nDCG on the warm questions, NaN when none were asked.
        cold: nDCG on the cold questions, NaN when none were asked.
        solves: How many systems were solved.
    """

    point: Point
    warm: float
    cold: float
    solves: int


def climb(
    value: Callable[[Point], float],
    point: Point,
    grid: Grid,
    budget: Budget,
    *,
    rounds: int = ROUNDS,
    patience: int = 2,
) -> tuple[Point, float]:
    """Coordinate search: each coordinate in turn moves along its grid while that gains.

    Args:
        value: What to raise.
        point: Where to begin.
        grid: Values per entry of the flat table, ascending.
        budget: Ends the search when it is spent; the start is always evaluated.
        rounds: How often it goes through the coordinates at most.
        patience: How many bad steps in a row end a line.
    """
    best = value(point)
    for _ in range(rounds):
        before = point
        for name, steps in grid.items():
            for direction in (1, -1):
                point, best = _along(value, (point, best), (name, steps, direction), patience, budget)
        if point == before or budget.left <= 0:
            break
    return point, best


def _along(
    value: Callable[[Point], float],
    at: tuple[Point, float],
    line: tuple[str, Sequence[float], int],
    patience: int,
    budget: Budget,
) -> tuple[Point, float]:
    """The best point on one side of a line through the grid."""
    (point, best), (name, steps, direction) = at, line
    place = int(np.argmin(np.abs(np.asarray(steps) - point.flat()[name]))) + direction
    bad = 0
    while 0 <= place < len(steps) and bad < patience and budget.left > 0:
        moved = point.moved({name: steps[place]})
        found = value(moved)
        switched_on = name in SWITCHES and point.flat()[name] == 0.0
        if found > best * (1.0 + (SWITCH_GAIN if switched_on else GAIN)):
            point, best, bad = moved, found, 0
        else:
            bad += 1
        place += direction
    return point, best


def remembered(value: Callable[[Point], float]) -> Callable[[Point], float]:
    """The same function, which looks up points that it met before."""
    known: dict[str, float] = {}

    def look_up(point: Point) -> float:
        key = point.model_dump_json()
        if key not in known:
            known[key] = value(point)
        return known[key]

    return look_up


def search(
    problem: Problem, start: Point, validation: Holdout | None, *, last: bool, seconds: float, rng: np.random.Generator
) -> Found:
    """The best settings found.

    Args:
        problem: The training data.
        start: Given settings; exponents and scales are taken from the built-in starts.
        validation: Questions given by the caller; kinds of questions that it lacks are made from the training data.
        last: Whether made warm questions ask for the last action, or for a random tenth.
        seconds: Budget, of the reference core.
        rng: Makes the questions.
    """
    budget = Budget(seconds)
    touched = np.zeros(problem.n_items, bool)
    touched[problem.train.items[problem.train.weights > 0]] = True
    warm = warm_task(problem, touched, validation, last, rng)
    cold = _cold_tasks(problem, touched, validation, rng)
    point, warm_value, cold_value, solves = start, float("nan"), float("nan"), 0
    if len(warm.holdout) >= FEWEST:
        spent = budget.share(_warm_part(problem, touched) if cold else 1.0)
        point, warm_value = _warm_search(warm, start, spent, rng)
        solves += spent.solves
    if cold and min(len(task.holdout) for task in cold) >= FEWEST:
        point, cold_value = _twin_search(cold, point, budget)
        rival = _rival_task(problem, cold, touched, validation, rng)
        scales = sorted(COLD_SCALES, reverse=True)
        best = int(np.argmax(rival.values(point, scales, budget)))  # of equal ones the most generous to cold items
        point = point.moved({"cold_scale": scales[best]})
        solves += budget.solves
    if len(warm.holdout) >= FEWEST:
        point = _few_search(warm, point, last, rng)
    return Found(point, warm_value, cold_value, solves)


def _warm_part(problem: Problem, touched: BoolArray) -> float:
    """The part of the budget for touched items: half where many items are cold, most where few are."""
    cold = float((~touched & problem.media.any_present(problem.n_items)).mean())
    return 0.5 if cold > 0.05 else 0.85


def _mean_value(tasks: list[Task], budget: Budget) -> Callable[[Point], float]:
    return lambda point: float(np.mean([task.value(point, budget) for task in tasks]))


def _warm_search(task: Task, start: Point, budget: Budget, rng: np.random.Generator) -> tuple[Point, float]:
    """The settings for touched items: found on all of them, or on the head and then moved along the ridge on all."""
    touched = task.problem.touched
    size = head_size(touched, budget.left)
    head = head_of(task, size, rng) if size < touched else task
    if head is task or len(head.holdout) < FEWEST:
        return _from_starts(task, start, budget)
    spent = budget.share(PART)
    point, _ = _from_starts(head, start, spent)
    budget.left, budget.solves = budget.left + spent.left, budget.solves + spent.solves
    value = remembered(partial(task.value, budget=budget))
    point = carried(point, head.problem, task.problem)
    return climb(value, point, {"ridge": CLICK_GRID["ridge"]}, budget, rounds=1, patience=1)


def _from_starts(task: Task, start: Point, budget: Budget) -> tuple[Point, float]:
    """One hasty round from each of the built-in starts, then the better one to its top."""
    train = task.problem.train
    grid: dict[str, Sequence[float]] = {}
    if train.ordered:
        grid |= {"reach": ORDER_GRID["reach"]}
    grid |= CLICK_GRID | {f"media:{name}": MEDIA_GRID for name in start.media} | SHAPE_GRID
    if train.ordered:
        grid |= {"order": ORDER_GRID["order"], "order_reach": ORDER_GRID["order_reach"]}
    if (train.weights < 0).any():
        grid["dislike"] = DISLIKES
    if task.problem.n_attributes:
        grid["profile"] = PROFILES
    if not start.media:
        del grid["prior"]
    value = remembered(partial(task.value, budget=budget))
    found = []
    for place, entries in enumerate(STARTS):
        rest = budget.share(1.0 - 1.0 / (len(STARTS) + 1 - place))  # kept back, so that every stage may use a third
        found.append(climb(value, start.moved(entries), grid, budget, rounds=1, patience=1))
        budget.left = max(budget.left, 0.0) + rest.left
    return climb(value, max(found, key=lambda pair: pair[1])[0], grid, budget)


def _twin_search(tasks: list[Task], point: Point, budget: Budget) -> tuple[Point, float]:
    """Who is whose twin: found with all touched items, or where that is too dear with the head of them."""
    grid, size = _twin_grid(point), twin_head_size(tasks, budget.left)
    if size is None:
        return climb(remembered(_mean_value(tasks, budget)), point, grid, budget)
    heads = [twin_head_of(task, size) for task in tasks]
    start = carried(point, tasks[0].problem, heads[0].problem)
    found, value = climb(remembered(_mean_value(heads, budget)), start, grid, budget)
    return point.moved({name: found.flat()[name] for name in grid}), value


def _few_search(task: Task, point: Point, last: bool, rng: np.random.Generator) -> Point:
    """Up to which length histories are answered by `linear_few`; its cost is bounded, so the budget is not asked."""
    problem, budget = task.problem, Budget(0.0)
    stats, scorer = problem.statistics(point), problem.scorer(point, budget)
    items = np.flatnonzero(stats.counts[: problem.n_items] > 0)

    def closed(part: Queries) -> FloatArray:
        pieces = blocks(len(part), block_size(problem.n_items))
        return np.concatenate([problem.score(scorer, part.take(rows), point, budget)[:, items] for rows in pieces])

    return choose_few(Trial(task.holdout, point, stats, closed, items, last, FEWEST), rng)


def _twin_grid(point: Point) -> Grid:
    grid: dict[str, Sequence[float]] = {"twin_ridge": TWIN_GRID["twin_ridge"]}
    if len(point.twins) > 1:
        grid |= {f"twins:{name}": TWIN_SHARES for name in point.twins}
    return grid | {name: steps for name, steps in TWIN_GRID.items() if name != "twin_ridge"}


def _cold_tasks(
    problem: Problem, touched: BoolArray, validation: Holdout | None, rng: np.random.Generator
) -> list[Task]:
    """Questions about untouched or hidden items, a given set first; none while the catalogue has no cold item."""
    if not (~touched & problem.media.any_present(problem.n_items)).any():
        return []
    tasks = [hide_items(problem, cold, rng) for cold in cold_folds(problem, touched, rng)]
    if validation is not None:
        untouched = ~touched & problem.media.any_present(problem.n_items)
        given = asked_only(validation, untouched, rng)
        if len(given) >= FEWEST:
            asked = np.zeros(problem.n_items, bool)
            asked[given.targets.indices] = True
            candidates = given.candidates if given.candidates is not None else asked
            tasks.insert(0, Task(problem, replace(given, candidates=candidates & ~touched), np.flatnonzero(untouched)))
    return tasks


def _rival_task(
    problem: Problem, cold: list[Task], touched: BoolArray, validation: Holdout | None, rng: np.random.Generator
) -> Task:
    """Questions that warm and cold items answer together, everything ranked, to bring their scores to one scale.

    Given questions that rank everything are taken as they are: nothing says better how often a cold item is the answer.
    Without given questions a tenth of the actions is asked for, on hidden items as on the others, so that a new item
    counts as much as an item of average appeal. Where the given questions rank cold items alone, all actions on hidden
    items are asked for, beside a tenth of the others.
    """
    n_items = problem.n_items
    if validation is not None and validation.candidates is None:
        untouched = np.flatnonzero(~touched & problem.media.any_present(n_items))
        return Task(problem, asked_only(validation, np.ones(n_items, bool), rng), untouched)
    named = [task for task in cold if (task.holdout.queries.users >= 0).all()]
    hidden = (named or cold)[0]
    train = hidden.problem.train
    warm = (train.weights > 0) & (rng.random(len(train.items)) < WARM_SHARE)
    row_of = {int(user): row for row, user in enumerate(train.users)}
    pairs = [(row_of[int(u)], row) for row, u in enumerate(hidden.holdout.queries.users) if int(u) in row_of]
    rows, others = np.array(pairs, np.int64).reshape(-1, 2).T
    place = (np.ones(len(rows), np.float32), (rows, others))
    acted = sparse.csr_array(sparse.csr_array(place, shape=(len(train), len(hidden.holdout))) @ hidden.holdout.targets)
    share = WARM_SHARE if validation is None else 1.0
    asked, silent = acted.copy(), acted.copy()
    asked.data = (rng.random(acted.nnz) < share).astype(np.float32)
    silent.data = 1 - asked.data
    targets = sparse.csr_array((targets_of(train, warm, n_items) + asked).minimum(1.0))
    rest = train.only(~warm)
    smaller = Problem(rest, problem.media, n_items, problem.n_attributes)
    silent.eliminate_zeros()
    return Task(smaller, asked_only(Holdout(rest, targets, silent), np.ones(n_items, bool), rng), hidden.cold)
