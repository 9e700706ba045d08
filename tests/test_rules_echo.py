"""What an instance made of a write, told by the names of the fields."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioning.model import Create, Decision, Disable, Refused, Remove, Skip, Unsettled, Update, Written
from provisioning.rules.echo import altered, is_held, warnings_of


def told(sent: str, now: str | None, before: str = "") -> tuple[str, ...]:
    record = {"sys_id": "s1"} if now is None else {"sys_id": "s1", "title": now}
    return warnings_of(Decision("user:u1", Update("s1", {"title": sent}, {"title": before})), Written(record))


def test_a_value_that_was_stored_as_sent_is_no_news():
    assert told("Analyst", "Analyst") == ()


def test_a_field_that_may_not_be_read_is_not_told():
    assert told("Analyst", None) == ()


@pytest.mark.parametrize(
    ("sent", "now", "before", "reason"),
    [
        ("x" * 61, "x" * 60, "", "title: ServiceNow keeps 60 of the 61 characters"),
        ("Chief", "Analyst", "Analyst", "title: ServiceNow answered success and did not store the value"),
        ("Chief", "", "", "title: ServiceNow answered success and did not store the value"),
        ("chief", "Chief", "", "title: ServiceNow stored another value"),
    ],
)
def test_what_became_of_a_value_is_told_by_the_fields_name(sent, now, before, reason):
    (warning,) = told(sent, now, before)
    assert warning.startswith(reason)


def test_a_created_record_had_nothing_before():
    decision = Decision("user:u1", Create("s1", 0, {"title": "Chief", "city": "Oslo"}))
    (warning,) = warnings_of(decision, Written({"sys_id": "s1", "title": "", "city": "Oslo"}))
    assert warning.startswith("title: ServiceNow answered success and did not store")


@pytest.mark.parametrize("outcome", [None, Refused("Conflict", "m", "w"), Unsettled("r")])
def test_where_nothing_was_written_nothing_is_told(outcome):
    assert warnings_of(Decision("user:u1", Update("s1", {"title": "a"}, {})), outcome) == ()


@pytest.mark.parametrize("action", [Remove("s1", {"title": "a"}), Skip("RedundantExport", "")])
def test_what_sends_no_fields_has_none_altered(action):
    assert warnings_of(Decision("user:u1", action), Written({"title": "b"})) == ()


FIELDS = st.dictionaries(st.sampled_from(["title", "city", "phone"]), st.text(max_size=6), max_size=3)


@given(FIELDS, FIELDS)
def test_a_warning_names_each_altered_field_and_repeats_no_value(sent, record):
    decision = Decision("user:u1", Disable("s1", sent, {}))
    found = warnings_of(decision, Written(record))
    assert [text.partition(":")[0] for text in found] == sorted(altered(sent, record))
    secret = {name: "geheim-" + value for name, value in sent.items()}
    found = warnings_of(Decision("user:u1", Disable("s1", secret, {})), Written(record))
    assert not any("geheim" in text for text in found)


@pytest.mark.parametrize(
    ("sent", "stored", "max_length", "held"),
    [
        ("Analyst", "Analyst", 0, True),
        ("Analyst", "Analys", 6, True),
        ("Analyst", "Analys", 0, False),  # nobody knows that it is a cut
        ("Analyst", "Analys", 7, False),  # there was room for all of it
        ("Analyst", "Analy", 6, False),
        ("Analyst", "analys", 6, False),
        ("Analyst", "", 6, False),
        ("", "", 6, True),
        ("", "Analyst", 6, False),
        ("ab", "abc", 2, False),
        ("Åsa😀😀", "Åsa😀", 4, True),  # characters are counted
        ("Åsa😀😀", "Åsa😀", 5, True),  # UTF-16 units are counted
        ("Åsa😀😀", "Åsa😀", 6, True),  # units, and no half of a pair is kept
        ("Åsa😀😀", "Åsa😀", 7, False),
        ("Åsa😀xx", "Åsa😀", 6, False),
    ],
)
def test_a_value_that_a_column_cut_counts_as_held(sent, stored, max_length, held):
    assert is_held(sent, stored, max_length) is held


@given(st.text(min_size=1, max_size=12), st.integers(1, 14))
def test_whatever_a_column_cuts_by_characters_is_held_and_what_was_there_before_is_not(sent, max_length):
    assert is_held(sent, sent[:max_length], max_length)
    before = "\x00" + sent
    assert not is_held(sent, before[: max_length + 1], max_length)
