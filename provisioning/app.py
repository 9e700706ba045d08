"""The composition root: settings -> adapters -> engine. The only module that knows them all.

It decides nothing about users and groups. Importing it costs little: the SDKs of Graph and Azure are imported by the
adapters that need them, when they need them.
"""

from __future__ import annotations

import gc
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import httpx

from provisioning.adapters.counting import CountingTransport, connection_to
from provisioning.adapters.graph import (
    ApplicationIdentity,
    Certificate,
    GraphSession,
    GraphSource,
    ManagedIdentity,
    OnlyReads,
    Secret,
    SignedIn,
    StaticToken,
    graph_host,
)
from provisioning.adapters.http import ReadOnlyTransport
from provisioning.adapters.mail import Mail
from provisioning.adapters.overlay import OverlayStore
from provisioning.adapters.run_lock import RunLock
from provisioning.adapters.servicenow import (
    Report,
    ServiceNowSession,
    ServiceNowTarget,
    Task,
    client_context,
    credentials,
)
from provisioning.adapters.sqlite import SqliteStore
from provisioning.adapters.webhook import Webhook
from provisioning.config import (
    GUARDED,
    HIDDEN,
    AzureIdentity,
    ClientCertificate,
    ClientSecret,
    FixedToken,
    Settings,
    SqliteState,
    TablesAccount,
    TablesConnection,
    instance_of_servicenow,
)
from provisioning.engine import kept
from provisioning.engine.context import Context, Job
from provisioning.engine.cycle import Pace
from provisioning.engine.engine import Engine
from provisioning.engine.importing import refuse_roles_of_everybody
from provisioning.engine.jobs import JobRows
from provisioning.engine.ports import Channel, Store
from provisioning.engine.schemas import Schemas
from provisioning.errors import Unauthorized
from provisioning.graph_secrets import kept_of, login_of
from provisioning.model import Write, WriteOutcome
from provisioning.rules.assessment import Policy
from provisioning.rules.protection import Protection
from provisioning.rules.quarantine import Thresholds
from provisioning.rules.review import ABSOLUTE, FLOOR, SHARE, Limits
from provisioning.schema import Schema, default_schema, dump, load_schema

OBJECTS_BETWEEN_COLLECTIONS = 200_000
"""A chunk of users is more than 100,000 objects that live for a second and are in no circle. With Python's own 700, all
that is alive is looked through again and again meanwhile, for a sixth of the CPU of a load.
"""
TALKATIVE = ("httpx", "httpcore", "msal", "azure", "urllib3", "asyncio")
"""Loggers that would write addresses with queries, and with them names and delta tokens, into the log."""


class _OwnStore(Store, Protocol):
    async def close(self) -> None: ...


class _CountingTarget(ServiceNowTarget):
    """Counts the writes whose outcome is known: progress between two reports of the engine."""

    writes = 0

    async def write(self, writes: Sequence[Write]) -> Mapping[str, WriteOutcome]:
        outcomes = await super().write(writes)
        self.writes += len(outcomes)
        return outcomes


