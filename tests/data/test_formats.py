from __future__ import annotations

import numpy as np
import pytest

from salon.config import build
from salon.data import Dataset, Events, Field, IdMap, Items, Users
from salon.data.catalogue import EventsSource, ItemsSource, UsersSource, read_dataset
from salon.data.formats import looks_missing, read_ducho, read_mmrec, read_recbole, write_mmrec, write_recbole
from salon.data.sources import Weighing
from salon.data.split import Split, leave_last_out, random_split
from salon.data.vectors import read_ducho_layer
from salon.errors import DataError, SettingError
from salon.types import Modality


def small_world(seed: int = 0) -> Dataset:
    rng = np.random.default_rng(seed)
    n_items, n_users, n = 12, 7, 120
    pairs = rng.permutation(n_items * n_users)[:60]
    vectors = rng.normal(size=(n_items, 3)).astype(np.float32)
    vectors[[2, 5]] = np.nan
    ids = IdMap([f"item {i}" if i else "物 ☃" for i in range(n_items)])
    fields = [
        Field.of("title", "text", [f"Title  {i}" if i != 3 else None for i in range(n_items)]),
        Field.of("genres", "category", [("a b", "c")[: i % 3] for i in range(n_items)]),
        Field.of("price", "number", [i / 7 if i % 4 else None for i in range(n_items)]),
        Field.of("image", "vector", vectors),
    ]
    users = Users(
        IdMap([f"u{i}" for i in range(n_users)], what="user"),
        {"job": Field.of("job", "category", ["x", None, "y", "x", "y", "x", "y"])},
    )
    events = Events.of(
        pairs // n_items, pairs % n_items, values=rng.integers(1, 6, 60), times=rng.integers(10**9, 10**9 + 500, 60)
    )
    assert n
    return Dataset(Items(ids, {f.name: f for f in fields}), events, users)


def triples(data: Dataset) -> list[tuple[str, str, float, float]]:
    events = data.events
    return sorted(
        (data.users.ids[u], data.items.ids[i], float(v), float(t))
        for u, i, v, t in zip(events.users, events.items, events.values, events.times, strict=True)
    )


def asked(split: Split, data: Dataset, part: str) -> set[tuple[str, str]]:
    hold = getattr(split, part)
    rows, columns = hold.targets.nonzero()
    return {
        (data.users.ids[int(hold.queries.users[r])], data.items.ids[int(c)]) for r, c in zip(rows, columns, strict=True)
    }


@pytest.mark.parametrize("with_split", [False, True])
def test_an_mmrec_folder_reads_back_as_it_was_written(tmp_path, with_split):
    data = small_world()
    split = random_split(data) if with_split else None
    write_mmrec(tmp_path / "toy", data, split)
    result = read_mmrec(tmp_path / "toy")
    back = result.dataset
    assert back.items.ids == data.items.ids
    assert back.users.ids == data.users.ids
    assert triples(back) == triples(data)
    assert back.items["image"].equals(data.items["image"])
    assert len(result.rejects) == 0
    if split is None:
        assert result.split is None
    else:
        assert result.split is not None
        for part in ("valid", "test"):
            assert asked(result.split, back, part) == asked(split, data, part)
        assert triples(result.split.train) == triples(split.train)


def test_mmrec_gets_the_mean_where_an_item_lacks_a_vector(tmp_path):
    data = small_world()
    write_mmrec(tmp_path, data, name="toy")
    stored = np.load(tmp_path / "image_feat.npy")
    present = data.items["image"].present
    assert np.allclose(stored[~present], stored[present].mean(axis=0), atol=1e-6)
    assert (tmp_path / "missed_img_itemIDs.csv").read_text() == "2\n5\n"
    (tmp_path / "missed_img_itemIDs.csv").unlink()
    assert read_mmrec(tmp_path).dataset.items["image"].present.tolist() == present.tolist()
    (tmp_path / "missed_img_itemIDs.csv").write_text("99\n")
    with pytest.raises(DataError, match="no item of 12"):
        read_mmrec(tmp_path)


