"""What goes wrong on purpose: faults aimed at a kind of request ("the next two POST sys_user lose their reply"), alone
or as an item of a batch. Only says which fault meets which request; what an effect does is the service's part.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from tests.emulators.servicenow.messages import JSON

WithoutWork = Literal[  # The work is not done.
    "status",  # an error status, with ServiceNow's words for it
    "html",  # an HTML page with that status: a proxy's 502, or with 200 a login page
    "hibernating",  # 200 and the page of a sleeping instance
    "unauthorized",  # 401 although the credentials are right
    "api_acl",  # 403 as for a session that moved to another node: "Failed API level ACL Validation"
    "too_many",  # 429, with Retry-After where retry_after is set
    "dropped_session",  # 202: thrown away
    "refused_connection",  # the connection breaks before anything is done
    "rule",  # 403: aborted by a business rule
    "not_yet_visible",  # a read finds nothing, as on a replica that lags behind: 404, or an empty list
    "literal",  # this status with this body, byte for byte
]
WithWork = Literal[  # The work is done.
    "reply_lost",  # the connection breaks instead of an answer
    "broken_body",  # the connection breaks in the middle of the answer
    "denied_after_write",  # 403 because the read-back was denied
    "status_after_write",  # an error status although the write is stored
    "literal_after_write",  # this status with this body although the write is stored
    "cut_stream",  # 200 and a result that ends in the middle
    "error_in_stream",  # 200, well-formed, some rows and an error beside them
    "drop_fields",  # 200 or 201, the named fields silently not written
    "slow",  # late
]
OfBatches = Literal["batch_cut"]  # only the first `after_items` items are run
Effect = WithoutWork | WithWork | OfBatches
WITHOUT_WORK = frozenset(get_args(WithoutWork))
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "*"})
EFFECTS = (*get_args(WithoutWork), *get_args(WithWork), *get_args(OfBatches))


@dataclass(slots=True)
class Fault:
    """`on` is a kind as the counts name it: "POST sys_user", "POST batch", "POST token"; with the prefix "batch: " only
    items of batches, with "*" for the method or table any. `seconds` makes any effect slow too.
    """

    on: str
    effect: Effect
    times: int | None = 1
    skip: int = 0
    chance: float = 1.0
    status: int = 503
    seconds: float = 0.0
    fields: tuple[str, ...] = ()
    where: Mapping[str, str] = field(default_factory=dict)  # only bodies with these values
    retry_after: str | None = None
    after_items: int = 0
    after_rows: int = 1
    detail: str | None = None
    body: str = ""
    content_type: str = JSON
    happened: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        if self.effect not in EFFECTS:
            raise ValueError(f"no such effect: {self.effect}; known are {', '.join(EFFECTS)}")
        if self.on.removeprefix("batch: ").partition(" ")[0] not in METHODS:
            raise ValueError(f'{self.on!r} does not begin with a method, as "POST sys_user" does')
        self.fields = tuple(self.fields)

    def meets(self, method: str, target: str, body: Mapping[str, Any], *, in_batch: bool) -> bool:
        if self.times is not None and self.happened >= self.times:
            return False
        if self.effect == "not_yet_visible" and method not in {"GET", "HEAD"}:
            return False
        on = self.on
        if on.startswith("batch: "):
            if not in_batch:
                return False
            on = on[7:]
        on_method, _, on_target = on.partition(" ")
        if on_method not in {method, "*"} or on_target not in {target, "*"}:
            return False
        return all(body.get(name) == value for name, value in self.where.items())


class Faults:
    def __init__(self, seed: int = 1) -> None:
        self.planned: list[Fault] = []
        self._rng = random.Random(seed)

    def add(self, on: str, effect: Effect, **details: Any) -> Fault:
        fault = Fault(on, effect, **details)
        self.planned.append(fault)
        return fault

    def clear(self) -> None:
        self.planned.clear()

    def take(self, method: str, target: str, body: Mapping[str, Any], *, in_batch: bool) -> Fault | None:
        """The first planned fault that meets this request, counted as happened."""
        for fault in self.planned:
            if not fault.meets(method, target, body, in_batch=in_batch):
                continue
            if fault.skip > 0:
                fault.skip -= 1
                continue
            if fault.chance < 1.0 and self._rng.random() >= fault.chance:
                continue
            fault.happened += 1
            return fault
        return None
