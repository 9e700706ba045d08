"""What an instance calls itself. Which accounts may read that is documented nowhere: not to be told is an answer."""

from __future__ import annotations

from provisioning.adapters.servicenow.answers import records_of
from provisioning.adapters.servicenow.faults import Fault
from provisioning.adapters.servicenow.reading import Calls

NAMES = ("instance_id", "instance_name")
_URL = (
    "/api/now/table/sys_properties?sysparm_query=nameIN" + ",".join(NAMES) + "&sysparm_fields=name,value"
    "&sysparm_display_value=false&sysparm_suppress_pagination_header=true&sysparm_limit=10"
)


async def identity(calls: Calls) -> dict[str, str]:
    """By the names of the properties; those that are not shown, or empty, are absent."""
    rows = records_of(await calls.get(_URL))
    if isinstance(rows, Fault):
        if rows.kind in {"refused", "missing", "no table"}:
            return {}
        raise rows.error(calls.session.host)
    return {row["name"]: row["value"] for row in rows if row.get("name") in NAMES and row.get("value")}
