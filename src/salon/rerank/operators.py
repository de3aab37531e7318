"""What expressions can do with values: compare, reckon, choose, and a handful of functions.

A value is a column over all items or one scalar. Comparisons with a missing value are false, but `!=` and `not in`,
which are always the opposite of `==` and `in`.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, cast

import numpy as np

from salon.errors import SettingError
from salon.rerank.columns import Column, Labels, Scalar, Texts
from salon.types import BoolArray

Value: TypeAlias = Column | Scalar | tuple[Scalar, ...] | np.bool_
"""What a part of an expression is: a column, a scalar, or a list as written."""
Yes: TypeAlias = BoolArray | np.bool_
DAY = 86400.0


def kind(value: Value) -> str:
    """What a value is called in messages."""
    if value is None:
        return "missing"
    if isinstance(value, (bool, np.bool_)) or (isinstance(value, np.ndarray) and value.dtype == bool):
        return "a yes or no"
    if isinstance(value, (float, np.ndarray)):
        return "a number"
    if isinstance(value, (str, Texts)):
        return "text"
    return "labels" if isinstance(value, (Labels, frozenset)) else "a list"


def as_yes(value: Value, where: str) -> Yes:
    """A condition; missing is no.

    Raises:
        SettingError: It is a number, text or labels.
    """
    if value is None:
        return np.bool_(False)
    if kind(value) != "a yes or no":
        raise SettingError(f"{where!r} is {kind(value)}, not a yes or no.", hint="Compare it with something.")
    return cast(Yes, np.asarray(value, bool))


def _is_number(value: Value) -> bool:
    return kind(value) in ("a number", "a yes or no", "missing")


def _number(value: Value) -> Any:
    return np.float64("nan") if value is None else np.asarray(value, np.float64)


def _cannot(word: str, left: Value, right: Value) -> SettingError:
    return SettingError(
        f"{kind(left).capitalize()} and {kind(right)} cannot be compared by {word!r}.",
        hint="Put texts in quotes, and compare numbers with numbers.",
    )


def equal(left: Value, right: Value) -> Yes:
    """Where two values are the same; labels equal each label that they hold.

    Raises:
        SettingError: They are of different kinds.
    """
    if left is None or right is None:
        return np.bool_(False)
    if isinstance(right, (Labels, Texts)) and not isinstance(left, (Labels, Texts)):
        left, right = right, left
    if isinstance(left, Labels) and isinstance(right, (str, frozenset)):
        return left.any_of([right] if isinstance(right, str) else right)
    if isinstance(left, Texts) and isinstance(right, (str, frozenset)):
        wanted = {right} if isinstance(right, str) else right
        return left.where(np.array([value in wanted for value in left.values], bool))
    if isinstance(left, Texts) and isinstance(right, Texts):
        return _same_texts(left, right)
    if isinstance(left, (str, frozenset)) and isinstance(right, (str, frozenset)):
        both = [{side} if isinstance(side, str) else side for side in (left, right)]
        return np.bool_(bool(both[0] & both[1]))
    if _is_number(left) and _is_number(right):
        return cast(Yes, _number(left) == _number(right))
    raise _cannot("==", left, right)


def _same_texts(left: Texts, right: Texts) -> BoolArray:
    places = {value: code for code, value in enumerate(left.values)}
    moved = np.array([places.get(value, -2) for value in right.values] + [-2], np.int64)
    return (left.codes >= 0) & (left.codes == moved[right.codes])


def inside(left: Value, right: Value) -> Yes:
    """Where a value is one of a list or of the labels, or a part of a text.

    Raises:
        SettingError: The right side holds nothing.
    """
    if left is None or right is None:
        return np.bool_(False)
    if isinstance(right, tuple):
        result: Yes = np.bool_(False)
        for value in right:
            result = np.logical_or(result, equal(left, value))
        return result
    if isinstance(right, (Labels, frozenset)):
        return equal(right, left)
    if isinstance(right, (str, Texts)) and isinstance(left, str):
        return contains(right, left)
    raise _cannot("in", left, right)


def _ordered(word: str, compare: Callable[[Any, Any], Any]) -> Callable[[Value, Value], Yes]:
    def apply(left: Value, right: Value) -> Yes:
        if left is None or right is None:
            return np.bool_(False)
        if _is_number(left) and _is_number(right):
            return cast(Yes, compare(_number(left), _number(right)))
        if isinstance(left, Texts) and isinstance(right, str):
            return left.where(np.array([compare(value, right) for value in left.values], bool))
        if isinstance(left, str) and isinstance(right, Texts):
            return right.where(np.array([compare(left, value) for value in right.values], bool))
        if isinstance(left, str) and isinstance(right, str):
            return np.bool_(compare(left, right))
        raise _cannot(word, left, right)

    return apply


COMPARE: Mapping[str, Callable[[Value, Value], Yes]] = {
    "Eq": equal,
    "NotEq": lambda left, right: np.logical_not(equal(left, right)),
    "In": inside,
    "NotIn": lambda left, right: np.logical_not(inside(left, right)),
    "Lt": _ordered("<", operator.lt),
    "LtE": _ordered("<=", operator.le),
    "Gt": _ordered(">", operator.gt),
    "GtE": _ordered(">=", operator.ge),
}
"""Name of the operation in Python's syntax tree to what it does."""

