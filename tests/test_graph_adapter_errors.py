"""What the Graph adapter makes of Graph's bad days: nothing may look like an empty answer that is not one."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from provisioning.adapters.graph import GraphSession, StaticToken, graph_host
from provisioning.errors import ConfigError, CursorExpired, Throttled, Unauthorized, Unavailable
from tests.emulators.graph import ExpireDelta, ExpirePage, Fail, ResetConnection, Throttle
from tests.graph_world import World

DELTA = "GET /users/delta"
USERS = "batch: GET /users"
UNKNOWN = "11111111-2222-3333-4444-555555555555"


@pytest.fixture
def world(runner: asyncio.Runner) -> Iterator[World]:
    with World(runner) as made:
        yield made


class Broken(httpx.AsyncBaseTransport):
    """A network that fails each time in the same way."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:  # noqa: ARG002 - httpx's signature
        raise self._error


class CutShort(httpx.AsyncBaseTransport):
    """A network that loses the rest of the first answers."""

    def __init__(self, inner: httpx.AsyncBaseTransport, *, times: int) -> None:
        self._inner = inner
        self.times = times

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await self._inner.handle_async_request(request)
        self.times -= 1
        return response if self.times < 0 else httpx.Response(200, stream=HalfAnswer())


class Compressing(httpx.AsyncBaseTransport):
    """A network with a server that compresses its answers, as Graph does."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await self._inner.handle_async_request(request)
        content = gzip.compress(await response.aread())
        return httpx.Response(200, headers={"Content-Encoding": "gzip"}, stream=httpx.ByteStream(content))


class HalfAnswer(httpx.AsyncByteStream):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b'{"value": ['
        raise httpx.ReadError("gone")


class Renewed:
    """Tokens of which only the second is good."""

    def __init__(self, good: str) -> None:
        self._good = good
        self.asked: list[tuple[str, str | None]] = []

    async def token(self) -> str:
        return self._good if self.asked else "stale"

    async def fresh(self, rejected: str, claims: str | None) -> str:
        self.asked.append((rejected, claims))
        return self._good


def read(world: World):
    return world.ask(world.source.delta("user", None))


# Connections and passing failures


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_passing_failure_is_asked_again_and_then_is_unavailable(world: World, status: int) -> None:
    world.tenant.add_user()
    world.tenant.behaviour.faults.add(Fail(status), DELTA, times=3)
    assert len(read(world).changes) == 1

    world.tenant.behaviour.faults.add(Fail(status), DELTA, times=4)
    with pytest.raises(Unavailable, match=rf"{status} .*request-id") as failure:
        read(world)
    assert type(failure.value) is Unavailable
    assert failure.value.code == "InternalServerError"


def test_a_broken_connection_is_tried_again_also_for_a_batch_of_reads(world: World) -> None:
    user = world.tenant.add_user()
    world.tenant.behaviour.faults.add(ResetConnection(), DELTA, times=3)
    world.tenant.behaviour.faults.add(ResetConnection(), "POST /$batch", times=3)
    assert len(read(world).changes) == 1
    assert len(world.ask(world.source.users([user]))) == 1

    world.tenant.behaviour.faults.add(ResetConnection(), DELTA, times=4)
    with pytest.raises(Unavailable, match=r"no connection to 127\.0\.0\.1:7101 for changes of users"):
        read(world)


def test_a_connection_that_breaks_in_the_middle_of_an_answer_is_tried_again(world: World) -> None:
    world.tenant.add_user()
    cut = CutShort(httpx.ASGITransport(world.between), times=3)
    source = world.adapter(transport=cut)
    assert len(world.ask(source.delta("user", None)).changes) == 1

    cut.times = 4
    with pytest.raises(Unavailable, match="ReadError"):
        world.ask(source.delta("user", None))


def test_a_compressed_answer_is_read(world: World) -> None:
    user = world.tenant.add_user()
    source = world.adapter(transport=Compressing(httpx.ASGITransport(world.between)))

    assert world.ask(source.users([user])).keys() == {user}


@pytest.mark.parametrize(
    ("error", "code"), [(httpx.ReadTimeout("late"), "Timeout"), (httpx.ConnectError("refused"), "InternalError")]
)
def test_no_answer_is_unavailable(world: World, error: Exception, code: str) -> None:
    source = world.adapter(transport=Broken(error))

    with pytest.raises(Unavailable, match=type(error).__name__) as failure:
        world.ask(source.delta("user", None))
    assert failure.value.code == code


# Throttling


def test_a_pause_is_kept_as_long_as_asked_for_fractions_too(world: World) -> None:
    world.tenant.behaviour.faults.add(Throttle("2.128"), DELTA)
    world.tenant.behaviour.faults.add(Throttle("7"), DELTA)

    read(world)

    assert world.naps == [2.128, 7.0]


def test_throttling_that_does_not_end_says_when_to_come_back(world: World) -> None:
    world.tenant.behaviour.faults.add(Throttle("5"), DELTA, times=4)

    with pytest.raises(Throttled, match=r"pause of 5 s .*TooManyRequests.*request-id") as failure:
        read(world)
    assert failure.value.retry_after == 5.0


def test_a_long_pause_is_not_waited_out(world: World) -> None:
    world.tenant.behaviour.faults.add(Throttle("300"), DELTA)

    with pytest.raises(Throttled) as failure:
        read(world)
    assert failure.value.retry_after == 300.0
    assert world.naps == []


# Tokens and permissions


def test_a_rejected_token_is_replaced_once(world: World) -> None:
    tokens = Renewed("emulator-access-token")

    world.ask(world.adapter(tokens=tokens).delta("user", None))

    assert tokens.asked == [("stale", None)]
    assert [request.headers["authorization"] for request in world.between.asked] == [
        "Bearer stale",
        "Bearer emulator-access-token",
    ]


def test_a_rejected_fresh_token_is_unauthorized(world: World) -> None:
    source = world.adapter(tokens=Renewed("wrong too"))

    with pytest.raises(Unauthorized, match=r"neither our token nor a fresh one .*401 InvalidAuthenticationToken"):
        world.ask(source.delta("user", None))
    assert len(world.between.asked) == 2


def test_a_wrong_static_token_is_sent_once(world: World) -> None:
    with pytest.raises(Unauthorized, match="401"):
        world.ask(world.adapter(tokens=StaticToken("wrong")).delta("user", None))
    assert len(world.between.asked) == 1


def test_a_claims_challenge_reaches_the_identity_and_not_the_sdk(world: World) -> None:
    tokens = Renewed("wrong too")
    challenge = 'Bearer realm="", error="insufficient_claims", claims="eyJhY2Nlc3NfdG9rZW4iOnt9fQ=="'
    error = '{"error":{"code":"InvalidAuthenticationToken","message":""}}'
    world.between.answer("/users/delta()", 401, error, times=9, WWW_Authenticate=challenge)

    with pytest.raises(Unauthorized):
        world.ask(world.adapter(tokens=tokens).delta("user", None))

    assert tokens.asked == [("stale", '{"access_token":{}}')]
    assert len(world.between.asked) == 2


@pytest.mark.parametrize(
    ("ask", "permission"),
    [
        (lambda source: source.service_principal(), "Application.Read.All"),
        (lambda source: source.delta("user", None), "User.Read.All"),
        (lambda source: source.delta("group", None), "GroupMember.Read.All"),
        (lambda source: source.latest_link("group"), "GroupMember.Read.All"),
        (lambda source: source.assignments(None), "Application.Read.All"),
        (lambda source: source.members([UNKNOWN]), "GroupMember.Read.All"),
        (lambda source: source.are_members([(UNKNOWN, UNKNOWN)]), "GroupMember.Read.All"),
        (lambda source: source.users([UNKNOWN]), "User.Read.All"),
        (lambda source: source.groups([UNKNOWN]), "GroupMember.Read.All"),
        (lambda source: source.find("user", "ada@contoso.com"), "User.Read.All"),
        (lambda source: source.find("group", "Sales"), "GroupMember.Read.All"),
    ],
)
def test_a_missing_permission_is_named_with_the_way_out(world: World, ask, permission: str) -> None:
    world.tenant.behaviour.permissions = frozenset()

    with pytest.raises(Unauthorized, match=rf"application permission {permission} with admin consent") as failure:
        world.ask(ask(world.source))
    assert failure.value.code == "InsufficientRights"
    assert "\n" not in str(failure.value)


def test_deleted_groups_take_a_permission_of_their_own(world: World) -> None:
    group = world.tenant.add_group(groupTypes=["Unified"])
    world.tenant.delete_group(group)

    with pytest.raises(Unauthorized, match=r"deleted groups .* Group\.Read\.All"):
        world.ask(world.source.deleted("group", [group]))


def test_a_member_of_a_hidden_type_is_a_missing_permission(world: World) -> None:
    item = {"id": "0", "status": 200, "body": {"value": [{"id": UNKNOWN}]}}
    world.between.answer("/$batch", 200, json.dumps({"responses": [item]}))

    with pytest.raises(Unauthorized, match=r"User\.Read\.All and GroupMember\.Read\.All"):
        world.ask(world.source.members([UNKNOWN]))


# Expired positions


@pytest.mark.parametrize("shape", ["gone", "sync-state-not-found", "too-old"])
@pytest.mark.parametrize("kind", ["user", "group"])
def test_an_expired_delta_link_is_told_apart_in_all_its_shapes(world: World, shape: str, kind: str) -> None:
    _, link = world.round(kind)
    world.tenant.behaviour.faults.add(ExpireDelta(shape), f"GET /{kind}s/delta")

    with pytest.raises(CursorExpired, match="request-id"):
        world.ask(world.source.delta(kind, link))


def test_an_expired_page_of_delta_and_of_assignments(world: World) -> None:
    for _ in range(1000):
        world.tenant.assign(world.tenant.add_user())
    delta = read(world).next_link
    assignments = world.ask(world.source.assignments(None)).next_link
    world.tenant.behaviour.faults.add(ExpirePage(), DELTA)
    world.tenant.behaviour.page_token_lifetime = -1.0

    with pytest.raises(CursorExpired):
        world.ask(world.source.delta("user", delta))
    with pytest.raises(CursorExpired):
        world.ask(world.source.assignments(assignments))


def test_a_page_that_expires_inside_a_read_of_ours_is_not_a_lost_cursor(world: World) -> None:
    group = world.tenant.add_group(members=[world.tenant.add_user() for _ in range(1000)])
    world.tenant.behaviour.page_token_lifetime = -1.0

    with pytest.raises(Unavailable, match="read again later"):
        world.ask(world.source.members([group]))


@pytest.mark.parametrize(
    ("status", "code"),
    [(410, "resyncRequired"), (400, "Request_UnsupportedQuery"), (400, "syncStateNotFound"), (410, "")],
)
def test_without_a_token_in_the_request_nothing_has_expired(world: World, status: int, code: str) -> None:
    error = json.dumps({"error": {"code": code, "message": "DeltaLink older than 30 days is not supported."}})
    world.between.answer("/users/delta()", status, error)
    with pytest.raises(Unavailable):
        read(world)

    world.between.answer("/users/delta", status, error)
    with pytest.raises(Unavailable):
        world.ask(world.source.latest_link("user"))


@pytest.mark.parametrize("status", [401, 403, 429, 503])
def test_other_failures_with_a_delta_link_keep_the_link(world: World, status: int) -> None:
    _, link = world.round("user")
    world.between.answer("/users/delta()", status, '{"error":{"code":"syncStateNotFound","message":""}}', times=4)

    with pytest.raises(Unavailable):
        world.ask(world.source.delta("user", link))


def test_a_source_attribute_that_graph_does_not_know_is_named_as_the_likely_cause(world: World) -> None:
    with pytest.raises(Unavailable, match="a source attribute of the mappings"):
        world.ask(world.adapter(users=("shoeSize",)).delta("user", None))
    with pytest.raises(Unavailable, match=r"501 NotImplemented.*a source attribute of the mappings"):
        world.ask(world.adapter(users=("skills",)).delta("user", None))


# Answers that are none


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (410, '{"value": [], "@odata.deltaLink": "x"}'),
        (200, "<html><title>Sign in to the proxy</title></html>"),
        (200, '{"value": [{"id": "11111111-22'),
        (200, ""),
        (204, ""),
        (200, "[]"),
        (200, "null"),
        (200, '{"@odata.deltaLink": "http://127.0.0.1:7101/v1.0/users/delta?$deltatoken=x"}'),
        (200, '{"value": null, "@odata.deltaLink": "http://127.0.0.1:7101/v1.0/users/delta?$deltatoken=x"}'),
        (200, '{"value": [1], "@odata.deltaLink": "http://127.0.0.1:7101/v1.0/users/delta?$deltatoken=x"}'),
        (200, '{"value": [{"displayName": "no id"}], "@odata.deltaLink": "x"}'),
        (200, '{"value": []}'),
        (404, "<html>nothing here</html>"),
        (418, "{}"),
    ],
)
def test_nothing_looks_like_an_empty_page_that_is_not_one(world: World, status: int, body: str) -> None:
    world.between.answer("/users/delta()", status, body)

    with pytest.raises(Unavailable):
        read(world)


@pytest.mark.parametrize("body", ["<html>nothing here</html>", "{}", '{"error":{"code":"UnknownError","message":""}}'])
def test_only_graphs_own_code_proves_that_something_is_not_there(world: World, body: str) -> None:
    world.between.answer(world.tenant.service_principal_id, 404, body)

    with pytest.raises(Unavailable, match="404"):
        world.ask(world.source.service_principal())


@pytest.mark.parametrize(
    "item",
    [
        {"status": 404, "body": "PGh0bWw+"},
        {"status": 404, "body": {"error": {"code": "UnknownError"}}},
        {"status": 404},
        {"status": 200, "body": "PGh0bWw+"},
        {"status": 200},
        {"status": 403, "body": {"error": {"code": "Authorization_RequestDenied"}}},
        {"body": {"value": []}},
    ],
)
def test_only_graphs_own_code_proves_it_inside_a_batch_too(world: World, item: dict) -> None:
    world.between.answer("/$batch", 200, json.dumps({"responses": [{"id": "0"} | item]}), times=5)

    with pytest.raises(Unavailable):
        world.ask(world.source.deleted("user", [UNKNOWN]))


@pytest.mark.parametrize("body", ['{"responses": []}', '{"responses": null}', "{}", '{"responses": [7]}'])
def test_a_batch_that_leaves_out_answers_is_a_fault(world: World, body: str) -> None:
    world.between.answer("/$batch", 200, body)

    with pytest.raises(Unavailable, match="left out 1 of 1 answers"):
        world.ask(world.source.are_members([(UNKNOWN, UNKNOWN)]))


# Other hosts


@pytest.mark.parametrize("name", ["@odata.nextLink", "@odata.deltaLink"])
@pytest.mark.parametrize(
    "link",
    [
        "https://graph.evil.example/v1.0/users/delta?$skiptoken=x",
        "https://127.0.0.1:7101/v1.0/users/delta?$skiptoken=x",
        "http://127.0.0.1:7102/v1.0/users/delta?$skiptoken=x",
        "http://127.0.0.1:7101@graph.evil.example/v1.0/users/delta?$skiptoken=x",
        "http://127.0.0.1:7101/other",
        "/users/delta?$skiptoken=x",
    ],
)
def test_a_link_to_another_place_is_not_followed(world: World, name: str, link: str) -> None:
    world.between.answer("/users/delta()", 200, json.dumps({"value": [], name: link}))
    page = read(world)

    with pytest.raises(Unavailable, match="not followed, because our token would go there"):
        world.ask(world.source.delta("user", page.next_link or page.delta_link))
    assert len(world.between.asked) == 1


def test_a_link_to_another_place_is_not_followed_inside_a_batch_either(world: World) -> None:
    body = {"value": [], "@odata.nextLink": "https://graph.evil.example/v1.0/groups/x/members?$skiptoken=x"}
    world.between.answer("/$batch", 200, json.dumps({"responses": [{"id": "0", "status": 200, "body": body}]}))

    with pytest.raises(Unavailable, match="not followed"):
        world.ask(world.source.members([UNKNOWN]))
    assert len(world.between.asked) == 1


def test_a_redirect_is_not_followed(world: World) -> None:
    world.between.answer("/users/delta()", 302, "", Location="https://login.evil.example/")

    with pytest.raises(Unavailable, match=r"redirects changes of users to login\.evil\.example .*GRAPH_BASE_URL"):
        read(world)
    assert len(world.between.asked) == 1


# Batches


def test_a_throttled_item_is_asked_again_after_the_longest_pause(world: World) -> None:
    users = [world.tenant.add_user() for _ in range(60)]
    world.tenant.behaviour.faults.add(Throttle("3"), USERS)
    world.tenant.behaviour.faults.add(Throttle("8"), USERS)

    found = world.ask(world.source.users(users))

    assert found.keys() == set(users)
    assert world.naps == [8.0]
    assert world.tenant.counts["POST /$batch"] == 2
    assert world.tenant.counts[USERS] == 4 + 2


def test_an_item_that_stays_throttled_says_when_to_come_back(world: World) -> None:
    world.tenant.behaviour.faults.add(Throttle("3"), USERS, times=99)

    with pytest.raises(Throttled, match="request-id") as failure:
        world.ask(world.source.users([UNKNOWN]))
    assert failure.value.retry_after == 3.0
    assert world.naps == [3.0] * 4


def test_an_item_with_a_long_pause_is_not_waited_for(world: World) -> None:
    world.tenant.behaviour.faults.add(Throttle("600"), USERS)

    with pytest.raises(Throttled) as failure:
        world.ask(world.source.users([UNKNOWN]))
    assert failure.value.retry_after == 600.0
    assert world.naps == []


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_an_item_that_fails_in_passing_is_asked_again(world: World, status: int) -> None:
    user = world.tenant.add_user()
    world.tenant.behaviour.faults.add(Fail(status), USERS, times=4)
    assert world.ask(world.source.users([user])).keys() == {user}

    world.tenant.behaviour.faults.add(Fail(status), USERS, times=5)
    with pytest.raises(Unavailable, match=str(status)):
        world.ask(world.source.users([user]))


def test_a_connection_that_breaks_inside_a_batch_is_tried_again(world: World) -> None:
    user = world.tenant.add_user()
    world.tenant.behaviour.faults.add(ResetConnection(), USERS)

    assert world.ask(world.source.users([user])).keys() == {user}


def test_a_proof_that_fails_raises_and_never_says_no(world: World) -> None:
    user, group = world.tenant.add_user(), world.tenant.add_group()
    world.tenant.assign(user)
    asks = {
        "batch: GET /groups/{id}/members": lambda: world.source.are_members([(group, user)]),
        "batch: GET /directory/deletedItems/{id}": lambda: world.source.deleted("user", [user]),
        "batch: GET /users/{id}": lambda: world.source.grants("user", [user]),
        "GET /servicePrincipals/{id}/appRoleAssignedTo": lambda: world.source.grants("user", [user]),
    }
    for kind, ask in asks.items():
        for status in (403, 500):
            world.tenant.behaviour.faults.add(Fail(status), kind, times=20)
            with pytest.raises(Unavailable):
                world.ask(ask())
            world.tenant.behaviour.faults.clear()


# What goes into requests and errors


def test_each_request_carries_an_id_of_our_own(world: World) -> None:
    world.ask(world.source.users([world.tenant.add_user()]))
    read(world)
    read(world)

    ids = [request.headers["client-request-id"] for request in world.between.asked]
    assert len(set(ids)) == len(ids) == 3


def test_errors_hold_neither_names_nor_queries(world: World) -> None:
    world.tenant.behaviour.faults.add(Fail(403), "GET /users")

    with pytest.raises(Unauthorized) as failure:
        world.ask(world.source.find("user", "lovelace@contoso.com"))
    assert "lovelace" not in str(failure.value)
    assert "$" not in str(failure.value)


# Addresses


@pytest.mark.parametrize(
    "base_url", ["", "graph.microsoft.com", "ftp://graph.microsoft.com", "https://", "http://graph.microsoft.com/v1.0"]
)
def test_an_address_that_cannot_be_right_is_refused(base_url: str) -> None:
    with pytest.raises(ConfigError, match="GRAPH_BASE_URL"):
        GraphSession(base_url, StaticToken("x"))


def test_a_static_token_never_leaves_this_machine() -> None:
    with pytest.raises(ConfigError, match=r"GRAPH_ACCESS_TOKEN .* this machine only"):
        GraphSession("https://graph.microsoft.com/v1.0", StaticToken("x"))


@pytest.mark.parametrize(
    ("base_url", "root", "host"),
    [
        ("https://127.0.0.1", "https://127.0.0.1/v1.0", "https://127.0.0.1"),
        ("http://localhost:7101/v1.0/", "http://localhost:7101/v1.0", "http://localhost:7101"),
        ("http://[::1]:7101/beta", "http://[::1]:7101/beta", "http://[::1]:7101"),
    ],
)
def test_the_version_may_be_left_out_of_the_address(
    runner: asyncio.Runner, base_url: str, root: str, host: str
) -> None:
    session = GraphSession(base_url, StaticToken("x"))

    assert session.root == root
    assert graph_host(base_url) == host
    runner.run(session.aclose())
