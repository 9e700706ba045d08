"""What values are and how they count as text, number and truth; when two are equal. Every rule about null is here.

null     an absent attribute; equal to "" in comparisons, "" where a text is expected
blank    null, "" or a list without values: Entra stores no empty values, so the three are one
list     a tuple; where one value is expected, a list of one is its value, and several are an error
text     True and False for booleans; numbers without exponent and without a trailing ".0"
"""

from __future__ import annotations

import enum
import math
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

NUMBER = re.compile(r"\s*([+-]?)(\d{1,30})(\.\d{1,30})?\s*", re.ASCII)
CODE = re.compile(r"\s*[+-]?0\d+(\.\d+)?\s*|\s*\+.*", re.ASCII)
LONGEST_SHOWN = 40


class Flow(enum.Enum):
    """Results that are no value but say what happens to the attribute, or to the whole object."""

    IGNORE_ATTRIBUTE = "IgnoreAttributeFlow"
    IGNORE_OBJECT = "IgnoreObjectFlow"


Value = None | str | bool | int | float | tuple[Any, ...] | Flow


class Unfit(Exception):
    """A value does not fit a function. The call that was being evaluated turns it into an `ExpressionError`."""


def is_blank(value: Any) -> bool:
    return value is None or value == "" or (isinstance(value, tuple | list) and all(map(is_blank, value)))


def one(value: Any) -> Any:
    """The value itself, or the only one of a list."""
    if isinstance(value, tuple | list):
        if len(value) > 1:
            raise Unfit(f"takes one value and was given {len(value)}")
        return one(value[0]) if value else None
    return value


def text(value: Any) -> str:
    """One value as text; null is ""."""
    if type(value) is str:
        return value
    match value:
        case None:
            return ""
        case tuple() | list():
            return text(one(value))
        case str():
            return str(value)
        case bool():
            return "True" if value else "False"
        case int():
            return _integer_text(value)
        case float():
            return _float_text(value)
        case datetime():
            return moment_text(value)
        case Flow():
            raise Unfit(f"cannot use {value.value}, which is no value")
        case Mapping():
            raise Unfit("takes a text and was given an object with members of its own")
        case _:
            raise Unfit(f"takes a text and was given {type(value).__name__}")


def texts(value: Any) -> tuple[str, ...]:
    """All values as texts, flattened, without the blank ones."""
    if isinstance(value, tuple | list):
        return tuple(each for item in value for each in texts(item))
    found = text(value)
    return (found,) if found else ()


def number(value: Any) -> int | float:
    """One value as a number; quoted numbers count."""
    found = numeric(one(value))
    if found is None:
        raise Unfit(f"takes a number and was given {shown(value)}")
    return found


def integer(value: Any) -> int:
    """One value as a whole number."""
    found = number(value)
    if found != found or found in {math.inf, -math.inf} or found != int(found):  # noqa: PLR0124 - not a number
        raise Unfit(f"takes a whole number and was given {shown(value)}")
    return int(found)


def numeric(value: Any) -> int | float | None:
    """The number that a value is or spells, None for any other. Booleans are no numbers."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return value
    if isinstance(value, str) and (found := NUMBER.fullmatch(value)):
        return float(value) if found[3] else int(value)
    return None


def truth(value: Any) -> bool:
    """Whether a value counts as true: a boolean that is, a number other than 0, the text "true" in any case."""
    value = one(value)
    if isinstance(value, bool):
        return value
    if (found := numeric(value)) is not None:
        return found != 0
    return isinstance(value, str) and value.strip().lower() == "true"


def compare(left: Any, operator: str, right: Any) -> bool:
    """Numerically when both sides are numbers or spell one, else by the texts' code points; null equals "".

    Two texts of which one begins with a needless 0 or a plus are codes, not numbers: "007" is not "7".
    """
    if is_blank(left) or is_blank(right):
        # A list of several values has no text, but it can be told from nothing.
        order = is_blank(right) - is_blank(left)
        return ORDERS[operator](order)
    left, right = one(left), one(right)
    first, second = numeric(left), numeric(right)
    if first is None or second is None or _are_codes(left, right):
        a, b = text(left), text(right)
        return ORDERS[operator]((a > b) - (a < b))
    return ORDERS[operator]((first > second) - (first < second))


ORDERS: dict[str, Callable[[int], bool]] = {
    "=": lambda order: order == 0,
    "<>": lambda order: order != 0,
    ">": lambda order: order > 0,
    ">=": lambda order: order >= 0,
    "<": lambda order: order < 0,
    "<=": lambda order: order <= 0,
}


def each(value: Any, change: Callable[[str], str]) -> str | tuple[str, ...] | None:
    """A change of one text, applied to each value of a list; null stays null."""
    if value is None:
        return None
    if isinstance(value, tuple | list):
        return tuple(change(text(item)) for item in value if item is not None)
    return change(text(value))


def moment_text(moment: datetime) -> str:
    """A date as text, in UTC: `M/d/yyyy h:mm:ss tt`."""
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC)
    hour, half = moment.hour % 12 or 12, "AM" if moment.hour < 12 else "PM"  # noqa: PLR2004 - hours of a clock
    return f"{moment.month}/{moment.day}/{moment.year} {hour}:{moment.minute:02}:{moment.second:02} {half}"


def shown(value: Any) -> str:
    """A value in a message."""
    if value is None:
        return "null"
    written = f'"{value}"' if isinstance(value, str) else str(value)
    return written if len(written) <= LONGEST_SHOWN else f"{written[:LONGEST_SHOWN]}…"


def frozen(value: Any) -> Any:
    """An attribute's value as expressions hold it."""
    return tuple(value) if isinstance(value, list) else value


def distinct(values: Iterable[Any]) -> tuple[Any, ...]:
    """Each value once, where it first stood. Values may be unhashable."""
    found: list[Any] = []
    seen: set[Any] = set()
    for value in values:
        key = (type(value), text(value)) if not isinstance(value, Mapping) else repr(sorted(value.items()))
        if key not in seen:
            seen.add(key)
            found.append(value)
    return tuple(found)


def _integer_text(value: int) -> str:
    if value.bit_length() > 4096:  # noqa: PLR2004 - Python refuses to print numbers beyond 4,300 digits
        raise Unfit("was given a number that is too large")
    return str(int(value))


def _float_text(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if value == int(value):
        return str(int(value))
    return f"{Decimal(repr(float(value))):f}"


def _are_codes(left: Any, right: Any) -> bool:
    if not (isinstance(left, str) and isinstance(right, str)):
        return False
    return any(CODE.fullmatch(side) for side in (left, right))
