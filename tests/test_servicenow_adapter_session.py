"""How the adapter reaches an instance and logs in, and what it says when it cannot."""

from __future__ import annotations

import asyncio
import socket
from urllib.parse import parse_qs

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from provisioning.adapters.servicenow import ServiceNowSession, ServiceNowTarget, credentials
from provisioning.adapters.servicenow.auth import OAuth
from provisioning.adapters.servicenow.faults import ReplyLost
from provisioning.adapters.servicenow.session import instance_url
from provisioning.errors import ConfigError, Unauthorized, Unavailable
from provisioning.model import DeleteRecord, InsertRecord
from tests.emulators.servicenow import CLIENT_ID, CLIENT_SECRET, INTEGRATION_USER
from tests.servicenow_world import World

SECRET = "hunter2-do-not-print"
JWT = {"client_id": "c", "client_secret": SECRET, "username": "u"}


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("contoso", "https://contoso.service-now.com/"),
        (" Contoso-Dev ", "https://contoso-dev.service-now.com/"),
        ("dev12345.service-now.com", "https://dev12345.service-now.com/"),
        ("https://snow.contoso.com/", "https://snow.contoso.com/"),
        ("https://snow.contoso.com:8443", "https://snow.contoso.com:8443/"),
        ("http://127.0.0.1:7102", "http://127.0.0.1:7102/"),
        ("http://localhost:7102/", "http://localhost:7102/"),
        ("http://[::1]:7102", "http://[::1]:7102/"),
    ],
)
def test_an_instance_is_a_name_or_an_address(given, url):
    assert str(instance_url(given)) == url


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("", "empty"),
        ("http://contoso.service-now.com", "https"),
        ("http://127.0.0.1.evil.example", "https"),
        ("ftp://contoso.service-now.com", "https"),
        ("https://contoso.service-now.com/api/now", "path"),
        ("https://contoso.service-now.com/?x=1", "query"),
        ("https://contoso.service-now.com/#top", "query"),
        (f"https://admin:{SECRET}@contoso.service-now.com", "user or password"),
        ("https://", "host"),
        ("https://bad host", "SERVICENOW"),
        ("https://[::1", "SERVICENOW"),
    ],
)
def test_an_instance_that_cannot_be_used_is_refused_with_the_way_out_on_one_line(given, reason):
    with pytest.raises(ConfigError, match=reason) as raised:
        instance_url(given)
    assert "SERVICENOW_INSTANCE" in str(raised.value)
    assert "https://contoso.service-now.com" in str(raised.value)
    assert "\n" not in str(raised.value)
    assert SECRET not in str(raised.value)


@pytest.mark.parametrize(
    ("kind", "settings", "reason"),
    [
        ("basic", {"username": "u"}, "SERVICENOW_PASSWORD"),
        ("basic", {"username": "u", "password": SECRET + "\n"}, "SERVICENOW_PASSWORD"),
        ("oauth-client-credentials", {"client_id": "c"}, "SERVICENOW_CLIENT_SECRET"),
        ("api-key", {"api_key": SECRET + "ü"}, "SERVICENOW_API_KEY"),
        ("oauth-jwt", JWT, "SERVICENOW_CLIENT_CERTIFICATE_PATH"),
        ("oauth-jwt", {**JWT, "client_certificate_path": "/no/such/key.pem"}, "/no/such/key.pem"),
        ("oauth-jwt", {**JWT, "client_certificate_path": __file__}, "PEM file"),
        ("kerberos", {}, "oauth-client-credentials"),
    ],
)
def test_a_login_that_lacks_a_setting_names_it_and_never_its_value(kind, settings, reason):
    with pytest.raises(ConfigError, match=reason) as raised:
        credentials(kind, **settings)
    assert SECRET not in str(raised.value)


@pytest.fixture(scope="session", params=["rsa", "P-256", "P-384", "P-521"])
def signing_key(request, tmp_path_factory):
    """A private key in a file, and the public one that is registered with the instance."""
    curves = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1(), "P-521": ec.SECP521R1()}
    if request.param == "rsa":
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    else:
        key = ec.generate_private_key(curves[request.param])
    plain = serialization.NoEncryption()
    path = tmp_path_factory.mktemp("keys") / "key.pem"
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return str(path), public.decode()


