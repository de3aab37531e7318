"""Small made worlds for the tests of the linear model."""

import numpy as np

from salon.data import Dataset, Events, Field, Queries, Users
from salon.encode.base import Features, FeatureSet
from salon.models.linear import Linear, LinearSettings
from salon.models.linear_point import Point
from salon.types import Modality

POINT = Point(
    user_exponent=0.25,
    item_exponent=0.25,
    ridge=0.5,
    dropout=0.2,
    media={"text": 0.5, "image": 0.2},
    popularity=0.125,
    confidence=0.5,
    twins={"text": 1.0, "image": 0.5},
    twin_self=0.3,
    twin_media=0.5,
    twin_ridge=0.5,
    twin_norm=0.5,
    cold_scale=1.5,
)
"""Everything is switched on but order and the prior."""


def events(n_users=40, n_items=15, seed=0, ordered=True, untouched=3):
    """Each user likes a run of items on a ring, in order; the last `untouched` items get no action."""
    rng = np.random.default_rng(seed)
    users, items, times = [], [], []
    for user in range(n_users):
        start, length = rng.integers(n_items - untouched), rng.integers(3, 7)
        for step in range(length):
            users.append(user)
            items.append((start + step) % (n_items - untouched))
            times.append(step)
    return Events.of(users, items, times=times, time_kind="order" if ordered else "none")


def features(n_items=15, seed=1, missing=2):
    """Text that lies on the ring of the items, image that is noise, some images missing."""
    rng = np.random.default_rng(seed)
    angle = 2 * np.pi * np.arange(n_items) / n_items
    text = np.stack([np.cos(angle), np.sin(angle), np.cos(2 * angle), np.sin(2 * angle)], axis=1)
    image = rng.normal(size=(n_items, 6))
    present = np.ones(n_items, bool)
    present[:missing] = False
    image[~present] = 0.0
    return FeatureSet(
        {
            "text": Features(text.astype(np.float32), np.ones(n_items, bool), "ring"),
            "image": Features(image.astype(np.float32), present, "noise"),
        }
    )


def world(**more):
    """A dataset of 40 users and 15 items, the last three untouched."""
    return Dataset.of(events(**more), more.get("n_users", 40), more.get("n_items", 15))


def fitted(point=POINT, data=None, items="both", **settings):
    """A linear model with given settings, nothing searched."""
    data = data if data is not None else world()
    found = features(data.n_items) if items == "both" else items
    model = Linear(LinearSettings(point=point, search=False, **settings))
    return model.fit(data, found)


def one(*items, weights=None):
    """One query of an unknown person."""
    return Queries.from_lists([list(items)], None if weights is None else [list(weights)])


def profiled():
    """A world whose people declare which half of the items they like."""
    data = world()
    side = ["even" if u % 2 == 0 else "odd" for u in range(40)]
    items = np.where(data.events.users % 2 == 0, data.events.items % 6, 6 + data.events.items % 6)
    taste = Events.of(data.events.users, items, times=data.events.times, time_kind="order")
    users = Users(data.users.ids, {"side": Field.of("side", Modality.CATEGORY, side)})
    return Dataset(data.items, taste, users)
