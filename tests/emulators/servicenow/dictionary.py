"""What the instance knows about its tables: the baseline dictionary of the file beside this module, as frozen values.
Columns say how a written value becomes the string that is stored. Knows no rows, no rules and no HTTP.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from importlib import resources
from typing import Any

SYS_DOMAIN = {"sys_domain": "sys_user_group"}
NUMBERS = frozenset({"integer", "decimal", "float", "currency", "longint"})
REFERENCES = frozenset({"reference", "domain_id"})
OWN = frozenset({"sys_domain", "sys_domain_path", "sys_security_acl", "sys_user_role"})
"""Columns that begin like the platform's and are written like any other."""
SECRETS = frozenset({"password", "password2"})


@dataclass(frozen=True, slots=True)
class Column:
    """One dictionary entry. `choices` is None for a free column and empty for a choice list nobody checks."""

    name: str
    type: str = "string"
    max_length: int = 40
    label: str = ""
    reference: str = ""
    default: str = ""
    choices: Mapping[str, str] | None = None
    mandatory: bool = False
    unique: bool = False
    read_only: bool = False

    @property
    def is_number(self) -> bool:
        return self.type in NUMBERS

    @property
    def is_reference(self) -> bool:
        return self.type in REFERENCES

    @property
    def is_computed(self) -> bool:
        """Its default is a script, as in `javascript:gs.getUserID()`."""
        return self.default.startswith("javascript:")

    @property
    def is_system(self) -> bool:
        """Kept by the platform itself: a written value is ignored, save for sys_id on an insert."""
        return self.name.startswith("sys_") and self.name not in OWN


@dataclass(frozen=True, slots=True)
class Table:
    """One table: its columns in order, and what is derived from them once so that each request need not."""

    name: str
    label: str
    display: str
    columns: Mapping[str, Column]
    blank: Mapping[str, str] = field(repr=False)
    references: Mapping[str, str] = field(repr=False)
    defaults: Mapping[str, str] = field(repr=False)
    computed: Mapping[str, str] = field(repr=False)
    writers: Mapping[str, Callable[[Any], str]] = field(repr=False)
    closed_choices: Mapping[str, Mapping[str, str]] = field(repr=False)
    unique: tuple[str, ...]


def table(name: str, label: str, display: str, columns: Mapping[str, Column]) -> Table:
    return Table(
        name,
        label,
        display,
        columns,
        blank=dict.fromkeys(columns, ""),
        references={n: c.reference or SYS_DOMAIN.get(n, "") for n, c in columns.items() if c.is_reference},
        defaults={n: c.default for n, c in columns.items() if c.default and not (c.is_system or c.is_computed)},
        computed={n: c.default for n, c in columns.items() if c.is_computed},
        writers={n: writer(c) for n, c in columns.items() if not c.is_system},
        closed_choices={n: c.choices for n, c in columns.items() if c.choices},
        unique=tuple(n for n, c in columns.items() if c.unique and n != "sys_id"),
    )


def with_column(existing: Table, column: Column) -> Table:
    return table(existing.name, existing.label, existing.display, {**existing.columns, column.name: column})


def new_table(name: str, label: str, display: str, columns: Iterable[Mapping[str, Any]]) -> Table:
    """A table of these columns and those that the platform keeps in every table."""
    system = [c for c in baseline()["sys_user_role"].columns.values() if c.is_system]
    own = [Column(**({"label": _label(str(c["name"]))} | dict(c))) for c in columns]
    return table(name, label, display, {c.name: c for c in [*own, *system]})


@cache
def baseline() -> Mapping[str, Table]:
    text = resources.files(__package__).joinpath("dictionary.json").read_text("utf-8")
    return {
        name: table(
            name,
            entry["label"],
            entry["display"] or "",
            {c["name"]: Column(**({"label": _label(c["name"])} | c)) for c in entry["columns"]},
        )
        for name, entry in json.loads(text).items()
    }


def _label(name: str) -> str:
    return name.removeprefix("u_").replace("_", " ").capitalize()


def writer(column: Column) -> Callable[[Any], str]:
    """How a value sent for this column is stored: everything is a string, and what does not fit is cut."""
    if column.type == "boolean":
        return _boolean
    if column.is_number:
        return _number
    if column.type == "glide_date_time":
        return lambda value: _date(text(value), "%Y-%m-%d %H:%M:%S")
    if column.type in {"glide_date", "date"}:
        return lambda value: _date(text(value)[:10], "%Y-%m-%d")
    # "the database keeps only n characters" (KB0685779), without an error.
    length = column.max_length

    def cut(value: Any) -> str:
        return (value if type(value) is str else text(value))[:length]

    return cut


def text(value: Any) -> str:
    """JSON booleans and numbers are accepted on input; null clears."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):  # a reference sent back as it was read
        return text(value.get("value"))
    return str(value)


def _boolean(value: Any) -> str:
    return "true" if value is True or text(value).lower() in {"true", "1"} else "false"


def _number(value: Any) -> str:
    digits = text(value)
    try:
        float(digits)
    except ValueError:
        return ""
    return digits


def _date(value: str, form: str) -> str:
    try:
        datetime.strptime(value, form)  # noqa: DTZ007 - date-times are UTC by convention
    except ValueError:
        return ""
    return value
