"""Three hundred writes through a proxy that breaks connections, over real sockets: nothing is created twice, what is
reported as written is written, and what is reported as refused is not.
"""

from __future__ import annotations

import asyncio

import pytest

from provisioning.adapters.servicenow import ServiceNowSession, ServiceNowTarget, credentials
from provisioning.errors import Unavailable
from provisioning.model import (
    DeleteRecord,
    InsertRecord,
    PatchRecord,
    Refused,
    Unsettled,
    Write,
    WriteOutcome,
    Written,
)
from tests.emulators.servicenow import CLIENT_ID, CLIENT_SECRET, Instance, seed_instance
from tests.emulators.servicenow.serving import serving_http
from tests.faulty_proxy import FAULTS, FaultyProxy

VALUES = (
    "caret^inside^^twice",
    "x^NQuser_nameISNOTEMPTY",
    "javascript:gs.getUserID()",
    "commas, here, and here",
    "Åsa Müller-Straße",
    "smile 😀 of two units",
    "plain",
)
BATCH = 5
"""Small, so that many batches meet faults."""
PATIENCE = 1.0
"""Seconds of real time until a client gives up an answer: many times what the emulator takes for a batch."""


def value(n: int, room: int) -> str:
    """Each seventh is one character longer than its column has room for."""
    text = f"{VALUES[n % len(VALUES)]} {n}"
    return text if n % len(VALUES) else f"{text} {'x' * room}"[: room + 1]


def three_hundred(instance: Instance) -> list[Write]:
    writes: list[Write] = []
    for n in range(60):
        writes.append(
            InsertRecord(f"user{n}", "sys_user", f"a{n:031x}", {"user_name": value(n, 40), "title": value(n, 60)})
        )
        writes.append(InsertRecord(f"group{n}", "sys_user_group", f"b{n:031x}", {"name": value(n, 80)}))
        gone = instance.insert("sys_user", {"user_name": f"gone{n}"})["sys_id"]
        writes.append(DeleteRecord(f"gone{n}", "sys_user", gone))
    for n in range(120):
        sys_id = instance.insert("sys_user", {"user_name": f"old{n}", "title": "before"})["sys_id"]
        writes.append(PatchRecord(f"old{n}", "sys_user", sys_id, {"title": value(n, 60)}, {"title": "before"}))
    return writes


def is_done(instance: Instance, write: Write) -> bool:
    """By the instance's own state: cut values count."""
    row = instance.get(write.table, write.sys_id)
    if isinstance(write, DeleteRecord):
        return row is None
    lengths = instance.dictionary[write.table].columns
    return row is not None and all(row[name] == sent[: lengths[name].max_length] for name, sent in write.fields.items())


async def carry_out(target: ServiceNowTarget, writes: list[Write], instance: Instance) -> dict[str, WriteOutcome]:
    """Batch by batch. One that raises has written nothing, and is tried again."""
    outcomes: dict[str, WriteOutcome] = {}
    for start in range(0, len(writes), BATCH):
        batch = writes[start : start + BATCH]
        before = [is_done(instance, write) for write in batch]
        for _ in range(20):
            try:
                outcomes |= await target.write(batch)
                break
            except Unavailable:
                assert [is_done(instance, write) for write in batch] == before
    return outcomes


async def no_wait(_seconds: float) -> None:
    """Pauses between attempts are not what is tested here."""


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_three_hundred_writes_through_a_proxy_that_breaks_connections(seed):
    instance = Instance()
    seed_instance(instance)
    writes = three_hundred(instance)
    assert len(writes) == 300
    login = credentials("oauth-client-credentials", client_id=CLIENT_ID, client_secret=CLIENT_SECRET)

    async def work(url: str) -> tuple[dict[str, WriteOutcome], dict[str, WriteOutcome], FaultyProxy]:
        async with FaultyProxy(url, seed=seed, on=lambda path: path.endswith("/batch")) as proxy:
            session = ServiceNowSession(proxy.url, login, timeout=PATIENCE, sleep=no_wait)
            target = ServiceNowTarget(session)
            try:
                proxy.is_faulty = False
                await target.dictionary()
                proxy.is_faulty = True
                outcomes = await carry_out(target, writes, instance)
                for write in writes:
                    told = outcomes[write.key]
                    if not isinstance(told, Unsettled):
                        assert is_done(instance, write) is isinstance(told, Written), (write, told)
                proxy.is_faulty = False
                left = [write for write in writes if not isinstance(outcomes[write.key], Written)]
                return outcomes, await carry_out(target, left, instance), proxy
            finally:
                await session.aclose()

    with serving_http(instance) as url:
        outcomes, later, proxy = asyncio.run(work(url))

    assert all(proxy.happened[fault] for fault in FAULTS if fault != "silent"), proxy.happened
    assert sum(isinstance(outcome, Written) for outcome in outcomes.values()) > 200
    assert all(isinstance(outcome, Written | Refused | Unsettled) for outcome in outcomes.values())
    assert all(isinstance(outcome, Written) for outcome in later.values())
    assert [write.key for write in writes if not is_done(instance, write)] == []
    names = [row["user_name"] for row in instance.rows("sys_user")]
    assert len(names) == len(set(names))
    groups = [row["name"] for row in instance.rows("sys_user_group")]
    assert len(groups) == len(set(groups))
    assert instance.scripts == []
