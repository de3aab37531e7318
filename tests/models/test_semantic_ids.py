"""Semantic ids: residual k-means against slow versions, digits, the report, and the trie of all ids."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from salon.errors import DataError, SettingError
from salon.models.semantic_books import ResidualBooks, k_means, nearest
from salon.models.semantic_ids import IdReport, with_digit
from salon.models.semantic_trie import Trie


def vectors(n: int = 60, d: int = 5, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Rows and which of their numbers are known: two modalities, each missing now and then, some rows without any."""
    rng = np.random.default_rng(seed)
    known = np.repeat(rng.random((n, 2)) < 0.7, [2, d - 2], axis=1)
    return rng.standard_normal((n, d)).astype(np.float32), known


def slow_nearest(row: np.ndarray, known: np.ndarray, centres: np.ndarray) -> int:
    squares = [sum((row[j] - centre[j]) ** 2 for j in np.flatnonzero(known)) for centre in centres]
    return int(np.argmin(squares))


def test_codes_are_what_a_loop_over_levels_finds() -> None:
    rows, known = vectors()
    books = ResidualBooks.fit(rows, known, levels=3, codes=4, rng=np.random.default_rng(1))
    codes = books.assign(rows, known)
    decoded = books.decode(codes)
    assert codes.shape == (60, 3)
    for row, there, found, told in zip(rows, known, codes, decoded, strict=True):
        if not there.any():
            assert (found == -1).all()
            assert (told == 0).all()
            continue
        left, wanted = row.astype(np.float64), np.zeros(5)
        for level in range(3):
            code = slow_nearest(left, there, books.books[level])
            assert found[level] == code
            left, wanted = left - books.books[level][code], wanted + books.books[level][code]
        np.testing.assert_allclose(told, wanted, atol=1e-5)


def test_at_rest_every_centre_is_the_mean_of_the_known_numbers_of_its_rows() -> None:
    rows, known = vectors(40)
    rows = np.where(known, rows, np.float32(0))[known.any(axis=1)]
    known = known[known.any(axis=1)]
    centres = k_means(rows, known, 4, np.random.default_rng(0))
    cell, distance = nearest(rows, known, centres)
    for place, centre in enumerate(centres):
        mine = cell == place
        assert mine.any()
        for j in range(rows.shape[1]):
            values = rows[mine & known[:, j], j]
            np.testing.assert_allclose(centre[j], values.mean() if len(values) else 0, atol=1e-5)
    slow = [((row - centres[c])[there] ** 2).sum() for row, there, c in zip(rows, known, cell, strict=True)]
    np.testing.assert_allclose(distance, slow, atol=1e-4)


def test_wide_noise_is_spread_over_all_codes() -> None:
    rows = np.random.default_rng(0).standard_normal((400, 100)).astype(np.float32)
    books = ResidualBooks.fit(rows, np.ones(400, bool), levels=3, codes=16, rng=np.random.default_rng(0))
    report = IdReport.of(books, rows, np.ones(400, bool), codes=16)
    assert min(report.perplexity) > 12


def test_clusters_are_found_and_told_exactly() -> None:
    rng = np.random.default_rng(2)
    coarse, fine = 10 * rng.standard_normal((3, 4)), rng.standard_normal((2, 4))
    first, second = np.repeat(np.arange(3), 30), np.arange(90) % 2
    rows = (coarse[first] + fine[second]).astype(np.float32)
    books = ResidualBooks.fit(rows, np.ones(90, bool), levels=2, codes=3, rng=rng)
    codes = books.assign(rows, np.ones(90, bool))
    assert len(np.unique(codes, axis=0)) == 6
    assert all(len(np.unique(codes[first == c, 0])) == 1 for c in range(3))
    np.testing.assert_allclose(books.decode(codes), rows, atol=1e-4)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_with_fewer_rows_than_codes_every_row_has_a_code_of_its_own(n: int) -> None:
    rows = np.arange(n * 3, dtype=np.float32).reshape(n, 3) + 1
    books = ResidualBooks.fit(rows, np.ones(n, bool), levels=2, codes=8, rng=np.random.default_rng(0))
    codes = books.assign(rows, np.ones(n, bool))
    assert len(np.unique(codes[:, 0])) == n
    np.testing.assert_allclose(books.decode(codes), rows, atol=1e-5)


def test_codes_that_lose_all_rows_move_to_rows_that_are_badly_told() -> None:
    rows = np.repeat(np.array([[0.0], [1.0], [50.0], [70.0]], np.float32), [40, 40, 1, 1], axis=0)
    centres = k_means(rows, np.ones_like(rows, bool), 4, np.random.default_rng(0))
    np.testing.assert_allclose(np.sort(centres[:, 0]), [0, 1, 50, 70], atol=1e-5)


