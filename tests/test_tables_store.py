"""What only the Azure Tables store does: what it makes of the service's answers, and of answers that never arrive."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import secrets
from contextlib import asynccontextmanager

import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError
from azure.data.tables.aio import TableServiceClient

from provisioning.adapters.row_limits import encode_transaction, request_bytes
from provisioning.adapters.tables import TablesStore
from provisioning.errors import ConfigError, RowConflict, RowTooLarge, Unauthorized, Unavailable
from provisioning.rows import Delete, Insert, Put, Replace

KEY = "c2VjcmV0IG9mIHRoZSBhY2NvdW50"


def connection_string(port, key=KEY):
    return f"DefaultEndpointsProtocol=http;AccountName=a;AccountKey={key};TableEndpoint=http://127.0.0.1:{port}/a;"


def impatient_store(port):
    service = TableServiceClient.from_connection_string(connection_string(port), retry_total=0)
    return TablesStore(service, prefix="provisioning")


@asynccontextmanager
async def listening(answer):
    """The port of a server that handles each connection with `answer(reader, writer)`."""

    async def handle(reader, writer):
        try:
            await answer(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


def answering(*answers):
    """A service that gives these answers (status, headers, body) to one request after the other, the last for ever."""
    remaining = list(answers)

    async def answer(reader, writer):
        while head := await reader.read(65536):
            if not head.startswith((b"GET", b"POST")):
                continue
            status, headers, body = remaining.pop(0) if len(remaining) > 1 else remaining[0]
            text = json.dumps(body)
            lines = [f"HTTP/1.1 {status} -", "Content-Type: application/json", f"Content-Length: {len(text)}", *headers]
            writer.write("\r\n".join([*lines, "", text]).encode())
            await writer.drain()

    return listening(answer)


def refusal(code):
    return {"odata.error": {"code": code, "message": {"lang": "en-US", "value": f"{code} happened."}}}


def page(*keys):
    return {"value": [{"PartitionKey": "p", "RowKey": key, "odata.etag": key, "d0": "{}"} for key in keys]}


def test_a_short_or_empty_page_of_the_service_is_not_the_end_of_a_scan(runner):
    more = ["x-ms-continuation-NextPartitionKey: p", "x-ms-continuation-NextRowKey: k"]

    async def scan(limit):
        pages = [(200, more, page("a")), (200, more, page()), (200, more, page("b", "c")), (200, [], page("d"))]
        async with answering(*pages) as port, impatient_store(port) as store:
            return [row.key for row in await store.scan("link", "p", limit=limit)]

    assert runner.run(scan(1000)) == ["a", "b", "c", "d"]
    assert runner.run(scan(2)) == ["a", "b"]


@pytest.mark.parametrize(
    ("status", "code", "expected", "says"),
    [
        (503, "ServerBusy", Unavailable, "503 ServerBusy. It is tried again later"),
        (500, "OperationTimedOut", Unavailable, "500 OperationTimedOut"),
        (429, "TooManyRequests", Unavailable, "429 TooManyRequests"),
        (409, "TableBeingDeleted", Unavailable, "being deleted"),
        (403, "AuthorizationPermissionMismatch", Unauthorized, "Storage Table Data Contributor"),
        (403, "AuthenticationFailed", Unauthorized, "correct the connection string"),
        (409, "EntityAlreadyExists", RowConflict, "Read it again"),
        (412, "UpdateConditionNotSatisfied", RowConflict, "Read it again"),
        (413, "RequestBodyTooLarge", RowTooLarge, "fewer rows at once"),
        (400, "EntityTooLarge", RowTooLarge, "Store less"),
        (400, "InvalidInput", ValueError, "400 InvalidInput"),
    ],
)
def test_a_refusal_of_the_service_says_how_far_it_spreads_and_what_to_do(runner, status, code, expected, says):
    async def write():
        async with answering((status, [], refusal(code))) as port, impatient_store(port) as store:
            await store.commit("link", "p", [Insert("k", {})])

    with pytest.raises(expected, match=re.escape(says)) as caught:
        runner.run(write())
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("text", ["", "x" * 40_000, '"' * 20_000, "日" * 20_000, "😀" * 20_000])
@pytest.mark.parametrize("key", ["k", "日" * 500, "'" * 500])
def test_a_request_is_never_longer_than_estimated(runner, text, key):
    etag = "W/\"datetime'2026-01-01T00%3A00%3A00.0000000Z'\""
    operations = [
        Insert("i" + key, {"t": text}),
        Put("p" + key, {}),
        Replace("r" + key, {"t": text}, etag),
        Delete(key),
    ]
    estimate = request_bytes(key, operations, encode_transaction("assignment", key, operations))
    lengths = []

    async def note_length(reader, _writer):
        head = await reader.readuntil(b"\r\n\r\n")
        lengths.append(int(re.search(rb"Content-Length: (\d+)", head)[1]))

    async def write():
        async with listening(note_length) as port, impatient_store(port) as store:
            with contextlib.suppress(Unavailable):
                await store.commit("assignment", key, operations)

    runner.run(write())
    # The margin on the short side is for longer names of account, host and table.
    assert estimate * 0.3 < lengths[0] < estimate - 100 * len(operations)


def test_a_service_that_nobody_can_reach_is_unavailable(runner):
    async def nothing(_reader, _writer):
        pass

    async def read():
        async with listening(nothing) as port:
            pass
        async with impatient_store(port) as store:
            await store.get_many("link", [("p", f"{n}") for n in range(50)])

    with pytest.raises(Unavailable, match="its firewall and the network") as caught:
        runner.run(read())
    assert KEY not in str(caught.value)


def test_a_service_that_hangs_up_is_unavailable(runner):
    async def end(reader, _writer):
        await reader.read(1)

    async def read():
        async with listening(end) as port, impatient_store(port) as store:
            await store.get("link", "p", "k")

    with pytest.raises(Unavailable):
        runner.run(read())


def test_a_wrong_key_is_refused_without_being_told(runner, azurite):
    wrong = re.sub("AccountKey=[^;]+", f"AccountKey={KEY}", azurite)

    async def write():
        async with TablesStore.from_connection_string(wrong) as store:
            await store.commit("link", "p", [Put("k", {})])

    with pytest.raises(Unauthorized, match="correct the connection string") as caught:
        runner.run(write())
    assert KEY not in str(caught.value)


HANG_UP = b""
BUSY = b"HTTP/1.1 503 -\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


@pytest.mark.parametrize(("instead_of_reply", "expected"), [(HANG_UP, Unavailable), (BUSY, RowConflict)])
def test_neither_of_the_errors_after_a_lost_reply_says_that_nothing_was_written(
    runner, azurite, instead_of_reply, expected
):
    """Only the second is sent again by the SDK, and meets its own row. In both cases the row has to be read."""

    async def write():
        prefix = f"t{secrets.token_hex(8)}"
        async with TablesStore.from_connection_string(azurite, prefix=prefix) as store:
            await store.commit("link", "p", [Put("other", {})])
        async with (
            losing_the_first_reply_to_a_transaction(azurite, instead_of_reply) as through_proxy,
            TablesStore.from_connection_string(through_proxy, prefix=prefix) as store,
        ):
            with pytest.raises(expected):
                await store.commit("link", "p", [Insert("k", {"by": "me"}), Put("other", {"n": 2})])
            return [(row.key, row.data) for row in await store.scan("link", "p")]

    assert runner.run(write()) == [("k", {"by": "me"}), ("other", {"n": 2})]


@asynccontextmanager
async def losing_the_first_reply_to_a_transaction(azurite, instead):
    host, port = re.search(r"http://([\d.]+):(\d+)", azurite).groups()
    lost = []

    async def forward(reader, writer):
        to_reader, to_writer = await asyncio.open_connection(host, port)
        try:
            while request := await reader.read(65536):
                to_writer.write(request)
                reply = await to_reader.read(65536)
                if b"$batch" in request and not lost:
                    lost.append(request)
                    reply = instead
                if not reply:
                    return
                writer.write(reply)
        finally:
            to_writer.close()

    async with listening(forward) as own_port:
        # The signature covers the path, not the host.
        yield azurite.replace(f":{port}/", f":{own_port}/")
    assert lost


class FailingCredential:
    async def get_token(self, *_scopes, **_options) -> AccessToken:
        raise ClientAuthenticationError(message="No managed identity here.")

    async def close(self) -> None:
        pass


def test_an_identity_that_gets_no_token_is_unauthorized(runner):
    async def read():
        async with TablesStore.from_account_url("https://a.table.core.windows.net", FailingCredential()) as store:
            await store.get("link", "p", "k")

    with pytest.raises(Unauthorized, match="ClientAuthenticationError"):
        runner.run(read())


def test_a_connection_string_that_cannot_be_read_is_not_quoted():
    with pytest.raises(ConfigError, match="has the form") as caught:
        TablesStore.from_connection_string(f"AccountKey={KEY}")
    assert KEY not in str(caught.value)
    assert caught.value.__cause__ is None


def test_an_address_without_transport_encryption_is_refused():
    with pytest.raises(ConfigError, match=r"https://ACCOUNT\.table"):
        TablesStore.from_account_url("http://a.table.core.windows.net", FailingCredential())


@pytest.mark.parametrize("prefix", ["", "1a", "a-b", "a" * 33])
def test_a_prefix_that_no_table_name_may_begin_with_is_refused(prefix):
    with pytest.raises(ConfigError, match="letter followed by at most 31"):
        TablesStore.from_connection_string(connection_string(1), prefix=prefix)
