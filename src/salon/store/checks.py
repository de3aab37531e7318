"""What the store takes: words that every database can keep, and JSON of a limited size.

NaN and infinity are refused, not turned into null: JSON has neither, and a guess would be stored as if it were meant.
So are the character NUL, which PostgreSQL refuses, and half characters (lone surrogates), which no UTF-8 text can hold.
"""

from __future__ import annotations

import json
import math
import re
import secrets
import time
from typing import Any

from salon.data.ids import MAX_ID_LENGTH, check_id
from salon.errors import DataError

MAX_FIELDS = 1 << 18
"""Most bytes of the fields of one item or person, as JSON."""
MAX_PROPERTIES = 1 << 14
"""Most bytes of the properties of one event, as JSON."""
MAX_BODY = 1 << 24
"""Most bytes of one experiment, scenario, metrics or small state, as JSON."""
MAX_PAGE = 10_000
"""Most rows of one page."""

_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


def fresh_id() -> str:
    """An id that nobody has: ids made later sort later, which keeps indexes compact."""
    return f"{time.time_ns():016x}{secrets.token_hex(8)}"


def named(name: str, what: str) -> str:
    """`name`, which is an id.

    Raises:
        DataError: It has not 1 to 300 characters, or one that cannot be kept.
    """
    check_id(name, what)
    return kept(name, what)


def word(text: str, what: str) -> str:
    """`text`, which may be empty.

    Raises:
        DataError: It has more than 300 characters, or one that cannot be kept.
    """
    if len(text) > MAX_ID_LENGTH:
        raise DataError(f"The {what} {text[:40]!r} has {len(text)} characters.", hint=f"Allowed: {MAX_ID_LENGTH}.")
    return kept(text, what)


def kept(text: str, what: str) -> str:
    """`text`, if both databases can keep it."""
    if "\0" in text:
        raise DataError(f"The {what} {text[:40]!r} holds the character NUL.", hint="Leave it out.")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise DataError(f"The {what} {text[:40]!r} holds half a character.", hint="Send whole UTF-8.") from None
    return text


def as_json(value: Any, what: str, most: int = MAX_BODY) -> str:
    """`value` as compact JSON.

    Raises:
        DataError: It is not plain, holds NaN or infinity or a character that cannot be kept, or is too long.
    """
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        size = len(text.encode())
    except UnicodeEncodeError:
        raise DataError(f"The {what} hold half a character.", hint="Send whole UTF-8.") from None
    except (TypeError, ValueError, RecursionError) as error:
        hint = "Use text, finite numbers, true, false, null, lists and objects; null stands for a missing value."
        raise DataError(f"The {what} are no JSON: {error}.", hint=hint) from None
    if size > most:
        raise DataError(f"The {what} have {size} bytes as JSON.", hint=f"Allowed: {most}.")
    if "\\u0000" in text and _NUL.search(text):
        raise DataError(f"The {what} hold the character NUL.", hint="Leave it out.")
    return text


def number(value: float, what: str) -> float:
    """`value` as a finite float.

    Raises:
        DataError: It is no number, NaN or infinite.
    """
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError):
        raise DataError(f"The {what} {str(value)[:40]!r} is no number.") from None
    if not math.isfinite(found):
        raise DataError(f"The {what} is {found}.", hint="Leave it out where it is not known.")
    return found


def page_size(n: int) -> int:
    """`n`, if a page may be so long.

    Raises:
        DataError: It is below 1 or above 10,000.
    """
    if not 1 <= n <= MAX_PAGE:
        raise DataError(f"A page cannot have {n} rows.", hint=f"Allowed: 1 to {MAX_PAGE}.")
    return n


def place_of(cursor: int | str) -> int:
    """The place in a list that a cursor names; an empty one names the beginning.

    Raises:
        DataError: It is no cursor.
    """
    try:
        found = int(cursor or 0)
    except ValueError:
        found = -1
    if not 0 <= found < 1 << 63:
        raise DataError(f"{str(cursor)[:40]!r} is no cursor.", hint="Give the cursor of the last page.")
    return found
