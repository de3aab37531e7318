"""What a catalogue says twice, what stands far apart, and whether its modalities agree."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from salon.arrays import centred_unit_rows, nearest_rows, unit_rows
from salon.artifacts import sha256
from salon.data import Field, Items
from salon.encode.base import Features, FeatureSet
from salon.errors import MediaError
from salon.media.paths import safe_join
from salon.types import BoolArray, FloatArray, IntArray, Modality


@dataclass(frozen=True)
class Duplicates:
    """Items that say the same in one field.

    Attributes:
        field: The field, or the modality for near duplicates.
        kind: "exact" (equal text after normalising, equal bytes) or "near" (cosine above the limit).
        ids: The items, in catalogue order.
    """

    field: str
    kind: str
    ids: tuple[str, ...]


@dataclass(frozen=True)
class Outlier:
    """A value far from all others.

    Attributes:
        id: The item.
        field: The field or modality.
        value: The number, or the distance of the vector to the centre.
        score: How many robust standard deviations from the median (`robust_scores`).
    """

    id: str
    field: str
    value: float
    score: float


@dataclass(frozen=True)
class Agreement:
    """Whether two modalities hold the same items for alike.

    Attributes:
        first: One modality.
        second: The other one.
        overlap: Mean share of the k nearest neighbours that they have in common.
        chance: The share expected of unrelated modalities.
        items: Items that have both.
    """

    first: str
    second: str
    overlap: float
    chance: float
    items: int


def normalised(text: str) -> str:
    """A text without the differences that do not matter: width, case, punctuation, blanks."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    words = "".join(c if c.isalnum() or unicodedata.category(c).startswith("M") else " " for c in folded).split()
    return " ".join(words) or " ".join(folded.split())


def exact_duplicates(items: Items) -> tuple[list[Duplicates], dict[str, list[tuple[str, str]]]]:
    """Groups of equal texts and equal media files, and (id, reason) of the media files that are not there.

    Media are compared by the SHA-256 of their bytes; only files of equal size are read.
    """
    found: list[Duplicates] = []
    absent: dict[str, list[tuple[str, str]]] = {}
    for field in items.fields.values():
        keys: Sequence[str | None] = ()
        if field.modality == Modality.TEXT:
            keys = [None if text is None else normalised(text) for text in field.values]
        elif field.modality.is_media and items.root is not None:
            keys, absent[field.name] = _file_keys(items, field, items.root)
        found += [Duplicates(field.name, "exact", tuple(items.ids[i] for i in group)) for group in _groups(keys)]
    return found, absent


def _groups(keys: Iterable[str | None]) -> list[list[int]]:
    """Places of equal keys, groups of at least two."""
    places: dict[str, list[int]] = defaultdict(list)
    for place, key in enumerate(keys):
        if key is not None:
            places[key].append(place)
    return [group for group in places.values() if len(group) > 1]


def _file_keys(items: Items, field: Field, root: Path) -> tuple[list[str | None], list[tuple[str, str]]]:
    """A key per item, equal for equal files and None where no other file has this size; and what is absent."""
    paths: dict[int, Path] = {}
    absent: list[tuple[str, str]] = []
    for row in np.flatnonzero(field.present).tolist():
        if not field.modality.is_path(field.values[row]):
            continue
        try:
            path = safe_join(root, field.values[row])
        except MediaError as error:
            absent.append((items.ids[row], error.message))
            continue
        if path.is_file():
            paths[row] = path
        else:
            absent.append((items.ids[row], "the file is not there"))
    rows = list(paths)
    names: dict[Path, str] = {}
    for group in _groups(str(paths[row].stat().st_size) for row in rows):
        for place in group:
            path = paths[rows[place]]
            if path not in names:
                names[path] = sha256(path)
    return [names.get(paths[row]) if row in paths else None for row in range(len(items))], absent


def modality_of(name: str) -> str:
    """The modality that the name of features begins with: "video" for "video-sound", "image" for "image:back"."""
    return re.split("[:-]", name, maxsplit=1)[0]


