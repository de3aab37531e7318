"""MMoE: clicks, likes, ratings and time spent, learned together over two towers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from salon.data import Dataset, Queries
from salon.errors import DataError
from salon.metrics import auc, rmse
from salon.models.base import Grid, RatingPredictor
from salon.models.sequence_data import Sequences
from salon.models.sequence_question import NextQuestion
from salon.models.two_tower_data import Pairs
from salon.models.two_tower_experts import TaskExperts, TaskNetwork
from salon.models.two_tower_fit import Lesson, TowerRecommender
from salon.models.two_tower_network import TowerItems, TowerNetwork, UserTower
from salon.models.two_tower_parts import item_vectors, read
from salon.models.two_tower_settings import MMoESettings
from salon.models.two_tower_tasks import BINARY, by_task, labelled
from salon.training.batches import Negatives
from salon.training.network import flat_weights, rebuilt, to_numpy
from salon.types import BoolArray, FloatArray, IntArray

FEWEST = 3
"""Pairs that a person must have for one of them to be kept apart."""


class MMoE(TowerRecommender, RatingPredictor):
    """Several tasks by a multi-gate mixture of experts (Ma et al., KDD 2018) over two towers.

    Clicks and likes are learned by logistic loss, ratings and ln(1 + seconds) by squared error in units of their
    deviation; what the tasks are is said in `two_tower_tasks`, the network in `two_tower_experts`. The loss is
    sum_t w_t L_t, with learned uncertainty (Kendall et al., CVPR 2018) sum_t w_t (exp(-s_t) L_t + s_t / 2), L_t halved
    for squared errors. Each pair brings a few items that the person has not touched as not clicked. Items are ranked by

        sum_t c_t v_t,   v = ln sigma(z) for clicks and likes, z for ratings and time

    with c given by `rank`: ln P(click) + ln P(like | acted on) is the log of the chance of both. Differs from the
    paper: the inputs are two towers, their product reaches every task past the experts, and negatives are sampled.

    `task_scores_` holds what held pairs say of each task: the area under the curve of clicks (beside items not touched)
    and of likes, the root mean square error of ratings and of ln(1 + seconds). It is empty where nothing was held.
    """

    settings: MMoESettings
    grid: ClassVar[Grid] = {"experts": (2, 4, 8), "negatives": (2, 4), "balance": ("given", "learned")}

    # -- fitting -----------------------------------------------------------------------------------------------------

    def _pairs(self, data: Dataset, sequences: Sequences, placed: BoolArray) -> Pairs:
        return labelled(data, self.settings, placed)

    def _apart(self, lesson: Lesson, rng: np.random.Generator) -> Lesson:
        return self._hold_out(lesson, rng)[0]

    def _hold_out(self, lesson: Lesson, rng: np.random.Generator) -> tuple[Lesson, NextQuestion | None]:
        """A random share of the pairs is taken out of what is learned and out of the histories."""
        pairs, n_items = lesson.pairs, lesson.catalogue.n_items
        counts = np.bincount(pairs.people, minlength=len(lesson.sequences))
        chosen = (rng.random(len(pairs)) < self.settings.held) & (counts[pairs.people] >= FEWEST)
        if not chosen.any():
            return lesson, None
        held, sequences = pairs.take(chosen), lesson.sequences
        keys = sequences.owner() * n_items + sequences.items
        asked = np.isin(keys, held.people * n_items + held.items)
        kept = sequences.only(~asked)
        question = _question(sequences.only(asked), kept, n_items)
        return replace(lesson, pairs=pairs.take(~chosen), sequences=kept, held=held), question

    def _network(self, lesson: Lesson, items: TowerItems, users: UserTower) -> TowerNetwork:
        tasks, s = lesson.pairs.tasks, self.settings
        weights = by_task(s.weights, tasks, "weights")
        experts, learned = self._experts(len(tasks)), s.balance == "learned"
        scale = _scale(lesson.pairs)
        return TaskNetwork(items, users, experts, tasks=tasks, scale=scale, weights=weights, learned=learned)

    def _experts(self, tasks: int) -> TaskExperts:
        s = self.settings
        return TaskExperts(s.dim + 1, tasks, s.experts, s.hidden, s.head)

    def _negatives(self) -> int:
        return self.settings.negatives

    def _scores(self, network: TowerNetwork, people: Sequences, table: FloatArray) -> FloatArray:
        assert isinstance(network, TaskNetwork)
        users = read(network.users, table, people, self.settings)
        items = item_vectors(table, to_numpy(network.items.bias))
        return self._ranked(network.experts, users, items, network.tasks)

    def _after(
        self, network: TowerNetwork, lesson: Lesson, rng: np.random.Generator
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        assert isinstance(network, TaskNetwork)
        scale, tasks = to_numpy(network.scale), list(network.tasks)
        learned: dict[str, Any] = {
            "expert_weights_": flat_weights(network.experts.parameters()),
            "scale_": scale,
            "tasks_": tasks,
        }
        if "rating" in tasks:
            ratings = lesson.pairs.labels[:, tasks.index("rating")]
            learned |= {"lowest_": float(np.nanmin(ratings)), "highest_": float(np.nanmax(ratings))}
        return learned, {"task_scores_": _task_scores(network, lesson, self.settings, rng)}

    def _floats(self, lesson: Lesson) -> float:
        s = self.settings
        return super()._floats(lesson) + 6.0 * s.batch_size * (1 + s.negatives) * (s.experts * s.hidden + 4 * s.dim)

    # -- answers -----------------------------------------------------------------------------------------------------

    def _score(self, queries: Queries) -> FloatArray:
        users, items = self.user_model(), self.item_model()
        experts = rebuilt(lambda: self._experts(len(self.tasks_)), self.expert_weights_)
        scores = self._ranked(experts, users.vectors(queries), items.vectors(), self.tasks_)
        scores[:, ~self.placed_] = -np.inf
        scores[~users.known(queries)] = -np.inf
        return scores

    def _ranked(self, experts: TaskExperts, users: FloatArray, items: FloatArray, tasks: Sequence[str]) -> FloatArray:
        """(n, items) float32 sum of what the tasks say."""
        shares = torch.from_numpy(by_task(self.settings.rank, tasks, "rank"))
        binary = torch.tensor([task in BINARY for task in tasks])
        device = experts.direct.device
        columns = torch.from_numpy(items).to(device).T.contiguous()
        scores: FloatArray = np.empty((len(users), len(items)), np.float32)
        for row, user in zip(scores, torch.from_numpy(users).to(device), strict=True):
            values = experts.of_all(user, columns).cpu()
            values[binary] = torch.nn.functional.logsigmoid(values[binary])
            row[:] = (shares @ values).numpy()
        return scores

    def outcomes(self, queries: Queries, items: IntArray) -> dict[str, FloatArray]:
        """What each task says of items[i] for query i, (n,) float32 each.

        The chance of a click and of a like (of those who act on the item at all), the rating, within the range of the
        log, and the seconds spent.
        """
        self.check_fitted()
        experts = rebuilt(lambda: self._experts(len(self.tasks_)), self.expert_weights_)
        users, things = self.user_model().vectors(queries), self.item_model().vectors()[np.asarray(items, np.int64)]
        with torch.no_grad():
            own = torch.arange(len(things)).unsqueeze(1)
            answers = to_numpy(experts(torch.from_numpy(users), torch.from_numpy(things), own))[:, 0]
        answers = answers * self.scale_[1] + self.scale_[0]
        found: dict[str, FloatArray] = {}
        for number, task in enumerate(self.tasks_):
            own = answers[:, number].astype(np.float32)
            if task in BINARY:
                found[task] = to_numpy(torch.sigmoid(torch.from_numpy(own)))
            else:
                found[task] = (
                    np.clip(own, self.lowest_, self.highest_) if task == "rating" else np.maximum(np.expm1(own), 0)
                )
        return found

    @property
    def predicts_ratings(self) -> bool:
        """Whether ratings are among the tasks."""
        return "rating" in self.tasks_

    def predict(self, queries: Queries, items: IntArray) -> FloatArray:
        """(n,) float32 predicted rating of items[i] by query i, within the range of the training ratings.

        Raises:
            DataError: No ratings were learned.
        """
        self.check_fitted()
        if not self.predicts_ratings:
            learned = ", ".join(self.tasks_)
            raise DataError(f"The tasks learned are {learned}, not 'rating'.", hint="Fit on a log with ratings.")
        return self.outcomes(queries, items)["rating"]

    expert_weights_: FloatArray
    scale_: FloatArray
    tasks_: list[str]
    lowest_: float
    highest_: float
    task_scores_: dict[str, dict[str, float]]


def _question(asked: Sequences, kept: Sequences, n_items: int) -> NextQuestion | None:
    """Which items were taken out of the histories?"""
    rows = np.flatnonzero(np.diff(asked.indptr))
    if not len(rows):
        return None
    known = kept.take(rows)
    return NextQuestion(known, known.matrix(n_items), sparse.csr_array(asked.matrix(n_items)[rows]))


def _touched(lesson: Lesson) -> sparse.csr_array:
    """(people, items) float32, nonzero where there is a pair, learned or held."""
    parts = [lesson.pairs, *([] if lesson.held is None else [lesson.held])]
    place = tuple(np.concatenate([getattr(part, name) for part in parts]) for name in ("people", "items"))
    shape = (len(lesson.sequences), lesson.catalogue.n_items)
    return sparse.csr_array((np.ones(len(place[0]), np.float32), place), shape=shape)


def _scale(pairs: Pairs) -> FloatArray:
    """(2, tasks) float32 mean and deviation of the known labels; 0 and 1 for tasks of two answers."""
    scale: FloatArray = np.zeros((2, len(pairs.tasks)), np.float32)
    scale[1] = 1
    for number, task in enumerate(pairs.tasks):
        if task not in BINARY:
            known = pairs.labels[:, number][~np.isnan(pairs.labels[:, number])]
            scale[:, number] = known.mean(), known.std() if known.std() > 0 else 1
    return scale


def _task_scores(
    network: TaskNetwork, lesson: Lesson, settings: MMoESettings, rng: np.random.Generator
) -> dict[str, dict[str, float]]:
    """Task to its measure on the held pairs; tasks for which these say nothing are left out."""
    if lesson.held is None:
        return {}
    held, table = lesson.held, network.items.table()
    negatives = Negatives(_touched(lesson)).draw(held.people, settings.negatives, rng)
    users = torch.from_numpy(read(network.users, table, lesson.sequences.take(held.people), settings))
    items = torch.from_numpy(item_vectors(table, to_numpy(network.items.bias)))

    def answers(rows: IntArray) -> FloatArray:
        """(n, k, tasks) of item rows (n, k)."""
        with torch.no_grad():
            own: Tensor = network.experts(users, items, torch.from_numpy(rows))
        return to_numpy(own * network.scale[1] + network.scale[0])

    own, others = answers(held.items[:, None]), answers(negatives)
    found = {}
    for number, task in enumerate(held.tasks):
        given, right = own[:, 0, number], held.labels[:, number]
        if task == "click":
            given = np.concatenate([given, others[:, :, number].ravel()])
            right = np.concatenate([right, np.zeros(others[:, :, number].size)])
        known = ~np.isnan(right)
        given, right = given[known], right[known]
        if task in BINARY and len(np.unique(right)) == 2:
            found[task] = {"auc": float(auc(given[None], right[None] > 0)[0])}
        elif task not in BINARY and len(right):
            found[task] = {"rmse": float(rmse(given, right, np.zeros(len(right), np.int64), 1)[0])}
    return found
