"""How histories are answered after training, and what is asked while training goes on."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from salon.data import Holdout, Queries
from salon.encode.base import Features, FeatureSet
from salon.models.deep_answers import Answers, history_keys
from salon.models.deep_media import prepared
from salon.models.deep_question import Question, hold_out


def matrix(histories: list[list[int]], n_items: int) -> sparse.csr_array:
    return Queries.from_lists(histories).positives(n_items)


def world(seed: int = 0, *, n: int = 200, items: int = 30, dim: int = 4) -> tuple[sparse.csr_array, Answers]:
    """People whose vector is a linear map of the mean of their items."""
    rng = np.random.default_rng(seed)
    likes = rng.random((n, items)) < 0.3
    likes[:, -1] = False
    likes[np.arange(n), rng.integers(0, items - 1, n)] = True
    vectors = rng.standard_normal((items, dim))
    means = likes @ vectors / likes.sum(axis=1, keepdims=True)
    rows = sparse.csr_array(likes.astype(np.float32))
    users = means @ rng.standard_normal((dim, dim)) + 0.5
    return rows, Answers.of(rows, users.astype(np.float32), vectors.astype(np.float32), likes.any(axis=0))


@given(st.lists(st.lists(st.integers(0, 40), unique=True, max_size=8), min_size=1, max_size=6), st.randoms())
def test_a_key_names_the_set_of_likes(histories: list[list[int]], random: object) -> None:
    shuffled = [sorted(h, key=lambda _: random.random()) for h in histories]  # type: ignore[attr-defined]
    keys, again = (history_keys(matrix(part, 41)) for part in (histories, shuffled))
    np.testing.assert_array_equal(keys, again)
    same = [[sorted(a) == sorted(b) for b in histories] for a in histories]
    np.testing.assert_array_equal(keys[:, None] == keys[None, :], same)


def test_a_history_met_in_training_gets_its_trained_vector() -> None:
    rng = np.random.default_rng(1)
    rows = matrix([[0, 1], [2], [1, 3], [1, 0]], 5)
    users, items = rng.standard_normal((4, 3)).astype(np.float32), rng.standard_normal((5, 3)).astype(np.float32)
    answers = Answers.of(rows, users, items, np.array([True] * 4 + [False]))
    found = answers.people(matrix([[3, 1], [2], [0, 1]], 5))
    np.testing.assert_allclose(found[:2], users[[2, 1]], rtol=1e-6)
    np.testing.assert_allclose(found[2], (users[0] + users[3]) / 2, rtol=1e-6)  # two people of the same likes


def test_another_history_is_mapped_as_those_of_training_were() -> None:
    rows, answers = world()
    inside = sparse.csr_array(rows[:50])
    changed = inside.toarray()
    changed[np.arange(50), np.argmin(changed, axis=1)] = 1
    new = answers.people(sparse.csr_array(changed))
    means = changed @ answers.items / changed.sum(axis=1, keepdims=True)
    solved = np.linalg.lstsq(
        np.c_[rows.toarray() @ answers.items / rows.toarray().sum(axis=1, keepdims=True), np.ones(200)],
        answers.people(rows),
        rcond=None,
    )[0]
    np.testing.assert_allclose(new, np.c_[means, np.ones(50)] @ solved, atol=0.02)


def test_answers_do_not_depend_on_what_else_is_asked() -> None:
    rows, answers = world(3)
    mixed = sparse.vstack([rows[:5], matrix([[0], [1, 2, 3], []], 30)]).tocsr()
    whole = answers.scores(sparse.csr_array(mixed))
    for row in range(mixed.shape[0]):
        alone = answers.scores(sparse.csr_array(mixed[[row]]))
        np.testing.assert_allclose(alone[0], whole[row], rtol=1e-5, atol=1e-5)


def test_items_that_are_not_placed_and_histories_without_evidence_are_refused() -> None:
    _, answers = world()
    scores = answers.scores(matrix([[0, 29], [29], []], 30))
    assert np.isfinite(scores[0, :29]).all()
    assert (scores[:, 29] == -np.inf).all()
    assert (scores[1:] == -np.inf).all()
    np.testing.assert_allclose(scores[0], answers.scores(matrix([[0]], 30))[0], rtol=1e-6)


def test_held_out_likes_are_a_tenth_and_never_all_of_anybody() -> None:
    rng = np.random.default_rng(0)
    rows = sparse.csr_array((rng.random((60, 80)) < 0.4).astype(np.float32))
    rows = sparse.csr_array(sparse.vstack([rows, matrix([[5], [3, 4], []], 80)]))
    kept, question = hold_out(rows, rng)
    assert question is not None
    assert (kept.toarray() <= rows.toarray()).all()
    gone = rows.toarray() - kept.toarray()
    counts = np.asarray(rows.sum(axis=1))
    wanted = np.where(counts < 2, 0, np.maximum(np.round(0.1 * counts), 1))
    np.testing.assert_array_equal(gone.sum(axis=1), wanted)
    asked = np.flatnonzero(wanted)
    np.testing.assert_array_equal(question.targets.toarray(), gone[asked])
    np.testing.assert_array_equal(question.history.toarray(), kept.toarray()[asked])


def test_nothing_is_asked_where_nobody_has_two_likes() -> None:
    rows = matrix([[0], [1], []], 3)
    kept, question = hold_out(rows, np.random.default_rng(0))
    assert question is None
    assert kept is rows


def test_the_validation_score_is_ndcg_over_what_may_be_listed() -> None:
    n = 4
    items = np.eye(n, dtype=np.float32)
    users = np.array([[4, 3, 2, 1], [1, 2, 3, 4], [1, 1, 1, 2]], np.float32)  # ranks of the items
    rows = matrix([[0], [3], [2]], n)
    answers = Answers.of(rows, users, items, np.ones(n, bool))
    targets, exclude = matrix([[2], [1], []], n), matrix([[1], [], []], n)
    asked = Holdout(Queries.from_lists([[0], [3], [2]]), targets, exclude=exclude)
    question = Question.of(asked, np.random.default_rng(0))
    assert question is not None
    # person 0: item 0 seen, 1 excluded, so 2 is first; person 1: 2, then 1
    assert question.score(answers) == pytest.approx((1 + 1 / np.log2(3)) / 2)
    only = Question.of(
        Holdout(asked.queries, targets, candidates=np.array([1, 1, 0, 0], bool)), np.random.default_rng()
    )
    assert only is not None
    assert only.score(answers) == pytest.approx((0 + 1) / 2)
    assert Question.of(Holdout(asked.queries, sparse.csr_array((3, n))), np.random.default_rng(0)) is None


def test_wide_features_keep_their_leading_directions() -> None:
    rng = np.random.default_rng(0)
    vectors = (rng.standard_normal((40, 6)) * [5, 3, 1, 0.1, 0.1, 0.1] @ rng.standard_normal((6, 6))).astype(np.float32)
    present = np.arange(40) != 7
    (media,) = prepared(FeatureSet({"text": Features(np.where(present[:, None], vectors, 0), present)}), 3).values()
    assert media.vectors.shape == (40, 3)
    np.testing.assert_allclose(np.linalg.norm(media.vectors, axis=1), present, atol=1e-5)
    centred = vectors[present] - vectors[present].mean(axis=0)
    left, sizes, _ = np.linalg.svd(centred, full_matrices=False)
    best = left[:, :3] * sizes[:3]
    best /= np.linalg.norm(best, axis=1, keepdims=True)
    np.testing.assert_allclose(media.vectors[present] @ media.vectors[present].T, best @ best.T, atol=1e-4)
