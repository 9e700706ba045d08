"""Query ACLs: a column without query_match may not be asked for at all, one without query_range neither by range or
pattern nor as an order. What the instance then does with the query is a switch, because nobody has recorded it.
Knows parsed queries and no rows.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tests.emulators.servicenow import errors
from tests.emulators.servicenow.query import Condition, Order, Query

if TYPE_CHECKING:
    from tests.emulators.servicenow.state import Instance

# "Safe" operators, of which query_match decides; all the others are ranges, and so is ORDERBY.
MATCH = frozenset({"=", "!=", "IN", "NOT IN", "SAMEAS", "NSAMEAS", "ANYTHING", "ISEMPTY", "ISNOTEMPTY", "EMPTYSTRING"})


def permitted(instance: Instance, table: str, query: Query) -> Query | None:
    """What the caller may ask of the table; None means that it gets no rows."""
    if not any(instance.access.no_match.values()) and not any(instance.access.no_range.values()):
        return query
    kept = _without_forbidden(instance, table, query)
    if kept == query:
        return query
    match instance.switches.query_acl:
        case "refused":
            raise errors.may_not_query()
        case "no_rows":
            return None
        case _:
            return kept


def _without_forbidden(instance: Instance, table: str, query: Query) -> Query:
    groups = []
    for group in query.groups:
        clauses = (tuple(c for c in clause if _may_ask(instance, table, c)) for clause in group)
        if kept := tuple(clause for clause in clauses if clause):
            groups.append(kept)
    order = tuple(one for one in query.order if _may_ask(instance, table, one))
    return replace(query, groups=tuple(groups), order=order)


def _may_ask(instance: Instance, table: str, asked: Condition | Order) -> bool:
    owner, column = _owner(instance, table, asked.field)
    if column in instance.access.no_match.get(owner, ()):
        return False
    is_match = isinstance(asked, Condition) and asked.operator in MATCH
    return is_match or column not in instance.access.no_range.get(owner, ())


def _owner(instance: Instance, table: str, path: str) -> tuple[str, str]:
    """The table and column at the end of a dot-walk."""
    *steps, column = path.split(".")
    for step in steps:
        definition = instance.definition(table)
        table = definition.references.get(step, "") if definition else ""
    return table, column