@dataclass(frozen=True)
class App:
    """One job, ready to run. `graph_requests` and `servicenow_requests` count what was sent so far, `writes` the
    records that were written.
    """

    settings: Settings
    engine: Engine
    source: GraphSource
    _target: _CountingTarget = field(repr=False)
    _graph: CountingTransport = field(repr=False)
    _servicenow: CountingTransport = field(repr=False)
    _opened: AsyncExitStack = field(repr=False)
    _again: Callable[..., Awaitable[App]] = field(repr=False)
    _way_to: Callable[[str], httpx.AsyncBaseTransport] = field(repr=False)

    @property
    def target(self) -> ServiceNowTarget:
        return self._target

    @property
    def graph_requests(self) -> int:
        return self._graph.requests

    @property
    def servicenow_requests(self) -> int:
        return self._servicenow.requests

    @property
    def writes(self) -> int:
        return self._target.writes

    @asynccontextmanager
    async def driving(self) -> AsyncIterator[Callable[[str], None]]:
        """For the command line, whose process may be killed: while the block runs, no other process of this machine
        runs cycles on the same state file. What a dead one left behind can be resumed at once, not when its lease has
        run out. The block calls what it is given with the name of the driver. A state in Azure is not locked: there the
        lease alone counts.
        """
        if not isinstance(self.settings.state, SqliteState):
            yield lambda _: None
            return
        lock = RunLock(self.settings.state.path)
        dead = lock.acquire()
        try:
            await self.end_lease_of(dead)
            yield lock.leave_name
        finally:
            lock.release()

    async def end_lease_of(self, driver: str) -> None:
        """Lets the job's cycle be resumed at once, if this driver, which is dead, was the last to drive it."""
        found = await self.engine.context.rows.progress()
        if driver and found is not None and found[0].driver == driver:
            await self.engine.end_lease_of_the_dead()

    async def check_instance(self, *, test_writes: bool) -> Report:
        """What the instance lets this job do. Test writes need an app that was opened to write."""
        return await self.target.check(Task(self.engine.context.job.schema, self.settings.login.kind, test_writes))

    async def is_current(self) -> bool:
        """Whether the job still works with the schema and the settings that this app was opened with."""
        context = self.engine.context
        if await Schemas(context.store, context.job.id).in_force() != context.job.schema_version:
            return False
        return await kept.in_force(context.rows) == context.job.kept

    @asynccontextmanager
    async def dry_run(self, document: Any = None) -> AsyncIterator[App]:
        """Another app for a dry run of this one's job, with its own state or with this schema; closed afterwards."""
        async with self._beside(dry_run=True, document=document) as app:
            yield app

    @asynccontextmanager
    async def reading(self, properties: Collection[str]) -> AsyncIterator[App]:
        """Another app, which reads these properties of users besides and writes to its state only."""
        async with self._beside(only_reads=True, reading=properties) as app:
            yield app

    @asynccontextmanager
    async def _beside(self, **how: Any) -> AsyncIterator[App]:
        app = await self._again(**how)
        try:
            yield app
        finally:
            await app.close()

    async def keep(self, secrets: Mapping[str, str], *, by: str) -> None:
        """Keeps the settings among these for the next cycle. Raises `ConfigError` for a credential, for what an app
        setting says already, and for what the job could not work with; nothing is kept then.
        """
        context, changes = self.engine.context, kept_of(secrets)
        wanted = {name: value for name, value in changes.items() if value is not None}
        settings = self.settings.keeping(wanted, strictly=True)
        refuse_roles_of_everybody(context.job.schema, everyone=settings.scope == "all")
        await kept.keep(context, changes, by=by)

    async def try_connection(self, secrets: Mapping[str, str] | None) -> None:
        """Asks the instance what it lets us do, with the job's own credentials, or with these, which are not kept.
        Raises `ConfigError` for what is no credential or no instance of ServiceNow, else `ProvisioningError` with what
        does not work and the way out.
        """
        if secrets is None:
            async with self._beside(only_reads=True) as anew:  # its token is asked for now, with the secret as it is
                report = await anew.check_instance(test_writes=False)
        else:
            kind, given, host = login_of(secrets)
            url = self.settings.instance_url if host is None else instance_of_servicenow(host, self.settings)
            session = ServiceNowSession(url, credentials(kind, **given), dry_run=True, transport=self._way_to(url))
            target = ServiceNowTarget(session)
            try:
                report = await target.check(Task(self.engine.context.job.schema, kind))
            finally:
                await target.aclose()
        for finding in report.findings:
            if finding.failed:
                told = f"{finding.what}: {finding.detail}. {finding.way_out}".rstrip(". ")
                raise Unauthorized(told, code="ServiceNowCredentialsValidation")

    async def close(self) -> None:
        await self._opened.aclose()