def test_rows_that_hold_the_mean_are_missing_and_ordinary_rows_are_not():
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(50, 8)).astype(np.float32)
    assert not looks_missing(matrix).any()
    matrix[[3, 9]] = np.delete(matrix, [3, 9], axis=0).mean(axis=0)
    matrix[20] = 0
    matrix[21] = np.nan
    assert np.flatnonzero(looks_missing(matrix)).tolist() == [3, 9, 20, 21]
    assert not looks_missing(np.ones((5, 3), np.float32)).any()
    assert not looks_missing(np.repeat(rng.normal(size=(2, 3)), 5, axis=0)).any()
    assert looks_missing(np.zeros((0, 3), np.float32)).shape == (0,)


def write_inter(folder, text, name="x.inter"):
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("userID\titem\n0\t0\n", "no column 'itemID'. Did you mean 'item'"),
        ("userID\titemID\na\tb\n", "holds no integer"),
        ("userID\titemID\n0\t999999999\n", "goes up to 999999999"),
        ("userID\titemID\tx_label\n0\t0\t7\n", "x_label in 'x.inter' holds '7'"),
        ("userID\titemID\tx_label\n0\t0\t1\n", "No action is left to train on"),
        ("", "is empty"),
    ],
)
def test_a_broken_inter_file_is_a_clear_error(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        read_mmrec(write_inter(tmp_path / "d", text))


def test_mmrec_folders_must_be_unambiguous_and_complete(tmp_path):
    folder = write_inter(tmp_path / "d", "userID\titemID\n0\t0\n0\t1\n")
    assert read_mmrec(folder).dataset.n_items == 2
    write_inter(folder, "userID\titemID\n0\t0\n", "y.inter")
    with pytest.raises(DataError, match=r"2 \.inter files"):
        read_mmrec(folder)
    np.save(folder / "text_feat.npy", np.ones((1, 2)))
    with pytest.raises(DataError, match="has 1 rows for 2 items"):
        read_mmrec(folder / "x.inter")
    np.save(folder / "text_feat.npy", np.array([None]), allow_pickle=True)
    with pytest.raises(DataError, match="Pickles are refused"):
        read_mmrec(folder / "x.inter")
    (folder / "text_feat.npy").unlink()
    (folder / "i_id_mapping.csv").write_text("asin\titemID\na\t0\nb\t2\n")
    with pytest.raises(DataError, match="does not map names"):
        read_mmrec(folder / "x.inter")


def test_bad_rows_of_an_inter_file_are_rejects_and_ratings_may_have_thresholds(tmp_path):
    text = "userID\titemID\trating\ttimestamp\tx_label\n0\t0\t5\t1\t0\n0\tx\t5\t2\t0\n0\t1\tnan\t2\t0\n1\t1\t2\t3\t0\n"
    result = read_mmrec(write_inter(tmp_path, text), Weighing(like=4, dislike=2))
    assert [r.row for r in result.rejects.rows] == [2, 3]
    assert result.dataset.events.weights.tolist() == [1.0, -1.0]
    assert result.dataset.events.time_kind == "timestamp"


@pytest.mark.parametrize("with_split", [False, True])
def test_recbole_files_read_back_as_they_were_written(tmp_path, with_split):
    data = small_world(1)
    split = leave_last_out(data) if with_split else None
    write_recbole(tmp_path / "toy", data, split)
    result = read_recbole(tmp_path / "toy", None, {"title": Modality.TEXT})
    back = result.dataset
    assert back.items.ids == data.items.ids
    assert back.items["price"].equals(data.items["price"])
    assert back.items["image"].equals(data.items["image"])
    assert back.items["genres"].values == tuple(
        tuple(x.replace(" ", "_") for x in g) for g in data.items["genres"].values
    )
    assert back.items["title"].values[:4] == ("Title 0", "Title 1", "Title 2", None)
    assert back.users["job"].equals(data.users["job"])
    if split is None:
        assert triples(back) == triples(data)
    else:
        assert result.split is not None
        assert asked(result.split, back, "test") == asked(split, data, "test")
        assert asked(result.split, back, "valid") == asked(split, data, "valid")


def test_names_that_would_break_a_file_are_refused(tmp_path):
    data = Dataset(Items(IdMap(["a\tb"])), Events.of([0], [0]), Users(IdMap(["u"], what="user")))
    for write in (write_mmrec, write_recbole):
        with pytest.raises(DataError, match="tab or a line break"):
            write(tmp_path / "x", data)
        with pytest.raises(DataError, match="no name of a data set"):
            write(tmp_path / "x", data, name="../y")


HISTORIES = "user_id:token\titem_id_list:token_seq\titem_id:token\nu\ti\tj\n"


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"x.inter": "user_id\titem_id\nu\ti\n"}, "written name:type"),
        ({"x.inter": "user_id:token\titem_id:tokn\nu\ti\n"}, "Did you mean 'token'"),
        ({"x.inter": "user:token\titem_id:token\nu\ti\n"}, "no column 'user_id'"),
        (
            {"x.train.inter": "user_id:token\titem_id_list:token_seq\titem_id:token\nu\ti\tj\n"},
            "no file|whole histories",
        ),
        ({"x.txt": ""}, "There is no"),
        (
            {"x.inter": "user_id:token\titem_id:token\nu\ti\n", "x.emb": "iid:token\te:float_seq\ni\t1 a\n"},
            "vectors 'e'",
        ),
    ],
)
def test_broken_recbole_files_are_clear_errors(tmp_path, files, message):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=message):
        read_recbole(tmp_path)


