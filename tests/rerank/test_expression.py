"""Filters and boosters say what Python would say of each item, refuse what they do not know, and run nothing."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from salon.data import Field, IdMap, Items
from salon.errors import DataError, SalonError, SettingError
from salon.rerank.columns import Columns, Labels, Texts, item_columns, scalar
from salon.rerank.expression import MAX_LENGTH, MAX_PARTS, Expression

PRICES = [10.0, None, 30.0, 5.0]
BRANDS = ["Ada", "Bo", None, "Ada"]
COLOURS: list[list[str]] = [["red"], ["red", "blue"], [], ["green"]]


def columns(**more: Any) -> Columns:
    fields = {
        "price": Field.of("price", "number", PRICES),
        "brand": Field.of("brand", "text", BRANDS),
        "colour": Field.of("colour", "category", COLOURS),
        "photo": Field.of("photo", "image", ["a.png", None, None, "d.png"]),
        "size in cm": Field.of("size in cm", "number", [1, 2, 3, 4]),
    }
    hidden = np.array([False, False, True, False])
    items = item_columns(Items(IdMap(["a", "b", "c", "d/é"]), fields), hidden=hidden, created=np.arange(4.0))
    return Columns(4, items, **more)


def holds(text: str, **more: Any) -> list[bool]:
    return list(Expression.parse(text).mask(columns(**more)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("price < 20", [1, 0, 0, 1]),
        ("price >= 10 and not hidden", [1, 0, 0, 0]),
        ("5 < price <= 30", [1, 0, 1, 0]),
        ("missing(price) or hidden", [0, 1, 1, 0]),
        ("price == None", [0, 0, 0, 0]),
        ("price != 10", [0, 1, 1, 1]),
        ('brand == "Ada"', [1, 0, 0, 1]),
        ('brand != "Ada"', [0, 1, 1, 0]),
        ('brand in ["Bo", "Cy"]', [0, 1, 0, 0]),
        ('brand < "B"', [1, 0, 0, 1]),
        ('contains(brand, "aD")', [1, 0, 0, 1]),
        ('"o" in brand', [0, 1, 0, 0]),
        ('"red" in colour', [1, 1, 0, 0]),
        ('colour == "blue"', [0, 1, 0, 0]),
        ('colour in ("blue", "green")', [0, 1, 0, 1]),
        ('"red" not in colour', [0, 0, 1, 1]),
        ("count(colour) > 1", [0, 1, 0, 0]),
        ("missing(colour)", [0, 0, 1, 0]),
        ("photo", [1, 0, 0, 1]),
        ("has(photo) and missing(brand)", [0, 0, 0, 0]),
        ('item["size in cm"] * 2 - 1 > 4', [0, 0, 1, 1]),
        ("price / 0 > 1", [0, 0, 0, 0]),
        ("max(price, 8) == 8", [0, 1, 0, 1]),
        ('id == "d/é"', [0, 0, 0, 1]),
        ("created >= now - days(1)", [0, 1, 1, 1]),
        ("true", [1, 1, 1, 1]),
        ("not true", [0, 0, 0, 0]),
    ],
)
def test_a_filter_holds_where_it_should(text: str, expected: list[int]) -> None:
    assert holds(text, now=86401.0) == [bool(e) for e in expected]


def test_the_person_and_the_moment_can_be_named() -> None:
    more: dict[str, Any] = {
        "user": {"budget": 12.0, "likes": frozenset({"green", "blue"}), "brand": "Ada"},
        "context": {"device": "tv"},
        "user_fields": frozenset({"budget", "likes", "brand", "age"}),
    }
    assert holds("price <= user.budget", **more) == [True, False, False, True]
    assert holds("colour in user.likes", **more) == [False, True, False, True]
    assert holds("brand == user.brand", **more) == [True, False, False, True]
    assert holds('context.device == "tv"', **more) == [True] * 4
    assert holds('context.weather == "rain" or user.age > 3', **more) == [False] * 4
    assert list(Expression.parse("2 if brand == user.brand else 1").numbers(columns(**more))) == [2, 1, 1, 2]
    with pytest.raises(SettingError, match=r"no attribute 'bugdet'.*budget"):
        holds("price < user.bugdet", **more)


def test_a_booster_is_a_number_per_item_and_missing_stays_missing() -> None:
    found = Expression.parse("price * 2").numbers(columns())
    assert np.array_equal(found, [20, np.nan, 60, 10], equal_nan=True)
    assert list(Expression.parse("1.5").numbers(columns())) == [1.5] * 4
    assert list(Expression.parse("hidden").numbers(columns())) == [0, 0, 1, 0]
    with pytest.raises(SettingError, match="no number"):
        Expression.parse("brand").numbers(columns())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("prise < 3", "no item field 'prise'.*price"),
        ("price <", "cannot be read"),
        ("price", "a number, not a yes or no"),
        ('price < "a"', "cannot be compared"),
        ("brand + 1 > 2", "reckon with numbers"),
        ("__import__('os').system('true')", "no function"),
        ("(lambda: 1)()", "no part of an expression"),
        ("[x for x in colour]", "no part of an expression"),
        ("price.real", "have fields"),
        ("item[0]", "named by a text"),
        ("size(brand)", "no function 'size'"),
        ("days(1, 2) > 3", "takes 1 values, not 2"),
        ("contains(text=brand)", "no part of an expression"),
        ("brand in [price]", "texts or numbers alone"),
        ("1e400 > price", "no value of an expression"),
        ("f'{price}' == 'a'", "no part of an expression"),
        ("price < " + "9" * MAX_LENGTH, "characters"),
        ("+".join(["price"] * MAX_PARTS) + " > 1", "parts"),
        ("(" * 900 + "price" + ")" * 900 + " > 1", "cannot be read"),
        ("", "cannot be read"),
        ("price\0 < 3", "cannot be read"),
    ],
)
def test_what_is_not_understood_is_refused_by_name(text: str, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        Expression.parse(text).mask(columns())


@given(st.text(max_size=60) | st.from_regex(r"[a-z0-9 <>=()\[\]'.+*/-]{0,40}", fullmatch=True))
def test_any_text_is_a_mask_or_a_clear_error(text: str) -> None:
    try:
        found = Expression.parse(text).mask(columns())
    except SettingError:
        return
    assert found.shape == (4,)
    assert found.dtype == bool


NUMBERS = st.one_of(st.none(), st.integers(-3, 3).map(float))


@given(st.lists(NUMBERS, min_size=1, max_size=6), NUMBERS, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]))
def test_comparisons_agree_with_python_item_by_item(values: list[float | None], bound: float | None, sign: str) -> None:
    table = Columns(len(values), {"x": np.array([math.nan if v is None else v for v in values])}, context={"b": bound})
    expected = []
    for value in values:
        if value is None or bound is None:
            expected.append(sign == "!=")
        else:
            expected.append(
                {"<": value < bound, "<=": value <= bound, ">": value > bound, ">=": value >= bound}.get(
                    sign, (value == bound) == (sign == "==")
                )
            )
    assert list(Expression.parse(f"x {sign} context.b").mask(table)) == expected


LABELS = st.lists(st.lists(st.sampled_from("abc"), max_size=3, unique=True), min_size=1, max_size=5)


@given(LABELS, st.lists(st.sampled_from("abcd"), max_size=3))
def test_labels_agree_with_sets(rows: list[list[str]], wanted: list[str]) -> None:
    table = Columns(len(rows), {"tag": Labels.of(rows)}, user={"likes": frozenset(wanted)})
    assert list(Expression.parse("tag in user.likes").mask(table)) == [bool(set(row) & set(wanted)) for row in rows]
    assert list(Labels.of(rows).counts()) == [len(row) for row in rows]


def test_only_what_reads_the_person_or_the_time_is_personal() -> None:
    assert not Expression.parse("price < 3 and 'a' in colour").personal
    assert all(Expression.parse(t).personal for t in ("price < user.x", "context.a == 1", "created > now - days(1)"))


def test_texts_of_an_empty_catalogue_answer_nothing() -> None:
    table = Columns(0, {"brand": Texts.of([]), "price": np.zeros(0), "tag": Labels.of([])})
    assert Expression.parse("brand == 'a' or price < 1 or tag == 'x' or missing(tag)").mask(table).shape == (0,)


def test_values_of_people_are_plain() -> None:
    assert scalar(["a", 1]) == frozenset({"a", "1"})
    assert scalar(3) == 3.0
    assert scalar(math.nan) is None
    with pytest.raises(DataError, match="'job' is"):
        scalar({"a": 1}, "job")
    with pytest.raises(SalonError, match="has 2 rows for 1 items"):
        item_columns(Items(IdMap(["a"])), x=np.zeros(2))
