"""A process that ends, or meets a fault, at a chosen effect: every commit of the state store and every request to
Graph and ServiceNow is one effect, numbered from 1 in the order in which they happen.

A `Mortal` world can be copied, so that a tenant is built once and one of its effects after the other is tried.
"""

from __future__ import annotations

import asyncio
import copy
import math
import random
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import httpx

from provisioning.adapters.servicenow.reads import changes_nothing
from provisioning.adapters.sqlite import SqliteStore
from provisioning.engine.engine import Engine
from provisioning.engine.jobs import JobState, counting
from provisioning.engine.managed import count_managed
from provisioning.engine.progress import Progress
from provisioning.errors import Unavailable
from provisioning.rows import Operation, Row
from tests.company import Company
from tests.emulators import servicenow, tenant
from tests.emulators.graph import Tenant
from tests.emulators.servicenow import Instance
from tests.faulty_store import Crash
from tests.virtual_time import EPOCH, virtual_time
from tests.world import World

Hand = Callable[[Engine, Progress], Awaitable[None]]
"""Carries out the steps in flight, in one way or another."""
Around = Callable[[httpx.AsyncBaseTransport], httpx.AsyncBaseTransport]
"""Puts something before one of the other sides."""
Kind = Literal["commit", "write", "read", "graph"]
FAULTS: Mapping[Kind, Sequence[str]] = {
    "commit": ("crash before", "crash after", "reply lost", "refused"),
    "write": (
        *("crash before", "crash after", "reply lost", "connection refused"),
        *("503", "202", "429", "401", "403 though done"),
        *("half done", "half done, crash", "half done, reply lost"),
        *("one item refused", "one item 500", "one item 500 though done"),
    ),
    "read": ("crash before", "connection lost", "503", "429"),
    "graph": ("crash before", "connection lost", "503", "429"),
}
"""A read that is repeated after a crash is the same as one that never happened, so there is no "crash after" it."""

_SORRY = {"error": {"code": "sorry", "message": "not now", "detail": ""}}
"""An error of either side, in its shape."""

CRASHES = frozenset({"crash before", "crash after", "half done, crash"})
AT_THE_INSTANCE: Mapping[str, tuple[str, str, dict[str, Any]]] = {
    "403 though done": ("batch: * *", "denied_after_write", {"times": None}),
    "401": ("POST batch", "unauthorized", {}),
    "half done": ("POST batch", "batch_cut", {"after_items": 1}),
    "half done, crash": ("POST batch", "batch_cut", {"after_items": 1}),
    "half done, reply lost": ("POST batch", "batch_cut", {"after_items": 1}),
    "one item refused": ("batch: * *", "rule", {}),
    "one item 500": ("batch: * *", "status", {"status": 500}),
    "one item 500 though done": ("batch: * *", "status_after_write", {"status": 500}),
}
"""Faults of which the instance's emulator knows what they are."""


COMMITS_TO_BEGIN = 4
"""The lease, given back and taken, the state and the progress."""


@dataclass(frozen=True)
class Effect:
    """`calls` are the kinds of calls that it consists of, where somebody wants them told apart."""

    kind: Kind
    what: str
    calls: tuple[str, ...] = ()


