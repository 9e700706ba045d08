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
    return SourceObject(kind, _id(body), body)


def user_with_manager(body: JSON) -> SourceObject:
    """A user that was read with its manager expanded: Graph leaves out a manager that is not there."""
    found = source_object("user", body)
    manager = body.get("manager")
    found.attributes["manager"] = {"id": manager["id"]} if manager else None
    return found


def changes(kind: ObjectType, entries: Iterable[JSON]) -> Iterator[Change]:
    """What a page of delta reports, in its order and nothing merged."""
    for entry in entries:
        if removed := entry.get("@removed"):
            yield Removed(kind, _id(entry), permanent=removed.get("reason") == "deleted")
            continue
        references, slice_ = entry.get("manager@delta"), entry.get("members@delta")
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
    try:
        return Assignment(
            principal_id=body["principalId"], principal_type=body["principalType"], role_id=body["appRoleId"]
        )
    except KeyError as error:
        raise _incomplete(f"an assignment lacks {error}") from error


def service_principal(body: JSON) -> ServicePrincipal:
    roles = tuple(
        AppRole(
            id=role["id"],
            value=role.get("value"),
            display_name=role.get("displayName") or "",
            enabled=role.get("isEnabled", True) and "User" in (role.get("allowedMemberTypes") or ("User",)),
        )
        for role in body.get("appRoles") or ()
    )
    return ServicePrincipal(_id(body), body.get("appId") or "", body.get("displayName") or "", roles)


def _members_changed(group: str, references: list[JSON]) -> MembersChanged:
    added: dict[str, Member] = {}
    removed: dict[str, None] = {}
    for reference in references:
        # The last word on a member counts, should it come and go within one slice.
        added.pop(_id(reference), None)
        removed.pop(_id(reference), None)
        if "@removed" in reference:
            removed[_id(reference)] = None
        else:
            added[_id(reference)] = _member(reference)
    return MembersChanged(group, tuple(added.values()), tuple(removed))


def _present_manager(references: list[JSON]) -> dict[str, str] | None:
    """A change of manager names the old one as removed and the new one, in no promised order."""
    present = [reference for reference in references if "@removed" not in reference]
    return {"id": _id(present[-1])} if present else None


def _member(reference: JSON) -> Member:
    return Member(_id(reference), _MEMBER_TYPES.get(reference.get("@odata.type", ""), "other"))


def _id(body: JSON) -> str:
    found = body.get("id")
    if isinstance(found, str) and found:
        return found
    raise _incomplete("an object lacks its id")


def _incomplete(what: str) -> Unavailable:
    return Unavailable(f"Microsoft Graph answered with incomplete JSON: {what}")