async def open_app(  # noqa: PLR0913 - what stands in for the job's own, for dry runs and tests
    settings: Settings,
    *,
    dry_run: bool = False,
    only_reads: bool = False,
    document: Any = None,
    reading: Collection[str] = (),
    graph_transport: httpx.AsyncBaseTransport | None = None,
    servicenow_transport: httpx.AsyncBaseTransport | None = None,
    now: Callable[[], float] = time.time,
) -> App:
    """Reads the job's schema from its state and sends nothing to either side. A `document` stands in for that schema,
    for a dry run of what it would do; `reading` names further properties to read of users. Raises `ConfigError` for a
    schema that cannot be worked with.

    A dry run reads both sides and the state, refuses below everything to write to the sides, keeps what it writes to
    the state to itself, and has no way to tell anybody. With `only_reads` the same holds of the sides and of people,
    and the state is the job's own.
    """
    only_reads = only_reads or dry_run
    gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS, *gc.get_threshold()[1:])
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
    async with AsyncExitStack() as opened:
        again = partial(
            open_app, settings, graph_transport=graph_transport, servicenow_transport=servicenow_transport, now=now
        )
        store = _store(settings, opened.push_async_callback)
        if dry_run:
            # SQLite's temporary database: in memory while it is small, on disk when it grows, gone with the process.
            store = OverlayStore(store, SqliteStore(""))
        opened.push_async_callback(store.close)
        given = await kept.in_force(JobRows(store, settings.job_id))
        settings = settings.keeping(given)
        schemas = Schemas(store, settings.job_id)
        version = await schemas.in_force() if document is None else ""
        if version:
            document = await schemas.load(version)
        schema = load_schema(dump(default_schema()) if document is None else document, strict=settings.strict)
        refuse_roles_of_everybody(schema, everyone=settings.scope == "all")
        graph = CountingTransport(graph_transport or connection_to(settings.graph_base_url))
        servicenow = CountingTransport(servicenow_transport or _way_to_instance(settings))
        to_graph = GraphSession(
            settings.graph_base_url,
            _tokens(settings),
            transport=ReadOnlyTransport(graph, reads=OnlyReads(settings.graph_base_url)) if only_reads else graph,
        )
        source = GraphSource(
            to_graph,
            service_principal_id=settings.service_principal_id,
            user_attributes=tuple(dict.fromkeys((*schema.user.source_properties, *reading))),
            group_attributes=schema.group.source_properties,
        )
        opened.push_async_callback(source.aclose)
        session = ServiceNowSession(
            settings.instance_url, _login(settings), slots=settings.slots, dry_run=only_reads, transport=servicenow
        )
        known = await JobRows(store, settings.job_id).capabilities(session.instance)
        target = _CountingTarget(session, honours_sys_ids=known is None or known.honours_sys_ids is not False)
        opened.push_async_callback(target.aclose)
        channels = {} if only_reads else _channels(settings, to_graph, now, opened.push_async_callback)
        context = Context(_job(settings, schema, version, given), store, source, target, now=now, channels=channels)
        engine = Engine(context, instance=settings.instance_host)
        ways = (again, lambda url: servicenow_transport or connection_to(url))
        return App(settings, engine, source, target, graph, servicenow, opened.pop_all(), *ways)
    raise AssertionError("an exit stack swallows nothing")


