"""What an object's attributes are beyond what Graph stores in it: the app roles that give it access, and which of the
groups that filters name it belongs to. Reads what is missing for that, and nothing where no mapping or filter asks.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from provisioning.engine.context import Context
from provisioning.engine.plan import Plan
from provisioning.model import ObjectType, SourceObject, group_key
from provisioning.rules.attributes import Facts

PAIRS_ASKED_ONE_BY_ONE = 60
"""Three batches of Graph; beyond that the groups' whole lists are read."""


async def facts_of(
    context: Context, plan: Plan, kind: ObjectType, objects: Mapping[str, tuple[SourceObject, set[str]]]
) -> dict[str, Facts]:
    """The facts of each (object, grants), by source id."""
    mapping = context.job.schema.mapping(kind)
    roles = await roles_of(context, plan, objects) if mapping.reads_roles else {}
    groups = await _member_of(context, mapping.watched_groups, objects) if mapping.watched_groups else {}
    return {
        source_id: Facts(source, roles=roles.get(source_id, ()), member_of=groups.get(source_id, ()))
        for source_id, (source, _) in objects.items()
    }


async def roles_of(
    context: Context, plan: Plan, objects: Mapping[str, tuple[SourceObject, set[str]]]
) -> dict[str, tuple[Mapping[str, Any], ...]]:
    """The app roles of each (object, grants), by source id: its own, then those of the groups that give it access."""
    through = {grant.removeprefix("group:") for _, grants in objects.values() for grant in grants if _is_group(grant)}
    held = await _roles_of_groups(context, plan, through) if through else {}
    found: dict[str, tuple[Mapping[str, Any], ...]] = {}
    for source_id, (_, grants) in objects.items():
        own = [grant.removeprefix("role:") for grant in sorted(grants) if not _is_group(grant)]
        own += [role for grant in sorted(grants) if _is_group(grant) for role in held[grant.removeprefix("group:")]]
        found[source_id] = await described(context, own)
    return found


async def described(context: Context, role_ids: Iterable[str]) -> tuple[Mapping[str, Any], ...]:
    """Roles as the application declares them, each once; one that it does not declare is Default Access."""
    principal = await context.service_principal()
    known = {
        role.id: {"id": role.id, "value": role.value, "displayName": role.display_name} for role in principal.roles
    }
    default = {"value": None, "displayName": "Default Access"}
    return tuple(known.get(role) or {"id": role, **default} for role in dict.fromkeys(role_ids))


async def _roles_of_groups(context: Context, plan: Plan, groups: Collection[str]) -> dict[str, list[str]]:
    """As the plan at hand has decided, else as they are remembered, else as they are read."""
    planned = await plan.decisions([group_key(group) for group in groups])
    links = await context.links.load([("group", group) for group in groups])
    grants: dict[str, Collection[str]] = {}
    for group in groups:
        decided = planned.get(group_key(group))
        grants[group] = decided.grants if decided is not None else links["group", group].link.grants
    unknown = [group for group, held in grants.items() if not held]
    for group, assignments in (await context.source.grants("group", unknown)).items() if unknown else ():
        grants[group] = [f"role:{assignment.role_id}" for assignment in assignments or ()]
    return {
        group: [g.removeprefix("role:") for g in sorted(held) if not _is_group(g)] for group, held in grants.items()
    }


def _is_group(grant: str) -> bool:
    return grant.startswith("group:")


async def _member_of(
    context: Context, groups: frozenset[str], objects: Mapping[str, tuple[SourceObject, set[str]]]
) -> dict[str, tuple[str, ...]]:
    """Few memberships are asked for one by one, many by the groups' lists of members."""
    pairs = [(group, source_id) for group in sorted(groups) for source_id in objects]
    if len(pairs) <= PAIRS_ASKED_ONE_BY_ONE:
        holds = await context.source.are_members(pairs)
        held = {pair for pair, is_member in holds.items() if is_member}
    else:
        lists = await context.source.members(groups)
        held = {(group, member.id) for group in groups for member in lists[group] or ()}
    return {source_id: tuple(group for group in sorted(groups) if (group, source_id) in held) for source_id in objects}
