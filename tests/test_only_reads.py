"""What a dry run and `check` let through to either side: an allow-list of reads, told by what a request really says."""

from __future__ import annotations

import asyncio
import json

import httpx
import pytest

from provisioning.adapters.graph import OnlyReads
from provisioning.adapters.http import ReadOnlyTransport
from provisioning.adapters.servicenow import batch
from provisioning.adapters.servicenow.reads import changes_nothing, is_read
from provisioning.app import open_app
from provisioning.config import Settings
from provisioning.errors import WriteForbidden
from provisioning.model import DeleteRecord
from tests.test_config import GOOD

SN = "https://contoso.service-now.com"
USERS = "/api/now/table/sys_user"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
JSON = {"Content-Type": "application/json"}


def get(path: str, **more) -> httpx.Request:
    return httpx.Request("GET", SN + path, **more)


def post(content: bytes, path: str = batch.PATH, headers=JSON) -> httpx.Request:
    return httpx.Request("POST", SN + path, content=content, headers=headers)


def items(*given: dict, **beside) -> bytes:
    """A batch in any spelling; ours is `batch.encode`."""
    return json.dumps({"batch_request_id": "1", "rest_requests": list(given), **beside}).encode()


def ours(*urls: str) -> bytes:
    return batch.encode(1, [batch.read(at, url) for at, url in enumerate(urls)])


@pytest.mark.parametrize(
    "request_",
    [
        get(USERS),
        get(f"{USERS}?sysparm_query=user_name%3Dada%40contoso.com&sysparm_limit=1"),
        get(f"{USERS}/{'a' * 32}?sysparm_fields=sys_id"),
        get(f"{USERS}/glean_user.role-1"),
        get("/api/now/stats/sys_user?sysparm_count=true"),
        get("/api/now/ui/meta/sys_user"),
        post(ours(USERS)),
        post(ours(f"{USERS}?sysparm_query=a%3Db", "/api/now/stats/sys_user_group")),
    ],
)
def test_reads_of_servicenow_pass(request_):
    assert is_read(request_)
    assert changes_nothing(request_)


def test_the_request_for_a_token_passes_and_is_not_sent_twice():
    token = httpx.Request("POST", f"{SN}/oauth_token.do", data={"grant_type": "client_credentials", "client_id": "c"})
    assert changes_nothing(token)
    assert not is_read(token)


