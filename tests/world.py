"""A whole world in one process: both emulators behind ASGI, the real adapters, the real engine, SQLite, virtual time.

A test changes the tenant or the instance, runs cycles, and looks at what the instance holds then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from provisioning.adapters.graph import GraphSession, GraphSource, StaticToken
from provisioning.adapters.overlay import OverlayStore
from provisioning.adapters.servicenow import ServiceNowSession, ServiceNowTarget, credentials
from provisioning.adapters.sqlite import SqliteStore
from provisioning.engine.context import Context, Job
from provisioning.engine.cycle import Pace
from provisioning.engine.driver import run_cycle
from provisioning.engine.engine import Engine
from provisioning.engine.ports import Channel
from provisioning.engine.progress import Progress
from provisioning.rules.assessment import Policy
from provisioning.rules.departures import Departures
from provisioning.rules.escrow import RetryPolicy
from provisioning.rules.group_limits import GroupLimits
from provisioning.rules.protection import Protection
from provisioning.rules.quarantine import Thresholds
from provisioning.rules.review import Limits
from provisioning.schema import Schema, default_schema
from tests.emulators import graph, servicenow, tenant
from tests.emulators.graph import Tenant
from tests.emulators.servicenow import CLIENT_ID, CLIENT_SECRET, Instance
from tests.virtual_time import virtual_time

CLIENT_CREDENTIALS = partial(credentials, "oauth-client-credentials", client_id=CLIENT_ID, client_secret=CLIENT_SECRET)
GENEROUS = Limits(absolute=10_000, share=1.0, floor=10_000)


@dataclass
class World:
    """`everyone` is the scope "all". Stores that tests put around the SQLite store go into `store`. `application` is
    the enterprise application of `job_id`, the tenant's first one where it is not given.
    """

    runner: asyncio.Runner
    now: Any
    pass_time: Any
    directory: Tenant
    instance: Instance
    store: Any
    scratch: Path
    job_id: str = "job"
    application: str = ""
    address: str = "http://127.0.0.1"
    everyone: bool = False
    hard_delete: str = "disable"
    departures: Departures = field(default_factory=Departures)
    default_access: str = "auto"
    nested_groups: bool = False
    creatable: tuple[str, ...] = ()
    drift: str = "report"
    reconciles_every: float = 7 * 86400.0
    create_limit: int = 50
    protection: Protection = field(default_factory=Protection)
    schema: Schema = field(default_factory=default_schema)
    limits: Limits = GENEROUS
    own_limits: Mapping[str, Limits] = field(default_factory=dict)
    group_limits: GroupLimits = field(default_factory=GroupLimits)
    retries: RetryPolicy = field(default_factory=RetryPolicy)
    thresholds: Thresholds = field(default_factory=Thresholds)
    pace: Pace = field(default_factory=Pace)
    time_box: float = 120.0
    login: Callable[[], httpx.Auth] = CLIENT_CREDENTIALS
    channels: Callable[[GraphSession], Mapping[str, Channel]] = lambda _: {}
    patience: float = 86400.0
    progress: list[Progress] = field(default_factory=list)
    _engine: Engine | None = None

    def run(self, awaitable):
        return self.runner.run(awaitable)

    def clock(self) -> float:
        """The program's."""
        return self.now()

    def way_to_graph(self) -> httpx.AsyncBaseTransport:
        return httpx.ASGITransport(graph.create_app(self.directory))

    def way_to_servicenow(self) -> httpx.AsyncBaseTransport:
        return httpx.ASGITransport(servicenow.create_app(self.instance))

    def engine(self, *, dry_run: bool = False) -> Engine:
        """A new engine, as a new process would build it."""
        schema = self.schema
        to_graph = GraphSession("http://127.0.0.1/v1.0", StaticToken(graph.ACCESS_TOKEN), transport=self.way_to_graph())
        source = GraphSource(
            to_graph,
            service_principal_id=self.application or self.directory.service_principal_id,
            user_attributes=schema.user.source_properties,
            group_attributes=schema.group.source_properties,
        )
        session = ServiceNowSession(
            "http://127.0.0.1",
            self.login(),
            slots=self.pace.slots,
            dry_run=dry_run,
            transport=self.way_to_servicenow(),
        )
        store = self.store
        if dry_run:
            store = OverlayStore(self.store, SqliteStore(":memory:"))
        job = Job(
            self.job_id,
            self.directory.tenant_id,
            schema,
            policy=Policy(
                self.everyone,
                self.default_access,
                self.nested_groups,
                self.creatable,
                self.create_limit,
                replace(self.departures, hard_deleted=self.hard_delete),
                self.protection,
                self.drift,
            ),
            limits=self.limits,
            own_limits=self.own_limits,
            group_limits=self.group_limits,
            retries=self.retries,
            thresholds=self.thresholds,
            application=self.application or self.directory.service_principal_id,
            pace=self.pace,
            reconciles_every=self.reconciles_every,
            patience=self.patience,
        )
        target = ServiceNowTarget(session)
        channels = self.channels(to_graph)
        context = Context(job, store, source, target, now=self.clock, time_box=self.time_box, channels=channels)
        return Engine(context, self.address)

    def cycle(self, *, dry_run: bool = False, watch=lambda _: None) -> Progress:
        """One cycle to its end by the engine of this world's process."""
        if dry_run:
            return self.run(run_cycle(self.engine(dry_run=True), dry_run=True, watch=watch))
        if self._engine is None:
            self._engine = self.engine()
        return self.run(run_cycle(self._engine, watch=watch))

    def restart(self) -> None:
        """The process ends; the next cycle runs in a new one."""
        self._engine = None

    def lose_state(self) -> None:
        """The state store is lost; the next cycle starts with nothing."""
        self.store = SqliteStore(":memory:")
        self.restart()

    def journal(self) -> list[dict[str, Any]]:
        """The log entries, newest first."""

        async def read():
            newest = self.engine().context.journal.newest(limit=1000)
            return [entry async for entry in newest]

        return self.run(read())

    def account(self, upn: str) -> dict[str, str] | None:
        found = self.instance.find("sys_user", user_name=upn)
        return dict(found[0]) if found else None

    def members(self, group_name: str) -> set[str]:
        """The user names of the members that ServiceNow holds for a group."""
        (group,) = self.instance.find("sys_user_group", name=group_name)
        rows = self.instance.find("sys_user_grmember", group=group["sys_id"])
        return {self.instance.get("sys_user", row["user"])["user_name"] for row in rows}

    def writes(self) -> dict[str, int]:
        """Writes that the instance was asked for, by kind."""
        verbs = ("POST", "PUT", "PATCH", "DELETE")
        return {
            kind: number
            for kind, number in self.instance.counts.items()
            if kind.startswith(tuple(f"batch: {verb} sys_user" for verb in verbs)) and number
        }

    def forget_counts(self) -> None:
        self.instance.counts.clear()
        self.directory.counts.clear()


@contextmanager
def small_world(scratch: Path, *, users: int = 0, groups: int = 0, **settings: Any) -> Iterator[World]:
    """A world with a seeded tenant (empty by default) and an instance that knows its departments and offices."""
    with virtual_time() as (runner, now, pass_time):
        directory = Tenant(clock=now, seed=1)
        if users:
            tenant.seed(directory, users=users, groups=groups, seed=1)
        instance = Instance(clock=now, url="http://127.0.0.1")
        servicenow.seed_instance(
            instance,
            departments=tenant.DEPARTMENTS,
            locations=tuple(office.name for office in tenant.OFFICES),
            companies=tenant.COMPANIES,
            cost_centers=tenant.COST_CENTERS,
        )
        store = SqliteStore(":memory:")
        yield World(runner, now, pass_time, directory, instance, store, scratch, **settings)
