"""The table of what the emulator knows: a route's kind (the name in counts and faults), its price in resource
units, the permissions that open it, and the function that answers. Paths are brought to one spelling
first, because OData allows several for the same thing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import applications, delta, mail, objects
from .applications import BY_APP_ID
from .messages import Call, GraphError, Reply

if TYPE_CHECKING:
    from collections.abc import Callable

    from .state import Tenant

Answer = dict[str, Any] | Reply

_USERS = frozenset({"User.Read.All", "Directory.Read.All"})
_GROUPS = frozenset({"GroupMember.Read.All", "Group.Read.All", "Directory.Read.All"})
_APPLICATIONS = frozenset({"Application.Read.All", "Application.ReadWrite.OwnedBy", "Directory.Read.All"})
_GRANTS = frozenset({"AppRoleAssignment.ReadWrite.All", "Directory.Read.All"})
_DELETED = frozenset({"User.Read.All", "Group.Read.All", "Directory.Read.All"})


@dataclass(frozen=True, slots=True)
class Route:
    method: str
    template: str
    permissions: frozenset[str]
    handler: Callable[[Tenant, Call, dict[str, str]], Answer]
    units: int = 1
    counted_as: str | None = None
    denied: Callable[[], GraphError] = objects.denied

    @property
    def kind(self) -> str:
        return f"{self.method} {self.counted_as or self.template}"

    def match(self, segments: tuple[str, ...]) -> dict[str, str] | None:
        pieces = self.template.strip("/").split("/")
        if len(pieces) != len(segments):
            return None
        params = {}
        for piece, segment in zip(pieces, segments, strict=True):
            if piece.startswith("{"):
                params[piece[1:-1]] = segment
            elif piece != segment:
                return None
        cast = params.get("cast")
        return params if cast is None or cast in objects.CASTS else None


def _user_delta(tenant: Tenant, call: Call, _: dict[str, str]) -> Answer:
    return delta.answer(tenant, call, "user", "GET /users/delta")


def _group_delta(tenant: Tenant, call: Call, _: dict[str, str]) -> Answer:
    return delta.answer(tenant, call, "group", "GET /groups/delta")


_MEMBERS = "/groups/{id}/members"
_TRANSITIVE = "/groups/{id}/transitiveMembers"
_DELETED_ITEMS = "/directory/deletedItems"
# In the order of their literal pieces: /users/delta before /users/{id}.
ROUTES = (
    Route("GET", "/users", _USERS, objects.list_users, units=2),
    Route("GET", "/users/delta", _USERS, _user_delta),
    Route("GET", "/users/$count", _USERS, objects.count),
    Route("GET", "/users/{id}", _USERS, objects.read_user),
    Route("GET", "/users/{id}/manager", _USERS, objects.read_manager),
    Route("GET", "/users/{id}/appRoleAssignments", _GRANTS, applications.list_user_assignments),
    Route("GET", "/users/{id}/memberOf", _USERS, objects.list_member_of, units=2),
    Route("GET", "/users/{id}/memberOf/{cast}", _USERS, objects.list_member_of, 2, "/users/{id}/memberOf"),
    Route("POST", "/users/{id}/getMemberGroups", _USERS, objects.get_member_groups, units=2),
    Route("POST", "/users/{id}/sendMail", frozenset({"Mail.Send"}), mail.send_mail, denied=mail.denied),
    Route("GET", "/groups", _GROUPS, objects.list_groups),
    Route("GET", "/groups/delta", _GROUPS, _group_delta),
    Route("GET", "/groups/$count", _GROUPS, objects.count),
    Route("GET", "/groups/{id}", _GROUPS, objects.read_group),
    Route("GET", "/groups/{id}/appRoleAssignments", _GRANTS, applications.list_group_assignments),
    Route("GET", _MEMBERS, _GROUPS, objects.list_members, units=3),
    Route("GET", f"{_MEMBERS}/{{cast}}", _GROUPS, objects.list_members, 3, _MEMBERS),
    Route("GET", _TRANSITIVE, _GROUPS, objects.list_transitive_members, units=5),
    Route("GET", f"{_TRANSITIVE}/{{cast}}", _GROUPS, objects.list_transitive_members, 5, _TRANSITIVE),
    Route("GET", "/servicePrincipals", _APPLICATIONS, applications.list_service_principals),
    Route("GET", "/servicePrincipals/{id}", _APPLICATIONS, applications.read_service_principal),
    Route("GET", "/servicePrincipals/{id}/appRoleAssignedTo", _APPLICATIONS, applications.list_assigned_to),
    Route("POST", "/directoryObjects/getByIds", frozenset({"Directory.Read.All"}), objects.get_by_ids, units=5),
    Route("GET", f"{_DELETED_ITEMS}/{{cast}}", _DELETED, objects.list_deleted),
    Route("GET", f"{_DELETED_ITEMS}/{{id}}", _DELETED, objects.read_deleted),
    Route("GET", "/organization", _USERS | {"Organization.Read.All"}, applications.list_organizations),
)
BATCH = ("$batch",)
_KEYED = re.compile(r"(users|groups|servicePrincipals)\('?([^')]+)'?\)")
_DELTA = re.compile(r"(?:microsoft\.graph\.)?delta(?:\(\))?")


def find(method: str, segments: tuple[str, ...]) -> tuple[Route, dict[str, str]] | None:
    plain = _plain(segments)
    for route in ROUTES:
        if route.method == method and (params := route.match(plain)) is not None:
            if plain[-1] == "$count":
                params["collection"] = plain[0]
            return route, params
    return None


def _plain(segments: tuple[str, ...]) -> tuple[str, ...]:
    """One spelling: users('x') as users/x, delta() as delta, graph.user as microsoft.graph.user."""
    pieces: list[str] = []
    for segment in segments:
        if keyed := _KEYED.fullmatch(segment):
            pieces.extend(keyed.groups())
        elif segment.startswith(f"servicePrincipals({BY_APP_ID}"):
            pieces += ["servicePrincipals", segment.removeprefix("servicePrincipals(").rstrip(")").replace("'", "")]
        elif _DELTA.fullmatch(segment):
            pieces.append("delta")
        elif segment.startswith("graph."):
            pieces.append(f"microsoft.{segment}")
        else:
            pieces.append(segment.removeprefix("microsoft.graph.") if segment.endswith("getByIds") else segment)
    return tuple(pieces)
