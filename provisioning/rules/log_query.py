"""Queries of the logs in OData, as Microsoft Graph takes them at /auditLogs/provisioning and directoryAudits. Pure.

`$filter` knows eq, ne, gt, ge, lt, le, contains, startswith, `and` and parentheses over the properties in `RESOURCES`;
values are compared with case, as Entra does. `$orderby` is by activityDateTime. This module does not know where entries
are kept; it says which span of time and which object a query is limited to, so that whoever reads need not read all.
"""

from __future__ import annotations

import base64
import binascii
import difflib
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, Self

from provisioning.errors import QueryError

Kind = Literal["text", "time", "number"]
Operator = Literal["eq", "ne", "gt", "ge", "lt", "le", "contains", "startswith"]

Resource = Literal["provisioningObjectSummary", "directoryAudit"]

PROPERTIES: Mapping[str, Kind] = {
    "activityDateTime": "time",
    "durationInMilliseconds": "number",
    **dict.fromkeys(
        (
            *("id", "tenantId", "jobId", "cycleId", "changeId", "provisioningAction"),
            *(
                f"provisioningStatusInfo/{name}"
                for name in ("status", "errorInformation/errorCode", "errorInformation/errorCategory")
            ),
            *(f"{part}/{name}" for part in ("sourceIdentity", "targetIdentity") for name in ("id", "displayName")),
            *(f"{part}/{name}" for part in ("sourceSystem", "targetSystem") for name in ("id", "displayName")),
            *("sourceIdentity/identityType", "targetIdentity/identityType"),
            *("servicePrincipal/id", "servicePrincipal/displayName"),
            *("initiatedBy/id", "initiatedBy/displayName", "initiatedBy/initiatorType"),
        ),
        "text",
    ),
}
RESOURCES: Mapping[Resource, Mapping[str, Kind]] = {
    "provisioningObjectSummary": PROPERTIES,
    "directoryAudit": {
        "activityDateTime": "time",
        **dict.fromkeys(
            (
                *("id", "category", "correlationId", "result", "activityDisplayName", "loggedByService"),
                *("operationType", "initiatedBy/user/displayName", "initiatedBy/app/displayName"),
            ),
            "text",
        ),
    },
}
COMPARISONS: Mapping[str, Operator] = {"eq": "eq", "ne": "ne", "gt": "gt", "ge": "ge", "lt": "lt", "le": "le"}
FUNCTIONS: Mapping[str, Operator] = {"contains": "contains", "startswith": "startswith"}
ORDERED_BY = "activityDateTime"
DEEPEST = 50
_TOKEN = re.compile(r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<word>[^\s(),']+)|(?P<mark>[(),]))")


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison. A `time` is in milliseconds since 1970, as entries are told apart."""

    property: str
    operator: Operator
    value: str | int

    def holds(self, entry: Mapping[str, Any]) -> bool:
        """Whether an entry satisfies it; a property that the entry does not have equals nothing."""
        found = _value(entry, self.property)
        if found is None:
            return self.operator == "ne"
        if isinstance(found, str) and isinstance(self.value, int):
            found = milliseconds(found)
        match self.operator, found, self.value:
            case "eq", _, _:
                return bool(found == self.value)
            case "ne", _, _:
                return bool(found != self.value)
            case "contains", str(), str():
                return self.value in found
            case "startswith", str(), str():
                return found.startswith(self.value)
            case "gt", _, _:
                return bool(found > self.value)
            case "ge", _, _:
                return bool(found >= self.value)
            case "lt", _, _:
                return bool(found < self.value)
            case _:
                return bool(found <= self.value)


@dataclass(frozen=True, slots=True)
class LogQuery:
    """What is asked for: all `conditions` hold, newest first unless `ascending`, at most `top`, from `position` on.

    `position` is the key of the last entry of the page before, as the reader of the log has named it.
    """

    conditions: tuple[Condition, ...] = ()
    ascending: bool = False
    top: int = 100
    position: str = ""

    @classmethod
    def parse(
        cls,
        *,
        filter_: str = "",
        order: str = "",
        top: int = 100,
        skip_token: str = "",
        resource: Resource = "provisioningObjectSummary",
    ) -> Self:
        """Raises `QueryError`, with the place in the text, for what is malformed or not supported."""
        query = cls(parse_filter(filter_, resource), ascending=_is_ascending(order), top=top)
        return cls(query.conditions, query.ascending, top, query.position_in(skip_token)) if skip_token else query

    def matches(self, entry: Mapping[str, Any]) -> bool:
        return all(condition.holds(entry) for condition in self.conditions)

    @property
    def span(self) -> tuple[int | None, int | None]:
        """The first and the last millisecond that an entry may have; None where nothing limits it."""
        first: int | None = None
        last: int | None = None
        for condition in self.conditions:
            if condition.property != ORDERED_BY or not isinstance(condition.value, int):
                continue
            value = condition.value
            if condition.operator in {"eq", "ge", "gt"}:
                lower = value + (condition.operator == "gt")
                first = lower if first is None else max(first, lower)
            if condition.operator in {"eq", "le", "lt"}:
                upper = value - (condition.operator == "lt")
                last = upper if last is None else min(last, upper)
        return first, last

    def only(self, name: str) -> str | None:
        """The one value that a property must have, if a condition says so."""
        wanted = (c.value for c in self.conditions if c.property == name and c.operator == "eq")
        return next((value for value in wanted if isinstance(value, str)), None)

    def skip_token(self, position: str) -> str:
        """An opaque token that goes on behind `position`; good for this same filter and order only."""
        text = json.dumps([position, self._seal(position)], separators=(",", ":"))
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    def position_in(self, token: str) -> str:
        """The position that a token holds. Raises `QueryError` for one that was not made for this filter and order."""
        try:
            text = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
            position, seal = json.loads(text)
        except (binascii.Error, ValueError, TypeError, RecursionError) as error:
            raise QueryError("$skiptoken is damaged: take it from @odata.nextLink unchanged") from error
        if not isinstance(position, str) or seal != self._seal(position):
            raise QueryError(
                "$skiptoken belongs to another query: repeat $filter and $orderby unchanged, or start without it"
            )
        return position

    def _seal(self, position: str) -> str:
        asked = [[c.property, c.operator, c.value] for c in self.conditions]
        return hashlib.sha256(json.dumps([asked, self.ascending, position]).encode()).hexdigest()[:16]


def milliseconds(text: str) -> int:
    """Since 1970, of a time in ISO 8601; without a zone it is UTC. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1000)


def parse_filter(text: str, resource: Resource = "provisioningObjectSummary") -> tuple[Condition, ...]:
    """The conditions that must all hold. Raises `QueryError` with the place where the text cannot be understood."""
    if not text.strip():
        return ()
    reader = _Reader(text, resource)
    conditions = reader.conjunction()
    reader.expect_end()
    return tuple(conditions)


class _Reader:
    """Reads a filter from left to right."""

    def __init__(self, text: str, resource: Resource) -> None:
        self._text = text
        self._resource = resource
        self._properties = RESOURCES[resource]
        self._tokens: list[tuple[str, int]] = []
        self._next = self._depth = 0
        position = 0
        while text[position:].strip():
            found = _TOKEN.match(text, position)
            if found is None:
                position += len(text[position:]) - len(text[position:].lstrip())
                raise QueryError("a text has no closing quotation mark (two of them stand for one)", position)
            self._tokens.append((found[found.lastgroup or 0], found.start(found.lastgroup or 0)))
            position = found.end()

    def conjunction(self) -> list[Condition]:
        conditions = self._term()
        while self._peek() == "and":
            self._take()
            conditions += self._term()
        return conditions

    def expect_end(self) -> None:
        if (token := self._peek()) is not None:
            hint = "; Graph combines conditions with 'and' only" if token in {"or", "not"} else ""
            raise self._error(f"expected 'and' or the end, found {token!r}{hint}")

    def _term(self) -> list[Condition]:
        token = self._peek()
        if token == "(":  # noqa: S105 - a parenthesis
            if self._depth == DEEPEST:
                raise self._error(f"parentheses are nested more than {DEEPEST} deep")
            self._take()
            self._depth += 1
            inner = self.conjunction()
            self._depth -= 1
            self._mark(")")
            return inner
        if token is not None and token in FUNCTIONS:
            return [self._function(FUNCTIONS[token])]
        name = self._property()
        word = self._peek()
        operator = COMPARISONS.get(word or "")
        if operator is None:
            raise self._error(f"expected one of {', '.join(COMPARISONS)}, found {_shown(word)}")
        self._take()
        return [Condition(name, operator, self._literal(self._properties[name]))]

    def _function(self, name: Operator) -> Condition:
        self._take()
        self._mark("(")
        wanted = self._property()
        if self._properties[wanted] != "text":
            self._next -= 1
            raise self._error(f"{name} is for texts, and {wanted} is a {self._properties[wanted]}")
        self._mark(",")
        value = self._literal("text")
        self._mark(")")
        return Condition(wanted, name, value)

    def _property(self) -> str:
        token = self._peek()
        if token is None or token not in self._properties:
            near = difflib.get_close_matches(token or "", self._properties, n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]}?" if near else ""
            if token in {"not", "or"}:
                hint = "; Graph combines conditions with 'and' only"
            raise self._error(f"expected a property of {self._resource}, found {_shown(token)}{hint}")
        self._take()
        return token

    def _literal(self, kind: Kind) -> str | int:
        token = self._peek()
        if token is None:
            raise self._error(f"expected a {kind}, found the end")
        match kind:
            case "text":
                if not token.startswith("'"):
                    raise self._error(f"expected a text in single quotation marks, found {token!r}")
                self._take()
                return token[1:-1].replace("''", "'")
            case "time":
                try:
                    value = milliseconds(token)
                except ValueError:
                    raise self._error(f"expected a time such as 2026-01-31T08:00:00Z, found {token!r}") from None
            case "number":
                if not re.fullmatch(r"-?[0-9]{1,18}", token):
                    raise self._error(f"expected a whole number, found {token!r}")
                value = int(token)
        self._take()
        return value

    def _mark(self, mark: str) -> None:
        if self._peek() != mark:
            raise self._error(f"expected {mark!r}, found {_shown(self._peek())}")
        self._take()

    def _peek(self) -> str | None:
        return self._tokens[self._next][0] if self._next < len(self._tokens) else None

    def _take(self) -> None:
        self._next += 1

    def _error(self, message: str) -> QueryError:
        place = self._tokens[self._next][1] if self._next < len(self._tokens) else len(self._text)
        return QueryError(message, place)


def _is_ascending(order: str) -> bool:
    match order.split():
        case [] | ["activityDateTime", "desc"]:
            return False
        case ["activityDateTime"] | ["activityDateTime", "asc"]:
            return True
        case _:
            raise QueryError("$orderby is by activityDateTime desc or activityDateTime asc only", 0)


def _shown(token: str | None) -> str:
    return "the end" if token is None else repr(token)


def _value(entry: Mapping[str, Any], path: str) -> Any:
    value: Any = entry
    for name in path.split("/"):
        if not isinstance(value, Mapping):
            return None
        value = value.get(name)
    return value
