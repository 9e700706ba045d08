"""Microsoft's own Graph client with a token of Entra, against the functions as the Functions host would call them."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

import azure.functions as func
import httpx
import pytest
from azure.core.credentials import AccessToken

import function_app
from provisioning.process import open_from_environment
from tests.durable import functions_of
from tests.durable_client import offering
from tests.entra import API, STRANGERS, Entra
from tests.test_function_app import Place

APP = "app.azurewebsites.net"

# The SDK's own base class warns where it is used.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


class FunctionsHost(httpx.AsyncBaseTransport):
    """Finds the function that a request is for, by the routes that are registered, and calls it. A route with a key
    lets nobody pass without it.
    """

    def __init__(self, client: str) -> None:
        self._client = client

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        path = unquote(request.url.path).lstrip("/")
        for function in functions_of(function_app.app).values():
            bindings = {each.type: each.get_dict_repr() for each in function.get_bindings()}
            trigger = bindings.get("httpTrigger", {"methods": [], "route": ""})
            pattern = re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(trigger["route"]))
            found = re.fullmatch(pattern, path)
            if not found or request.method not in map(str, trigger["methods"]):
                continue
            if trigger["authLevel"] == func.AuthLevel.FUNCTION and request.headers.get("x-functions-key") != "k3y":
                return httpx.Response(401, request=request)
            asked = func.HttpRequest(
                request.method,
                str(request.url),
                headers=dict(request.headers),
                params=dict(request.url.params),
                route_params=found.groupdict(),
                body=await request.aread(),
            )
            more = {"client": self._client} if "durableClient" in bindings else {}
            answer = await function.get_user_function()(req=asked, **more)
            headers = dict(answer.headers)
            return httpx.Response(answer.status_code, headers=headers, content=answer.get_body(), request=request)
        return httpx.Response(404, request=request)


class Credential:
    """Hands out one token, whatever it is asked for, and remembers for which scopes."""

    def __init__(self, token: str) -> None:
        self.token = token
        self.scopes: list[str] = []

    async def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        self.scopes += scopes
        return AccessToken(self.token, int(time.time()) + 3600)


@pytest.fixture
def place(tmp_path) -> Iterator[Place]:
    found = Place(tmp_path)
    yield found
    function_app.process.use(open_from_environment)
    function_app.outer_door.use(None)


def run(place: Place, story, token: str, *, base: str = "v1.0") -> Any:
    """The story is called with the client's jobs, and with the job's id."""
    from kiota_authentication_azure.azure_identity_authentication_provider import (  # noqa: PLC0415 - dear to import
        AzureIdentityAuthenticationProvider,
    )
    from msgraph import GraphRequestAdapter, GraphServiceClient  # noqa: PLC0415 - as above

    async def whole() -> Any:
        app = await function_app.process.app()
        credential = Credential(token)
        provider = AzureIdentityAuthenticationProvider(
            credential, scopes=[f"api://{API}/.default"], allowed_hosts=[APP]
        )
        async with offering(place.host) as place.client:
            http = httpx.AsyncClient(transport=FunctionsHost(place.client))
            adapter = GraphRequestAdapter(provider, client=http)
            adapter.base_url = f"https://{APP}/{base}"
            graph = GraphServiceClient(request_adapter=adapter)
            application = graph.service_principals.by_service_principal_id(place.settings.service_principal_id)
            try:
                return await story(application.synchronization.jobs)
            finally:
                assert credential.scopes[:1] == [f"api://{API}/.default"]
                await http.aclose()
                await app.close()

    return asyncio.run(whole())


def refused(place: Place, story, token: str, **options: Any) -> tuple[int, str | None]:
    """With what a story's first request is refused."""
    from kiota_abstractions.api_error import APIError  # noqa: PLC0415 - dear to import

    with pytest.raises(APIError) as found:
        run(place, story, token, **options)
    return found.value.response_status_code, found.value.error.code if hasattr(found.value, "error") else None


def test_a_reader_reads_and_gives_no_order_and_an_operator_does_both(place):
    async def read(jobs) -> list[str]:
        return [job.id for job in (await jobs.get()).value]

    async def order(jobs) -> None:
        await jobs.by_synchronization_job_id(place.settings.job_id).pause.post()

    reader = place.entra.token(roles=["Provisioning.Read"])
    operator = place.entra.token(version="1.0", roles=["Provisioning.Operate"])
    assert run(place, read, reader) == [place.settings.job_id]
    function_app.process.use(place.new_app)
    assert refused(place, order, reader) == (403, "Authorization_RequestDenied")
    function_app.process.use(place.new_app)
    run(place, order, operator)
    function_app.process.use(place.new_app)
    assert run(place, read, operator) == [place.settings.job_id]


@pytest.mark.parametrize("base", ["v1.0", "keyed/v1.0"])
def test_a_strangers_token_gets_nothing(place, base):
    async def read(jobs) -> None:
        await jobs.get()

    token = Entra(tenant_id=STRANGERS).token(roles=["Provisioning.Operate"])
    code = "InvalidAuthenticationToken" if base == "v1.0" else None  # the Functions host refuses without a word
    assert refused(place, read, token, base=base) == (401, code)
