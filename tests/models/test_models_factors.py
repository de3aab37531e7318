"""Factor models: closed forms against plain solves, fold-in against the library."""

import subprocess
import sys

import numpy as np
import pytest
from implicit.cpu.als import AlternatingLeastSquares
from scipy import sparse

from salon.data import Dataset, Events, Queries
from salon.errors import DataError
from salon.models.factors import BiasedMF, ImplicitALS, ImplicitBPR, fold_in, single_thread
from salon.models.factors_start import leading_factors


def random_log(seed: int = 0, users: int = 30, items: int = 20) -> Dataset:
    rng = np.random.default_rng(seed)
    rows, columns = np.nonzero(rng.random((users, items - 1)) < 0.3)  # the last item is untouched
    values = rng.integers(1, 6, len(rows)).astype(float)
    return Dataset.of(Events.of(rows, columns, weights=values - 2.5, values=values), users, items)


def test_fold_in_solves_its_normal_equations() -> None:
    rng = np.random.default_rng(1)
    vectors, history = rng.standard_normal((9, 4)), np.round(rng.random((5, 9)) * 2) * (rng.random((5, 9)) < 0.5)
    history[2] = 0
    solved = fold_in(sparse.csr_array(history), vectors, 3.0, 0.7)
    for row, z in zip(history, solved, strict=True):
        confidence, wanted = np.where(row > 0, 3.0 * row, 1.0), (row > 0) * 1.0
        left = vectors.T @ np.diag(confidence) @ vectors + 0.7 * np.eye(4)
        np.testing.assert_allclose(z, np.linalg.solve(left, vectors.T @ (confidence * wanted)), rtol=1e-4, atol=1e-6)
    assert not solved[2].any()


def test_fold_in_equals_that_of_the_library() -> None:
    rows = sparse.csr_matrix(random_log().positives())
    with single_thread():
        library = AlternatingLeastSquares(factors=8, regularization=0.5, alpha=4.0, random_state=1, num_threads=1)
        library.fit(rows, show_progress=False)
        theirs = library.recalculate_user(np.arange(rows.shape[0]), rows)
    ours = fold_in(sparse.csr_array(rows), library.item_factors, 4.0, 0.5)
    np.testing.assert_allclose(ours, theirs, atol=1e-3)


def test_als_is_the_library_without_its_users() -> None:
    data = random_log()
    model = ImplicitALS(dim=8, sweeps=5, reg=1, alpha=3, weighted=True, start="random").fit(data, rng=5)
    with single_thread():
        library = AlternatingLeastSquares(
            factors=8, regularization=1, alpha=3, iterations=5, num_threads=1,
            random_state=int(np.random.default_rng(5).integers(2**31)),
        )  # fmt: skip
        library.fit(sparse.csr_matrix(data.positives()), show_progress=False)
    np.testing.assert_allclose(model.item_vectors(), library.item_factors, rtol=1e-5)


def test_als_begins_at_the_leading_part_of_the_log() -> None:
    """A log of rank two in its own metric comes back whole, and numbers beyond its rank are 0."""
    rng = np.random.default_rng(0)
    rows = np.zeros((40, 30), np.float32)
    rows[:25, :12], rows[25:, 12:29] = rng.integers(1, 4, 12), rng.integers(1, 4, 17)  # the last item is untouched
    people, items = leading_factors(sparse.csr_array(rows), 6, np.random.default_rng(1))
    np.testing.assert_allclose(people @ items.T, rows, atol=1e-4)
    assert np.count_nonzero(np.abs(items).max(axis=0) > 1e-5) == 2
    assert not items[-1].any()


def test_the_start_of_als_is_that_of_an_exact_decomposition() -> None:
    rows = sparse.csr_array(random_log(4, 200, 60).positives())
    dense = rows.toarray()
    down, across = np.sqrt(dense.sum(axis=1, keepdims=True)), np.sqrt(dense.sum(axis=0, keepdims=True))
    normalised = np.divide(dense, down * across, out=np.zeros_like(dense), where=dense > 0)
    left, values, right = np.linalg.svd(normalised, full_matrices=False)
    exact = (left[:, :8] * values[:8]) @ right[:8]
    people, items = leading_factors(rows, 8, np.random.default_rng(0))
    found = np.divide(people @ items.T, down * across, out=np.zeros_like(dense), where=down * across > 0)
    error, least = np.linalg.norm(normalised - found), np.linalg.norm(normalised - exact)
    assert least <= error < 1.03 * least


def loss(model: ImplicitALS, data: Dataset) -> float:
    """What implicit ALS minimises, people at their best."""
    rows = (data.positives().toarray() > 0).astype(float)
    people, items = model.user_vectors(data.queries()), model.item_vectors()
    confidence = np.where(rows > 0, model.settings.alpha, 1.0)
    errors = confidence * (rows - people @ items.T) ** 2
    return float(errors.sum() + model.settings.reg * ((people**2).sum() + (items**2).sum()))


def test_one_sweep_from_the_leading_part_is_nearer_to_the_end_than_one_from_anywhere() -> None:
    data = random_log(3, 80, 40)
    near, far, end = (
        loss(ImplicitALS(dim=6, reg=2, alpha=5, start=start, sweeps=sweeps).fit(data, rng=0), data)
        for start, sweeps in (("svd", 1), ("random", 1), ("random", 50))
    )
    assert near - end < 0.5 * (far - end)


@pytest.mark.parametrize("model", [ImplicitALS, ImplicitBPR])
def test_untouched_items_are_never_scored(model: type) -> None:
    data = random_log()
    scores = model(dim=4).fit(data).score(data.queries())
    assert (scores[:, -1] == -np.inf).all()
    assert np.isfinite(scores[:, :-1]).all()


