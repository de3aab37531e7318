"""The training loop: steps, validation, early stopping, checkpoints, devices and processes."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import nn

from salon.errors import DataError, SettingError
from salon.training.checkpoint import read_checkpoint, remove_checkpoint, write_checkpoint
from salon.training.device import pick_device
from salon.training.network import load_weights, weights_of
from salon.training.settings import TrainingSettings
from salon.training.watch import tell
from salon.types import Progress

Batches = Callable[[np.random.Generator], Iterable[Sequence[Any]]]
"""One epoch: called with a generator of its own, gives tuples of arrays or tensors whose rows belong together."""


@dataclass
class History:
    """What happened in training.

    Attributes:
        losses: Mean loss of every epoch.
        scores: Validation score of every look, higher is better; empty where nothing was validated.
        best_epoch: The epoch (from 1) whose weights were kept.
        resumed_at: The epoch at which a checkpoint was taken up, or 0.
    """

    losses: list[float] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    best_epoch: int = 0
    resumed_at: int = 0

    @property
    def best_score(self) -> float:
        """The highest validation score, or NaN."""
        return max(self.scores, default=math.nan)


@dataclass
class _State:
    """Everything between two epochs."""

    history: History
    best: dict[str, np.ndarray[Any, Any]]
    epoch: int = 0
    waited: int = 0


def train(
    network: nn.Module,
    batches: Batches,
    settings: TrainingSettings,
    *,
    rng: np.random.Generator,
    score: Callable[[], float] | None = None,
    progress: Progress | None = None,
    parameters: Iterable[Any] | None = None,
) -> History:
    """Trains a network in place with AdamW and leaves it with its best weights, in evaluation mode, on the processor.

    Args:
        network: `network(*batch)` returns the loss of a batch, a scalar tensor.
        batches: One epoch of batches; what is not random in them should be arrays made before.
        settings: Epochs, step size, device and so on.
        rng: One number is drawn from it; every epoch has a seed made of that number, so that a resumed run equals an
            uninterrupted one.
        score: The validation score, higher is better, asked with the network in evaluation mode. None: all epochs
            are run and the last weights kept.
        progress: Called after every epoch as (epoch, epochs, what was measured).
        parameters: What is trained, tensors or groups as torch optimisers take them; None: all that need a gradient.

    Returns:
        Losses, scores and the epoch that was kept.

    Raises:
        SettingError: The device is not there.
        DataError: There are no batches, or the loss is not finite.
        ArtifactError: The checkpoint is of another run.
    """
    device = pick_device(settings.device)
    seed = int(rng.integers(2**62))
    fabric = _fabric(device, settings)
    runner = _Runner(network, batches, settings, seed, score, progress, parameters)
    if settings.processes == 1:
        history, best = runner(fabric)
    else:
        history, best = fabric.launch(runner)
    load_weights(network.cpu(), best)
    network.eval()
    if settings.checkpoint:
        remove_checkpoint(Path(settings.checkpoint))
    return history


def _fabric(device: torch.device, settings: TrainingSettings) -> Fabric:
    if device.type != "cpu" and settings.processes > torch.cuda.device_count():
        raise SettingError(
            f"{settings.processes} processes for {torch.cuda.device_count()} GPUs.", hint="Set processes lower."
        )
    strategy = "auto" if settings.processes == 1 else "ddp_fork" if device.type == "cpu" else "ddp_spawn"
    return Fabric(accelerator=device.type, devices=settings.processes, strategy=strategy, precision=settings.precision)


class _Runner:
    """One process of a training run."""

    def __init__(
        self,
        network: nn.Module,
        batches: Batches,
        settings: TrainingSettings,
        seed: int,
        score: Callable[[], float] | None,
        progress: Progress | None,
        parameters: Iterable[Any] | None,
    ) -> None:
        self.network, self.batches, self.settings, self.seed = network, batches, settings, seed
        self.score, self.progress = score, progress
        chosen = parameters if parameters is not None else [p for p in network.parameters() if p.requires_grad]
        self.optimiser = torch.optim.AdamW(chosen, lr=settings.learning_rate, weight_decay=settings.weight_decay)
        self.key = self._key()

    def __call__(self, fabric: Fabric) -> tuple[History, dict[str, np.ndarray[Any, Any]]]:
        """Runs all epochs; the same in every process."""
        state = _State(History(), weights_of(self.network))
        self._resume(state)
        wrapped, optimiser = fabric.setup(self.network, self.optimiser)
        keep_random = torch.random.fork_rng() if fabric.device.type == "cpu" else nullcontext()
        with keep_random:
            while state.epoch < self.settings.epochs and not self._tired(state):
                state.epoch += 1
                state.history.losses.append(self._epoch(fabric, wrapped, optimiser, state.epoch))
                self._look(fabric, state)
        return state.history, state.best

    def _tired(self, state: _State) -> bool:
        return 0 < self.settings.patience <= state.waited

    def _epoch(self, fabric: Fabric, wrapped: Any, optimiser: Any, epoch: int) -> float:
        torch.manual_seed((self.seed + epoch) % 2**63)
        wrapped.train()
        total, steps = 0.0, 0
        for batch in self.batches(np.random.default_rng([self.seed, epoch])):
            share = [_part(one, fabric.global_rank, fabric.world_size) for one in batch]
            loss = wrapped(*[one.to(fabric.device) for one in share])
            value = float(loss.detach())
            if not math.isfinite(value):
                raise DataError(
                    f"The loss of epoch {epoch} is {value}.", hint="Lower the learning rate, or clip_norm = 1."
                )
            optimiser.zero_grad(set_to_none=True)
            fabric.backward(loss)
            if self.settings.clip_norm:
                fabric.clip_gradients(wrapped, optimiser, max_norm=self.settings.clip_norm, error_if_nonfinite=False)
            optimiser.step()
            total, steps = total + value, steps + 1
        if not steps:
            raise DataError("There is nothing to train on.", hint="Every epoch needs at least one batch.")
        return total / steps

    def _look(self, fabric: Fabric, state: _State) -> None:
        """Validates, keeps the best weights, tells, and writes the checkpoint."""
        settings, history = self.settings, state.history
        due = state.epoch % settings.validate_every == 0 or state.epoch == settings.epochs
        if self.score is None:
            history.best_epoch = state.epoch
            if due:
                state.best = weights_of(self.network)
        elif due:
            self.network.eval()
            with torch.no_grad():
                found = float(fabric.broadcast(self.score() if fabric.is_global_zero else 0.0))
            state.waited += 1
            if not history.scores or found > history.best_score:
                history.best_epoch, state.best, state.waited = state.epoch, weights_of(self.network), 0
            history.scores.append(found)
            if settings.processes == 1:
                tell(state.epoch, found)
        if fabric.is_global_zero:
            if self.progress:
                told = f", validation {history.scores[-1]:.4f}" if history.scores else ""
                self.progress(state.epoch, settings.epochs, f"loss {history.losses[-1]:.4f}{told}")
            if settings.checkpoint and due:
                self._save(state)

    # -- checkpoints -------------------------------------------------------------------------------------------------

    def _key(self) -> str:
        """What a checkpoint must agree with: settings that matter, the seed and the network before training."""
        free = {"epochs", "checkpoint", "device", "processes", "patience"}
        digest = hashlib.sha256(repr((self.settings.model_dump(exclude=free), self.seed)).encode())
        for name, value in weights_of(self.network).items():
            digest.update(name.encode())
            digest.update(value.tobytes())
        return digest.hexdigest()

    def _save(self, state: _State) -> None:
        about = {**vars(state.history), "epoch": state.epoch, "waited": state.waited, "key": self.key}
        write_checkpoint(
            Path(self.settings.checkpoint), about, weights_of(self.network), state.best, self.optimiser.state_dict()
        )

    def _resume(self, state: _State) -> None:
        if not self.settings.checkpoint:
            return
        found = read_checkpoint(Path(self.settings.checkpoint), self.key)
        if found is None:
            return
        about, weights, best, moments = found
        load_weights(self.network, weights)
        groups = self.optimiser.state_dict()["param_groups"]
        self.optimiser.load_state_dict({"state": moments, "param_groups": groups})
        state.best, state.epoch, state.waited = best, about["epoch"], about["waited"]
        state.history = History(about["losses"], about["scores"], about["best_epoch"], about["epoch"])


def _part(values: Any, rank: int, size: int) -> torch.Tensor:
    """The rows of a batch that one process takes."""
    tensor = values if isinstance(values, torch.Tensor) else torch.as_tensor(values)
    return tensor[rank::size] if size > 1 else tensor
