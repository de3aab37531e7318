"""The loop learns, stops early, resumes exactly, averages over processes, and refuses what it cannot do."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from salon.errors import ArtifactError, DataError, SettingError
from salon.training.batches import shuffled
from salon.training.loop import train
from salon.training.network import weights_of
from salon.training.settings import TrainingSettings

X = np.random.default_rng(0).standard_normal((64, 3)).astype(np.float32)
Y = X @ np.array([1.0, -2.0, 0.5], np.float32) + 3


class Line(nn.Module):
    """Least squares, with dropout so that randomness inside the network matters."""

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.linear, self.dropout = nn.Linear(3, 1), nn.Dropout(dropout)

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return ((self.linear(self.dropout(x)).squeeze(1) - y) ** 2).mean()


def batches(rng: np.random.Generator) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for rows in shuffled(64, 16, rng):
        yield X[rows], Y[rows]


def settings(**more: object) -> TrainingSettings:
    return TrainingSettings(**{"epochs": 20, "learning_rate": 0.1, "device": "cpu", **more})  # type: ignore[arg-type]


def same(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(weights_of(one).values(), weights_of(other).values(), strict=True)
    return all(np.allclose(a, b, atol=1e-6) for a, b in pairs)


def fit_of(network: Line) -> Callable[[], float]:
    return lambda: -float(network(torch.from_numpy(X), torch.from_numpy(Y)))


def test_it_finds_the_least_squares_solution() -> None:
    network = Line()
    history = train(network, batches, settings(epochs=100), rng=np.random.default_rng(0))
    assert np.allclose(weights_of(network)["linear.weight"], [[1, -2, 0.5]], atol=0.02)
    assert len(history.losses) == 100
    assert history.best_epoch == 100
    assert not network.training
    assert history.losses[-1] < history.losses[0] / 100


def test_equal_seeds_give_equal_networks_and_other_seeds_do_not() -> None:
    one, two, other = (Line(0.3) for _ in range(3))
    for network, seed in ((one, 1), (two, 1), (other, 2)):
        train(network, batches, settings(), rng=np.random.default_rng(seed))
    assert same(one, two)
    assert not same(one, other)


def test_the_best_weights_are_kept_and_patience_ends_the_run() -> None:
    scores = iter([0.1, 0.5, 0.3, 0.2, 0.4, 0.9])
    seen: list[dict[str, np.ndarray]] = []
    network = Line()

    def score() -> float:
        seen.append(weights_of(network))
        return next(scores)

    history = train(network, batches, settings(patience=3), rng=np.random.default_rng(0), score=score)
    assert history.scores == [0.1, 0.5, 0.3, 0.2, 0.4]
    assert history.best_epoch == 2
    assert history.best_score == 0.5
    assert np.array_equal(weights_of(network)["linear.weight"], seen[1]["linear.weight"])


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.mark.parametrize("at", [1, 7, 13])
def test_a_killed_run_goes_on_and_ends_like_one_that_was_not(at: int, tmp_path: Path) -> None:
    whole, broken = Line(0.3), Line(0.3)
    plain = train(whole, batches, settings(), rng=np.random.default_rng(5), score=fit_of(whole))
    told: list[int] = []

    def stop(epoch: int, total: int, what: str) -> None:
        told.append(epoch)
        if len(told) == at + 1:
            raise Killed

    kept = settings(checkpoint=str(tmp_path / "state"))
    with pytest.raises(Killed):
        train(broken, batches, kept, rng=np.random.default_rng(5), score=fit_of(broken), progress=stop)
    again = Line(0.3)
    history = train(again, batches, kept, rng=np.random.default_rng(5), score=fit_of(again))
    assert history.resumed_at == at
    assert len(history.losses) == len(plain.losses)
    assert np.allclose(history.losses, plain.losses, atol=1e-6)
    assert same(again, whole)
    assert not (tmp_path / "state").exists()


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    def stop(epoch: int, total: int, what: str) -> None:
        if epoch == 3:
            raise Killed

    kept = settings(checkpoint=str(tmp_path / "state"))
    with pytest.raises(Killed):
        train(Line(), batches, kept, rng=np.random.default_rng(0), progress=stop)
    with pytest.raises(ArtifactError, match="other data, settings or seed"):
        train(Line(), batches, kept, rng=np.random.default_rng(1))
    (tmp_path / "state" / "arrays.npz").write_bytes(b"broken")
    with pytest.raises(ArtifactError):
        train(Line(), batches, kept, rng=np.random.default_rng(0))


def test_two_processes_give_what_one_gives() -> None:
    one, two = Line(), Line()
    train(one, batches, settings(epochs=5), rng=np.random.default_rng(0))
    train(two, batches, settings(epochs=5, processes=2), rng=np.random.default_rng(0))
    assert same(one, two)


def test_what_cannot_work_is_refused() -> None:
    rng = np.random.default_rng(0)
    if not torch.cuda.is_available():
        with pytest.raises(SettingError, match="'cuda' is not on this machine"):
            train(Line(), batches, settings(device="cuda"), rng=rng)
    with pytest.raises(DataError, match="nothing to train on"):
        train(Line(), lambda _: iter(()), settings(), rng=rng)
    with pytest.raises(DataError, match="loss of epoch 1 is nan"):
        train(Line(), lambda _: iter([(X, Y * np.float32(np.nan))]), settings(), rng=rng)


def test_only_the_named_parameters_change() -> None:
    network = Line()
    before = weights_of(network)
    train(network, batches, settings(), rng=np.random.default_rng(0), parameters=[network.linear.bias])
    after = weights_of(network)
    assert np.array_equal(before["linear.weight"], after["linear.weight"])
    assert not np.array_equal(before["linear.bias"], after["linear.bias"])
