"""Where alternating least squares begins: near its end rather than anywhere."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from salon.arrays import power_or_zero, scale_columns, scale_rows
from salon.types import FloatArray

MORE = 8
"""Directions that the range finder draws beyond those that are kept."""
ROUNDING = 1e-6
"""Of the largest square, below which a singular value is rounding of float32."""


def leading_factors(rows: sparse.csr_array, dim: int, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """Factors whose products are the leading part of the log, people and items weighed by how active they are.

    With N = D_u^(-1/2) R D_i^(-1/2) ~ U S V^T, D the sums of rows and of columns: D_u^(1/2) U S^(1/2) and D_i^(1/2) V
    S^(1/2). The triples come from a randomised range finder with one power iteration (Halko, Martinsson, Tropp 2011).

    Args:
        rows: (users, items) float32 R, not negative.
        dim: Numbers per vector; those beyond the rank of R are 0.

    Returns:
        (users, dim) and (items, dim) float32; zero for who has no action.
    """
    people, popular = rows.sum(axis=1), rows.sum(axis=0)
    scaled = scale_columns(scale_rows(rows, power_or_zero(people, -0.5)), power_or_zero(popular, -0.5))
    normalised = scaled.astype(np.float32)
    basis = _orthonormal(normalised @ rng.standard_normal((rows.shape[1], dim + MORE), dtype=np.float32))
    basis = _orthonormal(normalised @ (normalised.T @ basis))  # (users, rank), rank <= dim + MORE
    across = normalised.T @ basis
    values, turn = _spectrum(across)
    scale = np.sqrt(values[:dim]).astype(np.float32)  # S^(1/2)
    users, items = basis @ (turn[:, :dim] * scale), across @ (turn[:, :dim] / scale)
    return _padded(users * np.sqrt(people)[:, None], dim), _padded(items * np.sqrt(popular)[:, None], dim)


def _spectrum(matrix: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Singular values that stand out of rounding, falling, and the right singular vectors; by the small Gram."""
    squares, turn = np.linalg.eigh((matrix.T @ matrix).astype(np.float64))
    kept = np.flatnonzero(squares > ROUNDING * squares[-1])[::-1]
    return np.sqrt(squares[kept]), turn[:, kept].astype(np.float32)


def _orthonormal(matrix: FloatArray) -> FloatArray:
    """An orthonormal basis of the columns, as float32; a small Gram in place of a QR takes a fraction of its time."""
    values, turn = _spectrum(matrix)
    return np.asarray(matrix @ (turn / values.astype(np.float32)))


def _padded(factors: FloatArray, dim: int) -> FloatArray:
    missing = dim - factors.shape[1]
    return np.ascontiguousarray(np.pad(factors, ((0, 0), (0, missing))), np.float32)
