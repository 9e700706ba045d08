"""What an expression reads of a real user, so that somebody can try it before it is in a mapping. Reads only."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from provisioning.engine.context import Context
from provisioning.engine.source_facts import described
from provisioning.errors import ObjectError
from provisioning.expressions import Expression, Tenant
from provisioning.rules.attributes import Facts
from provisioning.schema.names import select_name

NOTHING = Tenant()


def properties_of(compiled: Expression, given: Collection[str] = ()) -> list[str]:
    """The properties of Graph that have to be read for it, where these attributes are given."""
    asked = sorted(compiled.attributes.difference(given))
    return [name for each in asked if (name := select_name(each)) is not None]


async def tenant_of(context: Context, compiled: Expression) -> Tenant:
    """What an expression asks of the tenant, and no user has."""
    return Tenant(await context.source.default_domain()) if "DefaultDomain" in compiled.functions else Tenant()


async def facts_of_user(
    context: Context, compiled: Expression, user: str, given: Mapping[str, Any], tenant: Tenant = NOTHING
) -> tuple[dict[str, Any], Tenant]:
    """The attributes that it reads; what is `given` stands in for a user's own. `context` reads `properties_of` it.
    Raises `ObjectError` for a user whom Entra does not know.
    """
    found = await context.source.find("user", user)
    if found is None:
        raise ObjectError("NotFound", f"no user in Microsoft Entra ID answers to {user!r}", "give an object id or UPN")
    assignments = (await context.source.grants("user", [found.id]))[found.id] or ()
    roles = await described(context, [assignment.role_id for assignment in assignments])
    if tenant.default_domain is None:
        tenant = await tenant_of(context, compiled)
    facts = Facts(found, roles=roles)
    return {**{name: facts.get(name) for name in compiled.attributes - given.keys()}, **given}, tenant
