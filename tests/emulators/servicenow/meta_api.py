"""`/api/now/ui/meta/TABLE`: the columns of a table for callers without rights on sys_dictionary. Undocumented by
ServiceNow; shaped as WorkArena relies on it. Knows definitions only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.emulators.servicenow.dictionary import Column
from tests.emulators.servicenow.messages import Reply, Request, result

if TYPE_CHECKING:
    from tests.emulators.servicenow.routes import Route
    from tests.emulators.servicenow.state import Instance


def answer(instance: Instance, _request: Request, route: Route) -> Reply:
    columns = instance.table(route.table).columns
    return result(200, {"columns": {name: _described(column) for name, column in columns.items()}})


def _described(column: Column) -> dict[str, Any]:
    described: dict[str, Any] = {
        "name": column.name,
        "label": column.label,
        "type": column.type,
        "max_length": column.max_length,
        "mandatory": column.mandatory,
        "read_only": column.read_only,
    }
    if column.reference:
        described["reference"] = column.reference
    if column.choices:
        described["choices"] = [{"label": label, "value": value} for value, label in column.choices.items()]
    return described