def test_the_seed_decides() -> None:
    rows, known = vectors()
    one, same, other = (
        ResidualBooks.fit(rows, known, levels=2, codes=4, rng=np.random.default_rng(seed)).books for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 0.01


def test_of_many_rows_a_sample_is_learned_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("salon.models.semantic_books.SAMPLE", 5)
    rows, known = vectors(200)
    books = ResidualBooks.fit(rows, known, levels=2, codes=4, rng=np.random.default_rng(0))
    codes = books.assign(rows, known)
    assert (codes[known.any(axis=1)] >= 0).all()


def test_bad_vectors_are_refused() -> None:
    rows, rng = np.ones((4, 2), np.float32), np.random.default_rng(0)
    with pytest.raises(DataError, match="no vector to learn"):
        ResidualBooks.fit(rows, np.zeros(4, bool), levels=1, codes=2, rng=rng)
    with pytest.raises(DataError, match=r"Vectors \(4, 2\) and present \(3,\) do not fit"):
        ResidualBooks.fit(rows, np.ones(3, bool), levels=1, codes=2, rng=rng)
    with pytest.raises(SettingError, match="0 levels of 2 codes"):
        ResidualBooks.fit(rows, np.ones(4, bool), levels=0, codes=2, rng=rng)
    rows[1] = np.nan
    with pytest.raises(DataError, match="not finite"):
        ResidualBooks.fit(rows, np.ones(4, bool), levels=1, codes=2, rng=rng)
    known = ResidualBooks.fit(rows, np.arange(4) != 1, levels=1, codes=2, rng=rng)
    assert known.assign(rows, np.arange(4) != 1)[1, 0] == -1


def test_a_last_digit_tells_apart_what_shares_its_codes() -> None:
    codes = np.array([[1, 2], [0, 2], [1, 2], [-1, -1], [1, 2], [0, 1], [-1, -1]])
    assert with_digit(codes).tolist() == [
        [1, 2, 0], [0, 2, 0], [1, 2, 1], [-1, -1, -1], [1, 2, 2], [0, 1, 0], [-1, -1, -1],
    ]  # fmt: skip


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=30))
def test_ids_never_collide_and_digits_are_as_small_as_can_be(given_codes: list[tuple[int, int]]) -> None:
    ids = with_digit(np.array(given_codes))
    assert len({tuple(row) for row in ids.tolist()}) == len(given_codes)
    for pair in set(given_codes):
        digits = [int(row[2]) for row in ids if tuple(row[:2]) == pair]
        assert digits == list(range(len(digits)))


def test_the_report_counts_what_it_says() -> None:
    books = ResidualBooks(np.array([[[0.0], [4.0]], [[0.0], [1.0]]], np.float32))
    rows = np.array([[0.0], [0.1], [1.0], [4.0], [7.0]], np.float32)
    report = IdReport.of(books, rows, np.arange(5) < 4, codes=2)
    assert (report.items, report.coded, report.largest) == (5, 4, 2)
    assert report.collisions == 0.5
    assert report.used == (1.0, 1.0)
    spread = np.exp(-(0.75 * np.log(0.75) + 0.25 * np.log(0.25)))
    np.testing.assert_allclose(report.perplexity, (spread, spread), rtol=1e-6)
    assert report.error == pytest.approx(0.01 / (0.01 + 1 + 16), rel=1e-4)
    lines = str(report).splitlines()
    assert lines[0] == "4 of 5 items have codes"
    assert lines[-1] == "level 2: 100% of the codes used, perplexity 1.8"
    with pytest.raises(DataError, match="no vector to report"):
        IdReport.of(books, rows, np.zeros(5, bool), codes=2)


@given(st.sets(st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(0, 2)), min_size=1), st.integers(0, 99))
def test_the_trie_holds_every_id_once_and_nothing_else(ids: set[tuple[int, int, int]], seed: int) -> None:
    rng = np.random.default_rng(seed)
    codes = np.array([*ids, (-1, -1, -1)])[rng.permutation(len(ids) + 1)]
    chosen = rng.random(len(codes)) < 0.8
    trie = Trie.of(codes, chosen)
    legal = [tuple(codes[i]) for i in range(len(codes)) if chosen[i] and codes[i, 0] >= 0]
    assert [tuple(codes[i]) for i in trie.items] == sorted(legal)
    prefixes = [()]
    for depth, floor in enumerate(trie.floors):
        children = [(*prefixes[p], int(c)) for p, c in zip(floor.parent, floor.code, strict=True)]
        assert children == sorted({path[: depth + 1] for path in legal})
        for parent in range(len(prefixes)):
            assert (floor.parent[floor.first[parent] : floor.first[parent + 1]] == parent).all()
        for node, path in enumerate(children):
            below = trie.items[floor.leaf[node] : floor.leaf[node + 1]]
            assert all(tuple(codes[i][: depth + 1]) == path for i in below)
        offered = [sorted(path for path in children if path[:-1] == p) for p in prefixes]
        kinds = {int(p): [children[c] for c in row] for ps, cs in floor.choices for p, row in zip(ps, cs, strict=True)}
        assert kinds == {p: own for p, own in enumerate(offered) if len(own) > 1}
        prefixes = children


def test_a_node_is_reached_where_an_allowed_id_lies_below() -> None:
    codes = np.array([[0, 0], [0, 1], [1, 0], [2, 2]])
    trie = Trie.of(codes, np.ones(4, bool))
    allowed = np.array([[True, False, False, False], [False, False, True, True], [False] * 4])
    assert trie.floors[0].reaching(allowed).tolist() == [[True, False, False], [False, True, True], [False] * 3]
