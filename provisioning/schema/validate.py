"""Checks the mappings against an instance's dictionary: what the instance would refuse, cut or misunderstand. Knows no
JSON and asks no instance.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection, Iterable, Mapping

from provisioning.expressions import read_date
from provisioning.model import Column
from provisioning.schema.findings import Finding, Report
from provisioning.schema.mappings import AttributeMapping, Lookup, ObjectMapping, Schema
from provisioning.schema.names import OBJECT_FILTER

Columns = Mapping[str, Column]

MEMBERSHIPS = "sys_user_grmember"
MANAGER = "manager"
TRUTHS = frozenset({"true", "false", "1", "0", "yes", "no"})
INTEGERS = frozenset({"integer", "longint", "auto_increment"})
NUMBERS = frozenset({"decimal", "float", "double"})
DATES = frozenset({"glide_date", "glide_date_time"})
UNMATCHABLE = {"boolean": "two values tell nobody apart", "glide_list": "it holds several values"}


def validate(schema: Schema, columns: Mapping[str, Columns], *, creatable: Collection[str] = ()) -> tuple[Finding, ...]:
    """`columns` are the columns of the instance's tables, by their names, `creatable` the tables in which records may
    be created for references. Mappings that are switched off are not looked at.
    """
    report = Report()
    for mapping in (schema.user, schema.group):
        if mapping.enabled:
            _validate_lookups(mapping, columns, creatable, report)
            _validate_object(mapping, f"object mapping of {mapping.type}s to {mapping.table}", columns, schema, report)
    if schema.user.enabled and not any(each.target == "active" for each in schema.user.soft_delete):
        report.warning(
            f"object mapping of users to {schema.user.table}",
            "no mapping of active reads IsSoftDeleted, so who is unassigned, filtered out or deleted keeps the account",
            'map active, for example from Switch([IsSoftDeleted], , "False", "1", "True", "0")',
        )
    return report.findings


def _validate_object(
    mapping: ObjectMapping, where: str, columns: Mapping[str, Columns], schema: Schema, report: Report
) -> None:
    table = columns.get(mapping.table)
    if table is None:
        report.error(
            where,
            f"the instance has no table {mapping.table}, or hides it",
            _nearest(mapping.table, columns) or "correct targetObjectName, or let the account read the table",
        )
        return
    for attribute in mapping.attributes:
        if attribute.target == OBJECT_FILTER:
            continue
        place = f"{where}, attribute {attribute.target}"
        column = table.get(attribute.target)
        if column is None:
            report.error(
                place,
                f"{mapping.table} has no column {attribute.target}",
                _nearest(attribute.target, table) or "correct the target attribute, or create the column",
            )
        else:
            _validate_attribute(attribute, column, schema.user.table, place, report)
    for name, value in mapping.preferred:
        if name not in table:
            report.error(
                where,
                f"PreferredMatch asks for {name} {value}, and {mapping.table} has no column {name}",
                _nearest(name, table) or "correct the metadata PreferredMatch",
            )
    if mapping.members and mapping.type == "group" and columns and MEMBERSHIPS not in columns:
        report.error(
            f"{where}, attribute members",
            f"the instance has no table {MEMBERSHIPS}, or hides it",
            "let the account read it",
        )


def _validate_lookups(
    mapping: ObjectMapping, columns: Mapping[str, Columns], creatable: Collection[str], report: Report
) -> None:
    for attribute in mapping.attributes:
        column = columns.get(mapping.table, {}).get(attribute.target)
        lookup = attribute.lookup
        if column is None or lookup == Lookup():
            continue
        where = f"object mapping of {mapping.type}s to {mapping.table}, attribute {attribute.target}"
        table = column.reference
        if table is None:
            report.warning(where, f"reference has no effect: {column.name} refers to no table", "remove it")
        elif lookup.column and lookup.column not in columns.get(table, {lookup.column: column}):
            report.error(
                where,
                f"records of {table} are to be found by {lookup.column}, and {table} has no such column",
                _nearest(lookup.column, columns[table]) or "correct the column of reference",
            )
        elif lookup.policy == "create" and table not in creatable:
            report.warning(
                where,
                f"records of {table} are to be created, and the job may not create any there: they are left out",
                f"name {table} in REFERENCE_CREATE_TABLES, or change the policy of reference",
            )


def _nearest(name: str, names: Iterable[str]) -> str:
    by_key = {each.lower(): each for each in names}
    near = difflib.get_close_matches(name.lower(), by_key, n=3)
    return f"did you mean {' or '.join(by_key[each] for each in near)}?" if near else ""


def _validate_attribute(attribute: AttributeMapping, column: Column, users: str, where: str, report: Report) -> None:
    if column.read_only:
        report.error(where, "the column is read-only: ServiceNow would not store the value", "remove the mapping")
    if attribute.matching_priority > 0:
        _validate_matching(column, where, report)
    if column.type == "reference" or column.reference is not None:
        _validate_reference(attribute, column, users, where, report)
    elif attribute.source is not None and attribute.source.direct == MANAGER:
        report.warning(
            where,
            f"manager gives the object id of a user in Entra, and {column.name} is no reference",
            f"map manager to a reference column of {users}",
        )
    literals = [("defaultValue", attribute.default)]
    if attribute.source is not None and attribute.source.constant is not None:
        literals.append(("the constant", attribute.source.constant))
    for title, text in literals:
        if text and column.reference is None:
            _validate_literal(title, text, column, where, report)


def _validate_matching(column: Column, where: str, report: Report) -> None:
    reason = "it holds the id of another record" if column.reference is not None else UNMATCHABLE.get(column.type)
    if reason is not None:
        report.error(
            where, f"no record can be found by {column.name}: {reason}", "match on a column with a text of its own"
        )


def _validate_reference(attribute: AttributeMapping, column: Column, users: str, where: str, report: Report) -> None:
    if column.reference is None:
        report.error(
            where,
            f"{column.name} is a reference, and the dictionary does not say to which table, so that nothing can be "
            "looked up",
            "correct the column's dictionary entry, or remove the mapping",
        )
    elif MANAGER in attribute.attributes and column.reference != users:
        report.error(
            where,
            f"manager is a user, and {column.name} refers to {column.reference}",
            f"map it to a reference column of {users}",
        )


def _validate_literal(title: str, text: str, column: Column, where: str, report: Report) -> None:
    fits: dict[str, tuple[Callable[[str], bool], str]] = {
        "boolean": (lambda value: value.strip().lower() in TRUTHS, "true or false"),
        **dict.fromkeys(INTEGERS, (_is_integer, "a whole number")),
        **dict.fromkeys(NUMBERS, (_is_number, "a number")),
        **dict.fromkeys(DATES, (lambda value: read_date(value) is not None, "a date as 2026-12-31")),
    }
    check = fits.get(column.type)
    if check is not None:
        if not check[0](text):
            report.error(where, f"{title} is {text!r}, and {column.name} takes {check[1]}", f"write {check[1]}")
    elif len(text) > column.max_length > 0:
        report.warning(
            where,
            f"{title} has {len(text)} characters, and {column.name} holds {column.max_length}: the rest would be cut",
            "shorten it",
        )


def _is_integer(text: str) -> bool:
    return re.fullmatch(r"-?\d+", text.strip(), re.ASCII) is not None


def _is_number(text: str) -> bool:
    return re.fullmatch(r"-?\d+(\.\d+)?", text.strip(), re.ASCII) is not None