def test_recbole_without_items_takes_those_of_the_log_and_keeps_context(tmp_path):
    text = "user_id:token\titem_id:token\tdevice:token\tage:float\nu\tb\tphone\t3\nu\ta\t\t\n"
    (tmp_path / "x.inter").write_text(text)
    data = read_recbole(tmp_path).dataset
    assert data.items.ids.names == ("b", "a")
    assert data.events.context["device"].tolist() == ["phone", ""]
    with pytest.raises(DataError, match="no column 'title'"):
        read_recbole(tmp_path, None, {"title": Modality.TEXT})


def ducho(folder, **vectors):
    folder.mkdir(parents=True)
    for name, vector in vectors.items():
        np.save(folder / f"{name}.npy", np.array([vector], np.float32))


def test_ducho_folders_give_a_field_per_layer(tmp_path):
    ducho(tmp_path / "torch" / "ResNet50" / "avgpool", a=[1, 2], b=[3, 4])
    ducho(tmp_path / "sentence_transformers" / "org" / "mpnet" / "1", b=[1, 1, 1], c=[2, 2, 2])
    items = read_ducho(tmp_path).dataset.items
    assert items.ids.names == ("a", "b", "c")
    assert items["torch/ResNet50/avgpool"].present.tolist() == [True, True, False]
    assert items["sentence_transformers/org/mpnet/1"].values.tolist() == [[0, 0, 0], [1, 1, 1], [2, 2, 2]]


def test_ducho_vectors_join_a_table_by_id_up_to_the_first_dot(tmp_path):
    ducho(tmp_path / "layer", a=[1, 2], b=[3, 4], e=[5, 6])
    (tmp_path / "items.csv").write_text("item_id\na.v1\nb.v1\nb.v2\nc\n")
    source = build(ItemsSource, {"path": "items.csv", "vector": {"seen": "layer"}})
    items = read_dataset(source, base=tmp_path).dataset.items
    assert items["seen"].present.tolist() == [True, False, False, False]


def test_ducho_folders_that_cannot_be_used_are_clear_errors(tmp_path):
    with pytest.raises(DataError, match=r"no \.npy file"):
        read_ducho(tmp_path)
    ducho(tmp_path / "layer", a=[1, 2], b=[3])
    with pytest.raises(DataError, match="different lengths"):
        read_ducho(tmp_path)
    ducho(tmp_path / "other" / "layer", u__a=[1])
    with pytest.raises(DataError, match="interactions"):
        read_ducho(tmp_path / "other")