def jwt_login(world, signing_key):
    path, public = signing_key
    world.instance.accounts.add_client("jwt-client", CLIENT_SECRET, public_key=public)
    named = {"username": INTEGRATION_USER, "client_certificate_path": path, "jwt_key_id": "k1"}
    return {"client_id": "jwt-client", "client_secret": CLIENT_SECRET, **named}


def test_a_signed_assertion_lets_us_in_and_each_token_takes_a_new_one(runner, signing_key):
    world = World(runner)
    target = ServiceNowTarget(world.another_session(credentials("oauth-jwt", **jwt_login(world, signing_key))))
    assert world.check(target).capabilities is not None
    world.instance.accounts.revoke_tokens()
    assert world.do(target.read("sys_user", ["a" * 32], [])) == {}
    bodies = [parse_qs(r.content.decode()) for r in world.wire.requests if r.url.path == "/oauth_token.do"]
    assertions = [body["assertion"][0] for body in bodies]
    assert len(assertions) == len(set(assertions)) == 2
    assert jwt.get_unverified_header(assertions[0])["kid"] == "k1"


def test_an_assertion_that_the_instance_does_not_take_is_told_with_the_way_out(runner, signing_key):
    world = World(runner)
    login = {**jwt_login(world, signing_key), "username": "nobody.here"}
    target = ServiceNowTarget(world.another_session(credentials("oauth-jwt", **login)))
    with pytest.raises(Unauthorized, match="JWT key") as raised:
        world.do(target.read("sys_user", ["a" * 32], []))
    assert CLIENT_SECRET not in str(raised.value)


def logins(world):
    world.instance.accounts.passwords["svc"] = "pw"
    world.instance.insert("sys_user", {"user_name": "svc"})
    world.instance.accounts.api_keys["the-key"] = INTEGRATION_USER
    oauth = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
    return {
        "basic": {"username": "admin", "password": "admin"},
        "api-key": {"api_key": "the-key"},
        "oauth-client-credentials": oauth,
        "oauth-password": {**oauth, "username": "svc", "password": "pw"},
    }


@pytest.mark.parametrize("kind", ["basic", "api-key", "oauth-client-credentials", "oauth-password"])
def test_every_kind_of_login_lets_us_in(runner, kind):
    world = World(runner)
    session = world.another_session(credentials(kind, **logins(world)[kind]))
    assert world.check(ServiceNowTarget(session)).capabilities is not None


@pytest.mark.parametrize("kind", ["basic", "api-key", "oauth-client-credentials", "oauth-password"])
def test_wrong_credentials_are_told_without_the_secret_and_not_tried_on_and_on(runner, kind):
    world = World(runner)
    wrong = {**logins(world)[kind]}
    wrong[list(wrong)[-1]] = SECRET
    target = ServiceNowTarget(world.another_session(credentials(kind, **wrong), slots=4))

    async def many():
        reads = [target.read("sys_user", ["a" * 32], []) for _ in range(8)]
        return await asyncio.gather(*reads, return_exceptions=True)

    errors = world.do(many())
    assert {type(error) for error in errors} == {Unauthorized}
    assert {error.code for error in errors} == {"ServiceNowCredentialsValidation"}
    assert SECRET not in str(errors)
    assert "contoso.service-now.com" in str(errors[0])
    assert len(world.wire.requests) <= 2
    failed = world.check(target).findings[-1]
    assert (failed.what, failed.verdict) == ("credentials", "failed")


def test_a_password_that_changes_while_we_work_is_not_tried_until_the_account_locks(runner):
    world = World(runner)
    login = credentials("basic", username="admin", password="admin")
    target = ServiceNowTarget(world.another_session(login))
    world.do(target.dictionary())
    world.instance.capacity.set_times(request=0.002)
    world.instance.accounts.passwords["admin"] = "another"

    async def many():
        reads = [target.read("sys_user", ["a" * 32], []) for _ in range(20)]
        return await asyncio.gather(*reads, return_exceptions=True)

    assert {type(error) for error in world.do(many())} == {Unauthorized}
    assert world.instance.statuses[401] <= 3


def test_trap_11_a_right_password_that_may_not_log_in_interactively_says_so(runner):
    world = World(runner)
    world.instance.switches.basic_auth = "web_service_only"
    target = ServiceNowTarget(world.another_session(credentials("basic", username="admin", password="admin")))
    with pytest.raises(Unauthorized, match="interactive"):
        world.do(target.dictionary())


