"""Graphs as sparse matrices that torch multiplies and derives, and the propagation of LightGCN."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from salon.arrays import nearest_rows as nearest
from salon.arrays import power_or_zero, scale_columns, scale_rows, unit_rows
from salon.types import BoolArray, FloatArray


class Graph:
    """A sparse matrix (n, m) float32 with its transpose ready for the gradient; copied to a device when first used.

    Products are float32 in mixed precision too: torch has no sparse ones of half precision on CPUs.
    """

    def __init__(self, matrix: sparse.csr_array) -> None:
        matrix = sparse.csr_array(matrix, dtype=np.float32)
        self._there = {torch.device("cpu"): (_csr(matrix), _csr(sparse.csr_array(matrix.T)))}

    def __call__(self, vectors: Tensor) -> Tensor:
        """(n, d) = matrix @ (m, d)."""
        return _product(*self._on(vectors.device), vectors)

    def back(self, vectors: Tensor) -> Tensor:
        """(m, d) = matrix^T @ (n, d)."""
        there, back = self._on(vectors.device)
        return _product(back, there, vectors)

    def _on(self, device: torch.device) -> tuple[Tensor, Tensor]:
        if device not in self._there:
            there, back = next(iter(self._there.values()))
            self._there[device] = (there.to(device), back.to(device))
        return self._there[device]


def _product(there: Tensor, back: Tensor, vectors: Tensor) -> Tensor:
    with torch.autocast(vectors.device.type, enabled=False):
        product: Tensor = _Product.apply(there, back, vectors.float())
    return product


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, there: Tensor, back: Tensor, vectors: Tensor) -> Tensor:
        ctx.back = back
        return there @ vectors

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, None, Tensor]:
        return None, None, ctx.back @ gradients[0].contiguous()


def _csr(matrix: sparse.csr_array) -> Tensor:
    matrix.sort_indices()
    parts = (torch.from_numpy(np.array(p, np.int64)) for p in (matrix.indptr, matrix.indices))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR")  # "beta", told once per process
        return torch.sparse_csr_tensor(
            *parts, torch.from_numpy(matrix.data.copy()), matrix.shape, check_invariants=False
        )


def normalised_links(rows: sparse.csr_array) -> sparse.csr_array:
    """(users, items) D_u^(-1/2) R D_i^(-1/2): the off-diagonal block of the normalised user-item graph."""
    people = power_or_zero(np.asarray(rows.sum(axis=1)), -0.5).astype(np.float32)
    items = power_or_zero(np.asarray(rows.sum(axis=0)), -0.5).astype(np.float32)
    return sparse.csr_array(scale_columns(scale_rows(rows, people), items), dtype=np.float32)


def mean_links(rows: sparse.csr_array) -> sparse.csr_array:
    """(users, items) each row sums to 1: a person is the mean of what they liked."""
    return sparse.csr_array(scale_rows(rows, power_or_zero(np.asarray(rows.sum(axis=1)), -1.0)), dtype=np.float32)


def layers(links: Graph, users: Tensor, items: Tensor, count: int) -> list[tuple[Tensor, Tensor]]:
    """Layers 0..count of E^(l+1) = A E^(l), with A the symmetric graph whose block is `links`."""
    found = [(users, items)]
    for _ in range(count):
        users, items = links(items), links.back(users)
        found.append((users, items))
    return found


def mean_of_layers(found: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """The mean over the layers, users and items (LightGCN; He et al., SIGIR 2020)."""
    users, items = found[0]
    for more_users, more_items in found[1:]:
        users, items = users + more_users, items + more_items
    return users / len(found), items / len(found)


def media_graph(
    vectors: FloatArray, asked: BoolArray, sources: BoolArray, k: int, power: float = 0.0
) -> sparse.csr_array:
    """(items, items) float32: each row `asked` averages its k nearest `sources` by max(cosine, 1e-6)^power.

    An item that is both counts for itself. The papers take the neighbours among all items and normalise on both sides,
    which for k neighbours each is the same mean; here items without any action are never a source, as they carry
    nothing learned. All other rows are empty.
    """
    here, there, n = np.flatnonzero(asked), np.flatnonzero(sources), len(vectors)
    if not len(there):
        return sparse.csr_array((n, n), dtype=np.float32)
    units = unit_rows(vectors)
    found = nearest(units[here], units[there], min(k, len(there)))
    values = np.maximum(found.scores, np.float32(1e-6)) ** np.float32(power)
    values /= values.sum(axis=1, keepdims=True)
    rows = np.broadcast_to(here[:, None], found.ids.shape)
    return sparse.csr_array((values.ravel(), (rows.ravel(), there[found.ids].ravel())), shape=(n, n))


def weighted_graph(graphs: list[sparse.csr_array], weights: list[float]) -> sparse.csr_array:
    """sum of w_m S_m, row by row over the modalities that the item has: each nonempty row sums to 1."""
    total = sparse.csr_array(sum(w * graph for w, graph in zip(weights, graphs, strict=True)), dtype=np.float32)
    total.eliminate_zeros()
    return sparse.csr_array(scale_rows(total, power_or_zero(np.asarray(total.sum(axis=1)), -1.0)), dtype=np.float32)
