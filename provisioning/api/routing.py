"""What a route of the app is: an address, whom it is for, and a plain function that answers. Knows neither Azure nor a
web server; whoever serves the routes brings a `Host`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager
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

    @property
    def graph_requests(self) -> int: ...

    @property
    def servicenow_requests(self) -> int: ...

    def dry_run(self, document: Any = None) -> AbstractAsyncContextManager[Opened]:
        """Another one for a dry run of the same job, or of what it would do with this schema. Raises `ConfigError`."""

    def reading(self, properties: Collection[str]) -> AbstractAsyncContextManager[Opened]:
        """Another one, which reads these properties of users besides and sends nothing to either side but reads."""

    async def keep(self, secrets: Mapping[str, str], *, by: str) -> None:
        """Keeps the settings among these for the next cycle. Raises `ConfigError` for what is none, or cannot be."""

    async def try_connection(self, secrets: Mapping[str, str] | None) -> None:
        """Asks the instance what it lets us do: with the job's own credentials, or with these. Raises `ConfigError` for
        what is no credential, else `ProvisioningError` with what does not work.
        """


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
    that `drives` may ask its host about cycles. `takes` is the shape of the body and `gives` that of the answer, None
    for nothing; `options` are those of the query, and `text` is the media type of an answer that may be no JSON.
    """

    name: str
    method: str
    path: str
    role: Role | None
    handler: Handler
    drives: bool = False
    takes: Any = None
    gives: Any = None
    options: tuple[str, ...] = ()
    status: int = 0
    text: str = ""

    @property
    def answers(self) -> int:
        """The status of an answer that is no refusal."""
        return self.status or (204 if self.gives is None else 200)


SYNCHRONIZATION = "v1.0/servicePrincipals/{sp}/synchronization"
JOBS = f"{SYNCHRONIZATION}/jobs"
JOB = JOBS + "/{job}"


async def app_of(request: Request, host: Host) -> Opened:
    """The app, if it serves the application and the job, where one is named, of the address. Raises `Refusal`."""
    app = await host.app()
    served, sp, job = app.engine.context.job, request.params.get("sp", ""), request.params.get("job")
    if sp.lower() != served.application.lower():
        raise not_found(sp)
    if job is not None and job != served.id:
        raise not_found(job)
    return app


async def principal_of(request: Request, host: Host) -> Engine:
    """The engine, if it serves the application that the address names. Raises `Refusal`."""
    return (await app_of(request, host)).engine


async def job_of(request: Request, host: Host) -> Engine:
    """The engine, if it serves the job that the address names. Raises `Refusal`."""
    return (await app_of(request, host)).engine
