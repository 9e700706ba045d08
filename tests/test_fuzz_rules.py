"""Texts that people write: expressions, patterns, scoping filters, filters of the log. Whatever is written, and
whatever value it meets, there is a result or an error that points at the text, within a bounded time.
"""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime
from time import process_time
from typing import get_args

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from provisioning.errors import ConfigError, ObjectError, QueryError
from provisioning.expressions import ExpressionError, Tenant, compile  # noqa: A004 - as in re.compile
from provisioning.expressions.printer import printed
from provisioning.expressions.regexes import TIME_LIMIT, compile_pattern
from provisioning.rules.attributes import Facts
from provisioning.rules.filters import failed_filters
from provisioning.rules.log_query import RESOURCES, LogQuery
from provisioning.rules.restart import parse_scopes
from provisioning.schema.mappings import FilterGroup, Operator
from provisioning.schema.scope import read_clause
from tests.fuzzing import SEEDS, spoilt, trying
from tests.mappings import person
from tests.test_expression_laws import sensible, values

NOW = datetime(2026, 11, 30, 10, tzinfo=UTC)
SECONDS = 20 * TIME_LIMIT + 1.0
"""For one evaluation: some operations on patterns, each within its limit."""
SLOW = (
    "(a+)+$",
    "(a|aa)+$",
    "(.*a){20}",
    r"(\w+\s?)*$",
    "(x+x+)+y",
    "a{0,300}{0,300}b",
    "(?=(a+)+b)a",
    r"^(([a-z])+.)+[A-Z]$",
)
LONG = ("a" * 200 + "!", "x" * 400, "a " * 300 + "!", "\u0130" * 200)
INSERTED = (
    *"()[],\"'\\=<>&-;{}\x00\ud800\u202e\u0661",
    '""',
    "[a]",
    "IIF(",
    "Replace(",
    '"(a+)+$"',
    "9" * 400,
    "(" * 200,
    "\\u",
)
OPERATORS: tuple[str, ...] = get_args(Operator)
NAMES = (
    "department",
    "memberOf",
    "appRoleAssignments",
    "manager",
    "employeeHireDate",
    "accountEnabled",
    "x",
    "",
    "mail",
)
OPERANDS = (
    *SLOW,
    *LONG,
    "",
    "1",
    "9" * 30,
    "2026-03-02",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00",
    "\ud800",
    "[",
    "(?<n",
)


def changed(text: str, chance: random.Random) -> str:
    """The text with a few places cut out, doubled, exchanged or filled with something of the language."""
    for _ in range(chance.randint(1, 4)):
        one, other = sorted((chance.randrange(len(text) + 1), chance.randrange(len(text) + 1)))
        piece = text[one:other]
        text = text[:one] + chance.choice(("", piece * 2, piece[::-1], chance.choice(INSERTED))) + text[other:]
        text = text[:20_000]
    return text


@trying(250)
@given(sensible, st.dictionaries(st.sampled_from("abc"), values), st.booleans(), SEEDS)
def test_a_changed_expression_is_refused_or_evaluated_within_its_time(tree, attributes, strict, seed):
    chance = random.Random(seed)
    text = changed(printed(tree), chance)
    attributes = {
        name: chance.choice((value, spoilt(value, chance), *LONG, *SLOW)) for name, value in attributes.items()
    }
    began = process_time()
    try:
        found = compile(text, strict=strict).evaluate(attributes, now=NOW, tenant=Tenant("contoso.com"))
    except ExpressionError as error:
        assert error.message in str(error)  # noqa: PT017 - either outcome is right
    else:
        str(found)
    assert process_time() - began < SECONDS


@trying(20)
@given(st.sampled_from(SLOW), st.sampled_from(LONG), st.sampled_from(["search", "replace"]))
def test_no_pattern_takes_longer_than_its_limit(pattern, value, verb):
    began = process_time()
    try:
        found = compile_pattern(pattern)
        found.search(value) if verb == "search" else found.replace(value, "$&$&")
    except ExpressionError as error:
        assert error.message  # noqa: PT017 - either outcome is right
    assert process_time() - began < TIME_LIMIT + 1.0


