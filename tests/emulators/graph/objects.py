"""Answers about users, groups and their relations: single reads, lists, members, managers and deleted
items. Each function answers one route from the state; routes.py says which. They know nothing of
tokens, faults or throttling.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import filters, shapes
from .messages import Call, GraphError, Reply, bad_request, not_emulated, not_found, unsupported_query
from .paging import only, page, position_of, select_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .records import DirectoryObject
    from .state import Tenant

_READ_BY = {
    "user": frozenset({"User.Read.All", "Directory.Read.All"}),
    "group": frozenset({"GroupMember.Read.All", "Group.Read.All", "Directory.Read.All"}),
    "device": frozenset({"Device.Read.All", "Directory.Read.All"}),
    "servicePrincipal": frozenset({"Application.Read.All", "Directory.Read.All"}),
}
CASTS = {f"microsoft.graph.{kind}": kind for kind in _READ_BY}
Params = dict[str, str]


def require_user(tenant: Tenant, id_or_upn: str) -> DirectoryObject:
    found = tenant.user(id_or_upn)
    if found is None:
        raise not_found(id_or_upn)
    return found


def require_group(tenant: Tenant, group_id: str) -> DirectoryObject:
    found = tenant.group(group_id)
    if found is None:
        raise not_found(group_id)
    return found


# Lists and single reads


def list_users(tenant: Tenant, call: Call, _: Params) -> dict[str, Any]:
    only(call, "$select", "$filter", "$top", "$expand", "$skiptoken", "$count")
    select = _checked_select(call, "user")
    manager = _expanded_manager(call)
    found = _filtered(tenant, call, "user")
    items = ((number, _user(tenant, user, select, manager)) for number, user in found)
    return page(tenant, call, "users", items, total=_all(tenant, call, "user"))


def read_user(tenant: Tenant, call: Call, params: Params) -> dict[str, Any]:
    only(call, "$select", "$expand")
    user = require_user(tenant, params["id"])
    select = _checked_select(call, "user")
    return _entity(call, "users", select) | _user(tenant, user, select, _expanded_manager(call))


def read_manager(tenant: Tenant, call: Call, params: Params) -> dict[str, Any]:
    only(call, "$select")
    user = require_user(tenant, params["id"])
    manager = tenant.live(user.manager) if user.manager is not None else None
    if manager is None:
        raise not_found("manager")
    select = _checked_select(call, "user")
    return {"@odata.context": f"{call.base}/$metadata#directoryObjects/$entity"} | shapes.typed(manager, select)


def list_groups(tenant: Tenant, call: Call, _: Params) -> dict[str, Any]:
    only(call, "$select", "$filter", "$top", "$skiptoken", "$count")
    select = _checked_select(call, "group")
    items = ((number, shapes.full(group, select)) for number, group in _filtered(tenant, call, "group"))
    return page(tenant, call, "groups", items, total=_all(tenant, call, "group"))


def read_group(tenant: Tenant, call: Call, params: Params) -> dict[str, Any]:
    only(call, "$select")
    group = require_group(tenant, params["id"])
    select = _checked_select(call, "group")
    return _entity(call, "groups", select) | shapes.full(group, select)


def count(tenant: Tenant, call: Call, params: Params) -> Reply:
    """/users/$count and /groups/$count."""
    only(call, "$filter")
    if not call.eventual:
        raise bad_request("$count is not currently supported.")
    kind = params["collection"].removesuffix("s")
    return Reply(200, str(sum(1 for _ in _all(tenant, call, kind))))


# Members


def list_members(tenant: Tenant, call: Call, params: Params) -> dict[str, Any]:
    group = require_group(tenant, params["id"])
    after = position_of(tenant, call)
    return _members(tenant, call, params, group.members.after(after), group.members.after(0))


def list_transitive_members(tenant: Tenant, call: Call, params: Params) -> dict[str, Any]:
    found = sorted(_transitive(tenant, require_group(tenant, params["id"])))
    numbered = list(enumerate(found, start=1))
    return _members(tenant, call, params, iter(numbered[position_of(tenant, call) :]), iter(numbered))


def _members(
    tenant: Tenant, call: Call, params: Params, found: Iterator[tuple[int, str]], everything: Iterator[tuple[int, str]]
) -> dict[str, Any]:
    only(call, "$select", "$filter", "$top", "$skiptoken", "$count")
    cast = CASTS[params["cast"]] if "cast" in params else None
    select = _checked_select(call, cast or "directoryObject")
    condition = filters.parse(call.query["$filter"]) if "$filter" in call.query else None
    if condition is not None and cast is not None and not call.eventual:
        raise unsupported_query("Filter on a cast needs the header ConsistencyLevel: eventual and $count=true.")

    def shown(numbered: Iterator[tuple[int, str]]) -> Iterator[tuple[int, dict[str, Any]]]:
        for number, member_id in numbered:
            member = tenant.live(member_id)
            # v1.0 does not list service principals as members, which is a known issue.
            if member is None or member.type == "servicePrincipal" or (cast and member.type != cast):
                continue
            if condition is not None and not _holds(condition, member):
                continue
            readable = not _READ_BY[member.type].isdisjoint(tenant.behaviour.permissions)
            if cast and readable:
                yield number, shapes.full(member, select)
            else:
                yield number, shapes.typed(member, select, readable=readable)

    context = f"{cast}s" if cast else "directoryObjects"
    return page(tenant, call, context, shown(found), total=shown(everything))


def _transitive(tenant: Tenant, group: DirectoryObject) -> set[str]:
    found: set[str] = set()
    waiting = [group]
    while waiting:
        for member_id in waiting.pop().members:
            if member_id not in found and tenant.live(member_id) is not None:
                found.add(member_id)
                if nested := tenant.group(member_id):
                    waiting.append(nested)
    return found


def list_member_of(tenant: Tenant, call: Call, params: Params) -> dict[str, Any]:
    only(call, "$select", "$top", "$skiptoken", "$count")
    user = require_user(tenant, params["id"])
    select = _checked_select(call, "group" if "cast" in params else "directoryObject")
    groups = [tenant.objects[key] for key in sorted(tenant.groups_of.get(user.id, ())) if tenant.live(key)]
    readable = not _READ_BY["group"].isdisjoint(tenant.behaviour.permissions)
    cast = "cast" in params and readable
    items = [
        (number, shapes.full(group, select) if cast else shapes.typed(group, select, readable=readable))
        for number, group in enumerate(groups, start=1)
    ]
    start = position_of(tenant, call)
    return page(tenant, call, "groups" if cast else "directoryObjects", iter(items[start:]), total=items)


def get_member_groups(tenant: Tenant, call: Call, params: Params) -> dict[str, Any]:
    user = require_user(tenant, params["id"])
    if not isinstance(call.body, dict) or "securityEnabledOnly" not in call.body:
        raise bad_request("The parameter securityEnabledOnly is missing.")
    security_only = bool(call.body["securityEnabledOnly"])
    found: dict[str, None] = {}
    waiting = [user.id]
    while waiting:
        for group_id in tenant.groups_of.get(waiting.pop(), ()):
            group = tenant.group(group_id)
            if group is not None and group_id not in found:
                found[group_id] = None
                waiting.append(group_id)
    value = [key for key in found if not security_only or tenant.objects[key].attributes["securityEnabled"]]
    return {"@odata.context": f"{call.base}/$metadata#Collection(Edm.String)", "value": value}


# Any directory object


def get_by_ids(tenant: Tenant, call: Call, _: Params) -> dict[str, Any]:
    """Unordered, and what is missing is silently left out."""
    only(call, "$select")
    body = call.body if isinstance(call.body, dict) else {}
    ids = body.get("ids") or []
    if not ids or len(ids) > 1000:
        raise bad_request("Invalid value specified for property 'ids' of resource 'directoryObject'.")
    types = body.get("types") or []
    found = [tenant.live(str(object_id)) for object_id in reversed(ids)]
    select = _checked_select(call, "directoryObject")
    value = [shapes.typed(item, select) for item in found if item is not None and (not types or item.type in types)]
    return {"@odata.context": f"{call.base}/$metadata#directoryObjects", "value": value}


def list_deleted(tenant: Tenant, call: Call, params: Params) -> dict[str, Any]:
    only(call, "$select", "$filter", "$top", "$skiptoken", "$count")
    kind = CASTS[params["cast"]]
    _may_read_deleted(tenant, kind)
    keys = tenant.deleted_users if kind == "user" else tenant.deleted_groups
    select = _checked_select(call, kind)
    names = select or ("deletedDateTime", *(name for name in shapes.DEFAULT[kind] if name != "deletedDateTime"))
    condition = filters.parse(call.query["$filter"]) if "$filter" in call.query else None

    def shown(after: int) -> Iterator[tuple[int, dict[str, Any]]]:
        for number, key in keys.after(after):
            item = tenant.objects[key]
            if condition is None or _holds(condition, item):
                yield number, shapes.full(item, names)

    return page(tenant, call, f"{kind}s", shown(position_of(tenant, call)), total=shown(0))


def read_deleted(tenant: Tenant, call: Call, params: Params) -> dict[str, Any]:
    only(call, "$select")
    item = tenant.deleted(params["id"])
    if item is None:
        raise not_found(params["id"])
    _may_read_deleted(tenant, item.type)
    select = _checked_select(call, "directoryObject")
    body = {"@odata.context": f"{call.base}/$metadata#directoryObjects/$entity"}
    if select is None:
        body["deletedDateTime"] = shapes.value_of(item, "deletedDateTime")
    return body | shapes.typed(item, select)


def _may_read_deleted(tenant: Tenant, kind: str) -> None:
    least = "User.Read.All" if kind == "user" else "Group.Read.All"
    if tenant.behaviour.permissions.isdisjoint({least, "Directory.Read.All"}):
        raise denied()


def denied() -> GraphError:
    return GraphError(403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.")


# Inside


def _checked_select(call: Call, kind: str) -> tuple[str, ...] | None:
    select = select_of(call)
    if select is None:
        return None
    shapes.check_select(select, kind)
    return select


def _entity(call: Call, collection: str, select: tuple[str, ...] | None) -> dict[str, Any]:
    shown = f"{collection}({','.join(select)})" if select else collection
    return {"@odata.context": f"{call.base}/$metadata#{shown}/$entity"}


def _expanded_manager(call: Call) -> tuple[str, ...] | None:
    """The properties to show of the manager, () for the default set, None if it is not expanded."""
    text = call.query.get("$expand", "").replace(" ", "")
    if not text:
        return None
    name, _, inner = text.partition("(")
    if name != "manager" or (inner and not inner.lower().startswith(("$select=", "select="))):
        raise not_emulated(f"$expand={text}")
    names = tuple(filter(None, inner.partition("=")[2].rstrip(")").split(",")))
    shapes.check_select(names, "user")
    return names


def _user(
    tenant: Tenant, user: DirectoryObject, select: tuple[str, ...] | None, manager: tuple[str, ...] | None
) -> dict[str, Any]:
    body = shapes.full(user, select)
    if manager is not None and user.manager is not None and (found := tenant.live(user.manager)):
        body["manager"] = shapes.typed(found, manager or None)
    return body


def _filtered(tenant: Tenant, call: Call, kind: str) -> Iterator[tuple[int, DirectoryObject]]:
    """The objects after the call's position that its filter lets through; by id, UPN and
    the beginning of a property without a scan.
    """
    keys = tenant.users if kind == "user" else tenant.groups
    after = position_of(tenant, call)
    text = call.query.get("$filter")
    if text is None:
        return ((number, tenant.objects[key]) for number, key in keys.after(after))
    condition = filters.parse(text)
    if filters.is_advanced(condition) and not (call.eventual and call.query.get("$count") == "true"):
        raise unsupported_query("Operator or function needs the header ConsistencyLevel: eventual and $count=true.")
    direct = filters.equal_to(condition, "id")
    if direct is None and kind == "user":
        direct = filters.equal_to(condition, "userPrincipalName")
    if direct is not None:
        found = {item.id: item for value in direct if (item := _by_key(tenant, kind, str(value)))}
        numbered = sorted((keys.number(key) or 0, key) for key in found)
        return ((number, found[key]) for number, key in numbered if number > after)
    if (wanted := filters.beginnings(condition)) is not None:
        everything = lambda: ((number, tenant.objects[key]) for number, key in keys.after(0))  # noqa: E731
        numbers = tenant.prefixes.find(everything, kind, tenant.sequence, wanted)
        return ((number, tenant.objects[keys.at(number)]) for number in numbers if number > after)
    return ((number, item) for number, key in keys.after(after) if _holds(condition, item := tenant.objects[key]))


def _by_key(tenant: Tenant, kind: str, value: str) -> DirectoryObject | None:
    return tenant.user(value) if kind == "user" else tenant.group(value)


def _all(tenant: Tenant, call: Call, kind: str) -> Iterator[Any]:
    keys = tenant.users if kind == "user" else tenant.groups
    text = call.query.get("$filter")
    if text is None:
        yield from keys
        return
    condition = filters.parse(text)
    for key in keys:
        if _holds(condition, tenant.objects[key]):
            yield key


def _holds(condition: filters.Filter, item: DirectoryObject) -> bool:
    def value(name: str) -> Any:
        outer, _, inner = name.partition("/")
        found = shapes.value_of(item, outer)
        return found.get(inner) if inner and isinstance(found, dict) else found

    return filters.matches(condition, value)
