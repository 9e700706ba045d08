"""Graph's throttling for identity and access: resource units in a bucket that refills over ten seconds.
It counts and says no; the words of the answer are Graph's.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from .messages import Call, GraphError

if TYPE_CHECKING:
    from .routes import Route
    from .state import Tenant

_WINDOW = 10.0
# Calls made while throttled keep counting, up to the 1.8 that the percentage header can show.
_DEEPEST = -0.8


def units(route: Route, call: Call) -> int:
    """$select takes one off, $expand adds one, a small $top takes one off, and nothing is free."""
    cost = route.units
    if route.template.endswith("getByIds") and "$select" in call.query:
        return 2
    cost -= "$select" in call.query
    cost += "$expand" in call.query
    top = call.query.get("$top", "")
    cost -= top.isdecimal() and int(top) < 20
    return max(1, cost)


class Meter:
    """The bucket of this application in this tenant."""

    def __init__(self, tenant: Tenant) -> None:
        self._tenant = tenant
        self._spent = 0.0
        self._at = tenant.clock()

    def charge(self, cost: int) -> dict[str, str]:
        """Take the units; the headers that the answer carries. Raises 429 when the bucket is empty."""
        headers = {"x-ms-resource-unit": str(cost)}
        limit = self._limit()
        if limit is None:
            return headers
        now = self._tenant.clock()
        self._spent = max(0.0, self._spent - (now - self._at) * limit / _WINDOW)
        self._at = now
        full = self._spent + cost > limit
        self._spent = min(self._spent + cost, limit * (1 - _DEEPEST))
        share = self._spent / limit
        if share > 0.8:
            headers["x-ms-throttle-limit-percentage"] = f"{share:.2f}"
        if full:
            wait = math.ceil((self._spent - limit + cost) * _WINDOW / limit)
            raise throttled(self._tenant, str(max(1, wait)), headers)
        return headers

    def reset(self) -> None:
        self._spent = 0.0

    def _limit(self) -> int | None:
        chosen = self._tenant.behaviour.resource_units
        if chosen != "by-size":
            return chosen
        size = len(self._tenant.users)
        if size < 50:
            return 3_500
        return 5_000 if size <= 500 else 8_000


def throttled(tenant: Tenant, retry_after: str | None, headers: dict[str, str] | None = None) -> GraphError:
    error = GraphError(429, "TooManyRequests", "Too many requests")
    error.headers |= (headers or {}) | {
        "x-ms-throttle-scope": f"Tenant_Application/ReadWrite/{tenant.app_id}/{tenant.tenant_id}",
        "x-ms-throttle-information": "ResourceUnitLimitExceeded",
    }
    if retry_after is not None:
        error.headers["Retry-After"] = retry_after
    return error
