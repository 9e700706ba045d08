"""What a probe found about tables, columns and writes, in sentences that name the role or the rule that is missing.
Pure: asks nobody.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from provisioning.adapters.servicenow.faults import Fault
from provisioning.adapters.servicenow.findings import Finding, failure, listed, warning, well
from provisioning.adapters.servicenow.probing import Probe, Seen, plain_ids
from provisioning.adapters.servicenow.trial import NAME, Trial
from provisioning.adapters.servicenow.usage import MEMBERSHIPS, Columns, Usage

NEVER_EMPTY = frozenset({"sys_user"})
SECRET = frozenset({"password", "password2"})
"""Types of columns that nobody may read."""
NEEDED = {
    "sys_user": frozenset({"user_admin"}),
    MEMBERSHIPS: frozenset({"user_admin"}),
    "sys_user_group": frozenset({"itil", "itil_admin"}),
}
"""Roles of which one is enough by the ACLs that come with ServiceNow: its lists of jump start ACL rules and of base
system roles."""
ADMIN = "admin"
READ_ONLY = "snc_read_only"
ORDINARY = frozenset({
    "itil", "itil_admin", "user_admin", "personalize_dictionary", "catalog_admin", "rest_service", "snc_internal",
    "snc_external", "snc_platform_rest_api_access", "snc_basic_auth_api_access", READ_ONLY,
})  # fmt: skip
"""Roles whose rights are known; what any other one may do is up to the customer."""
OPERATIONS = {"create": "create", "write": "change", "delete": "delete"}

Ranges = Literal["allowed", "refused", "ignored", "unknown"]


def table(seen: Seen, closed: frozenset[str], columns: Columns) -> Iterator[Finding]:
    name, sample = seen.usage.table, seen.sample
    what = f"table {name}"
    if isinstance(sample, Fault):
        if name in closed:
            way_out = f'Tick "Allow access to this table via web services" in the application access of table {name}'
            yield failure(what, f"closed to web services: {sample.message}", way_out)
        else:
            yield failure(what, sample.message, sample.way_out)
        return
    if not sample and name in NEVER_EMPTY:
        yield failure(
            what,
            "not one record is visible",
            "Give the account the role user_admin, or another that reads all users",
        )
        return
    wrong = list(_columns(seen, columns))
    if not sample:
        yield well(what, "readable, no records that would show whether each column is")
    elif wrong:
        yield well(what, "readable, not all of it")
    else:
        yield well(what, f"readable, with all {len(seen.usage.reads)} columns that the job uses")
    yield from wrong
    yield from _searches(seen)


def _columns(seen: Seen, columns: Columns) -> Iterator[Finding]:
    name, rows = seen.usage.table, [] if isinstance(seen.sample, Fault) else seen.sample
    known, what = columns.get(name), f"columns of {name}"
    missing = [each for each in seen.usage.reads if known is not None and each != "sys_id" and each not in known]
    if missing:
        yield failure(
            what, f"the table has no {listed(missing)}", "Correct the mapping, or create the column in ServiceNow"
        )
    if not rows:
        return
    shown = {column for row in rows for column in row}
    secret = {column.name for column in (known or {}).values() if column.type in SECRET}
    hidden = [each for each in seen.usage.reads if each not in shown and each not in missing and each not in secret]
    if not hidden:
        return
    way_out = f"Let the account read {listed(f'{name}.{each}' for each in hidden)}: see the read ACLs of these fields"
    needed = [each for each in hidden if each in {*seen.usage.searches, "active"}]
    if needed:
        yield failure(
            what, f"not readable: {listed(hidden)}; without {listed(needed)} no record can be matched safely", way_out
        )
    else:
        yield warning(what, f"not readable: {listed(hidden)}; what others change in them goes unnoticed", way_out)


def _searches(seen: Seen) -> Iterator[Finding]:
    name = seen.usage.table
    bad = {column: became for column, became in seen.searches.items() if became != "answered"}
    if bad:
        told = {"refused": "is refused", "ignored": "brings rows that nobody asked for", "silent": "finds nothing"}
        yield failure(
            f"searches in {name}",
            listed(f"by {column}: {told[became]}" for column, became in bad.items()),
            f"Let the account search by {listed(bad)}: a query ACL (query_match) of {name} forbids it",
        )
    else:
        yield well(f"searches in {name}", f"by {listed(seen.usage.searches)}")
    order = ranges(seen)
    if order in {"refused", "ignored"}:
        yield warning(
            f"ranges in {name}",
            f"sys_id> and ORDERBYsys_id {'are refused' if order == 'refused' else 'are ignored'}: what has many rows "
            "is read by offset, and may miss rows that move meanwhile",
            f"Let a query_range ACL of {name}.sys_id pass for the account",
        )


def ranges(seen: Seen) -> Ranges:
    """Whether rows can be asked for in the order of their sys_ids, from one on."""
    if seen.ranged is None or isinstance(seen.sample, Fault):
        return "unknown"
    if isinstance(seen.ranged, Fault):
        return "refused" if seen.ranged.kind == "refused" else "unknown"
    sample, after = plain_ids(seen.sample), plain_ids(seen.ranged)
    if not sample:
        return "unknown"
    if after != sorted(after) or min(sample) in after:
        return "ignored"
    return "refused" if not after and len(sample) > 1 else "allowed"


def roles(probe: Probe) -> frozenset[str] | None:
    """None when they cannot be told."""
    if isinstance(probe.roles, Fault):
        return None
    return frozenset(name for row in probe.roles if (name := row.get("role.name"))) or None


def writes(probe: Probe, trials: Sequence[Trial]) -> Iterator[Finding]:
    held, tried = roles(probe), {trial.table: trial for trial in trials}
    yield _roles(held)
    for seen in probe.tables:
        if seen.usage.changes_records:
            trial = tried.get(seen.usage.table)
            if trial is None or trial.broke:
                yield _writable(seen.usage, held)
            else:
                yield _written(seen.usage, trial, held)
    yield from _rules(probe, held)


def _roles(held: frozenset[str] | None) -> Finding:
    if held is None:
        return warning(
            "roles",
            "the roles of the account cannot be told",
            "Let it read its own rows in sys_user_has_role; `check --allow-test-writes` tells whether it may write",
        )
    if READ_ONLY in held:
        return failure(
            "roles", f"it has {READ_ONLY}, with which every write fails", f"Take {READ_ONLY} from the account"
        )
    if ADMIN in held:
        return warning(
            "roles", "it is admin, which is more than it needs", "Use an account with user_admin and a role for groups"
        )
    return well("roles", listed(sorted(held)))


def _writable(usage: Usage, held: frozenset[str] | None) -> Finding:
    what = f"writes to {usage.table}"
    needed = NEEDED.get(usage.table)
    if held is None or needed is None:
        return warning(
            what, "cannot be told without writing", "Run `check --allow-test-writes`, or look at the ACLs of the table"
        )
    if READ_ONLY in held:
        return failure(what, f"{READ_ONLY} forbids them", f"Take {READ_ONLY} from the account")
    if found := held & {*needed, ADMIN}:
        return well(what, f"the role {listed(sorted(found))} allows them by the ACLs that come with ServiceNow")
    missing = " or ".join(sorted(needed))
    way_out = f"Give the account the role {missing}, or one of your own whose ACLs write {usage.table}"
    if others := held - ORDINARY:
        detail = f"the role {missing} is missing; whether {listed(sorted(others))} allow them cannot be told from here"
        return warning(what, detail, f"Run `check --allow-test-writes`. {way_out}")
    return failure(what, f"the role {missing} is missing", way_out)


def _written(usage: Usage, trial: Trial, held: frozenset[str] | None) -> Finding:
    what = f"writes to {usage.table}"
    if trial.refused is not None:
        missing = " or ".join(sorted(NEEDED.get(usage.table, ())))
        lacks = held is not None and not held & {*NEEDED.get(usage.table, ()), ADMIN}
        return failure(
            what,
            f"no test record could be created: {trial.refused.message}",
            f"Give the account the role {missing}" if lacks and missing else trial.refused.way_out,
        )
    if trial.unchanged is not None:
        return failure(
            what, f"the test record could not be changed: {trial.unchanged.message}", trial.unchanged.way_out
        )
    if trial.dropped:
        return warning(
            what,
            f"a test record was written, but not its {listed(trial.dropped)}, without an error",
            f"Let the account write {listed(f'{usage.table}.{each}' for each in trial.dropped)}: see their write ACLs",
        )
    return well(what, f"a test record was created{' and changed' if usage.changes else ''}")


def _rules(probe: Probe, held: frozenset[str] | None) -> Iterator[Finding]:
    """By the ACLs themselves, where the account may read them. A rule without a role, by condition or script, is not
    among them, so that what is missing here may still be allowed.
    """
    if held is None or isinstance(probe.rules, Fault) or ADMIN in held:
        return
    wanted: dict[tuple[str, str], set[str]] = {}
    for row in probe.rules:
        rule = (row.get("sys_security_acl.name", ""), row.get("sys_security_acl.operation", ""))
        wanted.setdefault(rule, set()).add(row.get("sys_user_role.name", ""))
    for (name, operation), some in sorted(wanted.items()):
        if operation in OPERATIONS and not some & held:
            yield warning(
                f"ACL {name}",
                f"to {OPERATIONS[operation]} it takes the role {' or '.join(sorted(some))}, which is missing",
                f"Give the account one of these roles, or let another ACL of {name} ({operation}) pass",
            )


def tests(trials: Sequence[Trial]) -> Iterator[Finding]:
    yield _sys_ids(trials)
    for trial in trials:
        if trial.cut:
            kept = listed(f"{name} at {length}" for name, length in sorted(trial.cut.items()))
            yield well(f"long values in {trial.table}", f"cut without an error: {kept}")
        if trial.shorter:
            kept = listed(f"{name} at {length}" for name, length in sorted(trial.shorter.items()))
            yield warning(
                f"lengths in {trial.table}",
                f"cut without an error before the length that the dictionary tells: {kept}",
                "Correct the length in the dictionary, or shorten the mapped values, for example with Left()",
            )
        if trial.broke:
            yield failure(f"test writes to {trial.table}", trial.broke, "Run the check again")
        if trial.left:
            yield warning(
                f"test record in {trial.table}",
                f"it could not be deleted: {listed(trial.left)}",
                f"Delete it by hand; its name begins with {NAME}",
            )


def _sys_ids(trials: Sequence[Trial]) -> Finding:
    what = "sys_ids of our choice"
    told = [trial for trial in trials if trial.honoured is not None]
    if not told:
        return well(what, "not tried: only a test record tells (`check --allow-test-writes`)")
    if not all(trial.honoured for trial in told):
        return warning(
            what,
            "not honoured: the instance chooses sys_ids itself, so that a create whose answer is lost is looked up by "
            "its key",
            "Nothing has to be done; a business rule or an import that sets sys_id may be the reason",
        )
    if any(trial.collides is False for trial in told):
        return failure(
            what,
            "a second record was accepted under a sys_id that exists",
            "Report it to ServiceNow: sys_id is the primary key",
        )
    return well(what, "honoured, and a repeated one is refused")


def honours_sys_ids(trials: Sequence[Trial]) -> bool | None:
    told = [trial.honoured for trial in trials if trial.honoured is not None]
    return all(told) if told else None
