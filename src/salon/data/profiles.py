"""User attributes as one-hot columns, so that a person with a profile and no history can be answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from salon.data.items import Field, Users
from salon.errors import DataError, did_you_mean
from salon.types import IntArray, Modality

BINS = 5
"""Quantile bins of a number field."""


@dataclass(frozen=True)
class Profiles:
    """Attributes of people.

    Attributes:
        matrix: (users, attributes) sparse float32 of 0 and 1.
        names: attribute names such as "occupation=nurse" or "age<=24".
    """

    matrix: sparse.csr_array
    names: tuple[str, ...]

    @classmethod
    def of(cls, users: Users) -> Profiles:
        """One column per category value, and five quantile bins per number."""
        parts: list[sparse.csr_array] = [sparse.csr_array((len(users), 0), dtype=np.float32)]
        names: list[str] = []
        for field in users.fields.values():
            if field.modality in (Modality.CATEGORY, Modality.NUMBER):
                matrix, found = (_categories if field.modality == Modality.CATEGORY else _bins)(field)
                parts.append(matrix)
                names += found
        return cls(sparse.csr_array(sparse.hstack(parts, format="csr")), tuple(names))

    def row(self, values: Mapping[str, str]) -> sparse.csr_array:
        """(1, attributes) of a new person from attribute name to value, such as {"occupation": "nurse"}.

        Raises:
            DataError: An attribute or value is unknown.
        """
        dense = np.zeros((1, len(self.names)), np.float32)
        for name, value in values.items():
            dense[0, self._column(name, value)] = 1.0
        return sparse.csr_array(dense)

    def _column(self, name: str, value: str) -> int:
        if f"{name}={value}" in self.names:
            return self.names.index(f"{name}={value}")
        edges = [(float(n.rpartition("<=")[2]), i) for i, n in enumerate(self.names) if n.startswith(f"{name}<=")]
        try:
            return next(i for edge, i in edges if float(value) <= edge)
        except (StopIteration, ValueError):
            raise DataError(
                f"The profile value {name}={value} is unknown.",
                hint=did_you_mean(f"{name}={value}", self.names),
            ) from None


def _categories(field: Field) -> tuple[sparse.csr_array, list[str]]:
    matrix, labels = one_hot(field.values)
    return matrix, [f"{field.name}={label}" for label in labels]


def _bins(field: Field) -> tuple[sparse.csr_array, list[str]]:
    known = field.values[field.present]
    if known.size == 0:
        return sparse.csr_array((len(field), 0), dtype=np.float32), []
    edges = np.unique(np.quantile(known, np.linspace(0, 1, BINS + 1)[1:]))
    place = np.searchsorted(edges, field.values)
    names = [f"{field.name}<={edge:g}" for edge in edges[:-1]] + [f"{field.name}<=inf"]
    rows = np.flatnonzero(field.present)
    return _ones(rows, place[rows], (len(field), len(names))), names


def one_hot(values: Sequence[Sequence[str]]) -> tuple[sparse.csr_array, list[str]]:
    """(rows, labels) sparse float32 of 0 and 1 from rows of distinct labels, and the labels in order."""
    labels = sorted({label for row in values for label in row})
    place = {label: column for column, label in enumerate(labels)}
    columns = [place[label] for row in values for label in row]
    rows = np.repeat(np.arange(len(values)), [len(row) for row in values])
    return _ones(rows, columns, (len(values), len(labels))), labels


def _ones(rows: IntArray, columns: IntArray | list[int], shape: tuple[int, int]) -> sparse.csr_array:
    return sparse.csr_array((np.ones(len(rows), np.float32), (rows, columns)), shape=shape)