def test_a_vector_file_that_links_out_of_its_folder_is_not_followed(tmp_path):
    ducho(tmp_path / "secret", x=[1, 2])
    ducho(tmp_path / "layer", a=[1, 2])
    (tmp_path / "layer" / "x.npy").symlink_to(tmp_path / "secret" / "x.npy")
    assert read_ducho(tmp_path / "layer").dataset.items["."].present.tolist() == [True, False]


def test_formats_are_named_in_the_catalogue(tmp_path):
    data = small_world()
    write_mmrec(tmp_path / "m", data, random_split(data))
    write_recbole(tmp_path / "r", data)
    ducho(tmp_path / "d" / "layer", u=[1, 2], v=[1, 2])
    (tmp_path / "log.csv").write_text("user_id,item_id\np,u\n")
    rules = {"value": "rating", "like": 4}
    mmrec = read_dataset(
        build(ItemsSource, {"path": "m", "format": "mmrec"}),
        build(EventsSource, {"path": "m", **rules}),
        None,
        tmp_path,
    )
    assert mmrec.split is not None
    assert (mmrec.dataset.events.weights > 0).sum() == (data.events.values >= 4).sum()
    source = build(ItemsSource, {"path": "r", "format": "recbole", "text": ["title"]})
    assert read_dataset(source, None, None, tmp_path).dataset.items["title"].modality == Modality.TEXT
    source = build(ItemsSource, {"path": "d", "format": "ducho"})
    assert len(read_dataset(source, build(EventsSource, {"path": "log.csv"}), None, tmp_path).dataset.events) == 1
    source = build(ItemsSource, {"path": "m", "format": "mmrec"})
    with pytest.raises(SettingError, match="same path"):
        read_dataset(source, build(EventsSource, {"path": "log.csv"}), None, tmp_path)
    with pytest.raises(SettingError, match="Leave out"):
        read_dataset(source, None, build(UsersSource, {"path": "u.csv"}), tmp_path)


@pytest.mark.parametrize(
    ("items", "events", "message"),
    [
        ({"format": "mmrec", "text": "title"}, {}, "`text` means nothing to a folder of mmrec"),
        ({"format": "recbole", "vector": {"a": "b.npy"}}, {}, "`vector` means nothing"),
        ({"format": "recbole"}, {"user": "u"}, "user means nothing"),
        ({"format": "mmrec"}, {"time": "timestamp"}, "time means nothing"),
    ],
)
def test_settings_that_a_format_would_ignore_are_refused(tmp_path, items, events, message):
    with pytest.raises(SettingError, match=message):
        read_dataset(
            build(ItemsSource, {"path": "x", **items}), build(EventsSource, {"path": "x", **events}), None, tmp_path
        )


def test_recbole_columns_can_be_chosen(tmp_path):
    text = "user_id:token\titem_id:token\tplays:float\twhen:float\tnote:token_seq\nu\ta\t7\t5\tfine thing\n"
    (tmp_path / "x.inter").write_text(text)
    rules = build(EventsSource, {"path": ".", "value": "plays", "time": "when", "text": "note", "like": 5})
    events = read_recbole(tmp_path, rules).dataset.events
    assert (events.values.tolist(), events.times.tolist(), events.texts) == ([7.0], [5.0], ("fine thing",))
    with pytest.raises(DataError, match="no column 'played'"):
        read_recbole(tmp_path, build(EventsSource, {"path": ".", "value": "played"}))


@pytest.mark.shared
def test_real_mmrec_labels_are_read(shared_data):
    result = read_mmrec(shared_data / "lastfm-2k-mm" / "original" / "lfm2k.inter")
    assert (result.dataset.n_items, result.dataset.n_users, len(result.dataset.events)) == (1425, 1858, 56345)
    assert result.split is not None
    assert result.split.about["test_targets"] == 7219
    assert len(result.rejects) == 0


