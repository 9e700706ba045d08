"""The other driver: a cycle as a Durable orchestration and its two activities, without Durable itself.

The orchestrator is replayed from the start of its history at each episode, so it reads no clock, no store and no
setting. What travels through the history is whose turn it is; steps and results stay in the job's own rows.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from provisioning.engine.engine import Engine
from provisioning.engine.progress import Progress, Turn
from provisioning.errors import ProvisioningError, Unavailable

MOVES = 20
"""After so many rounds the orchestration continues as new: a replay costs as much as its history is long."""
TRIES = 10
LONGEST_PAUSE = timedelta(minutes=5)

Moves = Generator[Any, Any, Any]


class Orchestration(Protocol):
    """What a cycle needs of Durable's context."""

    @property
    def current_utc_datetime(self) -> datetime: ...
    def get_input(self, expected_type: type | None = None) -> Any: ...
    def call_activity(self, name: str, input_: Any, expected_type: type | None = None) -> Any: ...
    def create_timer(self, fire_at: datetime) -> Any: ...
    def task_any(self, activities: list[Any]) -> Any: ...
    def set_custom_status(self, status: Any) -> None: ...
    def continue_as_new(self, input_: Any) -> None: ...


def instance_of(job: str) -> str:
    """One orchestration for each job: whoever wants to start a second one finds this name taken."""
    return f"job-{job}"


def order_of(progress: Progress, moves: int = MOVES) -> dict[str, Any]:
    """The orchestration's input."""
    return {"driver": progress.driver, "round": progress.round, "moves": moves}


def orchestrate(context: Orchestration) -> Moves:
    """Advances the cycle and runs the steps of each round side by side, until the cycle is at rest."""
    order = context.get_input(dict)
    for _ in range(order["moves"]):
        answer = yield from _advance(context, order)
        context.set_custom_status(answer["status"])
        if answer["ended"]:
            yield from _notify(context, order)
            return answer["status"]
        order = {**order, "round": answer["round"]}
        if answer["steps"]:
            yield from _run_steps(context, order, answer["steps"])
        else:
            yield context.create_timer(datetime.fromtimestamp(answer["resume_at"], UTC))
    context.continue_as_new(order)
    return None


def _advance(context: Orchestration, order: Mapping[str, Any]) -> Moves:
    """Durable's own retry knows no growing pauses."""
    turn = {"driver": order["driver"], "round": order["round"]}
    for attempt in range(1, TRIES + 1):
        try:
            answer = yield context.call_activity("advance", turn, dict)
        except Exception:  # noqa: BLE001 - this is what Durable raises for an activity that failed, and nothing narrower
            answer = _ended("ActivityFailed")
        else:
            if not answer.get("again"):
                return answer
        if attempt < TRIES:
            pause = min(LONGEST_PAUSE, timedelta(seconds=2.0**attempt))
            yield context.create_timer(context.current_utc_datetime + pause)
    return {**answer, "ended": True}  # the timer function finds the unfinished cycle and resumes it


def _notify(context: Orchestration, order: Mapping[str, Any]) -> Moves:
    """What could not be told now the timer function tells later."""
    with suppress(Exception):  # as above
        yield context.call_activity("notify", order, int)


def _run_steps(context: Orchestration, order: Mapping[str, Any], number: int) -> Moves:
    """To the last one, whatever becomes of the others: a step in flight may still write, and its like would be given
    out again. A step that failed has left no result, which `advance` sees.
    """
    turn = {"driver": order["driver"], "round": order["round"]}
    waiting = [context.call_activity("run_step", {**turn, "number": n}, str) for n in range(number)]
    while waiting:
        done = yield context.task_any(waiting)
        waiting.remove(done)


async def advance(engine: Engine, turn: Mapping[str, Any]) -> dict[str, Any]:
    """The activity: a delivery that is late or repeated moves nothing."""
    try:
        progress = await engine.advance(Turn(turn["driver"], turn["round"]))
    except Unavailable as error:
        return {**_ended(error.code), "ended": False, "again": True}
    except ProvisioningError as error:
        return _ended(type(error).__name__)
    return {
        "ended": progress.at_rest,
        "round": progress.round,
        "steps": len(progress.steps),
        "resume_at": math.ceil(progress.retry_at),  # a timer knows microseconds and must not fire before the time
        "status": status_of(progress),
    }


async def run_step(engine: Engine, order: Mapping[str, Any]) -> str:
    """The activity: "done", the code of the failure, or why there was nothing to do."""
    try:
        found = await engine.context.rows.progress()
        turn, number = Turn(order["driver"], order["round"]), order["number"]
        if found is None or found[0].turn != turn or number >= len(found[0].steps):
            return "late"
        if (await engine.context.rows.results(found[0]))[number] is not None:
            return "repeated"
        result = await engine.run_step(found[0], number)
    except Unavailable as error:
        return error.code  # the state store: the step has no result and is given out again
    return result.failure.code if result.failure else "done"


def status_of(progress: Progress) -> dict[str, Any]:
    """What anybody who may see the orchestration may see of the cycle: numbers, ids and codes."""
    return {
        "cycle": progress.cycle,
        "kind": progress.kind,
        "phase": progress.phase,
        "round": progress.round,
        "finished": progress.finished,
        "halted": progress.halted.code if progress.halted else None,
        "held": progress.held,
        "counts": progress.counts,
    }


def _ended(code: str) -> dict[str, Any]:
    return {"ended": True, "status": {"finished": False, "halted": code}}
