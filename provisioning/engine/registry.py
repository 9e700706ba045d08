"""Which jobs of one state store work with an instance: two that provision the same people would undo each other's
work. Knows the jobs' scopes, not what they have linked.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field

from provisioning.engine.jobs import JOB
from provisioning.engine.keys import digest
from provisioning.engine.ports import Store
from provisioning.errors import ConfigError, RowConflict
from provisioning.rows import Insert, Operation, Replace

_KEY = "jobs"


class Registered(Struct, frozen=True):
    """What a job has in its scope: the people assigned to an application, or with `everyone` the whole tenant."""

    tenant: str
    application: str
    everyone: bool

    def overlaps(self, other: Registered) -> bool:
        if self.tenant != other.tenant:
            return False
        return self.everyone or other.everyone or self.application == other.application


class Jobs(Struct, frozen=True):
    """The jobs by their ids, and those that were `deleted` and have left a log."""

    jobs: Mapping[str, Registered] = field(default_factory=dict)
    deleted: tuple[str, ...] = ()


class Registry:
    """The jobs of one instance, in one row."""

    def __init__(self, store: Store, instance: str) -> None:
        self._store = store
        self._partition = f"instance|{digest(instance)[:16]}"
        self._instance = instance

    async def enter(self, job: str, scope: Registered) -> None:
        """Raises `ConfigError` when another job provisions the same people to the same instance."""
        while True:
            known, etag = await self._load()
            for other, theirs in sorted(known.jobs.items()):
                if other != job and scope.overlaps(theirs):
                    raise ConfigError(
                        f"job {other} provisions "
                        f"{'all users' if theirs.everyone else 'application ' + theirs.application} of the same tenant "
                        f"to {self._instance}, and what one of two such jobs writes the other undoes: give this job "
                        "another application or instance, or delete the other one"
                    )
            deleted = tuple(name for name in known.deleted if name != job)
            if known.jobs.get(job) == scope or await self._save(Jobs({**known.jobs, job: scope}, deleted), etag):
                return

    async def jobs(self) -> Mapping[str, Registered]:
        """The jobs by their ids."""
        return (await self._load())[0].jobs

    async def deleted(self) -> tuple[str, ...]:
        """The jobs that have left and whose log may still be there."""
        return (await self._load())[0].deleted

    async def leave(self, job: str) -> None:
        """The job is deleted; others may have its people. Its log is for `forget` to end."""
        while True:
            known, etag = await self._load()
            others = {name: scope for name, scope in known.jobs.items() if name != job}
            after = Jobs(others, tuple(sorted({*known.deleted, job})))
            if after == known or await self._save(after, etag):
                return

    async def forget(self, job: str) -> None:
        """Nothing of a deleted job is left."""
        while True:
            known, etag = await self._load()
            after = Jobs(known.jobs, tuple(name for name in known.deleted if name != job))
            if after == known or await self._save(after, etag):
                return

    async def _load(self) -> tuple[Jobs, str]:
        row = await self._store.get(JOB, self._partition, _KEY)
        return (row.decode(Jobs), row.etag) if row else (Jobs(), "")

    async def _save(self, jobs: Jobs, etag: str) -> bool:
        operation: Operation = Replace(_KEY, jobs, etag) if etag else Insert(_KEY, jobs)
        try:
            await self._store.commit(JOB, self._partition, [operation])
        except RowConflict:
            return False
        return True
