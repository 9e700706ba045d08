"""5,000 users read by our Graph adapter, by plain httpx with json.loads, and by msgraph-sdk's PageIterator, from an
emulator in another process: CPU of this one.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
from kiota_abstractions.authentication import AnonymousAuthenticationProvider
from msgraph import GraphServiceClient
from msgraph.graph_request_adapter import GraphRequestAdapter
from msgraph_core.tasks.page_iterator import PageIterator

from provisioning.adapters.graph import GraphSession, GraphSource, StaticToken
from provisioning.schema import default_schema
from tests.bench.report import Measure
from tests.served import Served, serving

USERS, REPEATS = 5_000, 3
FEW = 999
"""Users that PageIterator reads, whose time is taken for as many as the others read: all would take half a minute."""


def reading() -> list[Measure]:
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder), users=USERS, groups=2) as served:
        plain, ours = (min(_cpu(read, served) for _ in range(REPEATS)) for read in (_plainly, _by_the_adapter))
        sdk = _cpu(_by_page_iterator, served, FEW) * USERS / FEW
    return [
        (f"reading {USERS:,} users: our adapter / plain httpx and json.loads, CPU", f"{ours / plain:.1f}", "at most 3"),
        ("msgraph-sdk's PageIterator / plain httpx and json.loads, CPU", f"{sdk / plain:.1f}", ""),
    ]


def _cpu(read: Callable[[Served], Awaitable[int]], served: Served, users: int = USERS) -> float:
    async def timed() -> float:
        began = time.process_time()
        number = await read(served)
        assert number >= users, f"only {number} users were read"
        return time.process_time() - began

    return asyncio.run(timed())


def _address(served: Served) -> str:
    select = ",".join(name for name in default_schema().user.source_properties if name != "manager")
    return f"{served.settings['GRAPH_BASE_URL']}/users?$top=999&$select=id,accountEnabled,{select}"


def _headers(served: Served) -> dict[str, str]:
    return {"Authorization": f"Bearer {served.settings['GRAPH_ACCESS_TOKEN']}"}


async def _plainly(served: Served) -> int:
    number, link = 0, _address(served)
    async with httpx.AsyncClient(headers=_headers(served), trust_env=False) as client:
        while link:
            body = json.loads((await client.get(link)).content)
            number += len(body["value"])
            link = body.get("@odata.nextLink")
    return number


async def _by_the_adapter(served: Served) -> int:
    settings, properties = served.settings, default_schema().user.source_properties
    source = GraphSource(
        GraphSession(settings["GRAPH_BASE_URL"], StaticToken(settings["GRAPH_ACCESS_TOKEN"])),
        service_principal_id=settings["ENTRA_SERVICE_PRINCIPAL_ID"],
        user_attributes=properties,
        group_attributes=(),
    )
    wanted = [name for name in properties if name != "manager"]
    number, link = 0, None
    while True:
        page = await source.objects("user", wanted, link)
        number += len(page.objects)
        link = page.next_link
        if link is None:
            await source.aclose()
            return number


async def _by_page_iterator(served: Served) -> int:
    client = httpx.AsyncClient(headers=_headers(served), trust_env=False)
    adapter = GraphRequestAdapter(AnonymousAuthenticationProvider(), client=client)
    adapter.base_url = served.settings["GRAPH_BASE_URL"]
    graph = GraphServiceClient(request_adapter=adapter)
    first = await graph.users.with_url(_address(served)).get()
    number = 0

    def count(_: object) -> bool:
        nonlocal number
        number += 1
        return number < FEW

    await PageIterator(first, adapter).iterate(count)
    await client.aclose()
    return number
