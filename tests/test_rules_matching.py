"""Which record is the object's own: the one that is equal to the letter, or none at all."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioning.errors import ObjectError
from provisioning.rules.mapping import Key
from provisioning.rules.matching import choose_match, resembling


def key(value: str) -> Key:
    return Key((("user_name", value),))


def records(*names: str) -> list[dict[str, str]]:
    return [{"sys_id": f"id{number}", "user_name": name} for number, name in enumerate(names)]


@pytest.mark.parametrize(
    ("value", "hits", "found"),
    [
        ("ada", records(), None),
        ("ada", records("ada"), "id0"),
        ("ada", records("Ada", "ada"), "id1"),
        ("müller", records("muller", "müller", "MÜLLER"), "id1"),
    ],
)
def test_the_one_exact_hit_is_the_match(value, hits, found):
    chosen = choose_match(key(value), hits)
    assert (chosen.record["sys_id"] if chosen else None) == found


@pytest.mark.parametrize("resembling", ["Ada", "ADA", "àda", "ada ", ""])
def test_a_hit_that_is_not_equal_to_the_letter_is_a_conflict_and_not_a_match(resembling):
    with pytest.raises(ObjectError) as raised:
        choose_match(key("ada"), records(resembling))
    assert raised.value.code == "Conflict"
    assert "id0" in str(raised.value)
    assert raised.value.way_out


def test_a_hit_whose_key_may_not_be_read_is_no_match():
    with pytest.raises(ObjectError) as raised:
        choose_match(key("ada"), [{"sys_id": "id0"}])
    assert raised.value.code == "Conflict"


def test_several_exact_hits_name_the_first_five():
    with pytest.raises(ObjectError) as raised:
        choose_match(key("ada"), records(*["ada"] * 7))
    assert raised.value.code == "DuplicateTargetEntries"
    assert "7 records" in str(raised.value)
    assert "id4" in str(raised.value)
    assert "id5" not in str(raised.value)


SPELLINGS = ("ada", "Ada", "ADA", "ádá", unicodedata.normalize("NFD", "ádá"), "adä", "")


@given(st.sampled_from(SPELLINGS), st.lists(st.sampled_from(SPELLINGS), max_size=4))
def test_a_match_is_always_equal_and_the_only_one(value, names):
    try:
        chosen = choose_match(key(value), records(*names))
    except ObjectError:
        assert names.count(value) != 1
    else:
        assert (chosen is None) == (names == [])
        assert chosen is None or (chosen.record["user_name"] == value and names.count(value) == 1)


# --- Keys of several columns, and records with the same key ---------------------------------------

PAIR = Key((("employee_number", "7"), ("company", "fabrikam")))


def pair(sys_id: str, number: str, company: str, active: str = "true") -> dict[str, str]:
    return {"sys_id": sys_id, "employee_number": number, "company": company, "active": active}


def test_a_composite_key_matches_what_agrees_in_every_part():
    hits = [pair("a", "7", "contoso"), pair("b", "7", "fabrikam")]
    assert [hit["sys_id"] for hit in resembling(PAIR, hits)] == ["b"]
    assert choose_match(PAIR, resembling(PAIR, hits)).record["sys_id"] == "b"


def test_a_part_that_differs_in_case_or_accents_only_is_a_conflict():
    found = resembling(PAIR, [pair("a", "7", "Fàbrikam")])
    with pytest.raises(ObjectError) as raised:
        choose_match(PAIR, found)
    assert raised.value.code == "Conflict"
    assert "employee_number and company" in str(raised.value)


ACTIVE_FIRST = (("active", "true"),)


def test_an_active_account_comes_before_inactive_ones_with_the_same_key():
    hits = [
        pair("old", "7", "fabrikam", "false"),
        pair("now", "7", "fabrikam"),
        pair("older", "7", "fabrikam", "false"),
    ]
    chosen = choose_match(PAIR, hits, ACTIVE_FIRST)
    assert (chosen.record["sys_id"], chosen.others) == ("now", ("old", "older"))


@pytest.mark.parametrize("states", [("true", "true"), ("false", "false"), ("true", "true", "false")])
def test_without_a_single_preferred_record_nothing_is_chosen(states):
    hits = [pair(f"r{number}", "7", "fabrikam", state) for number, state in enumerate(states)]
    with pytest.raises(ObjectError) as raised:
        choose_match(PAIR, hits, ACTIVE_FIRST)
    assert raised.value.code == "DuplicateTargetEntries"


def test_the_only_record_matches_although_it_is_inactive():
    assert choose_match(PAIR, [pair("old", "7", "fabrikam", "false")], ACTIVE_FIRST).record["sys_id"] == "old"
