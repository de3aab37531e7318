"""Evidence and its words: exact splits are kept, others are by removal, and nothing is called a cause."""

from typing import Any

import numpy as np
import pytest

from salon.data import Dataset, Events, Queries
from salon.errors import DataError, SettingError
from salon.explain import explain, without
from salon.language import template
from salon.models.base import Contributions, Recommender


class Additive(Recommender):
    """score(history)[j] = sum of w_i * table[i, j]; splits itself when asked to be exact."""

    def _fit(self, data: Dataset, items: Any, rng: Any, validation: Any) -> dict[str, Any]:
        table = np.arange(data.n_items**2, dtype=np.float32).reshape(data.n_items, data.n_items) - 7
        return {"table_": table}

    def _score(self, queries: Queries) -> np.ndarray:
        return queries.positives(self.n_items_) @ self.table_ - queries.negatives(self.n_items_) @ self.table_ + 0.5


class Split(Additive):
    def contributions(self, queries: Queries, targets: np.ndarray) -> Contributions:
        values = queries.weights * self.table_[queries.items, targets[queries.row_of()]]
        parts = np.stack([values * 0.25, values * 0.75], axis=1)
        return Contributions(parts, ("clicks", "text"), np.full(len(queries), 0.5, np.float32))


DATA = Dataset.of(Events.of([0, 1], [0, 1]), 2, 4)
QUERIES = Queries.from_lists([[0, 2, 3], [1]], [[1, 2, -1], [1]])
TARGETS = np.array([1, 2])


def test_exact_parts_sum_to_the_score() -> None:
    for one in explain(Split().fit(DATA), QUERIES, TARGETS):
        assert one.method == "exact"
        assert one.values.sum() + one.rest == pytest.approx(one.score)


def test_one_history_is_asked_about_several_items() -> None:
    query, targets = QUERIES.take(np.array([0])), np.array([1, 2, 0])
    copies = QUERIES.take(np.zeros(3, np.int64))
    for kind in (Split, Additive):
        model = kind().fit(DATA)
        for one, other in zip(explain(model, query, targets), explain(model, copies, targets), strict=True):
            assert (one.target, one.score, one.rest) == (other.target, other.score, other.rest)
            np.testing.assert_array_equal(one.values, other.values)


def test_parts_of_other_models_are_by_removal_and_equal_the_split_when_additive() -> None:
    exact = explain(Split().fit(DATA), QUERIES, TARGETS)
    removed = explain(Additive().fit(DATA), QUERIES, TARGETS)
    for a, b in zip(exact, removed, strict=True):
        assert b.method == "removal"
        assert b.by_item() == pytest.approx(a.by_item())


def test_because_and_despite_name_the_largest_parts_of_each_sign() -> None:
    (one, _) = explain(Split().fit(DATA), QUERIES, TARGETS)
    totals = one.by_item()
    assert one.because(1) == [max(totals, key=lambda i: totals[i])]
    assert all(totals[i] < 0 for i in one.despite())
    assert one.despite()


def test_leaving_out_an_action_keeps_the_rest_in_order() -> None:
    left = without(QUERIES, np.array([1, 3]))
    assert left.items.tolist() == [0, 3]
    assert left.indptr.tolist() == [0, 2, 2]
    assert left.weights.tolist() == [1, -1]


def test_an_item_that_cannot_be_scored_is_an_error() -> None:
    class Nothing(Additive):
        def _score(self, queries: Queries) -> np.ndarray:
            return np.full((len(queries), self.n_items_), -np.inf)

    with pytest.raises(DataError, match="cannot score item row 1"):
        explain(Nothing().fit(DATA), QUERIES, TARGETS)


def test_words_name_items_and_shares_and_never_a_cause() -> None:
    words = template.reason(["Lamp", "Kite"], {"clicks": 3.0, "text": 1.0, "image": -2.0})
    assert words == "Goes with “Lamp” and “Kite”: clicks 75 %, text 25 %"
    assert template.despite(["Rug"]) == "despite “Rug”"
    assert template.despite([]) == ""
    assert "because" not in words.lower()


def test_words_tell_a_fallback_as_such() -> None:
    assert template.reason([], {}, source="popular") == "Popular with everyone here"
    assert template.reason([], {"profile": 1.0}) == "Fits the profile given"
    assert template.reason([], {}) == "Nothing in the history contributes"


def test_words_are_there_in_chinese() -> None:
    assert template.reason(["灯"], {"text": 1.0}, language="zh") == "与《灯》相配：文字占100%"
    assert set(template.PHRASES["en"]) <= set(template.PHRASES["zh"])


def test_unknown_language_is_an_error() -> None:
    with pytest.raises(SettingError, match="no words in 'fr'"):
        template.reason([], {}, language="fr")


def test_a_profile_is_told_only_where_the_rest_is_one():
    assert template.reason([], {"clicks": 1.0, "text": -2.0}) == "Nothing in the history contributes"
    assert template.reason([], {}, source="recent") == "Popular of late"
