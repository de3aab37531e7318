"""What two towers are trained on: pairs of a person and an item, each with the history that does not show the item."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from salon.errors import DataError
from salon.models.sequence_data import PAD, Sequences
from salon.training.batches import Negatives, shuffled
from salon.types import BoolArray, FloatArray, IntArray


@dataclass(frozen=True)
class Pairs:
    """Pairs of a person and an item, each once.

    Attributes:
        people: (p,) int64 rows of the histories.
        items: (p,) int64 item rows.
        labels: (p, tasks) float32 of what came of it, NaN where unknown.
        tasks: Names of the columns; none where a pair says only "liked".
    """

    people: IntArray
    items: IntArray
    labels: FloatArray
    tasks: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.items)

    @classmethod
    def of(cls, sequences: Sequences) -> Pairs:
        """Every step of every history."""
        return cls(sequences.owner(), sequences.items, np.zeros((len(sequences.items), 0), np.float32))

    def take(self, rows: IntArray | BoolArray) -> Pairs:
        """Some pairs only."""
        return Pairs(self.people[rows], self.items[rows], self.labels[rows], self.tasks)


@dataclass(frozen=True)
class Reading:
    """How histories are read.

    Attributes:
        length: Most steps.
        past: Whether a pair is shown the steps before its item alone; else all others, in random order.
        dropout: Chance that training hides a step.
        forget: Chance that training hides the whole history of somebody with a profile.
    """

    length: int
    past: bool
    dropout: float = 0.0
    forget: float = 0.0


class Histories:
    """The histories of pairs without the items of the pairs, in the order of `sequences`.

    Args:
        sequences: One history per person; an item comes once in each.
        n_items: Items of the catalogue.
        reading: How they are read.
    """

    def __init__(self, sequences: Sequences, n_items: int, reading: Reading) -> None:
        self._sequences, self._n_items, self._reading = sequences, n_items, reading
        keys = sequences.owner() * n_items + sequences.items
        self._order = np.argsort(keys)
        self._keys = keys[self._order]

    def shuffled(self, rng: np.random.Generator) -> Histories:
        """Other random orders, unless the past alone is read."""
        if self._reading.past:
            return self
        return Histories(self._sequences.shuffled(rng), self._n_items, self._reading)

    def spans(self, pairs: Pairs) -> tuple[IntArray, IntArray, IntArray]:
        """(p,) starts and stops of the steps that may be read, and the place of the item, -1 where it is no step."""
        keys = pairs.people * self._n_items + pairs.items
        found = np.searchsorted(self._keys, keys)
        found = np.minimum(found, max(len(self._keys) - 1, 0))
        known = self._keys[found] == keys if len(self._keys) else np.zeros(len(keys), bool)
        place = np.where(known, self._order[found] if len(self._order) else -1, -1)
        starts, stops = self._sequences.indptr[:-1][pairs.people], self._sequences.indptr[1:][pairs.people]
        length = self._reading.length
        if self._reading.past:
            stops = np.where(known, place, stops)
            return np.maximum(starts, stops - length), stops, place
        # the order is random, so a window around the item is a random sample of the others
        first = np.where(known, place - length // 2, starts)
        starts = np.clip(first, starts, np.maximum(starts, stops - length - known))
        return starts, np.minimum(stops, starts + length + known), place

    def steps(self, pairs: Pairs) -> IntArray:
        """(p, longest) int64 item rows, -1 for none."""
        starts, stops, place = self.spans(pairs)
        items, _ = self._sequences.padded(starts, stops)
        items[starts[:, None] + np.arange(items.shape[1]) == place[:, None]] = PAD
        return items

    def profiles(self, people: IntArray) -> FloatArray:
        """(n, attributes) float32, no columns where there are no profiles."""
        return dense_profiles(self._sequences.take(people), None)

    def useful(self, pairs: Pairs) -> BoolArray:
        """(p,) bool, the pairs about whose person something else is known."""
        starts, stops, place = self.spans(pairs)
        inside = (place >= starts) & (place < stops)
        profiles = self._sequences.profiles
        known = np.zeros(len(self._sequences), bool) if profiles is None else np.diff(profiles.indptr) > 0
        return (stops - starts - inside > 0) | known[pairs.people]


def dense_profiles(sequences: Sequences, attributes: int | None) -> FloatArray:
    """(n, attributes) float32 of n people; 0 where nothing is known.

    Args:
        sequences: Their histories.
        attributes: How many columns there must be; None takes what there is.

    Raises:
        DataError: There are others.
    """
    found = sequences.profiles
    if found is None or attributes == 0:
        return np.zeros((len(sequences), attributes or 0), np.float32)
    if attributes is not None and found.shape[1] != attributes:
        raise DataError(f"Profiles of {found.shape[1]} attributes for a model of {attributes}.")
    return np.asarray(found.toarray(), np.float32)


def in_no_order(sequences: Sequences, n_items: int) -> Sequences:
    """Every history in an order that depends on the set of its items alone, and looks like a random one."""
    place = np.random.default_rng(0).permutation(n_items)
    order = np.lexsort((place[sequences.items], sequences.owner()))
    return replace(sequences, items=sequences.items[order], times=sequences.times[order])


class PairBatches:
    """Epochs of (item (n,), steps (n, T), profiles (n, attributes), negatives), and labels where pairs have them.

    Without labels the negatives are (count,), shared by the batch; with labels (n, count), nothing that the person
    likes.

    Args:
        pairs: What to learn.
        histories: What is known about the people.
        negatives: Where further items come from.
        size: Pairs per batch.
        count: How many further items.
        reading: What is hidden in training.

    Raises:
        DataError: There is no pair about whose person anything else is known.
    """

    def __init__(
        self, pairs: Pairs, histories: Histories, negatives: Negatives, *, size: int, count: int, reading: Reading
    ) -> None:
        self._pairs, self._histories, self._negatives = pairs.take(histories.useful(pairs)), histories, negatives
        self._size, self._count, self._reading = size, count, reading
        if not len(self._pairs):
            raise DataError(
                "Nothing is known about anybody but one liked item, so there is nothing to learn from.",
                hint="Give more events, or attributes of the users.",
            )

    def __call__(self, rng: np.random.Generator) -> Iterator[tuple[IntArray | FloatArray, ...]]:
        """One epoch."""
        histories = self._histories.shuffled(rng)
        for part in shuffled(len(self._pairs), self._size, rng):
            pairs = self._pairs.take(part)
            profiles = histories.profiles(pairs.people)
            steps = self._hidden(histories.steps(pairs), profiles, rng)
            if pairs.tasks:
                others = self._negatives.draw(pairs.people, self._count, rng)
                yield pairs.items, steps, profiles, others, pairs.labels
            else:
                yield pairs.items, steps, profiles, self._negatives.draw_any(self._count, rng)

    def _hidden(self, steps: IntArray, profiles: FloatArray, rng: np.random.Generator) -> IntArray:
        """Some steps, and some histories of people with a profile; nobody else loses all."""
        kept = np.where(rng.random(steps.shape) < self._reading.dropout, PAD, steps)
        kept = np.where((kept == PAD).all(axis=1)[:, None], steps, kept)
        gone = (rng.random(len(steps)) < self._reading.forget) & profiles.any(axis=1)
        return np.where(gone[:, None], PAD, kept)