def _job(settings: Settings, schema: Schema, version: str, given: Mapping[str, str]) -> Job:
    return Job(
        id=settings.job_id,
        tenant=settings.tenant_id,
        schema=schema,
        schema_version=version,
        strict=settings.strict,
        policy=Policy(
            everyone=settings.scope == "all",
            default_access=settings.default_access,
            nested_groups=settings.nested_groups,
            creatable=settings.creatable,
            create_limit=settings.create_limit,
            departures=settings.departures,
            protection=Protection(
                settings.protected_accounts,
                settings.allowed_accounts,
                settings.allowed_groups,
                own_name=settings.login.username,
            ),
            drift=settings.drift,
        ),
        own_limits=_limits(settings, schema),
        group_limits=settings.group_limits,
        retries=settings.retries,
        thresholds=Thresholds().scaled(settings.quarantine_scale),
        application=settings.service_principal_id,
        pace=Pace(slots=settings.slots, interval=settings.interval),
        log_retention=settings.log_retention_days * 86400.0,
        reconciles_every=settings.reconciles_every,
        settings=settings.given,
        hidden_settings=HIDDEN,
        patience=settings.notify.patience,
        kept=given,
    )


def _channels(
    settings: Settings,
    session: GraphSession,
    now: Callable[[], float],
    at_end: Callable[[Callable[[], Awaitable[None]]], object],
) -> dict[str, Channel]:
    """The ways to people that are set."""
    channels: dict[str, Channel] = {}
    if (mail := settings.notify.mail) is not None:
        channels["mail"] = Mail(session, mail.sender, mail.recipients)
    if (hook := settings.notify.webhook) is not None:
        webhook = Webhook(hook.url, hook.format, hook.secret, transport=connection_to(hook.url), now=now)
        at_end(webhook.aclose)
        channels["webhook"] = webhook
    return channels


def _limits(settings: Settings, schema: Schema) -> dict[str, Limits]:
    """A setting goes before what was imported. Whoever asks for a limit below the floor gets it."""
    imported = dict.fromkeys(("users", "groups"), schema.delete_threshold)
    limits: dict[str, Limits] = {}
    for kind in GUARDED:
        absolute = settings.removal_limits.get(kind, imported.get(kind))
        absolute = ABSOLUTE if absolute is None else absolute
        given = settings.removal_shares.get(kind, SHARE)
        limits[kind] = Limits(absolute, given, min(FLOOR, absolute))
    return limits


def _tokens(settings: Settings) -> StaticToken | SignedIn:
    resource = graph_host(settings.graph_base_url)
    match settings.sign_in:
        case FixedToken(token):
            return StaticToken(token)
        case AzureIdentity(client_id):
            return SignedIn(ManagedIdentity(client_id, resource=resource))
        case ClientSecret(client_id, secret):
            proof: Secret | Certificate = Secret(secret)
        case ClientCertificate(client_id, path):
            proof = Certificate(path)
    return SignedIn(
        ApplicationIdentity(
            settings.tenant_id,
            client_id,
            proof,
            scope=f"{resource}/.default",
            authority_host=settings.authority_host,
        )
    )


def _way_to_instance(settings: Settings) -> httpx.AsyncBaseTransport:
    shows_certificate = settings.login.kind == "mtls"
    context = client_context(settings.login.client_certificate_path) if shows_certificate else None
    return connection_to(settings.instance_url, context)


def _login(settings: Settings) -> httpx.Auth:
    login = settings.login
    return credentials(
        login.kind,
        client_id=login.client_id,
        client_secret=login.client_secret,
        username=login.username,
        password=login.password,
        api_key=login.api_key,
        client_certificate_path=login.client_certificate_path,
        jwt_key_id=login.jwt_key_id,
    )


def _store(settings: Settings, at_end: Callable[[Callable[[], Awaitable[None]]], object]) -> _OwnStore:
    if isinstance(settings.state, SqliteState):
        return SqliteStore(settings.state.path)
    from provisioning.adapters.tables import TablesStore  # noqa: PLC0415 - the SDK is of no use to a file

    match settings.state:
        case TablesConnection(connection_string):
            return TablesStore.from_connection_string(connection_string)
        case TablesAccount(url):
            from azure.identity.aio import DefaultAzureCredential  # noqa: PLC0415 - as above

            credential = DefaultAzureCredential()
            at_end(credential.close)
            return TablesStore.from_account_url(url, credential)
