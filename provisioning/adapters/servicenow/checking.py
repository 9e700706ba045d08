"""The connection test: can we reach the instance, does it accept us, which tables can be read. Every finding says
what to do. Writes nothing and raises nothing that a finding can say.
"""

from __future__ import annotations

from collections.abc import Sequence

import httpx
from msgspec import Struct

from provisioning.adapters.servicenow.faults import Fault
from provisioning.adapters.servicenow.reading import Calls, Reader
from provisioning.adapters.servicenow.session import CLIENT
from provisioning.errors import Unauthorized, Unavailable

_NEVER_EMPTY = frozenset({"sys_user"})


class Finding(Struct, frozen=True):
    what: str
    ok: bool
    detail: str
    way_out: str = ""


async def check(calls: Calls, reader: Reader, tables: Sequence[str]) -> tuple[Finding, ...]:
    host = calls.session.host
    client = Finding("client", ok=True, detail=f"{CLIENT}, httpx {httpx.__version__}")
    urls = [f"/api/now/table/{table}?sysparm_fields=sys_id&sysparm_limit=1" for table in tables]
    try:
        results = await reader.results(urls)
    except Unauthorized as error:
        reached = Finding("connection", ok=True, detail=f"{host} answers")
        return (client, reached, _failed("credentials", error))
    except Unavailable as error:
        return (client, _failed("connection", error))
    findings = [
        client,
        Finding("connection", ok=True, detail=f"{host} answers"),
        Finding("credentials", ok=True, detail="accepted"),
    ]
    for table, rows in zip(tables, results, strict=True):
        if isinstance(rows, Fault):
            findings.append(Finding(f"table {table}", ok=False, detail=rows.message, way_out=rows.way_out))
        elif not rows and table in _NEVER_EMPTY:
            way_out = "Give the integration user the role user_admin, or another that reads all users"
            findings.append(Finding(f"table {table}", ok=False, detail="not one record is visible", way_out=way_out))
        else:
            findings.append(Finding(f"table {table}", ok=True, detail="readable" if rows else "readable, no records"))
    return tuple(findings)


def _failed(what: str, error: Unavailable) -> Finding:
    """An error's text is what happened, and after the first full stop what to do."""
    detail, _, way_out = str(error).partition(". ")
    return Finding(what, ok=False, detail=f"{detail} ({error.code})", way_out=way_out)
