from __future__ import annotations

import pytest

from salon.config import build
from salon.data.catalogue import EventsSource, ItemsSource, UsersSource, read_dataset

CATALOGUES = {
    "movielens-small-mm": (
        {"text": ["title", "overview"], "image": "image_path", "category": "genres", "number": ["year", "runtime"]},
        {"value": "rating", "time": "timestamp", "like": 4, "dislike": 2},
        (9742, 610, 100836, 48580),
        {"title": 9742, "overview": 9621, "image_path": 3939},
    ),
    "lastfm-2k-mm": (
        {"text": ["title", "text"], "vector": {"sound": "features/vggish.npy"}, "vector_row": "feature_row"},
        {},
        (1425, 1858, 56345, 56345),
        {"title": 1425, "sound": 1425},
    ),
    "education-assist2009": (
        {"text": ["title"]},
        {"order": "position", "value": "label", "like": 1, "dislike": 0},
        (110, 4151, 325637, 214417),
        {"title": 110},
    ),
    "douban-movies-zh": (
        {"text": ["title", "overview"], "category": "genres"},
        {"value": "rating"},
        (1000, 152, 6155, 6155),
        {"overview": 995},
    ),
    "amazon-industrial-text": (
        {"text": ["title", "text"], "category": "brand"},
        {"order": "position"},
        (3686, 3285, 21664, 21664),
        {"title": 3686, "text": 3454},
    ),
    "smarthome-ordonezA": (
        {"text": "title"},
        {"time": "end_time", "time_format": "iso"},
        (9, 1, 248, 248),
        {"title": 9},
    ),
    "short-videos": ({"video": "video_path", "image": "image_path"}, None, (20, 0, 0, 0), {"video_path": 20}),
    "spoken-digits-audio": ({"audio": "audio_path", "category": "label"}, None, (600, 0, 0, 0), {"audio_path": 600}),
}


@pytest.mark.shared
@pytest.mark.parametrize("name", CATALOGUES)
def test_real_catalogues_are_read_whole(shared_data, name):
    items, log, counts, present = CATALOGUES[name]
    events = build(EventsSource, {"path": "interactions.csv", **log}) if log is not None else None
    result = read_dataset(build(ItemsSource, {"path": "items.csv", **items}), events, None, shared_data / name)
    data = result.dataset
    assert (data.n_items, data.n_users, len(data.events), int((data.events.weights > 0).sum())) == counts
    assert {field: int(data.items[field].present.sum()) for field in present} == present
    assert len(result.rejects) == 0


@pytest.mark.shared
def test_real_users_have_attributes(shared_data):
    data = read_dataset(
        build(ItemsSource, {"path": "items.csv"}),
        build(EventsSource, {"path": "interactions.csv"}),
        build(UsersSource, {"path": "users.csv", "category": ["gender", "occupation"], "number": "age"}),
        shared_data / "movielens-100k-mm",
    ).dataset
    profiles = data.profiles()
    assert profiles is not None
    assert {"gender=F", "occupation=librarian", "age<=inf"} <= set(profiles.names)