@trying(250)
@given(
    st.sampled_from([*NAMES, "\u0661"]),
    st.sampled_from([*OPERATORS, "LIKE"]),
    st.one_of(st.sampled_from(OPERANDS), st.text(max_size=20)),
    st.sampled_from(["user", "group"]),
    st.one_of(values, st.sampled_from(OPERANDS)),
)
def test_a_clause_is_refused_or_judges_whatever_the_object_holds(name, operator, operand, kind, value):
    try:
        clause = read_clause(f"{name} {operator} {operand}", kind)
    except ConfigError as error:
        assert str(error)  # noqa: PT017 - either outcome is right
        return
    if clause.attribute == "manager":
        value = {"id": str(value)}  # or null: the adapter for Graph knows no other
    facts = Facts(person(**{clause.attribute: value}), roles=({"id": "r", "value": value, "displayName": value},))
    began = process_time()
    try:
        failed_filters((FilterGroup("f", (clause,)),), facts)
    except ObjectError as error:
        assert error.way_out  # noqa: PT017 - either outcome is right
    assert process_time() - began < 20.0


@trying(150)
@given(st.text(max_size=40), st.sampled_from(["user", "group"]))
def test_no_text_crashes_the_reading_of_a_clause(text, kind):
    try:
        read_clause(text, kind)
    except ConfigError as error:
        assert str(error)  # noqa: PT017 - either outcome is right


PIECES = st.sampled_from(
    [
        *sorted(RESOURCES["provisioningObjectSummary"]), *sorted(RESOURCES["directoryAudit"]),
        *("eq", "ne", "gt", "ge", "lt", "le", "and", "or", "not", "contains", "startswith", "contains(jobId,'x')"),
        *("(", ")", ",", "'", "'x'", "''''", "jobId eq 'x'", "(jobId eq 'x')", "activityDateTime gt 2026-01-31"),
        *("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-02-30", "5", "9" * 5_000, "\ud800", "\x00"),
    ]
)  # fmt: skip


@trying(250)
@given(
    st.lists(PIECES, max_size=9).map(" ".join),
    st.one_of(st.text(max_size=12), st.sampled_from(["activityDateTime asc", "activityDateTime"])),
    st.one_of(st.just(""), st.text(max_size=12), st.binary(max_size=12).map(str)),
    st.sampled_from(["provisioningObjectSummary", "directoryAudit"]),
    SEEDS,
)
@example("(" * 10_000, "", "", "directoryAudit", 0)
def test_no_filter_of_the_log_crashes_its_reading_or_an_entry(filter_, order, token, resource, seed):
    entry = {
        "activityDateTime": "2026-01-31T08:00:00Z", "durationInMilliseconds": 12, "jobId": "x",
        "sourceIdentity": {"id": "s", "displayName": "x"}, "initiatedBy": {"user": {"displayName": "x"}},
    }  # fmt: skip
    try:
        query = LogQuery.parse(filter_=filter_, order=order, skip_token=token, resource=resource)
    except QueryError as error:
        assert str(error)  # noqa: PT017 - either outcome is right
        return
    query.matches(entry)
    query.position_in(query.skip_token(str(seed)))
    assert json.dumps(query.span)


@trying(150)
@given(
    st.one_of(st.text(max_size=30), st.lists(st.sampled_from(["Full", "none", "Escrows", ",", " ", "x"])).map("".join))
)
def test_no_reset_scope_crashes(text):
    try:
        assert parse_scopes(text)
    except ConfigError as error:
        assert str(error)  # noqa: PT017 - either outcome is right


DEEP = json.loads("[" * 480 + '"x"' + "]" * 480)
"""Python reads it; what then goes through it level by level may not get to its end."""


@pytest.mark.parametrize(
    "text", ["[a]", 'Join(",", [a])', "ToUpper([a])", 'IIF([a]="x","y",[a])', "RemoveDuplicates([a])", "Count([a])"]
)
def test_a_value_that_is_nested_very_deeply_is_an_error_of_the_expression_or_a_result(text):
    try:
        compile(text).evaluate({"a": DEEP}, now=NOW)
    except ExpressionError as error:
        assert error.message  # noqa: PT017 - either outcome is right


def test_a_value_that_is_nested_very_deeply_is_no_reason_to_be_out_of_scope():
    clause = read_clause("department EQUALS x", "user")
    with pytest.raises(ObjectError, match="nested too deeply"):
        failed_filters((FilterGroup("f", (clause,)),), Facts(person(department=DEEP)))
