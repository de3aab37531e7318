"""The whole way on a tiny shop: read, encode, fit, ask, explain, save, judge."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import salon
from salon import Pipeline
from salon.data import Dataset
from salon.demo import contestants
from salon.errors import ArtifactError, DataError, NotFittedError, SettingError, UnknownIdError
from salon.pipeline_judge import judge, split_by, with_baselines
from salon.pipeline_shop import read_shop, shop_json

MakeShop = Callable[..., Path]


@pytest.fixture(scope="module")
def fitted(shop: Path) -> Pipeline:
    return Pipeline.read(shop).fit()


def test_reading_counts_what_it_rejects(shop: Path) -> None:
    pipeline = Pipeline.read(shop)
    assert (pipeline.dataset.n_items, pipeline.dataset.n_users) == (25, 30)
    assert len(pipeline.read_result.rejects) == 2


def test_broken_media_are_masked_and_named(fitted: Pipeline) -> None:
    assert fitted.encoded is not None
    assert [(p.id, p.field) for p in fitted.encoded.problems] == [("thing-03", "photo")]
    assert fitted.features["image"].present.tolist() == [i not in (3, 24) for i in range(25)]


def test_people_get_what_people_alike_like(fitted: Pipeline) -> None:
    (answer,) = fitted.recommend(users=["p00"], k=3)
    assert answer.who == "p00"
    assert all(int(one.id[-2:]) % 2 == 0 for one in answer.items)
    assert not {one.id for one in answer.items} & set(answer.history)


def test_a_history_answers_like_the_person_who_has_it(fitted: Pipeline) -> None:
    (known,) = fitted.recommend(users=["p04"], k=5)
    liked = [i for i in known.history if i != "thing-01"]
    (stranger,) = fitted.recommend(histories=[liked], k=5, exclude=["thing-01"])
    assert [one.id for one in stranger.items] == [one.id for one in known.items]


def test_nobody_is_left_without_an_answer_and_the_fallback_shows(fitted: Pipeline) -> None:
    (answer,) = fitted.recommend(histories=[[]], k=4, explained=True)
    assert [one.source for one in answer.items] == ["popular"] * 4
    assert all(one.why is not None and one.why.words == "Popular with everyone here" for one in answer.items)


def test_short_answers_are_filled_from_the_fallback_without_repeats(fitted: Pipeline) -> None:
    (answer,) = fitted.recommend(histories=[["thing-00"]], k=30)
    ids = [one.id for one in answer.items]
    assert len(ids) == len(set(ids))
    assert "thing-00" not in ids


def test_excluded_items_stay_out(fitted: Pipeline) -> None:
    (first,) = fitted.recommend(users=["p00"], k=1)
    (second,) = fitted.recommend(users=["p00"], k=5, exclude=[first.items[0].id])
    assert first.items[0].id not in [one.id for one in second.items]


def test_explanations_name_the_history(fitted: Pipeline) -> None:
    told = fitted.explain("thing-10", user="p00")
    assert {p.id for p in told.parts} == set(fitted.recommend(users=["p00"], k=1)[0].history)
    assert told.words.startswith("Goes with “A crimson thing")
    assert sum(p.value for p in told.parts) + told.rest == pytest.approx(told.score, rel=1e-4)


def test_bad_questions_name_the_value(fitted: Pipeline) -> None:
    with pytest.raises(UnknownIdError, match="no user 'p99'"):
        fitted.recommend(users=["p99"])
    with pytest.raises(UnknownIdError, match="no item 'thing-1x'"):
        fitted.recommend(histories=[["thing-1x"]])
    with pytest.raises(SettingError, match="either users or histories"):
        fitted.recommend()
    with pytest.raises(SettingError, match="k is 0"):
        fitted.recommend(users=["p00"], k=0)


def test_questions_carry_the_times_of_the_log_or_those_given(fitted: Pipeline) -> None:
    known = fitted.queries(users=["p04", "p00"], now=2000.0)
    assert known.times is not None
    assert known.now is not None
    assert (known.times.min(), known.times.max()) == (999, 1007)
    assert known.now.tolist() == [2000, 2000]
    given = fitted.queries(histories=[["thing-02", "thing-00"]], times=[[5.0, 6.0]])
    assert given.times is not None
    assert given.times.tolist() == [5, 6]
    plain = fitted.queries(histories=[["thing-02"]])
    assert plain.times is None
    assert plain.now is None
    with pytest.raises(SettingError, match="known users"):
        fitted.recommend(users=["p00"], times=[[1.0]])


def test_no_question_of_a_split_tells_when_the_answer_came(fitted: Pipeline) -> None:
    data = fitted.dataset
    for protocol in ("random", "loo", "time"):
        split = split_by(data, protocol, 0)
        for holdout in (split.valid, split.test):
            queries = holdout.queries
            assert queries.now is None
            assert queries.times is not None
            asked = set(zip(queries.users[queries.row_of()].tolist(), queries.items.tolist(), strict=True))
            log = dict(zip(zip(data.events.users, data.events.items, strict=True), data.events.times, strict=True))
            rows, columns = holdout.targets.nonzero()
            assert not asked & set(zip(queries.users[rows].tolist(), columns.tolist(), strict=True))
            places = zip(queries.users[queries.row_of()], queries.items, strict=True)
            assert queries.times.tolist() == [log[place] for place in places]


def test_a_saved_pipeline_answers_the_same(fitted: Pipeline, tmp_path: Path) -> None:
    fitted.save(tmp_path / "model")
    loaded = salon.load(tmp_path / "model")
    users = [f"p{u:02d}" for u in range(10)]
    assert loaded.recommend(users=users, k=6, explained=True) == fitted.recommend(users=users, k=6, explained=True)
    assert loaded.similar(["thing-02"]) == fitted.similar(["thing-02"])


def test_a_damaged_model_is_refused(fitted: Pipeline, tmp_path: Path) -> None:
    fitted.save(tmp_path / "model")
    victim = tmp_path / "model" / "model" / "arrays.npz"
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 1
    victim.write_bytes(bytes(data))
    with pytest.raises(ArtifactError, match=r"model/arrays\.npz"):
        salon.load(tmp_path / "model")


def test_asking_before_fitting_says_what_to_call(shop: Path) -> None:
    with pytest.raises(NotFittedError, match="fit"):
        Pipeline.read(shop).recommend(users=["p00"])


def test_a_catalogue_without_events_can_be_encoded_but_not_fitted(tmp_path: Path, make_shop: MakeShop) -> None:
    path = make_shop(tmp_path)
    text = path.read_text()
    path.write_text(text[: text.index("[events]")] + text[text.index("[encode]") :])
    pipeline = Pipeline.read(path).encode()
    assert pipeline.features["image"].dim > 0
    with pytest.raises(DataError, match="no events"):
        pipeline.fit()


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ('id = "id"', 'idd = "id"', r"'idd' in \[items\] of shop.toml.*'id'"),
        ('name = "ease"', 'name = "eese"', r"no model named 'eese'.*'ease'"),
        ('name = "ease"', 'name = "ease"\nregg = 1', r"'regg' in \[model\]"),
        ("[model]", "[modle]", r"'modle' in shop.toml.*'model'"),
        ('image = "colour"', 'imgae = "colour"', r"'imgae' is neither a field nor a modality.*'image'"),
        ('path = "items.csv"', 'path = "item.csv"', "item.csv"),
        ('text = ["name"]', 'text = ["nmae"]', r"'nmae'.*'name'"),
    ],
)
def test_a_mistake_in_the_catalogue_file_is_named_with_a_suggestion(
    tmp_path: Path, make_shop: MakeShop, old: str, new: str, match: str
) -> None:
    path = make_shop(tmp_path)
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises((SettingError, DataError), match=match):
        Pipeline.read(path).encode()


def test_reviews_are_pooled_from_training_events_only(tmp_path: Path, make_shop: MakeShop) -> None:
    path = make_shop(tmp_path)
    lines = (tmp_path / "events.csv").read_text().splitlines()
    lines = [lines[0] + ",review", *(f"{line},words of {line.split(',')[0]}" for line in lines[1:])]
    (tmp_path / "events.csv").write_text("\n".join(lines) + "\n")
    path.write_text(path.read_text().replace('kind = "action"', 'kind = "action"\ntext = "review"'))
    pipeline = Pipeline.read(path).encode()
    split = split_by(pipeline.dataset, "random", 0)
    changed = list(pipeline.dataset.events.texts or ())
    train_rows = {(u, i) for u, i in zip(split.train.events.users, split.train.events.items, strict=True)}
    events = pipeline.dataset.events
    for row, pair in enumerate(zip(events.users, events.items, strict=True)):
        if pair not in train_rows:
            changed[row] = "a held-out review that says something else entirely"
    before = pipeline.features_for(split.train)["reviews"]
    other = Dataset(
        pipeline.dataset.items,
        events.__class__(**{**vars(events), "texts": tuple(changed)}),
        pipeline.dataset.users,
    )
    after = pipeline.features_for(split_by(other, "random", 0).train)["reviews"]
    assert np.array_equal(before.vectors, after.vectors)
    everything = pipeline.features_for(pipeline.dataset)["reviews"]
    assert not np.array_equal(before.vectors, everything.vectors)


def test_models_are_judged_on_the_same_questions(shop: Path) -> None:
    pipeline = Pipeline.read(shop)
    trial = judge(pipeline, with_baselines(["ease", "itemknn"], has_features=True), protocol="random")
    assert set(trial.report.names) == {"ease", "itemknn", "popular", "random", "contentknn"}
    assert trial.report.baselines_present
    best = trial.report["ease"].metrics["ndcg@10"].mean
    assert best is not None
    assert best > (trial.report["random"].metrics["ndcg@10"].mean or 0)


@pytest.mark.parametrize("protocol", ["random", "loo", "time", "cold"])
def test_every_protocol_gives_a_report(shop: Path, protocol: str) -> None:
    trial = judge(Pipeline.read(shop), ["contentknn", "popular"], protocol=protocol)
    assert trial.report.setting.n_users > 0


def test_an_unknown_protocol_is_suggested(shop: Path) -> None:
    with pytest.raises(SettingError, match=r"'randon'.*'random'"):
        judge(Pipeline.read(shop), ["popular"], protocol="randon")


def test_the_password_of_a_database_is_not_saved(tmp_path: Path, make_shop: MakeShop) -> None:
    path = make_shop(tmp_path)
    path.write_text(path.read_text().replace('path = "users.csv"', 'path = "sqlite:///secret.db"\ntable = "u"'))
    assert "secret" not in shop_json(read_shop(path))


@pytest.mark.parametrize(("how", "items", "gaps"), [("drop", 24, 0), ("mode", 25, 0), ("knn", 25, 0)])
def test_gaps_are_repaired_where_asked(make_shop: MakeShop, tmp_path: Path, how: str, items: int, gaps: int) -> None:
    path = make_shop(tmp_path)
    table = tmp_path / "items.csv"
    table.write_text(table.read_text().replace("nobody touched,,crimson,40", "nobody touched,,,40"))
    path.write_text(path.read_text() + f'\n[repair]\nkind = "{how}"\n')
    pipeline = Pipeline.read(path)
    assert pipeline.dataset.n_items == items
    assert int((~pipeline.dataset.items["kind"].present).sum()) == gaps
    assert any(f"{how} filled or dropped 1 of 'kind'" in line for line in pipeline.findings(pipeline.check()))


def test_an_item_is_explained_by_the_source_that_recommends_it(fitted: Pipeline) -> None:
    (answer,) = fitted.recommend(histories=[[]], k=1, explained=True)
    told = fitted.explain(answer.items[0].id, history=[])
    assert told == answer.items[0].why
    assert (told.source, told.score) == ("popular", answer.items[0].score)
    with pytest.raises(DataError, match="score item 'thing-24' for this person"):
        fitted.explain("thing-24", history=[])


def test_models_that_ignore_profiles_leave_people_without_history_to_the_fallback(shop: Path) -> None:
    pipeline = Pipeline.read(shop)
    pipeline.shop = pipeline.shop.model_copy(update={"model": {"name": "als", "sweeps": 1}})
    (answer,) = pipeline.fit().recommend(histories=[[]], k=2, profile={"club": "red"})
    assert [one.source for one in answer.items] == ["popular"] * 2


def test_a_comparison_names_mistakes_before_any_work_and_never_refits(shop: Path) -> None:
    pipeline = Pipeline.read(shop)
    with pytest.raises(SettingError, match="no model named 'lineer'"):
        judge(pipeline, ["popular", "lineer"])
    with pytest.raises(SettingError, match="named twice"):
        judge(pipeline, ["popular", "popular"])
    assert pipeline.encoded is None
    trial = judge(pipeline, [{"name": "linear", "refit": True, "search": False}])
    (model,) = trial.models.values()
    assert model.settings.refit is False  # type: ignore[attr-defined]


def test_blank_reviews_are_none_and_a_loaded_model_learns_from_reviews_again(shop: Path, tmp_path: Path) -> None:
    pipeline = Pipeline.read(shop)
    events = pipeline.dataset.events
    blank = pipeline.dataset.with_events(replace(events, texts=(" ",) * len(events)))
    told = pipeline.dataset.with_events(replace(events, texts=("fine",) * len(events)))
    pipeline.encode()
    assert "reviews" not in pipeline.features_for(blank)
    assert "reviews" in pipeline.features_for(told)
    pipeline.fit().save(tmp_path / "model")
    assert "reviews" in salon.load(tmp_path / "model").features_for(told)


def test_a_comparison_leaves_content_out_where_there_is_none() -> None:
    assert "contentknn" in contestants(has_features=True)
    assert "contentknn" not in contestants(has_features=False)
