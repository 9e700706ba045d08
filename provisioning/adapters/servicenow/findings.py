"""What a look at an instance means for provisioning: each observation as a line that says whether it is good, what was
seen, and who can mend it. Pure: sends nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from msgspec import Struct

from provisioning.adapters.servicenow.faults import Fault
from provisioning.model import Record

WRITES = {
    "sys_user": frozenset({"user_admin"}),
    "sys_user_grmember": frozenset({"user_admin"}),
    "sys_user_group": frozenset({"itil", "itil_admin", "group_admin"}),
}
"""Which base role lets write a table; admin does always, a custom role may."""
READ_ONLY = frozenset({"snc_read_only"})
WIDEST_SKEW = 60.0
JWT_SKEW = 300.0


class Finding(Struct, frozen=True):
    """`warning` is worth a look and stops nothing."""

    what: str
    ok: bool
    detail: str
    way_out: str = ""
    warning: bool = False


def good(what: str, detail: str) -> Finding:
    return Finding(what, ok=True, detail=detail)


def failed(what: str, detail: str, way_out: str) -> Finding:
    return Finding(what, ok=False, detail=detail, way_out=way_out)


def warned(what: str, detail: str, way_out: str) -> Finding:
    return Finding(what, ok=True, detail=detail, way_out=way_out, warning=True)


def of_table(
    table: str, columns: Collection[str], rows: list[dict[str, str]] | Fault, *, may_be_empty: bool
) -> Finding:
    """A field that may not be read is absent from a row, so that only a row can tell."""
    what = f"table {table}"
    if isinstance(rows, Fault):
        return failed(what, rows.message, rows.way_out)
    if not rows:
        if may_be_empty:
            return good(what, "readable, no records")
        return failed(
            what,
            "not one record is visible",
            "ServiceNow administrator: give the integration user the role user_admin, or another that reads all users",
        )
    if hidden := sorted(set(columns) - rows[0].keys()):
        return failed(
            what,
            f"these fields cannot be read: {', '.join(hidden)}",
            f"ServiceNow administrator: let the integration user read these fields of {table} (field ACLs hide them), "
            "or Entra administrator: take them out of the mapping",
        )
    return good(what, f"readable, with all {len(set(columns))} fields that are used" if columns else "readable")


def of_account(account: Record | None) -> list[Finding]:
    """Who we are there, and whether that account is fit for it."""
    if account is None:
        return [
            warned(
                "own account",
                "which account we are logged in with cannot be told, so that it cannot be protected by itself",
                "Operator: name it in PROTECTED_ACCOUNTS. ServiceNow administrator: let it read itself",
            )
        ]
    found = [good("own account", account.get("user_name") or account["sys_id"])]
    match account.get("web_service_access_only"):
        case "true":
            found.append(good("web service only", "yes"))
        case None:
            found.append(good("web service only", "cannot be read"))
        case _:
            found.append(
                warned(
                    "web service only",
                    "no: people can log in with this account, and where Basic authentication is restricted it is "
                    "refused to it",
                    "ServiceNow administrator: set Web service access only on the integration user",
                )
            )
    return found


def of_roles(roles: Collection[str] | None) -> list[Finding]:
    """What the account's roles let it write, by the base system's rules; custom ACLs can say otherwise either way."""
    if roles is None:
        return [
            warned(
                "roles",
                "the account's own roles cannot be read, so that what it may write shows only when it writes",
                "ServiceNow administrator: let it read sys_user_has_role, or Operator: check --allow-test-writes",
            )
        ]
    held = set(roles)
    if found := held & READ_ONLY:
        return [
            failed(
                "roles",
                f"{', '.join(sorted(found))}: every write will be refused",
                "ServiceNow administrator: take this role from the integration user",
            )
        ]
    if "admin" in held:
        return [
            warned(
                "roles",
                "admin, which is more than provisioning needs",
                "ServiceNow administrator: user_admin, personalize_dictionary and a role that writes groups suffice",
            )
        ]
    lacking = {table: needed for table, needed in WRITES.items() if not needed & held}
    told = ", ".join(sorted(held)) or "none"
    if not lacking:
        return [good("roles", told)]
    return [
        warned(
            "roles",
            f"{told}; by the base system's rules not enough to write {', '.join(lacking)}",
            "ServiceNow administrator: give "
            + ", ".join(f"{' or '.join(sorted(needed))} for {table}" for table, needed in lacking.items())
            + ", unless a role of your own allows it (check --allow-test-writes tells)",
        )
    ]


def of_filters(*, drops: bool | None) -> Finding:
    if drops is None:
        return good("unknown fields in queries", "cannot be told")
    if drops:
        return warned(
            "unknown fields in queries",
            "are dropped, so that a misspelt filter answers with the whole table. We check names and rows ourselves",
            "ServiceNow administrator: set glide.invalid_query.returns_no_rows to true, for other callers' sake too",
        )
    return good("unknown fields in queries", "answer with nothing")


def of_inactive(*, seen: bool | None) -> Finding:
    if seen is False:
        return warned(
            "inactive users",
            "not one is visible: a rehire would be created twice, or refused as a duplicate",
            "ServiceNow administrator: exempt the integration user from the before-query rule 'user query'. Where the "
            "instance has no inactive user at all this is no matter",
        )
    return good("inactive users", "visible" if seen else "cannot be told")


def of_ranges(forbidden: Collection[str]) -> Finding:
    if not forbidden:
        return good("ranges on sys_id", "allowed")
    return warned(
        "ranges on sys_id",
        f"query ACLs forbid them on {', '.join(sorted(forbidden))}: whole tables are read by offset, which is slower "
        "and begins again when rows come or go",
        "ServiceNow administrator: give the integration user the query_range ACL on sys_id of these tables",
    )


def of_matching(table: str, column: str, rows: list[dict[str, str]] | Fault) -> Finding:
    what = f"query {table}.{column}"
    if isinstance(rows, Fault):
        return failed(what, rows.message, rows.way_out)
    if rows:
        return failed(
            what,
            "the condition is dropped: a search for nobody found somebody",
            f"ServiceNow administrator: give the integration user the query_match ACL on {table}.{column}",
        )
    return good(what, "can be searched")


def of_skew(skew: float | None) -> Finding:
    if skew is None:
        return good("clock", "the instance does not tell its time")
    text = f"{abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} ours"
    if abs(skew) <= WIDEST_SKEW:
        return good("clock", "agrees with ours" if abs(skew) < 2 else text)  # noqa: PLR2004 - a date has whole seconds
    end = "; signed assertions are refused beyond 300 s" if abs(skew) > JWT_SKEW else ""
    return warned("clock", text + end, "Operator: let this machine keep time by NTP")


def of_sys_ids(*, honoured: bool | None) -> Finding:
    if honoured is None:
        return good("sys_ids chosen by us", "not tried: check --allow-test-writes tells")
    if honoured:
        return good("sys_ids chosen by us", "honoured")
    return warned(
        "sys_ids chosen by us",
        "not honoured: after a lost reply, records are found by their keys instead",
        "Nothing has to be done",
    )


def of_lost_fields(table: str, lost: Iterable[str]) -> Finding:
    """Fields that a write named and that are not as they were sent."""
    names = sorted(lost)
    if not names:
        return good(f"write {table}", "a test record was created, changed and deleted")
    return failed(
        f"write {table}",
        f"answered success and did not store {', '.join(names)}",
        f"ServiceNow administrator: let the integration user write these fields of {table} (field ACLs drop them)",
    )
