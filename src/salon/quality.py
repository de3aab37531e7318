"""The data report: what is missing, broken, said twice, far out, rarely used, or known too well."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from pydantic import Field as Setting

from salon.config import Settings
from salon.data import Dataset, Field
from salon.encode.base import FeatureSet
from salon.language.sentences import Sentence
from salon.media.report import MediaProblem
from salon.quality_content import (
    Agreement,
    Duplicates,
    Outlier,
    agreements,
    diversity,
    exact_duplicates,
    label_diversity,
    modality_of,
    near_duplicates,
    outliers,
)
from salon.quality_events import Activity, Leak, activity, leaks, sample_rows
from salon.types import IntArray, Modality

MAX_CHANCE = 0.1
"""Chance overlap from which two modalities cannot be told from unrelated ones."""
MEDIA = {Modality.TEXT.value, *(m.value for m in Modality if m.is_media)}
"""Modalities that say what an item is; labels and numbers need not agree with them."""


class QualityLimits(Settings):
    """What counts as remarkable."""

    few: int = Setting(default=5, ge=1)
    """Users and items with fewer actions than this are counted."""
    near: float = Setting(default=0.98, gt=0, lt=1)
    """Cosine above which two vectors are near duplicates."""
    outlier: float = Setting(default=6.0, gt=0)
    """Robust standard deviations from the median beyond which a value is an outlier."""
    neighbours: int = Setting(default=10, ge=1)
    """Neighbours that are compared between modalities."""
    shared: int = Setting(default=100, ge=3)
    """Items that two media must share before the report says that they do not agree."""
    sample: int = Setting(default=5000, ge=2)
    """Items, evenly spread, among which neighbours are looked for; more take time that grows with the square."""
    listed: int = Setting(default=50, ge=1)
    """Longest list in the report; the number of all is beside it."""
    leak_mean: float = Setting(default=0.55, gt=0, lt=1)
    """Rank correlation with the mean rating above which a column is called a leak."""
    leak_count: float = Setting(default=0.33, gt=0, lt=1)
    """Rank correlation with the number of actions above which a column is called a leak."""


@dataclass(frozen=True)
class FieldReport:
    """One field of the items or users.

    Attributes:
        table: "items" or "users".
        name: The field.
        modality: What it holds.
        present: How many rows have a value.
        share: `present` over all rows.
        distinct: Different values, or labels.
        broken: Values that could not be decoded or are not there.
        diversity: Labels: effective number; vectors: mean cosine distance; otherwise None.
    """

    table: str
    name: str
    modality: str
    present: int
    share: float
    distinct: int
    broken: int = 0
    diversity: float | None = None


@dataclass(frozen=True)
class QualityReport:
    """The report.

    Attributes:
        items: Number of items.
        users: Number of users.
        fields: Completeness and validity per field.
        features: Completeness and diversity per modality, if vectors were given.
        coverage: Number of modalities -> items that have so many of them.
        problems: "field: reason" -> count of media that could not be used.
        duplicates: Groups, largest first.
        duplicate_groups: "field (kind)" -> number of groups.
        outliers: Furthest first.
        outlier_counts: Field -> number of outliers.
        activity: The log.
        leaks: Columns that must not be features in an offline evaluation.
        agreements: Consistency of every two modalities.
        sampled: Items among which neighbours were looked for.
        findings: What to look at first, in sentences.
    """

    items: int
    users: int
    fields: tuple[FieldReport, ...]
    features: tuple[FieldReport, ...]
    coverage: Mapping[int, int]
    problems: Mapping[str, int]
    duplicates: tuple[Duplicates, ...]
    duplicate_groups: Mapping[str, int]
    outliers: tuple[Outlier, ...]
    outlier_counts: Mapping[str, int]
    activity: Activity
    leaks: tuple[Leak, ...]
    agreements: tuple[Agreement, ...]
    sampled: int
    findings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The report as plain data, for JSON and pages."""
        plain = asdict(self)
        plain["coverage"] = {str(count): items for count, items in self.coverage.items()}
        return plain