@dataclass
class Fuse:
    """Counts effects, all or those of a kind or of a call, and does to one of them, or to some in a row, what it was
    told; then the process is dead, or goes on.
    """

    seen: list[Effect] = field(default_factory=list)
    number: int = 0
    fault: str = ""
    kind: Kind | None = None
    call: str = ""
    times: int = 1
    counted: int = 0
    dead: bool = False
    most: int = 100_000
    """Effects after which a run is taken to hang."""
    calls_of: Callable[[httpx.Request], tuple[str, ...]] = lambda _: ()
    chance: float = 0.0
    """That the state store does not answer, for each thing that it is asked, drawn from `luck`."""
    luck: random.Random = field(default_factory=lambda: random.Random(1))
    unanswered: int = 0
    _waiting: list[tuple[int, Callable[[], None]]] = field(default_factory=list)
    _happens: bool = False

    def set(self, number: int, fault: str, *, kind: Kind | None = None, call: str = "", times: int = 1) -> None:
        self.seen.clear()
        self.number, self.fault, self.kind, self.call, self.times = number, fault, kind, call, times
        self.counted, self.dead, self.unanswered = 0, False, 0

    def strike(self, kind: Kind, what: str, calls: tuple[str, ...] = ()) -> str:
        """The fault that meets this effect, or nothing."""
        self.breathe()
        self.seen.append(Effect(kind, what, calls))
        if self._happens:
            for happen in self.due(len(self.seen)):
                happen()
        assert len(self.seen) < self.most, f"this does not end: {[each.what for each in self.seen[-40:]]}"
        meant = self.kind in {None, kind} and (not self.call or self.call in calls)
        self.counted += meant
        if not meant or not self.number <= self.counted < self.number + self.times:
            return ""
        if self.fault == "crash before":
            self.die()
        return self.fault

    def after(self, number: int, happen: Callable[[], None]) -> None:
        """Others do something before the effect of this number of the next run in which things happen."""
        self._waiting.append((number, happen))
        self._waiting.sort(key=lambda each: each[0])

    def due(self, number: float = math.inf) -> Iterator[Callable[[], None]]:
        """What is to happen before an effect, in that order; each is handed out once."""
        while self._waiting and self._waiting[0][0] <= number:
            yield self._waiting.pop(0)[1]

    @contextmanager
    def happenings(self) -> Iterator[None]:
        """Within it, what others do happens when its effect is due."""
        self._happens = True
        try:
            yield
        finally:
            self._happens = False

    def gamble(self, what: str) -> None:
        if self.chance and self.luck.random() < self.chance:
            self.unanswered += 1
            raise Unavailable(what)

    def breathe(self) -> None:
        if self.dead:
            raise Crash("the process has ended")

    def die(self) -> None:
        self.dead = True
        raise Crash(f"the process ends at effect {self.number}: {self.fault}")


_WORD = re.compile(r"[a-z]+(?=\||$)")


def _named(table: str, operation: Operation) -> str:
    """What a commit does, without the ids: "Replace link", "Replace job: lease"."""
    word = _WORD.match(operation.key) if table in {"job", "cycle"} else None
    return f"{type(operation).__name__} {table}" + (f": {word[0]}" if word else "")


class FusedStore:
    def __init__(self, base: SqliteStore, fuse: Fuse) -> None:
        self.base = base
        self.fuse = fuse

    async def get(self, table: str, partition: str, key: str) -> Row | None:
        await self._ask()
        return await self.base.get(table, partition, key)

    async def get_many(self, table: str, keys: Sequence[tuple[str, str]]) -> Mapping[tuple[str, str], Row]:
        await self._ask()
        return await self.base.get_many(table, keys)

    async def scan(self, table: str, partition: str, **limits: Any) -> Sequence[Row]:
        await self._ask()
        return await self.base.scan(table, partition, **limits)

    async def commit(self, table: str, partition: str, operations: Sequence[Operation]) -> Sequence[str | None]:
        verbs = ", ".join(f"{type(operation).__name__} {operation.key}" for operation in operations[:2])
        calls = tuple(sorted({_named(table, operation) for operation in operations}))
        self.fuse.gamble("the state store was not there for the commit")
        fault = self.fuse.strike("commit", f"{table}/{partition}: {len(operations)} x {verbs}", calls)
        if fault == "refused":
            raise Unavailable("the state store did not take the commit")
        await self._travel()
        try:
            etags = await self.base.commit(table, partition, operations)
        finally:  # a conflict is a reply as well
            if fault == "crash after":
                self.fuse.die()
            if fault == "reply lost":
                raise Unavailable("the reply to a commit was lost")
        self.fuse.gamble("the reply to a commit was lost by chance")
        await self._travel()
        return etags

    async def close(self) -> None:
        await self.base.close()

    async def _ask(self) -> None:
        await self._travel()
        self.fuse.gamble("the state store was not there to be asked")

    async def _travel(self) -> None:
        """Others are heard in between, as on a network."""
        self.fuse.breathe()
        await asyncio.sleep(0)
        self.fuse.breathe()


