"""The engine that both drivers run: begin a cycle, advance it, carry out one step. Knows no trigger and no thread.

Everything a driver needs to remember is in the store, so that it may die anywhere and another one goes on.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace as replace_pace
from functools import partial

from msgspec.structs import replace

from provisioning.engine import audit
from provisioning.engine.acting import act_range
from provisioning.engine.audit import entry_of
from provisioning.engine.collecting import (
    compare_assignments,
    open_tokens,
    read_assignments,
    read_delta,
    stage_waiting,
    sweep,
)
from provisioning.engine.context import Context
from provisioning.engine.cycle import advance, begin, end
from provisioning.engine.deciding import decide_range
from provisioning.engine.failing import count_failing
from provisioning.engine.jobs import JobState, Ruling, Tell, counting
from provisioning.engine.judging import RESTARTED, after_cycle, told_after_cycle
from provisioning.engine.keys import BINS
from provisioning.engine.lending import Lending
from provisioning.engine.managed import count_managed
from provisioning.engine.notifying import after_end, notify
from provisioning.engine.plan import CYCLE_PLAN
from provisioning.engine.progress import (
    Act,
    Compare,
    CompareAssignments,
    Decide,
    Failure,
    Finish,
    OpenTokens,
    Progress,
    ReadAssignments,
    ReadChanges,
    ReadDelta,
    Reset,
    Review,
    StageWaiting,
    Step,
    StepResult,
    Sweep,
    Turn,
)
from provisioning.engine.reconciling import bins_of, compare_bins, read_changes
from provisioning.engine.registry import Registered, Registry
from provisioning.engine.resetting import reset
from provisioning.engine.retention import prune
from provisioning.engine.reviewing import review_cycle
from provisioning.engine.shares import Share, Shares
from provisioning.engine.tally import Tally
from provisioning.engine.work import Work
from provisioning.errors import (
    ConfigError,
    CursorExpired,
    InstanceChanged,
    LeaseLost,
    ObjectError,
    ProvisioningError,
    RowConflict,
    Throttled,
    Unauthorized,
    Unavailable,
)
from provisioning.rows import Operation
from provisioning.rules.audit import SYSTEM, Activity, Audited, Changes, differences
from provisioning.rules.measures import Measures
from provisioning.rules.reconciliation import Reconciliation, compared, due, evaluated_anew
from provisioning.rules.restart import drops_links
from provisioning.rules.summary import SERVICE, Initiator, Origin

logger = logging.getLogger(__name__)

RULING_SECONDS = 24 * 3600.0


@dataclass(frozen=True)
class Engine:
    """One job's engine. `instance` names the ServiceNow side in the journal."""

    context: Context
    instance: str

    async def is_due(self) -> bool:
        """Whether a cycle is to run now: an unfinished one whose driver is gone, or one that the job's own schedule,
        its quarantine or a restart asks for.
        """
        found = await self.context.rows.progress()
        last = found[0] if found is not None else None
        if last is not None and not last.at_rest:
            return True  # paused or not: a running cycle completes
        state, _ = await self.context.rows.state()
        if state.paused or state.disabled:
            return False
        if is_restarted(state, last):
            return True
        if state.in_quarantine is not None and state.in_quarantine.slows:
            return self.context.now() >= state.in_quarantine.next_attempt
        if last is not None and last.halted is not None:
            return self._interval_passed(last.retry_at)
        set_back = state.last_began - self.context.now() > self.context.job.pace.interval
        return set_back or self._interval_passed(state.last_began)

    def _interval_passed(self, since: float) -> bool:
        return self.context.now() - since >= self.context.job.pace.interval

    async def begin_cycle(self, *, dry_run: bool = False) -> Progress:
        """Takes the lease and begins a cycle, or goes on with the unfinished one. Raises `LeaseLost`, and `ConfigError`
        when a person has paused the job or another job has the same people in its scope.

        Nothing is sent and nothing is in flight when this returns; what was in flight when the last driver died is
        given out again. A dry run sends nothing, so it needs no lease and leaves an unfinished cycle alone.
        """
        rows, now, driver = self.context.rows, self.context.now(), str(uuid.uuid4())
        found = await rows.progress()
        known, _ = await rows.state()
        if not dry_run:
            self._refuse_if_stopped(known, found[0] if found else None)
            await self.registry.enter(self.context.job.id, self._registered)
            if found is not None and found[0].at_rest:
                await rows.release_lease(found[0].driver)  # it may have died before it could
            await rows.take_lease(driver, now)
        restarted = is_restarted(known, found[0] if found else None)
        if found is not None and not found[0].finished and not dry_run and not restarted:
            progress, etag = found
            if progress.schema != self.context.job.schema_version:
                raise RowConflict("the unfinished cycle began with another schema; open the job again to go on with it")
            if progress.kept != self.context.job.kept:
                raise RowConflict("the unfinished cycle began with other settings; open the job again to go on with it")
            resumed = replace(
                progress,
                driver=driver,
                disturbed=progress.disturbed or bool(progress.steps),
                todo=(*progress.steps, *progress.todo),
                steps=(),
                halted=None,
                failures=0,
                retry_at=0.0,
            )
            await rows.save_progress(resumed, etag)
            logger.info("cycle resumed", extra={"job": self.context.job.id, "cycle": progress.cycle})
            return resumed
        configuration = self.context.job.configuration
        cycle = str(uuid.uuid4())
        settings = dict(self.context.job.settings)
        state = await rows.change_state(partial(_begun, cycle, now, settings), self._tell_settings(now))
        order = state.restart if is_restarted(state, found[0] if found else None) else None
        current = state.configuration == configuration and not state.unclear_since
        progress = begin(
            cycle,
            now,
            everyone=self.context.job.policy.everyone,
            dry_run=dry_run,
            watermarks=state.watermarks if current and not (order and "Watermark" in order.scopes) else {},
            generation="" if order is not None and drops_links(order.scopes) else state.generation,
        )
        if order is not None:
            # What the cycle before it had counted is lost with it.
            progress = replace(progress, restart=order.id, reset=order.scopes, disturbed=True)
        schema = self.context.job.schema_version
        if progress.kind == "incremental":
            progress = replace(progress, changes_since=state.changes_since, compares=self._compared(state, now))
        access = state.access if progress.kind == "incremental" else ""
        kept = dict(self.context.job.kept)
        progress = replace(
            progress, driver=driver, configuration=configuration, schema=schema, kept=kept, access=access
        )
        await rows.save_progress(progress, found[1] if found else "")
        logger.info("cycle began", extra={"job": self.context.job.id, "cycle": cycle, "kind": progress.kind})
        return progress

    def _compared(self, state: JobState, now: float) -> tuple[str, str] | None:
        """The bins that this cycle compares with both sides."""
        every = self.context.job.reconciles_every
        return bins_of(0, len(BINS)) if state.compare_all else bins_of(*due(state.reconciliation, now, every))

    def _tell_settings(self, now: float) -> Tell:
        """Settings are no order that somebody gives here: they are found to be others than they were."""
        entry, hidden = (
            entry_of("Update provisioning setting or credentials", SYSTEM, now),
            self.context.job.hidden_settings,
        )

        def told(before: JobState, after: JobState) -> Audited | None:
            changes = differences(before.settings, after.settings, hidden)
            if not changes:
                return None
            activity: Activity = entry.activity if before.settings else "Add provisioning configuration"
            return replace(entry, activity=activity, changes=changes, reason="found when a cycle began")

        return told

    def _refuse_if_stopped(self, state: JobState, last: Progress | None) -> None:
        """Whoever waits for a person's word begins nothing; a cycle that runs already completes."""
        if last is not None and not last.at_rest:
            return
        if state.paused:
            why = "too much failed in its initial cycle" if state.escrows_pruned else "somebody has paused it"
            raise ConfigError(f"job {self.context.job.id} is paused ({why}): start it first")
        if state.disabled:
            raise ConfigError(
                f"job {self.context.job.id} is disabled, because it was in quarantine for four weeks: mend the reason, "
                "which `status` tells, and start it"
            )

    async def end_lease_of_the_dead(self) -> None:
        """Lets a cycle be begun or resumed before the lease of its driver expires. Only for a caller who can prove that
        no worker of this job lives: one that loses its lease stops, but what it has sent may still arrive.
        """
        await self.context.rows.end_lease()

    async def advance(self, turn: Turn | None = None) -> Progress:
        """The next state of the cycle, from the stored results of the steps in flight. A step without a result counts
        as failed and is given out again.

        `turn` is that of the progress the caller has worked on. Raises `LeaseLost` when another driver has resumed the
        cycle since; a move that was made already (its reply was lost) is not made again.
        """
        rows = self.context.rows
        while True:
            found = await rows.progress()
            if found is None:
                raise ConfigError(f"job {self.context.job.id} has no cycle to advance; start one first")
            progress, etag = found
            if turn is not None and progress.driver != turn.driver:
                raise LeaseLost("another worker has resumed this cycle; this one sends nothing more")
            if progress.finished or (turn is not None and progress.round != turn.round):
                return progress
            reported = await rows.results(progress)
            unreported = Failure("InternalError", "a step ended without a result; it is done again")
            results = [result or StepResult(failure=unreported) for result in reported]
            interrupted = any(
                result.repeated or (result.failure is not None and isinstance(step, Decide | Act))
                for step, result in zip(progress.steps, results, strict=True)
            )
            progress = replace(progress, disturbed=progress.disturbed or interrupted)
            state, _ = await rows.state()
            if not progress.dry_run and is_restarted(state, progress):
                following = end(progress, results, RESTARTED)
                await self.shares.release(self.context.job.id)
            else:
                following = await self._advance(progress, results)
            if following.at_rest:
                await self._record_end(following)
            try:
                await rows.save_progress(following, etag)
            except RowConflict:
                continue
            await rows.drop_results(progress.cycle, progress.round, len(progress.steps))
            if following.at_rest:
                await rows.release_lease(following.driver)
            return following

    @property
    def registry(self) -> Registry:
        """The jobs that work with the instance."""
        return Registry(self.context.store, self.instance)

    @property
    def _registered(self) -> Registered:
        job = self.context.job
        return Registered(job.tenant, job.application, job.policy.everyone)

    @property
    def shares(self) -> Shares:
        """The claims on the instance."""
        return Shares(self.context.store, self.instance)

    async def _advance(self, progress: Progress, results: Sequence[StepResult]) -> Progress:
        """With as many slots as are free now, which is known to matter once it is known that the steps need any."""
        now, job = self.context.now(), self.context.job
        following = advance(progress, results, now, job.pace)
        if progress.dry_run:
            return following
        granted = job.pace.slots
        if any(result.refused for result in results):
            await self.shares.limit(granted, now)
        if not any(isinstance(step, Decide | Act) for step in following.steps):
            if progress.slots:
                await self.shares.release(job.id)
            return replace(following, slots=0)
        slots = await self.shares.claim(job.id, granted, granted=granted, now=now)
        if slots != granted:
            following = advance(progress, results, now, replace_pace(job.pace, slots=slots))
        return replace(following, slots=slots)

    async def _record_end(self, progress: Progress) -> None:
        """Before the progress says so: a cycle that is at rest is never looked at again."""
        now = self.context.now()
        job = self.context.job
        await self.context.rows.record_cycle(progress, now)
        failing = await count_failing(self.context, job.thresholds.most) if progress.finished else 0

        def ended(known: JobState) -> tuple[JobState, Sequence[Operation]]:
            after = after_cycle(known, progress, now, job, failing)
            entry = told_after_cycle(progress, now)(known, after)
            rows = (audit.row_of(entry),) if entry is not None else ()
            if progress.dry_run:
                return after, rows
            after, notices = after_end(self.context, self.instance, after)
            return after, (*rows, *notices)

        state = await self.context.rows.change_with_rows(ended)
        if state.quarantine is not None or state.paused:
            reason = state.quarantine.reason if state.quarantine is not None else None
            logger.warning("job does not run as usual", extra={"job": job.id, "status": state.status, "reason": reason})

    async def notify(self) -> int:
        """Tells people what is due to be told and has not arrived yet; for after a cycle and between cycles. Answers
        how many notices were taken, and raises nothing.
        """
        return await notify(self.context, self.instance)

    async def prune(self) -> None:
        """Removes what is older than the log is kept; for when no cycle is due. A cycle does it when it finishes."""
        await prune(self.context, self.registry)

    async def run_step(self, progress: Progress, number: int) -> StepResult:
        """Carries out one step in flight and stores its result. Raises nothing that concerns an object or a side: what
        failed is part of the result.
        """
        step = progress.steps[number]
        repeated = isinstance(step, Decide | Act) and not await self.context.rows.begin_step(progress, number)
        result = await self._attempt(step, progress, number)
        if repeated:
            result = replace(result, repeated=True)
        await self.context.rows.save_result(progress.cycle, progress.round, number, result)
        return result

    async def _attempt(self, step: Step, progress: Progress, number: int) -> StepResult:
        context, tally = self.context, Tally()
        refused, measures = context.target.refused, Measures()
        try:
            holder = None if progress.dry_run else progress.driver
            share = None if progress.dry_run else Share(self.shares, context.job.id, context.job.pace.slots)
            granted = [each.slots if isinstance(each, Decide | Act) else 0 for each in progress.steps]
            lending = Lending(context.rows, context.target, progress, number, granted)
            origin = await self.origin(progress.cycle)
            work = Work(context, context.plan(CYCLE_PLAN), origin, tally, holder, share, lending)
            if holder is not None:
                await context.rows.renew_lease(holder, context.now())
            with lending, context.target.measured() as measures:
                if isinstance(step, Decide | Act):
                    await context.instance.require_same(
                        progress.driver or progress.cycle, self.instance, progress.written, progress.ended
                    )
                result = await carry_out(work, step, progress)
        except ProvisioningError as error:
            failure = failure_of(error)
            logger.warning(
                "step failed",
                extra={"job": self.context.job.id, "step": type(step).__name__, "code": failure.code},
            )
            result = replace(tally.result(), failure=failure)
        counts = {**result.counts, **measures.counts()}
        return replace(result, counts=counts, refused=context.target.refused > refused)

    async def origin(self, cycle: str, by: Initiator = SERVICE) -> Origin:
        """What all journal entries of a cycle have in common; `by` says who has asked for it."""
        principal = await self.context.service_principal()
        return Origin(
            tenant=self.context.job.tenant,
            job=self.context.job.id,
            cycle=cycle,
            service_principal=principal.id,
            service_principal_name=principal.display_name,
            instance=self.instance,
            application=principal.app_id,
            by=by,
        )

    async def approve(self, plan: str, *, by: str) -> Ruling:
        """Lets exactly what this plan lists as held go on in the next cycle, if that begins within 24 hours. `by` says
        who wants it.
        """
        return await self._rule(plan, "Approve held removals", by=by)

    async def reject(self, plan: str, *, by: str) -> Ruling:
        """Drops what this plan lists as held in the next cycle, which remembers it: the objects stay as they are as
        long as it is the same that would be done to them, or until they are resynced.
        """
        return await self._rule(plan, "Reject held removals", by=by)

    async def force_deletes(self, *, by: str) -> Ruling:
        """Entra's resetScope ForceDeletes: approves what is held now. Raises `ConfigError` when nothing is."""
        state, _ = await self.context.rows.state()
        if state.held is None:
            raise ConfigError("no removals are held, so there are none to force; leave ForceDeletes out")
        return await self._rule(state.held.plan, "Force held removals", by=by)

    async def _rule(self, plan: str, activity: Activity, *, by: str) -> Ruling:
        now = self.context.now()
        ruling = Ruling(plan, activity != "Reject held removals", by, now, now + RULING_SECONDS)
        entry = entry_of(activity, by, now)

        def told(before: JobState, _: JobState) -> Audited:
            held = before.held.counts if before.held is not None and before.held.plan == plan else {}
            counts: Changes = {kind: (str(number), None) for kind, number in held.items()}
            return replace(entry, changes={"plan": (None, plan), **counts})

        await self.context.rows.change_state(lambda state: replace(state, ruling=ruling), told)
        return ruling