def test_many_requests_share_one_token_and_it_is_renewed_before_it_ends(runner):
    world = World(runner)
    form = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
    auth = OAuth("client_credentials", form, now=lambda: world.time)
    target = ServiceNowTarget(world.another_session(auth, slots=4))

    async def many():
        await asyncio.gather(*(target.read("sys_user", ["a" * 32], []) for _ in range(8)))

    world.do(many())
    assert world.instance.counts["POST token"] == 1
    world.time += 1735
    world.do(many())
    assert world.instance.counts["POST token"] == 1
    world.time += 10
    world.do(many())
    assert world.instance.counts["POST token"] == 2
    assert world.instance.statuses[401] == 0


@pytest.mark.parametrize("kind", ["basic", "oauth-client-credentials"])
def test_a_401_in_passing_is_tried_once_more(runner, kind):
    world = World(runner)
    target = ServiceNowTarget(world.another_session(credentials(kind, **logins(world)[kind])))
    world.do(target.dictionary())
    world.instance.faults.add("POST batch", "unauthorized", times=1)
    assert world.do(target.find("sys_user", "user_name", ["admin"], []))
    world.instance.faults.add("POST batch", "unauthorized", times=2)
    with pytest.raises(Unauthorized):
        world.do(target.find("sys_user", "user_name", ["admin"], []))


def test_a_token_that_was_revoked_is_asked_for_anew(runner):
    world = World(runner)
    world.find("sys_user", "user_name", ["admin"])
    world.instance.accounts.revoke_tokens()
    assert world.find("sys_user", "user_name", ["admin"])
    assert world.instance.counts["POST token"] == 2


def test_a_token_request_says_everything_in_its_form_and_nothing_in_its_address(runner):
    world = World(runner)
    world.find("sys_user", "user_name", ["admin"])
    token = world.wire.requests[0]
    assert token.url.path == "/oauth_token.do"
    assert not token.url.query
    assert token.headers["content-type"] == "application/x-www-form-urlencoded"
    assert "authorization" not in token.headers
    assert all(request.headers["accept"] == "application/json" for request in world.wire.requests)


def test_a_token_endpoint_that_hibernates_is_no_wrong_password(runner):
    world = World(runner)
    world.instance.faults.add("POST token", "hibernating")
    with pytest.raises(Unavailable, match="hibernates") as raised:
        world.find("sys_user", "user_name", ["admin"])
    assert not isinstance(raised.value, Unauthorized)


def test_a_redirection_is_not_followed_and_only_its_host_is_named(runner):
    world = World(runner)
    location = f"https://login.example/sso?token={SECRET}"
    world.wire.meddle = lambda _request: httpx.Response(302, headers={"Location": location})
    with pytest.raises(Unavailable, match=r"login\.example") as raised:
        world.find("sys_user", "user_name", ["admin"])
    assert SECRET not in str(raised.value)
    assert {request.url.host for request in world.wire.requests} == {"contoso.service-now.com"}


ELSEWHERE = {
    "the same host": "https://contoso.service-now.com/api/now/v2/batch",
    "a path": "/login.do",
    "another host": "https://evil.example/api/now/v1/batch",
    "a host that looks like ours": "https://contoso.service-now.com.evil.example/",
    "plain http": "http://contoso.service-now.com/api/now/v1/batch",
    "nonsense": "https://[::1",
}


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("location", ELSEWHERE.values(), ids=ELSEWHERE)
@pytest.mark.parametrize("of", ["/oauth_token.do", "/api/now/v1/batch"])
def test_no_redirection_of_any_kind_is_followed_with_credentials_or_without(runner, status, location, of):
    world = World(runner)

    def redirect(request):
        return httpx.Response(status, headers={"Location": location}) if request.url.path == of else request

    world.wire.meddle = redirect
    with pytest.raises(Unavailable) as raised:
        world.find("sys_user", "user_name", ["admin"])
    assert CLIENT_SECRET not in str(raised.value)
    asked = [(request.url.scheme, request.url.host, request.url.path) for request in world.wire.requests]
    ours = ("https", "contoso.service-now.com")
    assert asked == [(*ours, "/oauth_token.do"), (*ours, "/api/now/v1/batch")][: 1 if of == "/oauth_token.do" else 2]


