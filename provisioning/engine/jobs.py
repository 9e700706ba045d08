"""The job's own rows: its state between cycles, the progress of the running one, the lease, and step results."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec
from msgspec import Struct, field
from msgspec.structs import replace

from provisioning.engine import audit
from provisioning.engine.executions import Execution, History, add_execution, execution_of
from provisioning.engine.keys import AFTER_ALL
from provisioning.engine.ports import Store
from provisioning.engine.progress import Progress, StepResult
from provisioning.errors import LeaseLost, RowConflict
from provisioning.model import Capabilities
from provisioning.rows import Delete, Insert, Operation, Put, Replace
from provisioning.rules.audit import Audited
from provisioning.rules.instance import Acceptance, Remembered
from provisioning.rules.managed import add_managed, add_states
from provisioning.rules.notices import Told
from provisioning.rules.quarantine import Quarantine, Status
from provisioning.rules.reconciliation import Reconciliation
from provisioning.rules.restart import ResetScope
from provisioning.rules.review import HarmKind

T = TypeVar("T", bound=Struct)

JOB, CYCLE = audit.TABLE, "cycle"
LEASE_SECONDS = 900.0  # outlives the longest batch and its timeout
RENEW_BELOW = 600.0


class Ruling(Struct, frozen=True, omit_defaults=True):
    """A person approved, or rejected, what one plan lists as held. Times are seconds since 1970. `used` is the cycle
    that has found it; it is of no use in any other.
    """

    plan: str
    approves: bool
    by: str
    at: float
    expires: float
    used: str = ""


class GroupHeld(Struct, frozen=True):
    """How many changes of a kind to the members of one group are held, and how many it may have in 24 hours."""

    group: str
    kind: HarmKind
    number: int
    allowed: int


class HeldRemovals(Struct, frozen=True, omit_defaults=True):
    """What the removal guard holds, as of the last review: the id of the plan that lists it, since when something is
    held (seconds since 1970), and by kind of harm how many, how many may be, of how many, and how many were carried out
    in the 24 hours before. A kind of which any number may be is held for the limits of `groups`, of which the first
    few are named.
    """

    plan: str
    since: float
    counts: dict[str, int] = field(default_factory=dict)
    allowed: dict[str, int] = field(default_factory=dict)
    managed: dict[str, int] = field(default_factory=dict)
    executed: dict[str, int] = field(default_factory=dict)
    groups: tuple[GroupHeld, ...] = ()

    @property
    def for_groups(self) -> frozenset[str]:
        """The kinds that are held for the limits of groups only."""
        return frozenset(self.counts.keys() - self.allowed.keys())


class Restart(Struct, frozen=True):
    """A person's order to begin anew: `scopes` as in `resetScope`, `id` to tell two orders apart."""

    id: str
    scopes: tuple[ResetScope, ...]
    asked: float


