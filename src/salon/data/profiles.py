"""User attributes as one-hot columns, so that a person with a profile and no history can be answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from salon.data.items import Field, Users
from salon.errors import DataError, did_you_mean
from salon.types import FloatArray, Modality

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
        columns: list[tuple[str, FloatArray]] = []
        for field in users.fields.values():
            if field.modality == Modality.CATEGORY:
                columns += _category_columns(field)
            elif field.modality == Modality.NUMBER:
                columns += _number_columns(field)
        dense = np.stack([c for _, c in columns], axis=1) if columns else np.zeros((len(users), 0), np.float32)
        return cls(sparse.csr_array(dense), tuple(name for name, _ in columns))

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


def _category_columns(field: Field) -> list[tuple[str, FloatArray]]:
    labels = sorted({label for row in field.values for label in row})
    return [(f"{field.name}={v}", np.array([v in row for row in field.values], np.float32)) for v in labels]


def _number_columns(field: Field) -> list[tuple[str, FloatArray]]:
    known = field.values[field.present]
    if known.size == 0:
        return []
    edges = np.unique(np.quantile(known, np.linspace(0, 1, BINS + 1)[1:]))
    place = np.searchsorted(edges, field.values)
    names = [f"{field.name}<={edge:g}" for edge in edges[:-1]] + [f"{field.name}<=inf"]
    return [(name, ((place == i) & field.present).astype(np.float32)) for i, name in enumerate(names)]
