"""Can this job reach Graph, ServiceNow and its state, what may it do there, and what is missing. Writes nothing to
either side, and to the state what was found out about the instance.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Sequence
from typing import Literal, Protocol

from msgspec import Struct

from provisioning.engine.context import Context
from provisioning.engine.jobs import JOB
from provisioning.errors import ProvisioningError, Unauthorized
from provisioning.model import Capabilities
from provisioning.rows import Delete, Put
from provisioning.rules.protection import GROUP_NAME, SECURITY_ADMIN
from provisioning.rules.scope import DEFAULT_ACCESS

PROBE = "probe"
Verdict = Literal["ok", "warning", "failed"]


class Finding(Struct, frozen=True, rename="camel"):
    """One line of the answer: `way_out` and `owner` tell what to do, and who can do it, where it is not well."""

    side: str
    what: str
    verdict: Verdict
    detail: str
    way_out: str = ""
    owner: str = ""


class InstanceFinding(Protocol):
    """What a probe of the instance has found out about one thing."""

    @property
    def what(self) -> str: ...

    @property
    def verdict(self) -> Verdict: ...

    @property
    def detail(self) -> str: ...

    @property
    def way_out(self) -> str: ...

    @property
    def owner(self) -> str: ...


class InstanceReport(Protocol):
    """What a probe of the instance has found; without `capabilities` it did not come to its end."""

    @property
    def findings(self) -> Sequence[InstanceFinding]: ...

    @property
    def capabilities(self) -> Capabilities | None: ...


async def check(context: Context, probe: Callable[[], Awaitable[InstanceReport]]) -> list[Finding]:
    """`probe` asks the instance."""
    findings = await _graph(context)
    capabilities = await _servicenow(context, probe, findings)
    findings.append(await _state(context, capabilities))
    return findings


async def _graph(context: Context) -> list[Finding]:
    """Reads of an object that does not exist: they need the permission and show nobody's data."""
    nobody = str(uuid.UUID(int=0, version=4))
    source = context.source

    async def application() -> str:
        found = await source.service_principal()
        roles = sum(role.enabled for role in found.roles)
        return f"{found.display_name}, {roles} roles that can be assigned"

    async def users() -> str:
        await source.users([nobody])
        return "readable"

    async def members() -> str:
        await source.members([nobody])
        return "readable"

    async def assignments() -> str:
        page = await source.assignments(None)
        number = f"{len(page.assignments):,}" + ("" if page.next_link is None else " or more")
        return f"readable, {number} assignments"

    async def default_access() -> str:
        return await _default_access(context)

    reads: list[tuple[str, Callable[[], Awaitable[str]]]] = [
        ("enterprise application", application),
        ("assignments", assignments),
        ("Default Access", default_access),
        ("users", users),
        ("group members", members),
    ]
    findings: list[Finding] = []
    for what, read in reads:
        finding, error = await _tried("Graph", what, read)
        findings.append(finding)
        if error is not None and not (isinstance(error, Unauthorized) and error.code == "InsufficientRights"):
            break  # without a connection, a token or the application, nothing else can be told
    return findings


async def _default_access(context: Context) -> str:
    """How many people have no other role, and what that means for them."""
    if context.job.policy.everyone:
        return "not asked for: SCOPE is all"
    roles: dict[tuple[str, str], set[str]] = {}
    link = None
    while True:
        page = await context.source.assignments(link)
        for assignment in page.assignments:
            roles.setdefault((assignment.principal_type, assignment.principal_id), set()).add(assignment.role_id)
        link = page.next_link
        if link is None:
            break
    only = [principal for principal, held in roles.items() if held == {DEFAULT_ACCESS}]
    groups = [one for kind, one in only if kind == "Group"]
    trees = await context.nesting.expand(groups) if groups else {}
    people = {one for kind, one in only if kind == "User"}
    people |= {user for tree in trees.values() if tree is not None for user in tree.users}
    people -= {one for (kind, one), held in roles.items() if kind == "User" and held != {DEFAULT_ACCESS}}
    verdict = "entitles" if await context.default_access() else "does not entitle"
    return f"{verdict}; {len(people):,} people are assigned with it only, {len(groups):,} groups among the assigned"


async def _servicenow(
    context: Context, probe: Callable[[], Awaitable[InstanceReport]], findings: list[Finding]
) -> Capabilities | None:
    """Adds what was found; answers what the instance can do, where the probe came to its end."""
    try:
        report = await probe()
    except ProvisioningError as error:
        findings.append(_failed("ServiceNow", "connection", error))
        return None
    findings += [Finding("ServiceNow", f.what, f.verdict, f.detail, f.way_out, f.owner) for f in report.findings]
    if report.capabilities is not None:
        findings.append(await _guarded_groups(context))
    return report.capabilities


async def _guarded_groups(context: Context) -> Finding:
    """Those of the managed groups whose members ServiceNow does not let us change."""
    what, owner = f"groups with {SECURITY_ADMIN}", "ServiceNow administrator"
    try:
        guarded = await context.target.security_admin_groups()
    except ProvisioningError as error:
        told = f"which groups carry it cannot be read: {_failed('ServiceNow', what, error).detail}"
        way_out = "Let the account read sys_group_has_role, and name of sys_user_role"
        return Finding("ServiceNow", what, "warning", told, way_out, owner)
    owners = await context.links.owners_by_record("group", guarded) if guarded else {}
    if not owners:
        return Finding("ServiceNow", what, "ok", "none of the groups that the job manages")
    links = await context.links.load([("group", group) for group in owners.values()])
    named = sorted(
        f"{link.written.get(GROUP_NAME) or link.match_value or group} ({sys_id})"
        for sys_id, group in owners.items()
        for link in [links["group", group].link]
    )
    way_out = f"Change their members by hand with elevated rights, take {SECURITY_ADMIN} off them, or exclude them"
    groups = "1 managed group" if len(named) == 1 else f"{len(named):,} managed groups"
    detail = f"ServiceNow refuses to change the members of {groups}: {', '.join(named)}"
    return Finding("ServiceNow", what, "warning", detail, way_out, owner)


async def _state(context: Context, capabilities: Capabilities | None) -> Finding:
    async def write_and_read() -> str:
        if capabilities is not None:
            await context.rows.save_capabilities(capabilities)
        await context.store.commit(JOB, context.job.id, [Put(PROBE, {"probe": PROBE})])
        row = await context.store.get(JOB, context.job.id, PROBE)
        await context.store.commit(JOB, context.job.id, [Delete(PROBE)])
        return "written and read" if row is not None else "written, but not found again"

    finding, _ = await _tried("state", "a row", write_and_read)
    return finding


async def _tried(
    side: str, what: str, action: Callable[[], Awaitable[str]]
) -> tuple[Finding, ProvisioningError | None]:
    try:
        return Finding(side, what, "ok", await action()), None
    except ProvisioningError as error:
        return _failed(side, what, error), error


def _failed(side: str, what: str, error: ProvisioningError) -> Finding:
    """An error's text is what happened, and after the first full stop what to do."""
    detail, _, way_out = " ".join(str(error).split()).partition(". ")
    owner = "Entra administrator" if side == "Graph" and isinstance(error, Unauthorized) else "operator of this app"
    return Finding(side, what, "failed", detail, way_out, owner)
