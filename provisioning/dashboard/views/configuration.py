"""What the pages of the configuration say: where to go among them, what a check and an expression came to, and who
holds which role. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from provisioning.dashboard.views.people import ADDRESS as PEOPLE
from provisioning.dashboard.views.plan import Choice
from provisioning.dashboard.views.wording import Badge, Tone, counted, sentence_case
from provisioning.engine.checking import Finding as Checked
from provisioning.engine.holders import PAGES, Held, Roles
from provisioning.model import Capabilities
from provisioning.rules.expression_trial import Tried
from provisioning.rules.redaction import REDACTED
from provisioning.rules.scope import DEFAULT_ACCESS
from provisioning.schema import Finding

ADDRESS = "/dashboard/configuration"
PARTS = {
    "": "Mappings and filters",
    "expression": "Try an expression",
    "connection": "Test the connection",
    "schema": "Schema",
    "roles": "App roles",
}
VERDICTS = {"ok": Badge("Well", "good"), "warning": Badge("Warning", "warn"), "failed": Badge("Failed", "bad")}
SEVERITIES = {"error": Badge("Error", "bad"), "warning": Badge("Warning", "warn"), "note": Badge("Note", "quiet")}
GRAVITY = tuple(SEVERITIES)


def parts(current: str) -> tuple[Choice, ...]:
    """The ways to the other pages of the configuration."""
    return tuple(
        Choice(label, f"{ADDRESS}/{part}" if part else ADDRESS, part == current) for part, label in PARTS.items()
    )


@dataclass(frozen=True, slots=True)
class FindingLine:
    """`quoted` is an expression with a mark under the place that is meant."""

    state: Badge
    where: str
    text: str
    quoted: str
    way_out: str


def finding_lines(findings: Sequence[Finding]) -> tuple[FindingLine, ...]:
    ordered = sorted(findings, key=lambda finding: GRAVITY.index(finding.severity))
    return tuple(_finding(each) for each in ordered)


def _finding(finding: Finding) -> FindingLine:
    first, _, quoted = finding.text.partition("\n")
    state = SEVERITIES[finding.severity]
    return FindingLine(state, finding.where, sentence_case(first), quoted, sentence_case(finding.way_out))


@dataclass(frozen=True, slots=True)
class CheckLine:
    state: Badge
    side: str
    what: str
    text: str
    way_out: str
    owner: str


@dataclass(frozen=True, slots=True)
class ConnectionView:
    tone: Tone
    sentence: str
    lines: tuple[CheckLine, ...]


def connection_view(findings: Sequence[Checked]) -> ConnectionView:
    lines = tuple(
        CheckLine(VERDICTS[f.verdict], f.side, f.what, f.detail, sentence_case(f.way_out), f.owner) for f in findings
    )
    failed = sum(f.verdict == "failed" for f in findings)
    warned = sum(f.verdict == "warning" for f in findings)
    if failed:
        return ConnectionView("bad", f"{counted(failed, 'thing fails', 'things fail')}: the job cannot work so.", lines)
    if warned:
        said = f"Both sides can be reached; {counted(warned, 'thing', 'things')} to look at."
        return ConnectionView("warn", said, lines)
    return ConnectionView("good", "Both sides can be reached, and the job may do all that it needs.", lines)


def capability_lines(known: Capabilities) -> Iterator[tuple[str, str]]:
    yield "Many requests in one (batch)", _said(known.batch)
    yield "Tables that can be read in order", ", ".join(known.ranges_on) or "none: they are read by pages, slower"
    yield "Keeps the sys_id that we choose for a record", _said(known.honours_sys_ids)
    yield "Ignores conditions on columns that it does not know", _said(known.drops_unknown_filters)
    yield "Shows inactive accounts", _said(known.sees_inactive)
    if known.skew is not None:
        yield "Its clock differs from ours by", f"{abs(known.skew):.0f} s"


def _said(truth: bool | None) -> str:  # noqa: FBT001 - what is said of it
    return "not known yet" if truth is None else "yes" if truth else "no"


@dataclass(frozen=True, slots=True)
class ExpressionView:
    """`values` is None where nothing was evaluated; `error` has a mark under its place."""

    text: str = ""
    user: str = ""
    spelled: str = ""
    values: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()
    inputs: tuple[tuple[str, str], ...] = ()
    error: str = ""


def expression_view(
    text: str, user: str, tried: Tried, inputs: Sequence[tuple[str, str]] = (), failure: str = ""
) -> ExpressionView:
    compiled = tried.compiled
    secret = compiled is not None and compiled.redacted
    values = (REDACTED,) * len(tried.values or ()) if secret else tried.values
    return ExpressionView(
        text=text,
        user=user,
        spelled=compiled.text if compiled is not None else "",
        values=values if tried.values is not None else None,
        notes=compiled.notes if compiled is not None else (),
        inputs=tuple((name, REDACTED if secret else value) for name, value in inputs),
        error=failure or (str(tried.error) if tried.error is not None else ""),
    )


@dataclass(frozen=True, slots=True)
class RoleLine:
    name: str
    value: str
    state: Badge
    numbers: str
    holders: tuple[tuple[str, str], ...]
    more: str


@dataclass(frozen=True, slots=True)
class RolesView:
    application: str
    problems: tuple[str, ...]
    roles: tuple[RoleLine, ...]
    told: str


def roles_view(roles: Roles) -> RolesView:
    return RolesView(
        roles.application,
        tuple(_problems(roles)),
        tuple(_role(each) for each in roles.held),
        f"Counted among the first {PAGES * 999:,} assignments; there are more." if roles.more else "",
    )


def _problems(roles: Roles) -> Iterator[str]:
    for each in roles.held:
        if each.role is None and each.id != DEFAULT_ACCESS:
            yield (
                f"The role {each.id} is missing: {_numbers(each)} are assigned with it, and the application declares "
                "no such role. Add it again under App roles, or assign them with another role."
            )
        elif each.role is not None and not each.role.enabled and (each.users or each.groups):
            yield (
                f"The role {each.role.display_name} cannot be given to people any more, and {_numbers(each)} hold it: "
                "switch it on again, or assign them with another role."
            )
    if roles.only_default:
        yield (
            f"{counted(roles.only_default, 'user or group', 'users or groups')} have Default Access and no role that "
            "entitles: assign them with one of the roles below."
        )


def _role(each: Held) -> RoleLine:
    if each.role is not None:
        state = Badge("Can be assigned", "good") if each.role.enabled else Badge("Switched off", "warn")
        name, value = each.role.display_name, each.role.value or ""
    elif each.id == DEFAULT_ACCESS:
        name, value, state = "Default Access", "", Badge("Without a role", "quiet")
    else:
        name, value, state = each.id, "", Badge("Missing", "bad")
    more = each.users + each.groups - len(each.holders)
    holders = tuple((holder.name, f"{PEOPLE}/{holder.id}") for holder in each.holders)
    return RoleLine(name, value, state, _numbers(each), holders, f"and {more:,} more" if more else "")


def _numbers(each: Held) -> str:
    return f"{counted(each.users, 'user')} and {counted(each.groups, 'group')}"
