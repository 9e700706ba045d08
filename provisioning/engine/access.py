"""Who has access to the application, for all users or all groups of the tenant at once: a few lists instead of a
question for each object. A cycle asks otherwise, since it knows most of it from before.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from provisioning.engine.context import Context
from provisioning.engine.observe import grants_of
from provisioning.engine.source_facts import described
from provisioning.model import Assignment, ObjectType, SourceObject
from provisioning.rules.attributes import Facts
from provisioning.schema import ObjectMapping

GROUPS_AT_ONCE = 20
Grants = frozenset[str]
NO_GRANTS: Grants = frozenset()


@dataclass(frozen=True, slots=True)
class Access:
    """`grants` by source id: equal ones are one object, because half a million users have few different ones. `roles`
    are the app roles that grants give; `member_of` the watched groups of each object. Both only where mappings ask.
    """

    grants: Mapping[str, Grants] = field(default_factory=dict)
    roles: Mapping[Grants, tuple[Mapping[str, Any], ...]] = field(default_factory=dict)
    member_of: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def of(self, source_id: str) -> Grants:
        return self.grants.get(source_id, NO_GRANTS)

    def facts(self, source: SourceObject) -> Facts:
        roles = self.roles.get(self.of(source.id), ())
        return Facts(source, roles=roles, member_of=self.member_of.get(source.id, ()))


async def read_access(context: Context, kind: ObjectType, mapping: ObjectMapping) -> Access:
    """Reads the assignments, and for users the members of the assigned groups; nothing of it where everybody is in
    scope.
    """
    member_of = await _member_of(context, mapping)
    if context.job.policy.everyone:
        return Access(member_of=member_of)
    default_access = await context.default_access()
    own: dict[str, list[Assignment]] = {}
    groups: dict[str, list[Assignment]] = {}
    async for assignment in _assignments(context):
        of_kind = own if assignment.principal_type.lower() == kind else groups
        if assignment.principal_type in {"User", "Group"}:
            of_kind.setdefault(assignment.principal_id, []).append(assignment)
    same: dict[Grants, Grants] = {}
    grants: dict[str, Grants] = {}

    def give(source_id: str, more: set[str]) -> None:
        held = frozenset(more) | grants.get(source_id, NO_GRANTS)
        grants[source_id] = same.setdefault(held, held)

    for source_id, assignments in own.items():
        give(source_id, grants_of(kind, assignments, default_access=default_access))
    through_groups = list(groups) if kind == "user" else []
    for start in range(0, len(through_groups), GROUPS_AT_ONCE):
        some = through_groups[start : start + GROUPS_AT_ONCE]
        for group, tree in (await context.nesting.expand(some)).items():
            through = grants_of(kind, groups[group], default_access=default_access)
            for member in tree.users if tree is not None else ():
                give(member, through)
    roles: dict[Grants, tuple[Mapping[str, Any], ...]] = {}
    if mapping.reads_roles:
        of_groups = {group: sorted(each.role_id for each in some) for group, some in groups.items()}
        roles = {held: await described(context, _role_ids(held, of_groups)) for held in same}
    return Access(grants, roles, member_of)


def _role_ids(held: Grants, of_groups: Mapping[str, list[str]]) -> list[str]:
    own = [grant.removeprefix("role:") for grant in sorted(held) if grant.startswith("role:")]
    groups = [grant.removeprefix("group:") for grant in sorted(held) if grant.startswith("group:")]
    return own + [role for group in groups for role in of_groups.get(group, ())]


async def _assignments(context: Context) -> AsyncIterator[Assignment]:
    link = None
    while True:
        page = await context.source.assignments(link)
        for assignment in page.assignments:
            yield assignment
        link = page.next_link
        if link is None:
            return


async def _member_of(context: Context, mapping: ObjectMapping) -> dict[str, tuple[str, ...]]:
    watched = sorted(mapping.watched_groups)
    found: dict[str, tuple[str, ...]] = {}
    for group, members in (await context.source.members(watched)).items() if watched else ():
        for member in members or ():
            found[member.id] = (*found.get(member.id, ()), group)
    return found
