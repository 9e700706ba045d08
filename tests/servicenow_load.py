"""An instance with nodes, slots and queues, and the real adapter that keeps it busy, in virtual time: for the tests and
the benchmark of how well granted calls are used.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from provisioning.adapters.servicenow import ServiceNowSession, ServiceNowTarget, credentials
from provisioning.model import InsertRecord, Written
from tests.emulators.servicenow import CLIENT_ID, CLIENT_SECRET, Instance, create_app, seed_instance
from tests.virtual_time import virtual_time


def name_of(number: int) -> str:
    """As long as the names of people are."""
    return f"somebody.number{number}@contoso.example"


class Load:
    """2 nodes with 4 slots each, of which `slots` are granted, and a writer more than that: one prepares its batch
    while the others wait for theirs.
    """

    def __init__(self, runner, now, *, slots: int = 4) -> None:
        self._runner, self.now = runner, now
        self.instance = Instance(now)
        seed_instance(self.instance)
        self.instance.capacity.set(nodes=2, slots_per_node=4)
        self.instance.capacity.grant(slots)
        auth = credentials("oauth-client-credentials", client_id=CLIENT_ID, client_secret=CLIENT_SECRET)
        transport = httpx.ASGITransport(create_app(self.instance))
        self.session = ServiceNowSession("contoso", auth, slots=slots, transport=transport)
        self.target = ServiceNowTarget(self.session)
        self.slots = slots
        self.created = 0

    @property
    def capacity(self):
        return self.instance.capacity

    @property
    def used(self) -> float:
        """The share of the slot-seconds that were granted and free, by the instance's own clock."""
        measures = self.capacity.measures()
        return measures["busy_seconds"] / measures["usable_seconds"]

    def do(self, awaitable):
        return self._runner.run(awaitable)

    def at(self, seconds, call, *arguments) -> None:
        """Lets something happen to the instance while the client works."""

        async def later():
            asyncio.get_running_loop().call_later(seconds, call, *arguments)

        self.do(later())

    def create(self, number: int, *, at_once: int | None = None) -> None:
        """Creates so many users, every one of which must be written; `at_once` in a batch, else as many as fit."""
        writes = [
            InsertRecord(f"u{n}", "sys_user", f"{n:032x}", {"user_name": name_of(n)})
            for n in range(self.created + 1, self.created + number + 1)
        ]
        self.created += number
        outcomes = {}

        async def write():
            while writes:
                size = at_once or min(self.target.batch_size, -(-len(writes) // self.slots))
                taken = [writes.pop() for _ in range(min(size, len(writes)))]
                outcomes.update(await self.target.write(taken))

        async def everyone():
            await asyncio.gather(*(write() for _ in range(self.slots + 1)))

        self.do(self.target.dictionary())
        self.capacity.forget()
        self.do(everyone())
        assert len(outcomes) == number
        assert all(isinstance(outcome, Written) for outcome in outcomes.values())

    def pass_time(self, seconds: float) -> None:
        self.do(asyncio.sleep(seconds))


@contextmanager
def loading(*, slots: int = 4) -> Iterator[Load]:
    with virtual_time() as (runner, now, _):
        load = Load(runner, now, slots=slots)
        yield load
        load.do(load.session.aclose())
