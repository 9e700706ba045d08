"""What the engine needs from the outside, as Protocols. Adapters satisfy them by shape and never import this module."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from provisioning.model import (
    Assignment,
    AssignmentPage,
    ChangedPage,
    Column,
    DeltaPage,
    Member,
    ObjectPage,
    ObjectType,
    Record,
    RecordPage,
    ServicePrincipal,
    SourceObject,
    Write,
    WriteOutcome,
)
from provisioning.rows import Operation, Row
from provisioning.rules.measures import Measures
from provisioning.rules.notices import Notice
from provisioning.rules.protection import Administrators


class Source(Protocol):
    """Microsoft Graph. Every call may raise `Unavailable`; a failure never looks like an empty answer."""

    async def service_principal(self) -> ServicePrincipal:
        """The application whose assignments are provisioned. Raises `ConfigError` when it does not exist."""

    async def latest_link(self, kind: ObjectType) -> str:
        """A delta link that means "from now": nothing is read."""

    async def delta(self, kind: ObjectType, link: str | None) -> DeltaPage:
        """One page of a delta round; without a link the round begins with everything. Raises `CursorExpired`."""

    async def assignments(self, link: str | None) -> AssignmentPage:
        """One page of appRoleAssignedTo of the service principal."""

    async def members(self, groups: Collection[str]) -> Mapping[str, tuple[Member, ...] | None]:
        """The direct members of each group, read to the end; None for a group that does not exist."""

    async def users(self, ids: Collection[str]) -> Mapping[str, SourceObject]:
        """Present users with the mapped attributes and their manager; those not found are absent."""

    async def groups(self, ids: Collection[str]) -> Mapping[str, SourceObject]:
        """Present groups with the mapped attributes; those not found are absent."""

    async def objects(self, kind: ObjectType, properties: Collection[str], link: str | None) -> ObjectPage:
        """One page of all users or groups of the tenant, 999 at most, with these properties of Graph and those that
        scope needs; without a link, the first.
        """

    async def grants(self, kind: ObjectType, ids: Collection[str]) -> Mapping[str, tuple[Assignment, ...] | None]:
        """Each object's own assignments to the application, direct and through groups it is a direct member of: the
        read that proves a loss of scope. None for an object that does not exist (404); 403 and 5xx raise.
        """

    async def are_members(self, pairs: Collection[tuple[str, str]]) -> Mapping[tuple[str, str], bool]:
        """Whether (group, member) holds right now: the read that proves a lost membership."""

    async def deleted(self, kind: ObjectType, ids: Collection[str]) -> frozenset[str]:
        """Those of the objects that are soft-deleted at present."""

    async def default_domain(self) -> str | None:
        """The tenant's default verified domain; None when it has none."""

    async def find(self, kind: ObjectType, key: str) -> SourceObject | None:
        """One object by id, user principal name or display name, for on-demand runs. Raises `ObjectError` when a name
        is not unique.
        """

    async def search(self, kind: ObjectType, text: str, top: int) -> Sequence[SourceObject]:
        """Up to `top` objects one of whose names begins with the text, for people who look for somebody."""


