"""Each row of ServiceNow's table of errors, in its literal words: what it is taken for, how far it spreads, who is told
to do something about it, and that nothing is created twice. As the answer to one item of a batch, to a whole batch, and
to a read.

A row spreads over its object (escrow until somebody acts), is retried by itself, or stops the job.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Literal

import httpx
import pytest

from provisioning.adapters.servicenow.answers import Answer, records_of
from provisioning.adapters.servicenow.faults import Fault
from provisioning.errors import ConfigError, ProvisioningError, Throttled, Unauthorized, Unavailable
from provisioning.model import DeleteRecord, InsertRecord, PatchRecord, Refused, Unsettled, Written
from tests.emulators.servicenow import INTEGRATION_USER
from tests.emulators.servicenow.rate_rule import RateRule
from tests.emulators.servicenow.seed import ADMIN_ID
from tests.servicenow_world import World

JSON = "application/json;charset=UTF-8"
HTML = "text/html;charset=UTF-8"
OPERATOR, SERVICENOW, ENTRA = "operator", "servicenow administrator", "entra administrator"
CANCELLED = "Transaction cancelled: maximum execution time exceeded"
CANCELLED_DETAIL = (
    f"{CANCELLED} Check logs for error trace or enable glide.rest.debug property to verify REST request processing"
)
RULE = (
    "Operation against file 'sys_user' was aborted by Business Rule 'No Finance^"
    "0123456789abcdef0123456789abcdef'. Business Rule Stack:No Finance"
)


def said(message: str, detail: str | None = None) -> str:
    return json.dumps({"error": {"message": message, "detail": detail}, "status": "failure"})


def page(title: str, text: str = "") -> str:
    return f"<html><head><title>{title}</title></head><body><h1>{title}</h1>{text}</body></html>"


@dataclass(frozen=True)
class Row:
    """`code` is Entra's, `spread` that of an item of a batch, `words` those that the text must hold, the owner's name
    among them. `could_be_done` is false where the answer says for certain that nothing was written.
    """

    status: int
    body: str
    code: str
    spread: Literal["object", "retry", "job"]
    words: tuple[str, ...]
    content_type: str = JSON
    could_be_done: bool = True
    raises: type[ProvisioningError] = Unavailable


ROWS = {
    "401, the older words": Row(
        401,
        said("User Not Authenticated", "Required to provide Auth information"),
        "ServiceNowCredentialsValidation",
        "job",
        ("401", OPERATOR, SERVICENOW, "locked out"),
        could_be_done=False,
        raises=Unauthorized,
    ),
    "401, the newer words": Row(
        401,
        said("User is not authenticated", "Required to provide Auth information"),
        "ServiceNowCredentialsValidation",
        "job",
        ("401", "interactive"),
        could_be_done=False,
        raises=Unauthorized,
    ),
    "400, no such table": Row(
        400,
        said("Invalid table u_x"),
        "SchemaAttributeNotFound",
        "object",
        ("u_x", ENTRA, "mapping"),
        could_be_done=False,
        raises=ConfigError,
    ),
    "400, no such table, with a detail": Row(
        400,
        said("Invalid table u_x", "Table u_x does not exist"),
        "SchemaAttributeNotFound",
        "object",
        ("u_x does not exist", ENTRA),
        could_be_done=False,
        raises=ConfigError,
    ),
    "404, no such API": Row(
        404,
        said("Requested URI does not represent any resource", "/api/now/table"),
        "NotImplemented",
        "object",
        ("/api/now/table", OPERATOR, SERVICENOW),
        could_be_done=False,
        raises=ConfigError,
    ),
    "400, a body that is too large": Row(
        400,
        said("Exception while reading request", "Rejected large REST payload with content-length = 1 Max allowed: 0"),
        "UnprocessableEntity",
        "object",
        ("Rejected large REST payload", ENTRA),
    ),
    "403, an ACL on inserts": Row(
        403,
        said("Operation Failed", "ACL Exception Insert Failed due to security constraints"),
        "InsufficientRights",
        "object",
        ("security constraints", SERVICENOW, "user_admin"),
        raises=Unauthorized,
    ),
    "403, an ACL on updates": Row(
        403,
        said("Operation Failed", "ACL Exception Update Failed due to security constraints"),
        "InsufficientRights",
        "object",
        ("security constraints", SERVICENOW, "read-only roles"),
        raises=Unauthorized,
    ),
    "403, a business rule": Row(
        403,
        said("Operation Failed", RULE),
        "NotPermitted",
        "object",
        ("No Finance", SERVICENOW, ENTRA),
        raises=Unauthorized,
    ),
    "403, a user_name that is taken": Row(
        403,
        said("Operation Failed", "Error during insert of sys_user (Ada Byron)"),
        "Conflict",
        "object",
        ("unique", ENTRA, "inactive"),
    ),
    "403, a unique key, in the database's words": Row(
        403,
        said("Operation Failed", "Unique Key violation detected by database (Duplicate entry 'x' for key 'user_name')"),
        "Conflict",
        "object",
        ("unique", ENTRA),
    ),
    "403, a data policy": Row(
        403,
        said("Data Policy Exception: The following fields are mandatory: Email"),
        "MandatoryFieldsMissing",
        "object",
        ("Email", ENTRA, SERVICENOW),
    ),
    "403, a data policy in the detail": Row(
        403,
        said("Operation Failed", "Data Policy Exception: The following fields are mandatory: Email"),
        "MandatoryFieldsMissing",
        "object",
        ("Email", ENTRA, SERVICENOW),
    ),
    "403, the API's own ACL": Row(
        403,
        said("User Not Authorized", "Failed API level ACL Validation"),
        "InsufficientRights",
        "job",
        ("Failed API level ACL Validation", SERVICENOW, "snc_platform_rest_api_access", "KB2466644"),
        could_be_done=False,
        raises=Unauthorized,
    ),
    "403, may not query": Row(
        403,
        said("Insufficient rights to query records"),
        "InsufficientRights",
        "object",
        ("Insufficient rights to query", SERVICENOW, "query_match"),
        raises=Unauthorized,
    ),
    "405": Row(405, said("Method not supported"), "MethodNotAllowed", "object", ("405", SERVICENOW)),
    "429": Row(
        429,
        said("Rate limit exceeded", "Rate limit of 100 requests per hour for Table API exceeded"),
        "TooManyRequests",
        "retry",
        ("429", SERVICENOW, OPERATOR),
        could_be_done=False,
        raises=Throttled,
    ),
    "500, cancelled": Row(
        500, said(CANCELLED, CANCELLED_DETAIL), "Timeout", "retry", ("maximum execution time", SERVICENOW)
    ),
    "400 HTML, an address that is too long": Row(
        400,
        page("HTTP Status 400 - Bad Request", "Request header is too large"),
        "UnprocessableEntity",
        "object",
        ("400", ENTRA),
        HTML,
    ),
    "200 HTML, hibernating": Row(
        200,
        page("Instance Hibernating page"),
        "ServiceNowInstanceInvalid",
        "retry",
        ("hibernates", OPERATOR),
        HTML,
        could_be_done=False,
    ),
    "503 HTML, hibernating": Row(
        503,
        page("Instance Hibernating page"),
        "ServiceNowInstanceInvalid",
        "retry",
        ("hibernates", OPERATOR),
        HTML,
        could_be_done=False,
    ),
    "200, a stream that was cut": Row(
        200,
        '{"result":[{"sys_id":"a"},{"sys_id":"ab""],' + said(CANCELLED, CANCELLED_DETAIL)[1:],
        "Timeout",
        "retry",
        ("cut off", "maximum execution time", SERVICENOW),
    ),
    "200, rows and an error": Row(
        200,
        '{"result":[{"sys_id":"a","user_name":"new1"}],' + said(CANCELLED, CANCELLED_DETAIL)[1:],
        "Timeout",
        "retry",
        ("maximum execution time", SERVICENOW),
    ),
}
EVERY_ROW = pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
MAYBE_DONE = {name: row for name, row in ROWS.items() if row.could_be_done}
STOPPING = {name: row for name, row in ROWS.items() if row.spread == "job"}


@pytest.fixture
def world(runner):
    world = World(runner)
    world.do(world.target.dictionary())
    return world


def insert(n: int) -> InsertRecord:
    return InsertRecord(f"w{n}", "sys_user", f"{n:032x}", {"user_name": f"new{n}"})


def answer(world: World, on: str, row: Row, effect: str = "literal", **details) -> None:
    details = {"times": None, **details}
    world.instance.faults.add(on, effect, status=row.status, body=row.body, content_type=row.content_type, **details)


def assert_told(text: str, row: Row) -> None:
    assert [word for word in row.words if word.lower() not in text.lower()] == []


@EVERY_ROW
def test_as_the_answer_to_one_item_it_leaves_the_others_alone(world, row):
    answer(world, "batch: POST sys_user", row, where={"user_name": "new1"})
    outcomes = world.write(insert(1), insert(2))
    refused = outcomes["w1"]
    assert isinstance(refused, Refused)
    assert (refused.code, refused.transient) == (row.code, row.spread != "object")
    assert_told(f"{refused.message} {refused.way_out}", row)
    assert isinstance(outcomes["w2"], Written)
    assert {"new1", "new2"} & world.users.keys() == {"new2"}


@EVERY_ROW
def test_as_the_answer_to_one_change_it_leaves_the_record_as_it_was(world, row):
    answer(world, "batch: PATCH sys_user", row)
    write = PatchRecord("p", "sys_user", ADMIN_ID, {"title": "Chief"}, {"title": ""})
    outcomes = world.write(write, insert(2))
    assert isinstance(outcomes["p"], Refused)
    assert (outcomes["p"].code, outcomes["p"].transient) == (row.code, row.spread != "object")
    assert world.users["admin"]["title"] != "Chief"


@pytest.mark.parametrize("row", MAYBE_DONE.values(), ids=MAYBE_DONE)
def test_an_item_that_was_carried_out_all_the_same_is_found_and_made_once(world, row):
    answer(world, "batch: POST sys_user", row, "literal_after_write", where={"user_name": "new1"})
    answer(world, "batch: PATCH sys_user", row, "literal_after_write")
    answer(world, "batch: DELETE sys_user", row, "literal_after_write")
    outcomes = world.write(insert(1), PatchRecord("p", "sys_user", ADMIN_ID, {"title": "Chief"}), insert(2))
    assert all(isinstance(outcome, Written) for outcome in outcomes.values()), outcomes
    assert len(world.instance.find("sys_user", user_name="new1")) == 1
    assert world.instance.counts["batch: POST sys_user"] == 2
    assert world.instance.counts["batch: PATCH sys_user"] == 1


@pytest.mark.parametrize("row", STOPPING.values(), ids=STOPPING)
def test_what_all_items_are_answered_with_stops_the_job_after_a_few_tries(world, row):
    answer(world, "batch: POST sys_user", row)
    with pytest.raises(row.raises) as raised:
        world.write(insert(1), insert(2))
    assert raised.value.code == row.code
    assert_told(str(raised.value), row)
    assert not {"new1", "new2"} & world.users.keys()
    assert world.instance.counts["batch: POST sys_user"] <= 6


@EVERY_ROW
def test_as_the_answer_to_a_whole_batch_of_writes_it_creates_nothing_and_nothing_twice(world, row):
    answer(world, "POST batch", row, times=1)
    if row.could_be_done and row.spread == "retry":
        outcomes = world.write(insert(1), insert(2))
        assert all(isinstance(outcome, Written) for outcome in outcomes.values()), "looked up, not there, repeated"
    elif row.status in {401, 403, 429} and row.spread != "object":
        assert isinstance(world.write(insert(1))["w1"], Written), "tried again at once"
    else:
        with pytest.raises(Unavailable) as raised:
            world.write(insert(1), insert(2))
        assert raised.value.code == row.code
        assert_told(str(raised.value), row)
        assert not {"new1", "new2"} & world.users.keys()
    names = [user["user_name"] for user in world.instance.rows("sys_user")]
    assert len(names) == len(set(names))


@EVERY_ROW
def test_as_the_lasting_answer_to_whole_batches_it_is_no_success(world, row):
    answer(world, "POST batch", row)
    if row.could_be_done and row.spread == "retry":
        outcomes = world.write(insert(1), insert(2))
        assert all(isinstance(outcome, Unsettled) for outcome in outcomes.values()), "reading back fails too"
        assert all(row.words[0] in outcome.reason for outcome in outcomes.values())
    else:
        with pytest.raises(Unavailable) as raised:
            world.write(insert(1), insert(2))
        assert raised.value.code == row.code
        assert_told(str(raised.value), row)
    assert not {"new1", "new2"} & world.users.keys()


@EVERY_ROW
def test_as_the_answer_to_a_read_it_is_never_an_empty_result(world, row):
    answer(world, "batch: GET sys_user", row)
    with pytest.raises(row.raises) as raised:
        world.find("sys_user", "user_name", ["admin", "nobody"], ["email"])
    if not isinstance(raised.value, ConfigError):
        assert raised.value.code == row.code
    assert_told(str(raised.value), row)
    assert "sys_user by user_name" in str(raised.value)


# --- Rows that are more than a text ---------------------------------------------------------------


def test_404_of_a_record_that_is_gone_is_an_invalid_anchor(world):
    outcome = world.write(PatchRecord("p", "sys_user", "f" * 32, {"title": "x"}))["p"]
    assert (outcome.code, outcome.transient) == ("InvalidAnchor", False)
    assert_told(f"{outcome.message} {outcome.way_out}", Row(404, "", "", "object", (OPERATOR, SERVICENOW)))


NO_RECORD = Row(
    404, said("No Record found", "Record doesn't exist or ACL restricts the record retrieval"), "", "object", ()
)


@pytest.mark.parametrize("verb", ["PATCH", "DELETE"])
def test_404_by_an_access_rule_on_a_record_that_a_list_shows_is_a_matter_of_rights(world, verb):
    abel = world.users["abel.tuter"]["sys_id"]
    answer(world, f"batch: {verb} sys_user", NO_RECORD)
    write = (
        PatchRecord("w", "sys_user", abel, {"title": "x"}) if verb == "PATCH" else DeleteRecord("w", "sys_user", abel)
    )
    outcome = world.write(write)["w"]
    assert isinstance(outcome, Refused)
    assert (outcome.code, outcome.transient) == ("InsufficientRights", False)
    assert "ServiceNow administrator" in outcome.way_out
    assert world.users["abel.tuter"]["title"] != "x"


def test_404_in_passing_is_repeated(world):
    answer(world, "batch: PATCH sys_user", NO_RECORD, times=1)
    assert isinstance(world.write(PatchRecord("p", "sys_user", ADMIN_ID, {"title": "Chief"}))["p"], Written)
    assert world.users["admin"]["title"] == "Chief"


def test_404_of_a_deletion_whose_reply_was_lost_before_is_done(world):
    abel = world.users["abel.tuter"]["sys_id"]
    world.instance.faults.add("batch: DELETE sys_user", "status_after_write")
    assert world.write(DeleteRecord("d", "sys_user", abel))["d"] == Written({})
    assert world.write(DeleteRecord("d", "sys_user", abel))["d"] == Written({})


def test_a_user_who_may_only_read_is_told_so_for_each_write(world):
    world.instance.insert("sys_user_role", {"name": "snc_read_only"})
    (role,) = world.instance.find("sys_user_role", name="snc_read_only")
    (ours,) = world.instance.find("sys_user", user_name=INTEGRATION_USER)
    world.instance.insert("sys_user_has_role", {"user": ours["sys_id"], "role": role["sys_id"]})
    assert "admin" in world.find("sys_user", "user_name", ["admin"])
    outcomes = world.write(insert(1), PatchRecord("p", "sys_user", ADMIN_ID, {"title": "Chief"}))
    assert {(outcome.code, outcome.transient) for outcome in outcomes.values()} == {("InsufficientRights", False)}
    assert all("read-only roles" in outcome.way_out for outcome in outcomes.values())


def test_429_of_a_rate_rule_waits_until_the_window_ends_by_the_instances_own_clock(world):
    world.instance.switches.clock_skew = -7200
    world.instance.rate_rule = RateRule(limit=0, resource="Batch API", flush_every=0.0)
    with pytest.raises(Throttled) as raised:
        world.find("sys_user", "user_name", ["admin"])
    left = 3600 - world.instance.now() % 3600
    assert raised.value.retry_after == pytest.approx(left, abs=2)


@pytest.mark.parametrize("skew", [-7200.0, 0.0, 7200.0])
def test_429_that_names_only_the_end_of_the_window_is_measured_by_the_date_of_the_answer(world, skew):
    def throttle(_request):
        there = world.time + skew
        date = format_datetime(datetime.fromtimestamp(there, UTC), usegmt=True)
        return httpx.Response(429, headers={"X-RateLimit-Reset": str(int(there) + 900), "Date": date}, json={})

    world.wire.meddle = throttle
    with pytest.raises(Throttled) as raised:
        world.find("sys_user", "user_name", ["admin"])
    assert raised.value.retry_after == 900.0


@pytest.mark.parametrize("header", ["", "soon", "nan", "inf", "-inf", "1e999"])
def test_429_without_a_time_that_can_be_waited_for_pauses_a_minute(world, header):
    world.wire.meddle = lambda _request: httpx.Response(429, headers={"X-RateLimit-Reset": header} if header else {})
    with pytest.raises(Throttled) as raised:
        world.find("sys_user", "user_name", ["admin"])
    assert raised.value.retry_after == 60.0


def test_the_apis_403_in_passing_is_tried_with_a_fresh_token_and_connection(world):
    connections = []

    def note(request):
        if request.url.path.endswith("/batch"):
            connections.append(request.headers["connection"])
        return request

    world.wire.meddle = note
    world.instance.faults.add("POST batch", "api_acl", times=2)
    assert "admin" in world.find("sys_user", "user_name", ["admin"])
    assert world.instance.counts["POST token"] == 3
    assert connections == ["keep-alive", "close", "close"]


@pytest.mark.parametrize("on", ["POST batch", "batch: * sys_user"])
def test_the_apis_403_in_passing_stops_neither_reads_nor_writes(world, on):
    world.instance.faults.add(on, "api_acl", times=2)
    assert "admin" in world.find("sys_user", "user_name", ["admin"])
    world.instance.faults.add(on, "api_acl", times=2)
    assert isinstance(world.write(insert(1))["w1"], Written)
    assert world.instance.counts["batch: POST sys_user"] <= 3


def test_the_apis_403_that_lasts_is_tried_three_times_and_stops_the_job(world):
    world.instance.faults.add("POST batch", "api_acl", times=None)
    with world.counted() as asked, pytest.raises(Unauthorized) as raised:
        world.write(insert(1))
    assert (raised.value.code, asked["POST batch"]) == ("InsufficientRights", 3)


def test_a_query_acl_is_named_with_the_table_and_the_column_that_was_asked(world):
    world.instance.access.no_match["sys_user"].add("email")
    with pytest.raises(Unauthorized, match=r"query_match.*query_range") as raised:
        world.find("sys_user", "email", ["ada@contoso.com"])
    assert "asked for sys_user by email" in str(raised.value)
    assert raised.value.code == "InsufficientRights"
    group = world.instance.rows("sys_user_group")[0]["sys_id"]
    world.instance.access.no_match["sys_user_grmember"].add("group")
    with pytest.raises(Unauthorized, match=r"asked for sys_user_grmember by (user and group|group and user)"):
        world.do(world.target.memberships([(group, ADMIN_ID)]))


def test_a_401_in_passing_of_an_item_is_tried_once_more_and_not_again(world):
    world.instance.faults.add("batch: * sys_user", "unauthorized", times=1)
    assert "admin" in world.find("sys_user", "user_name", ["admin"])
    world.instance.faults.add("batch: * sys_user", "unauthorized", times=1)
    assert isinstance(world.write(insert(1))["w1"], Written)
    world.instance.faults.add("batch: * sys_user", "unauthorized", times=None)
    for call in (lambda: world.find("sys_user", "user_name", ["admin"]), lambda: world.write(insert(2))):
        with world.counted() as asked, pytest.raises(Unauthorized):
            call()
        assert asked["POST batch"] == 2


# --- Answers that are in no table -----------------------------------------------------------------

DEEP = '{"result":' + "[" * 100_000
BEYOND = {
    "202": (202, "", JSON, "doubt", "Timeout"),
    "202 with a body": (202, '{"result":{"sys_id":"a"}}', JSON, "doubt", "Timeout"),
    "204 to a list": (204, "", JSON, "doubt", "InternalServerError"),
    "301": (301, "", JSON, "asleep", "ServiceNowInstanceInvalid"),
    "403 HTML": (403, page("Forbidden"), HTML, "asleep", "ServiceNowInstanceInvalid"),
    "403 without a body": (403, "", JSON, "refused", "InsufficientRights"),
    "404 HTML": (404, page("Not Found"), HTML, "asleep", "ServiceNowInstanceInvalid"),
    "404 without a body": (404, "", JSON, "refused", "UnprocessableEntity"),
    "407 HTML": (407, page("Proxy Authentication Required"), HTML, "asleep", "ServiceNowInstanceInvalid"),
    "408": (408, "", JSON, "doubt", "Timeout"),
    "408 HTML": (408, page("Request Timeout"), HTML, "doubt", "Timeout"),
    "413 HTML": (413, page("Too large"), HTML, "refused", "UnprocessableEntity"),
    "415": (415, said("Unsupported Media Type"), JSON, "refused", "UnprocessableEntity"),
    "418, a list": (418, "[]", JSON, "refused", "UnprocessableEntity"),
    "429 HTML": (429, page("Too Many Requests"), HTML, "throttled", "TooManyRequests"),
    "499": (499, "", JSON, "doubt", "Timeout"),
    "499 HTML": (499, page("499"), HTML, "doubt", "Timeout"),
    "500": (500, said("boom"), JSON, "doubt", "InternalServerError"),
    "500 without a body": (500, "", JSON, "doubt", "InternalServerError"),
    "502 HTML": (502, page("Bad Gateway"), HTML, "doubt", "ServiceNowInstanceInvalid"),
    "503": (503, said("Service Unavailable"), JSON, "doubt", "InternalServerError"),
    "503 HTML": (503, page("Maintenance"), HTML, "doubt", "ServiceNowInstanceInvalid"),
    "504": (504, "", JSON, "doubt", "Timeout"),
    "200 HTML": (200, page("Log in"), HTML, "doubt", "ServiceNowInstanceInvalid"),
    "200 HTML that says it is JSON": (200, "\ufeff \n" + page("Log in"), JSON, "doubt", "ServiceNowInstanceInvalid"),
    "200 without a body": (200, "", JSON, "doubt", "InternalServerError"),
    "200, JSON that was cut": (200, '{"result":[{"sys_id":"a', JSON, "doubt", "InternalServerError"),
    "200, JSON that nests without end": (200, DEEP, JSON, "doubt", "InternalServerError"),
    "200, NaN": (200, '{"result":[{"sys_id":NaN}]}', JSON, "doubt", "InternalServerError"),
    "200, a number without end": (
        200,
        '{"result":[{"sys_id":' + "9" * 9999 + "}]}",
        JSON,
        "doubt",
        "InternalServerError",
    ),
    "200, half a character": (200, '{"result":[{"sys_id":"\\ud83d"}]}', JSON, "doubt", "InternalServerError"),
    "200, rows that are texts": (200, '{"result":["a"]}', JSON, "doubt", "InternalServerError"),
    "200, an error that is a text": (200, '{"result":[],"error":"boom"}', JSON, "doubt", "InternalServerError"),
}


@pytest.mark.parametrize(("status", "body", "content_type", "kind", "code"), BEYOND.values(), ids=BEYOND)
def test_an_answer_that_is_in_no_table_is_never_taken_for_a_result(status, body, content_type, kind, code):
    fault = records_of(Answer(status, body.encode(), content_type))
    assert isinstance(fault, Fault)
    assert (fault.kind, fault.code) == (kind, code)
    assert any(owner in fault.way_out.lower() for owner in (OPERATOR, SERVICENOW, ENTRA))


def test_bytes_that_are_no_text_are_no_result():
    fault = records_of(Answer(200, b'{"result":[{"sys_id":"\xff"}]}'))
    assert isinstance(fault, Fault)
    assert fault.kind == "doubt"


UNCERTAIN = {name: row[:3] for name, row in BEYOND.items() if row[3] not in {"throttled", "asleep"}}


@pytest.mark.parametrize(("status", "body", "content_type"), UNCERTAIN.values(), ids=UNCERTAIN)
def test_nor_is_it_as_the_answer_to_a_write_that_was_carried_out(world, status, body, content_type):
    world.instance.faults.add(
        "batch: POST sys_user", "literal_after_write", status=status, body=body, content_type=content_type
    )
    assert isinstance(world.write(insert(1))["w1"], Written)
    assert world.instance.counts["batch: POST sys_user"] == 1


def test_a_body_that_does_not_unpack_is_asked_for_again_and_written_once(world):
    """A proxy that says gzip and sends something else: once for the read, once for the write that was done."""
    broken = {"Content-Encoding": "gzip", "Content-Type": JSON}
    left = iter([True])

    def spoil(request):
        if request.url.path.endswith("/batch") and next(left, False):
            return httpx.Response(200, headers=broken, stream=Bytes(b"\x1f\x8bnot gzip at all"))
        return request

    world.wire.meddle = spoil
    assert "admin" in world.find("sys_user", "user_name", ["admin"])
    left = iter([True])
    assert isinstance(world.write(insert(1))["w1"], Written)


class Bytes(httpx.AsyncByteStream):
    def __init__(self, content: bytes) -> None:
        self._content = content

    async def __aiter__(self):
        yield self._content