def test_empty_histories_als_refuses_and_bpr_answers_by_bias() -> None:
    data, nobody = random_log(), Queries.from_lists([[]])
    assert (ImplicitALS(dim=4).fit(data).score(nobody) == -np.inf).all()
    model = ImplicitBPR(dim=4).fit(data)
    np.testing.assert_allclose(model.score(nobody)[0, :-1], model.item_vectors()[:-1, -1])


def test_bpr_vectors_of_known_people_stay_close_to_the_learned_ones() -> None:
    """The fold-in is a regression on the learned vectors; their scores correlate."""
    data = random_log(2, 60, 30)
    model = ImplicitBPR(dim=4, epochs=100, lr=0.05).fit(data, rng=1)
    rows = data.positives()
    means = (rows > 0) @ model.vectors_ / np.diff(rows.indptr)[:, None]
    by_hand = np.concatenate([means, np.ones((60, 1))], axis=1) @ model.map_
    np.testing.assert_allclose(model.user_vectors(data.queries())[:, :-1], by_hand[:, :-1], rtol=1e-4, atol=1e-6)
    seen = rows.toarray() > 0
    scores = model.score(data.queries())
    assert np.mean([scores[u, seen[u]].mean() > scores[u, :-1][~seen[u, :-1]].mean() for u in range(60)]) > 0.9


def test_biased_mf_half_step_solves_its_least_squares() -> None:
    data = random_log(3)
    model = BiasedMF(dim=3, reg=0.2, sweeps=4).fit(data, rng=1)
    queries = data.queries()
    ratings = np.full((30, 20), np.nan)
    ratings[data.events.users, data.events.items] = data.events.values
    scores = model.score(queries)
    for u in range(30):
        items = np.flatnonzero(np.isfinite(ratings[u]))
        design = np.concatenate([model.vectors_[items, :-1], np.ones((len(items), 1))], axis=1)
        wanted = ratings[u, items] - model.mean_ - model.vectors_[items, -1]
        penalty = np.sqrt(0.2 * len(items)) * np.eye(4)
        solved = np.linalg.lstsq(np.vstack([design, penalty]), np.append(wanted, np.zeros(4)), rcond=None)[0]
        expected = model.mean_ + model.vectors_[:, -1] + solved[-1] + model.vectors_[:, :-1] @ solved[:-1]
        np.testing.assert_allclose(scores[u, :-1], expected[:-1], rtol=1e-4)


def test_biased_mf_sweeps_lower_the_loss() -> None:
    data = random_log(4)
    ratings = sparse.csr_array((data.events.values, (data.events.users, data.events.items)), shape=(30, 20))
    counts = np.bincount(data.events.items, minlength=20)

    def loss(sweeps: int) -> float:
        model = BiasedMF(dim=3, reg=0.2, sweeps=sweeps).fit(data, rng=1)
        people = model._people(data.queries())
        fitted = model.score(data.queries())[data.events.users, data.events.items]
        ridge = (np.diff(ratings.indptr) * (people**2).sum(axis=1)).sum() + (
            counts * (model.vectors_**2).sum(axis=1)
        ).sum()
        return float(((data.events.values - fitted) ** 2).sum() + 0.2 * ridge)

    losses = [loss(sweeps) for sweeps in (1, 2, 4, 8)]
    assert losses == sorted(losses, reverse=True)


def test_biased_mf_recovers_a_rank_one_truth() -> None:
    rng = np.random.default_rng(5)
    truth = 3 + rng.standard_normal((80, 1)) * 0.3 + rng.standard_normal(40) * 0.3
    truth += np.outer(rng.standard_normal(80), rng.standard_normal(40)) * 0.7
    users, items = np.nonzero(rng.random((80, 40)) < 0.5)
    data = Dataset.of(Events.of(users, items, weights=truth[users, items], values=truth[users, items]), 80, 40)
    hidden = np.ones((80, 40), bool)
    hidden[users, items] = False
    model = BiasedMF(dim=2, reg=0.01, sweeps=20).fit(data, rng=1)
    error = (model.score(data.queries()) - truth)[hidden]
    assert np.sqrt((error**2).mean()) < 0.35 * truth[hidden].std()


def test_biased_mf_predicts_within_the_range_and_for_untouched_items() -> None:
    data = random_log(6)
    model = BiasedMF().fit(data)
    predicted = model.predict(data.queries(), np.full(30, 19))
    people = model._people(data.queries())
    np.testing.assert_allclose(predicted, np.clip(model.mean_ + people[:, -1], 1, 5), rtol=1e-5)
    assert model.predict(Queries.from_lists([[]]), np.array([19])) == pytest.approx(model.mean_)


def test_biased_mf_reads_ratings_back_from_weights() -> None:
    model = BiasedMF().fit(random_log(7))
    assert model.levels_ == pytest.approx([-1.5, -0.5, 0.5, 1.5, 2.5])
    assert model.level_ratings_ == pytest.approx([1, 2, 3, 4, 5])


def test_biased_mf_needs_ratings() -> None:
    with pytest.raises(DataError, match="explicit ratings"):
        BiasedMF().fit(Dataset.of(Events.of([0], [0]), 1, 1))


@pytest.mark.parametrize("name", ["ImplicitALS", "ImplicitBPR"])
def test_fitting_is_quiet_and_warns_of_nothing(name: str) -> None:
    """In a fresh process, as `implicit` warns of BLAS threads once per process."""
    code = (
        "from salon.data import Dataset, Events\n"
        f"from salon.models.factors import {name}\n"
        f"{name}(dim=2).fit(Dataset.of(Events.of([0, 1], [0, 1]), 2, 2))\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={"OPENBLAS_NUM_THREADS": "2", "OMP_NUM_THREADS": "2"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
