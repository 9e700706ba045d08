"""Whatever is sent to a route of the app, in whatever order: the answer is Graph's, an error is the caller's and says
so in Graph's form, and nothing of a secret is in it.
"""

from __future__ import annotations

import asyncio
import base64
import json
import random
from typing import Any

import pytest
from hypothesis import given

import function_app
from provisioning.api.routes import ROUTES
from provisioning.api.routing import Role
from provisioning.dashboard.routes import PAGES
from provisioning.process import open_from_environment
from provisioning.schema import default_schema, dump
from tests.durable import functions_of
from tests.durable_client import offering
from tests.emulators import graph, servicenow
from tests.fuzzing import SEEDS, broken, spoilt, trying, written
from tests.test_function_app import Place

ON_DEMAND = {
    "parameters": [
        {
            "ruleId": "x",
            "subjects": [
                {
                    "objectId": "USER",
                    "objectTypeName": "User",
                    "links": {"members": [{"objectId": "USER", "objectTypeName": "User"}]},
                }
            ],
        }
    ]
}
RESTART = {"criteria": {"resetScope": "Watermark, Escrows"}}
SCHEMA = dump(default_schema())
SECRETS = {
    "value": [
        {"key": "SyncAll", "value": "true"},
        {"key": "SkipOutOfScopeDeletions", "value": "True"},
        {"key": "SyncNotificationSettings", "value": '{"Enabled": true, "DeleteThresholdValue": 500}'},
    ]
}
CREDENTIALS = {
    "templateId": "ServiceNowOutDelta",
    "useSavedCredentials": False,
    "credentials": [{"key": "UserName", "value": "admin"}, {"key": "Password", "value": "admin"}],
}
EXPRESSION = {
    "expression": 'Switch([department], , "Sales", "1")',
    "testInputObject": {"properties": [{"key": "department", "value": ["Sales", None, 1]}]},
}
BODIES: dict[str, Any] = {
    "provision_on_demand": ON_DEMAND,
    "restart_job": RESTART,
    "create_job": {"templateId": "ServiceNowOutDelta"},
    "put_schema": SCHEMA,
    "patch_schema": SCHEMA,
    "put_secrets": SECRETS,
    "validate_credentials": CREDENTIALS,
    "validate_credentials_of_a_new_job": CREDENTIALS,
    "parse_expression": EXPRESSION,
    "make_plan": {"schema": SCHEMA},
    "approve_plan": {"planId": "0123456789abcdef"},
    "reject_plan": {"planId": "0123456789abcdef"},
    "explain": {"object": "USER", "members": None},
    "resync": {"object": "USER", "filter": ["department EQUALS Sales"]},
}
PIECES = (
    *("activityDateTime", "jobId", "sourceIdentity/displayName", "durationInMilliseconds", "category", "result"),
    *("eq", "ne", "gt", "ge", "lt", "le", "and", "or", "not", "contains", "startswith", "(", ")", ",", "'x'", "''"),
    *("2026-01-31T08:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-01-31", "-5", "9" * 30),
    *("'", "\x00", "\u0661", "null", "1" * 18, "contains(jobId,'x')", "(" * 5_000, "jobId eq 'x'"),
)
NUMBERS = (
    "1",
    "999",
    "1000",
    "0",
    "-1",
    "",
    "ten",
    "9" * 5_000,
    "000000001" + "9" * 20,
    "1" + "0" * 5_000,
    "\u0661",
    "1.0",
)
TOKENS = (
    *("", "x", "====", "\u20ac", "e30", "bnVsbA", "NQ", "W10", "WzEsMl0", "W251bGwsbnVsbF0"),
    base64.urlsafe_b64encode(b"[" * 100_000).decode(),
    base64.urlsafe_b64encode(b"\xff\xfe").decode(),
    base64.urlsafe_b64encode(b"user|0|").decode(),
    base64.urlsafe_b64encode(b"user|0|a/b\\c#?\x00").decode(),
    base64.urlsafe_b64encode(b"group|f|" + b"x" * 5_000).decode(),
    base64.urlsafe_b64encode(b"1234567890123|" + b"x" * 100).decode(),
    base64.urlsafe_b64encode(b"held|").decode(),
    base64.urlsafe_b64encode(b"users|users|00|a/b").decode(),
    base64.urlsafe_b64encode(b"nowhere|x").decode(),
)
TEXTS = (
    "",
    " ",
    "x",
    "\x00",
    "\r\nSet-Cookie: a=b",
    "x" * 5_000,
    "'",
    "../..",
    "user.1",
    "a/b\\c#?",
    "\u202e",
    "\u20ac",
)
TRIGGER = "httpTrigger"
KEYED = "keyed_"


