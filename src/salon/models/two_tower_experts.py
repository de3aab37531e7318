"""Several tasks over two towers: experts that all tasks share, and a gate per task that mixes them (MMoE).

    x   = [u, i, u * i],   f_k = relu(F_k x + a_k),   g_t = softmax(G_t x)
    z_t = head_t( sum_k g_tk f_k ) + w_t u.i

Source: Ma et al., "Modeling Task Relationships in Multi-task Learning with Multi-gate Mixture-of-Experts", KDD 2018.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from salon.models.two_tower_network import TowerItems, TowerNetwork, UserTower
from salon.models.two_tower_tasks import BINARY
from salon.types import FloatArray

AT_ONCE = 2048
"""Items that a person is set beside at once."""


class PairLinear(nn.Module):
    """A linear map of [u, i, u * i] that makes the parts of u and of i once for all pairs they are in."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.user, self.item = nn.Linear(width, out, bias=False), nn.Linear(width, out)
        self.both = nn.Linear(width, out, bias=False)

    def forward(self, users: Tensor, items: Tensor, own: Tensor) -> Tensor:
        """(n, k, out) of users (n, width) and the rows `own` (n, k) of items (m, width)."""
        return self.user(users).unsqueeze(1) + self.item(items)[own] + self.both(users.unsqueeze(1) * items[own])

    def of_all(self, user: Tensor, columns: Tensor, stretch: float) -> Tensor:
        """(out, m) of one user (width,) and all items, columns (width, m), all stretched: one product of matrices."""
        user = user * stretch
        start = (self.user(user) + self.item.bias).unsqueeze(1)
        return torch.addmm(start, (self.item.weight + self.both.weight * user) * stretch, columns)


class TaskExperts(nn.Module):
    """Experts, gates and heads.

    Args:
        width: Numbers per vector of a person or item.
        tasks: How many tasks.
        experts: How many experts.
        hidden: Numbers that an expert gives.
        head: Numbers in the hidden layer of a task.
    """

    def __init__(self, width: int, tasks: int, experts: int, hidden: int, head: int) -> None:
        super().__init__()
        self.stretch = width**0.5
        self.experts, self.gates = PairLinear(width, experts * hidden), PairLinear(width, tasks * experts)
        self.shape, self.tasks = (experts, hidden), tasks
        self.heads = nn.ModuleList(
            [nn.Sequential(nn.Linear(hidden, head), nn.ReLU(), nn.Linear(head, 1)) for _ in range(tasks)]
        )
        self.direct = nn.Parameter(torch.full((tasks,), 3.0))

    def forward(self, users: Tensor, items: Tensor, own: Tensor) -> Tensor:
        """(n, k, tasks) logits and scaled numbers of users (n, width) and the rows `own` (n, k) of items (m, width)."""
        pairs = users * self.stretch, items * self.stretch, own
        found = torch.relu(self.experts(*pairs)).unflatten(-1, self.shape)
        gates = torch.softmax(self.gates(*pairs).unflatten(-1, (self.tasks, self.shape[0])), dim=-1)
        mixed = gates @ found
        deep = torch.cat([head(mixed[..., task, :]) for task, head in enumerate(self.heads)], dim=-1)
        return deep + (users.unsqueeze(1) * items[own]).sum(dim=-1, keepdim=True) * self.direct

    @torch.no_grad()
    def of_all(self, user: Tensor, columns: Tensor) -> Tensor:
        """(tasks, m) the same of one user (width,) and all items, columns (width, m).

        What is done to each item is done to rows of many items, some at a time so that they stay in cache.
        """
        return torch.cat([self._of_some(user, part) for part in columns.split(AT_ONCE, dim=1)], dim=1)

    def _of_some(self, user: Tensor, columns: Tensor) -> Tensor:
        pair = user, columns, self.stretch
        found = self.experts.of_all(*pair).relu_().unflatten(0, self.shape)
        gates = torch.softmax(self.gates.of_all(*pair).unflatten(0, (self.tasks, self.shape[0])), dim=1)
        deep = []
        for gate, head in zip(gates, self.heads, strict=True):
            mixed = gate[0] * found[0]
            for share, one in zip(gate[1:], found[1:], strict=True):
                mixed.addcmul_(share, one)
            deep.append(head(mixed.T).T)
        return torch.cat(deep) + self.direct.unsqueeze(1) * (user @ columns)


class TaskNetwork(TowerNetwork):
    """Two towers and the experts above them.

    Args:
        items: The item tower.
        users: The user tower.
        experts: Experts, gates and heads.
        tasks: Names of the tasks.
        scale: (2, tasks) float32 mean and deviation of the labels, 0 and 1 for tasks of two answers.
        weights: (tasks,) float32 of the losses.
        learned: Whether the uncertainty of each task is learned on top.
    """

    def __init__(
        self,
        items: TowerItems,
        users: UserTower,
        experts: TaskExperts,
        *,
        tasks: Sequence[str],
        scale: FloatArray,
        weights: FloatArray,
        learned: bool,
    ) -> None:
        super().__init__(items, users)
        self.experts, self.tasks = experts, tuple(tasks)
        self.register_buffer("scale", torch.from_numpy(scale), persistent=False)
        self.register_buffer("weights", torch.from_numpy(weights), persistent=False)
        self.log_variance = nn.Parameter(torch.zeros(len(tasks))) if learned else None

    def forward(self, wanted: Tensor, steps: Tensor, profiles: Tensor, negatives: Tensor, labels: Tensor) -> Tensor:
        """The joint loss of pairs (n,), steps (n, T), profiles (n, attributes), negatives (n, k), labels (n, tasks)."""
        rows = torch.cat([wanted.unsqueeze(1), negatives], dim=1)
        table, steps, (own,) = self.tables(steps, rows)
        people = self.users(table, steps, profiles)
        answers = self.experts(people, self.items.vectors(table), own)  # (n, 1 + k, tasks)
        targets = (labels - self.scale[0]) / self.scale[1]
        losses = []
        for number, task in enumerate(self.tasks):
            given, right = answers[:, :1, number], targets[:, number : number + 1]
            if task == "click":
                given = answers[:, :, number]
                right = torch.cat([right, torch.zeros_like(given[:, 1:])], dim=1)
            losses.append(task_loss(given, right, binary=task in BINARY))
        return (self.weights * self._balanced(torch.stack(losses))).sum()

    def _balanced(self, losses: Tensor) -> Tensor:
        """(tasks,) with s_t = ln sigma_t^2: exp(-s_t) L_t + s_t / 2, half of the first for squared errors."""
        if self.log_variance is None:
            return losses
        share = torch.tensor([1.0 if task in BINARY else 0.5 for task in self.tasks], device=losses.device)
        return share * torch.exp(-self.log_variance) * losses + self.log_variance / 2


def task_loss(given: Tensor, right: Tensor, *, binary: bool) -> Tensor:
    """Mean logistic loss of logits, or mean squared error, over the labels that are known; 0 where none is."""
    known = ~right.isnan()
    given, right = given[known], right[known]
    if binary:
        total = functional.binary_cross_entropy_with_logits(given, right, reduction="sum")
    else:
        total = (given - right).square().sum()
    return total / known.sum().clamp(min=1)
