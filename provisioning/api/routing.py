"""What a route of the app is: an address, whom it is for, and a plain function that answers. Knows neither Azure nor a
web server; whoever serves the routes brings a `Host`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from provisioning.api.answers import Reply, not_found
from provisioning.engine.engine import Engine


class Role(StrEnum):
    """App roles of the app's own registration. Whoever may operate may read."""

    READ = "Provisioning.Read"
    OPERATE = "Provisioning.Operate"


@dataclass(frozen=True, slots=True)
class Request:
    """`params` are those of the path, `headers` have lower-case names, `by` is who has sent it, for the audit trail."""

    method: str
    url: str
    params: Mapping[str, str]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    by: str


class Opened(Protocol):
    """The job's app, as far as a request needs it."""

    @property
    def engine(self) -> Engine: ...


class Host(Protocol):
    """Whatever runs the routes, and drives cycles."""

    async def app(self) -> Opened:
        """Raises `ConfigError`: at each call, so that each answer says what is wrong."""

    async def is_busy(self) -> bool:
        """Whether a cycle is driven at the moment."""

    async def start_cycle(self) -> None:
        """Begins or resumes a cycle, which then runs by itself. Raises `LeaseLost` or `RowConflict` when somebody else
        was faster.
        """


Handler = Callable[[Request, Host], Awaitable[Mapping[str, Any] | Reply | None]]
"""Answers a JSON document, a whole reply, or nothing to say (204). Raises `Refusal` and `ProvisioningError`."""


@dataclass(frozen=True, slots=True)
class Route:
    """`path` has its parameters in braces. `role` is what a caller needs: None for what anybody may ask. Only a route
    that `drives` may ask its host about cycles.
    """

    name: str
    method: str
    path: str
    role: Role | None
    handler: Handler
    drives: bool = False


JOB = "v1.0/servicePrincipals/{sp}/synchronization/jobs/{job}"


async def job_of(request: Request, host: Host) -> Engine:
    """The engine, if it serves the job that the address names. Raises `Refusal`."""
    engine = (await host.app()).engine
    sp, job = request.params.get("sp", ""), request.params.get("job", "")
    if sp.lower() != engine.context.job.application.lower():
        raise not_found(sp)
    if job != engine.context.job.id:
        raise not_found(job)
    return engine