def routes() -> dict[str, bool]:
    """The functions that answer over HTTP, and whether they are given a Durable client."""
    bindings = {
        name: [each.type for each in found.get_bindings()] for name, found in functions_of(function_app.app).items()
    }
    return {name: "durableClient" in types for name, types in bindings.items() if TRIGGER in types}


def asked(chance: random.Random, place: Place, name: str) -> dict[str, Any]:
    """Some request to a route; most of them are about the job that there is, with a body of about the right form."""
    found: dict[str, Any] = {"headers": {}, "query": {}}
    users = [*place.directory.users, "00000000-0000-0000-0000-000000000000", "x"]
    given = BODIES.get(name) if chance.random() < 0.8 else chance.choice((*BODIES.values(), {}, None))
    shape = json.loads(json.dumps(given).replace("USER", chance.choice(users)))
    match chance.randrange(5):
        case 0:
            found["body"] = b""
        case 1:
            found["body"] = broken(written(shape), chance)
        case 2:
            found["body"] = written(shape)
        case _:
            found["body"] = written(spoilt(shape, chance))
    options = ("$filter", "$orderby", "$top", "$skiptoken", "$select", "type", "x", "")
    for option in chance.sample(options, chance.randrange(3)):
        found["query"][option] = {
            "$filter": " ".join(chance.choices(PIECES, k=chance.randint(1, 8))),
            "$top": chance.choice(NUMBERS),
            "$skiptoken": chance.choice(TOKENS),
            "$orderby": chance.choice(("activityDateTime desc", "activityDateTime", "x asc", *TEXTS)),
        }.get(option, chance.choice(TEXTS))
    headers = ("client-request-id", "x-ms-client-principal", "authorization", "Content-Type", "accept")
    for header in chance.sample(headers, chance.randrange(3)):
        found["headers"][header] = chance.choice(TEXTS)
    if chance.random() < 0.2:
        found[chance.choice(("sp", "job"))] = chance.choice(TEXTS)
    identifiers = [f"user.{one}" for one in users] + users
    found["id"] = chance.choice((*identifiers, *TEXTS, "ServiceNow"))
    found["template"] = chance.choice(("ServiceNowOutDelta", *TEXTS))
    return found


def wrong_with(name: str, response: Any) -> list[str]:
    status, body = response.status_code, response.get_body()
    text = f"{body!r} {dict(response.headers)}"
    wrong = [f"{name} answers {status}: {body[:300]!r}"] if status >= 500 else []
    wrong += [f"{name} tells a secret" for secret in (servicenow.CLIENT_SECRET, graph.ACCESS_TOKEN) if secret in text]
    if status == 204:
        return wrong + ([f"{name} has a body with 204"] if body else [])
    if not response.headers.get("Content-Type", "").startswith("application/json"):
        return wrong
    document = json.loads(body)
    if status >= 400:
        error = document["error"]
        assert set(document) == {"error"}
        assert {type(error["code"]), type(error["message"])} == {str}
        assert set(error["innerError"]) == {"date", "request-id", "client-request-id"}
    return wrong


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    found = Place(tmp_path_factory.mktemp("http"))
    yield found
    function_app.process.use(open_from_environment)
    function_app.outer_door.use(None)


def wrong_after(place: Place, seed: int, requests: int = 40) -> list[str]:
    chance = random.Random(seed)
    operator = place.entra.token(roles=[Role.OPERATE])

    async def story() -> list[str]:
        function_app.process.use(place.new_app)
        app = await function_app.process.app()
        wrong = []
        async with offering(place.host) as place.client:
            for _ in range(requests):
                name, client = chance.choice(sorted(routes().items()))
                found = asked(chance, place, name.removeprefix(KEYED))
                if chance.random() < 0.8:  # a known caller gets further
                    found["headers"] = {"authorization": f"Bearer {operator}", **found["headers"]}
                wrong += wrong_with(name, await place.ask(name, client=client, **found))
        await app.close()
        return wrong

    return asyncio.run(story())


def test_every_route_is_tried():
    names, pages = {each.name for each in ROUTES}, {each.name for each in PAGES}
    assert routes().keys() == names | {f"{KEYED}{name}" for name in names - {"health"}} | pages
    assert BODIES.keys() == {each.name for each in ROUTES if each.takes is not None}
    assert routes()["start_job"]


@trying(10)
@given(SEEDS)
def test_no_request_gets_anything_but_an_answer_or_an_error_of_its_own(place, seed):
    assert wrong_after(place, seed) == []
