"""The pure parts of the adapter: what an answer means, how a question is written, how large a batch should be."""

from __future__ import annotations

import httpx
import pytest

from provisioning.adapters.servicenow import batch
from provisioning.adapters.servicenow.answers import Answer, answer_of, body_of, record_of, records_of
from provisioning.adapters.servicenow.faults import Fault
from provisioning.adapters.servicenow.pace import Pace
from provisioning.adapters.servicenow.query import lookups
from provisioning.rules.comparison import loose

QUOTA = "Transaction cancelled: maximum execution time exceeded"


def said(message, detail="null"):
    quoted = detail if detail == "null" else f'"{detail}"'
    return f'{{"error":{{"message":"{message}","detail":{quoted}}},"status":"failure"}}'


@pytest.mark.parametrize(
    ("status", "body", "kind", "code"),
    [
        (401, said("User is not authenticated"), "login", "ServiceNowCredentialsValidation"),
        (401, "<html>", "login", "ServiceNowCredentialsValidation"),
        (404, said("No Record found", "Record doesn't exist or ACL restricts"), "missing", "InvalidAnchor"),
        (404, said("Requested URI does not represent any resource"), "no table", "NotImplemented"),
        (400, said("Invalid table u_x"), "no table", "SchemaAttributeNotFound"),
        (400, said("Exception while reading request", "Rejected large"), "refused", "UnprocessableEntity"),
        (400, "<html>Request header is too large</html>", "refused", "UnprocessableEntity"),
        (403, said("Operation Failed", "ACL Exception Insert Failed due"), "refused", "InsufficientRights"),
        (403, said("Operation Failed", "was aborted by Business Rule 'X^1'"), "refused", "NotPermitted"),
        (403, said("Operation Failed", "Error during insert of sys_user (A)"), "refused", "Conflict"),
        (403, said("Unique Key violation detected by database"), "refused", "Conflict"),
        (403, said("Data Policy Exception: Email"), "refused", "MandatoryFieldsMissing"),
        (403, said("User Not Authorized", "Failed API level ACL Validation"), "moved", "InsufficientRights"),
        (403, said("Insufficient rights to query records"), "refused", "InsufficientRights"),
        (403, "", "refused", "InsufficientRights"),
        (405, said("Method not supported"), "refused", "MethodNotAllowed"),
        (408, "", "doubt", "Timeout"),
        (409, "", "refused", "Conflict"),
        (429, said("Rate limit exceeded"), "throttled", "TooManyRequests"),
        (202, "", "doubt", "Timeout"),
        (302, "", "asleep", "ServiceNowInstanceInvalid"),
        (500, said(QUOTA, QUOTA), "doubt", "Timeout"),
        (500, said("boom"), "doubt", "InternalServerError"),
        (503, "<html><title>Maintenance</title></html>", "doubt", "ServiceNowInstanceInvalid"),
        (504, "", "doubt", "Timeout"),
        (200, "\n <html><title>Instance Hibernating page</title></html>", "asleep", "ServiceNowInstanceInvalid"),
        (200, "<html><title>Log in</title></html>", "doubt", "ServiceNowInstanceInvalid"),
        (200, '{"result":[{"sys_id":"ab""],"error":{"message":"' + QUOTA + '"}}', "doubt", "Timeout"),
        (200, '{"result":[{"sys_id":"a"}],"error":{"message":"' + QUOTA + '"}}', "doubt", "Timeout"),
        (200, '{"result":[{"sys', "doubt", "InternalServerError"),
        (200, "", "doubt", "InternalServerError"),
        (200, "[]", "doubt", "InternalServerError"),
        (200, "{}", "doubt", "InternalServerError"),
        (200, '{"result":"x"}', "doubt", "InternalServerError"),
    ],
)
def test_each_way_of_saying_no_is_told_apart(status, body, kind, code):
    fault = record_of(Answer(status, body.encode()))
    assert isinstance(fault, Fault)
    assert (fault.kind, fault.code) == (kind, code)
    assert fault.message
    assert fault.way_out
    if kind != "missing":
        assert isinstance(records_of(Answer(status, body.encode())), Fault)