class Target(Protocol):
    """ServiceNow. Every call may raise `Unavailable`; only `write` changes anything."""

    batch_size: int
    """How many writes the next batch should hold, by the times measured so far."""

    def refusal(self, value: str) -> str | None:
        """Why a value cannot be searched for (it would be taken for something else than text), or None."""

    async def dictionary(self) -> Mapping[str, Mapping[str, Column]]:
        """Columns by table and name, for the tables that mappings use."""

    async def display_column(self, table: str) -> str:
        """The column by which people know a table's records. Raises `ConfigError` for a table that is not there."""

    async def find(
        self, table: str, field: str, values: Collection[str], fields: Collection[str]
    ) -> Mapping[str, tuple[Record, ...]]:
        """Records whose field equals one of the values as ServiceNow compares (ignoring case and accents), grouped
        by the value asked for; inactive ones included. A value without a hit is absent. Raises `Unavailable` when rows
        come back that nobody asked for.
        """

    async def find_named(
        self, named: Mapping[tuple[str, str], Collection[str]]
    ) -> Mapping[tuple[str, str], Mapping[str, tuple[Record, ...]]]:
        """As `find`, for the values of several (table, field) at once; of each record only that field."""

    def scan(self, table: str, fields: Collection[str]) -> AsyncIterator[RecordPage]:
        """All rows of a table, page by page, one call each, no row twice. Raises `ConfigError` when the table lacks a
        field.
        """

    async def read(self, table: str, sys_ids: Collection[str], fields: Collection[str]) -> Mapping[str, Record]:
        """Records by sys_id; those that do not exist are absent."""

    async def changed_since(self, table: str, since: float, fields: Collection[str], after: str) -> ChangedPage:
        """A page of the records that others than ourselves updated at or after a time (seconds since 1970), from the
        position `after` on; a record may come that was updated a little earlier. Raises `Unauthorized` when the
        instance does not tell when records were updated.
        """

    async def memberships(self, pairs: Collection[tuple[str, str]]) -> Mapping[tuple[str, str], tuple[str, ...]]:
        """The sys_ids of the sys_user_grmember rows of each (group sys_id, user sys_id); absent when there is none."""

    def share(self, slots: int) -> AbstractContextManager[None]:
        """So many calls may run at once for what is done inside the block, beside those of other blocks."""

    def measured(self) -> AbstractContextManager[Measures]:
        """Counts the calls of what is done inside the block."""

    @property
    def refused(self) -> int:
        """How many calls the instance has refused because there were too many at once."""

    async def groups_of(self, users: Collection[str]) -> Mapping[str, frozenset[str]]:
        """The sys_ids of the groups that each of the users, by sys_id, is a member of, however many they are."""

    async def identity(self) -> Mapping[str, str]:
        """What the instance calls itself, by the names of its properties `instance_id` and `instance_name`; what it
        does not tell is absent.
        """

    async def members_of(self, groups: Collection[str]) -> Mapping[str, frozenset[str]]:
        """The sys_ids of the users that are members of each of the groups, by sys_id, however many they are. Rows
        without a user count for nothing.
        """

    async def own_account(self) -> str | None:
        """The sys_id of the account that we are logged in with; None where the instance does not tell."""

    async def administrators(self) -> Administrators:
        """Who holds admin or security_admin, as far as we may know; to know nothing is an answer and no error."""

    async def groups_with_roles(self, sys_ids: Collection[str]) -> frozenset[str]:
        """Those of the groups that carry roles, their own or those of a parent. Raises `Unauthorized`, with the code
        InsufficientRights, when that cannot be read.
        """

    async def security_admin_groups(self, sys_ids: Collection[str] | None = None) -> frozenset[str]:
        """Those of the groups, or of all, to which the role security_admin is assigned; a parent's does not count.
        Raises `Unauthorized`, with the code InsufficientRights, when that cannot be read.
        """

    async def write(self, writes: Sequence[Write]) -> Mapping[str, WriteOutcome]:
        """One batch; the outcome of each write by its key. What came back without a clear outcome has been read back.
        Raises `Unavailable` only when no write of the batch took place for certain, else answers `Unsettled` for each
        write that remains in doubt.
        """


class Store(Protocol):
    """The state store. Every call may raise `Unavailable`. No key holds a slash, backslash, `#` or `?`."""

    async def get(self, table: str, partition: str, key: str) -> Row | None: ...

    async def get_many(self, table: str, keys: Sequence[tuple[str, str]]) -> Mapping[tuple[str, str], Row]:
        """Point reads of (partition, key) side by side; absent rows are absent from the answer."""

    async def scan(
        self, table: str, partition: str, *, after: str = "", before: str | None = None, limit: int = 1000
    ) -> Sequence[Row]:
        """Rows with after < key < before in key order, at most `limit` (1 to 1,000) of them.

        Fewer than `limit` rows means that the range has ended; to go on, scan again after the last key.
        """

    async def commit(self, table: str, partition: str, operations: Sequence[Operation]) -> Sequence[str | None]:
        """Run 1 to 100 operations on one partition atomically; answers the new ETags (None for a deletion).

        Raises `RowConflict` when a condition fails (nothing is written), `RowTooLarge` when a row or the whole
        transaction does not fit, ValueError when the engine asks for what Azure Tables would refuse.
        """


class Channel(Protocol):
    """A way by which notices reach people."""

    async def send(self, notice: Notice) -> None:
        """Returns when the other side has taken it. Raises `ProvisioningError` otherwise; whether it arrived all the
        same is then not known, and it may be sent again.
        """
