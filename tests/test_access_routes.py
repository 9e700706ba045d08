"""Every function that answers over HTTP, called without a credential and with false ones: only health answers. Each
route either proves its caller itself or has the Functions host ask a key; none does both.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import azure.functions as func
import pytest

import function_app
from provisioning.api.routes import ROUTES
from provisioning.api.routing import Role
from provisioning.dashboard.routes import PAGES
from tests.durable import functions_of
from tests.entra import TENANT, Entra, principal, signed_with_public_key, unsigned


def triggers() -> dict[str, dict[str, Any]]:
    """What is registered for each function that answers over HTTP."""
    bindings = {name: each.get_bindings() for name, each in functions_of(function_app.app).items()}
    return {
        name: trigger.get_dict_repr()
        for name, found in bindings.items()
        for trigger in found
        if trigger.type == "httpTrigger"
    }


KEYED = sorted(name for name, each in triggers().items() if each["authLevel"] == func.AuthLevel.FUNCTION)
OPEN = sorted(name for name, each in triggers().items() if each["authLevel"] == func.AuthLevel.ANONYMOUS)
CLIENT = json.dumps(
    {"taskHubName": "Hub", "creationUrls": {}, "managementUrls": {}, "rpcBaseUrl": "http://127.0.0.1:1/"}
)
EVERY = (*ROUTES, *PAGES)
ROLES = {route.name: route.role for route in EVERY}


@pytest.fixture
def entra() -> Iterator[Entra]:
    """A tenant whose tokens the app takes. The job behind it is not configured: who comes that far gets 500."""
    found = Entra()
    function_app.outer_door.use(found.door())
    yield found
    function_app.outer_door.use(None)


def ask(name: str, headers: dict[str, str] | None = None, query: str = "") -> func.HttpResponse:
    trigger = triggers()[name]
    request = func.HttpRequest(
        str(trigger["methods"][0]),
        f"https://app.azurewebsites.net/{trigger['route']}?{query}",
        headers=headers or {},
        params=dict(part.split("=") for part in query.split("&") if part),
        route_params={"sp": "a", "job": "b", "id": "c"},
        body=b"{}",
    )
    client = (
        {"client": CLIENT} if name.removeprefix("keyed_") in {route.name for route in EVERY if route.drives} else {}
    )
    return asyncio.run(functions_of(function_app.app)[name].get_user_function()(req=request, **client))


def test_a_route_proves_its_caller_or_has_a_key_asked_and_each_of_the_api_is_there_in_both_ways():
    assert sorted([*KEYED, *OPEN]) == sorted(triggers())
    assert sorted(ROLES) == OPEN
    assert [name for name in KEYED if not triggers()[name]["route"].startswith("keyed/")] == []
    assert [name for name in OPEN if triggers()[name]["route"].startswith("keyed/")] == []
    assert sorted(f"keyed_{route.name}" for route in ROUTES if route.role is not None) == KEYED


def test_only_health_asks_for_no_role():
    assert [name for name, role in ROLES.items() if role is None] == ["health"]


def test_whoever_may_only_read_orders_nothing():
    """What is asked with a body, and changes nothing but what is remembered of the question, is for readers too."""
    asking = {"parse_expression", "discover_directory", "explain", "make_plan", "dashboard_try"}
    open_to_readers = {route.name for route in EVERY if route.role is Role.READ and route.method != "GET"}
    assert open_to_readers <= asking
    assert [route.name for route in EVERY if route.role is Role.OPERATE and route.method == "GET"] == []


def false_proofs() -> dict[str, tuple[dict[str, str], str]]:
    claims = Entra().claims(roles=[*Role])
    forged = {"x-ms-client-principal": principal(*Role), "x-ms-client-principal-name": "root"}
    return {
        "nothing": ({}, ""),
        "a key, of which an anonymous route knows nothing": ({"x-functions-key": "k3y"}, "code=k3y"),
        "a forged sign-in": (forged, ""),
        "a cookie": ({"cookie": "AppServiceAuthSession=x"}, ""),
        "an unsigned token": ({"authorization": f"Bearer {unsigned(claims)}"}, ""),
        "the public key as a secret": ({"authorization": f"Bearer {signed_with_public_key(claims)}"}, ""),
        "a stranger's token": ({"authorization": f"Bearer {Entra(tenant_id=TENANT[::-1]).token(roles=[*Role])}"}, ""),
        "a password": ({"authorization": "Basic YWRtaW46YWRtaW4="}, ""),
        "a token in the address": ({}, f"access_token={Entra().token(roles=[*Role])}"),
    }


FALSE = false_proofs()


@pytest.mark.parametrize("proof", FALSE)
@pytest.mark.parametrize("name", OPEN)
@pytest.mark.usefixtures("entra")
def test_nothing_but_health_answers_without_proof(name, proof):
    response = ask(name, *FALSE[proof])
    if name == "health":
        assert (response.status_code, json.loads(response.get_body())) == (200, {"status": "ok"})
        return
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"].startswith("Bearer ")
    assert json.loads(response.get_body())["error"]["code"] == "InvalidAuthenticationToken"


@pytest.mark.parametrize("name", [name for name in OPEN if name != "health"])
def test_a_role_opens_what_asks_for_it_and_no_more(name, entra):
    for role in (None, *Role):
        token = entra.token(roles=[role] if role else None)
        status = ask(name, {"authorization": f"Bearer {token}"}).status_code
        may = role is Role.OPERATE or role is ROLES[name]
        assert status not in {401, 403} if may else status == 403, role


@pytest.mark.parametrize("name", OPEN)
def test_where_the_keys_cannot_be_read_nothing_opens(name, entra):
    entra.down = 503
    response = ask(name, {"authorization": f"Bearer {entra.token(roles=[*Role])}"})
    assert response.status_code == (200 if name == "health" else 503)


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"ENTRA_TENANT_ID": "common"},
        {"ENTRA_TENANT_ID": TENANT, "API_AUDIENCE": "*"},
        {"ENTRA_TENANT_ID": TENANT},
        {"ENTRA_TENANT_ID": TENANT, "WEBSITE_AUTH_ENABLED": "False"},
    ],
)
@pytest.mark.parametrize("name", OPEN)
def test_where_access_is_not_configured_nobody_is_let_in(name, environ, monkeypatch):
    for setting in ("ENTRA_TENANT_ID", "ENTRA_AUTHORITY_HOST", "API_AUDIENCE", "WEBSITE_AUTH_ENABLED"):
        monkeypatch.delenv(setting, raising=False)
    for setting, value in environ.items():
        monkeypatch.setenv(setting, value)
    function_app.outer_door.use(None)
    proofs = {"authorization": f"Bearer {Entra().token(roles=[*Role])}", "x-ms-client-principal": principal(*Role)}
    for headers in (proofs, {"x-ms-client-principal": principal(*Role)}):
        response = ask(name, headers)
        assert response.status_code == 200 if name == "health" else response.status_code in {401, 500}
        assert "common" not in response.get_body().decode()
    function_app.outer_door.use(None)


@pytest.mark.parametrize("name", KEYED)
def test_a_route_with_a_key_asks_its_caller_nothing_and_repeats_no_key(name):
    response = ask(name, {"x-functions-key": "k3y-of-the-app"}, "code=k3y-of-the-app")
    assert response.status_code == 500  # it is reached, and the job is not configured
    assert "k3y" not in f"{response.get_body().decode()} {dict(response.headers)}"
