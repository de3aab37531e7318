"""What people wrote about an item, as text of that item: of the actions at hand and of no others."""

from __future__ import annotations

from salon.data.dataset import Dataset


def review_texts(data: Dataset) -> tuple[tuple[str, ...], ...]:
    """Per item the texts of its events, in input order, each text once.

    Reviews say how the story ends: one that belongs to a held-out action gives the answer away. So call this with
    `split.train` and never with the whole dataset where something is to be measured.

    Args:
        data: The part of the log that may be learned from.

    Returns:
        One tuple of texts for every item; empty where nobody wrote anything.
    """
    found: list[dict[str, None]] = [{} for _ in range(data.n_items)]
    for item, text in zip(data.events.items.tolist(), data.events.texts or (), strict=False):
        if text and text.strip():
            found[item].setdefault(text)
    return tuple(tuple(texts) for texts in found)
