"""What every step of a job works with: the job's rules, the two sides, the store and the clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import msgspec

from provisioning.engine.cycle import Pace
from provisioning.engine.due import Due, Held
from provisioning.engine.edges import Edges, Waiting
from provisioning.engine.jobs import JobRows
from provisioning.engine.journal import Journal
from provisioning.engine.keys import digest
from provisioning.engine.links import Links
from provisioning.engine.plan import Plan
from provisioning.engine.ports import Source, Store, Target
from provisioning.engine.references import References
from provisioning.model import ServicePrincipal
from provisioning.rules.decide import Policy
from provisioning.rules.review import Limits
from provisioning.schema import Schema


@dataclass(frozen=True)
class Job:
    """One synchronization job: what it provisions and by which rules."""

    id: str
    tenant: str
    schema: Schema
    policy: Policy = field(default_factory=Policy)
    limits: Limits = field(default_factory=Limits)
    pace: Pace = field(default_factory=Pace)

    @cached_property
    def configuration(self) -> str:
        """Changes with the mappings and the scope: every link is then evaluated again."""
        return digest(msgspec.json.encode([self.schema, self.policy], order="deterministic").decode())[:16]


@dataclass(frozen=True)
class Context:
    """`now` is the wall clock in seconds since 1970; `time_box` ends a step's work, in seconds; a decision older than
    `fresh` seconds is made again before it is carried out.
    """

    job: Job
    store: Store
    source: Source
    target: Target
    now: Callable[[], float] = time.time
    time_box: float = 120.0
    fresh: float = 300.0
    _principal: list[ServicePrincipal] = field(default_factory=list, init=False, repr=False)

    @cached_property
    def links(self) -> Links:
        return Links(self.store, self.job.id)

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
    def journal(self) -> Journal:
        return Journal(self.store, self.job.id)

    @cached_property
    def rows(self) -> JobRows:
        return JobRows(self.store, self.job.id)

    @cached_property
    def references(self) -> References:
        return References(self.target, self.now)

    async def service_principal(self) -> ServicePrincipal:
        """The application, read once for as long as this context lives."""
        if not self._principal:
            self._principal.append(await self.source.service_principal())
        return self._principal[0]

    def plan(self, name: str) -> Plan:
        return Plan(self.store, self.job.id, name)
