"""Few actions: the posterior against a slow formula, what one action does, how tastes move to another catalogue."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from salon.component import load_component
from salon.data import Dataset, Events, Holdout, Queries
from salon.encode.base import Features, FeatureSet
from salon.errors import ArtifactError, DataError, FingerprintError, SettingError
from salon.explain import explain
from salon.models.few_questions import few_questions, some_actions
from salon.models.fewshot import FewShot
from salon.models.fewshot_prior import Prior, shifts, tastes_of
from salon.models.popular import Random
from taste_world import Shop, taste_shop


@pytest.fixture(scope="module")
def shops() -> tuple[Shop, Shop]:
    return taste_shop("a", 1), taste_shop("b", 2)


@pytest.fixture(scope="module")
def saved(shops: tuple[Shop, Shop], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("few") / "model"
    FewShot(space="media").fit(shops[0].data, shops[0].features, rng=0).save(folder)
    return folder


def halves(people: int = 40, items: int = 30) -> Dataset:
    """Even people like even items, odd people odd ones."""
    rng = np.random.default_rng(0)
    likes = (np.arange(people)[:, None] % 2 == np.arange(items) % 2) & (rng.random((people, items)) < 0.5)
    return Dataset.of(Events.of(*np.nonzero(likes)), people, items)


@settings(max_examples=30)
@given(st.integers(1, 9), st.integers(1, 6), st.floats(0.05, 20), st.integers(0, 99))
def test_the_posterior_is_that_of_the_dense_formula(k: int, dim: int, noise: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((12, dim))
    prior = Prior.of(rng.standard_normal((30, dim)))
    history = rng.permutation(12)[:k]
    signs = rng.choice([-1.0, 0.0, 1.0], k)
    queries = Queries.from_lists([[], history.tolist()], [[], signs.tolist()])
    moved = shifts(queries, vectors @ prior.root, vectors @ prior.mean, noise)
    found = prior.mean + moved @ prior.root.T
    precision, seen = np.linalg.inv(prior.covariance()), vectors[history]
    want = np.linalg.inv(precision + seen.T @ seen / noise) @ (precision @ prior.mean + seen.T @ signs / noise)
    np.testing.assert_allclose(found[1], want, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(found[0], prior.mean)


def test_the_prior_is_mean_and_covariance_and_mixes_with_another_by_its_weight() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.standard_normal((40, 3)), rng.standard_normal((60, 3)) + 2
    both = np.concatenate([one, other])
    mixed = Prior.of(other, Prior.of(one), weight=40)
    np.testing.assert_allclose(mixed.mean, both.mean(axis=0))
    np.testing.assert_allclose(mixed.covariance(), np.cov(both.T, bias=True), atol=1e-5)


def test_a_taste_is_the_ridge_regression_of_the_likes_on_touched_items() -> None:
    rng = np.random.default_rng(0)
    vectors, touched = rng.standard_normal((6, 2)), np.arange(6) < 5
    likes = np.array([[1, 0, 1, 0, 0, 0], [0, 1, 0, 1, 1, 0]], np.float32)
    known = vectors[touched]
    square = known.T @ known
    square += 1e-2 * np.trace(square) / 2 * np.eye(2)
    want = [np.linalg.solve(square, known.T @ row[touched]) for row in likes]
    np.testing.assert_allclose(tastes_of(sparse.csr_array(likes), vectors, touched), want)


def test_one_action_moves_the_answer_to_the_right_half() -> None:
    model = FewShot(dim=8).fit(halves(), rng=0)
    found = model.recommend(Queries.from_lists([[4], [7]]), 8).ids
    assert (found % 2 == [[0], [1]]).all()


def test_a_dislike_moves_it_to_the_other_half() -> None:
    model = FewShot(dim=8).fit(halves(), rng=0)
    found = model.recommend(Queries.from_lists([[4], [7]], [[-1], [-1]]), 8).ids
    assert (found % 2 == [[1], [0]]).all()


def test_without_an_action_the_answer_is_the_mean_taste_and_follows_popularity() -> None:
    data = halves()
    scores = FewShot(dim=8).fit(data, rng=0).score(Queries.from_lists([[]]))[0]
    counts = np.bincount(data.events.items, minlength=data.n_items)
    assert np.corrcoef(scores, counts)[0, 1] > 0.9


def test_a_score_is_exactly_its_parts() -> None:
    data = halves()
    model = FewShot(dim=8).fit(data, rng=0)
    queries = data.queries(np.array([0, 3]))
    targets = np.array([5, 6])
    for told, score in zip(explain(model, queries, targets), model.score(queries)[[0, 1], targets], strict=True):
        assert told.method == "exact"
        assert told.values.sum() + told.rest == pytest.approx(score, abs=1e-4)


def test_the_noise_is_large_where_actions_say_little_and_small_where_they_say_much() -> None:
    rng = np.random.default_rng(0)
    users, items = np.nonzero(rng.random((100, 30)) < np.linspace(0.5, 0.05, 30))
    chance = FewShot(dim=8).fit(Dataset.of(Events.of(users, items), 100, 30), rng=0)
    assert chance.noise_ > FewShot(dim=8).fit(halves(100), rng=0).noise_
    assert FewShot(dim=8, noise=2.5).fit(halves(), rng=0).noise_ == 2.5


def test_questions_hide_all_but_a_few_actions_of_people_kept_apart() -> None:
    data = halves()
    people, questions = few_questions(data, None, (1, 3), np.random.default_rng(0))
    whole = data.positives().toarray() > 0
    for k, question in zip((1, 3), questions, strict=True):
        asked = question.queries
        assert not set(asked.users) & set(people)
        assert (np.diff(asked.indptr) == k).all()
        shown = asked.seen(data.n_items).toarray() > 0
        assert (shown <= whole[asked.users]).all()
        np.testing.assert_array_equal(question.right.toarray() > 0, whole[asked.users] & ~shown)
    perfect = whole.astype(np.float32)
    assert questions[0].score(lambda queries: perfect[queries.users].copy()) == pytest.approx(1)


def test_given_questions_bar_the_whole_history_though_a_part_is_shown() -> None:
    data = halves()
    queries = data.queries()
    targets = sparse.csr_array((np.ones(40), (np.arange(40), (np.arange(40) + 1) % 30)), shape=(40, 30))
    people, (question,) = few_questions(data, Holdout(queries, targets), (2,), np.random.default_rng(0))
    assert len(people) == 40
    assert np.diff(question.queries.indptr).max() == 2
    assert (question.barred != queries.seen(30)).nnz == 0
    assert (question.right != targets).nnz == 0


def test_shortened_histories_are_random_parts() -> None:
    queries = Queries.from_lists([list(range(20)), [3]])
    found = {tuple(some_actions(queries, 4, np.random.default_rng(seed)).items) for seed in range(5)}
    assert len(found) == 5


def test_untouched_items_are_placed_by_media_and_have_no_score_without(shops: tuple[Shop, Shop]) -> None:
    shop = shops[0]
    kept = shop.data.events.items < 70
    data = shop.data.with_events(shop.data.events.take(kept))
    hidden = FeatureSet({name: one.hide(np.array([79])) for name, one in shop.features.items()})
    scores = FewShot(dim=16).fit(data, hidden, rng=0).score(data.queries())
    assert np.isfinite(scores[:, :79]).all()
    assert (scores[:, 79] == -np.inf).all()
    plain = FewShot(dim=16).fit(data, rng=0).score(data.queries())
    assert (plain[:, 70:] == -np.inf).all()


# -- other catalogues ------------------------------------------------------------------------------------------------


def test_on_another_catalogue_it_is_far_above_chance_at_once(shops: tuple[Shop, Shop]) -> None:
    here, there = shops
    moved = FewShot(space="media").fit(here.data, here.features, rng=0).moved_to(there.empty(), there.features)
    assert there.recall(moved) > 2.5 * there.recall(Random().fit(there.data, rng=0))


def test_it_is_moved_by_the_projections_of_the_first_catalogue(shops: tuple[Shop, Shop]) -> None:
    here, there = shops
    model = FewShot(space="media", width=4, noise=1.0).fit(here.data, here.features, rng=0)
    first = here.features["text"].vectors
    centred = there.features["text"].vectors - first.mean(axis=0)
    directions = np.linalg.svd(first - first.mean(axis=0), full_matrices=False)[2][:4]
    want = np.abs(centred @ directions.T)
    start = model.start().projections["text"].media(there.features["text"])
    np.testing.assert_allclose(
        np.abs(start.vectors), want / np.linalg.norm(want, axis=1, keepdims=True), rtol=1e-3, atol=1e-4
    )


def test_a_pretrained_prior_counts_as_so_many_people(shops: tuple[Shop, Shop], saved: Path) -> None:
    there = shops[1]
    origin = load_component(saved, "model")
    few = there.data.with_events(there.data.events.take(there.data.events.users < 3))
    cold = FewShot(space="media", noise=1.0).fit(few, there.features, rng=0)
    warm = FewShot(space="media", pretrained=str(saved), prior_people=1e9).fit(few, there.features, rng=0)
    np.testing.assert_allclose(warm.centre_, origin.centre_, atol=1e-6)
    assert warm.noise_ == origin.noise_
    assert there.recall(warm) > 1.3 * there.recall(cold)


def test_a_log_without_anything_takes_the_pretrained_model_as_it_is(shops: tuple[Shop, Shop], saved: Path) -> None:
    there = shops[1]
    fitted = FewShot(space="media", pretrained=str(saved)).fit(there.empty(), there.features)
    moved = load_component(saved, "model").moved_to(there.data, there.features)
    queries = there.data.queries()
    np.testing.assert_array_equal(fitted.score(queries), moved.score(queries))


def test_modalities_that_are_not_shared_are_masked_or_left_out(shops: tuple[Shop, Shop]) -> None:
    here, there = shops
    text = there.features.only(["text"])
    model = FewShot(space="media").fit(here.data, here.features, rng=0)
    masked = FeatureSet({"text": text["text"], "image": there.features["image"].hide(np.ones(80, bool))})
    alone, with_mask = model.moved_to(there.data, text), model.moved_to(there.data, masked)
    np.testing.assert_array_equal(alone.item_vectors(), with_mask.item_vectors())
    more = FeatureSet({**there.features, "audio": text["text"]})
    np.testing.assert_array_equal(
        model.moved_to(there.data, more).item_vectors(), model.moved_to(there.data, there.features).item_vectors()
    )
    with pytest.raises(DataError, match="Nothing is shared: the model reads text, image; here is audio"):
        model.moved_to(there.data, FeatureSet({"audio": text["text"]}))


def test_vectors_of_another_encoder_are_refused(shops: tuple[Shop, Shop]) -> None:
    here, there = shops
    model = FewShot(space="media").fit(here.data, here.features, rng=0)
    text = there.features["text"]
    with pytest.raises(FingerprintError, match=r"'text-2'.*'text-1'"):
        model.moved_to(there.data, FeatureSet({"text": Features(text.vectors, text.present, "text-2")}))


def test_a_model_that_knows_its_items_does_not_move(shops: tuple[Shop, Shop], saved: Path, tmp_path: Path) -> None:
    here, there = shops
    model = FewShot().fit(here.data, here.features, rng=0)
    with pytest.raises(SettingError, match="space = 'clicks'"):
        model.moved_to(there.data, there.features)
    with pytest.raises(SettingError, match="space is clicks; the pretrained model has media"):
        FewShot(pretrained=str(saved)).fit(there.data, there.features)
    Random().fit(here.data).save(tmp_path / "random")
    with pytest.raises(ArtifactError, match="holds a 'random', not a 'fewshot'"):
        FewShot(space="media", pretrained=str(tmp_path / "random")).fit(there.data, there.features)
    with pytest.raises(ArtifactError, match="not an artefact"):
        FewShot(space="media", pretrained=str(tmp_path / "nothing")).fit(there.data, there.features)
