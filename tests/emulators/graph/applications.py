"""Answers about the enterprise application: service principals by id and appId, who is assigned to them,
what a principal is assigned to, and the organization.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from . import filters, shapes
from .messages import Call, not_found
from .objects import Params, require_group, require_user
from .paging import only, page, position_of, select_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .records import Assignment, DirectoryObject
    from .state import Tenant

BY_APP_ID = "appId="


def list_service_principals(tenant: Tenant, call: Call, _: Params) -> dict[str, Any]:
    only(call, "$select", "$filter", "$top", "$skiptoken", "$count")
    select = select_of(call)
    shapes.check_select(select or (), "servicePrincipal")
    condition = filters.parse(call.query["$filter"]) if "$filter" in call.query else None

    def shown(after: int) -> Iterator[tuple[int, dict[str, Any]]]:
        for number, key in tenant.service_principals.after(after):
            item = tenant.objects[key]
            if condition is None or filters.matches(condition, partial(shapes.value_of, item)):
                yield number, shapes.full(item, select)

    return page(tenant, call, "servicePrincipals", shown(position_of(tenant, call)), total=shown(0))


def read_service_principal(tenant: Tenant, call: Call, params: Params) -> dict[str, Any]:
    only(call, "$select")
    found = _require(tenant, params["id"])
    select = select_of(call)
    shapes.check_select(select or (), "servicePrincipal")
    shown = f"servicePrincipals({','.join(select)})" if select else "servicePrincipals"
    return {"@odata.context": f"{call.base}/$metadata#{shown}/$entity"} | shapes.full(found, select)


def list_assigned_to(tenant: Tenant, call: Call, params: Params) -> dict[str, Any]:
    """Who is assigned to the application: the rows of users and groups, groups not expanded."""
    found = _require(tenant, params["id"])
    rows = tenant.assigned_to.get(found.id)
    after = position_of(tenant, call)
    condition = filters.parse(call.query["$filter"]) if "$filter" in call.query else None
    principals = filters.equal_to(condition, "principalId") if condition is not None else None
    if rows is None:
        return _rows(tenant, call, [], condition)
    if principals is not None:
        keys = [key for principal in principals for key in tenant.assignments_of.get(principal, ()) if key in rows]
        numbered: Iterable[tuple[int, str]] = sorted((rows.number(key) or 0, key) for key in keys)
        numbered = [pair for pair in numbered if pair[0] > after]
    else:
        numbered = rows.after(after)
    return _rows(tenant, call, ((number, tenant.assignments[key]) for number, key in numbered), condition)


def list_user_assignments(tenant: Tenant, call: Call, params: Params) -> dict[str, Any]:
    """What the user has: rows of its own and of the groups that it is a direct member of."""
    user = require_user(tenant, params["id"])
    return _of_principals(
        tenant, call, [user.id, *(key for key in tenant.groups_of.get(user.id, ()) if tenant.live(key))]
    )


def list_group_assignments(tenant: Tenant, call: Call, params: Params) -> dict[str, Any]:
    return _of_principals(tenant, call, [require_group(tenant, params["id"]).id])


def list_organizations(tenant: Tenant, call: Call, _: Params) -> dict[str, Any]:
    only(call, "$select", "$top")
    whole = {
        "id": tenant.tenant_id,
        "displayName": tenant.display_name,
        "tenantType": "AAD",
        "countryLetterCode": "NL",
        "createdDateTime": "2018-03-05T09:12:44Z",
        "preferredLanguage": "en",
        "verifiedDomains": [
            {"name": tenant.domain, "isDefault": True, "isInitial": False, "type": "Managed", "capabilities": "Email"}
        ],
    }
    select = select_of(call)
    value = {name: whole.get(name) for name in select} if select else whole
    return {"@odata.context": f"{call.base}/$metadata#organization", "value": [value]}


def _require(tenant: Tenant, reference: str) -> DirectoryObject:
    if reference.startswith(BY_APP_ID):
        app_id = reference.removeprefix(BY_APP_ID)
        found = tenant.service_principal_of(app_id)
        if found is None:
            raise not_found(app_id)
        return found
    found = tenant.service_principal(reference)
    if found is None:
        raise not_found(reference)
    return found


def _of_principals(tenant: Tenant, call: Call, principals: list[str]) -> dict[str, Any]:
    keys = [key for principal in principals for key in tenant.assignments_of.get(principal, ())]
    rows = sorted((tenant.assigned_to[tenant.assignments[key].resource_id].number(key) or 0, key) for key in keys)
    after = position_of(tenant, call)
    condition = filters.parse(call.query["$filter"]) if "$filter" in call.query else None
    return _rows(tenant, call, ((n, tenant.assignments[key]) for n, key in rows if n > after), condition)


def _rows(
    tenant: Tenant, call: Call, numbered: Iterable[tuple[int, Assignment]], condition: filters.Filter | None
) -> dict[str, Any]:
    only(call, "$select", "$filter", "$top", "$skiptoken", "$count")
    select = select_of(call)
    shapes.check_select(select or (), "appRoleAssignment")

    def shown() -> Iterator[tuple[int, dict[str, Any]]]:
        for number, row in numbered:
            if not tenant.behaviour.soft_deleted_in_assignments and tenant.live(row.principal_id) is None:
                continue
            body = shapes.assignment(tenant, row)
            if condition is None or filters.matches(condition, body.get):
                yield number, {name: body[name] for name in select} if select else body

    return page(tenant, call, "appRoleAssignments", shown())