@pytest.mark.shared
def test_real_recbole_files_are_read(shared_data):
    folder = shared_data / "movielens-100k-mm" / "original"
    result = read_recbole(folder, Weighing(like=4), {"movie_title": Modality.TEXT})
    assert (result.dataset.n_items, result.dataset.n_users, len(result.dataset.events)) == (1682, 943, 100_000)
    assert result.dataset.items["class"].values[0] == ("Animation", "Children's", "Comedy")
    assert result.dataset.events.times.min() == 874724710
    assert (result.dataset.events.weights > 0).sum() == 55375


@pytest.mark.shared
def test_repeated_rows_near_the_mean_are_missing_posters(shared_splits):
    assert looks_missing(np.load(shared_splits / "ml100k" / "image.npy")).sum() == 150
    for name in ("ml100k/text", "lastfm/audio", "lastfm/text", "amzind/text"):
        assert not looks_missing(np.load(shared_splits / f"{name}.npy")).any()


def test_a_field_name_never_leads_a_written_file_out_of_its_folder(tmp_path):
    data = small_world()
    odd = Field.of("../../out", "vector", np.ones((12, 2), np.float32))
    world = Dataset(data.items.with_field(odd), data.events, data.users)
    for write in (write_mmrec, write_recbole):
        write(tmp_path / "a" / write.__name__, world, name="toy")
    assert {p.name for p in tmp_path.iterdir()} == {"a"}
    assert {p.name for p in (tmp_path / "a").iterdir()} == {"write_mmrec", "write_recbole"}
    assert (tmp_path / "a" / "write_mmrec" / "______out_feat.npy").is_file()


def test_two_fields_never_share_a_written_file(tmp_path):
    data = small_world()
    one = np.ones((12, 2), np.float32)
    twice = data.items.with_field(Field.of("a/b", "vector", one)).with_field(Field.of("a.b", "vector", one))
    for write in (write_mmrec, write_recbole):
        with pytest.raises(DataError, match=r"'a\.b' cannot have a file 'a_b'"):
            write(tmp_path / "x", Dataset(twice, data.events, data.users))
    reserved = data.items.with_field(Field.of("item", "vector", one))
    with pytest.raises(DataError, match="'item' cannot have a file"):
        write_recbole(tmp_path / "x", Dataset(reserved, data.events, data.users))


@pytest.mark.parametrize("user", ["u7", "07", "-1", "1.0"])
def test_an_mmrec_user_that_is_no_integer_is_refused_and_not_a_new_person(tmp_path, user):
    (tmp_path / "x.inter").write_text(f"userID\titemID\tx_label\n0\t0\t0\n{user}\t1\t0\n")
    with pytest.raises(DataError, match=f"holds '{user}'"):
        read_mmrec(tmp_path)


def test_an_mmrec_mapping_that_is_too_short_is_noted(tmp_path):
    (tmp_path / "x.inter").write_text("userID\titemID\tx_label\n0\t0\t0\n1\t1\t0\n")
    (tmp_path / "u_id_mapping.csv").write_text("user_id\tuserID\nann\t0\n")
    result = read_mmrec(tmp_path)
    assert result.dataset.users.ids.names == ("0", "1")
    assert any("names 1 of 2 users" in note for note in result.notes)


def test_other_files_beside_a_recbole_data_set_are_left_alone(tmp_path):
    write_recbole(tmp_path / "toy", small_world())
    (tmp_path / "toy" / "toy.zip").write_bytes(b"PK\x03\x04\xff\xfe")
    (tmp_path / "toy" / "toy.json").write_text("{}")
    (tmp_path / "toy" / "toy.d").mkdir()
    assert "image" in read_recbole(tmp_path / "toy").dataset.items.fields


def test_a_ducho_folder_may_hold_more_files_than_may_be_open(tmp_path):
    resource = pytest.importorskip("resource")
    names = [str(i) for i in range(120)]
    for name in names:
        np.save(tmp_path / f"{name}.npy", np.full((1, 2), float(name), np.float32))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (100, hard))
    try:
        matrix, present = read_ducho_layer(tmp_path, names)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert present.all()
    assert matrix[:, 0].tolist() == list(range(120))
