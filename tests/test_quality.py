from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import stats

from salon.config import build
from salon.data import Dataset, Events, Field, IdMap, Items, Users
from salon.data.catalogue import EventsSource, ItemsSource, read_dataset
from salon.encode.base import Features, FeatureSet
from salon.media.report import MediaProblem
from salon.quality import QualityLimits, check_quality
from salon.quality_content import diversity, label_diversity, normalised, robust_scores
from salon.quality_events import rank_correlation


def world(fields: list[Field], events: Events | None = None, n_users: int = 0, root=None) -> Dataset:
    n = len(fields[0])
    items = Items(IdMap([f"i{k}" for k in range(n)]), {f.name: f for f in fields}, root)
    users = Users(IdMap([f"u{k}" for k in range(n_users)], what="user"))
    return Dataset(items, events or Events.of([], []), users)


def test_completeness_distinct_values_and_problems_are_counted(tmp_path):
    (tmp_path / "a.png").write_bytes(b"a")
    fields = [
        Field.of("title", "text", ["A", "B", None, "B"]),
        Field.of("photo", "image", ["a.png", "gone.png", None, "../out.png"]),
        Field.of("kind", "category", [("x", "y"), ("x",), (), ("y",)]),
    ]
    report = check_quality(world(fields, root=tmp_path), problems=[MediaProblem("i1", "photo", "broken")])
    title, photo, kind = report.fields
    assert (title.present, title.share, title.distinct) == (3, 0.75, 2)
    assert (photo.present, photo.broken) == (3, 2)
    assert kind.diversity == pytest.approx(2.0)
    assert report.problems["photo: broken"] == 1
    assert any("climbs out" in reason for reason in report.problems)
    assert report.coverage == {0: 1, 3: 3}
    assert any("'title' is missing for 25.0%" in f for f in report.findings)


def test_equal_texts_and_equal_files_are_found_whatever_they_are_called(tmp_path):
    for name, content in (("a", b"same"), ("b", b"same"), ("c", b"else"), ("d", b"longer one")):
        (tmp_path / name).write_bytes(content)
    fields = [
        Field.of("title", "text", ["Toy Story (1995)", "toy  story, 1995!", "Other", "日本"]),
        Field.of("photo", "image", ["a", "b", "c", "d"]),
    ]
    report = check_quality(world(fields, root=tmp_path))
    assert {(d.field, d.kind, d.ids) for d in report.duplicates} == {
        ("title", "exact", ("i0", "i1")),
        ("photo", "exact", ("i0", "i1")),
    }
    assert report.duplicate_groups == {"title (exact)": 1, "photo (exact)": 1}


def test_texts_are_normalised_and_signs_alone_are_not_lost():
    assert normalised("  Ａ-b! ") == "a b"
    assert normalised("Straße") == normalised("STRASSE")
    assert normalised("!!") != normalised("??")


def vectors(matrix, present=None) -> Features:
    matrix = np.asarray(matrix, np.float32)
    return Features(matrix, np.ones(len(matrix), bool) if present is None else np.asarray(present))


def test_near_duplicates_form_groups_and_absent_rows_never_do():
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(40, 16))
    matrix[7] = matrix[3] + 1e-3
    matrix[30] = matrix[3] * 2 - 1e-3
    present = np.ones(40, bool)
    present[[10, 11]] = False
    matrix[[10, 11]] = 0
    data = world([Field.of("n", "number", np.arange(40.0))])
    report = check_quality(data, FeatureSet({"text": vectors(matrix, present)}))
    assert [(d.field, d.kind, d.ids) for d in report.duplicates] == [("text", "near", ("i3", "i7", "i30"))]


def test_numbers_and_vectors_far_out_are_named_furthest_first():
    rng = np.random.default_rng(1)
    price = rng.normal(10, 1, 200)
    price[[5, 9]] = [100, 1000]
    matrix = rng.normal(size=(200, 8))
    matrix[20] = 50
    report = check_quality(world([Field.of("price", "number", price)]), FeatureSet({"image": vectors(matrix)}))
    assert [(o.id, o.field) for o in report.outliers] == [("i9", "price"), ("i20", "image"), ("i5", "price")]
    assert report.outlier_counts == {"price": 2, "image": 1}
    assert robust_scores(np.array([1.0, 1, 1, 1, 1])).tolist() == [0] * 5
    assert robust_scores(rng.normal(size=5000)).std() == pytest.approx(0.6, abs=0.05)


