"""Graph's JSON to our nouns. Delta's own notations (`@removed`, `manager@delta`, `members@delta`) end here. It reads
what it is given and asks for nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Literal

from provisioning.adapters.graph.answers import Call
from provisioning.errors import Unauthorized, Unavailable
from provisioning.model import (
    AppRole,
    Assignment,
    Change,
    Member,
    MembersChanged,
    ObjectType,
    Removed,
    ServicePrincipal,
    SourceObject,
    Upserted,
)

JSON = dict[str, Any]
_MEMBER_TYPES: dict[str, Literal["user", "group"]] = {
    "#microsoft.graph.user": "user",
    "#microsoft.graph.group": "group",
}


def source_object(kind: ObjectType, body: JSON) -> SourceObject:
    """The object with its attributes as Graph names them, `id` among them. Takes the annotations out of `body`."""
    for annotation in [name for name in body if "@" in name]:
        del body[annotation]
    return SourceObject(kind, id_of(body), body)


def user_with_manager(body: JSON) -> SourceObject:
    """A user that was read with its manager expanded: Graph leaves out a manager that is not there."""
    found = source_object("user", body)
    manager = body.get("manager")
    found.attributes["manager"] = None if manager is None else {"id": id_of(_object(manager))}
    return found


def changes(kind: ObjectType, entries: Iterable[JSON]) -> Iterator[Change]:
    """What a page of delta reports, in its order and nothing merged."""
    for entry in entries:
        if "@removed" in entry:
            yield Removed(kind, id_of(entry), permanent=_object(entry["@removed"]).get("reason") == "deleted")
            continue
        references, slice_ = _objects(entry.get("manager@delta")), _objects(entry.get("members@delta"))
        found = source_object(kind, entry)
        if references:
            found.attributes["manager"] = _present_manager(references)
        # A further slice of members may come without the group's properties: that is no news of the group.
        if slice_ is None or found.attributes.keys() - {"id"}:
            yield Upserted(found)
        if slice_:
            yield _members_changed(found.id, slice_)


def member(body: JSON, call: Call) -> Member:
    """A member from a list of mixed types."""
    if not body.get("@odata.type") or not body.get("id"):
        raise Unauthorized(
            f"Microsoft Graph hides what kind of object a member in {call.what} is: grant this application "
            f"User.Read.All and {call.permission} with admin consent",
            code="InsufficientRights",
        )
    return _member(body)


def assignment(body: JSON) -> Assignment:
    return Assignment(
        principal_id=_text(body, "principalId", "an assignment"),
        principal_type=_text(body, "principalType", "an assignment"),
        role_id=_text(body, "appRoleId", "an assignment"),
    )


def service_principal(body: JSON) -> ServicePrincipal:
    roles = tuple(
        AppRole(
            id=_text(role, "id", "an app role"),
            value=_text_or_none(role, "value", "an app role"),
            display_name=_text_or_none(role, "displayName", "an app role") or "",
            enabled=role.get("isEnabled") is not False and _is_for_users(role.get("allowedMemberTypes")),
        )
        for role in _objects(body.get("appRoles")) or ()
    )
    name, app_id = (_text_or_none(body, each, "an application") or "" for each in ("displayName", "appId"))
    return ServicePrincipal(id_of(body), app_id, name, roles)


def default_domains(body: JSON) -> list[str]:
    """The verified domains of an organization that are flagged default."""
    domains = _objects(body.get("verifiedDomains")) or ()
    return [_text(domain, "name", "a domain") for domain in domains if domain.get("isDefault")]


def _members_changed(group: str, references: list[JSON]) -> MembersChanged:
    added: dict[str, Member] = {}
    removed: dict[str, None] = {}
    for reference in references:
        # The last word on a member counts, should it come and go within one slice.
        added.pop(id_of(reference), None)
        removed.pop(id_of(reference), None)
        if "@removed" in reference:
            removed[id_of(reference)] = None
        else:
            added[id_of(reference)] = _member(reference)
    return MembersChanged(group, tuple(added.values()), tuple(removed))


def _present_manager(references: list[JSON]) -> dict[str, str] | None:
    """A change of manager names the old one as removed and the new one, in no promised order."""
    present = [reference for reference in references if "@removed" not in reference]
    return {"id": id_of(present[-1])} if present else None


def _member(reference: JSON) -> Member:
    of_type = _text_or_none(reference, "@odata.type", "a member")
    return Member(id_of(reference), _MEMBER_TYPES.get(of_type or "", "other"))


def _is_for_users(types: Any) -> bool:
    return not isinstance(types, list) or not types or "User" in types


def id_of(body: JSON) -> str:
    return _text(body, "id", "an object")


def _text(body: JSON, name: str, whose: str) -> str:
    found = body.get(name)
    if isinstance(found, str) and found:
        return found
    raise _incomplete(f"{whose} lacks its {name}")


def _text_or_none(body: JSON, name: str, whose: str) -> str | None:
    found = body.get(name)
    if found is None or isinstance(found, str):
        return found
    raise _incomplete(f"the {name} of {whose} is no text")


def _object(value: Any) -> JSON:
    if isinstance(value, dict):
        return value
    raise _incomplete("something else stands where an object should")


def _objects(value: Any) -> list[JSON] | None:
    if value is None or (isinstance(value, list) and all(isinstance(each, dict) for each in value)):
        return value
    raise _incomplete("something else stands where a list of objects should")


def _incomplete(what: str) -> Unavailable:
    return Unavailable(f"Microsoft Graph answered with incomplete JSON: {what}")
