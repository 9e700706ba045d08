"""What every step of a job works with: the job's rules, the two sides, the store and the clock."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import msgspec

from provisioning.engine.audit import Audit
from provisioning.engine.cycle import Pace
from provisioning.engine.due import Due, Held
from provisioning.engine.edges import Edges, Waiting
from provisioning.engine.executed import Executed
from provisioning.engine.instance import KnownInstance
from provisioning.engine.jobs import JobRows
from provisioning.engine.journal import Journal
from provisioning.engine.keys import digest
from provisioning.engine.links import Links
from provisioning.engine.neighbours import Records, Waiters
from provisioning.engine.nesting import Nesting
from provisioning.engine.plan import Plan
from provisioning.engine.ports import Channel, Source, Store, Target
from provisioning.engine.references import References
from provisioning.engine.rejections import Rejections
from provisioning.engine.rights import KnownRights, KnownVerdicts
from provisioning.expressions import Tenant
from provisioning.model import ObjectType, ServicePrincipal
from provisioning.rules.assessment import Policy
from provisioning.rules.escrow import RetryPolicy
from provisioning.rules.group_limits import GroupLimits
from provisioning.rules.mapping import Columns, Mapper
from provisioning.rules.quarantine import Thresholds
from provisioning.rules.review import Limits
from provisioning.rules.scope import DEFAULT_ACCESS
from provisioning.schema import Schema

KEEP_PRINCIPAL = 600.0
"""Seconds for which what was read of the application is good."""


@dataclass(frozen=True)
class Job:
    """One synchronization job: what it provisions and by which rules. `schema_version` names the stored document that
    the schema comes from; "" is the one that ships with the product. `strict` is compatibility with Entra's quirks.
    `limits` are those of the removal guard, `own_limits` those of the kinds of harm that have others, `group_limits`
    those of each group's members. `application` is the id of the enterprise application whose assignments the job
    provisions. `log_retention` is in seconds, and so is `reconciles_every`, the time in which everything is compared
    with ServiceNow once (0: never).
    `settings` are the ones that somebody has set, for the audit trail: those named in `hidden_settings` have a mark
    that tells two values apart in place of the value.
    `kept` are those of the settings that were given over the API.
    `patience`: for how long no cycle needs to succeed before somebody is told, 0 for ever.
    """

    id: str
    tenant: str
    schema: Schema
    schema_version: str = ""
    policy: Policy = field(default_factory=Policy)
    strict: bool = False
    limits: Limits = field(default_factory=Limits)
    own_limits: Mapping[str, Limits] = field(default_factory=dict)
    group_limits: GroupLimits = field(default_factory=GroupLimits)
    retries: RetryPolicy = field(default_factory=RetryPolicy)
    thresholds: Thresholds = field(default_factory=Thresholds)
    application: str = ""
    pace: Pace = field(default_factory=Pace)
    log_retention: float = 30 * 86400.0
    reconciles_every: float = 7 * 86400.0
    settings: Mapping[str, str] = field(default_factory=dict)
    hidden_settings: frozenset[str] = frozenset()
    patience: float = 86400.0
    kept: Mapping[str, str] = field(default_factory=dict)

    def limits_of(self, kind: str) -> Limits:
        return self.own_limits.get(kind, self.limits)

    @cached_property
    def configuration(self) -> str:
        """Changes with the mappings and the scope: every link is then evaluated again."""
        document, policy = json.dumps(self.schema.document, sort_keys=True), msgspec.json.encode(self.policy)
        return digest(document, policy.decode(), str(self.strict))[:16]


@dataclass(frozen=True)
class Context:
    """`now` is the wall clock in seconds since 1970; `time_box` ends a step's work, in seconds; a decision older than
    `fresh` seconds is made again before it is carried out. `channels` are the ways by which people are told of the job.
    """

    job: Job
    store: Store
    source: Source
    target: Target
    now: Callable[[], float] = time.time
    time_box: float = 120.0
    fresh: float = 300.0
    channels: Mapping[str, Channel] = field(default_factory=dict)
    _principal: list[tuple[float, ServicePrincipal]] = field(default_factory=list, init=False, repr=False)
    _domain: list[str | None] = field(default_factory=list, init=False, repr=False)
    _mappers: dict[ObjectType, tuple[Columns, Mapper]] = field(default_factory=dict, init=False, repr=False)

    @cached_property
    def links(self) -> Links:
        return Links(self.store, self.job.id, self.records)

    @cached_property
    def records(self) -> Records:
        return Records(self.store, self.rows, self.now)

    @cached_property
    def waiters(self) -> Waiters:
        return Waiters(self.store, self.job.id)

    @cached_property
    def edges(self) -> Edges:
        return Edges(self.store, self.job.id)

    @cached_property
    def waiting(self) -> Waiting:
        return Waiting(self.store, self.job.id)

    @cached_property
    def due(self) -> Due:
        return Due(self.store, self.job.id)

    @cached_property
    def held(self) -> Held:
        return Held(self.store, self.job.id)

    @cached_property
    def rejections(self) -> Rejections:
        return Rejections(self.store, self.job.id)

    @cached_property
    def audit(self) -> Audit:
        return Audit(self.store, self.job.id)

    @cached_property
    def executed(self) -> Executed:
        return Executed(self.store, self.job.id)

    @cached_property
    def journal(self) -> Journal:
        return Journal(self.store, self.job.id)

    @cached_property
    def rows(self) -> JobRows:
        return JobRows(self.store, self.job.id)

    @cached_property
    def references(self) -> References:
        return References(self.target, self.now)

    @cached_property
    def rights(self) -> KnownRights:
        return KnownRights(self.target, self.links, self.now)

    @cached_property
    def verdicts(self) -> KnownVerdicts:
        return KnownVerdicts()

    @cached_property
    def instance(self) -> KnownInstance:
        tables: dict[ObjectType, str] = {"user": self.job.schema.user.table, "group": self.job.schema.group.table}
        return KnownInstance(self.rows, self.links, self.edges, self.target, tables, self.now)

    @cached_property
    def nesting(self) -> Nesting:
        return Nesting(self.store, self.source, self.job.id, enabled=self.job.policy.nested_groups)

    async def service_principal(self) -> ServicePrincipal:
        """The application and its roles, which somebody may change while this context lives."""
        if not self._principal or self.now() - self._principal[0][0] > KEEP_PRINCIPAL:
            self._principal[:] = [(self.now(), await self.source.service_principal())]
        return self._principal[0][1]

    async def default_access(self) -> bool:
        """Whether the role Default Access entitles: by the job's policy, or as Entra does, only where the application
        has no other role to assign.
        """
        match self.job.policy.default_access:
            case "include":
                return True
            case "exclude":
                return False
            case "auto":
                principal = await self.service_principal()
                return not any(role.enabled and role.id != DEFAULT_ACCESS for role in principal.roles)

    async def access(self) -> str:
        """Identifies the rules about access that lie in Entra: what Default Access is worth, and the roles that
        mappings read.
        """
        parts = [str(await self.default_access())]
        if self.job.schema.user.reads_roles or self.job.schema.group.reads_roles:
            parts += sorted(
                f"{role.id} {role.value} {role.display_name}" for role in (await self.service_principal()).roles
            )
        return digest(*parts)[:16]

    async def mapper(self, kind: ObjectType) -> Mapper:
        """The mappings of users or of groups, prepared for the instance's dictionary."""
        mapping = self.job.schema.mapping(kind)
        columns = (await self.target.dictionary())[mapping.table]
        known = self._mappers.get(kind)
        if known is None or known[0] is not columns:
            known = self._mappers[kind] = (columns, Mapper(mapping, columns, await self._tenant()))
        return known[1]

    async def identifier(self, kind: ObjectType) -> Mapper:
        """As `mapper`, for nothing but the keys of users or of groups."""
        mapping = self.job.schema.mapping(kind).identifying
        return Mapper(mapping, (await self.target.dictionary())[mapping.table], await self._tenant())

    async def _tenant(self) -> Tenant:
        """Read only where a mapping asks for it."""
        if "DefaultDomain" not in self.job.schema.functions:
            return Tenant()
        if not self._domain:
            self._domain.append(await self.source.default_domain())
        return Tenant(default_domain=self._domain[0])

    def plan(self, name: str) -> Plan:
        return Plan(self.store, self.job.id, name)
