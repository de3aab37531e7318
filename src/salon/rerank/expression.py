"""Filters and boosters: one short expression over the fields of items, of the person and of the moment.

    price < 20 and "red" in colour and not hidden
    kind in ["film", "series"] and created > now - days(30)
    item["size in cm"] <= user.shelf or context.device == "tv"
    2 if brand == user.brand else 1

The words are those of Python's expressions, read by Python's own parser and then by this file alone: nothing is
evaluated as code, and only what stands in the tables below is understood. A missing value equals nothing and is neither
above nor below anything; `missing(field)` asks for it. A field with several labels equals each of them.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from salon.errors import SettingError, did_you_mean
from salon.rerank.columns import Columns
from salon.rerank.operators import COMPARE, FUNCTIONS, Value, Yes, arithmetic, as_yes, chosen, negated
from salon.types import BoolArray, FloatArray

MAX_LENGTH = 2000
"""Characters of an expression."""
MAX_PARTS = 300
"""Names, values and operations of an expression."""
HINT = 'Write something like: price < 20 and "red" in colour'
ROOTS = ("item", "user", "context")
PART = tuple[type[ast.AST], ...]
KNOWN: PART = (
    ast.Expression, ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.Not, ast.USub, ast.UAdd, ast.BinOp, ast.Add, ast.Sub,
    ast.Mult, ast.Div, ast.Compare, ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.In, ast.NotIn, ast.IfExp,
    ast.Call, ast.Name, ast.Attribute, ast.Subscript, ast.Constant, ast.List, ast.Tuple, ast.Set, ast.Load,
)  # fmt: skip


@dataclass(frozen=True)
class Expression:
    """A checked expression.

    Attributes:
        text: As written.
        tree: Its parts.
        personal: Whether it reads the person, the moment or the time, so that its value cannot be kept.
    """

    text: str
    tree: ast.expr
    personal: bool

    @classmethod
    def parse(cls, text: str) -> Expression:
        """Reads an expression; what it names is looked up when it is used.

        Raises:
            SettingError: It is too long, cannot be read, or uses something that expressions do not have.
        """
        if len(text) > MAX_LENGTH:
            raise SettingError(f"The expression has {len(text)} characters.", hint=f"At most {MAX_LENGTH} are read.")
        try:
            tree = ast.parse(text.strip(), mode="eval")
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            place = f" at character {error.offset}" if isinstance(error, SyntaxError) and error.offset else ""
            raise SettingError(f"The expression {text!r} cannot be read{place}.", hint=HINT) from None
        parts = list(ast.walk(tree))
        if len(parts) > MAX_PARTS:
            raise SettingError(f"The expression has {len(parts)} parts.", hint=f"At most {MAX_PARTS} are read.")
        for part in parts:
            if not isinstance(part, KNOWN) or (isinstance(part, ast.Call) and part.keywords):
                raise SettingError(f"{_shown(part, text)!r} is no part of an expression.", hint=HINT)
        words = {part.id for part in parts if isinstance(part, ast.Name)}
        return cls(text, tree.body, bool(words & {"user", "context", "now"}))

    def mask(self, columns: Columns) -> BoolArray:
        """(items,) bool, where it holds.

        Raises:
            SettingError: It names an unknown field, compares what cannot be compared, or is no yes or no.
        """
        value = self._value(columns)
        return np.broadcast_to(as_yes(value, self.text), columns.n).copy()

    def numbers(self, columns: Columns) -> FloatArray:
        """(items,) float64 of an expression that is a number, NaN where a value it needs is missing.

        Raises:
            SettingError: As for `mask`, or it is text.
        """
        value = self._value(columns)
        if value is None:
            return np.full(columns.n, np.nan)
        if not isinstance(value, (bool, float, np.bool_, np.ndarray)):
            raise SettingError(f"{self.text!r} is no number.", hint="A booster is a number, such as: 2 if new else 1")
        return np.broadcast_to(np.asarray(value, np.float64), columns.n).copy()

    def _value(self, columns: Columns) -> Value:
        try:
            with np.errstate(all="ignore"):
                return _evaluate(self.tree, columns)
        except RecursionError:
            raise SettingError("The expression is nested too deeply.", hint="Write it flatter.") from None


def _shown(part: ast.AST, text: str) -> str:
    return ast.get_source_segment(text.strip(), part) or type(part).__name__


def _evaluate(node: ast.expr, columns: Columns) -> Value:
    return _READERS[type(node)](node, columns)


def _constant(node: ast.Constant, columns: Columns) -> Value:
    value = node.value
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, (int, float)):
        try:
            number = float(value)
        except OverflowError:
            number = float("inf")
        if np.isfinite(number):
            return number
    raise SettingError(f"{value!r} is no value of an expression.", hint="Write text, numbers, True, False or None.")


def _name(node: ast.Name, columns: Columns) -> Value:
    if node.id == "now":
        return columns.now
    if node.id in ("true", "false", "none", "null"):
        return {"true": True, "false": False}.get(node.id)
    return _field(node.id, columns)


def _field(name: str, columns: Columns) -> Value:
    if name not in columns.items:
        known = [*columns.items, "now", *ROOTS]
        raise SettingError(f"There is no item field {name!r}.", hint=did_you_mean(name, known))
    return columns.items[name]


def _attribute(node: ast.Attribute, columns: Columns) -> Value:
    return _of_root(node.value, node.attr, columns)


def _subscript(node: ast.Subscript, columns: Columns) -> Value:
    if not isinstance(node.slice, ast.Constant) or not isinstance(node.slice.value, str):
        raise SettingError("A field in brackets is named by a text.", hint='Such as item["size in cm"].')
    return _of_root(node.value, node.slice.value, columns)


def _of_root(root: ast.expr, name: str, columns: Columns) -> Value:
    """The field `name` of item, user or context."""
    where = root.id if isinstance(root, ast.Name) else ""
    if where == "item":
        return _field(name, columns)
    if where == "context":
        return columns.context.get(name)
    if where != "user":
        raise SettingError(f"Only {', '.join(ROOTS)} have fields.", hint="Such as user.age or context.device.")
    known = columns.user_fields
    if known is not None and name not in known and name not in columns.user:
        raise SettingError(f"People have no attribute {name!r}.", hint=did_you_mean(name, known))
    return columns.user.get(name)


def _list(node: ast.List | ast.Tuple | ast.Set, columns: Columns) -> Value:
    values = [_evaluate(part, columns) for part in node.elts]
    if not all(isinstance(value, (str, float, bool)) for value in values):
        raise SettingError("A list in an expression holds texts or numbers alone.", hint='Such as ["red", "blue"].')
    return tuple(values)  # type: ignore[arg-type]


def _both(node: ast.BoolOp, columns: Columns) -> Value:
    join = np.logical_and if isinstance(node.op, ast.And) else np.logical_or
    result = as_yes(_evaluate(node.values[0], columns), ast.unparse(node.values[0]))
    for part in node.values[1:]:
        result = join(result, as_yes(_evaluate(part, columns), ast.unparse(part)))
    return result


def _unary(node: ast.UnaryOp, columns: Columns) -> Value:
    value = _evaluate(node.operand, columns)
    if isinstance(node.op, ast.Not):
        return np.logical_not(as_yes(value, ast.unparse(node.operand)))
    return negated(value, minus=isinstance(node.op, ast.USub))


def _binary(node: ast.BinOp, columns: Columns) -> Value:
    return arithmetic(type(node.op).__name__, _evaluate(node.left, columns), _evaluate(node.right, columns))


def _compare(node: ast.Compare, columns: Columns) -> Value:
    left = _evaluate(node.left, columns)
    result: Yes = np.bool_(True)
    for operator, part in zip(node.ops, node.comparators, strict=True):
        right = _evaluate(part, columns)
        result = np.logical_and(result, COMPARE[type(operator).__name__](left, right))
        left = right
    return result


def _choice(node: ast.IfExp, columns: Columns) -> Value:
    yes = as_yes(_evaluate(node.test, columns), ast.unparse(node.test))
    return chosen(yes, _evaluate(node.body, columns), _evaluate(node.orelse, columns))


def _call(node: ast.Call, columns: Columns) -> Value:
    name = node.func.id if isinstance(node.func, ast.Name) else ast.unparse(node.func)
    if name not in FUNCTIONS:
        raise SettingError(f"There is no function {name!r}.", hint=did_you_mean(name, FUNCTIONS))
    least, most, function = FUNCTIONS[name]
    if not least <= len(node.args) <= most:
        wanted = str(least) if least == most else f"{least} to {most}"
        raise SettingError(f"{name}() takes {wanted} values, not {len(node.args)}.", hint=HINT)
    return function(*(_evaluate(part, columns) for part in node.args))


_READERS: Mapping[type[ast.expr], Callable[[Any, Columns], Value]] = {
    ast.Constant: _constant,
    ast.Name: _name,
    ast.Attribute: _attribute,
    ast.Subscript: _subscript,
    ast.List: _list,
    ast.Tuple: _list,
    ast.Set: _list,
    ast.BoolOp: _both,
    ast.UnaryOp: _unary,
    ast.BinOp: _binary,
    ast.Compare: _compare,
    ast.IfExp: _choice,
    ast.Call: _call,
}
