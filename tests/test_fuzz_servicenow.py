"""Whatever ServiceNow, or something in between, answers: the cycle ends by itself with an error of ours or a right
result, and in the end ServiceNow holds what the company says, nobody twice.
"""

from __future__ import annotations

import base64
import binascii
import json
import random
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioning.adapters.servicenow import batch
from provisioning.adapters.servicenow.answers import Answer, record_of, records_of
from provisioning.adapters.servicenow.faults import Fault
from provisioning.errors import ProvisioningError
from tests.fuzzing import SEEDS, Spoiling, answer, broken, spoilt, trying, written
from tests.stories import eve_of

REQUESTS = 45
"""More than a cycle of this company asks ServiceNow."""
SURE = frozenset({"sys_id", "id", "name", "value", "element", "user_name", "group", "user", "internal_type"})
"""Another text in one of these is another answer, that nobody can tell from a true one."""


def of_json(chance: random.Random, _: httpx.Request, response: httpx.Response) -> httpx.Response:
    return answer(response, written(spoilt(_read(response), chance, sure=SURE)))


def of_an_item(chance: random.Random, _: httpx.Request, response: httpx.Response) -> httpx.Response:
    """One item of a batch: what its base64 holds, or how it is wrapped."""
    document = _read(response)
    items = document.get("serviced_requests")
    if not items:
        return answer(response, written(spoilt(document, chance, sure=SURE)))
    item = chance.choice(items)
    match chance.randrange(6):
        case 0:
            item["body"] = chance.choice(("====", "\u20ac", "e30", "e30=\n", "x" * 10_001, "{}", [], 5, None))
        case 1:
            item["body"] = base64.b64encode(broken(_inside(item), chance)).decode()
        case 2:
            item["status_code"] = chance.choice(
                ("200", "201 Created", 0, -1, 10**30, None, [], 99, 202, 204, 500, True)
            )
        case 3:
            item.update(spoilt(item, chance, sure=SURE))
        case _:
            try:
                inner = json.loads(_inside(item))
            except ValueError:
                inner = {}
            item["body"] = base64.b64encode(written(spoilt(inner, chance, sure=SURE))).decode()
    return answer(response, written(document))


def of_a_batch(chance: random.Random, _: httpx.Request, response: httpx.Response) -> httpx.Response:
    """Which items were dealt with."""
    document = _read(response)
    served = document.get("serviced_requests") or []
    match chance.randrange(6):
        case 0:
            document.pop("serviced_requests", None)
        case 1:
            document.pop("unserviced_requests", None)
        case 2 if served:
            served.remove(chance.choice(served))
        case 3 if served:
            served.append(chance.choice(served))
        case 4 if served:
            document["unserviced_requests"] = [chance.choice(served)["id"]]
        case _:
            document["unserviced_requests"] = chance.choice((None, "x", [None], [[]], {}, 5, ["none of them"]))
    return answer(response, written(document))


def of_bytes(chance: random.Random, _: httpx.Request, response: httpx.Response) -> httpx.Response:
    kind = chance.choice(("application/json", "text/html", "", "application/json; charset=utf-16"))
    return answer(response, broken(response.content, chance), content_type=kind)


def of_headers(chance: random.Random, _: httpx.Request, response: httpx.Response) -> httpx.Response:
    status = chance.choice(
        (response.status_code,) * 4 + (100, 202, 204, 206, 301, 400, 401, 403, 404, 409, 429, 500, 600)
    )
    odd = ("", "-1", "nan", "inf", "1e400", "soon", "9" * 5_000, "2.5", "\u0661", "0x10")
    headers = {
        "X_Total_Count": chance.choice(odd),
        "Retry_After": chance.choice(odd),
        "X_RateLimit_Reset": chance.choice(odd),
        "Date": chance.choice((*odd, "Mon, 99 Nov 99999 99:99:99 GMT")),
        "Link": chance.choice(('<https://evil.example/>;rel="next"', "<", "", "x" * 5_000)),
        "Location": chance.choice(("https://evil.example/?secret", "http://[", "", "//", "\u20ac")),
        "Set_Cookie": chance.choice(("", "a=b; Domain=evil.example", "\u20ac=\u20ac; Expires=soon", ";" * 500)),
    }
    chosen = {name: headers[name] for name in chance.sample(sorted(headers), 3)}
    return answer(response, response.content, status=status, **chosen)


KINDS = (of_json, of_an_item, of_a_batch, of_bytes, of_headers)


def _read(response: httpx.Response) -> dict[str, Any]:
    try:
        found = json.loads(response.content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _inside(item: dict[str, Any]) -> bytes:
    try:
        return base64.b64decode(item.get("body") or "")
    except (TypeError, binascii.Error):
        return b""


def wrong_after(kind: Any, story: str, first: int, times: int, seed: int) -> list[str]:
    """What is wrong in the end, when a cycle of a story has met spoilt answers."""
    chance = random.Random(seed)
    with eve_of(story).copy() as world:
        world.fuse.most = 4_000
        world.before_servicenow = lambda way: Spoiling(
            way, lambda request, response: kind(chance, request, response), first, times
        )
        try:
            world.cycle()
        except ProvisioningError as error:
            assert str(error)  # noqa: PT017 - either outcome is right
        world.before_servicenow = lambda way: way
        world.restart()
        world.pass_time(86_400.0)  # whatever pause ServiceNow asked for is over, and so are doubts about rights
        return world.settle()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("story", ["the first load", "a day of changes"])
@trying(6)
@given(first=st.integers(0, REQUESTS), times=st.sampled_from([1, 1, 1, 3, 1000]), seed=SEEDS)
def test_a_spoilt_answer_of_servicenow_makes_nobody_twice_and_loses_no_change(kind, story, first, times, seed):
    assert wrong_after(kind, story, first, times, seed) == []


RECORD = {"result": {"sys_id": "a" * 32, "user_name": "ada", "active": "true", "manager": {"link": "x", "value": "b"}}}
ANSWERS: tuple[dict[str, Any], ...] = (
    RECORD,
    {"result": [RECORD["result"], RECORD["result"]]},
    {"error": {"message": "No Record found", "detail": "x"}, "status": "failure"},
    {
        "batch_request_id": "1",
        "serviced_requests": [
            {"id": "0", "status_code": 200, "body": base64.b64encode(written(RECORD)).decode(), "execution_time": 5},
            {"id": "1", "status_code": 204, "headers": [{"name": "X-Total-Count", "value": "1"}]},
        ],
        "unserviced_requests": ["2"],
    },
)


@trying(600)
@given(st.sampled_from(ANSWERS), st.sampled_from([200, 201, 204, 202, 400, 403, 404, 500, 0, 999]), SEEDS)
def test_whatever_came_back_is_rows_of_texts_or_a_fault(document, status, seed):
    chance = random.Random(seed)
    content = written(spoilt(document, chance))
    given_answer = Answer(status, broken(content, chance) if chance.random() < 0.2 else content)
    record, records, reply = record_of(given_answer), records_of(given_answer), batch.decode(given_answer)
    for row in ([] if isinstance(record, Fault) else [record]) + ([] if isinstance(records, Fault) else records):
        assert all(type(value) is str for value in row.values())
    for fault in (each for each in (record, records, reply) if isinstance(each, Fault)):
        assert isinstance(fault.error("host"), ProvisioningError)
    if isinstance(reply, batch.Reply):
        assert all(isinstance(each.body, bytes) for each in reply.answers.values())
