"""The error tree. A class says how far a failure spreads; its message says what happened, in numbers, and the way out.

    ProvisioningError
    ├── ConfigError             a person must change the configuration   -> nothing starts
    │   └── ExpressionError       an expression; prints it with a caret  -> evaluated: this object only
    ├── QueryError              a filter or option of a request is wrong -> this request only
    ├── ObjectError             this object only                         -> journal, escrow, go on
    ├── Unavailable             the other side is unwell                 -> stop here, keep the cursor, come back
    │   ├── Throttled             it said when to come back
    │   └── Unauthorized          credentials or rights; a person must act
    ├── CursorExpired           Graph forgot our delta token             -> the next cycle reads everything
    ├── InstanceChanged         ServiceNow is not the instance we knew   -> nothing is written until a person says so
    ├── LeaseLost               another worker has the job               -> this worker sends nothing more
    ├── RowConflict             somebody wrote this row first            -> read again, decide again
    ├── RowTooLarge             a row does not fit the store             -> a defect of ours or absurd data
    └── WriteForbidden          a dry run tried to write                 -> a defect of ours, stopped in time

This module knows no other.
"""

from __future__ import annotations

EXCERPT = 100
"""How many characters of a long line an `ExpressionError` shows."""


class ProvisioningError(Exception):
    """Root of everything this package raises on purpose."""


class ConfigError(ProvisioningError):
    """The configuration is wrong: which setting, what it holds, what it should hold."""


class ExpressionError(ConfigError):
    """An expression or pattern is wrong, or could not be evaluated. `span` is the part of `source` that it is about.

    As text: the message, the line of the source, and carets under the span.
    """

    def __init__(self, message: str, *, source: str = "", span: tuple[int, int] = (0, 0)) -> None:
        super().__init__(message)
        self.message = message
        self.source = source
        self.span = span

    def __str__(self) -> str:
        if not self.source:
            return self.message
        start = min(self.span[0], len(self.source))
        first = self.source.rfind("\n", 0, start) + 1
        line = self.source[first:].split("\n", 1)[0]
        where = f" (line {self.source.count(chr(10), 0, start) + 1})" if "\n" in self.source else ""
        column = start - first
        width = max(1, min(self.span[1] - start, len(line) - column))
        # A long line is shown around the span, and what carets cannot align with (tabs, controls) as blanks.
        left = max(0, column - EXCERPT // 2) if len(line) > EXCERPT else 0
        shown = line[left : left + EXCERPT]
        width = min(width, max(1, left + EXCERPT - column))
        before, after = "…" if left else "", "…" if left + EXCERPT < len(line) else ""
        shown = "".join(each if each.isprintable() else " " for each in shown)
        carets = " " * (len(before) + column - left) + "^" * width
        return f"{self.message}{where}\n    {before}{shown}{after}\n    {carets}"


class QueryError(ProvisioningError):
    """A query of logs or links cannot be understood. `position` is the place in the text, counted from 0, if there is
    one.
    """

    def __init__(self, message: str, position: int | None = None) -> None:
        super().__init__(message if position is None else f"{message}, at character {position + 1}")
        self.position = position


class ObjectError(ProvisioningError):
    """One object cannot be provisioned. `code` is Entra's error code, `way_out` what a person can do about it."""

    def __init__(self, code: str, message: str, way_out: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.way_out = way_out


class Unavailable(ProvisioningError):
    """A remote system did not answer as it should. `code` is Entra's error code."""

    def __init__(self, message: str, *, code: str = "InternalError") -> None:
        super().__init__(message)
        self.code = code


class Throttled(Unavailable):
    """The remote system asked for a pause. `retry_after` is in seconds."""

    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(message, code="TooManyRequests")
        self.retry_after = retry_after


class Unauthorized(Unavailable):
    """The remote system knows us and refuses, or does not know us: credentials, roles, permissions."""


class CursorExpired(ProvisioningError):
    """Graph no longer knows the delta token: the round starts again without it."""


class InstanceChanged(ProvisioningError):
    """The instance was cloned over, restored or replaced since the job has last worked with it."""

    code = "ServiceNowInstanceInvalid"


class LeaseLost(ProvisioningError):
    """Another worker holds the job's lease."""


class RowConflict(ProvisioningError):
    """A conditional write met a row that changed, exists already, or is gone."""


class RowTooLarge(ProvisioningError):
    """A row exceeds what Azure Tables takes; refused by both stores so that they behave alike."""


class WriteForbidden(ProvisioningError):
    """A request that would change the other side was attempted in a dry run; it was not sent."""
