"""What a tower is trained on: naming the class of a value, or finding what a person liked among other items."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor, nn
from torch.nn import functional

from salon.arrays import blocks
from salon.encode.tower_blocks import TowerNetwork
from salon.encode.tower_examples import AT_ONCE, Examples
from salon.encode.tower_settings import TowerSettings
from salon.errors import DataError
from salon.training.batches import shuffled
from salon.training.losses import bpr
from salon.training.network import to_numpy
from salon.types import FloatArray, IntArray

FEWEST_HELD = 8
"""With fewer held-out values or people than this, nothing is held out and all epochs are run."""
MOST_HELD = 500
"""People whose held-out action early stopping looks at."""
SHARPNESS = 10.0
"""What cosines are multiplied by before the softmax, at first; it is learned."""


class Task(nn.Module):
    """A tower and what is thrown away after training.

    Args:
        network: The tower.
        cut: The first block that is trained; values come as what goes into it.
    """

    def __init__(self, network: TowerNetwork, cut: int) -> None:
        super().__init__()
        self.network, self.cut = network, cut
        self.log_scale = nn.Parameter(torch.tensor(float(np.log(SHARPNESS))))

    def vectors(self, values: Any, lengths: Any) -> Tensor:
        """(n, dim) of unit length."""
        device = self.log_scale.device
        return self.network(torch.as_tensor(values).to(device), torch.as_tensor(lengths).to(device), self.cut)

    def vectors_of(self, examples: Examples, rows: IntArray) -> Tensor:
        """The vectors of some values as they are, without gradients."""
        with torch.no_grad():
            return torch.cat([self.vectors(*examples.batch(rows[part])) for part in blocks(len(rows), AT_ONCE)])


class Classes(Task):
    """Names the class by a softmax of scaled cosines with one learned vector per class.

    Source: Wang et al., "NormFace: L2 Hypersphere Embedding for Face Verification", ACM Multimedia 2017.
    """

    def __init__(self, network: TowerNetwork, cut: int, n_classes: int, dim: int) -> None:
        super().__init__(network, cut)
        self.classes = nn.Parameter(torch.randn(n_classes, dim))

    def scores(self, vectors: Tensor) -> Tensor:
        """(n, classes) scaled cosines."""
        return self.log_scale.exp() * vectors @ functional.normalize(self.classes, dim=1).T

    def forward(self, values: Tensor, lengths: Tensor, labels: Tensor) -> Tensor:
        """Mean cross entropy."""
        return functional.cross_entropy(self.scores(self.vectors(values, lengths)), labels)


class Tastes(Task):
    """Each liked item in turn is to be found by the mean vector of the person's other ones, among the items of a step.

    "softmax" corrects for how often an item is in a step, as in Yi et al., "Sampling-Bias-Corrected Neural Modeling
    for Large Corpus Item Recommendations", RecSys 2019; "bpr" compares it with a few others, as in Rendle et al.,
    UAI 2009.
    """

    def __init__(self, network: TowerNetwork, cut: int, settings: TowerSettings) -> None:
        super().__init__(network, cut)
        self.learn, self.negatives = settings.learn, settings.negatives

    def scores(self, vectors: Tensor, marks: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Scores of all items for every liked one that is left out of its history.

        Args:
            vectors: (m, dim) of unit length.
            marks: (people, m) bool, who liked what; at least two in every row.

        Returns:
            scores (pairs, m), the left-out items (pairs,), and (pairs, m) bool, the rest of the history.
        """
        people, targets = marks.nonzero(as_tuple=True)
        sums = marks.float() @ vectors
        tastes = functional.normalize(sums[people] - vectors[targets], dim=1)
        history = marks[people].clone()
        history[torch.arange(len(people), device=marks.device), targets] = False
        return self.log_scale.exp() * tastes @ vectors.T, targets, history

    def forward(self, values: Tensor, lengths: Tensor, marks: Tensor, log_q: Tensor) -> Tensor:
        """Mean loss over all pairs of a person and a liked item."""
        scores, targets, history = self.scores(self.vectors(values, lengths), marks)
        if self.learn == "softmax":
            return functional.cross_entropy((scores - log_q).masked_fill(history, float("-inf")), targets)
        own = torch.arange(len(targets), device=scores.device)
        wanted, free = scores[own, targets], ~history
        free[own, targets] = False
        usable = free.any(dim=1)
        if not usable.any():  # everybody likes everything here: nothing to compare, and no gradient
            return 0.0 * scores.sum()
        drawn = torch.multinomial(free[usable].float(), self.negatives, replacement=True)
        return bpr(wanted[usable], scores[usable].gather(1, drawn))


Batches = Callable[[np.random.Generator], Iterator[tuple[Any, ...]]]
Score = Callable[[], float]