class FusedTransport(httpx.AsyncBaseTransport):
    """`before` may prepare the other side for the fault; what it answers is called afterwards."""

    def __init__(
        self,
        inner: httpx.AsyncBaseTransport,
        fuse: Fuse,
        kind: Callable[[httpx.Request], Kind],
        before: Callable[[str], Callable[[], None]],
    ) -> None:
        self._inner = inner
        self._fuse = fuse
        self._kind = kind
        self._before = before

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        what = f"{request.method} {request.url.path}"
        fault = self._fuse.strike(self._kind(request), what, self._fuse.calls_of(request))
        match fault:
            case "503":
                return httpx.Response(503, json=_SORRY)
            case "429":
                return httpx.Response(429, json=_SORRY, headers={"Retry-After": "7"})
            case "202":
                return httpx.Response(202)
            case "connection lost":
                raise httpx.ReadError("the connection broke")
            case "connection refused":
                raise httpx.ConnectError("the connection was refused")
        after = self._before(fault)
        try:
            response = await self._inner.handle_async_request(request)
        finally:
            after()
        self._fuse.breathe()
        if fault in {"crash after", "half done, crash"}:
            self._fuse.die()
        if fault in {"reply lost", "half done, reply lost"}:
            raise httpx.ReadError("the reply was lost")
        return response


def _nothing() -> None:
    return


@contextmanager
def mortality() -> Iterator[None]:
    """Within it a process may end."""
    try:
        yield
    except Crash:
        return
    except BaseExceptionGroup as group:
        if group.split(Crash)[1] is not None:
            raise


