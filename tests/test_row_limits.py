"""Sizes as Azure Tables counts them, where the stores' common contract cannot show it on Azurite."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioning.adapters import row_limits
from provisioning.errors import RowTooLarge
from provisioning.rows import MAX_ROW_BYTES, Put


def test_a_row_is_counted_by_the_published_formula():
    # 4 bytes, two for each unit of the keys, and for each property 8 + two for each unit of its name + its value:
    # the time stamp has 8 bytes, a text has 4 and two for each unit.
    assert row_limits.row_bytes("pp", "kkk", '{"a":1}') == 4 + 2 * 5 + (8 + 2 * 9 + 8) + (8 + 2 * 2 + 4 + 2 * 7)


@pytest.mark.parametrize("character", ["x", "é", "日", "😀"])
def test_a_row_of_1_mib_is_taken_and_one_unit_more_is_not(character):
    units = row_limits.utf16_units(character)

    def transaction(count):
        return [Put("k", {"t": character * count})]

    count = MAX_ROW_BYTES // 2 // units - 500
    while row_limits.row_bytes("p", "k", row_limits.encode({"t": character * (count + 1)})) <= MAX_ROW_BYTES:
        count += 1
    row_limits.encode_transaction("link", "p", transaction(count))
    with pytest.raises(RowTooLarge):
        row_limits.encode_transaction("link", "p", transaction(count + 1))


@given(st.text(alphabet=st.sampled_from('x"é日😀')), st.integers(1, 3000))
def test_the_pieces_of_a_text_fit_a_property_and_make_the_text(text, times):
    pieces = list(row_limits.split(text * times))
    assert "".join(pieces) == text * times
    assert all(0 < row_limits.utf16_units(piece) <= row_limits.PROPERTY_UNITS for piece in pieces)


@given(st.text(), st.text())
def test_key_bytes_order_keys_by_utf16_unit_and_give_them_back(one, other):
    def in_utf16(key):
        return key.encode("utf-16-be")

    assert row_limits.key_text(row_limits.key_bytes(one)) == one
    assert (row_limits.key_bytes(one) < row_limits.key_bytes(other)) == (in_utf16(one) < in_utf16(other))
