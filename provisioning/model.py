"""The nouns: what is read from Entra and ServiceNow, what is remembered, decided and done.

Everything here is frozen data without behaviour beyond what follows from its own fields. Nouns that are stored
are msgspec structs, so that JSON is decoded and checked in one place. This module knows neither side's protocol.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct, field

ObjectType = Literal["user", "group"]
Lane = Literal["leavers", "removals", "users", "groups", "memberships"]
REMOVING: tuple[Lane, ...] = ("leavers", "removals")
"""The lanes of what the removal guard counts, in the order in which it is carried out."""
DriftPolicy = Literal["report", "enforce", "adopt"]
"""What becomes of a value that others changed in ServiceNow."""
MEMBERSHIPS = "sys_user_grmember"
"""ServiceNow's table of memberships."""

# --- The source: Microsoft Entra ID ---------------------------------------------------------------


class SourceObject(Struct, frozen=True):
    """A user or group as Graph v1.0 names it. `attributes["manager"]` is {"id": ...}, None for no manager, or
    absent when the read does not tell (delta reports a manager only when it changed).
    """

    type: ObjectType
    id: str
    attributes: dict[str, Any]


class Member(Struct, frozen=True):
    """A direct member of a group. Only users are provisioned as members; groups matter for nesting."""

    id: str
    type: Literal["user", "group", "other"]


class Upserted(Struct, frozen=True):
    """Delta reports the object's present state; attributes it leaves out were never set."""

    object: SourceObject


class Removed(Struct, frozen=True):
    """A tombstone. `permanent` is false while the object can still be restored."""

    type: ObjectType
    id: str
    permanent: bool


class MembersChanged(Struct, frozen=True):
    """One slice of a group's membership changes; a large group comes in several slices."""

    group: str
    added: tuple[Member, ...]
    removed: tuple[str, ...]


Change = Upserted | Removed | MembersChanged


class DeltaPage(Struct, frozen=True):
    """One page of a delta round: exactly one of the two links is set."""

    changes: tuple[Change, ...]
    next_link: str | None
    delta_link: str | None


class ObjectPage(Struct, frozen=True):
    """One page of the list of all users or of all groups, each with the properties that were asked for."""

    objects: tuple[SourceObject, ...]
    next_link: str | None


class Assignment(Struct, frozen=True, array_like=True):
    """One row of appRoleAssignedTo. The all-zero role is Default Access."""

    principal_id: str
    principal_type: str
    role_id: str


class AssignmentPage(Struct, frozen=True):
    assignments: tuple[Assignment, ...]
    next_link: str | None


class AppRole(Struct, frozen=True):
    """`enabled` is true for a role that users and groups can be assigned to; others are for applications."""

    id: str
    value: str | None
    display_name: str
    enabled: bool


class ServicePrincipal(Struct, frozen=True):
    id: str
    app_id: str
    display_name: str
    roles: tuple[AppRole, ...]


# --- The target: ServiceNow -----------------------------------------------------------------------

Record = Mapping[str, str]
"""A record as the Table API gives it: every value a string, references as sys_ids, `sys_id` included. A field that
the integration user may not read is absent."""


class ChangedPage(Struct, frozen=True):
    """Records that were updated, and the position from which the next page is read; None at the end."""

    rows: tuple[Record, ...]
    next: str | None


class RecordPage(Struct, frozen=True):
    """One page of a table that is read as a whole. `total` is how many rows there were when the scan began, those that
    access rules hide included, as far as the instance tells; `doubt` says why rows may be missing.
    """

    records: tuple[Record, ...]
    total: int | None = None
    doubt: str = ""


class Column(Struct, frozen=True):
    """A column of the instance's dictionary. `reference` is the table that a reference column points to; a `choice`
    column stores no value that is not among its choices; by the `display` column people know the table's records.
    """

    name: str
    type: str
    max_length: int
    reference: str | None = None
    read_only: bool = False
    choice: bool = False
    display: bool = False


class InsertRecord(Struct, frozen=True, tag=True):
    """`key` names the write within its batch; `sys_id` is chosen by us so that a repeat cannot duplicate."""

    key: str
    table: str
    sys_id: str
    fields: dict[str, str]


class PatchRecord(Struct, frozen=True, tag=True):
    """`before` is what the record held when the write was decided, as far as it is known: it tells later whether a
    write without a clear answer took place.
    """

    key: str
    table: str
    sys_id: str
    fields: dict[str, str]
    before: dict[str, str] = {}


class DeleteRecord(Struct, frozen=True, tag=True):
    key: str
    table: str
    sys_id: str


Write = InsertRecord | PatchRecord | DeleteRecord


class Written(Struct, frozen=True, tag=True):
    """The write took place; `record` is what the instance now holds (empty after a deletion)."""

    record: dict[str, str]


class Refused(Struct, frozen=True, tag=True):
    """The instance refused this one write and did not apply it. `code` is Entra's error code. `transient` refusals are
    worth another try as they are.
    """

    code: str
    message: str
    way_out: str
    transient: bool = False


