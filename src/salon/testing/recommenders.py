"""The contract of recommenders, on worlds whose right answers are known."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from salon.data import Dataset, Queries
from salon.data.toy import ToyWorld, checkerboard, content_world
from salon.encode.base import Features, FeatureSet
from salon.errors import DataError, SettingError
from salon.models.base import RatingPredictor, Recommender, VectorRecommender
from salon.testing.common import (
    check_settings,
    check_unfitted,
    expect,
    expect_close,
    expect_padded,
    expect_raises,
    saved_and_loaded,
    touches,
)


def features_of(world: ToyWorld) -> FeatureSet:
    """The vectors of a toy world as features, copied."""
    return FeatureSet({n: Features(v.copy(), p.copy(), f"toy-{n}") for n, (v, p) in world.vectors.items()})


def check_recommender(cls: type[Recommender], *, personal: bool = True, **settings: Any) -> None:
    """Raises AssertionError unless the class keeps the contract of recommenders.

    Args:
        cls: The class; it must be registered, as saving writes its short name.
        personal: Whether answers follow the history; False for baselines such as popularity, which are then not asked
            to solve the worlds.
        settings: Settings to check it with.
    """
    check_settings(cls, settings)
    _check_before_fit(cls, settings)
    world = _world_for(cls)
    model = _fitted(cls, settings, world)
    queries = world.data.queries()
    for check in (_check_answers, _check_batch, _check_filters, _check_edges, _check_unknown_people, _check_saving):
        check(model, queries)
    _check_kinds(model, queries)
    _check_fit(cls, settings, queries, model.score(queries))
    _check_memory(cls, settings)
    if isinstance(model, RatingPredictor):  # its world has no cold item
        _check_unrated_items(cls, settings)
    else:
        _check_cold_items(model, world, personal)
    if personal:
        _check_checkerboard(cls, settings)


def _world_for(cls: type[Recommender]) -> ToyWorld:
    return checkerboard(rated=True) if issubclass(cls, RatingPredictor) else content_world()


def _fitted(cls: type[Recommender], settings: Mapping[str, Any], world: ToyWorld) -> Recommender:
    return cls(**settings).fit(world.data, features_of(world), rng=3)


def _check_before_fit(cls: type[Recommender], settings: Mapping[str, Any]) -> None:
    model, world = cls(**settings), checkerboard(6)
    queries = world.data.queries()
    calls: dict[str, Callable[[], object]] = {
        "score": lambda: model.score(queries),
        "recommend": lambda: model.recommend(queries),
    }
    if isinstance(model, VectorRecommender):
        calls |= {"user_vectors": lambda: model.user_vectors(queries), "item_vectors": model.item_vectors}
    if isinstance(model, RatingPredictor):
        calls["predict"] = lambda: model.predict(queries, np.zeros(len(queries), np.int64))
    check_unfitted(calls)
    if cls.needs_features:
        expect_raises(DataError, lambda: model.fit(world.data), "A model that needs features refuses to fit without.")
    short = features_of(world).take(np.arange(3))
    expect_raises(DataError, lambda: model.fit(world.data, short), "Features of other items are refused.")
    expect(not model.is_fitted, "A failed first fit leaves the object unfitted.")


def _check_answers(model: Recommender, queries: Queries) -> None:
    scores = model.score(queries)
    expect(scores.shape == (len(queries), model.n_items_), "score gives (queries, items).")
    expect(scores.dtype == np.float32, "Scores are float32.")
    expect(not np.isnan(scores).any() and not (scores == np.inf).any(), "Scores are numbers or -inf.")
    kept = scores.copy()
    scores[:] = 0
    expect_close(model.score(queries), kept, "Writing into an answer changes no later answer.")
    expect_padded(model.recommend(queries, 5), len(queries), 5)


def _check_batch(model: Recommender, queries: Queries) -> None:
    whole = model.score(queries)
    for row in (0, len(queries) - 1):
        one = model.score(queries.take(np.array([row])))
        expect_close(one[0], whole[row], "A batch of one answers like a row of a batch.")
    order = np.arange(len(queries))[::-1]
    expect_close(model.score(queries.take(order)), whole[order], "The order of the queries changes no answer.")


def _check_filters(model: Recommender, queries: Queries) -> None:
    n, items = len(queries), model.n_items_
    seen = queries.seen(items).toarray() > 0
    found = model.recommend(queries, items)
    expect(not _chosen(found.ids, seen).any(), "exclude_seen leaves out the whole history.")
    others = np.where(seen, np.float32(-np.inf), model.score(queries))
    expect_close(model.score_unseen(queries), others, "score_unseen is score without the items of the history.")
    both = model.recommend(queries, items, exclude_seen=False)
    finite = model.score(queries) > -np.inf
    expect(np.array_equal((both.ids >= 0).sum(axis=1), finite.sum(axis=1)), "Without filters all scored items come.")
    odd = np.arange(items) % 2 == 1
    expect(not _chosen(model.recommend(queries, 5, allow=odd).ids, ~odd).any(), "A 1-d allow mask holds for all.")
    mask = np.arange(n)[:, None] % 2 == np.arange(items) % 2
    expect(not _chosen(model.recommend(queries, 5, allow=mask).ids, ~mask).any(), "A 2-d allow mask holds row by row.")
    nothing = model.recommend(queries, 3, allow=np.zeros(items, bool))
    expect((nothing.ids == -1).all(), "Where nothing is allowed the rows are empty.")


def _chosen(ids: Any, mask: Any) -> Any:
    """Which of the (n, k) ids are where the (items,) or (n, items) mask is True."""
    mask = np.broadcast_to(mask, (len(ids), mask.shape[-1]))
    return np.take_along_axis(mask, np.maximum(ids, 0), axis=1) & (ids >= 0)


def _check_edges(model: Recommender, queries: Queries) -> None:
    n, items = len(queries), model.n_items_
    expect_padded(model.recommend(queries, items + 7), n, items + 7)
    expect_padded(model.recommend(queries.take(np.arange(0)), 4), 0, 4)
    empty = model.score(Queries.from_lists([[], []]))
    expect_close(empty[0], empty[1], "Two empty histories get the same answer.")
    expect(not np.isnan(empty).any(), "An empty history is answered, or refused by -inf throughout.")
    mixed = model.score(Queries.from_lists([[], [int(i) for i in queries.take(np.array([0])).items], []]))
    expect_close(mixed[2], empty[0], "An empty history in a batch is answered like one alone.")
    expect_raises(SettingError, lambda: model.recommend(queries, 0), "k = 0 is refused.")
    expect_raises(
        DataError, lambda: model.score(Queries.from_lists([[items]])), "An item that does not exist is refused."
    )


def _check_unknown_people(model: Recommender, queries: Queries) -> None:
    strangers = replace(queries, users=np.full(len(queries), -1))
    answers = model.score(strangers)
    expect(not np.isnan(answers).any(), "Unknown people get numbers or -inf.")
    if not model.handles_cold_users:
        return
    sentence = "handles_cold_users: the answer depends on the history, not on whose it is."
    expect_close(answers, model.score(queries), sentence)
    swapped = replace(queries, users=queries.users[::-1].copy())
    expect_close(model.score(swapped), model.score(queries), sentence)


def _check_saving(model: Recommender, queries: Queries) -> None:
    loaded = saved_and_loaded(model)
    expect_close(loaded.score(queries), model.score(queries), "A loaded model scores like the saved one.", 1e-6)


def _check_kinds(model: Recommender, queries: Queries) -> None:
    if isinstance(model, VectorRecommender):
        users, items = model.user_vectors(queries), model.item_vectors()
        expect(users.shape == (len(queries), items.shape[1]), "User and item vectors have the same length.")
        expect(len(items) == model.n_items_, "There is one vector per item.")
        scores = model.score(queries)
        finite = scores > -np.inf
        expect_close(
            np.where(finite, users @ items.T, -np.inf),
            scores,
            "Where there is a score it is the product of the vectors.",
        )
    if isinstance(model, RatingPredictor):
        first = np.zeros(len(queries), np.int64)
        expect(model.predict(queries, first).shape == (len(queries),), "predict gives one rating per query.")
        expect(np.isfinite(model.predict(queries, first)).all(), "Predicted ratings are finite.")


def _check_fit(cls: type[Recommender], settings: Mapping[str, Any], queries: Queries, scores: Any) -> None:
    world = _world_for(cls)
    features = features_of(world)
    before = [c.copy() for c in _columns(world.data)]
    model = cls(**settings)
    expect(model.fit(world.data, features, rng=3) is model, "fit returns the object itself.")
    for column, kept in zip(_columns(world.data), before, strict=True):
        expect(np.array_equal(column, kept, equal_nan=True), "fit does not change its data.")
    once = model.score(queries)
    state = set(model.state())
    expect_close(
        model.fit(world.data, features, rng=3).score(queries), once, "fit twice with a seed equals fit once.", 1e-6
    )
    expect(set(model.state()) == state, "fit twice leaves the same attributes.")
    expect_close(once, scores, "The same seed gives the same model.", 1e-6)
    other = checkerboard(6, rated=True)
    half: Recommender = type("Half", (cls,), {"_fit": _failing(cls)})(**settings)
    half.restore(model.state())
    expect_raises(RuntimeError, lambda: half.fit(other.data, features_of(other)), "A failing fit fails.")
    same = set(half.state()) == state and all(half.state()[name] is model.state()[name] for name in state)
    expect(same, "A failed fit leaves the object as it was.")
    expect_close(half.score(queries), once, "A failed fit leaves the object as it was.", 1e-6)


def _failing(cls: type[Recommender]) -> Callable[..., dict[str, Any]]:
    def fit_and_fail(self: Recommender, *given: Any) -> dict[str, Any]:
        cls._fit(self, *given)
        raise RuntimeError("at the last moment")

    return fit_and_fail


def _columns(data: Dataset) -> list[np.ndarray[Any, Any]]:
    events = data.events
    return [events.users, events.items, events.weights, events.values, events.times, events.kinds, events.shown]


def _check_memory(cls: type[Recommender], settings: Mapping[str, Any]) -> None:
    world = _world_for(cls)
    features = features_of(world)
    model = cls(**settings).fit(world.data, features)
    given = _columns(world.data) + [part for f in features.values() for part in (f.vectors, f.present)]
    shared = touches(model.state(), given)
    expect(not shared, f"{shared} shares memory with the data of fit.")
    watched: list[weakref.ref[Any]] = [
        weakref.ref(part) for part in (world.data, world.data.events, *features.values())
    ]
    del world, features, given
    gc.collect()
    expect(all(ref() is None for ref in watched), "A fitted model keeps no reference to the data of fit.")


def _check_cold_items(model: Recommender, world: ToyWorld, personal: bool) -> None:
    queries, reachable = world.data.queries(), world.cold & world.seen_by_media()
    if not model.handles_cold_items:
        _check_cold_last(model, queries, world.cold)
        return
    found = model.recommend(queries, int(reachable.sum()), allow=world.cold)
    wanted = np.asarray(world.holdout.targets.sum(axis=1)).astype(int)
    expect((found.ids[np.arange(len(queries)), wanted - 1] >= 0).all(), "handles_cold_items: cold items are reachable.")
    if personal:
        right = world.holdout.targets.toarray() > 0
        first = np.arange(found.k) < wanted[:, None]
        expect(_chosen(found.ids, right)[first].all(), "Of the cold items those of the right content come first.")


def _check_cold_last(model: Recommender, queries: Queries, cold: Any) -> None:
    found = model.recommend(queries, model.n_items_)
    warm_after_cold = np.maximum.accumulate(_chosen(found.ids, cold), axis=1) & _chosen(found.ids, ~cold)
    expect(not warm_after_cold.any(), "Without handles_cold_items no cold item is placed above a warm one.")


def _check_unrated_items(cls: type[Recommender], settings: Mapping[str, Any]) -> None:
    """The cold items of a model of ratings: those without a rating."""
    world = checkerboard(rated=True)
    gone = 3
    data = world.data.with_events(world.data.events.take(world.data.events.items != gone))
    model = cls(**settings).fit(data, features_of(world), rng=3)
    if not cls.handles_cold_items:
        _check_cold_last(model, data.queries(), np.arange(data.n_items) == gone)


def _check_checkerboard(cls: type[Recommender], settings: Mapping[str, Any]) -> None:
    rated = issubclass(cls, RatingPredictor)
    world = checkerboard(rated=rated)
    model, queries = _fitted(cls, settings, world), world.data.queries()
    n = world.data.n_users
    best = model.recommend(queries, 1).ids[:, 0]
    expect(
        np.array_equal(best, np.arange(n)), f"On the checkerboard the best item for user u is u, not {best.tolist()}."
    )
    if isinstance(model, RatingPredictor):
        liked, other = model.predict(queries, np.arange(n)), model.predict(queries, (np.arange(n) + 1) % n)
        expect(bool((liked > 4).all() and (other < 2).all()), "Withheld fives are predicted above 4, ones below 2.")
        return
    if model.handles_cold_users:
        found = model.recommend(Queries.from_lists([[0, 4, 8], [1, 3, 9]]), 3).ids
        expect(
            np.array_equal(found % 2, [[0] * 3, [1] * 3]),
            "A short history that nobody had gets items of its own colour.",
        )
