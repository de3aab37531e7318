"""An action follows from the answer that it names, or from the last one that showed the item in time."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from salon.errors import DataError
from salon.feedback.attribution import Acts, Shown, attributed, clicked


def shown(*rows: tuple[int, int, int, float]) -> Shown:
    answers, users, items, times = (np.array(c) for c in zip(*rows, strict=True)) if rows else [np.zeros(0, int)] * 4
    return Shown(answers, users, items, times.astype(float))


def acts(*rows: tuple[int, int, float, int]) -> Acts:
    users, items, times, answers = (np.array(c) for c in zip(*rows, strict=True)) if rows else [np.zeros(0, int)] * 4
    return Acts(users, items, times.astype(float), answers)


LOG = shown((0, 7, 1, 10.0), (0, 7, 2, 10.0), (1, 7, 1, 20.0), (2, 8, 1, 15.0), (3, -1, 5, 5.0))


@pytest.mark.parametrize(
    ("act", "row"),
    [
        ((7, 1, 25.0, -1), 2),
        ((7, 1, 15.0, -1), 0),
        ((7, 2, 19.0, -1), 1),
        ((7, 2, 21.0, -1), -1),
        ((7, 1, 5.0, -1), -1),
        ((7, 1, 10.0, -1), 0),
        ((7, 1, 99.0, 0), 0),
        ((7, 9, 11.0, 0), -1),
        ((-1, 5, 1.0, 3), 4),
        ((-1, 5, 6.0, -1), -1),
        ((9, 1, 16.0, -1), -1),
    ],
)
def test_last_touch_within_the_window(act: tuple[int, int, float, int], row: int) -> None:
    assert attributed(LOG, acts(act), window=10.0).tolist() == [row]


def test_clicks_are_per_place_and_empty_logs_are_answered() -> None:
    assert clicked(LOG, acts((7, 1, 25.0, -1), (7, 1, 26.0, -1)), window=60).tolist() == [
        False,
        False,
        True,
        False,
        False,
    ]
    assert attributed(shown(), acts((1, 1, 1.0, -1))).tolist() == [-1]
    assert attributed(LOG, acts()).tolist() == []
    with pytest.raises(DataError, match="-1"):
        attributed(LOG, acts(), window=-1)


ROWS = st.lists(st.tuples(st.integers(0, 3), st.integers(-1, 2), st.integers(0, 2), st.integers(0, 9)), max_size=8)
DONE = st.lists(st.tuples(st.integers(-1, 2), st.integers(0, 2), st.integers(0, 9), st.integers(-1, 3)), max_size=6)


@given(ROWS, DONE, st.integers(0, 6))
def test_it_agrees_with_a_loop(
    rows: list[tuple[int, int, int, int]], done: list[tuple[int, int, int, int]], w: int
) -> None:
    log, what = (
        shown(*((a, u, i, float(t)) for a, u, i, t in rows)),
        acts(*((u, i, float(t), a) for u, i, t, a in done)),
    )
    found = attributed(log, what, window=float(w))
    for (user, item, time, answer), row in zip(done, found.tolist(), strict=True):
        if answer >= 0:
            matching = [r for r, (a, _, i, _) in enumerate(rows) if a == answer and i == item]
        else:
            matching = [r for r, (_, u, i, t) in enumerate(rows) if u == user >= 0 and i == item and 0 <= time - t <= w]
        if not matching:
            assert row == -1
        else:
            assert row in matching
            assert answer >= 0 or rows[row][3] == max(rows[r][3] for r in matching)
