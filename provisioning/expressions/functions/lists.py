"""Functions of multi-valued attributes."""

from __future__ import annotations

from typing import Any

from provisioning.expressions.signatures import Run, Scope, Site, built, eager
from provisioning.expressions.values import Unfit, distinct, integer, is_blank, text, texts

DELIMITER = ","
"""Where Split cuts when it is not told, which Graph's signature allows."""


def many(value: Any) -> tuple[Any, ...]:
    """All values of an attribute, however many it holds."""
    if isinstance(value, tuple | list):
        return tuple(each for each in value if not is_blank(each))
    return () if is_blank(value) else (value,)


def count(attribute: Any) -> int:
    return len(many(attribute))


def item(attribute: Any, index: Any) -> Any:
    values, at = many(attribute), integer(index)
    if at < 1:
        raise Unfit(f"counts from 1 and was given the index {at}")
    if at > len(values):
        raise Unfit(f"was asked for value {at} and there are {len(values)}")
    return values[at - 1]


def join(site: Site) -> Run:
    """Blank sources leave no separator behind."""
    separator = site.run(0)
    runs = tuple(run for run in site.runs[1:] if run is not None)

    def joined(scope: Scope) -> str:
        found: list[str] = []
        for run in runs:
            value = run(scope)
            if type(value) is str:
                if value:
                    found.append(value)
            elif value is not None:
                found += texts(value)
        return text(separator(scope)).join(found)

    return joined


def split(source: Any, delimiter: Any = None) -> tuple[str, ...] | None:
    """Each item is trimmed; those of a list are cut one after the other. Items may be empty."""
    if source is None:
        return None
    cut = text(delimiter) or DELIMITER
    return tuple(piece.strip() for value in texts(source) for piece in value.split(cut))


def remove_duplicates(attribute: Any) -> tuple[Any, ...] | None:
    """Each value where it first stood. Case makes a difference."""
    return None if attribute is None else distinct(many(attribute))


FUNCTIONS = (
    eager("Count(attribute: String)", count),
    eager("Item(attribute: String, index: Integer)", item),
    built("Join(separator: String, source: String+)", join),
    eager("Split(source: String, delimiter: String?)", split),
    eager("RemoveDuplicates(attribute: String)", remove_duplicates),
)