class JobState(Struct, frozen=True, omit_defaults=True):
    """What a job remembers between cycles. `managed` counts linked objects by kind, `states` by kind and state
    ("user.unassigned"), up to the cycle `counted`;
    `configuration` and `access` identify the mappings, the scope and the application's roles that all links were last
    evaluated with, `schema` the stored document that the next cycle works with. What happened at `unclear_since`
    (seconds since 1970; 0 for nothing) asks for another evaluation of all links.

    `paused`, `disabled` and `escrows_cleared` are seconds since 1970 as well, 0 for never: since when no cycle begins
    by a person's word or after too long a quarantine, and up to when failures are forgotten. `restart` is what a
    person asked for and no cycle has finished with yet; `judged` names the last cycle and round that was weighed for a
    quarantine. `eager` lets the next cycle try all that has failed, whatever its time. What others change in ServiceNow
    is read from `changes_since` on; `reconciliation` is how far everything was compared, and `compare_all` (seconds
    since 1970) when a person asked to compare all of it. `settings` are those that the last cycle began with, with
    marks in place of what must not be shown.
    `last_code` is that of `last_failure`; `expected_since` is when a cycle was first expected to succeed, after a start
    anew; `told` is what people were told of the job. `kept` are the settings that somebody gave over the API.
    """

    watermarks: dict[str, str] = field(default_factory=dict)
    generation: str = ""
    managed: dict[str, int] = field(default_factory=dict)
    states: dict[str, int] = field(default_factory=dict)
    ruling: Ruling | None = None
    last_cycle: str = ""
    last_began: float = 0.0
    last_ended: float = 0.0
    last_succeeded: float = 0.0
    last_failure: str = ""
    held: HeldRemovals | None = None
    counted: str = ""
    configuration: str = ""
    access: str = ""
    schema: str = ""
    unclear_since: float = 0.0
    paused: float = 0.0
    disabled: float = 0.0
    escrows_cleared: float = 0.0
    escrows_pruned: bool = False
    quarantine: Quarantine | None = None
    eager: bool = False
    restart: Restart | None = None
    judged: str = ""
    changes_since: float = 0.0
    reconciliation: Reconciliation = Reconciliation()
    compare_all: float = 0.0
    settings: dict[str, str] = field(default_factory=dict)
    last_code: str = ""
    expected_since: float = 0.0
    told: Told = field(default_factory=Told)
    kept: dict[str, str] = field(default_factory=dict)

    @property
    def in_quarantine(self) -> Quarantine | None:
        """As it is now: removals that are held no more hold nothing up."""
        found = self.quarantine
        return None if found is not None and not found.slows and self.held is None else found

    @property
    def tries_all(self) -> bool:
        """In quarantine the job itself runs seldom, and trying everything that failed tells whether it is healthy."""
        return self.eager or (self.quarantine is not None and self.quarantine.slows)

    @property
    def status(self) -> Status:
        if self.paused:
            return "Paused"
        if self.in_quarantine is not None:
            return "Quarantine"
        return "Active" if self.last_began else "NotRun"

    @property
    def too_many_deletes(self) -> bool:
        """Entra's reason for quarantine: removals wait for a person."""
        return self.held is not None


class Lease(Struct, frozen=True):
    """Who may act for the job, until when (seconds since 1970)."""

    holder: str
    until: float


Tell = Callable[[JobState, JobState], Audited | None]
"""What the audit trail is to say of a change of the state, from the state before and the one after it."""


def counting(counts: Mapping[str, int], state: JobState) -> JobState:
    """The state with what was linked and forgotten."""
    return replace(state, managed=add_managed(state.managed, counts), states=add_states(state.states, counts))


