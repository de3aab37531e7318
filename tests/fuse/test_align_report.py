"""The report of alignment: known ranks, chance, gaps, and no recall at a k that chance would reach."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from salon.encode.base import Features, FeatureSet
from salon.errors import DataError
from salon.fuse.align_cca import CCA
from salon.fuse.align_report import alignment_report, chance_mrr, match_ranks, modality_gap


def circle(degrees: list[float]) -> np.ndarray:
    turned = np.deg2rad(degrees)
    return np.stack([np.cos(turned), np.sin(turned)], axis=1).astype(np.float32)


def whole(vectors: np.ndarray) -> Features:
    return Features(vectors, np.ones(len(vectors), bool), "space")


def test_ranks_are_counted_and_equal_scores_share_their_places() -> None:
    scores = np.array([[3, 1, 2], [2, 2, 0], [5, 4, 3]], np.float32)  # of query i (row) and item j
    assert match_ranks(np.eye(3, dtype=np.float32), scores.T).tolist() == [1, 1.5, 3]
    assert match_ranks(np.eye(3, dtype=np.float32), np.zeros((3, 3))).tolist() == [2, 2, 2]


@settings(max_examples=20)
@given(seed=st.integers(0, 1000), n=st.integers(1, 40))
def test_ranks_are_those_of_sorting(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    queries, items = rng.standard_normal((n, 4)), rng.standard_normal((n, 4))
    scores = queries @ items.T
    expected = [list(np.argsort(-scores[i])).index(i) + 1 for i in range(n)]
    assert match_ranks(queries, items).tolist() == expected


def test_chance_is_what_a_random_order_gives() -> None:
    rng = np.random.default_rng(0)
    found = [(1 / (np.flatnonzero(rng.permutation(30) == 0)[0] + 1)) for _ in range(20_000)]
    assert chance_mrr(30) == pytest.approx(np.mean(found), rel=0.03)
    assert chance_mrr(1) == 1


def test_the_gap_is_the_distance_of_the_means() -> None:
    assert modality_gap(circle([0, 90]) * 5, circle([0, 90])) == pytest.approx(0, abs=1e-6)
    assert modality_gap(circle([0]), circle([180])) == pytest.approx(2)
    assert modality_gap(circle([0, 90]), circle([0])) == pytest.approx(np.hypot(0.5, 0.5))


def test_no_recall_is_told_where_chance_would_find_more_than_a_quarter() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((39, 5)).astype(np.float32)
    report = alignment_report(FeatureSet({"text": whole(vectors), "image": whole(vectors)}), ks=(1, 9, 10))
    one = report.crossing("text", "image")
    assert one.recall == {1: 1.0, 9: 1.0}
    assert one.chance == {1: 1 / 39, 9: 9 / 39}
    assert one.mrr == 1
    assert one.n == 39
    assert report.gap("image", "text") == pytest.approx(0, abs=1e-6)


def test_every_ordered_pair_looks_among_the_items_that_have_both() -> None:
    rng = np.random.default_rng(1)
    vectors = rng.standard_normal((100, 6)).astype(np.float32)
    features = FeatureSet(
        {"text": whole(vectors), "image": whole(vectors).hide(np.arange(40)), "audio": whole(vectors)}
    )
    report = alignment_report(features)
    assert [(c.query, c.item, c.n) for c in report.crossings] == [
        ("text", "image", 60), ("text", "audio", 100), ("image", "text", 60),
        ("image", "audio", 60), ("audio", "text", 100), ("audio", "image", 60),
    ]  # fmt: skip
    assert set(report.gaps) == {("text", "image"), ("text", "audio"), ("image", "audio")}


def test_the_table_puts_before_beside_after() -> None:
    rng = np.random.default_rng(2)
    one, other = rng.standard_normal((2, 50, 4)).astype(np.float32)
    before = alignment_report(FeatureSet({"text": whole(one), "image": whole(other)}))
    after = alignment_report(FeatureSet({"text": whole(one), "image": whole(one)}))
    columns, rows = after.rows(before)
    assert columns[:6] == ["from", "to", "n", "recall@1 before", "recall@1", "chance"]
    assert all(len(row) == len(columns) for row in rows)
    assert rows[0][:3] == ["text", "image", "50"]
    assert rows[0][4:6] == ["1.000", "0.020"]
    assert float(rows[0][3]) < 0.2
    blank = after.rows(alignment_report(FeatureSet({"text": whole(one), "audio": whole(one)})))[1]
    assert blank[0][3] == ""
    assert len(blank[0]) == len(columns)
    with pytest.raises(DataError, match="'text' to 'audio'"):
        after.crossing("text", "audio")
    columns, rows = after.rows()
    assert "gap before" not in columns
    assert all(len(row) == len(columns) for row in rows)
    assert len(after.to_dict()["crossings"]) == 2


def test_vectors_of_different_length_are_not_compared() -> None:
    rng = np.random.default_rng(3)
    features = FeatureSet({"text": whole(rng.standard_normal((9, 3))), "image": whole(rng.standard_normal((9, 4)))})
    with pytest.raises(DataError, match="not in one space"):
        alignment_report(features)


def test_modalities_that_are_not_chosen_are_left_as_they_are() -> None:
    rng = np.random.default_rng(4)
    vectors = rng.standard_normal((60, 5)).astype(np.float32)
    features = FeatureSet({"text": whole(vectors), "image": whole(vectors[:, ::-1]), "number": whole(vectors[:, :2])})
    cca = CCA(modalities=("text", "image"), dim=3).fit(features)
    aligned = cca.transform(features)
    assert cca.aligned == ("text", "image")
    assert aligned["number"] is features["number"]
    assert aligned["text"].dim == 3
    with pytest.raises(DataError, match="'number' were not there at fit"):
        cca.align("number", vectors[:, :2])
    with pytest.raises(DataError, match="no features 'sound'"):
        CCA(modalities=("text", "sound")).fit(features)