def test_the_log_is_summed_up():
    events = Events.of(
        [0, 0, 0, 1, 1], [0, 0, 1, 0, 2], times=[0, 0, 86400, 5, 6], shown=np.array([0, 0, 0, 0, 1], bool)
    )
    data = world([Field.of("n", "number", [1.0, 2.0, 3.0, 4.0])], events, n_users=3)
    log = check_quality(data, limits=QualityLimits(few=3)).activity
    assert (log.events, log.exposures, log.likes) == (5, 1, 5)
    assert log.density == pytest.approx(3 / 4)
    assert log.repeated == pytest.approx(1 / 4)
    assert (log.same_twice, log.users_few, log.items_few, log.items_untouched) == (1, 2, 3, 2)
    assert log.first.startswith("1970-01-01T00:00:00")
    assert log.last.startswith("1970-01-02")


def test_times_that_are_no_seconds_are_remarked_on():
    events = Events.of([0, 0], [0, 1], times=[1.6e12, 1.7e12])
    report = check_quality(world([Field.of("n", "number", [1.0, 2.0])], events, 1))
    assert any("are they seconds" in f for f in report.findings)


def popularity_world(seed: int) -> Dataset:
    """Ratings follow a hidden quality, counts a hidden fame; some columns know them, some do not."""
    rng = np.random.default_rng(seed)
    n_items, n_users = 300, 200
    quality, fame = rng.normal(size=n_items), rng.gamma(1.0, size=n_items)
    items = rng.choice(n_items, 8000, p=fame / fame.sum())
    values = np.clip(np.rint(3 + quality[items] + rng.normal(size=8000)), 1, 5)
    events = Events.of(rng.integers(0, n_users, 8000), items, values=values)
    count = np.bincount(items, minlength=n_items)
    fields = [
        Field.of("score", "number", quality + 0.3 * rng.normal(size=n_items)),
        Field.of("sales", "number", count**2 + rng.integers(0, 3, n_items)),
        Field.of("rank", "number", -count + rng.normal(size=n_items)),
        Field.of("year", "number", rng.integers(1950, 2020, n_items) - 5 * quality),
        Field.of("same", "number", np.ones(n_items)),
    ]
    return world(fields, events, n_users)


@pytest.mark.parametrize("seed", range(3))
def test_columns_made_from_the_answers_are_named_and_others_are_not(seed):
    found = {(leak.field, leak.of) for leak in check_quality(popularity_world(seed)).leaks}
    assert found == {("score", "mean rating"), ("sales", "number of actions"), ("rank", "number of actions")}


def test_few_items_are_no_evidence_of_a_leak():
    events = Events.of(np.repeat(np.arange(6), 12), np.tile(np.arange(12), 6), values=np.tile(np.arange(12.0) % 5, 6))
    data = world([Field.of("score", "number", np.arange(12.0) % 5 + np.arange(12) * 0.3)], events, 6)
    assert not check_quality(data).leaks


def test_rank_correlation_equals_the_one_of_scipy():
    rng = np.random.default_rng(0)
    for _ in range(5):
        a, b = rng.integers(0, 6, 40).astype(float), rng.normal(size=40)
        assert rank_correlation(a, b) == pytest.approx(stats.spearmanr(a, b).statistic)
    assert rank_correlation(np.ones(4), np.arange(4.0)) == 0
    assert rank_correlation(np.zeros(0), np.zeros(0)) == 0


def test_modalities_of_the_same_items_agree_and_shuffled_ones_do_not():
    rng = np.random.default_rng(0)
    hidden = rng.normal(size=(300, 4))
    text = hidden @ rng.normal(size=(4, 16)) + 0.1 * rng.normal(size=(300, 16))
    image = hidden @ rng.normal(size=(4, 12)) + 0.1 * rng.normal(size=(300, 12))
    features = {"text": vectors(text), "image": vectors(image), "audio": vectors(rng.permutation(image))}
    report = check_quality(world([Field.of("n", "number", np.arange(300.0))]), FeatureSet(features))
    overlap = {(a.first, a.second): a.overlap for a in report.agreements}
    assert overlap["text", "image"] > 0.3
    assert overlap["text", "audio"] < 0.06
    assert report.agreements[0].chance == pytest.approx(10 / 299)
    assert sum("agree no more than chance" in f for f in report.findings) == 2


