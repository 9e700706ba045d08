"""Which record is the object's own: the one that is equal to the letter, or none at all."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioning.errors import ObjectError
from provisioning.rules.matching import choose_match


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
    record = choose_match("user_name", value, hits)
    assert (record["sys_id"] if record else None) == found


@pytest.mark.parametrize("resembling", ["Ada", "ADA", "àda", "ada ", ""])
def test_a_hit_that_is_not_equal_to_the_letter_is_a_conflict_and_not_a_match(resembling):
    with pytest.raises(ObjectError) as raised:
        choose_match("user_name", "ada", records(resembling))
    assert raised.value.code == "Conflict"
    assert "id0" in str(raised.value)
    assert raised.value.way_out


def test_a_hit_whose_key_may_not_be_read_is_no_match():
    with pytest.raises(ObjectError) as raised:
        choose_match("user_name", "ada", [{"sys_id": "id0"}])
    assert raised.value.code == "Conflict"


def test_several_exact_hits_name_the_first_five():
    with pytest.raises(ObjectError) as raised:
        choose_match("user_name", "ada", records(*["ada"] * 7))
    assert raised.value.code == "DuplicateTargetEntries"
    assert "7 records" in str(raised.value)
    assert "id4" in str(raised.value)
    assert "id5" not in str(raised.value)


SPELLINGS = ("ada", "Ada", "ADA", "ádá", unicodedata.normalize("NFD", "ádá"), "adä", "")


@given(st.sampled_from(SPELLINGS), st.lists(st.sampled_from(SPELLINGS), max_size=4))
def test_a_match_is_always_equal_and_the_only_one(value, names):
    try:
        record = choose_match("user_name", value, records(*names))
    except ObjectError:
        assert names.count(value) != 1
    else:
        assert (record is None) == (names == [])
        assert record is None or (record["user_name"] == value and names.count(value) == 1)