WRITES = {
    "a method override": get(USERS, headers={"X-HTTP-Method-Override": "DELETE"}),
    "an override in another case": get(USERS, headers={"x-http-METHOD-override": "PATCH"}),
    "another header for overrides": get(USERS, headers={"X-Method-Override": "PATCH"}),
    "a read with a body": httpx.Request("GET", SN + USERS, content=b"{}"),
    "HEAD": httpx.Request("HEAD", SN + USERS),
    "OPTIONS": httpx.Request("OPTIONS", SN + USERS),
    "a scripted API": get("/api/x_acme/users/purge?sysparm_query=active%3Dfalse"),
    "a processor": get("/sys_user.do?sysparm_action=deleteMultiple"),
    "the root": get("/"),
    "a page below a table": get(f"{USERS}/{'a' * 32}/delete"),
    "import sets": get("/api/now/import/u_staging"),
    "tables in another spelling": get("/api/now/table/sys_user%2F..%2F..%2Fx_acme"),
    "a step up": httpx.Request("GET", httpx.URL(SN).copy_with(raw_path=b"/api/now/table/..")),
    "a step up, escaped": get("/api/now/table/%2e%2e/purge"),
    "a double slash": get("//api/now/table/sys_user"),
    "a path before the API": get("/x_acme/api/now/table/sys_user"),
    "POST of a record": httpx.Request("POST", SN + USERS, json={"user_name": "ada"}),
    "PATCH": httpx.Request("PATCH", f"{SN}{USERS}/{'a' * 32}", json={"title": "x"}),
    "PUT": httpx.Request("PUT", f"{SN}{USERS}/{'a' * 32}", json={"title": "x"}),
    "DELETE": httpx.Request("DELETE", f"{SN}{USERS}/{'a' * 32}"),
    "DELETE, spelt by a careless caller": httpx.Request("dElEtE", f"{SN}{USERS}/{'a' * 32}"),
    "a batch below another path": post(ours(USERS), "/foo/api/now/v1/batch"),
    "a batch above another path": post(ours(USERS), "/api/now/v1/batch/x"),
    "a batch with a query": post(ours(USERS), "/api/now/v1/batch?x=1"),
    "a batch of another version": post(ours(USERS), "/api/now/v2/batch"),
    "a batch that is overridden": post(ours(USERS), headers={**JSON, "X-HTTP-Method-Override": "PUT"}),
    "a batch that is no JSON": post(b"not json"),
    "a batch that is a list": post(b"[]"),
    "a batch of nothing": post(ours()),
    "an empty body": post(b""),
    "a batch that nests too deep": post(b'{"rest_requests":' + b"[" * 100_000),
    "a batch with a write": post(batch.encode(1, [batch.read(0, USERS), batch.change(1, "DELETE", f"{USERS}/a")])),
    "a batch with a record": post(batch.encode(1, [batch.change(0, "GET", USERS, {"user_name": "ada"})])),
    "an item without a method": post(items({"id": "1", "url": USERS})),
    "an item's method in small letters": post(ours(USERS).replace(b'"GET"', b'"get"')),
    "an item's method with blanks": post(ours(USERS).replace(b'"GET"', b'"GET "')),
    "an item's override": post(
        ours(USERS).replace(b'{"name":"Accept"', b'{"name":"X-HTTP-Method-Override","value":"DELETE"},{"name":"Accept"')
    ),
    "an item with a method twice": post(ours(USERS).replace(b'"method":"GET"', b'"method":"DELETE","method":"GET"')),
    "a second list of items": post(ours(USERS).replace(b"{", b'{"rest_requests":[{"id":"9","method":"DELETE"}],', 1)),
    "names that we do not write": post(items({"id": "1", "method": "GET", "url": USERS, "redirect": "/x"})),
    "an item that is another batch": post(ours("/api/now/v1/batch")),
    "an item that asks for a token": post(ours("/oauth_token.do?grant_type=password")),
    "an item of a scripted API": post(ours("/api/x_acme/users/purge")),
    "an item of another host": post(ours("https://evil.example/api/now/table/sys_user")),
    "an item without a slash": post(ours("api/now/table/sys_user")),
    "an item that steps up": post(ours("/api/now/table/../../x_acme/purge")),
    "a token in the address": httpx.Request("POST", f"{SN}/oauth_token.do?grant_type=password", headers=FORM),
    "a token request that is no form": post(b'{"grant_type":"password"}', "/oauth_token.do"),
    "a token request without a grant": post(b"a=b", "/oauth_token.do", FORM),
    "a token by GET": get("/oauth_token.do"),
    "a token below another path": post(b"grant_type=password", "/x/oauth_token.do", FORM),
    "the end of a token": post(b"token=abc", "/oauth_revoke_token.do", FORM),
}


@pytest.mark.parametrize("request_", WRITES.values(), ids=WRITES)
def test_nothing_else_passes_to_servicenow(request_):
    assert not is_read(request_)
    assert not changes_nothing(request_)


def test_a_body_that_is_still_to_come_is_not_trusted():
    async def stream():
        yield ours(USERS)

    assert not changes_nothing(httpx.Request("POST", SN + batch.PATH, content=stream()))
    assert not OnlyReads(GRAPH)(httpx.Request("POST", f"{GRAPH}/$batch", content=stream()))


GRAPH = "https://graph.microsoft.com/v1.0"


def gets(*urls: str) -> dict:
    return {"requests": [{"id": str(at), "method": "GET", "url": url} for at, url in enumerate(urls)]}


def asks(method: str, path: str, **more) -> httpx.Request:
    return httpx.Request(method, path if "://" in path else GRAPH + path, **more)


@pytest.mark.parametrize(
    "request_",
    [
        asks("GET", "/users/delta?$select=id&$deltatoken=latest"),
        asks("GET", "/users/a%2Fb@contoso.com"),
        asks("POST", "/$batch", json=gets("/users?$filter=id%20in%20('a','b')", "/groups/a/members?$top=999")),
        asks("POST", "/$batch", json={"requests": [{**gets("/users")["requests"][0], "headers": {"Prefer": "x"}}]}),
    ],
)
def test_reads_of_graph_pass(request_):
    assert OnlyReads(GRAPH)(request_)


def one(**changes) -> dict:
    return {"requests": [{**gets("/users")["requests"][0], **changes}]}