_RECKON: Mapping[str, Callable[[Any, Any], Any]] = {
    "Add": np.add,
    "Sub": np.subtract,
    "Mult": np.multiply,
    "Div": np.divide,
}


def arithmetic(name: str, left: Value, right: Value) -> Value:
    """+, -, * or / of numbers; what comes out infinite is missing.

    Raises:
        SettingError: A side is no number.
    """
    for side in (left, right):
        if not _is_number(side):
            raise SettingError(f"Expressions reckon with numbers, not with {kind(side)}.", hint="Compare texts by ==.")
    return _finite(_RECKON[name](_number(left), _number(right)))


def _finite(value: Any) -> Value:
    known = np.where(np.isfinite(value), value, np.nan)
    return known if known.ndim else (None if np.isnan(known) else float(known))


def negated(value: Value, *, minus: bool) -> Value:
    """A number with its sign turned, or as it is.

    Raises:
        SettingError: It is no number.
    """
    return arithmetic("Mult", -1.0 if minus else 1.0, value)


def chosen(yes: Yes, left: Value, right: Value) -> Value:
    """`left` where the condition holds, else `right`; both numbers.

    Raises:
        SettingError: A side is no number.
    """
    for side in (left, right):
        if not _is_number(side):
            raise SettingError(f"'if' chooses between numbers, not {kind(side)}.", hint="Such as: 2 if new else 1")
    return _finite(np.where(yes, _number(left), _number(right)))


def contains(text: Value, part: Value) -> Yes:
    """Where a text has a part, capitals or not.

    Raises:
        SettingError: One of them is no text.
    """
    if text is None or part is None:
        return np.bool_(False)
    if not isinstance(part, str) or not isinstance(text, (str, Texts)):
        raise _cannot("contains", text, part)
    needle = part.casefold()
    if isinstance(text, str):
        return np.bool_(needle in text.casefold())
    return text.where(np.array([needle in value.casefold() for value in text.values], bool))


def missing(value: Value) -> Yes:
    """Where there is no value: no text, no label, no number, no medium."""
    if isinstance(value, Texts):
        return value.codes < 0
    if isinstance(value, Labels):
        return value.counts() == 0
    if isinstance(value, np.ndarray):
        return np.asarray(~value.astype(bool) if value.dtype == bool else np.isnan(value), bool)
    return np.bool_(value is None)


def count(value: Value) -> Value:
    """How many labels there are.

    Raises:
        SettingError: It has no labels.
    """
    if isinstance(value, Labels):
        return value.counts()
    if isinstance(value, (frozenset, tuple)):
        return float(len(value))
    raise SettingError(f"count() counts labels, not {kind(value)}.", hint="Name a field with labels.")


def _numeric(name: str, function: Callable[..., Any]) -> Callable[..., Value]:
    def apply(*values: Value) -> Value:
        for value in values:
            if not _is_number(value):
                raise SettingError(f"{name}() takes numbers, not {kind(value)}.", hint="Name a number field.")
        return _finite(function(*(_number(value) for value in values)))

    return apply


FUNCTIONS: Mapping[str, tuple[int, int, Callable[..., Value]]] = {
    "missing": (1, 1, missing),
    "has": (1, 1, lambda value: np.logical_not(missing(value))),
    "contains": (2, 2, contains),
    "count": (1, 1, count),
    "days": (1, 1, _numeric("days", lambda value: value * DAY)),
    "hours": (1, 1, _numeric("hours", lambda value: value * 3600.0)),
    "abs": (1, 1, _numeric("abs", np.abs)),
    "log": (1, 1, _numeric("log", np.log)),
    "exp": (1, 1, _numeric("exp", np.exp)),
    "sqrt": (1, 1, _numeric("sqrt", np.sqrt)),
    "min": (2, 2, _numeric("min", np.fmin)),
    "max": (2, 2, _numeric("max", np.fmax)),
}
"""Function to how many values it takes, at least and at most, and what it does."""
