"""The suites notice what they are there to notice: each broken component fails with a sentence that says why."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from salon.data import Queries
from salon.encode.base import FeatureSet
from salon.encode.classic import Hashing
from salon.errors import SalonError
from salon.fuse.base import KeepApart
from salon.index.exact import ExactIndex
from salon.models.content import ContentKNN
from salon.models.factors import BiasedMF, ImplicitALS
from salon.models.neighbours import ItemKNN
from salon.models.popular import Popular
from salon.testing import check_encoder, check_fuser, check_index, check_recommender


def scored(change: Callable[[Any, Queries, np.ndarray], np.ndarray]) -> Callable[[Any, Queries], np.ndarray]:
    return lambda self, queries: change(self, queries, ItemKNN._score(self, queries))


def learned(change: Callable[[Any, Any, dict[str, Any]], dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    return lambda self, data, *more: change(self, data, ItemKNN._fit(self, data, *more))


def with_nan(self: Any, queries: Queries, scores: np.ndarray) -> np.ndarray:
    return np.where(np.arange(scores.shape[1]) == 1, np.nan, scores)


def by_batch(self: Any, queries: Queries, scores: np.ndarray) -> np.ndarray:
    return scores * len(queries)


def by_user(self: Any, queries: Queries, scores: np.ndarray) -> np.ndarray:
    return scores + queries.users[:, None]


def backwards(self: Any, queries: Queries, scores: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(scores), -scores, 0)


def cold_too(self: Any, queries: Queries, scores: np.ndarray) -> np.ndarray:
    return np.where(np.arange(scores.shape[1]) == scores.shape[1] - 1, np.float32(1e3), scores)


def set_early(self: Any, data: Any, state: dict[str, Any]) -> dict[str, Any]:
    self.similarity_ = state["similarity_"]
    return state


def keep_data(self: Any, data: Any, state: dict[str, Any]) -> dict[str, Any]:
    self._data = data
    return state


def share_memory(self: Any, data: Any, state: dict[str, Any]) -> dict[str, Any]:
    return {**state, "weights_": data.events.weights[:]}


def forget_seed(self: Any, data: Any, state: dict[str, Any]) -> dict[str, Any]:
    return {**state, "similarity_": state["similarity_"] * np.float32(1 + np.random.default_rng().random())}


def change_data(self: Any, data: Any, state: dict[str, Any]) -> dict[str, Any]:
    data.events.values[:] = 0
    return state


BROKEN_MODELS = [
    ("_score", scored(with_nan), "numbers or -inf"),
    ("_score", scored(by_batch), "batch of one|depends on"),
    ("_score", scored(by_user), "depends on the history"),
    ("_score", scored(cold_too), "no cold item"),
    ("_score", scored(backwards), "checkerboard|cold item"),
    ("_fit", learned(set_early), "failed fit leaves|failed first fit|NotFitted"),
    ("_fit", learned(keep_data), "keeps no reference"),
    ("_fit", learned(share_memory), "shares memory"),
    ("_fit", learned(forget_seed), "fit twice|same seed"),
    ("_fit", learned(change_data), "does not change its data"),
    ("handles_cold_items", True, "cold items are reachable"),
    ("check_fitted", lambda self: None, "NotFittedError|n_items_"),
    ("recommend", lambda self, queries, k=10, **_: ItemKNN.recommend(self, queries, k), "Without filters|mask"),
    ("state", lambda self: {}, "not fitted"),
]


@pytest.mark.parametrize(("name", "value", "sentence"), BROKEN_MODELS)
def test_a_broken_model_is_found_out(name: str, value: Any, sentence: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("salon.testing.common.load_component", lambda path, kind: loaded_as(Broken, path, kind))
    monkeypatch.setattr("salon.component.name_of", lambda kind, cls: "itemknn")
    Broken = type("Broken", (ItemKNN,), {name: value})
    with pytest.raises((AssertionError, AttributeError, SalonError), match=sentence):
        check_recommender(Broken)


def loaded_as(cls: type, path: Any, kind: str) -> Any:
    from salon.artifacts import read_state

    return cls().restore(read_state(path))


def test_a_model_that_writes_into_its_state_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(Popular):
        def _score(self, queries: Queries) -> np.ndarray:
            return (
                np.broadcast_to(self.counts_, (len(queries), self.n_items_)) if len(queries) > 1 else self.counts_[None]
            )

    class Shared(Popular):
        def _fit(self, *given: Any) -> dict[str, Any]:
            state = super()._fit(*given)
            return {"counts_": state["counts_"], "table_": np.tile(state["counts_"], (200, 1))}

        def _score(self, queries: Queries) -> np.ndarray:
            return self.table_[: len(queries)]

    with pytest.raises((AssertionError, ValueError), match=r"changes no later answer|read-only"):
        check_recommender(Broken, personal=False)
    with pytest.raises(AssertionError, match="changes no later answer"):
        check_recommender(Shared, personal=False)


def test_an_impersonal_model_does_not_pass_for_a_personal_one() -> None:
    with pytest.raises(AssertionError, match="checkerboard"):
        check_recommender(Popular)


def test_media_that_are_ignored_are_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ContentKNN, "_compared", lambda self, p, has: np.ones((len(p), self.n_items_), np.float32))
    with pytest.raises(AssertionError, match=r"right content|short history|empty history"):
        check_recommender(ContentKNN)


def test_vectors_that_do_not_make_the_score_are_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = ImplicitALS.user_vectors
    monkeypatch.setattr(ImplicitALS, "user_vectors", lambda self, queries: honest(self, queries) * 2)
    monkeypatch.setattr(ImplicitALS, "_score", lambda self, queries: honest(self, queries) @ self.vectors_.T)
    with pytest.raises(AssertionError, match="product of the vectors"):
        check_recommender(ImplicitALS)


def test_wrong_ratings_are_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    predict = BiasedMF.predict
    monkeypatch.setattr(BiasedMF, "predict", lambda self, queries, items: predict(self, queries, items) * 0 + 3)
    with pytest.raises(AssertionError, match="fives"):
        check_recommender(BiasedMF)


def test_a_broken_index_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    search = ExactIndex.search
    broken = {
        "smaller share|less than|dot products": lambda self, v, k, **more: search(self, -np.asarray(v), k, **more),
        "allowed items": lambda self, v, k, **more: search(self, v, k, exclude=more.get("exclude")),
        "dot products of allowed": lambda self, v, k, **more: search(self, v, k, allow=more.get("allow")),
    }
    for sentence, method in broken.items():
        monkeypatch.setattr(ExactIndex, "search", method)
        with pytest.raises(AssertionError, match=sentence):
            check_index(ExactIndex)


def test_an_index_that_keeps_the_given_array_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def build(self: Any, vectors: np.ndarray, *, fingerprint: str = "") -> Any:
        self.vectors_, self.fingerprint_ = vectors, fingerprint
        return self

    monkeypatch.setattr(ExactIndex, "build", build)
    with pytest.raises(AssertionError, match="dot products"):
        check_index(ExactIndex)


def test_a_broken_encoder_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    values = ["a red bicycle", "blue shoes", "green shoes"]
    check_encoder(Hashing, values)
    embed = Hashing.embed
    broken = {
        "float32": lambda self, batch: embed(self, batch) * np.nan,
        "like in a batch": lambda self, batch: embed(self, batch) * np.float32(len(batch)),
        "Different values": lambda self, batch: np.ones((len(batch), self.dim), np.float32),
    }
    for sentence, method in broken.items():
        monkeypatch.setattr(Hashing, "embed", method)
        with pytest.raises(AssertionError, match=sentence):
            check_encoder(Hashing, values)


def test_a_broken_fuser_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def unmasked(self: KeepApart, features: FeatureSet) -> FeatureSet:
        return FeatureSet({n: f.take(np.zeros(len(f), int)) for n, f in features.items()}, features.n_items)

    monkeypatch.setattr(KeepApart, "transform", unmasked)
    with pytest.raises(AssertionError, match="joined"):
        check_fuser(KeepApart)