def _begun(cycle: str, now: float, settings: dict[str, str], state: JobState) -> JobState:
    since = state.expected_since or now
    return replace(state, last_cycle=cycle, last_began=now, settings=settings, expected_since=since)


def is_restarted(state: JobState, progress: Progress | None) -> bool:
    """Whether a person has ordered a restart since the job's last cycle began."""
    return state.restart is not None and (progress is None or progress.restart != state.restart.id)


async def carry_out(work: Work, step: Step, progress: Progress) -> StepResult:
    """One step, to its end or to the end of its time box."""
    match step:
        case Reset():
            return await reset(work, step)
        case OpenTokens():
            return await open_tokens(work)
        case ReadDelta():
            return await read_delta(work, step)
        case ReadAssignments():
            return await read_assignments(work, step)
        case CompareAssignments():
            return await compare_assignments(work, step)
        case StageWaiting():
            return await stage_waiting(work, step)
        case ReadChanges() | Compare() | Sweep():
            return await _look_again(work, step)
        case Decide() | Act():
            tick = progress.collected + work.context.job.pace.interval
            more = await (decide_range(work, step) if isinstance(step, Decide) else act_range(work, step, tick=tick))
            return replace(work.tally.result(), follow_up=more)
        case Review():
            return await review_cycle(work, step, progress.counts)
        case Finish():
            return await _finish(work, progress)