def near_duplicates(items: Items, features: FeatureSet, threshold: float, sample: IntArray) -> list[Duplicates]:
    """Groups of items whose vectors have a cosine above `threshold` with a near neighbour in the group.

    Labels and numbers are left out: many items share them without being the same.
    """
    found = []
    for name, part in features.items():
        rows = sample[part.present[sample]]
        if len(rows) < 2 or modality_of(name) in (Modality.CATEGORY, Modality.NUMBER):
            continue
        units = unit_rows(part.vectors[rows])
        near = nearest_rows(units, units, min(10, len(rows) - 1), skip_self=True)
        close = near.scores > threshold
        edges = np.nonzero(close)[0], near.ids[close]
        graph = sparse.csr_array((np.ones(len(edges[0]), bool), edges), shape=(len(rows), len(rows)))
        _, group = connected_components(graph, directed=False)
        groups = _groups(map(str, group))
        found += [Duplicates(name, "near", tuple(items.ids[int(rows[i])] for i in members)) for members in groups]
    return found


def robust_scores(values: FloatArray) -> FloatArray:
    """(n,) distance from the median in robust standard deviations; 0 throughout where nearly all values are equal.

    The deviation is the larger one of two estimates that agree for normal values: 1.4826 times the median absolute
    deviation, and the middle 90 % divided by 3.29. The second one keeps a column of many equal values and a long tail,
    such as a year, from having half of its values called outliers.
    """
    if not len(values):
        return values
    distance = np.abs(values - np.median(values))
    low, high = np.quantile(values, (0.05, 0.95))
    spread = max(1.4826 * float(np.median(distance)), float(high - low) / 3.29)
    return np.asarray(distance / spread) if spread > 0 else np.zeros(len(values))


def outliers(items: Items, features: FeatureSet | None, limit: float) -> list[Outlier]:
    """Numbers and vectors further than `limit` robust standard deviations from the median, furthest first."""
    found: list[Outlier] = []
    for field in items.of(Modality.NUMBER):
        found += _outliers(items, field.name, field.values, field.present, limit)
    for name, part in (features or {}).items():
        if part.present.sum() > 2:
            distance = np.zeros(len(part))
            known = part.vectors[part.present]
            distance[part.present] = np.linalg.norm(known - known.mean(axis=0), axis=1)
            found += _outliers(items, name, distance, part.present, limit, above_only=True)
    return sorted(found, key=lambda o: -o.score)


def _outliers(
    items: Items, name: str, values: FloatArray, present: BoolArray, limit: float, *, above_only: bool = False
) -> list[Outlier]:
    rows = np.flatnonzero(present)
    scores = robust_scores(values[rows])
    far = scores > limit
    if above_only:
        far &= values[rows] > np.median(values[rows]) if len(rows) else far
    return [
        Outlier(items.ids[int(r)], name, float(values[r]), float(s))
        for r, s in zip(rows[far], scores[far], strict=True)
    ]


def agreements(features: FeatureSet, k: int, sample: IntArray) -> list[Agreement]:
    """For every two modalities the overlap of the k nearest neighbours of the items that have both."""
    names = list(features)
    found = []
    for place, first in enumerate(names):
        for second in names[place + 1 :]:
            rows = sample[features[first].present[sample] & features[second].present[sample]]
            if len(rows) <= k + 1:
                continue
            near = [_neighbours(features[name], rows, k) for name in (first, second)]
            common = [len(np.intersect1d(a, b)) for a, b in zip(*near, strict=True)]
            found.append(Agreement(first, second, float(np.mean(common)) / k, k / (len(rows) - 1), len(rows)))
    return found


def _neighbours(part: Features, rows: IntArray, k: int) -> IntArray:
    units = centred_unit_rows(part.vectors[rows], np.ones(len(rows), bool))
    return nearest_rows(units, units, k, skip_self=True).ids


def diversity(part: Features) -> float:
    """Mean cosine distance between two different items; 0 when all are alike, about 1 when nothing is."""
    units = unit_rows(part.vectors[part.present]).astype(np.float64)
    n = len(units)
    if n < 2:
        return 0.0
    total = units.sum(axis=0)
    return float(1 - (total @ total - (units**2).sum()) / (n * (n - 1)))


def label_diversity(labels: Iterable[tuple[str, ...]]) -> float:
    """The effective number of labels: e to the entropy of how often each one is used."""
    counts: dict[str, int] = defaultdict(int)
    for row in labels:
        for label in row:
            counts[label] += 1
    shares = np.array(list(counts.values()), float)
    shares /= max(shares.sum(), 1)
    return float(np.exp(-(shares * np.log(shares)).sum())) if len(shares) else 0.0
