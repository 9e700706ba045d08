"""Which records of ServiceNow provisioning keeps its hands off: the integration's own account, administrators, accounts
for web services, accounts that a person has named, and groups that carry roles. Pure: knows a record, what the instance
says about rights, and what a person has allowed by name.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from msgspec.structs import replace

from provisioning.model import Decision, Disable, Link, ObjectType, Record, Remove, Skip, Update
from provisioning.rules.comparison import loose

PROTECTED = "ProtectedRecord"
"""SkipReason of what would have been written to a protected record."""
ACCOUNT_FIELDS = ("user_name", "web_service_access_only")
GROUP_NAME = "name"
GROUP_FIELDS = (GROUP_NAME,)
SECURITY_ADMIN = "security_admin"
ADMIN_ROLES = ("admin", SECURITY_ADMIN)
_ALWAYS = "admin"
_WEB_SERVICES = ("web_service_access_only", "identity_type")
"""Columns that make an account one for web services: the second by a business rule."""


@dataclass(frozen=True, slots=True)
class Protection:
    """What a person has named: user names, names of groups, or sys_ids. `own_name` is the user name that the
    integration logs in with, where it is known.
    """

    accounts: tuple[str, ...] = ()
    allowed_accounts: tuple[str, ...] = ()
    allowed_groups: tuple[str, ...] = ()
    own_name: str = ""


@dataclass(frozen=True, slots=True)
class Administrators:
    """Who holds admin or security_admin. `ways` names for each account's sys_id the groups that it has the role from,
    and "" for a role that comes from no group. Not `complete` where the instance does not show all of it.
    """

    ways: Mapping[str, frozenset[str]] = field(default_factory=dict)
    complete: bool = False


@dataclass(frozen=True, slots=True)
class Rights:
    """What the instance says about rights, by sys_ids: the integration's `own` account, all administrators, those of
    them who are so `through_entra`, by nothing but membership of groups that Entra manages, and which of the groups at
    hand carry roles, own or of a parent. Not `complete` where it does not show all administrators; `groups_known`
    likewise.
    """

    own: str = ""
    administrators: frozenset[str] = frozenset()
    through_entra: frozenset[str] = frozenset()
    complete: bool = True
    groups: frozenset[str] = frozenset()
    groups_known: bool = True


def protected_account(record: Record, link: Link, named: Protection, rights: Rights) -> str | None:
    """Why the account is protected, or None.

    An account that is linked and got the role through groups that Entra manages is not: what Entra gave, Entra takes
    away, else a leaver would stay an administrator because he is one. To be adopted, it must be named all the same.
    What made it an account for web services is no reason where our own mapping did.
    """
    if _is_named(record, "user_name", named.allowed_accounts):
        return None
    name = loose(record.get("user_name", ""))
    if record["sys_id"] == rights.own or (named.own_name and name == loose(named.own_name)):
        return "it is the integration's own account"
    if name in map(loose, named.accounts) or record["sys_id"] in named.accounts:
        return "it is named in PROTECTED_ACCOUNTS"
    if record["sys_id"] in rights.administrators - (rights.through_entra if link.linked else frozenset()):
        return f"it holds the role {' or '.join(ADMIN_ROLES)} in ServiceNow"
    if name == _ALWAYS and not rights.complete:
        return "it is named admin, and who holds that role cannot be read"
    if record.get("web_service_access_only") == "true" and not any(link.written.get(each) for each in _WEB_SERVICES):
        return "it is an account for web services only (web_service_access_only)"
    return None


def guarded_group(record: Record, named: Protection, rights: Rights) -> str | None:
    """Why a group that Entra does not manage yet is not adopted, or None."""
    if _is_named(record, "name", named.allowed_groups):
        return None
    if not rights.groups_known:
        return (
            "whether it carries roles cannot be read: let the integration user read sys_group_has_role, and parent of "
            "sys_user_group"
        )
    if record["sys_id"] in rights.groups:
        return "it carries roles in ServiceNow, its own or a parent's, which members of the Entra group would get"
    return None


def _is_named(record: Record, name: str, names: Collection[str]) -> bool:
    """To the letter but for case: what looks alike to ServiceNow is not what a person has allowed."""
    return record["sys_id"] in names or record.get(name, "").casefold() in {each.casefold() for each in names}


def shielded(
    decision: Decision, kind: ObjectType, record: Record | None, link: Link, named: Protection, rights: Rights
) -> Decision:
    """The decision, or that nothing is written because the record is protected. A group that Entra manages already is
    managed on whatever roles it has got since: who gave it roles in ServiceNow saw that.
    """
    if record is None or not _touches(decision, link):
        return decision
    adopting = _adopts(decision, link)
    if kind == "group":
        reason = guarded_group(record, named, rights) if adopting else None
        if reason is not None:
            return _left(decision, link, f"the group is not adopted: {reason}", "ALLOWED_GROUPS")
        if rights.groups_known and record["sys_id"] in rights.groups:
            text = "the group carries roles in ServiceNow, its own or those of a parent: its members get them"
            return replace(decision, warnings=(*decision.warnings, text))
        return decision
    reason = protected_account(record, link, named, rights)
    if reason is not None:
        return _left(decision, link, f"the account is protected: {reason}", "ALLOWED_ACCOUNTS")
    if adopting and not rights.complete:
        text = (
            f"whether the adopted account holds {' or '.join(ADMIN_ROLES)} could not be told: let the integration user "
            "read sys_user_role and sys_user_has_role"
        )
        return replace(decision, warnings=(*decision.warnings, text))
    return decision


def protected_membership(why: str) -> Skip:
    """A membership is a right of its user."""
    text = f"the user's account is protected: {why}; its memberships are left as they are"
    return Skip(PROTECTED, f"{text}. To let them be managed, name the account in ALLOWED_ACCOUNTS")


def _touches(decision: Decision, link: Link) -> bool:
    """Whether it writes to a record that exists, or makes one ours."""
    match decision.action:
        case Update() | Disable() | Remove():
            return True
        case Skip(reason="RedundantExport"):
            return _adopts(decision, link)
        case _:
            return False


def _adopts(decision: Decision, link: Link) -> bool:
    how = decision.match.how if decision.match is not None else "none"
    return how == "attribute" or (how == "intent" and link.origin == "adopted")


def _left(decision: Decision, link: Link, why: str, setting: str) -> Decision:
    """Nothing is written, now or for a reference that is open. The log is told once."""
    text = f"{why}; nothing was written. To let it be managed, name it in {setting}"
    told = link.escrow is not None and (link.escrow.code, link.escrow.message) == (PROTECTED, text)
    return replace(decision, action=Skip(PROTECTED, text), missing=(), awaits={}, creates=(), told=told)
