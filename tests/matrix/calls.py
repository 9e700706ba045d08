"""The kinds of calls that a cycle makes, found by watching one: commits to the state store, requests to Graph and to
ServiceNow, and the items of their batches. Knows no fault.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from functools import cache

import httpx

from tests.crashing import Effect, Mortal
from tests.emulators.graph import routes
from tests.emulators.servicenow.routes import route
from tests.stories import eve_of

STORY = "a day of changes"
ITEM = "batch: "
READS, WRITES = "POST batch of reads", "POST batch of writes"
SIDES = ("Microsoft Graph", "ServiceNow", "the state store")
Call = tuple[str, str]
"""The side, and the kind of call under the name that the counts of its emulator know."""


def calls_of(request: httpx.Request) -> tuple[str, ...]:
    """The call that a request is, and the kinds of its items if it is a batch."""
    path = request.url.path
    if path.startswith("/v1.0/"):
        own = _at_graph(request.method, path.removeprefix("/v1.0"))
        items = json.loads(request.content)["requests"] if own.endswith("/$batch") else ()
        return own, *(sorted({ITEM + _at_graph(item["method"], item["url"]) for item in items}))
    own = f"{request.method} {route(path).target}"
    if own != "POST batch":
        return (own,)
    sent = json.loads(request.content)["rest_requests"]
    kinds = sorted({f"{item['method']} {route(item['url'].partition('?')[0]).target}" for item in sent})
    reads = all(kind.startswith("GET ") for kind in kinds)
    return READS if reads else WRITES, *(ITEM + kind for kind in kinds)


def _at_graph(method: str, url: str) -> str:
    segments = tuple(url.partition("?")[0].strip("/").split("/"))
    if segments == routes.BATCH:
        return f"{method} /$batch"
    found = routes.find(method, segments)
    assert found is not None, f"the emulator does not know {method} {url}"
    return found[0].kind


def side_of(effect: Effect) -> str:
    return {"graph": SIDES[0], "commit": SIDES[2]}.get(effect.kind, SIDES[1])


def counted(effects: Iterable[Effect]) -> Counter[Call]:
    """How often each kind of call occurs, in the order of their first ones."""
    return Counter((side_of(effect), call) for effect in effects for call in effect.calls)


def watch(world: Mortal) -> None:
    """Lets a world tell its calls apart; its pages of changes are short, so that there is more than one."""
    world.fuse.calls_of = calls_of
    world.directory.behaviour.delta_page_size = 3


@cache
def undisturbed() -> tuple[Effect, ...]:
    """The effects of a cycle that no fault meets."""
    with eve_of(STORY).copy() as world:
        watch(world)
        world.fuse.set(0, "")
        assert world.live()
        return tuple(world.fuse.seen)


@cache
def calls() -> tuple[Call, ...]:
    return tuple(sorted(counted(undisturbed()), key=lambda call: (SIDES.index(call[0]), call[1].startswith(ITEM))))