def class_lesson(
    network: TowerNetwork,
    cut: int,
    examples: Examples,
    labels: Sequence[str | None],
    settings: TowerSettings,
    rng: np.random.Generator,
) -> tuple[Task, Batches, Score | None]:
    """The task, its batches, and the score of the held-out values: their mean log probability.

    Raises:
        DataError: Fewer than two classes are named.
    """
    names = sorted({label for label in labels if label is not None})
    if len(names) < 2:
        raise DataError(f"The field {settings.label!r} names {len(names)} classes.", hint="Two or more are needed.")
    place = {name: number for number, name in enumerate(names)}
    classes = np.array([-1 if label is None else place[label] for label in labels], np.int64)
    task = Classes(network, cut, len(names), network.head[-1].out_features)
    held = _held_values(classes, settings.holdout, rng)
    learned = np.setdiff1d(np.flatnonzero(classes >= 0), held)

    def batches(epoch: np.random.Generator) -> Iterator[tuple[Any, ...]]:
        for part in shuffled(len(learned), settings.batch_size, epoch):
            rows = learned[part]
            yield *examples.batch(rows, epoch), classes[rows]

    def score() -> float:
        with torch.no_grad():
            found = task.scores(task.vectors_of(examples, held))
        return -float(functional.cross_entropy(found, torch.as_tensor(classes[held], device=found.device)))

    return task, batches, score if len(held) else None


def _held_values(classes: IntArray, share: float, rng: np.random.Generator) -> IntArray:
    """The same share of every class, or nobody where that would be too few."""
    held = [
        rng.permutation(rows)[: round(share * len(rows))]
        for number in range(classes.max() + 1)
        if len(rows := np.flatnonzero(classes == number)) > 2
    ]
    found = np.sort(np.concatenate(held)) if held else np.zeros(0, np.int64)
    return found if len(found) >= FEWEST_HELD else np.zeros(0, np.int64)


def taste_lesson(
    network: TowerNetwork,
    cut: int,
    examples: Examples,
    positives: sparse.csr_array,
    settings: TowerSettings,
    rng: np.random.Generator,
) -> tuple[Task, Batches, Score | None]:
    """The task, its batches, and the score of held-out actions: their mean reciprocal rank among all items.

    Raises:
        DataError: Nobody liked two of the items.
    """
    task = Tastes(network, cut, settings)
    matrix, people, targets = _hold_actions(positives, settings.holdout, rng)
    learners = np.flatnonzero(np.diff(matrix.indptr) >= 2)
    if not len(learners):
        raise DataError("Nobody liked two items of those that can be encoded.", hint="Learn from labels instead.")
    counts = np.bincount(matrix[learners].indices, minlength=matrix.shape[1])
    share = counts / len(learners)
    log_q = np.log(np.clip(1 - (1 - share) ** min(settings.batch_size, len(learners)), 1e-6, 1)).astype(np.float32)

    def batches(epoch: np.random.Generator) -> Iterator[tuple[Any, ...]]:
        for part in shuffled(len(learners), settings.batch_size, epoch):
            block = matrix[learners[part]]
            items = np.unique(block.indices)
            if len(items) > settings.items_per_step:
                items = np.sort(epoch.choice(items, settings.items_per_step, replace=False))
            marks = block[:, items].toarray() > 0
            marks = marks[marks.sum(axis=1) >= 2]
            if len(marks):
                yield *examples.batch(items, epoch), marks, log_q[items]

    def score() -> float:
        vectors = to_numpy(task.vectors_of(examples, np.arange(len(examples))))
        return float(np.mean(1 / ranks(vectors, matrix[people], targets)))

    return task, batches, score if len(people) else None


def ranks(vectors: FloatArray, history: sparse.csr_array, targets: IntArray) -> FloatArray:
    """The place of each target among all items but those of the history, by cosine with the mean vector; from 1."""
    scores = np.asarray(history @ vectors) @ vectors.T
    scores[history.nonzero()] = -np.inf
    own = scores[np.arange(len(targets)), targets][:, None]
    return 1 + (scores > own).sum(axis=1) + ((scores == own).sum(axis=1) - 1) / 2


def _hold_actions(
    positives: sparse.csr_array, share: float, rng: np.random.Generator
) -> tuple[sparse.csr_array, IntArray, IntArray]:
    """The log without one action of some people, those people, and their actions; nobody's where too few could."""
    matrix = sparse.csr_array(positives > 0).astype(np.float32)
    matrix.sort_indices()
    able = np.flatnonzero(np.diff(matrix.indptr) >= 3)
    people = np.sort(rng.permutation(able)[: min(MOST_HELD, round(share * len(able)))])
    if len(people) < FEWEST_HELD:
        return matrix, np.zeros(0, np.int64), np.zeros(0, np.int64)
    places = matrix.indptr[people] + rng.integers(np.diff(matrix.indptr)[people])
    targets = matrix.indices[places].astype(np.int64)
    matrix.data[places] = 0
    matrix.eliminate_zeros()
    return matrix, people, targets
