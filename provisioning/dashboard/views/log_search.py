"""What a person searches the log for, by the fields of a form. Pure; who is meant by a name others have to find out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from urllib.parse import urlencode

from provisioning.errors import QueryError
from provisioning.rules.log_query import Condition, LogQuery, milliseconds

ADDRESS = "/dashboard/logs"
STATUSES = {"success": "Success", "failure": "Failure", "skipped": "Skipped", "warning": "Warning"}
ACTIONS = {
    "create": "Create",
    "update": "Update",
    "disable": "Disable",
    "delete": "Delete",
    "stagedDelete": "Held",
    "other": "Other",
}
PROPERTIES = {
    "status": "provisioningStatusInfo/status",
    "action": "provisioningAction",
    "code": "provisioningStatusInfo/errorInformation/errorCode",
    "cycle": "cycleId",
}
TIME = "activityDateTime"


@dataclass(frozen=True, slots=True)
class Search:
    """Each "" asks for nothing. `who` is a name or an id, `since` and `until` are days."""

    who: str = ""
    status: str = ""
    action: str = ""
    code: str = ""
    cycle: str = ""
    since: str = ""
    until: str = ""

    def conditions(self) -> Iterator[Condition]:
        """All but `who`. Raises `QueryError` for a day that is none."""
        given = {name: getattr(self, name) for name in PROPERTIES}
        yield from (Condition(PROPERTIES[name], "eq", value) for name, value in given.items() if value)
        if self.since:
            yield Condition(TIME, "ge", milliseconds(_day(self.since).isoformat()))
        if self.until:
            yield Condition(TIME, "lt", milliseconds((_day(self.until) + timedelta(days=1)).isoformat()))

    def query(self, more: tuple[Condition, ...], top: int, token: str) -> LogQuery:
        """With what `who` means. Raises `QueryError`."""
        query = LogQuery((*self.conditions(), *more), top=top)
        return LogQuery(query.conditions, top=top, position=query.position_in(token)) if token else query

    @property
    def given(self) -> dict[str, str]:
        return {name: value for name in self.__slots__ if (value := getattr(self, name))}

    def address(self, path: str = ADDRESS, **more: str) -> str:
        asked = {**self.given, **more}
        return f"{path}?{urlencode(asked)}" if asked else path


def search_of(query: Mapping[str, str]) -> Search:
    return Search(**{name: query.get(name, "").strip() for name in Search.__slots__})


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise QueryError(f"{text!r} is no day: write 2026-01-31") from None
