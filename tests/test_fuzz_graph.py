"""Whatever Graph, or something in between, answers: the cycle ends by itself with an error of ours or a right result,
nobody loses anything, our token goes nowhere else, and in the end ServiceNow holds what the company says.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioning.adapters.graph import GraphSource
from provisioning.engine import control
from provisioning.errors import ProvisioningError
from tests.crashing import Mortal, mortal_world
from tests.emulators import tenant
from tests.emulators.graph import create_app
from tests.fuzzing import SEEDS, Spoiling, answer, broken, spoilt, trying, written
from tests.graph_world import World as GraphWorld
from tests.stories import small_company

REQUESTS = 25
"""More than a cycle of this company asks Graph."""
SURE = frozenset(
    {"id", "principalId", "principalType", "appRoleId", "resourceId", "@odata.nextLink", "@odata.deltaLink", "reason"}
)
"""Another text in one of these is another answer, that nobody can tell from a true one."""
LINKS: tuple[Any, ...] = (
    "https://evil.example/v1.0/users/delta?$skiptoken=x",
    "https://127.0.0.1.evil.example/v1.0/users/delta",
    "http://127.0.0.1@evil.example/v1.0/users",
    "http://127.0.0.1:80@evil.example/v1.0/users",
    "http://127.0.0.1\\@evil.example/v1.0/users",
    "http://127.0.0.1/v1.0\\@evil.example/",
    "http://127.0.0.1%2f@evil.example/v1.0/",
    "http://evil.example/http://127.0.0.1/v1.0/",
    "http://evil.example#http://127.0.0.1/v1.0/",
    "//evil.example/v1.0/users",
    "http://[",
    "http://127.0.0.1:99999999/v1.0/users",
    "http://127.0.0.1:0x50/v1.0/users",
    "http://127.0.0.1/v1.0/../../users",
    "http://127.0.0.1/v1.0/us\x00ers",
    "http://127.0.0.1/v1.0/users?$skiptoken=\ud800",
    "http://127.0.0.1/v1.0/users?$skiptoken=x",
    "http://127.0.0.1/v1.0/" + "x" * 100_000,
    "javascript:alert(1)",
    *(" ", 5, True, [], ["x"], {}, {"href": "https://evil.example/"}, 1.5),
)
Spoil = Callable[[httpx.Request, httpx.Response], httpx.Response]


def of_json(chance: random.Random, _: httpx.Request, response: httpx.Response) -> httpx.Response:
    return answer(response, written(spoilt(_read(response), chance, sure=SURE)))


def of_an_item(chance: random.Random, _: httpx.Request, response: httpx.Response) -> httpx.Response:
    """The body of an item, where it is a batch."""
    document = _read(response)
    items = document.get("responses") or [document]
    item = chance.choice(items)
    if "body" in item and chance.random() < 0.8:
        item["body"] = spoilt(item["body"], chance, sure=SURE)
    else:
        item.update(spoilt(item, chance, sure=SURE))
    return answer(response, written(document))


def of_links(chance: random.Random, request: httpx.Request, response: httpx.Response) -> httpx.Response:
    document = _read(response)
    bodies = [item["body"] for item in document.get("responses", ()) if isinstance(item.get("body"), dict)] or [
        document
    ]
    name = chance.choice(("@odata.nextLink", "@odata.deltaLink"))
    chance.choice(bodies)[name] = chance.choice((*LINKS, str(request.url)))
    return answer(response, written(document))


def of_bytes(chance: random.Random, _: httpx.Request, response: httpx.Response) -> httpx.Response:
    kind = chance.choice(("application/json", "text/html", "", "application/json; charset=utf-16"))
    return answer(response, broken(response.content, chance), content_type=kind)


def of_status(chance: random.Random, _: httpx.Request, response: httpx.Response) -> httpx.Response:
    status = chance.choice((100, 199, 202, 204, 206, 301, 307, 400, 401, 403, 404, 408, 410, 418, 429, 500, 503, 600))
    headers = {
        "Location": chance.choice([link for link in LINKS if isinstance(link, str) and "\ud800" not in link]),
        "Retry_After": chance.choice(("", "-1", "nan", "inf", "1e400", "soon", "9" * 500, "2.5", "\u0661")),
        "WWW_Authenticate": chance.choice(("", 'Bearer claims="!!"', 'Bearer claims="/w=="', 'Bearer claims="e30"')),
    }
    error = {"error": {"code": chance.choice((None, 5, "resyncRequired", "ErrorX", [])), "innerError": [1]}}
    content = chance.choice((response.content, b"", written(spoilt(error, chance)), written(error)))
    return answer(response, content, status=status, **headers)


KINDS = (of_json, of_an_item, of_links, of_bytes, of_status)


def _read(response: httpx.Response) -> dict[str, Any]:
    found = json.loads(response.content)
    return found if isinstance(found, dict) else {}


@cache
def _company() -> tuple[Any, Mortal]:
    """A settled company in which somebody is hired, changed and moved, and nobody loses anything."""
    manager = mortal_world()
    world = manager.__enter__()
    small_company(world)
    world.company.expect()
    assert world.settle() == []
    company = world.company
    company.hire("nia", department="Design", manager="zoe")
    company.change("ada", jobTitle="Director")
    company.join("Support", "max")
    company.report_to("zoe", "nia")
    company.found("Research", "ada", "nia")
    company.assign("Others")
    company.expect()
    world.fuse.most = 3_000
    return manager, world


@contextmanager
def spoiling(spoil: Spoil, first: int, times: int = 1) -> Iterator[Mortal]:
    """The company, with something before Graph for the life of its first process."""
    with _company()[1].copy() as world:
        world.fuse.most = 3_000
        world.before_graph = lambda way: Spoiling(way, spoil, first, times)
        yield world


def held(world: Mortal) -> tuple[set[str], set[tuple[str, str]]]:
    """The names of the accounts that are active, and the memberships."""
    rows = world.instance.rows
    active = {row["sys_id"] for row in rows("sys_user") if row["active"] == "true"}
    return active, {(row["group"], row["user"]) for row in rows("sys_user_grmember")}


def nothing_is_lost(world: Mortal, *, anew: bool) -> None:
    """A cycle in which answers are spoilt, and what the instance holds after it and in the end."""
    if anew:
        world.run(control.restart(world.engine(), ("Watermark",), by="a test"))
    before = held(world)
    try:
        world.cycle()
    except ProvisioningError as error:
        assert str(error)  # noqa: PT017 - either outcome is right
    after = held(world)
    assert before[0] <= after[0], "accounts are disabled"
    assert before[1] <= after[1], "memberships are gone"
    world.before_graph = lambda way: way
    world.restart()
    world.pass_time(8 * 3600.0)  # whatever pause Graph asked for is over
    # What was read wrong and looked like a value is read again.
    world.run(control.restart(world.engine(), ("Watermark", "Escrows", "QuarantineState"), by="a test"))
    assert world.settle() == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("anew", [False, True], ids=["changes", "everything"])
@trying(6)
@given(first=st.integers(0, REQUESTS), times=st.sampled_from([1, 1, 1, 3, 1000]), seed=SEEDS)
def test_a_spoilt_answer_of_graph_takes_nothing_from_anybody(kind, anew, first, times, seed):
    chance = random.Random(seed)
    with spoiling(lambda request, response: kind(chance, request, response), first, times) as world:
        nothing_is_lost(world, anew=anew)


QUESTIONS: dict[str, Callable[[GraphSource, list[str], list[str]], Any]] = {
    "application": lambda source, _users, _groups: source.service_principal(),
    "users' changes": lambda source, _users, _groups: source.delta("user", None),
    "groups' changes": lambda source, _users, _groups: source.delta("group", None),
    "latest": lambda source, _users, _groups: source.latest_link("group"),
    "assignments": lambda source, _users, _groups: source.assignments(None),
    "members": lambda source, _users, groups: source.members(groups),
    "users": lambda source, users, _groups: source.users(users),
    "groups": lambda source, _users, groups: source.groups(groups),
    "all users": lambda source, _users, _groups: source.objects("user", ("manager",), None),
    "grants": lambda source, users, _groups: source.grants("user", users),
    "pairs": lambda source, users, groups: source.are_members([(group, user) for group in groups for user in users]),
    "deleted": lambda source, users, _groups: source.deleted("user", users),
    "domain": lambda source, _users, _groups: source.default_domain(),
    "find": lambda source, users, _groups: source.find("user", users[0]),
}


@pytest.mark.parametrize("question", QUESTIONS)
@trying(40)
@given(kind=st.sampled_from(KINDS), first=st.integers(0, 2), times=st.sampled_from([1, 3, 1000]), seed=SEEDS)
def test_a_question_put_to_graph_gets_an_answer_or_an_error_of_ours(question, kind, first, times, seed):
    chance = random.Random(seed)
    with asyncio.Runner() as runner, _tenant_world(runner) as world:
        way = httpx.ASGITransport(create_app(world.tenant))
        way = Spoiling(way, lambda request, response: kind(chance, request, response), first, times)
        source = world.adapter(transport=Counting(way), base_url="http://127.0.0.1/v1.0")
        users, groups = [*world.tenant.users][:3], [*world.tenant.groups][:2]
        with suppress(ProvisioningError):
            world.ask(QUESTIONS[question](source, users, groups))


class Counting(httpx.AsyncBaseTransport):
    """A question that is put for ever is a failure."""

    def __init__(self, inner: httpx.AsyncBaseTransport, most: int = 200) -> None:
        self._inner = inner
        self._left = most

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self._left -= 1
        assert self._left, "this does not end"
        return await self._inner.handle_async_request(request)


def _tenant_world(runner: asyncio.Runner) -> GraphWorld:
    world = GraphWorld(runner)
    tenant.seed(world.tenant, users=6, groups=2, seed=1)
    return world
