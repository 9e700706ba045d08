"""Looks at an instance: can it be reached, does it accept us, what may we read and ask, how does it behave where
instances differ. Every finding says what to do. Reads only; raises nothing that a finding can say.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import httpx

from provisioning.adapters.servicenow import batch, findings
from provisioning.adapters.servicenow.answers import records_of
from provisioning.adapters.servicenow.faults import Fault
from provisioning.adapters.servicenow.findings import Finding
from provisioning.adapters.servicenow.query import lookups
from provisioning.adapters.servicenow.reading import Calls, Reader, Result
from provisioning.adapters.servicenow.roles import Roles
from provisioning.adapters.servicenow.session import CLIENT
from provisioning.errors import ConfigError, Unauthorized, Unavailable
from provisioning.model import Capabilities, Record

NEVER_EMPTY = frozenset({"sys_user"})
RIGHTS = ("sys_user_role", "sys_user_has_role", "sys_group_has_role")
"""Read to tell who is an administrator and which groups carry roles."""
_NOBODY = "provisioning-probe-nobody"
_PLAIN = "&sysparm_display_value=false&sysparm_exclude_reference_link=true&sysparm_suppress_pagination_header=true"
_ACCOUNT = ("user_name", "web_service_access_only", "locked_out", "active")

Columns = Mapping[str, Collection[str]]


async def probe(
    calls: Calls, reader: Reader, roles: Roles, columns: Columns, matching: Sequence[tuple[str, str]]
) -> tuple[list[Finding], Capabilities | None]:
    """`columns` are those that the job uses, by table; `matching` the tables and columns that it searches by. None
    where the instance could not be reached, or did not accept us.
    """
    reached, accepted = await _connect(calls)
    if not accepted:
        return reached, None
    instance = _Probe(calls, reader, roles)
    tables = await instance.tables(columns)
    own, account = await instance.own_account()
    held = await instance.own_roles(own)
    can_batch = await instance.can_batch()
    drops = await instance.drops_unknown_fields()
    inactive = await instance.sees_inactive()
    forbidden = await instance.forbidden_ranges(columns)
    skew = calls.session.skew
    found = [
        *reached,
        *findings.of_account(account),
        *findings.of_roles(held),
        *tables,
        *[await instance.search(table, column) for table, column in matching],
        await instance.rights(),
        await instance.dictionary(),
        can_batch,
        findings.of_filters(drops=drops),
        findings.of_inactive(seen=inactive),
        findings.of_ranges(forbidden),
        findings.of_skew(skew),
    ]
    return found, Capabilities(
        own=own or "",
        batch=can_batch.ok,
        by_offset=tuple(sorted(forbidden)),
        drops_unknown_fields=drops,
        sees_inactive=inactive,
        skew=skew,
    )


async def _connect(calls: Calls) -> tuple[list[Finding], bool]:
    host = calls.session.host
    client = findings.good("client", f"{CLIENT}, httpx {httpx.__version__}")
    reached = findings.good("connection", f"{host} answers")
    try:
        answer = records_of(await calls.get(f"/api/now/table/sys_user?sysparm_fields=sys_id&sysparm_limit=1{_PLAIN}"))
        if isinstance(answer, Fault) and answer.kind not in {"refused", "missing", "no table"}:
            raise answer.error(host)
    except Unauthorized as error:
        return [client, reached, _failed("credentials", error)], False
    except Unavailable as error:
        return [client, _failed("connection", error)], False
    return [client, reached, findings.good("credentials", "accepted")], True


class _Probe:
    """Each question by itself: that one is refused says nothing about the others."""

    def __init__(self, calls: Calls, reader: Reader, roles: Roles) -> None:
        self._calls = calls
        self._reader = reader
        self._roles = roles

    async def rows(self, path: str) -> Result:
        return records_of(await self._calls.get(f"{path}{_PLAIN}"))

    async def tables(self, columns: Columns) -> list[Finding]:
        found = []
        for table, names in columns.items():
            fields = ",".join(dict.fromkeys(("sys_id", *sorted(names))))
            rows = await self.rows(f"/api/now/table/{table}?sysparm_fields={fields}&sysparm_limit=1")
            found.append(findings.of_table(table, names, rows, may_be_empty=table not in NEVER_EMPTY))
        return found

    async def own_account(self) -> tuple[str | None, Record | None]:
        own = await self._roles.own_account()
        if own is None:
            return None, None
        fields = ",".join(("sys_id", *_ACCOUNT))
        rows = await self.rows(f"/api/now/table/sys_user?sysparm_query=sys_id={own}&sysparm_fields={fields}")
        return own, None if isinstance(rows, Fault) or len(rows) != 1 else rows[0]

    async def own_roles(self, own: str | None) -> set[str] | None:
        if own is None:
            return None
        try:
            asked = lookups("sys_user_has_role", "user", [own], ("role.name",), rows_each=500)
            found = await self._reader.rows(list(asked))
        except (Unauthorized, ConfigError, Unavailable):
            return None
        names = {row.get("role.name", "") for _, rows in found for row in rows}
        return None if "" in names else names

    async def rights(self) -> Finding:
        unreadable = []
        for table in RIGHTS:
            rows = await self.rows(f"/api/now/table/{table}?sysparm_fields=sys_id&sysparm_limit=1")
            if isinstance(rows, Fault) or (not rows and table != "sys_group_has_role"):
                unreadable.append(table)
        if not unreadable:
            return findings.good("who holds which role", "readable")
        return findings.warned(
            "who holds which role",
            f"{', '.join(unreadable)} cannot be read: administrators cannot be told from others, and no group that "
            "exists already is adopted unless it is named in ALLOWED_GROUPS",
            "ServiceNow administrator: let the integration user read these tables",
        )

    async def dictionary(self) -> Finding:
        rows = await self.rows("/api/now/table/sys_dictionary?sysparm_fields=sys_id&sysparm_limit=1")
        if isinstance(rows, Fault) or not rows:
            return findings.warned(
                "dictionary",
                "sys_dictionary cannot be read: columns are learnt from form metadata, which is undocumented",
                "ServiceNow administrator: give the integration user the role personalize_dictionary",
            )
        return findings.good("dictionary", "readable")

    async def can_batch(self) -> Finding:
        reply = await self._calls.batch(
            [batch.read(0, "/api/now/table/sys_user?sysparm_fields=sys_id&sysparm_limit=1")]
        )
        if isinstance(reply, Fault):
            return findings.failed("Batch API", reply.message, reply.way_out)
        return findings.good("Batch API", "available")

    async def drops_unknown_fields(self) -> bool | None:
        rows = await self.rows(
            "/api/now/table/sys_user?sysparm_query=zz_no_such_field%3D1&sysparm_fields=sys_id&sysparm_limit=1"
        )
        return None if isinstance(rows, Fault) else bool(rows)

    async def sees_inactive(self) -> bool | None:
        rows = await self.rows(
            "/api/now/table/sys_user?sysparm_query=active%3Dfalse&sysparm_fields=sys_id,active&sysparm_limit=1"
        )
        return None if isinstance(rows, Fault) else any(row.get("active") == "false" for row in rows)

    async def forbidden_ranges(self, columns: Columns) -> set[str]:
        """Refused, answered with nothing although there are rows, or with rows although there are none in that range:
        how an instance says it has not been recorded.
        """
        forbidden = set()
        for table in dict.fromkeys((*columns, *RIGHTS)):
            anything = await self._range(table, "")
            if isinstance(anything, Fault) or not anything:
                continue
            behind_all, in_order = (
                await self._range(table, f"sys_id%3E{'z' * 32}"),
                await self._range(table, "sys_id%3E0"),
            )
            if isinstance(in_order, Fault) or isinstance(behind_all, Fault) or not in_order or behind_all:
                forbidden.add(table)
        return forbidden

    async def _range(self, table: str, condition: str) -> Result:
        query = f"sysparm_query={condition}%5EORDERBYsys_id&" if condition else ""
        return await self.rows(f"/api/now/table/{table}?{query}sysparm_fields=sys_id&sysparm_limit=1")

    async def search(self, table: str, column: str) -> Finding:
        rows = await self.rows(
            f"/api/now/table/{table}?sysparm_query={column}%3D{_NOBODY}&sysparm_fields=sys_id,{column}&sysparm_limit=1"
        )
        return findings.of_matching(table, column, rows)


def _failed(what: str, error: Unavailable) -> Finding:
    """An error's text is what happened, and after the first full stop what to do."""
    detail, _, way_out = str(error).partition(". ")
    return findings.failed(what, f"{detail} ({error.code})", way_out)