class Unsettled(Struct, frozen=True, tag=True):
    """Nobody knows whether the write took place, and reading back did not tell: observe before anything else."""

    reason: str


WriteOutcome = Written | Refused | Unsettled


class Capabilities(Struct, frozen=True, omit_defaults=True):
    """What a probe found out about an instance and our account there; None is "not known". `ranges_on` are the tables
    whose rows can be asked for in the order of their sys_ids, `skew` is how many seconds the instance's clock is ahead
    of ours, `when` is in seconds since 1970, `versions` names the software that asked.
    """

    instance: str
    when: float
    versions: str
    batch: bool
    ranges_on: tuple[str, ...] = ()
    honours_sys_ids: bool | None = None
    drops_unknown_filters: bool | None = None
    sees_inactive: bool | None = None
    own_sys_id: str = ""
    skew: float | None = None


# --- What is remembered ---------------------------------------------------------------------------


class Escrow(Struct, frozen=True):
    """A failure that will be tried again. `since` is when its series of failures with this code began; `removal` when
    what failed was to take access away. Times are seconds since 1970.
    """

    code: str
    message: str
    since: float
    attempts: int
    next_attempt: float
    removal: bool = False


class Neighbour(Struct, frozen=True, omit_defaults=True):
    """Another job of the same instance and the record that it manages for the same person or group; "" for a job that
    nobody waits for any more, and for a record that nobody has seen yet.
    """

    job: str
    sys_id: str = ""


class Link(Struct, frozen=True, omit_defaults=True):
    """What is remembered of one source object: its record in ServiceNow and why it is in scope.

    `grants` holds "role:<app role id>" for each direct assignment and "group:<group id>" for each group in scope
    that contains the object. `match_value` and `other_keys` are the keys that it holds. `sys_id` is set before the
    record is created (`intended`), so that a lost reply or a killed process leaves nothing that cannot be found again.
    `written` holds the values last sent, `altered` what the instance made of those that it did not store as sent
    (cut, refused as a choice, dropped by an ACL): both unchanged means that sending them again would change nothing.
    Columns that agreed already count as written. `updated` is when ServiceNow says that our last write updated the
    record, "" where it does not tell. `drifted` holds what others made of columns afterwards, as far as it
    was told and left. `announce` is true from when the record is known until the object is settled the next time: who
    waits for it may not have been called yet. `released` is true once all was done for an object that is out of scope:
    another job may take the record over. `foreign` is the record that another job manages for an object that is not
    linked here.
    """

    type: ObjectType
    id: str
    grants: tuple[str, ...] = ()
    sys_id: str | None = None
    generation: int = 0
    match_value: str | None = None
    other_keys: tuple[str, ...] = ()
    origin: Literal["created", "adopted"] | None = None
    intended: bool = False
    announce: bool = False
    enabled: bool = False
    manager: str | None = None
    written: dict[str, str] = field(default_factory=dict)
    altered: dict[str, str] = field(default_factory=dict)
    updated: str = ""
    drifted: dict[str, str] = field(default_factory=dict)
    escrow: Escrow | None = None
    released: bool = False
    foreign: Neighbour | None = None

    @property
    def linked(self) -> bool:
        """True once ServiceNow is known to hold the record."""
        return self.sys_id is not None and not self.intended

    @property
    def reference(self) -> str | None:
        """The record that a manager or a membership may refer to: of a user also one that another job manages. A
        group's memberships are written by nobody but its own job.
        """
        if self.linked:
            return self.sys_id
        return self.foreign.sys_id or None if self.foreign is not None and self.type == "user" else None


class Edge(Struct, frozen=True, omit_defaults=True):
    """A membership in the source and its row in ServiceNow. `origin` says whether we made or found the row; without
    `sys_id` the membership waits for its user or its group. `protected` says that the log was told why it is left as
    it is, `drifted` that it was told that others removed the row.
    """

    group: str
    member: str
    sys_id: str | None = None
    origin: Literal["created", "adopted"] | None = None
    protected: bool = False
    drifted: bool = False


# --- What is decided ------------------------------------------------------------------------------


class Create(Struct, frozen=True, tag=True):
    sys_id: str
    generation: int
    fields: dict[str, str]


class Update(Struct, frozen=True, tag=True):
    """Only the fields that differ; `before` holds what the record had."""

    sys_id: str
    fields: dict[str, str]
    before: dict[str, str]


class Disable(Struct, frozen=True, tag=True):
    sys_id: str
    fields: dict[str, str]
    before: dict[str, str]


class Remove(Struct, frozen=True, tag=True):
    """Delete the record for good: memberships always, users only where the job says so."""

    sys_id: str
    before: dict[str, str]


class Skip(Struct, frozen=True, tag=True):
    """Nothing to write. `reason` is Entra's SkipReason."""

    reason: str
    description: str


class Fail(Struct, frozen=True, tag=True):
    """Cannot be written as things are. `code` is Entra's error code."""

    code: str
    message: str
    way_out: str


Action = Create | Update | Disable | Remove | Skip | Fail


class ScopeCheck(Struct, frozen=True):
    """One clause of the scoping answer, named as in Entra's logs (IsActive, Assigned, ...)."""

    name: str
    passed: bool
    detail: str = ""


