"""What callers of the instance may not see or change, and the instance's own options: the ways in which two real
instances differ. Plain data that tests and the control API set; nobody's records and no HTTP.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Literal


@dataclass(slots=True)
class Access:
    """ACLs, by table. They bind every caller of the APIs, the administrator too, and not the Python interface."""

    hidden_rows: dict[str, str] = field(default_factory=dict)  # an encoded query of rows nobody sees
    unreadable: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    unwritable: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    no_query: set[str] = field(default_factory=set)
    no_insert: set[str] = field(default_factory=set)
    no_update: set[str] = field(default_factory=set)
    no_delete: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Switches:
    """How this instance behaves where instances differ, or where nobody knows."""

    client_sys_id: Literal["honoured", "ignored"] = "honoured"
    # The item that runs when a batch reaches its limit is not reported as serviced, whether or not it was done.
    batch_in_flight: Literal["done", "undone"] = "undone"
    batch_limit: float = 30.0  # quota rule "REST Batch API request timeout"
    transaction_limit: float = 60.0  # quota rules of the Table API
    basic_auth: Literal["all", "web_service_only", "none"] = "all"
    no_count: Literal["window", "exact", "absent"] = "window"  # X-Total-Count under sysparm_no_count
    max_content_length: int = 10 * 1024 * 1024
    max_url: int = 16_000
    clock_skew: float = 0.0
