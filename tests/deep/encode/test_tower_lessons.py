"""What towers are trained on, against slow and obvious versions."""

import numpy as np
import pytest
import torch
from scipy import sparse
from torch import nn

from salon.encode.tower_blocks import TowerNetwork
from salon.encode.tower_examples import Examples
from salon.encode.tower_lessons import Tastes, class_lesson, ranks, taste_lesson
from salon.encode.tower_settings import TowerSettings
from salon.errors import DataError


class Flat(nn.Module):
    def forward(self, values: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        return values.float()


def flat_network() -> TowerNetwork:
    torch.manual_seed(0)
    return TowerNetwork([Flat()], 6, 4)


def flat_examples(n: int) -> Examples:
    vectors = np.random.default_rng(0).standard_normal((n, 6)).astype(np.float32)
    return Examples([[one] for one in vectors])


def settings(**given: object) -> TowerSettings:
    return TowerSettings(**{"holdout": 0.0, **given})


def slow_pairs(vectors: np.ndarray, marks: np.ndarray) -> list[tuple[int, int, np.ndarray]]:
    found = []
    for person, row in enumerate(marks):
        for target in np.flatnonzero(row):
            others = [vectors[i] for i in np.flatnonzero(row) if i != target]
            taste = np.mean(others, axis=0)
            found.append((person, target, 10.0 * vectors @ (taste / np.linalg.norm(taste))))
    return found


MARKS = np.array([[1, 1, 0, 0, 1], [0, 1, 1, 0, 0], [1, 0, 1, 1, 0]], bool)


def test_the_softmax_loss_is_that_of_the_slow_version() -> None:
    task = Tastes(flat_network(), 0, settings(learn="softmax")).eval()
    values, lengths = flat_examples(5).batch(np.arange(5))
    log_q = np.log(np.array([0.5, 0.9, 0.3, 0.2, 0.7], np.float32))
    vectors = task.vectors(values, lengths).detach().numpy()
    losses = []
    for person, target, scores in slow_pairs(vectors, MARKS):
        corrected = scores - log_q
        allowed = [i for i in range(5) if i == target or not MARKS[person, i]]
        losses.append(np.log(np.exp(corrected[allowed]).sum()) - corrected[target])
    found = task(torch.as_tensor(values), torch.as_tensor(lengths), torch.as_tensor(MARKS), torch.as_tensor(log_q))
    assert found.item() == pytest.approx(np.mean(losses), rel=1e-4)


def test_bpr_compares_with_items_that_are_not_liked_only() -> None:
    task = Tastes(flat_network(), 0, settings(learn="bpr", negatives=400)).eval()
    values, lengths = flat_examples(5).batch(np.arange(5))
    vectors = task.vectors(values, lengths).detach().numpy()
    losses = []
    for person, target, scores in slow_pairs(vectors, MARKS):
        free = np.flatnonzero(~MARKS[person])
        losses.append(np.mean(np.log1p(np.exp(scores[free] - scores[target]))))
    torch.manual_seed(0)
    found = task(torch.as_tensor(values), torch.as_tensor(lengths), torch.as_tensor(MARKS), torch.zeros(5))
    assert found.item() == pytest.approx(np.mean(losses), rel=0.05)
    everything = torch.ones(2, 5, dtype=torch.bool)
    assert task(torch.as_tensor(values), torch.as_tensor(lengths), everything, torch.zeros(5)).item() == 0.0


def test_ranks_leave_the_history_out() -> None:
    rng = np.random.default_rng(1)
    vectors = rng.standard_normal((9, 3)).astype(np.float32)
    history = sparse.csr_array(rng.random((6, 9)) < 0.4).astype(np.float32).tolil()
    targets = rng.integers(9, size=6)
    history[np.arange(6), targets] = 0
    history = sparse.csr_array(history)
    for person, rank in enumerate(ranks(vectors, history, targets)):
        mine = history[[person]].toarray()[0] > 0
        scores = (mine.astype(float) @ vectors) @ vectors.T
        better = sum(1 for i in range(9) if not mine[i] and scores[i] > scores[targets[person]])
        ties = sum(1 for i in range(9) if not mine[i] and i != targets[person] and scores[i] == scores[targets[person]])
        assert rank == 1 + better + ties / 2


def test_batches_of_tastes_hold_what_they_say() -> None:
    rng = np.random.default_rng(0)
    positives = sparse.csr_array((rng.random((60, 30)) < 0.2).astype(np.float32))
    chosen = settings(batch_size=16, items_per_step=12, holdout=0.5)
    _, batches, score = taste_lesson(flat_network(), 0, flat_examples(30), positives, chosen, rng)
    seen = 0
    for values, lengths, marks, log_q in batches(np.random.default_rng(1)):
        assert len(values) == len(lengths) == marks.shape[1] == len(log_q) <= 12
        assert (marks.sum(axis=1) >= 2).all()
        assert (log_q <= 0).all()
        seen += len(marks)
    assert seen > 20
    assert score is not None
    assert 0 < score() < 1


def test_held_out_actions_are_not_trained_on() -> None:
    rng = np.random.default_rng(0)
    positives = sparse.csr_array((rng.random((80, 12)) < 0.5).astype(np.float32))
    chosen = settings(batch_size=80, items_per_step=100, holdout=0.5)
    task, batches, _ = taste_lesson(flat_network(), 0, flat_examples(12), positives, chosen, rng)
    able = int((np.diff(positives.indptr) >= 3).sum())
    trained = sum(int(marks.sum()) for _, _, marks, _ in batches(np.random.default_rng(1)))
    lonely = int((np.diff(positives.indptr) == 1).sum())
    assert trained == positives.nnz - lonely - round(0.5 * able)
    assert task.learn == "softmax"


def test_classes_are_held_out_evenly_and_unlabelled_values_left_out() -> None:
    labels = ["a", "b", None, "c"] * 40
    chosen = settings(holdout=0.25, batch_size=7)
    rng = np.random.default_rng(0)
    task, batches, score = class_lesson(flat_network(), 0, flat_examples(160), labels, chosen, rng)
    seen = np.concatenate([classes for _, _, classes in batches(rng)])
    assert np.bincount(seen).tolist() == [30, 30, 30]
    assert score is not None
    assert score() < 0
    assert task.classes.shape == (3, 4)


def test_lessons_with_nothing_in_them_are_told() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(DataError, match="names 1 classes"):
        class_lesson(flat_network(), 0, flat_examples(4), ["a", None, "a", "a"], settings(label="kind"), rng)
    lonely = sparse.csr_array(np.eye(4, dtype=np.float32))
    with pytest.raises(DataError, match="Nobody liked two items"):
        taste_lesson(flat_network(), 0, flat_examples(4), lonely, settings(), rng)