class Match(Struct, frozen=True):
    """How the record was found: by `link`, by `attribute`, by the `intent` of an earlier try, or not at all. `value` is
    the key that found it or that nothing has, `others` the object's further keys that were searched for.
    """

    how: Literal["link", "intent", "attribute", "none"]
    value: str | None
    sys_ids: tuple[str, ...] = ()
    others: tuple[str, ...] = ()


class Missing(Struct, frozen=True):
    """A reference that cannot be written yet. `wanted` is a source id, or the value that a record of `table` is looked
    up by (`cmn_department`, or `cmn_department.id` for a column that is not the display column).
    """

    attribute: str
    wanted: str
    table: str | None = None


class Drifted(Struct, frozen=True, omit_defaults=True):
    """A column that others changed in ServiceNow after our last write: Entra's value and theirs, who last updated the
    record and when (as ServiceNow tells it, in UTC), and whether it is `left` as it is.
    """

    column: str
    ours: str
    theirs: str
    policy: DriftPolicy
    by: str = ""
    at: str = ""
    left: bool = False


class NewReference(Struct, frozen=True):
    """A record that is created for a reference of `attribute` to point to: one of `table`, found by `value` in
    `column` ("" for the display column).
    """

    attribute: str
    table: str
    column: str
    value: str


class Decision(Struct, frozen=True, omit_defaults=True):
    """What to do with one object, and why. Dry run, guard, journal and on-demand answer read the same one.

    `awaits` maps a column to the source id that it refers to, for objects that this same plan creates: the reference
    is added when they exist. `creates` are the records that references need, created before it is carried out. `grants`
    is the object's scope after the change, `manager` its manager's source id. `redacted` names the columns whose values
    may stand in no log, `secrets` those of their values that are not sent: keys that were searched for, names of
    records that were not found. `told` means that the log has it already. `agreed` are values that the record was found
    to hold already, `drifted` what others changed of it (None where that was not compared).
    `neighbour` is the other job that manages the record, which is left to it.
    `lost` is the sys_id of the record that the object was linked to and that is gone, `group_limit` how many such
    changes to its members the group of a membership may have without a person's word (None: any number).
    """

    object: str
    action: Action
    name: str = ""
    scope: tuple[ScopeCheck, ...] = ()
    match: Match | None = None
    missing: tuple[Missing, ...] = ()
    awaits: dict[str, str] = field(default_factory=dict)
    creates: tuple[NewReference, ...] = ()
    grants: tuple[str, ...] = ()
    manager: str | None = None
    recheck: bool = False
    warnings: tuple[str, ...] = ()
    redacted: tuple[str, ...] = ()
    secrets: dict[str, str] = field(default_factory=dict)
    told: bool = False
    agreed: dict[str, str] = field(default_factory=dict)
    drifted: tuple[Drifted, ...] | None = None
    lost: str = ""
    group_limit: int | None = None
    neighbour: Neighbour | None = None


class Clearance(Struct, frozen=True, omit_defaults=True):
    """What the removal guard let through: harm of this kind within the limits or, where a person approved it, exactly
    what `version` identifies.
    """

    kind: str
    deletes: bool = False
    version: str = ""


class Hold(Struct, frozen=True, omit_defaults=True):
    """That the removal guard holds what `version` identifies, and the ids of the plans that listed it, oldest first."""

    version: str
    plans: tuple[str, ...] = ()


class Pending(Struct, frozen=True, omit_defaults=True):
    """One row of the plan: a change that was read and not yet settled, and the decision once it is made.

    `grants` maps a grant to True (given) or False (withdrawn). `attributes` is None when the source object has not
    been read. `refresh` asks for a full evaluation although nothing is known to have changed. `unproven` marks a
    loss that only an absence suggests: it needs a read of its own. `expand` asks for all members of a group.
    `reconciles` means that nothing else is known than that it is time to compare both sides, or that others changed the
    record. `withdrawn` is a membership that ended,
    `owned` one that goes although others made it. `escrow` is the failure for which the row is tried again. `hold` and
    `clearance` are what the removal guard said of an earlier decision. `decided_at` is in seconds since 1970,
    `spent` is how many seconds the reading and deciding took; `link_etag` is that of the link decided on.
    """

    object: str
    lane: Lane
    attributes: dict[str, Any] | None = None
    gone: Literal["restorable", "permanent"] | None = None
    grants: dict[str, bool] = field(default_factory=dict)
    withdrawn: bool = False
    refresh: bool = False
    unproven: bool = False
    expand: bool = False
    reconciles: bool = False
    owned: bool = False
    decision: Decision | None = None
    hold: Hold | None = None
    clearance: Clearance | None = None
    escrow: Escrow | None = None
    decided_at: float = 0.0
    spent: float = 0.0
    link_etag: str = ""


def user_key(user_id: str) -> str:
    return f"user:{user_id}"


def group_key(group_id: str) -> str:
    return f"group:{group_id}"


def membership_key(group_id: str, member_id: str) -> str:
    return f"member:{group_id}:{member_id}"
