"""1,000 creates by our client and by PySNC, ServiceNow's own for Python, against the same emulator over HTTPS in real
time: PySNC one record at a time, and in batches as large as fit into the 30 seconds that a batch may take.
"""

from __future__ import annotations

import asyncio
import ssl
import tempfile
import time
from pathlib import Path

from provisioning.adapters.counting import connection_to
from provisioning.adapters.servicenow import ServiceNowSession, ServiceNowTarget, credentials
from provisioning.model import InsertRecord, Written
from tests.bench.capacity import INSERT, READ, SLOTS, SPREAD
from tests.emulators.servicenow import Instance, seed_instance
from tests.emulators.servicenow.pysnc_clients import connecting
from tests.emulators.servicenow.serving import Address, serving_https

USERS = 1_000
PER_BATCH = 400


def creating() -> list[tuple[str, str, str]]:
    instance = Instance()
    with tempfile.TemporaryDirectory() as folder, serving_https(instance, Path(folder)) as address:
        seconds = {}
        for name, create in (("ours", _ours), ("one by one", _one_by_one), ("in batches", _in_batches)):
            instance.reset()
            seed_instance(instance)
            instance.capacity.set(nodes=2, slots_per_node=4)
            instance.capacity.set_times(insert=INSERT, read=READ, spread=SPREAD, least=0.3, most=2.0)
            before = instance.count("sys_user")
            began = time.monotonic()
            create(address)
            seconds[name] = time.monotonic() - began
            assert instance.count("sys_user") == before + USERS, f"{name}: not every user was created"
    ours = seconds["ours"]
    return [
        ("1,000 creates: PySNC one by one / ours (4 slots)", f"{seconds['one by one'] / ours:.1f}", "at least 3.5"),
        ("  PySNC in batches / ours", f"{seconds['in batches'] / ours:.1f}", "above 1"),
    ]


def _ours(address: Address) -> None:
    asyncio.run(_ours_in_time(address))


async def _ours_in_time(address: Address) -> None:
    trust = ssl.create_default_context(cafile=str(address.certificate))
    login = credentials("basic", username="admin", password="admin")
    session = ServiceNowSession(address.url, login, slots=SLOTS, transport=connection_to(address.url, trust))
    target = ServiceNowTarget(session)
    left = [InsertRecord(f"{n}", "sys_user", f"{n:032x}", {"user_name": f"user{n}"}) for n in range(1, USERS + 1)]

    async def write() -> None:
        while left:
            size = min(target.batch_size, -(-len(left) // SLOTS))
            taken, left[:] = left[:size], left[size:]
            outcomes = await target.write(taken)
            assert all(isinstance(outcome, Written) for outcome in outcomes.values())

    await target.dictionary()
    await asyncio.gather(*(write() for _ in range(SLOTS + 1)))
    await session.aclose()


def _one_by_one(address: Address) -> None:
    with connecting(address) as connect:
        client = connect()
        for number in range(USERS):
            record = client.GlideRecord("sys_user")
            record.initialize()
            record.user_name = f"user{number}"
            assert record.insert()


def _in_batches(address: Address) -> None:
    with connecting(address) as connect:
        client = connect()
        answers: list[int] = []
        for start in range(0, USERS, PER_BATCH):
            for number in range(start, min(start + PER_BATCH, USERS)):
                record = client.GlideRecord("sys_user")
                record.initialize()
                record.user_name = f"user{number}"
                client.batch_api.post(record, lambda response: answers.append(response.status_code))
            client.batch_api.execute()
        assert answers == [201] * USERS
