"""The instance's refusals, with the words it uses for them. Status, message and detail are what clients match on, so
they are quoted literally; how they travel is not known here.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal


class Refusal(Exception):
    """`{"error": {"message": ..., "detail": ...}, "status": "failure"}` with a status code."""

    def __init__(self, status: int, message: str, detail: str | None = None) -> None:
        super().__init__(f"{status} {message}: {detail}")
        self.status = status
        self.message = message
        self.detail = detail


def not_authenticated() -> Refusal:
    return Refusal(401, "User Not Authenticated", "Required to provide Auth information")


def no_record() -> Refusal:
    return Refusal(404, "No Record found", "Record doesn't exist or ACL restricts the record retrieval")


def invalid_table(name: str) -> Refusal:
    return Refusal(400, f"Invalid table {name}")


def unreadable(detail: str) -> Refusal:
    return Refusal(400, "Exception while reading request", detail)


def method_not_supported() -> Refusal:
    return Refusal(405, "Method not supported")


def acl(operation: str) -> Refusal:
    return Refusal(403, "Operation Failed", f"ACL Exception {operation} Failed due to security constraints")


def may_not_query() -> Refusal:
    return Refusal(403, "Insufficient rights to query records")


def api_acl() -> Refusal:
    """The REST API's own ACL, or a session that moved to another node (KB2466644)."""
    return Refusal(403, "User Not Authorized", "Failed API level ACL Validation")


def data_policy(labels: Iterable[str], part: Literal["message", "detail"]) -> Refusal:
    """Fixtures name the policy in the message, other recordings in the detail of an "Operation Failed"."""
    text = f"Data Policy Exception: The following fields are mandatory: {', '.join(labels)}"
    return Refusal(403, text) if part == "message" else Refusal(403, "Operation Failed", text)


def database(operation: str, table: str, display: str) -> Refusal:
    """A broken unique key: the database's own text reaches the caller only with glide.db.loguser."""
    return Refusal(403, "Operation Failed", f"Error during {operation} of {table} ({display})")


def aborted_by_rule(table: str, rule: str, rule_id: str) -> Refusal:
    return Refusal(
        403,
        "Operation Failed",
        f"Operation against file '{table}' was aborted by Business Rule '{rule}^{rule_id}'. Business Rule Stack:{rule}",
    )


def cancelled() -> Refusal:
    return Refusal(
        500,
        "Transaction cancelled: maximum execution time exceeded",
        "Transaction cancelled: maximum execution time exceeded Check logs for error trace or enable "
        "glide.rest.debug property to verify REST request processing",
    )


def too_many(detail: str | None = None) -> Refusal:
    return Refusal(429, "Rate limit exceeded", detail)


def not_emulated(what: str) -> Refusal:
    """Loud on purpose: the real instance might know this, the emulator does not."""
    return Refusal(501, "The ServiceNow emulator does not know this part of the query language", what)


def unknown_route(method: str, path: str) -> Refusal:
    return Refusal(
        404,
        "Requested URI does not represent any resource",
        f"{path}: the ServiceNow emulator does not know {method} {path}",
    )
