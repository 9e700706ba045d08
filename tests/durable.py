"""A Durable host for tests. It keeps each orchestration as the extension does: a history of events that is sent whole
at each episode, messages for activities that are delivered at least once, timers, and instances that continue as new.
It checks at each episode that the orchestrator, replayed from the start, asks again for exactly what it asked for
before.

The protocol is that of the extension for the 1.x SDK: JSON in, the list of all actions so far as JSON out. What runs
the functions is given: this process, or a worker.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any, Literal, Protocol

import azure.functions as func

EXECUTION_STARTED, TASK_SCHEDULED, TASK_COMPLETED, TASK_FAILED = 0, 4, 5, 6
TIMER_CREATED, TIMER_FIRED, ORCHESTRATOR_STARTED, ORCHESTRATOR_COMPLETED = 10, 11, 12, 13
CALL_ACTIVITY, CONTINUE_AS_NEW, CREATE_TIMER, WHEN_ANY, WHEN_ALL = 0, 4, 5, 11, 12
FAILURE_MARK = "$OutOfProcData$:"

Fault = Literal[
    "none", "fails", "fails afterwards", "twice", "twice at once", "again later", "killed", "dies before", "dies after"
]
"""What happens to one delivery: the activity fails before it begins or after all is done, is delivered a second time
after the first, beside it or much later, or the process dies in the middle of it.
"""


class Runtime(Protocol):
    """Runs the functions of an app: JSON text in, JSON text out. A function that fails raises."""

    async def orchestrator(self, name: str, body: str) -> str: ...
    async def activity(self, name: str, text: str) -> str: ...


@cache
def functions_of(app: func.FunctionRegister) -> dict[str, func.Function]:
    """The functions by name, as the worker indexes them. The SDK builds them once and refuses to do so again."""
    return {each.get_function_name(): each for each in app.get_functions()}


class InProcess:
    """Runs the functions as they are registered, in this process."""

    def __init__(self, app: func.FunctionRegister) -> None:
        self.functions = {name: each.get_user_function() for name, each in functions_of(app).items()}

    async def orchestrator(self, name: str, body: str) -> str:
        return self.functions[name](func_context(body))

    async def activity(self, name: str, text: str) -> str:
        result = self.functions[name](json.loads(text))
        return json.dumps(await result if inspect.isawaitable(result) else result)


def func_context(body: str) -> Any:
    """As the worker's converter hands it over."""
    from azure.functions._durable_functions import OrchestrationContext  # noqa: PLC0415 - the SDK's own name for it

    return OrchestrationContext(body)


@dataclass
class Task:
    """An activity or a timer that the orchestration waits for. Its id is its place among all it ever scheduled."""

    id: int
    name: str = ""
    input: str = ""
    fire_at: float = 0.0


@dataclass
class Instance:
    """Everything the extension stores of an orchestration; it survives the host, and so has to survive JSON."""

    id: str
    name: str
    input: str
    created: float
    history: list[dict[str, Any]] = field(default_factory=list)
    arrived: list[dict[str, Any]] = field(default_factory=list)
    asked: list[dict[str, Any]] = field(default_factory=list)
    waiting: list[Task] = field(default_factory=list)
    scheduled: int = 0
    generation: int = 0
    status: str = "Pending"
    output: Any = None
    custom_status: Any = None

    @property
    def running(self) -> bool:
        return self.status in {"Pending", "Running", "ContinuedAsNew"}

    def as_stored(self) -> Instance:
        """The same, as a host that starts anew reads it."""
        stored = json.loads(json.dumps(asdict(self)))
        return Instance(**{**stored, "waiting": [Task(**task) for task in stored["waiting"]]})


class WorkerDied(Exception):
    """The process that ran a function ended before it could say what came of it."""


class OrchestrationError(AssertionError):
    """The orchestrator broke a rule that replaying rests on."""