def test_diversity_is_the_mean_distance_of_pairs():
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(12, 5))
    units = matrix / np.linalg.norm(matrix, axis=1, keepdims=True)
    pairs = [1 - units[i] @ units[j] for i in range(12) for j in range(12) if i != j]
    assert diversity(vectors(matrix)) == pytest.approx(np.mean(pairs), abs=1e-6)
    assert diversity(vectors(np.ones((3, 2)))) == pytest.approx(0, abs=1e-6)
    assert diversity(vectors(np.ones((1, 2)))) == 0
    assert label_diversity([("a",), ("b",), ("c",), ("d",)]) == pytest.approx(4)
    assert label_diversity([(), ()]) == 0


def test_large_catalogues_are_sampled_and_the_report_says_so():
    rng = np.random.default_rng(0)
    data = world([Field.of("n", "number", np.arange(100.0))])
    report = check_quality(data, FeatureSet({"a": vectors(rng.normal(size=(100, 3)))}), limits=QualityLimits(sample=30))
    assert report.sampled == 30


def test_the_report_is_plain_data_also_for_next_to_nothing():
    for data in (world([Field.of("t", "text", ["x"])]), popularity_world(0)):
        plain = json.loads(json.dumps(check_quality(data).to_dict(), allow_nan=False))
        assert plain["items"] == data.n_items
        assert set(plain) >= {"fields", "duplicates", "outliers", "activity", "leaks", "agreements", "findings"}
    report = check_quality(world([Field.of("t", "text", ["x"])]))
    assert any("no events" in f for f in report.findings)


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "numbers", "leaking"),
    [
        (
            "movielens-small-mm",
            ["year", "runtime", "vote_average", "vote_count", "popularity"],
            {"vote_average", "vote_count", "popularity"},
        ),
        ("movielens-100k-mm", ["year", "imdb_rating"], {"imdb_rating"}),
        ("douban-movies-zh", ["year", "douban_rate"], {"douban_rate"}),
    ],
)
def test_later_aggregates_in_real_data_are_named_and_the_year_is_not(shared_data, name, numbers, leaking):
    items = build(ItemsSource, {"path": "items.csv", "text": "title", "number": numbers})
    events = build(EventsSource, {"path": "interactions.csv", "value": "rating"})
    report = check_quality(read_dataset(items, events, None, shared_data / name).dataset)
    assert {leak.field for leak in report.leaks} == leaking


@pytest.mark.shared
def test_the_17_double_posters_are_found(shared_data):
    items = build(ItemsSource, {"path": "items.csv", "text": "title", "image": "image_path"})
    report = check_quality(read_dataset(items, base=shared_data / "movielens-100k-mm").dataset)
    assert report.duplicate_groups["image_path (exact)"] == 17
    assert any(d.ids == ("246", "268") and d.field == "title" for d in report.duplicates)
    assert report.problems == {}


def test_few_shared_items_labels_and_numbers_are_no_evidence_that_modalities_disagree():
    rng = np.random.default_rng(0)
    data = world([Field.of("n", "number", np.arange(300.0))])
    few = np.arange(300) < 90
    features = {
        "text": vectors(rng.normal(size=(300, 8))),
        "image": vectors(rng.normal(size=(300, 8)) * few[:, None], few),
        "category": vectors(rng.normal(size=(300, 8))),
        "number": vectors(rng.normal(size=(300, 8))),
    }
    assert not any("agree no more" in f for f in check_quality(data, FeatureSet(features)).findings)
    features["video-sound"] = features["category"]
    told = [f for f in check_quality(data, FeatureSet(features)).findings if "agree no more" in f]
    assert len(told) == 1
    assert "'text' and 'video-sound'" in told[0]
    loose = QualityLimits(neighbours=40)
    assert not any("agree no more" in f for f in check_quality(data, FeatureSet(features), limits=loose).findings)


def test_items_that_share_labels_or_numbers_are_no_near_duplicates():
    data = world([Field.of("n", "number", np.arange(6.0))])
    same = vectors(np.ones((6, 3)))
    report = check_quality(data, FeatureSet({"category": same, "number:n": same, "vector:v": same}))
    assert report.duplicate_groups == {"vector:v (near)": 1}
