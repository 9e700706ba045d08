"""A value as a column of ServiceNow holds it: every value is text, and some types have a form of their own. Pure: knows
no mapping and no record.
"""

from __future__ import annotations

from datetime import UTC
from typing import Any

from provisioning.errors import ObjectError
from provisioning.expressions.dates import read_date
from provisioning.model import Column

LIST = "glide_list"
BOOLEAN = "boolean"
DATE, DATE_TIME = "glide_date", "glide_date_time"
FORMED = frozenset({LIST, BOOLEAN, DATE, DATE_TIME})
"""Column types whose texts have a form of their own."""
TRUTHS = {"true": "true", "1": "true", "yes": "true", "false": "false", "0": "false", "no": "false"}


def column_texts(value: Any, column: Column) -> tuple[str, ...]:
    """The texts of a value, at most one unless the column is a list; none for null. Raises `ObjectError` for several
    values in one column, and for one that the column's type cannot hold.
    """
    match value:
        case None | "":
            return ()
        case str():
            text = value.strip()
        case bool():
            text = "true" if value else "false"
        case int() | float():
            text = str(int(value)) if value == int(value) else str(value)
        case [single]:
            return column_texts(single, column)
        case list() | tuple():
            found = dict.fromkeys(text for item in value for text in column_texts(item, column))
            if len(found) > 1 and column.type != LIST:
                raise ObjectError(
                    "SchemaPropertyCanOnlyAcceptValue",
                    f"{column.name} takes one value and the source attribute holds several",
                    "map one of them, for example with an index: businessPhones[0]",
                )
            return tuple(found)
        case _:
            raise ObjectError(
                "InvalidAttributeValue",
                f"{column.name} takes text, and the source attribute holds an object with members of its own",
                "map one of its members, for example employeeOrgData.costCenter",
            )
    return (_formed(text, column),) if text else ()


def _formed(text: str, column: Column) -> str:
    if column.type == BOOLEAN:
        if (known := TRUTHS.get(text.lower())) is None:
            raise ObjectError(
                "InvalidAttributeValue",
                f"{column.name} is true or false, and the mapped value is neither",
                'map "true" or "false", "1" or "0"',
            )
        return known
    if column.type in {DATE, DATE_TIME}:
        return _date(text, column.type)
    return text


def _date(text: str, kind: str) -> str:
    """ServiceNow takes UTC as `YYYY-MM-DD HH:MM:SS`. What is no date is left to the instance, whose answer is
    compared with what was sent.
    """
    found = read_date(text)
    if found is None:
        return text
    moment = found if found.tzinfo is None else found.astimezone(UTC)
    return f"{moment:%Y-%m-%d}" if kind == DATE else f"{moment:%Y-%m-%d %H:%M:%S}"