@dataclass
class Mortal(World):
    """A world whose process can be ended at any effect."""

    company: Company = None  # type: ignore[assignment]
    fuse: Fuse = field(default_factory=Fuse)
    fast: float = 0.0
    """By how many seconds the program's clock is fast; the other sides know the time."""
    before_graph: Around = lambda way: way
    before_servicenow: Around = lambda way: way

    def __post_init__(self) -> None:
        self.store = FusedStore(self.store, self.fuse)

    def clock(self) -> float:
        return self.now() + self.fast

    def way_to_graph(self) -> httpx.AsyncBaseTransport:
        way = self.before_graph(super().way_to_graph())
        return FusedTransport(way, self.fuse, lambda _: "graph", lambda _: _nothing)

    def way_to_servicenow(self) -> httpx.AsyncBaseTransport:
        way = self.before_servicenow(super().way_to_servicenow())
        return FusedTransport(way, self.fuse, _kind_of_call, self._prepare)

    def _prepare(self, fault: str) -> Callable[[], None]:
        if fault not in AT_THE_INSTANCE:
            return _nothing
        on, effect, details = AT_THE_INSTANCE[fault]
        self.instance.faults.add(on, effect, **details)
        return self.instance.faults.clear

    def live(self) -> bool:
        """One cycle, to its end or the process's; True when the process outlived it. A cycle that could not begin
        because the state store did not answer counts as outlived: nothing was sent. Where it fails again and again, the
        process gives up.
        """
        with mortality():
            try:
                self.cycle()
            except Unavailable:
                if self.fuse.unanswered:
                    self.restart()
                    return False
                assert all(effect.kind == "commit" for effect in self.fuse.seen)
                assert len(self.fuse.seen) <= COMMITS_TO_BEGIN
            return True
        self.restart()
        return False

    def by_hand(self, engine: Engine, hand: Hand) -> Progress:
        """One cycle, driven step by step in the way of `hand`."""

        async def drive() -> Progress:
            progress = await engine.begin_cycle()
            while True:
                progress = await engine.advance(progress.turn)
                if progress.at_rest:
                    return progress
                if not progress.steps:
                    await asyncio.sleep(progress.retry_at - self.now())
                    continue
                await hand(engine, progress)

        return self.run(drive())

    def bury(self) -> None:
        """Somebody can prove that the process is dead, and does not wait for its lease to expire."""
        self.restart()
        self.run(self.engine().end_lease_of_the_dead())

    def left(self) -> dict[str, int]:
        """Rows of the state store that a settled job must not have."""
        rows = self.store.base._connection.execute(
            "SELECT table_name, count(*) FROM rows WHERE table_name IN ('due', 'held') "
            "OR table_name = 'plan' AND partition LIKE 'job|cycle|%' GROUP BY table_name"
        )
        return dict(rows.fetchall())

    def miscounted(self) -> list[str]:
        """Where the removal guard would take its percentage of a wrong number."""
        context = self.engine().context
        state, _ = self.run(context.rows.state())
        found = self.run(count_managed(context))
        anew = counting(found, JobState())
        counted = {kind: state.managed.get(kind, 0) for kind in anew.managed}, state.states
        return [] if counted == (anew.managed, anew.states) else [f"{counted} are counted as managed, {found} are"]

    def settle(self, cycles: int = 5, *, held: int = 0) -> list[str]:
        """Runs cycles until one finishes and writes nothing, and no work is left but removals that are held; what is
        wrong then.
        """
        for _ in range(cycles):
            self.forget_counts()
            progress = self.cycle()
            self.pass_time(max(self.pace.interval, self.retries.pauses[0] + 1.0))
            if progress.finished and not self.writes() and self.left() == ({"held": held} if held else {}):
                return [*self.company.differences(), *self.miscounted()]
        halted = progress.halted.message if progress.halted else ""
        return [
            f"not settled after {cycles} cycles: writes {self.writes()}, left {self.left()}, halted {halted!r}",
            *self.company.differences(),
        ]

    @contextmanager
    def copy(self) -> Iterator[Mortal]:
        """The same world, apart from this one. Nothing may be under way."""
        with virtual_time() as (runner, now, pass_time):
            pass_time(self.now() - EPOCH)
            memo = {id(self.now): now} | {id(table): table for table in self.instance.dictionary.values()}
            directory, instance, company = copy.deepcopy((self.directory, self.instance, self.company), memo)
            store = SqliteStore(":memory:")
            self.store.base._connection.backup(store._connection)
            settings = {
                name: getattr(self, name)
                for name in ("everyone", "hard_delete", "limits", "pace", "time_box", "scratch")
            }
            yield Mortal(runner, now, pass_time, directory, instance, store, **settings, company=company)


def _kind_of_call(request: httpx.Request) -> Kind:
    return "read" if changes_nothing(request) else "write"


@contextmanager
def mortal_world(**settings: Any) -> Iterator[Mortal]:
    """An empty tenant, and an instance that knows departments and offices, and people of its own."""
    with virtual_time() as (runner, now, pass_time):
        directory = Tenant(clock=now, seed=1)
        instance = Instance(clock=now, url="http://127.0.0.1")
        servicenow.seed_instance(
            instance,
            departments=tenant.DEPARTMENTS,
            locations=tuple(office.name for office in tenant.OFFICES),
            companies=tenant.COMPANIES,
            cost_centers=tenant.COST_CENTERS,
        )
        rules = {name: settings[name] for name in ("everyone", "hard_delete") if name in settings}
        company = Company(directory, instance, **rules)
        store = SqliteStore(":memory:")
        yield Mortal(runner, now, pass_time, directory, instance, store, Path(), company=company, **settings)
