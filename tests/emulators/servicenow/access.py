"""What callers of the instance may not see or change, and the instance's own options: the ways in which two real
instances differ. Plain data that tests and the control API set; nobody's records and no HTTP.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args, get_type_hints


def _by_table() -> defaultdict[str, set[str]]:
    return defaultdict(set)


@dataclass(slots=True)
class Access:
    """ACLs, by table. They bind every caller of the APIs, the administrator too, and not the Python interface."""

    hidden_rows: dict[str, str] = field(default_factory=dict)  # an encoded query of rows nobody sees
    # What a before-query business rule adds to every query: unlike an ACL it acts before the window is cut.
    before_query: dict[str, str] = field(default_factory=dict)
    unreadable: dict[str, set[str]] = field(default_factory=_by_table)
    unwritable: dict[str, set[str]] = field(default_factory=_by_table)
    no_match: dict[str, set[str]] = field(default_factory=_by_table)  # columns without the query_match ACL
    no_range: dict[str, set[str]] = field(default_factory=_by_table)  # columns without the query_range ACL
    mandatory: dict[str, set[str]] = field(default_factory=_by_table)  # what a data policy asks of every write
    no_query: set[str] = field(default_factory=set)
    no_insert: set[str] = field(default_factory=set)
    no_update: set[str] = field(default_factory=set)
    no_delete: set[str] = field(default_factory=set)

    def set(self, name: str, value: Collection[str] | Mapping[str, str | Collection[str]]) -> None:
        """Replaces one of the rules whole, from what JSON can say."""
        present = getattr(self, name)
        if isinstance(present, dict):
            present.clear()
            present.update({k: v if isinstance(v, str) else set(v) for k, v in dict(value).items()})
        else:
            present.clear()
            present.update(value)


@dataclass(slots=True)
class Switches:
    """How this instance behaves where instances differ, or where nobody knows: those are marked [U]."""

    client_sys_id: Literal["honoured", "ignored"] = "honoured"
    # The item that runs when a batch reaches its limit is not reported as serviced, whether or not it was done. [U]
    batch_in_flight: Literal["done", "undone"] = "undone"
    batch_limit: float = 30.0  # quota rule "REST Batch API request timeout"
    # Whether a rate rule on the Table API also counts what comes inside a batch. [U]
    batch_items_in_rate_rule: Literal["counted", "uncounted"] = "uncounted"
    transaction_limit: float = 60.0  # quota rules of the Table API
    basic_auth: Literal["all", "web_service_only", "none"] = "all"
    lock_out_after: int = 0  # failed log-ins that lock an account; 0 locks nobody
    no_count: Literal["window", "exact", "absent"] = "window"  # X-Total-Count under sysparm_no_count
    # A condition on a column that query ACLs guard: on the wire nobody has recorded it. [U]
    query_acl: Literal["refused", "dropped", "no_rows"] = "refused"
    # Which part of the error body names what a data policy misses: both have been recorded. [U]
    data_policy_in: Literal["message", "detail"] = "message"
    # What becomes of memberships when a user or group is deleted. [U]
    membership_cascade: Literal["deleted", "cleared", "orphaned"] = "deleted"
    # Whether a session of who holds security_admin has elevated to it.
    elevation: Literal["none", "held"] = "none"
    max_content_length: int = 10 * 1024 * 1024
    max_url: int = 16_000
    clock_skew: float = 0.0

    def set(self, name: str, value: Any) -> None:
        """Refuses what the switch does not know, so that a typing error is not taken for a setting."""
        kind = get_type_hints(type(self))[name]
        if choices := get_args(kind):
            if value not in choices:
                raise ValueError(f"{name} is one of {', '.join(choices)}")
        elif isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"{name} is a number")
        setattr(self, name, kind(value) if kind in {int, float} else value)
