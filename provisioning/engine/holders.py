"""The app roles of the enterprise application and who holds them, and what is wrong with assignments: roles that the
application does not declare any more, and people who have no role that entitles. Asks Graph.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from provisioning.engine.context import Context
from provisioning.model import AppRole, Assignment, ObjectType, SourceObject
from provisioning.rules.scope import DEFAULT_ACCESS

PAGES = 10
"""Of assignments, 999 each: the list may be as long as the tenant."""
NAMED = 10
KINDS: Mapping[str, ObjectType] = {"User": "user", "Group": "group"}


@dataclass(frozen=True, slots=True)
class Holder:
    kind: ObjectType
    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Held:
    """A role with how many hold it; `role` is None for one that the application does not declare."""

    id: str
    role: AppRole | None
    users: int = 0
    groups: int = 0
    holders: tuple[Holder, ...] = ()


@dataclass(frozen=True, slots=True)
class Roles:
    """`more` says that not all assignments were read, `only_default` how many have Default Access and nothing else
    where that does not entitle.
    """

    application: str
    held: tuple[Held, ...]
    more: bool = False
    only_default: int = 0


async def roles_held(context: Context) -> Roles:
    principal = await context.service_principal()
    rows, more = await _assignments(context)
    by_role: dict[str, list[Assignment]] = defaultdict(list)
    of_principal: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        if row.principal_type in KINDS:
            by_role[row.role_id].append(row)
            of_principal[row.principal_id].add(row.role_id)
    names = await _names(context, [row for held in by_role.values() for row in held[:NAMED]])
    declared = {role.id: role for role in principal.roles}
    order = [*declared, *(role for role in by_role if role not in declared)]
    held = tuple(_held(role, declared.get(role), by_role.get(role, []), names) for role in order)
    entitles = context.job.policy.everyone or await context.default_access()
    only_default = 0 if entitles else sum(roles == {DEFAULT_ACCESS} for roles in of_principal.values())
    return Roles(principal.display_name, held, more, only_default)


async def _assignments(context: Context) -> tuple[list[Assignment], bool]:
    rows: list[Assignment] = []
    link = None
    for _ in range(PAGES):
        page = await context.source.assignments(link)
        rows += page.assignments
        link = page.next_link
        if link is None:
            return rows, False
    return rows, True


async def _names(context: Context, rows: list[Assignment]) -> dict[str, str]:
    users = await context.source.users([row.principal_id for row in rows if row.principal_type == "User"])
    groups = await context.source.groups([row.principal_id for row in rows if row.principal_type == "Group"])
    return {id_: _name(source) for id_, source in (*users.items(), *groups.items())}


def _name(source: SourceObject) -> str:
    return str(source.attributes.get("displayName") or source.id)


def _held(id_: str, role: AppRole | None, rows: list[Assignment], names: Mapping[str, str]) -> Held:
    holders = (
        Holder(KINDS[row.principal_type], row.principal_id, names.get(row.principal_id, row.principal_id))
        for row in rows[:NAMED]
    )
    users = sum(row.principal_type == "User" for row in rows)
    return Held(id_, role, users, len(rows) - users, tuple(holders))