class JobRows:
    """Reads and writes one job's rows. Every write is conditional on what was read."""

    def __init__(self, store: Store, job: str) -> None:
        self._store = store
        self.job = job

    async def state(self) -> tuple[JobState, str]:
        return await self._load("state", JobState) or (JobState(), "")

    async def save_state(self, state: JobState, etag: str) -> str:
        """Raises `RowConflict` when somebody changed the state since it was read."""
        return await self._save("state", state, etag)

    async def capabilities(self, instance: str) -> Capabilities | None:
        """What is known of the instance; nothing that was found out about another one counts."""
        found = await self._load("capabilities", Capabilities)
        return found[0] if found is not None and found[0].instance == instance else None

    async def save_capabilities(self, found: Capabilities) -> None:
        """Whether sys_ids are honoured only a probe that writes can tell: what an earlier one found stays known."""
        if found.honours_sys_ids is None and (known := await self.capabilities(found.instance)) is not None:
            found = replace(found, honours_sys_ids=known.honours_sys_ids)
        await self._store.commit(JOB, self.job, [Put("capabilities", found)])

    async def instance(self) -> tuple[Remembered, str]:
        """What is remembered of the instance, to recognise it by."""
        return await self._load("instance", Remembered) or (Remembered(), "")

    async def save_instance(self, known: Remembered, etag: str) -> str:
        """Raises `RowConflict` when somebody changed it since it was read."""
        return await self._save("instance", known, etag)

    async def record_acceptance(self, acceptance: Acceptance) -> None:
        """Who accepted another instance and when, newest first when the partition is read in order."""
        key = f"{10**12 - int(acceptance.at * 10):013d}"
        await self._store.commit(CYCLE, f"{self.job}|acceptances", [Put(key, acceptance)])

    async def acceptances(self, limit: int = 20) -> list[Acceptance]:
        rows = await self._store.scan(CYCLE, f"{self.job}|acceptances", limit=limit)
        return [row.decode(Acceptance) for row in rows]

    async def progress(self) -> tuple[Progress, str] | None:
        return await self._load("progress", Progress)

    async def save_progress(self, progress: Progress, etag: str) -> str:
        return await self._save("progress", progress, etag)

    async def results(self, progress: Progress) -> list[StepResult | None]:
        """The results of the steps in flight, in their order; None for a step that has not reported."""
        partition = f"{self.job}|{progress.cycle}"
        keys = [(partition, _result_key(progress.round, n)) for n in range(len(progress.steps))]
        rows = await self._store.get_many(CYCLE, keys)
        return [rows[key].decode(StepResult) if key in rows else None for key in keys]

    async def reported(self, progress: Progress) -> frozenset[int]:
        """Which of the steps in flight have ended."""
        partition, prefix = f"{self.job}|{progress.cycle}", _result_key(progress.round)
        keys = {row.key for row in await self._store.scan(CYCLE, partition, after=prefix, before=prefix + AFTER_ALL)}
        return frozenset(n for n in range(len(progress.steps)) if _result_key(progress.round, n) in keys)

    async def begin_step(self, progress: Progress, number: int) -> bool:
        """Notes that a step in flight begins; False when it has begun before: it is delivered again."""
        key = _begun_key(progress.round, number)
        try:
            await self._store.commit(CYCLE, f"{self.job}|{progress.cycle}", [Insert(key, {})])
        except RowConflict:
            return False
        return True

    async def save_result(self, cycle: str, round_: int, number: int, result: StepResult) -> None:
        operation = Put(_result_key(round_, number), result)
        await self._store.commit(CYCLE, f"{self.job}|{cycle}", [operation])

    async def drop_results(self, cycle: str, round_: int, steps: int) -> None:
        if steps:
            operations = [Delete(key(round_, n)) for n in range(steps) for key in (_result_key, _begun_key)]
            await self._store.commit(CYCLE, f"{self.job}|{cycle}", operations)

    async def record_cycle(self, progress: Progress, ended: float) -> None:
        """The cycle's record, newest first when the partition is read in order, and the history with it."""
        execution = execution_of(progress, ended)
        key = f"{10**12 - int(progress.began * 10):013d}|{progress.cycle}"
        data = {
            "cycle": progress.cycle,
            "kind": progress.kind,
            "began": progress.began,
            "ended": ended,
            "counts": progress.counts,
            "held": progress.held,
            "failure": progress.halted.message if progress.halted else "",
            "execution": msgspec.to_builtins(execution),
        }
        await self._store.commit(CYCLE, self.job, [Put(key, data)])
        mark = f"{progress.cycle} {progress.round}"
        while True:
            history, etag = await self._load("history", History) or (History(), "")
            try:
                await self._save("history", add_execution(history, execution, mark), etag)
            except RowConflict:
                continue
            return

    async def history(self) -> History:
        found = await self._load("history", History)
        return found[0] if found else History()

    async def forget_cycles(self, before: float, limit: int = 100) -> None:
        """Removes records of cycles that began before a time, `limit` at most."""
        rows = await self._store.scan(CYCLE, self.job, after=f"{10**12 - int(before * 10):013d}|", limit=limit)
        if rows:
            await self._store.commit(CYCLE, self.job, [Delete(row.key) for row in rows])

    async def cycles(self, limit: int = 20) -> list[dict[str, Any]]:
        return [dict(row.data) for row in await self._store.scan(CYCLE, self.job, limit=limit)]

    async def executions(self, top: int, after: str = "") -> tuple[list[Execution], str]:
        """A page of the cycles that have come to rest, newest first, at most 999; and where the next one begins, ""
        at the end.
        """
        rows = await self._store.scan(CYCLE, self.job, after=after, limit=top + 1)
        found = [msgspec.convert(row.data["execution"], Execution) for row in rows[:top]]
        return found, rows[top - 1].key if len(rows) > top else ""

    async def take_lease(self, holder: str, now: float) -> None:
        """For who begins or resumes a cycle. Raises `LeaseLost` while somebody else's lease lasts. One that would last
        far longer than any lease does was taken before the clock was set back, and is over: its holder, if it lives,
        sends nothing more once it looks.
        """
        while True:
            lease, etag = await self._load("lease", Lease) or (Lease("", 0.0), "")
            if lease.holder != holder and now < lease.until <= now + 2 * LEASE_SECONDS:
                raise LeaseLost(
                    f"the job is held by {lease.holder or 'another worker'} for another {lease.until - now:.0f} s; "
                    "nothing was sent. Wait, or stop the other one"
                )
            try:
                await self._save("lease", Lease(holder, now + LEASE_SECONDS), etag)
            except RowConflict:
                continue  # another worker was faster: the row tells
            return

    async def renew_lease(self, holder: str, now: float) -> None:
        """For who drives a cycle. Raises `LeaseLost` when the lease was given back, ended, or taken by another one; one
        that ran out and that nobody took goes on.
        """
        while True:
            lease, etag = await self._load("lease", Lease) or (Lease("", 0.0), "")
            if lease.holder != holder or not lease.until:
                raise LeaseLost(
                    f"the job is held by {lease.holder or 'nobody'}, not by {holder} any more: another worker took it "
                    "over, or the cycle ended. This worker sends nothing more"
                )
            if lease.until - now > RENEW_BELOW:
                return
            try:
                await self._save("lease", Lease(holder, now + LEASE_SECONDS), etag)
            except RowConflict:
                continue  # another step of the same driver, or another worker: the row tells
            return

    async def release_lease(self, holder: str) -> None:
        found = await self._load("lease", Lease)
        if found is not None and found[0].holder == holder:
            await self._end(*found)

    async def end_lease(self) -> None:
        """Whoever holds it."""
        found = await self._load("lease", Lease)
        if found is not None:
            await self._end(*found)

    async def _end(self, lease: Lease, etag: str) -> None:
        try:
            await self._save("lease", replace(lease, until=0.0), etag)
        except RowConflict:
            return  # somebody renewed or took it meanwhile: it is not ours to give back

    async def change_state(self, change: Callable[[JobState], JobState], tell: Tell | None = None) -> JobState:
        """Applies a change to the newest state, again if somebody else was faster. What `tell` answers goes into the
        audit trail with it, at once or not at all.
        """

        def changed(state: JobState) -> tuple[JobState, Sequence[Operation]]:
            after = change(state)
            entry = tell(state, after) if tell is not None else None
            return after, () if entry is None else (audit.row_of(entry),)

        return await self.change_with_rows(changed)

    async def change_with_rows(self, change: Callable[[JobState], tuple[JobState, Sequence[Operation]]]) -> JobState:
        """As `change_state`, together with other rows of the job: all of it is stored, or nothing. What changes nothing
        is not written.
        """
        while True:
            state, etag = await self.state()
            changed, others = change(state)
            if changed == state and etag and not others:
                return state
            try:
                await self._store.commit(JOB, self.job, [_conditional("state", changed, etag), *others])
            except RowConflict:
                continue
            return changed

    async def _load(self, key: str, type_: type[T]) -> tuple[T, str] | None:
        row = await self._store.get(JOB, self.job, key)
        return (row.decode(type_), row.etag) if row else None

    async def _save(self, key: str, value: Struct, etag: str) -> str:
        (new,) = await self._store.commit(JOB, self.job, [_conditional(key, value, etag)])
        return new or ""


def _conditional(key: str, value: Struct, etag: str) -> Operation:
    return Replace(key, value, etag) if etag else Insert(key, value)


def _begun_key(round_: int, number: int) -> str:
    return f"begun|{round_:08d}|{number:04d}"


def _result_key(round_: int, number: int | None = None) -> str:
    """Without a number, what the keys of the whole round begin with."""
    return f"result|{round_:08d}|" if number is None else f"result|{round_:08d}|{number:04d}"
