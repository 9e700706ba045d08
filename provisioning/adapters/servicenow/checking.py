"""The capability probe behind `check`: asks the instance, judges what was seen, and puts both into a report. Raises
nothing that a finding can say. Writes nothing unless test writes are allowed, and these it undoes.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator, Sequence

import httpx
from msgspec import Struct

from provisioning.adapters.servicenow import findings, rights
from provisioning.adapters.servicenow.findings import Finding
from provisioning.adapters.servicenow.probing import Asking, Greeting, Probe, greet, try_batch
from provisioning.adapters.servicenow.reading import Calls, Reader
from provisioning.adapters.servicenow.session import CLIENT
from provisioning.adapters.servicenow.trial import Trial, can_be_tried, try_writes
from provisioning.adapters.servicenow.usage import Columns, Usage, usages
from provisioning.adapters.servicenow.writing import SYS_ID
from provisioning.errors import ConfigError, Unauthorized, Unavailable
from provisioning.model import Capabilities
from provisioning.schema import Schema

VERSIONS = f"{CLIENT}, httpx {httpx.__version__}"


class Task(Struct, frozen=True):
    """What to check for. `login` is the kind of SERVICENOW_AUTH, `now` our clock in seconds since 1970."""

    schema: Schema
    login: str = ""
    test_writes: bool = False
    now: Callable[[], float] = time.time


class Report(Struct, frozen=True):
    """`capabilities` is None when the probe did not come to its end."""

    findings: tuple[Finding, ...]
    capabilities: Capabilities | None = None


async def check(calls: Calls, reader: Reader, dictionary: Callable[[], Awaitable[Columns]], task: Task) -> Report:
    found = [findings.well("client", VERSIONS)]
    host = calls.session.host
    try:
        greeting = await greet(calls, task.now)
        found += _welcome(greeting, host, task.login)
        batches = await try_batch(calls)
        found.append(findings.batches(batches))
        columns = await _columns(dictionary, found) if batches is None else {}
        needed = usages(task.schema, columns)
        probe = await Asking(calls, reader, batched=batches is None).probe(needed, _own(greeting))
    except Unauthorized as error:
        if error.code == "ServiceNowCredentialsValidation":
            found += [*_reached(found, host), findings.refused_login(error, task.login)]
        else:
            found.append(findings.unreachable(error))
        return Report(tuple(found))
    except Unavailable as error:
        return Report((*found, findings.unreachable(error)))
    trials = await _try(calls, needed, columns) if task.test_writes and batches is None else []
    found += _judged(probe, columns, trials)
    return Report(
        tuple(found),
        Capabilities(
            instance=calls.session.instance,
            when=task.now(),
            versions=VERSIONS,
            batch=batches is None,
            ranges_on=tuple(seen.usage.table for seen in probe.tables if rights.ranges(seen) == "allowed"),
            honours_sys_ids=rights.honours_sys_ids(trials),
            drops_unknown_filters=findings.drops_unknown_filters(probe),
            sees_inactive=findings.sees_inactive(probe),
            own_sys_id=_own(greeting),
            skew=greeting.skew,
        ),
    )


def _welcome(greeting: Greeting, host: str, login: str) -> Iterator[Finding]:
    yield findings.well("connection", f"{host} answers")
    yield findings.well("credentials", "accepted")
    yield findings.clock(greeting, login)
    yield findings.rate_limit(greeting)
    yield from findings.account(greeting)


def _reached(found: Sequence[Finding], host: str) -> list[Finding]:
    """Who refuses us is there."""
    known = any(finding.what == "connection" for finding in found)
    return [] if known else [findings.well("connection", f"{host} answers")]


async def _columns(dictionary: Callable[[], Awaitable[Columns]], found: list[Finding]) -> Columns:
    try:
        columns = await dictionary()
    except (Unauthorized, ConfigError) as error:
        detail, _, way_out = str(error).partition(". ")
        found.append(findings.failure("dictionary", detail, way_out))
        return {}
    found.append(findings.well("dictionary", f"the columns of {len(columns)} tables can be read"))
    return columns


def _own(greeting: Greeting) -> str:
    """Our own sys_id, where the instance told exactly one that is fit for a query."""
    rows = greeting.own if isinstance(greeting.own, list) else []
    sys_id = rows[0].get("sys_id", "") if len(rows) == 1 else ""
    return sys_id if SYS_ID.fullmatch(sys_id) else ""


async def _try(calls: Calls, needed: Sequence[Usage], columns: Columns) -> list[Trial]:
    return [await try_writes(calls, usage, columns.get(usage.table, {})) for usage in needed if can_be_tried(usage)]


def _judged(probe: Probe, columns: Columns, trials: Sequence[Trial]) -> Iterator[Finding]:
    for seen in probe.tables:
        yield from rights.table(seen, probe.closed, columns)
    yield findings.invalid_queries(probe)
    yield findings.inactive_users(probe)
    yield from rights.writes(probe, trials)
    yield from rights.tests(trials)