@pytest.mark.parametrize("kind", ["basic", "api-key", "oauth-client-credentials", "oauth-password"])
@pytest.mark.parametrize(
    "path", ["https://evil.example/api/now/table/sys_user", "//evil.example/x", "http://contoso.service-now.com/x"]
)
def test_credentials_go_to_no_other_address_whoever_asks(runner, kind, path):
    world = World(runner)
    session = world.another_session(credentials(kind, **logins(world)[kind]))
    with pytest.raises(Unavailable, match="not sent"):
        world.do(session.get(path))
    assert world.wire.requests == []


@pytest.mark.parametrize("kind", ["basic", "api-key", "oauth-client-credentials", "oauth-password"])
def test_no_cookie_is_ever_sent_whatever_the_login_and_whatever_is_set(runner, kind):
    world = World(runner)
    target = ServiceNowTarget(world.another_session(credentials(kind, **logins(world)[kind])))
    world.do(target.dictionary())
    world.instance.faults.add("POST batch", "unauthorized", times=1)
    world.do(target.find("sys_user", "user_name", ["admin"], []))
    world.do(target.write([DeleteRecord("d", "sys_user", "e" * 32)]))
    assert len(world.wire.requests) > 4
    assert not any("cookie" in request.headers for request in world.wire.requests)


@pytest.mark.parametrize("kind", ["oauth-client-credentials", "oauth-password"])
def test_a_secret_is_in_the_form_of_a_token_request_and_in_no_other_request(runner, kind):
    world = World(runner)
    target = ServiceNowTarget(world.another_session(credentials(kind, **logins(world)[kind])))
    world.do(target.find("sys_user", "user_name", ["admin"], []))
    for request in world.wire.requests:
        sent = f"{request.url} {dict(request.headers)} {request.content.decode()}"
        assert (CLIENT_SECRET in sent) == (request.url.path == "/oauth_token.do")


@pytest.mark.parametrize("kind", ["basic", "oauth-client-credentials"])
def test_a_401_that_lasts_is_answered_with_two_attempts_and_no_more(runner, kind):
    world = World(runner)
    world.instance.switches.lock_out_after = 5
    target = ServiceNowTarget(world.another_session(credentials(kind, **logins(world)[kind])))
    world.do(target.dictionary())
    world.instance.faults.add("POST batch", "unauthorized", times=None)
    for call in (target.find("sys_user", "user_name", ["admin"], []), target.write([DeleteRecord("d", "t", "e")])):
        with world.counted() as asked, pytest.raises(Unauthorized):
            world.do(call)
        assert asked.get("POST batch", 0) <= 2
        assert asked.get("POST token", 0) <= 2


@pytest.mark.parametrize("effect", ["refused_connection", "status", "html", "dropped_session"])
def test_where_no_token_comes_nothing_was_written_for_certain(runner, effect):
    world = World(runner)
    world.instance.faults.add("POST token", effect, status=503, times=None)
    with pytest.raises(Unavailable) as raised:
        world.write(InsertRecord("w", "sys_user", "a" * 32, {"user_name": "ada"}))
    assert not isinstance(raised.value, ReplyLost)
    assert world.instance.counts["POST batch"] == 0


def test_a_host_that_does_not_exist_is_an_invalid_instance(runner):
    world = World(runner)

    def unknown(request):
        error = httpx.ConnectError("failed", request=request)
        raise error from socket.gaierror(-2, "Name or service not known")

    world.wire.meddle = unknown
    with pytest.raises(Unavailable, match="no such host") as raised:
        world.find("sys_user", "user_name", ["admin"])
    assert raised.value.code == "ServiceNowInstanceInvalid"
    assert "contoso.service-now.com" in str(raised.value)


def test_an_answer_that_does_not_come_is_a_timeout(runner):
    world = World(runner)

    def silent(request):
        raise httpx.ReadTimeout("late", request=request)

    world.wire.meddle = silent
    with pytest.raises(Unavailable) as raised:
        world.find("sys_user", "user_name", ["admin"])
    assert raised.value.code == "Timeout"


def test_a_secret_shows_in_no_representation():
    auth = credentials("oauth-client-credentials", client_id="c", client_secret=SECRET)
    session = ServiceNowSession("contoso", auth)
    shown = [repr(each) for each in (auth, session, credentials("api-key", api_key=SECRET))]
    assert SECRET not in str(shown)
    asyncio.run(session.aclose())
