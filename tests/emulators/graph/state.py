"""The tenant: users, groups, memberships, managers, assignments and deleted items, with the change log
that delta query reads. It applies the directory's rules (what a soft delete keeps, what a purge takes
away) and knows no HTTP, no JSON and no paging: those are the work of the modules beside it.
"""

from __future__ import annotations

import base64
import random
import secrets
import time
import uuid
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from .behaviour import Behaviour
from .gallery import app_roles, gallery_application
from .log import ChangeLog, Event, LogEntry
from .prefixes import Prefixes
from .records import Assignment, DirectoryObject, TenantError, UnknownObject, merge
from .replication import Replication
from .sequenced import Sequenced

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class Tenant:
    """A directory with one enterprise application, changed by the methods of this class."""

    def __init__(
        self,
        *,
        tenant_id: str = "7c5e1a52-6f0d-4c2f-9a55-0f4c9be3d1a7",
        clock: Callable[[], float] = time.time,
        seed: int = 0,
        display_name: str = "Contoso",
        domain: str = "contoso.com",
    ) -> None:
        self.tenant_id = tenant_id
        self.clock = clock
        self.display_name = display_name
        self.domain = domain
        self.behaviour = Behaviour()
        self.counts: Counter[str] = Counter()
        self.random = random.Random(f"application {seed}")
        # These outlive clear(): a client is configured with them once.
        self.service_principal_id = self.new_id()
        self.app_id = self.new_id()
        self.user_role_id = self.new_id()
        self.msiam_role_id = self.new_id()
        self.clear()

    def clear(self, *, seed: int | None = None) -> None:
        """Empty the directory; the enterprise application stays, without assignments."""
        if seed is not None:
            self.random.seed(f"directory {seed}")
        # Part of every token: one from before belongs to another directory, whatever its number.
        self.generation = secrets.token_hex(4)
        self.sequence = 0
        self.objects: dict[str, DirectoryObject] = {}
        self.users = Sequenced()
        self.groups = Sequenced()
        self.service_principals = Sequenced()
        self.deleted_users = Sequenced()
        self.deleted_groups = Sequenced()
        self.sent_mail: list[dict[str, Any]] = []
        """What was given to Outlook to send, oldest first."""
        self.purged: dict[str, str] = {}
        """The types of objects that are gone for good, by id."""
        self.prefixes = Prefixes()
        self.user_log = ChangeLog()
        self.group_log = ChangeLog()
        self.assignments: dict[str, Assignment] = {}
        self.assigned_to: dict[str, Sequenced] = {}
        """Assignment ids by the resource that they give access to."""
        self.assignments_of: dict[str, dict[str, None]] = {}
        self.groups_of: dict[str, dict[str, None]] = {}
        """Groups by direct member, soft-deleted members included."""
        self.reports_of: dict[str, dict[str, None]] = {}
        self._by_upn: dict[str, str] = {}
        self._by_app_id: dict[str, str] = {}
        self._last_membership: dict[tuple[str, str], int] = {}
        self._replication = Replication(self.clock)
        self._install_application()

    # Reading

    def new_id(self) -> str:
        return str(uuid.UUID(int=self.random.getrandbits(128), version=4))

    def live(self, object_id: str) -> DirectoryObject | None:
        """The object unless it is deleted or unknown."""
        found = self.objects.get(object_id.lower())
        return found if found is not None and found.deleted_at is None else None

    def user(self, id_or_upn: str) -> DirectoryObject | None:
        key = id_or_upn.lower()
        found = self.live(self._by_upn.get(key, key))
        return found if found is not None and found.type == "user" else None

    def group(self, group_id: str) -> DirectoryObject | None:
        found = self.live(group_id)
        return found if found is not None and found.type == "group" else None

    def service_principal(self, object_id: str) -> DirectoryObject | None:
        found = self.live(object_id)
        return found if found is not None and found.type == "servicePrincipal" else None

    def service_principal_of(self, app_id: str) -> DirectoryObject | None:
        return self.live(self._by_app_id.get(app_id.lower(), ""))

    def deleted(self, object_id: str) -> DirectoryObject | None:
        found = self.objects.get(object_id.lower())
        return found if found is not None and found.deleted_at is not None else None

    def membership_number(self, group_id: str, member_id: str) -> int:
        """The sequence number of the newest change of this membership."""
        return self._last_membership.get((group_id, member_id), 0)

    def is_in_scope(self, user_id: str) -> bool:
        """Whether the user is assigned directly or through a group that holds it directly."""
        principals = [user_id, *(key for key in self.groups_of.get(user_id, ()) if self.live(key) is not None)]
        return any(
            self.assignments[row].resource_id == self.service_principal_id
            for principal in principals
            for row in self.assignments_of.get(principal, ())
        )

    def catch_up(self) -> None:
        """Apply the changes whose replication lag is over; every read begins with this."""
        self._replication.catch_up()

    def settle(self) -> None:
        """Apply all pending changes at once."""
        self._replication.settle()

    def _commit(self, change: Callable[[], None]) -> None:
        self._replication.commit(change, self.behaviour.replication_lag)

    # Users

    def add_user(self, **attributes: Any) -> str:
        """Create a user; `id` may be given. Returns the id."""
        user_id = str(attributes.pop("id", None) or self.new_id()).lower()
        self._commit(lambda: self._add_user(user_id, attributes))
        return user_id

    def _add_user(self, user_id: str, attributes: dict[str, Any]) -> None:
        upn = attributes.setdefault("userPrincipalName", f"{user_id[:8]}@{self.domain}")
        self._claim_upn(upn, user_id)
        attributes.setdefault("displayName", upn.partition("@")[0])
        attributes.setdefault("accountEnabled", True)
        attributes.setdefault("userType", "Member")
        attributes.setdefault("businessPhones", [])
        attributes.setdefault("createdDateTime", self.timestamp())
        self.objects[user_id] = DirectoryObject(user_id, "user", attributes)
        self.users.add(user_id, self._log_user(user_id, Event.CREATED))

    def update_user(self, user_id: str, **attributes: Any) -> None:
        self._commit(lambda: self._update_user(user_id, attributes))

    def _update_user(self, user_id: str, attributes: dict[str, Any]) -> None:
        user = self._require(user_id, "user")
        upn = attributes.get("userPrincipalName")
        if upn is not None and upn != user.attributes["userPrincipalName"]:
            self._claim_upn(upn, user_id)
            if upn.lower() != user.attributes["userPrincipalName"].lower():
                self._by_upn.pop(user.attributes["userPrincipalName"].lower(), None)
        if names := merge(user.attributes, attributes):
            self._log_user(user_id, Event.UPDATED, names)

    def set_manager(self, user_id: str, manager_id: str | None) -> None:
        self._commit(lambda: self._set_manager(user_id, manager_id))

    def _set_manager(self, user_id: str, manager_id: str | None) -> None:
        user = self._require(user_id, "user")
        if manager_id is not None:
            self._require(manager_id, "user")
        before = user.manager
        if before == manager_id:
            return
        if before is not None:
            self.reports_of.get(before, {}).pop(user_id, None)
        if manager_id is not None:
            self.reports_of.setdefault(manager_id, {})[user_id] = None
        user.manager = manager_id
        self._log_user(user_id, Event.MANAGER, frozenset({"manager"}), before)

    def delete_user(self, user_id: str) -> None:
        """Soft delete: memberships, manager and assignments are kept, the UPN becomes free."""
        self._commit(lambda: self._delete_user(user_id))

    def _delete_user(self, user_id: str) -> None:
        user = self._require(user_id, "user")
        user.deleted_at = self.clock()
        upn = user.attributes["userPrincipalName"]
        self._by_upn.pop(upn.lower(), None)
        user.attributes["userPrincipalName"] = f"{user_id.replace('-', '')}{upn}"
        self.users.discard(user_id)
        self.deleted_users.add(user_id, self._log_user(user_id, Event.DELETED))

    def restore_user(self, user_id: str) -> None:
        self._commit(lambda: self._restore_user(user_id))

    def _restore_user(self, user_id: str) -> None:
        user = self._require_deleted(user_id, "user")
        upn = user.attributes["userPrincipalName"].removeprefix(user_id.replace("-", ""))
        self._claim_upn(upn, user_id)
        user.attributes["userPrincipalName"] = upn
        user.deleted_at = None
        self.deleted_users.discard(user_id)
        self.users.add(user_id, self._log_user(user_id, Event.RESTORED))

    def purge_user(self, user_id: str) -> None:
        """Remove for good, soft-deleted or not; only now do its memberships go."""
        self._commit(lambda: self._purge_user(user_id))

    def _purge_user(self, user_id: str) -> None:
        user = self._require_any(user_id, "user")
        if user.deleted_at is None:
            self._by_upn.pop(user.attributes["userPrincipalName"].lower(), None)
        self._log_user(user_id, Event.PURGED)
        for report in tuple(self.reports_of.pop(user_id, ())):
            self.objects[report].manager = None
            self._log_user(report, Event.MANAGER, frozenset({"manager"}), user_id)
        if user.manager is not None:
            self.reports_of.get(user.manager, {}).pop(user_id, None)
        self.users.discard(user_id)
        self.deleted_users.discard(user_id)
        self._forget(user_id)

    # Groups

    def add_group(self, *, members: Iterable[str] = (), **attributes: Any) -> str:
        """Create a group (a security group unless said otherwise); `id` may be given. Returns the id."""
        group_id = str(attributes.pop("id", None) or self.new_id()).lower()
        self._commit(lambda: self._add_group(group_id, attributes))
        for member in members:
            self.add_member(group_id, member)
        return group_id

    def _add_group(self, group_id: str, attributes: dict[str, Any]) -> None:
        if group_id in self.objects:
            raise TenantError(f"another object has the id {group_id}")
        attributes.setdefault("displayName", group_id[:8])
        attributes.setdefault("mailNickname", group_id[:8])
        attributes.setdefault("groupTypes", [])
        attributes.setdefault("mailEnabled", "Unified" in attributes["groupTypes"])
        attributes.setdefault("securityEnabled", "Unified" not in attributes["groupTypes"])
        attributes.setdefault("createdDateTime", self.timestamp())
        self.objects[group_id] = DirectoryObject(group_id, "group", attributes, members=Sequenced())
        self.groups.add(group_id, self._log_group(group_id, Event.CREATED))

    def update_group(self, group_id: str, **attributes: Any) -> None:
        self._commit(lambda: self._update_group(group_id, attributes))

    def _update_group(self, group_id: str, attributes: dict[str, Any]) -> None:
        group = self._require(group_id, "group")
        if names := merge(group.attributes, attributes):
            self._log_group(group_id, Event.UPDATED, names)

    def delete_group(self, group_id: str, *, permanently: bool | None = None) -> None:
        """Delete a group. Unless told, a Microsoft 365 group is soft-deleted and a security group goes at once."""
        self._commit(lambda: self._delete_group(group_id, permanently=permanently))

    def _delete_group(self, group_id: str, *, permanently: bool | None) -> None:
        group = self._require(group_id, "group")
        if permanently is None:
            permanently = "Unified" not in group.attributes["groupTypes"]
        if permanently:
            self._purge_group(group_id)
            return
        group.deleted_at = self.clock()
        self.groups.discard(group_id)
        self.deleted_groups.add(group_id, self._log_group(group_id, Event.DELETED))

    def restore_group(self, group_id: str) -> None:
        self._commit(lambda: self._restore_group(group_id))

    def _restore_group(self, group_id: str) -> None:
        group = self._require_deleted(group_id, "group")
        group.deleted_at = None
        self.deleted_groups.discard(group_id)
        self.groups.add(group_id, self._log_group(group_id, Event.RESTORED))
        # A restored object shows as a new one, so a group tells all its members again.
        kept, group.members = group.members, Sequenced()
        for member in kept:
            group.members.add(member, self._log_member(group_id, member))

    def purge_group(self, group_id: str) -> None:
        self._commit(lambda: self._purge_group(group_id))

    def _purge_group(self, group_id: str) -> None:
        group = self._require_any(group_id, "group")
        self._log_group(group_id, Event.PURGED)
        for member in group.members:
            self.groups_of[member].pop(group_id, None)
        self.groups.discard(group_id)
        self.deleted_groups.discard(group_id)
        self._forget(group_id)

    def add_member(self, group_id: str, member_id: str) -> None:
        """Make a user, group, device or service principal a direct member; no-op if it is one."""
        self._commit(lambda: self._add_member(group_id, member_id))

    def _add_member(self, group_id: str, member_id: str) -> None:
        group = self._require(group_id, "group")
        if member_id not in self.objects:
            raise UnknownObject(f"no object {member_id}")
        if member_id in group.members:
            return
        group.members.add(member_id, self._log_member(group_id, member_id))
        self.groups_of.setdefault(member_id, {})[group_id] = None

    def remove_member(self, group_id: str, member_id: str) -> None:
        self._commit(lambda: self._remove_member(group_id, member_id))

    def _remove_member(self, group_id: str, member_id: str) -> None:
        group = self._require_any(group_id, "group")
        if member_id not in group.members:
            return
        group.members.discard(member_id)
        self.groups_of[member_id].pop(group_id, None)
        self._log_member(group_id, member_id)

    # The enterprise application and who is assigned to it

    def add_service_principal(self, **attributes: Any) -> str:
        object_id = str(attributes.pop("id", None) or self.new_id())
        attributes.setdefault("appId", self.new_id())
        attributes.setdefault("appRoles", [])
        self.objects[object_id] = DirectoryObject(object_id, "servicePrincipal", attributes)
        self.service_principals.add(object_id, self._next())
        self._by_app_id[attributes["appId"]] = object_id
        return object_id

    def add_device(self, display_name: str) -> str:
        """A member of groups that is neither user nor group."""
        device_id = self.new_id()
        self.objects[device_id] = DirectoryObject(device_id, "device", {"displayName": display_name})
        return device_id

    def assign(self, principal_id: str, role_id: str | None = None, *, resource_id: str | None = None) -> str:
        """Assign a user, group or service principal (role `User` unless told). Returns the assignment's id."""
        # Graph's ids are opaque: 43 characters of base64url, not a GUID.
        row_id = base64.urlsafe_b64encode(self.random.randbytes(32)).decode().rstrip("=")
        resource = resource_id or self.service_principal_id
        self._commit(lambda: self._assign(row_id, principal_id, role_id or self.user_role_id, resource))
        return row_id

    def _assign(self, row_id: str, principal_id: str, role_id: str, resource_id: str) -> None:
        principal = self.objects.get(principal_id)
        if principal is None or resource_id not in self.objects:
            raise UnknownObject(f"no object {principal_id} or {resource_id}")
        held = [self.assignments[row] for row in self.assignments_of.get(principal_id, ())]
        if any(row.resource_id == resource_id and row.role_id == role_id for row in held):
            raise TenantError("Permission being assigned already exists on the object")
        self.assignments[row_id] = Assignment(
            id=row_id,
            principal_id=principal_id,
            principal_type=principal.type[0].upper() + principal.type[1:],
            principal_name=principal.attributes.get("displayName", ""),
            resource_id=resource_id,
            role_id=role_id,
            created_at=self.clock(),
        )
        self.assignments_of.setdefault(principal_id, {})[row_id] = None
        self.assigned_to.setdefault(resource_id, Sequenced()).add(row_id, self._next())

    def unassign(self, assignment_id: str) -> None:
        self._commit(lambda: self._unassign(assignment_id))

    def _unassign(self, assignment_id: str) -> None:
        row = self.assignments.pop(assignment_id, None)
        if row is None:
            raise UnknownObject(f"no assignment {assignment_id}")
        self.assignments_of[row.principal_id].pop(assignment_id, None)
        self.assigned_to[row.resource_id].discard(assignment_id)

    def unassign_principal(self, principal_id: str) -> None:
        """Take away every assignment that the principal has of its own."""
        self._commit(lambda: self._unassign_principal(principal_id))

    def _unassign_principal(self, principal_id: str) -> None:
        for row in tuple(self.assignments_of.get(principal_id, ())):
            self._unassign(row)

    def _install_application(self) -> None:
        roles = {self.user_role_id: "User", self.msiam_role_id: "msiam_access"}
        self.add_service_principal(id=self.service_principal_id, **gallery_application(self, roles))

    def set_app_roles(self, roles: dict[str, str], *, members: str = "User") -> None:
        """The application declares these roles, by id and name, and no others; assignments stay as they are."""
        self.objects[self.service_principal_id].attributes["appRoles"] = app_roles(roles, members)

    # Inside

    def timestamp(self) -> str:
        return datetime.fromtimestamp(self.clock(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def _next(self) -> int:
        self.sequence += 1
        return self.sequence

    def _log_user(
        self, user_id: str, event: Event, names: frozenset[str] = frozenset(), other: str | None = None
    ) -> int:
        number = self._next()
        self.user_log.append(LogEntry(number, user_id, event, names, other))
        return number

    def _log_group(self, group_id: str, event: Event, names: frozenset[str] = frozenset()) -> int:
        number = self._next()
        self.group_log.append(LogEntry(number, group_id, event, names))
        return number

    def _log_member(self, group_id: str, member_id: str) -> int:
        number = self._next()
        self.group_log.append(LogEntry(number, group_id, Event.MEMBER, frozenset({"members"}), member_id))
        self._last_membership[group_id, member_id] = number
        return number

    def _claim_upn(self, upn: str, user_id: str) -> None:
        if self._by_upn.setdefault(upn.lower(), user_id) != user_id:
            raise TenantError(f"Another object with the same value for property userPrincipalName: {upn}")

    def _require(self, object_id: str, kind: str) -> DirectoryObject:
        found = self.live(object_id)
        if found is None or found.type != kind:
            raise UnknownObject(f"no {kind} {object_id}")
        return found

    def _require_deleted(self, object_id: str, kind: str) -> DirectoryObject:
        found = self.deleted(object_id)
        if found is None or found.type != kind:
            raise UnknownObject(f"no deleted {kind} {object_id}")
        return found

    def _require_any(self, object_id: str, kind: str) -> DirectoryObject:
        found = self.objects.get(object_id)
        if found is None or found.type != kind:
            raise UnknownObject(f"no {kind} {object_id}")
        return found

    def _forget(self, object_id: str) -> None:
        for group_id in tuple(self.groups_of.get(object_id, ())):
            self._remove_member(group_id, object_id)
        self.groups_of.pop(object_id, None)
        self._unassign_principal(object_id)
        self.purged[object_id] = self.objects.pop(object_id).type
