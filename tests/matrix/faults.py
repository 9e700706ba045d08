"""The faults of the matrix: how each is planted before a cycle, which kinds of calls it can meet, and whether it did.
Everything that the fuse and both emulators can do is here, each under the name that the document shows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.crashing import FAULTS as OF_THE_FUSE
from tests.crashing import Mortal
from tests.emulators import graph
from tests.matrix.calls import ITEM, READS, SIDES, WRITES, Call, undisturbed

Happened = Callable[[], bool]
Meets = Callable[[str], bool]
GRAPH, SERVICENOW, STORE = SIDES
THROUGHOUT = 10_000
"""As often as a cycle may ask."""


@dataclass(frozen=True)
class Fault:
    """`source` is the effect as the fuse ("crash before") or the emulator ("Throttle", "too_many") knows it. With
    `lasts` it meets every call of the kind until the cycle is over, otherwise the first one.
    """

    name: str
    side: str
    source: str
    meets: Meets
    plant: Callable[[Mortal, str], Happened] = field(repr=False)
    lasts: bool = False

    def can_meet(self, call: Call) -> bool:
        return call[0] == self.side and self.meets(call[1])


def _whole(call: str) -> bool:
    return not call.startswith(ITEM)


def _item(call: str) -> bool:
    return call.startswith(ITEM)


def _verb(*verbs: str) -> Meets:
    return lambda call: call.removeprefix(ITEM).partition(" ")[0] in verbs


def _delta(call: str) -> bool:
    return call.endswith("/delta")


def _list(call: str) -> bool:
    """Lists of Graph, but for pages of delta, whose faults are their own."""
    return call.startswith((f"{ITEM}GET", "GET")) and not call.endswith(("{id}", "/delta"))


def _all(call: str) -> bool:
    """Lists of which the cycle reads at least one that is found and is not one of an object that was deleted."""
    return _list(call) and not call.endswith("appRoleAssignments")


def _record(call: str) -> bool:
    return _verb("GET", "POST", "PATCH", "DELETE")(call) and call not in {READS, WRITES, "POST token"}


def _both(first: Meets, second: Meets) -> Meets:
    return lambda call: first(call) and second(call)


def _any(_: str) -> bool:
    return True


def _fused(name: str, side: str, meets: Meets = _whole) -> Fault:
    def plant(world: Mortal, call: str) -> Happened:
        world.fuse.set(1, name, call=call)
        return lambda: world.fuse.counted >= 1

    return Fault(name, side, name, meets, plant)


def _at_graph(name: str, effect: graph.Effect, meets: Meets = _any, *, lasts: bool = False) -> Fault:
    def plant(world: Mortal, call: str) -> Happened:
        faults, times = world.directory.behaviour.faults, THROUGHOUT if lasts else 1
        faults.add(effect, call, times=times)
        (planted,) = faults.waiting
        return lambda: planted.times < times

    return Fault(name, GRAPH, type(effect).__name__, meets, plant, lasts)


def _at_servicenow(name: str, effect: Any, meets: Meets = _any, *, lasts: bool = False, **details: Any) -> Fault:
    def plant(world: Mortal, call: str) -> Happened:
        times = None if lasts else 1
        on, skip = ("POST batch", _batches_before(call)) if call in {READS, WRITES} else (call, 0)
        planted = world.instance.faults.add(on, effect, times=times, skip=skip, **details)
        return lambda: planted.happened >= 1

    return Fault(name, SERVICENOW, effect, meets, plant, lasts)


def _batches_before(call: str) -> int:
    """The emulator counts batches of reads and of writes as one kind."""
    batches = [effect.calls[0] for effect in undisturbed() if effect.calls and effect.calls[0] in {READS, WRITES}]
    return batches.index(call)


_WRITE = _both(_item, _verb("POST", "PATCH", "DELETE"))
_STORED: Mapping[str, str] = {"body": '{"result": nothing', "content_type": "application/json"}

FAULTS: tuple[Fault, ...] = (
    # The state store
    *(_fused(name, STORE) for name in OF_THE_FUSE["commit"]),
    # Graph
    _fused("crash before", GRAPH),
    _fused("crash after", GRAPH),
    _at_graph("connection lost", graph.ResetConnection()),
    _fused("reply lost", GRAPH),
    _at_graph("401", graph.Fail(401), _whole),
    _at_graph("401 throughout", graph.Fail(401), _whole, lasts=True),
    _at_graph("403", graph.Fail(403)),
    _at_graph("404", graph.Fail(404)),
    _at_graph("429, wait 7 s", graph.Throttle("7")),
    _at_graph("429, wait 10 min", graph.Throttle("600")),
    _at_graph("500", graph.Fail(500)),
    _at_graph("503", graph.Fail(503)),
    _at_graph("503 throughout", graph.Fail(503), lasts=True),
    _at_graph("slow", graph.Slow(20.0)),
    _at_graph("empty list", graph.EmptyList(), _all),
    _at_graph("entries twice", graph.Duplicate(2), lambda call: _all(call) or _delta(call)),
    _at_graph("token: 410 gone", graph.ExpireDelta("gone"), _delta),
    _at_graph("token: sync state", graph.ExpireDelta("sync-state-not-found"), _delta),
    _at_graph("token: too old", graph.ExpireDelta("too-old"), _delta),
    _at_graph("page token expired", graph.ExpirePage(), _delta),
    _at_graph("last round again", graph.Replay(), _delta),
    _at_graph("nothing yet", graph.Late(), _delta),
    _at_graph("strangers removed", graph.UnknownRemoved(), _delta),
    _at_graph("empty page", graph.EmptyPage(), _delta),
    # ServiceNow
    _fused("crash before", SERVICENOW),
    _fused("crash after", SERVICENOW),
    _at_servicenow("connection refused", "refused_connection"),
    _at_servicenow("reply lost", "reply_lost"),
    _at_servicenow("answer cut", "broken_body"),
    _at_servicenow("401", "unauthorized"),
    _at_servicenow("401 throughout", "unauthorized", _whole, lasts=True),
    _at_servicenow("403, session moved", "api_acl"),
    _at_servicenow("403, business rule", "rule", _record),
    _at_servicenow("403 throughout", "rule", _record, lasts=True),
    _at_servicenow("403 though done", "denied_after_write", _WRITE),
    _at_servicenow("429, wait 7 s", "too_many", retry_after="7"),
    _at_servicenow("429, wait 10 min", "too_many", _whole, retry_after="600"),
    _at_servicenow("500", "status", status=500),
    _at_servicenow("500 though done", "status_after_write", _WRITE, status=500),
    _at_servicenow("503", "status", _whole, status=503),
    _at_servicenow("503 throughout", "status", _whole, status=503, lasts=True),
    _at_servicenow("502 of a proxy", "html", _whole, status=502),
    _at_servicenow("login page", "html", status=200),
    _at_servicenow("hibernating", "hibernating", _whole),
    _at_servicenow("202, thrown away", "dropped_session", _whole),
    _at_servicenow("not JSON", "literal", status=200, **_STORED),
    _at_servicenow("not JSON, done", "literal_after_write", _WRITE, status=200, **_STORED),
    _at_servicenow("stream cut", "cut_stream", _both(_record, _verb("GET"))),
    _at_servicenow("error in stream", "error_in_stream", _both(_record, _verb("GET"))),
    _at_servicenow("empty list", "not_yet_visible", _verb("GET")),
    _at_servicenow("field dropped", "drop_fields", lambda call: call == f"{ITEM}POST sys_user", fields=("first_name",)),
    _at_servicenow("active dropped", "drop_fields", lambda call: call == f"{ITEM}PATCH sys_user", fields=("active",)),
    _at_servicenow("half the batch", "batch_cut", lambda call: call in {READS, WRITES}, after_items=1),
    _at_servicenow("slow", "slow", seconds=20.0),
)