async def _look_again(work: Work, step: ReadChanges | Compare | Sweep) -> StepResult:
    """The steps that stage what is managed already."""
    match step:
        case ReadChanges():
            return await read_changes(work, step)
        case Compare():
            return await compare_bins(work, step)
        case Sweep():
            return await sweep(work, step)


async def _finish(work: Work, progress: Progress) -> StepResult:
    """Everything read is settled or stored elsewhere: the watermarks move. Counts are added once, by cycle id.

    Rows that a dead worker staged and never reported are found here: the cycle goes back to them.
    """
    if not progress.dry_run and (left := await work.plan.left()):
        for row in left:
            work.tally.add_row(row.pending)
        return work.tally.result()
    state, _ = await work.context.rows.state()
    unsorted = bool(state.managed) and not state.states  # an older version has counted
    recount = await count_managed(work.context) if progress.disturbed or unsorted else None
    if not progress.dry_run:
        more = progress.kind == "initial" or any(progress.counts.get(f"managed.{kind}") for kind in ("user", "group"))
        await work.context.instance.remember(progress.written, progress.ended, more=more)

    def finished(state: JobState) -> JobState:
        if recount is not None:
            state = counting(recount, replace(state, managed={}, states={}))
        elif state.counted != progress.cycle:
            state = counting(progress.counts, state)
        ruling = state.ruling
        if ruling is not None and (ruling.used or ruling.at <= progress.began):  # used, or nothing it was about is left
            ruling = None
        cleared = progress.kind == "initial" and progress.began >= state.unclear_since
        done = state.restart is not None and state.restart.id == progress.restart
        return replace(
            state,
            watermarks=progress.watermarks,
            generation=progress.generation,
            configuration=progress.configuration,
            access=progress.access or state.access,
            counted=progress.cycle,
            ruling=ruling,
            unclear_since=0.0 if cleared else state.unclear_since,
            changes_since=state.changes_since if progress.counts.get("changes unread") else progress.began,
            reconciliation=_reconciled(state, progress),
            compare_all=0.0 if state.compare_all <= progress.began else state.compare_all,
            restart=None if done else state.restart,
        )

    await work.context.rows.change_state(finished)
    if not progress.dry_run:
        await prune(work.context, Registry(work.context.store, work.origin.instance))
    return work.tally.result()


def _reconciled(state: JobState, progress: Progress) -> Reconciliation:
    if progress.kind == "initial":
        return evaluated_anew(state.reconciliation, progress.began)
    if progress.compares is None:
        return state.reconciliation
    return compared(state.reconciliation, BINS.index(progress.compares[1]) + 1, progress.began)


def failure_of(error: ProvisioningError) -> Failure:
    """How far an error spreads: another try, a new start from the beginning, or a person."""
    match error:
        case CursorExpired():
            return Failure("WatermarkExpired", str(error), expired=True)
        case Throttled(retry_after=seconds):
            return Failure(error.code, str(error), retry_after=seconds)
        case Unauthorized():
            return Failure(error.code, str(error), halts=True)
        case Unavailable():
            return Failure(error.code, str(error))
        case InstanceChanged(code=code):
            return Failure(code, str(error), halts=True)
        case LeaseLost():
            return Failure("LeaseLost", str(error), halts=True)
        case ObjectError():
            return Failure(error.code, f"{error}; {error.way_out}")
        case RowConflict():
            return Failure("Conflict", str(error))
        case _:
            return Failure(type(error).__name__, str(error), halts=True)