def test_markup_inside_values_is_no_web_page():
    answer = Answer(200, b'{"result":[{"sys_id":"a","name":"<html> &amp; <title>Instance Hibernating</title>"}]}')
    assert records_of(answer)[0]["name"].startswith("<html>")


def test_values_become_strings_whatever_form_they_come_in():
    body = b'{"result":{"a":null,"b":true,"c":3,"d":{"link":"x","value":"id"},"e":{"display_value":"E","link":"x"}}}'
    assert record_of(Answer(200, body)) == {"a": "", "b": "true", "c": "3", "d": "id", "e": "E"}


def test_the_list_of_version_1_without_a_hit_is_empty():
    assert records_of(Answer(404, said("No Record found").encode())) == []


def test_what_the_instance_said_is_quoted_on_one_short_line():
    fault = body_of(Answer(400, said("line\\nbreak " + "x" * 5000).encode()))
    assert "\n" not in fault.message
    assert len(fault.message) < 500


def test_batch_answers_are_matched_by_id_whatever_their_order_and_type():
    body = b"""{"serviced_requests":[{"id":2,"status_code":204,"body":""},
        {"id":"1","status_code":"200","body":"e30=\\n","execution_time":1500}],"unserviced_requests":[3]}"""
    reply = batch.decode(Answer(200, body))
    assert reply.answers["1"].body == b"{}"
    assert reply.answers["2"].status == 204
    assert reply.unserviced == {"3"}
    assert reply.seconds is None


@pytest.mark.parametrize("body", [b"{}", b'{"serviced_requests":[{"id":"1"', b"<html>", b'{"result":[]}', b""])
def test_a_batch_without_its_items_leaves_everything_in_doubt(body):
    fault = batch.decode(Answer(200, body))
    assert fault.kind == "doubt"


@pytest.mark.parametrize(
    ("one", "other"),
    [("ABC", "abc"), ("Müller", "MULLER"), ("straße", "STRASSE"), ("ﬁle", "file"), ("a ", "a"), ("Søren", "soren")],
)
def test_what_a_database_may_hold_for_equal_is_loosely_equal(one, other):
    assert loose(one) == loose(other)


def test_values_that_a_list_cannot_hold_are_asked_one_by_one():
    urls = [each.url for each in lookups("t", "f", ["a", "b", "c,d", "e^f", " g"], ())]
    assert [url.split("sysparm_query=")[1].split("&")[0] for url in urls] == [
        "fINa,b",
        "f%3Dc%2Cd%5EORf%3De%5E%5Ef%5EORf%3D%20g",
    ]


def test_no_value_means_no_question():
    assert list(lookups("t", "f", [], ())) == []


def test_the_batch_follows_the_time_per_item():
    pace = Pace()
    assert pace.size == 20
    pace.measured(20, 20.0)
    assert pace.size == 10
    pace.measured(10, 26.0)
    assert pace.size == 3
    for _ in range(20):
        pace.measured(pace.size, 0.05 * pace.size)
    assert pace.size == 100
    pace.measured(100, 5000.0)
    assert pace.size == 1
    pace.measured(0, 30.0)
    assert pace.size == 1


def test_the_batch_at_most_doubles_and_never_exceeds_what_the_instance_got_through():
    pace = Pace()
    pace.measured(20, 0.0)
    assert pace.size == 40
    pace.overran(11)
    assert pace.size == 11
    pace.overran(0)
    assert pace.size == 1


@pytest.mark.parametrize("said", ["9" * 5_000, "x", "-1", "", "1.5", "\u0661".encode("utf-8")])
def test_a_number_of_rows_that_is_none_tells_nothing(said):
    response = httpx.Response(200, headers=[(b"X-Total-Count", said if isinstance(said, bytes) else said.encode())])
    assert answer_of(response).total is None
