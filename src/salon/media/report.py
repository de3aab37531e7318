"""What is said about a medium that could not be used."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class MediaProblem:
    """One value of one item that was left out, so that it can be reported by id and masked.

    Attributes:
        id: The id of the item, as the user wrote it.
        field: The field that holds the medium, such as "photo".
        reason: What is wrong, as the `MediaError` says it.
    """

    id: str
    field: str
    reason: str

    def __str__(self) -> str:
        return f"{self.id} {self.field}: {self.reason}"