GRAPH_WRITES = {
    "another host": asks("GET", "https://graph.microsoft.com.evil.example/v1.0/users"),
    "another scheme": asks("GET", "http://graph.microsoft.com/v1.0/users"),
    "another version": asks("GET", "https://graph.microsoft.com/beta/users"),
    "a step up": asks("GET", "/users/%2e%2e/%2e%2e/beta/users"),
    "a method override": asks("GET", "/users", headers={"X-HTTP-Method-Override": "DELETE"}),
    "HEAD": asks("HEAD", "/users"),
    "POST": asks("POST", "/users", json={}),
    "PATCH": asks("PATCH", "/users/a", json={}),
    "DELETE": asks("DELETE", "/users/a"),
    "a batch below another path": asks("POST", "/foo/$batch", json=gets("/users")),
    "a batch above another path": asks("POST", "/$batch/users", json=gets("/users")),
    "a batch of another version": asks("POST", "https://graph.microsoft.com/beta/$batch", json=gets("/users")),
    "a batch that is no JSON": asks("POST", "/$batch", content=b"requests"),
    "a batch that is a list": asks("POST", "/$batch", json=[]),
    "a batch of nothing": asks("POST", "/$batch", json={"requests": []}),
    "a batch that nests too deep": asks("POST", "/$batch", content=b'{"requests":' + b"[" * 100_000),
    "more than requests": asks("POST", "/$batch", json={**gets("/users"), "also": []}),
    "an item with POST": asks("POST", "/$batch", json=one(method="POST")),
    "an item's method in small letters": asks("POST", "/$batch", json=one(method="get")),
    "an item without a method": asks("POST", "/$batch", json={"requests": [{"id": "1", "url": "/users"}]}),
    "an item with a body": asks("POST", "/$batch", json=one(body={})),
    "an item's override": asks("POST", "/$batch", json=one(headers={"X-HTTP-Method-Override": "DELETE"})),
    "an item that is a batch": asks("POST", "/$batch", json=one(url="/$batch")),
    "an item of another host": asks("POST", "/$batch", json=one(url="//evil.example/users")),
    "an item with an address": asks("POST", "/$batch", json=one(url="https://evil.example/users")),
    "an item that steps up": asks("POST", "/$batch", json=one(url="/users/../../beta/users")),
    "an item that is a text": asks("POST", "/$batch", json={"requests": ["/users"]}),
    "an item with a method twice": asks(
        "POST", "/$batch", content=b'{"requests":[{"id":"1","method":"DELETE","method":"GET","url":"/users"}]}'
    ),
    "a second list of items": asks(
        "POST",
        "/$batch",
        content=b'{"requests":[{"method":"DELETE","url":"/users/a"}],' + json.dumps(gets("/a")).encode()[1:],
    ),
}


@pytest.mark.parametrize("request_", GRAPH_WRITES.values(), ids=GRAPH_WRITES)
def test_nothing_else_passes_to_graph(request_):
    assert not OnlyReads(GRAPH)(request_)


def test_a_request_that_is_refused_is_never_sent():
    sent = []

    async def talk() -> None:
        inner = httpx.MockTransport(lambda request: sent.append(request) or httpx.Response(200))
        async with httpx.AsyncClient(transport=ReadOnlyTransport(inner, reads=changes_nothing)) as client:
            await client.send(get(USERS))
            with pytest.raises(WriteForbidden, match="POST /api/now/v1/batch"):
                await client.send(WRITES["a batch with a write"])

    asyncio.run(talk())
    assert len(sent) == 1


@pytest.mark.parametrize("mode", ["dry_run", "only_reads"])
def test_what_opens_for_a_dry_run_or_check_cannot_write_to_either_side(tmp_path, mode):
    """The composition root really puts the transports where they belong."""
    sent: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(200, json={"access_token": "t", "expires_in": 1799})

    async def work() -> None:
        graph = {"GRAPH_BASE_URL": "http://127.0.0.1/v1.0", "GRAPH_ACCESS_TOKEN": "t"}
        signed_in = {name: value for name, value in GOOD.items() if name != "ENTRA_CLIENT_SECRET"}
        settings = Settings.load({**signed_in, **graph, "STATE": f"sqlite:{tmp_path / 'state.db'}"})
        way = httpx.MockTransport(answer)
        app = await open_app(settings, **{mode: True}, graph_transport=way, servicenow_transport=way)
        try:
            with pytest.raises(WriteForbidden):
                await app.target.write([DeleteRecord("d", "sys_user", "a" * 32)])
            with pytest.raises(WriteForbidden):
                await app.source._session._http.delete("http://127.0.0.1/v1.0/users/a")
        finally:
            await app.close()

    asyncio.run(work())
    assert {request.url.path for request in sent} <= {"/oauth_token.do"}
