"""What metrics are called in print, which way is better, and what they say in one sentence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from salon.errors import SettingError, did_you_mean


@dataclass(frozen=True)
class Metric:
    """How to print a metric.

    Attributes:
        label: Its usual name.
        says: One sentence for readers who do not know it.
        better: Which way is better, or None where neither is.
        digits: Decimals.
    """

    label: str
    says: str
    better: Literal["higher", "lower"] | None = "higher"
    digits: int = 4


METRICS = {
    "ndcg": Metric("nDCG", "How much of the ideal order was found; hits near the top count more."),
    "recall": Metric("Recall", "Share of what people went on to choose that is in their list."),
    "precision": Metric("Precision", "Share of the list that people went on to choose."),
    "f1": Metric("F1", "Harmonic mean of precision and recall."),
    "hit_rate": Metric("Hit rate", "Share of people with at least one hit in their list."),
    "mrr": Metric("MRR", "One over the place of the first hit."),
    "map": Metric("MAP", "Mean precision at the places of the hits."),
    "auc": Metric("AUC", "Chance that a chosen item is scored above one that was not."),
    "rmse": Metric("RMSE", "Root mean squared error of predicted ratings, mean over people.", "lower"),
    "rmse_pooled": Metric("RMSE (pooled)", "Root mean squared error over all ratings at once.", "lower"),
    "mae": Metric("MAE", "Mean absolute error of predicted ratings, mean over people.", "lower"),
    "coverage": Metric("Coverage", "Share of the candidates that stand in at least one list."),
    "gini": Metric("Gini", "Inequality of exposure: 0 all items equally often, 1 a single item only.", "lower"),
    "novelty": Metric("Novelty", "Mean self-information of the listed items, in bits; rare items carry more.", None, 2),
    "popularity": Metric("Popularity", "Mean number of training users of the listed items.", None, 1),
    "serendipity": Metric("Serendipity", "Share of the list that was chosen and is not among the most popular."),
    "diversity": Metric("Diversity", "Mean distance (1 - cosine) between the items of a list.", None, 3),
}
"""By the part of a metric's name before "@" and "[": "diversity[text]@10" is looked up as "diversity"."""


def about(metric: str) -> Metric:
    """How to print `metric`; a metric that is not listed is printed under its own name."""
    return METRICS.get(metric.partition("@")[0].partition("[")[0], Metric(metric, "", None))


def label(metric: str) -> str:
    """Such as "nDCG@10" or "Diversity of text@10"."""
    head, _, k = metric.partition("@")
    what = head.partition("[")[2].rstrip("]")
    return about(metric).label + (f" of {what}" if what else "") + (f"@{k}" if k else "")


def number(metric: str, value: float | None) -> str:
    """A value in the usual number of decimals, "–" where there is none."""
    return "–" if value is None else f"{value:.{about(metric).digits}f}"


def sort_sign(metric: str) -> float:
    """1 where higher is better, -1 where lower is.

    Raises:
        SettingError: The metric is not known, or neither way is better.
    """
    key = metric.partition("@")[0].partition("[")[0]
    if key not in METRICS:
        raise SettingError(f"There is no metric {metric!r}.", hint=did_you_mean(key, METRICS))
    if METRICS[key].better is None:
        raise SettingError(f"Models cannot be put in order by {metric!r}.", hint="Neither way is better; use ndcg.")
    return 1.0 if METRICS[key].better == "higher" else -1.0
