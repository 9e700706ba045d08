"""What a probe found, in sentences: of each thing whether it is well, and if not what to do and who can do it. Pure:
asks nobody. This module is about the instance, the account and the way in; `rights` about tables, columns and writes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from msgspec import Struct

from provisioning.adapters.servicenow.faults import Fault
from provisioning.adapters.servicenow.probing import PROPERTY, Greeting, Probe
from provisioning.errors import Unauthorized, Unavailable

Verdict = Literal["ok", "warning", "failed"]
Owner = Literal["", "ServiceNow administrator", "Entra administrator", "operator of this app"]
SERVICENOW: Owner = "ServiceNow administrator"
OPERATOR: Owner = "operator of this app"

SKEW_NOTED = 60.0
SKEW_FORGIVEN = 300.0
"""Seconds: what an instance forgives in a signed assertion."""


class Finding(Struct, frozen=True):
    """`way_out` and `owner` are empty where nothing is to be done."""

    what: str
    verdict: Verdict
    detail: str
    way_out: str = ""
    owner: Owner = ""

    @property
    def failed(self) -> bool:
        return self.verdict == "failed"


def well(what: str, detail: str) -> Finding:
    return Finding(what, "ok", detail)


def warning(what: str, detail: str, way_out: str, owner: Owner = SERVICENOW) -> Finding:
    return Finding(what, "warning", detail, way_out, owner)


def failure(what: str, detail: str, way_out: str, owner: Owner = SERVICENOW) -> Finding:
    return Finding(what, "failed", detail, way_out, owner)


def refused_login(error: Unauthorized, login: str) -> Finding:
    """A right password and a wrong one get the same answer, so that both are named."""
    detail, way_out = _in_two(error)
    if login == "basic":
        detail += (
            "; a right password gets 401 too where Basic authentication is shut for interactive accounts, as on new "
            "instances since 2026"
        )
        way_out = (
            "Use SERVICENOW_AUTH=oauth-client-credentials; or tick Web service access only on the account, or give it "
            "the role snc_basic_auth_api_access. If the system log has no entry of "
            "SNCRestrictBasicAuthUserAuthenticationGate, the password is wrong or the account is inactive or locked out"
        )
    return failure("credentials", detail, way_out)


def unreachable(error: Unavailable) -> Finding:
    detail, way_out = _in_two(error)
    owner = OPERATOR if error.code == "ServiceNowInstanceInvalid" else SERVICENOW
    return failure("connection", detail, way_out, owner)


def _in_two(error: Unavailable) -> tuple[str, str]:
    """An error's text is what happened, and after the first full stop what to do."""
    detail, _, way_out = str(error).partition(". ")
    return f"{detail} ({error.code})", way_out


def clock(greeting: Greeting, login: str) -> Finding:
    what, skew = "clock", greeting.skew
    if skew is None:
        return warning(what, "the instance tells no time", "Look for a proxy that removes the header Date", OPERATOR)
    if abs(skew) <= SKEW_NOTED:
        return well(what, f"within {SKEW_NOTED:.0f} s of ours")
    detail = f"the instance's clock is {abs(skew):,.0f} s {'ahead of' if skew > 0 else 'behind'} ours"
    way_out = "Synchronize the clock of this machine; if it is right, have ServiceNow correct the instance's"
    if login == "oauth-jwt" and abs(skew) >= SKEW_FORGIVEN:
        return failure(what, f"{detail}, and signed assertions need less than {SKEW_FORGIVEN:.0f} s", way_out, OPERATOR)
    return warning(what, detail, way_out, OPERATOR)


def rate_limit(greeting: Greeting) -> Finding:
    if not greeting.limit:
        return well("rate limit", "no rule for the Table API is announced")
    return warning(
        "rate limit",
        f"a rule grants {greeting.limit} to the Table API",
        "Allow for this job in sys_rate_limit_rules: see its number of requests in the summary of a cycle",
    )


def account(greeting: Greeting) -> tuple[Finding, ...]:
    what = "account"
    if isinstance(greeting.own, Fault) or len(greeting.own) != 1:
        reason = greeting.own.message if isinstance(greeting.own, Fault) else "its own record does not come back"
        return (
            warning(
                what,
                f"the instance does not tell which account this is: {reason}",
                "Let the account read its own record in sys_user; without it roles cannot be told",
            ),
        )
    (own,) = greeting.own
    found = [well(what, f"{own.get('user_name') or 'an account'}, sys_id {own.get('sys_id', 'not readable')}")]
    if own.get("active") == "false" or own.get("locked_out") == "true":
        found.append(failure("account state", "it is inactive or locked out", "Activate and unlock the account"))
    only = own.get("web_service_access_only")
    if only == "true":
        found.append(well("web service access only", "yes: nobody can log in to the user interface with it"))
    else:
        told = (
            "no: it can log in to the user interface too" if only else "the account may not read this field of itself"
        )
        way_out = "Set Web service access only, or the identity type Machine, on the account"
        found.append(warning("web service access only", told, way_out))
    return tuple(found)


def batches(fault: Fault | None) -> Finding:
    if fault is None:
        return well("batches", "the Batch API takes many requests in one")
    return failure(
        "batches",
        f"the Batch API does not serve us: {fault.message}",
        "Activate the REST Batch API (/api/now/v1/batch) and let the account use it: all writes go through it",
    )


def invalid_queries(probe: Probe) -> Finding:
    what, dropped = "unknown filters", drops_unknown_filters(probe)
    told = "" if probe.returns_no_rows is None else f" ({PROPERTY} is {probe.returns_no_rows or 'empty'})"
    if dropped is None:
        return warning(what, "sys_user did not answer, so this cannot be told", "Let the account read sys_user")
    if not dropped:
        return well(what, f"a filter on a column that does not exist finds nothing{told}")
    return warning(
        what,
        f"a filter on a column that does not exist is dropped and finds everybody{told}; this app looks every column "
        "up and checks every row that comes back",
        f"Set the property {PROPERTY} to true, so that no client is fooled",
    )


def drops_unknown_filters(probe: Probe) -> bool | None:
    return None if isinstance(probe.invalid, Fault) else bool(probe.invalid)


def inactive_users(probe: Probe) -> Finding:
    what, sees = "inactive users", sees_inactive(probe)
    if sees:
        return well(what, "visible")
    if sees is None:
        return warning(
            what,
            "a search for active=false is refused, or its filter dropped",
            "Let the account search sys_user by active (query_match)",
        )
    return warning(
        what,
        "not one is visible: if there are any, a before-query rule hides them, and a person who comes back would be "
        "created again and refused as a duplicate",
        'Exempt the account from the business rule "user query" of sys_user; ignore this if all users are active',
    )


def sees_inactive(probe: Probe) -> bool | None:
    if isinstance(probe.inactive, Fault) or any(row.get("active", "false") != "false" for row in probe.inactive):
        return None
    return bool(probe.inactive)


def listed(names: Iterable[str]) -> str:
    return ", ".join(names)
