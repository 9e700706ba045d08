"""Who gets in: tokens that Entra has signed for this API and nobody else's, people whom the platform has signed in, and
holders of a key on routes of their own. The tokens are real ones, signed with keys that are made here.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from typing import Any

import jwt
import pytest

from provisioning.access_settings import Access, audiences
from provisioning.api.access import Unproven
from provisioning.api.answers import Refusal, Reply
from provisioning.api.doors import EntraDoor, KeyedDoor, LaptopDoor, SignInFirst
from provisioning.api.responding import respond
from provisioning.api.routing import Request, Role, Route
from provisioning.api.tokens import Expected, trusted, verified
from provisioning.errors import ConfigError, Unavailable
from tests.entra import (
    ADA,
    API,
    CLIENT,
    NOON,
    STRANGERS,
    TENANT,
    Entra,
    key_pair,
    principal,
    published,
    signed_with_public_key,
    unsigned,
)

READ, OPERATE = Role.READ, Role.OPERATE
HERE = "https://app.azurewebsites.net/v1.0/x"


def request(method: str = "GET", url: str = HERE, **headers: str) -> Request:
    return Request(method, url, {}, {}, {name.replace("_", "-").lower(): text for name, text in headers.items()}, b"")


def admitted(door: EntraDoor, role: Role | None = READ, asked: Request | None = None):
    return asyncio.run(door.admit(asked or request(), role))


def by_token(token: str, role: Role = READ, entra: Entra | None = None, **door: Any):
    return admitted((entra or Entra()).door(**door), role, request(authorization=f"Bearer {token}"))


def refusal(token: str, role: Role = READ, entra: Entra | None = None, **door: Any) -> Refusal:
    with pytest.raises(Refusal) as found:
        by_token(token, role, entra, **door)
    return found.value


# --- tokens that are right ----------------------------------------------------------------------


@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_a_token_of_either_version_is_taken(version):
    assert by_token(Entra().token(version=version)).roles == {READ}


def test_who_may_operate_may_read_and_who_may_read_may_not_operate():
    operator = Entra().token(roles=["Provisioning.Operate"])
    assert by_token(operator, READ).may(OPERATE)
    assert by_token(operator, OPERATE).may(READ)
    found = refusal(Entra().token(roles=["Provisioning.Read"]), OPERATE)
    assert (found.status, found.code) == (403, "Authorization_RequestDenied")
    assert 'error="insufficient_scope"' in found.headers["WWW-Authenticate"]
    assert "Provisioning.Operate" in str(found)


@pytest.mark.parametrize(
    ("version", "claims", "kind", "name"),
    [
        ("2.0", {}, "user", "ada@contoso.com"),
        ("1.0", {"upn": "ada@contoso.com"}, "user", "ada@contoso.com"),
        ("1.0", {"unique_name": "live.com#ada@outlook.com"}, "user", "live.com#ada@outlook.com"),
        ("1.0", {}, "user", f"user {ADA}"),
        ("2.0", {"preferred_username": "ada\n2026 pause by root"}, "user", f"user {ADA}"),
        ("2.0", {"preferred_username": None, "scp": None, "idtyp": "app"}, "application", f"application {CLIENT}"),
        ("1.0", {"scp": None}, "application", f"application {CLIENT}"),
        ("2.0", {"idtyp": "app", "scp": None}, "application", f"application {CLIENT}"),
    ],
)
def test_the_audit_trail_is_told_who_the_caller_is(version, claims, kind, name):
    caller = by_token(Entra().token(version=version, **claims))
    assert (caller.kind, caller.name) == (kind, name)
    assert (caller.initiator.kind, caller.initiator.name) == (kind, name)


def test_a_clock_that_is_a_minute_off_keeps_nobody_out():
    assert by_token(Entra().token(), now=NOON - 60)
    assert by_token(Entra().token(), now=NOON + 3660)


# --- tokens that are wrong ----------------------------------------------------------------------

ROLES = {"roles": ["Provisioning.Operate"]}


def wrong_tokens() -> dict[str, tuple[str, str]]:
    """What is wrong with each, and what the refusal says."""
    entra, stranger = Entra(), Entra(tenant_id=STRANGERS)
    good = entra.token(**ROLES)
    head, body, signature = good.split(".")
    claims = entra.claims(**ROLES)
    more = json.dumps(entra.claims(roles=[*Role])).encode()
    forged = base64.urlsafe_b64encode(more).rstrip(b"=").decode()
    other_key = jwt.encode(claims, key_pair("second"), "RS256", headers={"kid": "first"})
    known = published("second")
    return {
        "signed with another key under the name of ours": (other_key, "signature"),
        "signed with its own key inside": (
            entra.token("second", header={"jwk": known}, **ROLES),
            "none of this tenant",
        ),
        "claims changed after signing": (f"{head}.{forged}.{signature}", "signature"),
        "signature cut off": (f"{head}.{body}.", "signature"),
        "alg none": (unsigned(claims), "RS256"),
        "alg NONE": (unsigned(claims, "NONE"), "RS256"),
        "no signature, but says RS256": (unsigned(claims, "RS256"), "signature"),
        "HS256 with the public key": (signed_with_public_key(claims), "RS256"),
        "HS256 with the public key, but says RS256": (signed_with_public_key(claims, algorithm="RS256"), "signature"),
        "RS512": (jwt.encode(claims, key_pair("first"), "RS512", headers={"kid": "first"}), "RS256"),
        "PS256": (jwt.encode(claims, key_pair("first"), "PS256", headers={"kid": "first"}), "RS256"),
        "names no key": (jwt.encode(claims, key_pair("first"), "RS256"), "names no key"),
        "an extension that must be understood": (
            entra.token(header={"crit": ["http://example/x"], "http://example/x": True}, **ROLES),
            "JSON Web Token",
        ),
        "expired": (entra.token(exp=int(NOON) - 121, **ROLES), "expired"),
        "never expires": (entra.token(exp=None, **ROLES), "exp"),
        "expires never, in words": (entra.token(exp="never", **ROLES), "exp"),
        "expires at no number": (entra.token(exp=float("inf"), **ROLES), "exp"),
        "expires at True": (entra.token(exp=True, **ROLES), "exp"),
        "not yet valid": (entra.token(nbf=int(NOON) + 121, **ROLES), "not valid yet"),
        "does not say since when it is valid": (entra.token(nbf=None, **ROLES), "nbf"),
        "a stranger's tenant": (stranger.token(**ROLES), "none of this tenant"),
        "a stranger's tenant, under our issuer": (entra.token(tid=STRANGERS, **ROLES), "another tenant"),
        "no tenant": (entra.token(tid=None, **ROLES), "another tenant"),
        "a stranger's issuer with our key": (entra.token(iss=stranger.issuer(), **ROLES), "none of this tenant"),
        "another cloud": (entra.token(iss=f"https://login.microsoftonline.us/{TENANT}/v2.0", **ROLES), "none of this"),
        "no issuer": (entra.token(iss=None, **ROLES), "no issuer"),
        "another API": (entra.token(aud="00000003-0000-0000-c000-000000000000", **ROLES), "another audience"),
        "Graph": (entra.token(aud="https://graph.microsoft.com", **ROLES), "another audience"),
        "several audiences, ours among them": (entra.token(aud=[API, CLIENT], **ROLES), "another audience"),
        "no audience": (entra.token(aud=None, **ROLES), "another audience"),
        "an ID token of our own sign-in": (entra.token(azp=None, nonce="n", **ROLES), "no access token"),
        "no token at all": ("undefined", "JSON Web Token"),
        "half a token": (good[: len(good) // 2], "JSON Web Token"),
        "a token and a half": (f"{good}.{body}", "JSON Web Token"),
        "two tokens": (f"{good}, Bearer {good}", "JSON Web Token"),
        "no text": ("é" * 10, "JSON Web Token"),
        "very long": ("a" * 20_000, "20000 characters"),
    }


WRONG = wrong_tokens()


@pytest.mark.parametrize("why", WRONG)
def test_a_wrong_token_is_refused_with_401_and_the_reason(why):
    token, reason = WRONG[why]
    found = refusal(token)
    assert (found.status, found.code) == (401, "InvalidAuthenticationToken")
    assert reason in str(found)
    challenge = found.headers["WWW-Authenticate"]
    assert challenge.startswith('Bearer realm="", authorization_uri="https://login.example/')
    assert f'client_id="{API}", error="invalid_token"' in challenge
    assert challenge.isascii()
    assert challenge.isprintable()


@pytest.mark.parametrize(
    "token",
    [
        signed_with_public_key(Entra().claims()),
        unsigned(Entra().claims()),
        *(jwt.encode(Entra().claims(), key_pair("first"), each) for each in ("RS384", "RS512", "PS256")),
    ],
)
def test_the_signature_itself_is_taken_in_no_other_form_than_rs256(token):
    with pytest.raises(Unproven):
        verified(token, key_pair("first").public_key())


def test_claims_of_another_issuer_than_that_of_the_key_are_not_trusted():
    claims = Entra().claims()
    expected = Expected(claims["iss"], TENANT, audiences(API), NOON)
    assert trusted(claims, expected) == claims
    with pytest.raises(Unproven, match="another issuer"):
        trusted({**claims, "iss": Entra().issuer("1.0")}, expected)


@pytest.mark.parametrize(
    "roles",
    [
        None,
        [],
        ["provisioning.read"],
        ["Provisioning.Read "],
        ["Provisioning"],
        "Provisioning.Operate",
        {READ: True},
        [[READ]],
    ],
)
def test_a_token_without_a_role_of_ours_is_refused_with_403(roles):
    found = refusal(Entra().token(roles=roles, wids=["Global Administrator"], scp="Provisioning.Operate"))
    assert (found.status, found.code) == (403, "Authorization_RequestDenied")
    assert "Provisioning.Read" in str(found)


def test_without_an_audience_in_the_settings_no_token_is_taken_and_nobody_is_asked_for_keys():
    entra = Entra()
    assert "API_AUDIENCE" in str(refusal(entra.token(), entra=entra, audience=""))
    assert entra.asked == []


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic YWRtaW46YWRtaW4=", "bearer", "Token x"])
def test_an_authorization_header_that_holds_no_token_is_refused_even_beside_a_sign_in(header):
    asked = request(authorization=header, x_ms_client_principal=principal(OPERATE))
    with pytest.raises(Refusal, match="no bearer token") as found:
        admitted(Entra().door(signs_in=True), READ, asked)
    assert found.value.status == 401


def test_a_bad_token_is_refused_even_beside_a_good_sign_in():
    asked = request(authorization=f"Bearer {WRONG['expired'][0]}", x_ms_client_principal=principal(OPERATE))
    with pytest.raises(Refusal, match="expired"):
        admitted(Entra().door(signs_in=True), READ, asked)


def test_nothing_at_all_is_refused_with_a_challenge_and_without_an_error():
    with pytest.raises(Refusal) as found:
        admitted(Entra().door())
    assert (found.value.status, found.value.code) == (401, "InvalidAuthenticationToken")
    assert "error" not in found.value.headers["WWW-Authenticate"]


def test_what_asks_for_no_role_answers_anybody_and_knows_nobody():
    caller = admitted(Entra().door(), None, request(authorization=f"Bearer {Entra().token()}"))
    assert (caller.name, caller.roles) == ("nobody in particular", frozenset())


# --- keys ---------------------------------------------------------------------------------------


def test_where_the_keys_cannot_be_read_the_door_stays_shut():
    entra = Entra(down=503)
    with pytest.raises(Unavailable) as found:
        by_token(Entra().token(), entra=entra)
    assert found.value.code == "ServiceUnavailable"


def test_a_token_is_refused_whatever_it_says_while_the_keys_cannot_be_read():
    entra = Entra(down=500)
    for token, _ in WRONG.values():
        with pytest.raises((Refusal, Unavailable)):
            by_token(token, entra=entra)


# --- the platform's sign-in ---------------------------------------------------------------------


def signed_in(header: str, role: Role = READ, method: str = "GET", **others: str):
    return admitted(Entra().door(signs_in=True), role, request(method, x_ms_client_principal=header, **others))


def test_whom_the_platform_has_signed_in_is_let_in_by_the_roles_it_tells():
    caller = signed_in(principal(READ))
    assert (caller.name, caller.kind, caller.roles) == ("ada@contoso.com", "user", {READ})
    mapped = {
        "auth_typ": "aad",
        "claims": [
            {"typ": "tid", "val": TENANT.upper()},
            {"typ": "http://schemas.microsoft.com/ws/2008/06/identity/claims/role", "val": OPERATE},
            {"typ": "appid", "val": CLIENT},
        ],
    }
    caller = signed_in(
        base64.b64encode(json.dumps(mapped).encode()).decode().rstrip("="), OPERATE, sec_fetch_site="same-origin"
    )
    assert (caller.name, caller.kind) == (f"application {CLIENT}", "application")


def test_a_forged_header_counts_for_nothing_where_the_platform_does_not_sign_in():
    for role in Role:
        asked = request(
            x_ms_client_principal=principal(*Role), x_ms_client_principal_name="root", x_ms_client_principal_id=ADA
        )
        with pytest.raises(Refusal) as found:
            admitted(Entra().door(signs_in=False), role, asked)
        assert found.value.status == 401


@pytest.mark.parametrize("value", ["True", "true", " TRUE "])
def test_the_platform_signs_in_only_where_it_says_so(value):
    environ = {"ENTRA_TENANT_ID": TENANT}
    assert Access.load({**environ, "WEBSITE_AUTH_ENABLED": value}).platform_signs_in
    for other in ("", "False", "1", "yes", "0"):
        assert not Access.load({**environ, "WEBSITE_AUTH_ENABLED": other}).platform_signs_in
    assert not Access.load(environ).platform_signs_in


def raw(document: object) -> str:
    return base64.b64encode(json.dumps(document).encode()).decode()


@pytest.mark.parametrize(
    "header",
    [
        principal(*Role, tenant=STRANGERS),
        principal(*Role, tenant=""),
        principal(*Role, provider="google"),
        raw({"auth_typ": "aad", "claims": [{"typ": "roles", "val": OPERATE}]}),
        raw({"auth_typ": "aad", "claims": [{"typ": "tid", "val": t} for t in (STRANGERS, TENANT)]}),
        raw({"claims": [{"typ": "tid", "val": TENANT}, {"typ": "roles", "val": OPERATE}]}),
        raw({"auth_typ": "aad", "claims": {"roles": [OPERATE]}}),
        raw({"auth_typ": "aad", "claims": None}),
        raw(["aad"]),
        raw("[" * 10),
        base64.b64encode(b"[" * 40_000).decode(),
        "é",
        "not base64!",
        "e30=",
        "a" * 70_000,
    ],
)
def test_a_sign_in_of_somebody_else_or_that_cannot_be_read_is_refused(header):
    with pytest.raises(Refusal) as found:
        signed_in(header)
    assert found.value.status == 401


@pytest.mark.parametrize("roles", [(), ("Provisioning.Write",), ("User",)])
def test_a_signed_in_person_without_a_role_is_refused_with_403(roles):
    with pytest.raises(Refusal) as found:
        signed_in(principal(*roles))
    assert found.value.status == 403


def test_a_person_who_opens_a_page_is_sent_to_sign_in_and_back_and_to_no_other_site():
    browser = {"accept": "text/html,*/*", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    for url, back in (
        ("https://app/people?q=Zoë&x=1", "%2Fpeople%3Fq%3DZo%C3%AB%26x%3D1"),
        ("https://app//evil.example/x", "%2Fevil.example%2Fx"),
        ("https://app", "%2F"),
    ):
        asked = Request("GET", url, {}, {}, browser, b"")
        with pytest.raises(SignInFirst) as found:
            admitted(Entra().door(signs_in=True), READ, asked)
        assert found.value.location == f"/.auth/login/aad?post_login_redirect_uri={back}"
        with pytest.raises(Refusal):  # nobody can sign in there
            admitted(Entra().door(signs_in=False), READ, asked)
    for wrong in ({"method": "POST"}, {"headers": {"accept": "application/json"}}):
        asked = Request(**{"method": "GET", "headers": browser, **wrong}, url=HERE, params={}, query={}, body=b"")
        with pytest.raises(Refusal):
            admitted(Entra().door(signs_in=True), READ, asked)


# --- orders from other sites --------------------------------------------------------------------

OUR_SITE = "https://app.azurewebsites.net"


@pytest.mark.parametrize(
    "headers",
    [
        {"sec_fetch_site": "same-origin"},
        {"sec_fetch_site": "same-origin", "origin": OUR_SITE},
        {"origin": OUR_SITE},
        {"origin": OUR_SITE.upper()},
    ],
)
def test_an_order_from_our_own_page_is_carried_out(headers):
    assert signed_in(principal(OPERATE), OPERATE, "POST", **headers).ambient


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"sec_fetch_site": "cross-site", "origin": "https://evil.example"},
        {"sec_fetch_site": "same-site", "origin": "https://other.azurewebsites.net"},
        {"sec_fetch_site": "none"},
        {"sec_fetch_site": "cross-site", "origin": OUR_SITE},
        {"origin": "null"},
        {"origin": "http://app.azurewebsites.net"},
        {"origin": OUR_SITE + ".evil.example"},
        {"origin": OUR_SITE + ":8443"},
        {"origin": ""},
        {
            "sec_fetch_site": "cross-site",
            "sec_fetch_mode": "navigate",
            "sec_fetch_dest": "document",
            "accept": "text/html",
        },
    ],
)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_an_order_that_another_site_makes_a_signed_in_browser_send_is_refused(method, headers):
    with pytest.raises(Refusal) as found:
        signed_in(principal(OPERATE), OPERATE, method, **headers)
    assert found.value.status == 403


def test_another_site_may_link_to_a_page_and_not_load_from_it():
    link = {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate", "accept": "text/html"}
    assert signed_in(principal(READ), **link, sec_fetch_dest="document")
    assert signed_in(principal(READ), sec_fetch_site="none")
    assert signed_in(principal(READ))
    for frame in (
        {**link, "sec_fetch_dest": "iframe"},
        {"sec_fetch_site": "cross-site", "sec_fetch_mode": "no-cors", "sec_fetch_dest": "image", "accept": "image/*"},
        {"sec_fetch_site": "same-site", "sec_fetch_mode": "cors", "accept": "text/html"},
    ):
        with pytest.raises(Refusal):
            signed_in(principal(READ), **frame)


def test_a_token_is_no_ambient_proof_so_where_it_is_sent_from_does_not_matter():
    entra = Entra()
    asked = request("POST", authorization=f"Bearer {entra.token(**ROLES)}", origin="https://scripts.example")
    assert not admitted(entra.door(), OPERATE, asked).ambient


# --- a laptop -----------------------------------------------------------------------------------


def on_laptop(method: str = "GET", role: Role | None = OPERATE, **headers: str):
    asked = request(method, "http://127.0.0.1:8080/v1.0/x", **{"host": "127.0.0.1:8080", **headers})
    return asyncio.run(LaptopDoor("command line (grace)").admit(asked, role))


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost:8080", "LOCALHOST", "[::1]:8080", "127.0.0.1:9000"])
def test_a_laptop_answers_to_its_own_names_and_knows_its_user(host):
    caller = on_laptop("POST", host=host)
    assert (caller.name, caller.may(OPERATE)) == ("command line (grace)", True)
    assert on_laptop("POST", host=host, origin=f"http://{host}".lower(), sec_fetch_site="same-origin")


@pytest.mark.parametrize(
    "host",
    [
        "evil.example:8080",  # a name that its owner lets lead to 127.0.0.1
        "127.0.0.1.evil.example",
        "localhost.evil.example:8080",
        "127.0.0.1@evil.example",
        "evil.example#127.0.0.1",
        "0.0.0.0:8080",
        "192.168.0.7:8080",
        "127.0.0.1:port",
        "127.0.0.1/x",
        "",
    ],
)
@pytest.mark.parametrize("role", [None, READ, OPERATE])
def test_a_laptop_does_not_answer_to_another_name_not_even_with_its_health(host, role):
    with pytest.raises(Refusal) as found:
        on_laptop(role=role, host=host, origin=f"http://{host}", sec_fetch_site="same-origin")
    assert found.value.status == 421


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://localhost:3000", "https://127.0.0.1:8080", ""]
)
def test_a_laptop_refuses_pages_from_elsewhere(method, origin):
    with pytest.raises(Refusal) as found:
        on_laptop(method, origin=origin)
    assert found.value.status == 403
    with pytest.raises(Refusal):
        on_laptop("POST", sec_fetch_site="same-site")
    with pytest.raises(Refusal):
        on_laptop("GET", sec_fetch_site="cross-site", sec_fetch_mode="no-cors", sec_fetch_dest="image")


# --- settings -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", set()),
        (" , ", set()),
        (API.upper(), {API, f"api://{API}"}),
        (f"api://{API}", {API, f"api://{API}"}),
        ("api://contoso.com/provisioning", {"api://contoso.com/provisioning"}),
        (f"https://provisioning.contoso.com, {API}", {"https://provisioning.contoso.com", API, f"api://{API}"}),
    ],
)
def test_the_audience_is_a_client_id_or_a_uri_or_several(text, found):
    assert audiences(text) == found


@pytest.mark.parametrize("text", ["*", "contoso", "http://contoso.com", 'api://"', "api://a b", ",".join([API] * 11)])
def test_an_audience_that_would_fit_anything_is_refused(text):
    with pytest.raises(ConfigError, match="API_AUDIENCE"):
        audiences(text)


@pytest.mark.parametrize(
    ("environ", "name"),
    [
        ({}, "ENTRA_TENANT_ID"),
        ({"ENTRA_TENANT_ID": "common"}, "ENTRA_TENANT_ID"),
        ({"ENTRA_TENANT_ID": TENANT, "ENTRA_AUTHORITY_HOST": "http://login.example"}, "ENTRA_AUTHORITY_HOST"),
        ({"ENTRA_TENANT_ID": TENANT, "API_AUDIENCE": "*"}, "API_AUDIENCE"),
    ],
)
def test_settings_of_access_that_would_open_the_door_are_refused(environ, name):
    with pytest.raises(ConfigError, match=name):
        Access.load(environ)


# --- answers ------------------------------------------------------------------------------------

KEY = "s3cr3t-function-key"


def answer(handler, door, asked: Request, role: Role | None = READ) -> Reply:
    return asyncio.run(respond(Route("x", asked.method, "v1.0/x", role, handler), asked, None, door))


def test_no_handler_sees_a_token_a_cookie_or_a_key():
    seen = []

    async def handler(request: Request, _) -> None:
        seen.append(request)

    entra = Entra()
    token = entra.token()
    headers = {"cookie": "AppServiceAuthSession=c00kie", "x_functions_key": KEY, "x_ms_token_aad_access_token": "t0ken"}
    answer(handler, entra.door(), request(authorization=f"Bearer {token}", **headers, accept="text/html"))
    url = f"https://app/keyed/v1.0/x?$top=5&code={KEY}&$filter=code eq '1'&CODE={KEY}&c%6fde={KEY}&clientId=default"
    query = {"$top": "5", "code": KEY, "$filter": "code eq '1'", "CODE": KEY, "clientId": "default"}
    asked = Request("GET", url, {}, query, {"x-functions-key": KEY}, b"")
    answer(handler, KeyedDoor(), asked)
    for each in seen:
        assert not [secret for secret in (token, "c00kie", KEY, "t0ken") if secret in repr(each)]
    assert seen[0].headers == {"accept": "text/html"}
    assert seen[1].url == "https://app/keyed/v1.0/x?$top=5&$filter=code eq '1'"
    assert seen[1].query == {"$top": "5", "$filter": "code eq '1'"}
    assert seen[1].by == "a caller with a key of the app"


def test_a_handler_is_not_reached_without_proof():
    reached = []

    async def handler(request: Request, _) -> dict[str, str]:
        reached.append(request)
        return {}

    for asked in (request(), request(x_ms_client_principal=principal(*Role)), request(x_functions_key=KEY)):
        assert answer(handler, Entra().door(), asked).status == 401
    entra = Entra(down=503)
    refused = answer(handler, entra.door(), request(authorization=f"Bearer {entra.token()}"))
    assert (refused.status, json.loads(refused.body)["error"]["code"]) == (503, "ServiceUnavailable")
    assert reached == []


def test_a_refusal_is_in_graphs_form_with_its_challenge_and_the_ids_of_the_request():
    refused = answer(None, Entra().door(), request(client_request_id="mine"))
    error = json.loads(refused.body)["error"]
    assert (error["code"], error["innerError"]["client-request-id"]) == ("InvalidAuthenticationToken", "mine")
    assert refused.headers["WWW-Authenticate"].startswith("Bearer ")
    assert refused.headers["Content-Type"] == "application/json"


def test_no_token_is_in_any_answer_or_log(caplog):
    caplog.set_level(logging.DEBUG)

    async def failing(*_: Any) -> None:
        raise Unavailable("down")

    entra = Entra()
    tokens = [token for token, _ in WRONG.values() if len(token) > 100] + [entra.token()]
    for token in tokens:
        reply = answer(
            failing, entra.door(), request(authorization=f"Bearer {token}", x_ms_client_principal=principal())
        )
        told = f"{reply} {caplog.text} {[record.__dict__ for record in caplog.records]}"
        assert not [part for part in token.split(".") if len(part) > 20 and part in told]
        caplog.clear()


async def page(*_: Any) -> Reply:
    return Reply(200, "<h1>Ada</h1>", {"Content-Type": "text/html; charset=utf-8"})


def test_a_page_runs_only_our_own_files_and_is_shown_in_no_frame():
    headers = answer(page, KeyedDoor(), request(url="https://app/people")).headers
    policy = dict(part.strip().partition(" ")[::2] for part in headers["Content-Security-Policy"].split(";"))
    assert (policy["default-src"], policy["script-src"], policy["style-src"]) == ("'none'", "'self'", "'self'")
    assert (policy["frame-ancestors"], policy["base-uri"], policy["form-action"]) == ("'none'", "'none'", "'self'")
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert (headers["X-Frame-Options"], headers["Cache-Control"]) == ("DENY", "no-store")
    assert headers["Strict-Transport-Security"].startswith("max-age=")


def test_every_answer_says_what_it_is_and_belongs_to_no_other_site():
    async def document(*_: Any) -> dict[str, str]:
        return {}

    for handler, door in ((document, KeyedDoor()), (document, Entra().door()), (page, KeyedDoor())):
        headers = answer(handler, door, request(url="http://127.0.0.1:8080/x")).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert headers["Referrer-Policy"] == "same-origin"  # no-referrer: our own forms would come with Origin: null
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert headers["Cache-Control"] == ("no-store" if handler is page else "no-cache")
        assert "Strict-Transport-Security" not in headers  # a laptop speaks plain http


def test_a_handler_may_set_a_header_of_its_own():
    async def handler(*_: Any) -> Reply:
        return Reply(200, "{}", {"content-type": "application/json", "cache-control": "max-age=60"})

    headers = answer(handler, KeyedDoor(), request()).headers
    assert [value for name, value in headers.items() if name.lower() == "cache-control"] == ["max-age=60"]