def check_quality(
    data: Dataset,
    features: FeatureSet | None = None,
    problems: Sequence[MediaProblem] = (),
    limits: QualityLimits | None = None,
) -> QualityReport:
    """The report on a dataset.

    Args:
        data: Items, events and users.
        features: Vectors by modality; without them near duplicates, distances and consistency are left out.
        problems: Media that could not be decoded, as encoding reported them.
        limits: What counts as remarkable.
    """
    rules = limits or QualityLimits()
    sample = sample_rows(data.n_items, rules.sample)
    exact, absent = exact_duplicates(data.items)
    near = near_duplicates(data.items, features, rules.near, sample) if features else []
    same = sorted(exact + near, key=lambda d: -len(d.ids))
    far = outliers(data.items, features, rules.outlier)
    told = {(p.id, p.field) for p in problems}
    broken = [(p.field, p.reason) for p in problems]
    broken += [(n, reason) for n, found in absent.items() for item, reason in found if (item, n) not in told]
    per_field = Counter(name for name, _ in broken)
    report = QualityReport(
        items=data.n_items,
        users=data.n_users,
        fields=tuple(_field_reports(data, per_field)),
        features=tuple(_feature_reports(features)),
        coverage=_coverage(data, features),
        problems=dict(Counter(f"{name}: {reason}" for name, reason in broken).most_common(rules.listed)),
        duplicates=tuple(same[: rules.listed]),
        duplicate_groups=dict(Counter(f"{d.field} ({d.kind})" for d in same)),
        outliers=tuple(far[: rules.listed]),
        outlier_counts=dict(Counter(o.field for o in far)),
        activity=activity(data, rules.few),
        leaks=tuple(leaks(data, mean_limit=rules.leak_mean, count_limit=rules.leak_count)),
        agreements=tuple(agreements(features, rules.neighbours, sample)) if features else (),
        sampled=len(sample),
    )
    return replace(report, findings=tuple(_findings(report, rules)))


def _field_reports(data: Dataset, broken: Mapping[str, int]) -> list[FieldReport]:
    found = []
    for table, fields in (("items", data.items.fields), ("users", data.users.fields)):
        for field in fields.values():
            present, n = int(field.present.sum()), len(field)
            lost = broken.get(field.name, 0) if table == "items" else 0
            share = present / n if n else 0.0
            spread = label_diversity(field.values) if field.modality == Modality.CATEGORY else None
            found.append(
                FieldReport(table, field.name, field.modality.value, present, share, _distinct(field), lost, spread)
            )
    return found


def _distinct(field: Field) -> int:
    if isinstance(field.values, np.ndarray):
        return len(np.unique(field.values[field.present], axis=0))
    if field.modality == Modality.CATEGORY:
        return len({label for labels in field.values for label in labels})
    return len({value for value in field.values if value is not None})


def _feature_reports(features: FeatureSet | None) -> list[FieldReport]:
    found = []
    for name, part in (features or {}).items():
        present = int(part.present.sum())
        distinct = len(np.unique(part.vectors[part.present], axis=0))
        share = present / max(len(part), 1)
        found.append(FieldReport("items", name, "vector", present, share, distinct, 0, diversity(part)))
    return found


def _coverage(data: Dataset, features: FeatureSet | None) -> dict[int, int]:
    """How many items have how many of the modalities: those of the vectors, or else those of the fields."""
    if features:
        masks = [part.present for part in features.values()]
    else:
        by_modality: dict[Modality, Any] = {}
        for field in data.items.fields.values():
            by_modality[field.modality] = by_modality.get(field.modality, False) | field.present
        masks = list(by_modality.values())
    count: IntArray = np.sum(masks, axis=0) if masks else np.zeros(data.n_items, np.int64)
    return {int(number): int((count == number).sum()) for number in np.unique(count)}


def _findings(report: QualityReport, rules: QualityLimits) -> list[Sentence]:
    """Sentences, the most harmful first."""
    found = [Sentence("leak", **asdict(leak)) for leak in report.leaks]
    for field in report.fields:
        if field.broken:
            found.append(Sentence("broken", count=field.broken, present=field.present, field=field.name))
        if field.share < 1:
            found.append(Sentence(f"missing_in_{field.table}", field=field.name, share=1 - field.share))
        elif field.distinct == 1 and field.present > 1:
            found.append(Sentence("same_everywhere", field=field.name))
    found += [Sentence("duplicates", count=n, field=name) for name, n in report.duplicate_groups.items()]
    found += [Sentence("outliers", count=n, field=name) for name, n in report.outlier_counts.items()]
    found += [
        Sentence("disagree", first=pair.first, second=pair.second, overlap=pair.overlap, chance=pair.chance)
        for pair in report.agreements
        if pair.overlap <= 1.5 * pair.chance
        and pair.items >= rules.shared
        and pair.chance < MAX_CHANCE
        and {modality_of(pair.first), modality_of(pair.second)} <= MEDIA
    ]
    return found + _log_findings(report, rules)


def _log_findings(report: QualityReport, rules: QualityLimits) -> list[Sentence]:
    log = report.activity
    if not log.events:
        return [Sentence("no_events")]
    found = []
    if log.items_untouched:
        found.append(Sentence("untouched", count=log.items_untouched, total=report.items))
    if log.users_few:
        found.append(Sentence("few_actions", count=log.users_few, total=report.users, few=rules.few))
    if log.repeated > 0:
        found.append(Sentence("repeated", share=log.repeated))
    if log.same_twice:
        found.append(Sentence("same_events", count=log.same_twice))
    if log.time_kind == "none":
        found.append(Sentence("no_time"))
    if log.time_kind == "timestamp" and not "1990" < log.first[:4] <= log.last[:4] < "2100":
        found.append(Sentence("odd_times", first=log.first, last=log.last))
    return found
