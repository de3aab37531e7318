"""What an encoder may be trained on besides the values it encodes: what people did, or the labels of a field."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from scipy import sparse

from salon.encode.base import Encoder
from salon.errors import DataError

Source = Literal["", "events", "labels"]


@dataclass(frozen=True)
class Lesson:
    """What belongs to a list of values.

    Attributes:
        positives: (users, values) sparse; entry (u, j) says that user u liked the item of value j. Training events
            only: an encoder that saw held-out actions would give the answers away.
        labels: One per value, None where there is none.
        folder: Of the catalogue; a relative path in the settings is looked for there.
    """

    positives: sparse.csr_array | None = None
    labels: Sequence[str | None] | None = None
    folder: Path | None = None

    def check(self, n_values: int) -> None:
        """Raises DataError unless everything is about that many values."""
        sizes = {"labels": len(self.labels)} if self.labels is not None else {}
        if self.positives is not None:
            sizes["columns of positives"] = self.positives.shape[1]
        for what, size in sizes.items():
            if size != n_values:
                raise DataError(
                    f"{size} {what} for {n_values} values.", hint="Give one for each value, in their order."
                )


class TrainedEncoder(Encoder):
    """An encoder that is trained on more than its values."""

    needs_fit = True

    @property
    @abstractmethod
    def learns_from(self) -> Source:
        """What its lesson must hold, by its settings."""

    @property
    @abstractmethod
    def label_field(self) -> str:
        """The field whose labels it learns from, or ""."""

    @abstractmethod
    def fit(
        self, values: Sequence[Any], lesson: Lesson | None = None, *, rng: int | np.random.Generator | None = None
    ) -> Self:
        """Learns from values and lesson; values that cannot be used are left out.

        Args:
            values: Raw values, media as absolute paths.
            lesson: What is known of the values.
            rng: Initial weights, held-out values, order; None is 0.

        Raises:
            DataError: The lesson is absent, does not fit the values, or has nothing in it.
        """
