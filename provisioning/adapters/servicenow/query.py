"""Questions to the Table API: which records hold one of these values. Builds the encoded queries and their addresses,
short enough for every proxy, and judges the rows that come back, because an instance drops the parts of a filter it
does not understand and answers with everybody. Knows no transport.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterable, Iterator, Sequence
from urllib.parse import quote

from msgspec import Struct, structs

from provisioning.errors import Unauthorized, Unavailable
from provisioning.model import Record
from provisioning.rules.comparison import loose

LONGEST_URL = 1_900
"""Of the path and query; with the host it stays under 2,000 characters."""
LONGEST_VALUE = 1_000
MOST_ROWS = 10_000
"""What an instance gives where no limit is asked for."""
_SHORTEST_ROOM = 300

_PLAIN = "@._-~:/"  # need no escape in a query string
_OPERATOR_CHARACTERS = frozenset(",=<>!*%^")


def refusal(value: str) -> str | None:
    """Why this value cannot be looked up, or None. `find` leaves such values out of its answer, so ask this first:
    otherwise "cannot be asked for" looks like "not there".
    """
    if not value.strip():
        return "is empty: an empty value would match every record without one"
    if value.lstrip().lower().startswith("javascript:"):
        return "begins with javascript:, which ServiceNow would run as a script"
    if value.strip().lower() == "null":
        return "is NULL, which ServiceNow takes for empty"
    if len(value) > LONGEST_VALUE:
        return f"is longer than {LONGEST_VALUE} characters"
    if not value.isprintable():
        for character in value:
            if unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"}:
                return f"holds the control character U+{ord(character):04X}"
    return None


class Lookup(Struct, frozen=True):
    """One GET: the records of a table whose field holds one of the values and, where given, another field one value."""

    table: str
    field: str
    values: tuple[str, ...]
    fields: tuple[str, ...]
    given: tuple[str, str] | None = None
    rows_each: int = 4

    @property
    def limit(self) -> int:
        """Room for duplicates. A full answer may be a cut one."""
        return self.rows_each * len(self.values) + 20

    @property
    def url(self) -> str:
        return f"{self._before_values()}{any_of(self.field, self.values)}{self._after_values()}"

    def _before_values(self) -> str:
        given = f"{self.given[0]}%3D{_escaped(self.given[1])}%5E" if self.given else ""
        return f"/api/now/table/{self.table}?sysparm_query={given}"

    def _after_values(self) -> str:
        fields = f"&sysparm_fields={','.join(self.fields)}" if self.fields else ""
        return (
            f"{fields}&sysparm_display_value=false&sysparm_exclude_reference_link=true"
            f"&sysparm_suppress_pagination_header=true&sysparm_no_count=true&sysparm_limit={self.limit}"
        )

    @property
    def narrower(self) -> tuple[Lookup, ...]:
        """What to ask where the answer may have been cut: half the values each, or for one value more rows; nothing
        where that is as many as an instance gives.
        """
        if len(self.values) > 1:
            middle = len(self.values) // 2
            first, second = self.values[:middle], self.values[middle:]
            return structs.replace(self, values=first), structs.replace(self, values=second)
        if self.limit >= MOST_ROWS:
            return ()
        return (structs.replace(self, rows_each=min(self.rows_each * 10, MOST_ROWS)),)

    def checked(self, rows: Iterable[Record]) -> Iterator[Record]:
        """The rows that were asked for. Raises `Unavailable` on the first that was not."""
        asked = frozenset(map(loose, self.values))
        for row in rows:
            if (value := row.get(self.field)) is None or "sys_id" not in row:
                raise Unauthorized(
                    f"rows of {self.table} come without {self.field} or sys_id. Let the integration user read these "
                    "fields: without them nothing can be matched safely",
                    code="InsufficientRights",
                )
            if self.given and not value:
                continue  # membership rows may be blank on one side
            if loose(value) not in asked or (self.given and loose(row.get(self.given[0], "")) != loose(self.given[1])):
                raise Unavailable(
                    f"the instance returned rows of {self.table} that nobody asked for: it dropped the filter on "
                    f"{self.field}. Nothing was matched. Check that the integration user may query this field, and set "
                    "glide.invalid_query.returns_no_rows to true",
                    code="InternalServerError",
                )
            yield row


def lookups(
    table: str,
    field: str,
    values: Collection[str],
    fields: Collection[str],
    given: tuple[str, str] | None = None,
    rows_each: int = 4,
) -> Iterator[Lookup]:
    """As few lookups as fit the length of a URL, for values without a refusal."""
    names = tuple(dict.fromkeys(("sys_id", field, *((given[0],) if given else ()), *fields))) if fields else ()
    empty = Lookup(table, field, (), names, given, rows_each)
    room = max(LONGEST_URL - len(empty.url) - 8, _SHORTEST_ROOM)
    in_list: list[str] = []
    one_by_one: list[str] = []
    for value in dict.fromkeys(values):
        (in_list if _fits_in_list(value) else one_by_one).append(value)
    for group, each in ((in_list, 1), (one_by_one, len(field) + 8)):
        for packed in _packed(group, room, each):
            yield structs.replace(empty, values=packed)


def any_of(field: str, values: Sequence[str]) -> str:
    """The condition, as part of an address, that the field equals one of the values."""
    if len(values) > 1 and all(map(_fits_in_list, values)):
        return f"{field}IN{','.join(map(_escaped, values))}"
    return "%5EOR".join(f"{field}%3D{_escaped(value)}" for value in values)


def _packed(values: Iterable[str], room: int, each: int) -> Iterator[tuple[str, ...]]:
    packed: list[str] = []
    length = 0
    for value in values:
        size = len(_escaped(value)) + each
        if packed and length + size > room:
            yield tuple(packed)
            packed, length = [], 0
        packed.append(value)
        length += size
    if packed:
        yield tuple(packed)


def _fits_in_list(value: str) -> bool:
    """IN knows no escape for a comma, and what it does with blanks at the ends is not told."""
    return _OPERATOR_CHARACTERS.isdisjoint(value) and value == value.strip()


def _escaped(value: str) -> str:
    """A literal caret is doubled: a single one would begin another condition."""
    return quote(value.replace("^", "^^"), safe=_PLAIN)