@dataclass
class Host:
    """`choose` decides the fault of each delivery, `luck` which of the waiting activities run next, side by side, in
    which order they report, and how many reports one episode brings.
    """

    runtime: Runtime
    now: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    choose: Callable[[str], Fault] = lambda _: "none"
    luck: random.Random = field(default_factory=lambda: random.Random(1))
    died: Callable[[], None] = lambda: None
    instances: dict[str, Instance] = field(default_factory=dict)
    accepts: bool = True
    episodes: int = 0
    longest: int = 0
    deliveries: Counter[str] = field(default_factory=Counter)
    texts: list[str] = field(default_factory=list)
    _later: list[Task] = field(default_factory=list)

    # --- What the extension offers to clients ---

    def start(self, name: str, instance: str, text: str) -> None:
        """Silently replaces an instance of the same id, as the real one does."""
        self.instances[instance] = Instance(instance, name, text, self.now())
        self.texts.append(text)

    def status(self, instance: str) -> dict[str, Any] | None:
        found = self.instances.get(instance)
        if found is None:
            return None
        return {
            "name": found.name,
            "instanceId": found.id,
            "runtimeStatus": found.status,
            "input": None,
            "customStatus": found.custom_status,
            "output": found.output,
            "createdTime": iso(found.created),
            "lastUpdatedTime": iso(self.now()),
        }

    # --- Running ---

    async def finish(self, instance: str) -> Instance:
        """Runs the orchestration to its end."""
        while self.instances[instance].running:
            await self.step(instance)
        for late in self._later:
            await self.runtime.activity(late.name, late.input)
        return self.instances[instance]

    async def step(self, instance: str) -> None:
        """One episode, and work until there is something to tell the orchestrator."""
        await self.episode(instance)
        while (found := self.instances[instance]).waiting and not found.arrived:
            await self.work(instance)

    async def episode(self, instance: str) -> None:
        """Replays the orchestrator on everything that happened so far and on what has arrived since."""
        found = self.instances[instance]
        new = [self._event(ORCHESTRATOR_STARTED)]
        if not found.history:
            more = {"Name": found.name, "Version": "", "Input": found.input, "Tags": None, "ParentInstance": None}
            new.append(self._event(EXECUTION_STARTED, **more))
        taken = self.luck.randint(1, max(1, len(found.arrived)))
        new += found.arrived[:taken]
        del found.arrived[:taken]
        body = self._body(found, [*found.history, *new])
        self.episodes += 1
        self.longest = max(self.longest, len(found.history) + len(new))
        try:
            answer = json.loads(await self.runtime.orchestrator(found.name, body))
            again = answer
            if self.luck.random() < 0.2:
                again = json.loads(await self.runtime.orchestrator(found.name, body))
        except Exception as error:
            if FAILURE_MARK not in str(error):
                raise
            found.status, found.output = "Failed", str(error)
            return
        if answer != again:
            raise OrchestrationError("two replays of one history ask for different things")
        found.history += [{**event, "IsPlayed": True} for event in new]
        self._apply(found, answer)

    def _body(self, found: Instance, history: list[dict[str, Any]]) -> str:
        body = json.dumps(
            {
                "history": history,
                "input": found.input,
                "instanceId": found.id,
                "isReplaying": bool(found.history),
                "parentInstanceId": None,
                "upperSchemaVersion": 1,
                "upperSchemaVersionNew": 2,
                "maximumShortTimerDuration": "6.00:00:00",
                "longRunningTimerIntervalDuration": "3.00:00:00",
                "defaultHttpAsyncRequestSleepTimeMillseconds": 30000,
            }
        )
        self.texts.append(body)
        return body

    def _apply(self, found: Instance, answer: dict[str, Any]) -> None:
        if answer["schemaVersion"] != 2:
            raise OrchestrationError("not the protocol that this host speaks")
        found.custom_status = answer.get("customStatus", found.custom_status)
        asked = list(_flat(answer["actions"][0]))
        if asked[: len(found.asked)] != found.asked:
            raise OrchestrationError("a replay asks for something else than the run before")
        new, found.asked, found.status = asked[len(found.asked) :], asked, "Running"
        for action in new:
            if action["actionType"] == CONTINUE_AS_NEW:
                self._continue(found, action["input"])
                return
            self._schedule(found, action)
        found.history.append(self._event(ORCHESTRATOR_COMPLETED, IsPlayed=True))
        if answer["isDone"]:
            found.status, found.output = "Completed", answer.get("output")
        elif not found.waiting and not found.arrived:
            raise OrchestrationError("waits for nothing, and so for ever")

    def _schedule(self, found: Instance, action: dict[str, Any]) -> None:
        number, found.scheduled = found.scheduled, found.scheduled + 1
        if action["actionType"] == CREATE_TIMER:
            fire_at = datetime.fromisoformat(action["fireAt"]).timestamp()
            found.waiting.append(Task(number, fire_at=fire_at))
            event = self._event(TIMER_CREATED, EventId=number, FireAt=action["fireAt"])
        elif action["actionType"] == CALL_ACTIVITY:
            found.waiting.append(Task(number, action["functionName"], action["input"]))
            event = self._event(TASK_SCHEDULED, EventId=number, Name=action["functionName"], Version="", Input=None)
        else:
            raise OrchestrationError(f"this host knows no action {action['actionType']}")
        found.history.append({**event, "IsPlayed": True})

    def _continue(self, found: Instance, text: str) -> None:
        if found.waiting:
            raise OrchestrationError("continues as new while something is in flight")
        found.input, found.generation, found.scheduled, found.status = text, found.generation + 1, 0, "ContinuedAsNew"
        found.history, found.asked, found.arrived = [], [], []

    async def work(self, instance: str) -> None:
        """Runs some of what the orchestration waits for; what is not run now is run another time."""
        found = self.instances[instance]
        activities = [task for task in found.waiting if task.name]
        if not activities:
            await self._fire_next_timer(found)
            return
        if self._later and self.luck.random() < 0.5:
            late = self._later.pop()
            await self.runtime.activity(late.name, late.input)
        chosen = self.luck.sample(activities, self.luck.randint(1, len(activities)))
        reports = await asyncio.gather(*(self._deliver(task) for task in chosen))
        if any(report is None for report in reports):  # the process died, and with it what it had not reported
            self.died()
            self.instances = {name: each.as_stored() for name, each in self.instances.items()}
            return
        for task, report in zip(chosen, reports, strict=True):
            found.waiting.remove(task)
            found.arrived.append(report)

    async def _fire_next_timer(self, found: Instance) -> None:
        timer = min(found.waiting, key=lambda task: task.fire_at)
        await self.sleep(max(0.0, timer.fire_at - self.now()))
        found.waiting.remove(timer)
        found.arrived.append(self._event(TIMER_FIRED, TimerId=timer.id, FireAt=iso(timer.fire_at)))

    async def _deliver(self, task: Task) -> dict[str, Any] | None:
        """The report of one activity; None when the process died before it."""
        self.deliveries[task.name] += 1
        fault = self.choose(task.name)
        if fault == "killed":
            await self._kill(asyncio.ensure_future(self.runtime.activity(task.name, task.input)))
            return None
        if fault == "dies before":
            return None
        if fault == "fails":
            return self._failed(task, "the function timed out")
        try:
            result = await self.runtime.activity(task.name, task.input)
            if fault == "twice":
                result = await self.runtime.activity(task.name, task.input)
            elif fault == "twice at once":
                runs = (self.runtime.activity(task.name, task.input) for _ in range(2))
                result = (await asyncio.gather(*runs))[0]
        except WorkerDied:
            return None
        except Exception as error:  # noqa: BLE001 - whatever a function raises is its failure
            return self._failed(task, f"{type(error).__name__}: {error}")
        if fault == "dies after":
            return None
        if fault == "again later":
            self._later.append(task)
        self.texts.append(result)
        if fault == "fails afterwards":
            return self._failed(task, "the worker was recycled")
        return self._event(TASK_COMPLETED, TaskScheduledId=task.id, Result=result)

    async def _kill(self, activity: asyncio.Future[str]) -> None:
        for _ in range(self.luck.randint(0, 60)):
            await asyncio.sleep(0)
        activity.cancel()
        await asyncio.gather(activity, return_exceptions=True)

    def _failed(self, task: Task, details: str) -> dict[str, Any]:
        reason = f"Activity function '{task.name}' failed"
        return self._event(TASK_FAILED, TaskScheduledId=task.id, Reason=reason, Details=details)

    def _event(self, kind: int, **more: Any) -> dict[str, Any]:
        return {"EventType": kind, "EventId": -1, "IsPlayed": False, "Timestamp": iso(self.now()), **more}


def _flat(actions: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The actions in the order in which the extension carries them out."""
    for action in actions:
        if action["actionType"] in {WHEN_ANY, WHEN_ALL}:
            yield from _flat(action["compoundActions"])
        else:
            yield action


def iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
