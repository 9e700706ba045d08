"""Reads the members of a JSON object that may be spelled camelCase or PascalCase, and reports what does not fit with
its place. Never raises, whatever JSON it is; knows no meaning of any member.
"""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Collection, Mapping
from typing import Any

from provisioning.schema import enums
from provisioning.schema.findings import Report

MANY_DIGITS = 10**20


def shown(value: Any) -> str:
    """A value for a message, at most a line long."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > MANY_DIGITS:
        return "a number with more than 20 digits"
    short = reprlib.Repr()
    short.maxstring = short.maxother = 60
    short.maxlong = 30
    return short.repr(value)


class Entry:
    """One JSON object, the words for where it stands, and the report that takes what is wrong with it."""

    def __init__(self, value: Mapping[str, Any], where: str, report: Report) -> None:
        self.value = value
        self.where = where
        self.report = report
        self._members: dict[str, Any] = {}
        for name, member in value.items():
            # The camelCase spelling comes first where somebody has written both.
            if name.lower() not in self._members or name[:1].islower():
                self._members[name.lower()] = member

    def at(self, where: str) -> Entry:
        """The same object under other words."""
        return Entry(self.value, where, self.report)

    def get(self, name: str) -> Any:
        return self._members.get(name.lower())

    def error(self, name: str, expected: str) -> None:
        self.report.error(self.where, f"{name} is {shown(self.get(name))}; it must be {expected}")

    def text(self, name: str) -> str | None:
        """None for null, for "" and for what is no text."""
        value = self.get(name)
        if value is None or isinstance(value, str):
            return value or None
        self.error(name, "a string")
        return None

    def name(self, name: str) -> str | None:
        """A text that must be there."""
        value = self.get(name)
        if isinstance(value, str) and value.strip():
            return value.strip()
        self.error(name, "a name")
        return None

    def truth(self, name: str, *, default: bool) -> bool:
        value = self.get(name)
        if value is None:
            return default
        found = enums.truth(value)
        if found is None:
            self.error(name, "true or false")
        return default if found is None else found

    def whole(self, name: str) -> int:
        value = self.get(name)
        if value is None:
            return 0
        found = enums.whole(value)
        if found is None or not 0 <= found < 2**31:
            self.error(name, "a whole number from 0")
            return 0
        return found

    def choice(self, name: str, names: tuple[str, ...]) -> str:
        """The first name is the default."""
        value = self.get(name)
        if value is None or value == "":
            return names[0]
        found = enums.choice(value, names)
        if found is None:
            self.error(name, f"one of {', '.join(names)}")
        return found or names[0]

    def entry(self, name: str) -> Entry | None:
        value = self.get(name)
        if value is None:
            return None
        if not isinstance(value, dict):
            self.error(name, "a JSON object or null")
            return None
        return Entry(value, self.where, self.report)

    def entries(self, name: str) -> list[Entry]:
        """A list of JSON objects; null and absent are an empty one."""
        value = self.get(name)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
            self.report.error(self.where, f"{name} must be a list of JSON objects; it is {shown(value)}")
            return []
        return [Entry(each, self.where, self.report) for each in value]

    def leftovers(self, known: Collection[str]) -> None:
        """Reports members that mean nothing here. OData's annotations are nobody's."""
        names = {name.lower(): name for name in known}
        for name in self.value:
            if self.get(name) is not self.value[name]:
                self.report.warning(
                    self.where,
                    f"{shown(name)} has no effect: the member is there in another spelling too",
                    "remove one",
                )
        unknown = [name for name in self.value if name.lower() not in names and "@" not in name]
        for name in [each for each in unknown if each]:
            near = difflib.get_close_matches(name.lower(), [each for each in names if self.get(each) is None], 1, 0.85)
            if near:
                self.report.warning(
                    self.where, f"{shown(name)} has no effect", f"did you mean {names[near[0]]}? Correct the spelling"
                )
                unknown.remove(name)
        if unknown:
            told = ", ".join(shown(name) for name in unknown[:5]) + (", ..." if len(unknown) > 5 else "")  # noqa: PLR2004
            self.report.note(self.where, f"{told}: kept in the schema, without effect here")
