"""Signing in to Graph with an unchanged msal: what the login host is asked, and what a person is told when it fails."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from provisioning.adapters.graph import (
    ApplicationIdentity,
    Certificate,
    GraphSource,
    ManagedIdentity,
    Secret,
    SignedIn,
    graph_host,
)
from provisioning.errors import ConfigError, Unauthorized, Unavailable
from tests.emulators.graph import CLIENT_SECRET
from tests.graph_world import World

GRAPH = "https://graph.test/v1.0"
LOGIN = "login.test"
WRONG_SECRET = "WrOnG~secret.value"


@pytest.fixture
def world(runner: asyncio.Runner) -> Iterator[World]:
    with World(runner) as made:
        yield made


class LoginHost(httpx.BaseTransport):
    """The emulator for a client that blocks. It keeps the forms that were posted."""

    def __init__(self, world: World) -> None:
        self._app = httpx.ASGITransport(world.between)
        self.forms: list[dict[str, list[str]]] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        assert request.url.host == LOGIN
        if request.method == "POST":
            self.forms.append(parse_qs(request.read().decode()))
        return asyncio.run(self._ask(request))

    async def _ask(self, request: httpx.Request) -> httpx.Response:
        async with httpx.AsyncClient(transport=self._app) as client:
            response = await client.request(
                request.method, request.url, headers=request.headers, content=request.read()
            )
        return httpx.Response(response.status_code, headers=response.headers, content=response.content)


class Says(httpx.BaseTransport):
    """A host that gives one answer, or fails, whatever it is asked."""

    def __init__(self, status: int = 200, body: object = "", *, error: Exception | None = None) -> None:
        self._status = status
        self._body = body if isinstance(body, str) else json.dumps(body)
        self._error = error
        self.asked: list[httpx.Request] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        if self._error is not None:
            raise self._error
        return httpx.Response(self._status, text=self._body)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def application(world: World, *, transport: httpx.BaseTransport, **changes) -> ApplicationIdentity:
    tenant_id = changes.get("tenant_id", world.tenant.tenant_id)
    client_id = changes.get("client_id", world.tenant.app_id)
    return ApplicationIdentity(
        tenant_id,
        client_id,
        changes.get("proof", Secret(CLIENT_SECRET)),
        scope=f"{graph_host(GRAPH)}/.default",
        authority_host=f"https://{LOGIN}",
        transport=transport,
    )


def signed_in(world: World, identity, clock=None) -> GraphSource:
    tokens = SignedIn(identity, clock=clock or Clock())
    return world.adapter(tokens=tokens, base_url=GRAPH, transport=httpx.ASGITransport(world.between))


def read(world: World, source: GraphSource):
    return world.ask(source.delta("user", None))


def test_a_client_secret_opens_graph_with_one_token_for_many_reads(world: World) -> None:
    login = LoginHost(world)
    source = signed_in(world, application(world, transport=login))
    user = world.tenant.add_user()

    assert len(read(world, source).changes) == 1
    assert world.ask(source.users([user])).keys() == {user}

    assert [form["scope"] for form in login.forms] == [["https://graph.test/.default"]]
    assert [form["grant_type"] for form in login.forms] == [["client_credentials"]]


def test_reads_side_by_side_share_one_sign_in(world: World) -> None:
    login = LoginHost(world)
    source = signed_in(world, application(world, transport=login))

    world.ask(source.users([world.tenant.add_user() for _ in range(1500)]))

    assert len(login.forms) == 1


def test_a_token_is_renewed_before_it_ends(world: World) -> None:
    login, clock = LoginHost(world), Clock()
    source = signed_in(world, application(world, transport=login), clock)

    read(world, source)
    clock.now += 3600.0 - 301.0
    read(world, source)
    assert len(login.forms) == 1
    clock.now += 2.0
    read(world, source)
    assert len(login.forms) == 2


def test_a_revoked_token_is_replaced(world: World) -> None:
    login = LoginHost(world)
    source = signed_in(world, application(world, transport=login))
    users = [world.tenant.add_user() for _ in range(1500)]
    read(world, source)
    world.between.app.state.sign_in.revoke()

    assert world.ask(source.users(users)).keys() == set(users)
    assert len(login.forms) == 2


def test_a_claims_challenge_is_passed_on_to_the_login_host(world: World) -> None:
    login = LoginHost(world)
    source = signed_in(world, application(world, transport=login))
    challenge = 'Bearer realm="", error="insufficient_claims", claims="eyJhY2Nlc3NfdG9rZW4iOnsibmJmIjp7fX19"'
    error = '{"error":{"code":"InvalidAuthenticationToken","message":""}}'
    world.between.answer("/users/delta()", 401, error, WWW_Authenticate=challenge)

    read(world, source)

    assert ["claims" in form for form in login.forms] == [False, True]
    assert json.loads(login.forms[1]["claims"][0]) == {"access_token": {"nbf": {}}}


def test_a_certificate_opens_graph_by_a_signed_assertion(world: World, tmp_path: Path) -> None:
    login = LoginHost(world)
    source = signed_in(world, application(world, transport=login, proof=Certificate(_certificate(tmp_path))))

    read(world, source)

    form = login.forms[0]
    assert form["client_assertion_type"] == ["urn:ietf:params:oauth:client-assertion-type:jwt-bearer"]
    assert "client_secret" not in form
    assert "PRIVATE" not in json.dumps(form)


@pytest.mark.parametrize("content", [None, "", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "ü"])
def test_a_certificate_that_cannot_be_used_stops_the_start(world: World, tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "client.pem"
    if content is not None:
        path.write_text(content, encoding="utf-8")

    with pytest.raises(ConfigError, match="ENTRA_CLIENT_CERTIFICATE_PATH"):
        application(world, transport=Says(), proof=Certificate(str(path)))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"proof": Secret(WRONG_SECRET)}, r"AADSTS7000215\): .* put its Value in ENTRA_CLIENT_SECRET"),
        ({"client_id": "11111111-2222-3333-4444-555555555555"}, r"AADSTS700016\): .* check ENTRA_CLIENT_ID"),
        ({"tenant_id": "11111111-2222-3333-4444-555555555555"}, r"no such tenant: .* ENTRA_TENANT_ID"),
    ],
)
def test_a_refusal_names_the_setting_and_the_host_in_one_line(world: World, changes: dict, told: str) -> None:
    source = signed_in(world, application(world, transport=LoginHost(world), **changes))

    with pytest.raises(Unauthorized, match=told) as failure:
        read(world, source)
    assert str(failure.value).startswith(LOGIN)
    assert "\n" not in str(failure.value)
    assert WRONG_SECRET not in str(failure.value)
    assert not [asked for asked in world.between.asked if asked.path.startswith("/v1.0")]


def test_a_refusal_that_nobody_knows_is_told_by_its_number(world: World) -> None:
    world.between.answer(
        "/token", 400, '{"error":"invalid_request","error_description":"AADSTS7654321: For Ada Byron only."}'
    )

    with pytest.raises(Unauthorized, match=r"\(invalid_request, AADSTS7654321\)") as failure:
        read(world, signed_in(world, application(world, transport=LoginHost(world))))
    assert "Ada" not in str(failure.value)


@pytest.mark.parametrize(
    "transport",
    [
        Says(503, "busy"),
        Says(200, "<html>Sign in to the proxy</html>"),
        Says(200, "{}"),
        Says(error=httpx.ConnectError("refused")),
        Says(error=httpx.ConnectTimeout("late")),
    ],
    ids=["unwell", "a proxy", "not a login host", "unreachable", "too slow"],
)
def test_a_login_host_that_does_not_work_is_unavailable(world: World, transport: Says) -> None:
    source = signed_in(world, application(world, transport=transport))

    with pytest.raises(Unavailable, match=LOGIN) as failure:
        read(world, source)
    assert type(failure.value) is Unavailable
    assert "\n" not in str(failure.value)


@pytest.mark.parametrize(
    ("status", "error"),
    [(400, "temporarily_unavailable"), (429, "too_many"), (500, "server_error"), (503, "temporarily_unavailable")],
)
def test_a_token_endpoint_that_is_unwell_is_unavailable(world: World, status: int, error: str) -> None:
    world.between.answer("/token", status, json.dumps({"error": error, "error_codes": [90033]}))

    with pytest.raises(Unavailable, match=LOGIN) as failure:
        read(world, signed_in(world, application(world, transport=LoginHost(world))))
    assert type(failure.value) is Unavailable


@pytest.mark.parametrize("host", ["http://login.test", "https://", "ftp://login.test"])
def test_a_login_host_must_be_reached_by_https(host: str) -> None:
    with pytest.raises(ConfigError, match="ENTRA_AUTHORITY_HOST"):
        ApplicationIdentity("t", "c", Secret("s"), scope="x/.default", authority_host=host)


def test_a_secret_does_not_show_in_what_is_printed() -> None:
    assert CLIENT_SECRET not in repr(Secret(CLIENT_SECRET))


# Managed identities


@pytest.mark.parametrize("client_id", [None, "99999999-2222-3333-4444-555555555555"])
def test_a_managed_identity_asks_its_endpoint_for_graph(world: World, client_id: str | None) -> None:
    endpoint = Says(200, {"access_token": "emulator-access-token", "expires_in": "86400", "token_type": "Bearer"})
    source = signed_in(world, ManagedIdentity(client_id, resource=graph_host(GRAPH), transport=endpoint))

    read(world, source)
    read(world, source)

    assert len(endpoint.asked) == 1
    assert endpoint.asked[0].url.params["resource"] == "https://graph.test"
    assert endpoint.asked[0].url.params.get("client_id") == client_id


@pytest.mark.parametrize(
    ("endpoint", "failure", "told"),
    [
        (Says(400, {"error": "invalid_request", "error_description": "Identity not found"}), Unauthorized, "Identity"),
        (Says(500, {"error": "unknown"}), Unavailable, "HTTP 500"),
        (Says(200, "<html>"), Unavailable, "no readable answer"),
        (Says(error=httpx.ConnectTimeout("late")), Unavailable, "works on Azure only"),
    ],
)
def test_a_managed_identity_without_a_token_says_what_to_do(
    world: World, endpoint: Says, failure: type[Unavailable], told: str
) -> None:
    source = signed_in(world, ManagedIdentity(resource=graph_host(GRAPH), transport=endpoint))

    with pytest.raises(failure, match=told) as raised:
        read(world, source)
    assert type(raised.value) is failure
    assert "\n" not in str(raised.value)


def _certificate(folder: Path) -> str:
    """A PEM file with a new key and its certificate."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "provisioning")])
    start = datetime(2026, 1, 1, tzinfo=UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=3650))
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    plain = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = folder / "client.pem"
    path.write_bytes(plain + certificate.public_bytes(pem))
    return str(path)
