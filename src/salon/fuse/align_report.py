"""How well modalities are aligned: recall@k and reciprocal rank across them, and the gap between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations, permutations
from typing import Any

import numpy as np

from salon.arrays import block_size, blocks, unit_rows
from salon.encode.base import FeatureSet
from salon.errors import DataError
from salon.types import FloatArray


def match_ranks(queries: FloatArray, items: FloatArray) -> FloatArray:
    """(n,) place of item i in the list for query i, from 1; among equal scores the mean of their places.

    Args:
        queries: (n, d) float.
        items: (n, d) float; row i is what query i should find.
    """
    ranks = np.zeros(len(queries))
    for rows in blocks(len(queries), block_size(len(items))):
        scores = np.asarray(queries[rows] @ items.T, np.float32)
        own = scores[np.arange(len(scores)), np.arange(rows.start, rows.stop)][:, None]
        ranks[rows] = (scores > own).sum(axis=1) + ((scores == own).sum(axis=1) + 1) / 2
    return ranks


def reciprocal_ranks(queries: FloatArray, items: FloatArray) -> FloatArray:
    """(n,) 1 / place of item i in the list for query i."""
    return 1 / match_ranks(queries, items)


def chance_mrr(n: int) -> float:
    """The expected reciprocal rank of a random order of n items: the n-th harmonic number over n."""
    return float((1 / np.arange(1, n + 1)).sum() / n) if n else 0.0


def modality_gap(one: FloatArray, other: FloatArray) -> float:
    """Length of the difference of the mean unit vectors of two modalities, from 0 to 2.

    Source: Liang et al., "Mind the Gap: Understanding the Modality Gap in Multi-modal Contrastive Representation
    Learning", NeurIPS 2022.
    """
    return float(np.linalg.norm(unit_rows(one).mean(axis=0) - unit_rows(other).mean(axis=0)))


@dataclass(frozen=True)
class Crossing:
    """How vectors of one modality find those of another.

    Attributes:
        query: The modality that asks.
        item: The modality that is looked for.
        n: Items that have both; each query looks among these.
        recall: k to the share of queries whose own item is among the first k. No k above n / 4 is there: chance alone
            would find more than one in four.
        chance: k to k / n.
        mrr: Mean reciprocal rank.
        chance_mrr: That of a random order.
    """

    query: str
    item: str
    n: int
    recall: dict[int, float]
    chance: dict[int, float]
    mrr: float
    chance_mrr: float


@dataclass(frozen=True)
class AlignmentReport:
    """Alignment of the modalities of some items.

    Attributes:
        crossings: Of every ordered pair of modalities with at least two items.
        gaps: Unordered pair to its modality gap, over the items that have each; 0 where the two means agree.
    """

    crossings: tuple[Crossing, ...]
    gaps: dict[tuple[str, str], float]

    def crossing(self, query: str, item: str) -> Crossing:
        """One of them.

        Raises:
            DataError: There is none of that name.
        """
        found = self._find(query, item)
        if found is None:
            raise DataError(f"Nothing is known of {query!r} to {item!r}: too few items have both.")
        return found

    def _find(self, query: str, item: str) -> Crossing | None:
        return next((one for one in self.crossings if (one.query, one.item) == (query, item)), None)

    def gap(self, one: str, other: str) -> float:
        """The modality gap of two modalities, in whatever order."""
        return self.gaps[one, other] if (one, other) in self.gaps else self.gaps[other, one]

    def rows(self, before: AlignmentReport | None = None) -> tuple[list[str], list[list[str]]]:
        """Columns and rows of a table, with a second set of numbers from before, blank where there are none."""
        ks = sorted({k for one in self.crossings for k in one.recall})
        columns = ["from", "to", "n"]
        for name in [*(f"recall@{k}" for k in ks), "MRR", "gap"]:
            columns += [f"{name} before"] if before else []
            columns += [name] if name == "gap" else [name, "chance"]
        return columns, [self._row(one, before, ks) for one in self.crossings]

    def _row(self, one: Crossing, before: AlignmentReport | None, ks: Sequence[int]) -> list[str]:
        old = before._find(one.query, one.item) if before else None
        cells: list[tuple[float | None, ...]] = [
            (old.recall.get(k) if old else None, one.recall.get(k), one.chance.get(k)) for k in ks
        ]
        cells.append((old.mrr if old else None, one.mrr, one.chance_mrr))
        cells.append((before.gap(one.query, one.item) if before and old else None, self.gap(one.query, one.item)))
        shown = [value for cell in cells for value in (cell if before else cell[1:])]
        return [one.query, one.item, str(one.n), *("" if value is None else f"{value:.3f}" for value in shown)]

    def to_dict(self) -> dict[str, Any]:
        """The report as plain data."""
        gaps = [{"one": one, "other": other, "gap": gap} for (one, other), gap in self.gaps.items()]
        return {"crossings": [asdict(one) for one in self.crossings], "gaps": gaps}


def alignment_report(features: FeatureSet, *, ks: Sequence[int] = (1, 10)) -> AlignmentReport:
    """Recall@k, reciprocal rank and gap of modalities in one space; best of items that the aligner has not seen.

    Args:
        features: In one space, such as `Aligner.transform` gives; rows are scaled to unit length here.
        ks: Cut-offs. One above a quarter of the items that a pair shares is left out for that pair.

    Raises:
        DataError: The vectors differ in length, so that nothing can be compared.
    """
    if len({part.dim for part in features.values()}) > 1:
        raise DataError(f"{features!r} is not in one space.", hint="Align it first, for example with CCA.")
    unit = {name: unit_rows(part.vectors) for name, part in features.items()}
    crossings, gaps = [], {}
    for one, other in permutations(features, 2):
        both = features[one].present & features[other].present
        if both.sum() > 1:
            crossings.append(crossing(one, unit[one][both], other, unit[other][both], ks))
    for one, other in combinations(features, 2):
        if features[one].present.any() and features[other].present.any():
            gaps[one, other] = modality_gap(unit[one][features[one].present], unit[other][features[other].present])
    return AlignmentReport(tuple(crossings), gaps)


def crossing(query: str, queries: FloatArray, item: str, items: FloatArray, ks: Sequence[int] = (1, 10)) -> Crossing:
    """How (n, d) queries find the same rows of (n, d) items."""
    ranks, n = match_ranks(queries, items), len(queries)
    allowed = [k for k in ks if 4 * k <= n]
    recall = {k: float((ranks <= k).mean()) for k in allowed}
    return Crossing(query, item, n, recall, {k: k / n for k in allowed}, float((1 / ranks).mean()), chance_mrr(n))
