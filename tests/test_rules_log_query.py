"""Queries of the log: what Graph takes is understood, what it does not is refused with the place."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioning.errors import QueryError
from provisioning.rules.log_query import PROPERTIES, Condition, LogQuery, milliseconds, parse_filter

ENTRY = {
    "id": "c1",
    "activityDateTime": "2026-01-31T08:00:00.250Z",
    "jobId": "job",
    "provisioningAction": "update",
    "durationInMilliseconds": 12,
    "provisioningStatusInfo": {"status": "failure", "errorInformation": {"errorCode": "InsufficientRights"}},
    "sourceIdentity": {"id": "u1", "displayName": "Siobhán O'Brien", "identityType": "User"},
    "targetIdentity": {"id": "s1", "displayName": "Siobhán O'Brien"},
}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "jobId eq 'job'",
        "provisioningAction ne 'create'",
        "activityDateTime ge 2026-01-31T08:00:00Z",
        "activityDateTime gt 2026-01-31",
        "activityDateTime eq 2026-01-31T09:00:00.250+01:00",
        "activityDateTime lt 2026-01-31T08:00:00.251Z and activityDateTime le 2026-01-31T08:00:00.250Z",
        "durationInMilliseconds gt 11 and durationInMilliseconds le 12",
        "sourceIdentity/displayName eq 'Siobhán O''Brien'",
        "contains(sourceIdentity/displayName, 'O''B')",
        "startswith(sourceIdentity/displayName,'Siob')",
        "provisioningStatusInfo/errorInformation/errorCode eq 'InsufficientRights'",
        "(provisioningStatusInfo/status eq 'failure') and (jobId eq 'job' and (targetIdentity/id eq 's1'))",
        "provisioningAction gt 'create'",
        "tenantId ne 'x'",
    ],
)
def test_an_entry_that_satisfies_all_conditions_is_found(text):
    assert LogQuery.parse(filter_=text).matches(ENTRY)


@pytest.mark.parametrize(
    "text",
    [
        "jobId eq 'Job'",
        "contains(sourceIdentity/displayName, 'o''brien')",
        "provisioningStatusInfo/status eq 'Failure'",
        "activityDateTime gt 2026-01-31T08:00:00.250Z",
        "activityDateTime lt 2026-01-31",
        "durationInMilliseconds ge 13",
        "tenantId eq 'x'",
        "jobId eq 'job' and jobId eq 'other'",
        "startswith(sourceIdentity/displayName,'Brien')",
    ],
)
def test_an_entry_that_fails_one_condition_or_differs_in_case_is_not_found(text):
    assert not LogQuery.parse(filter_=text).matches(ENTRY)


def test_an_entry_without_an_error_has_no_error_code():
    entry = {**ENTRY, "provisioningStatusInfo": {"status": "success", "errorInformation": None}}
    assert not LogQuery.parse(filter_="provisioningStatusInfo/errorInformation/errorCode eq 'x'").matches(entry)
    assert LogQuery.parse(filter_="provisioningStatusInfo/errorInformation/errorCode ne 'x'").matches(entry)


@pytest.mark.parametrize(
    ("text", "position", "message"),
    [
        ("jobid eq 'x'", 0, "did you mean jobId?"),
        ("jobId eq 'x", 9, "no closing quotation mark"),
        ("jobId eq x", 9, "expected a text in single quotation marks"),
        ("jobId like 'x'", 6, "expected one of eq, ne, gt, ge, lt, le, found 'like'"),
        ("jobId eq 'x' or jobId eq 'y'", 13, "with 'and' only"),
        ("not jobId eq 'x'", 0, "with 'and' only"),
        ("jobId eq 'x' and", 16, "found the end"),
        ("jobId eq", 8, "expected a text, found the end"),
        ("(jobId eq 'x'", 13, "expected ')', found the end"),
        ("jobId eq 'x')", 12, "expected 'and' or the end"),
        ("activityDateTime gt 'yesterday'", 20, "expected a time such as"),
        ("activityDateTime gt 2026-13-01", 20, "expected a time such as"),
        ("contains(activityDateTime, '2026')", 9, "contains is for texts"),
        ("contains(jobId 'x')", 15, "expected ','"),
        ("durationInMilliseconds gt 1.5", 26, "expected a whole number"),
        ("''", 0, "expected a property"),
    ],
)
def test_a_filter_that_is_not_understood_is_refused_at_its_place(text, position, message):
    with pytest.raises(QueryError, match="at character") as refused:
        parse_filter(text)
    assert message in str(refused.value)
    assert refused.value.position == position


@pytest.mark.parametrize(
    ("order", "ascending"),
    [("", False), ("activityDateTime desc", False), ("activityDateTime", True), ("activityDateTime asc", True)],
)
def test_the_order_is_by_time(order, ascending):
    assert LogQuery.parse(order=order).ascending is ascending


@pytest.mark.parametrize("order", ["jobId", "activityDateTime down", "activityDateTime desc, jobId"])
def test_another_order_is_refused(order):
    with pytest.raises(QueryError, match="activityDateTime desc or activityDateTime asc only"):
        LogQuery.parse(order=order)


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("jobId eq 'job'", (None, None)),
        ("activityDateTime gt 1970-01-01T00:00:01Z", (1001, None)),
        ("activityDateTime ge 1970-01-01T00:00:01Z and activityDateTime lt 1970-01-01T00:00:02Z", (1000, 1999)),
        ("activityDateTime eq 1970-01-01T00:00:01Z", (1000, 1000)),
        ("activityDateTime ne 1970-01-01T00:00:01Z", (None, None)),
        ("activityDateTime ge 1970-01-01T00:00:01Z and activityDateTime ge 1970-01-01T00:00:03Z", (3000, None)),
    ],
)
def test_conditions_on_the_time_bound_what_has_to_be_read(text, span):
    assert LogQuery.parse(filter_=text).span == span


def test_a_skip_token_goes_on_with_its_own_query_only():
    query = LogQuery.parse(filter_="jobId eq 'job'")
    token = query.skip_token("here")
    assert LogQuery.parse(filter_="jobId eq 'job'", skip_token=token).position == "here"
    with pytest.raises(QueryError, match="another query"):
        LogQuery.parse(filter_="jobId eq 'other'", skip_token=token)
    with pytest.raises(QueryError, match="another query"):
        LogQuery.parse(filter_="jobId eq 'job'", order="activityDateTime asc", skip_token=token)


@given(st.text(max_size=40))
def test_a_skip_token_that_somebody_made_up_is_refused(text):
    with pytest.raises(QueryError):
        LogQuery.parse(skip_token=text or "x")


@given(st.text(max_size=60))
def test_any_text_is_understood_or_refused(text):
    try:
        conditions = parse_filter(text)
    except QueryError as error:
        assert 0 <= error.position <= len(text)  # noqa: PT017 - both answers are right
    else:
        assert bool(conditions) == bool(text.strip())


NAMES = [name for name, kind in PROPERTIES.items() if kind == "text"]


@given(st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(["eq", "ne", "lt"]), st.text()), min_size=1))
def test_every_text_can_be_asked_for(wanted):
    written = " and ".join(f"{name} {operator} '" + value.replace("'", "''") + "'" for name, operator, value in wanted)
    assert parse_filter(written) == tuple(Condition(*each) for each in wanted)


@pytest.mark.parametrize(("text", "number"), [("1970-01-01", 0), ("1970-01-01T00:00:00.0010000Z", 1)])
def test_times_are_read_as_graph_writes_them(text, number):
    assert milliseconds(text) == number


def test_parentheses_have_a_depth_that_no_filter_needs():
    assert LogQuery.parse(filter_="(" * 50 + "jobId eq 'job'" + ")" * 50).matches(ENTRY)
    with pytest.raises(QueryError, match="nested more than 50 deep, at character 51"):
        LogQuery.parse(filter_="(" * 5_000 + "jobId eq 'job'" + ")" * 5_000)


def test_a_skip_token_of_nothing_but_brackets_is_damaged():
    token = base64.urlsafe_b64encode(b"[" * 100_000).decode()
    with pytest.raises(QueryError, match="damaged"):
        LogQuery.parse(skip_token=token)
