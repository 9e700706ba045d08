"""The state store in Azure Tables: the cloud's, and Azurite's in the tests.

A row becomes an entity whose JSON text is split over the string properties d0, d1, ..., each below the 64 KiB that one
may hold. A table is made when something is first written to it. Everything that the service refuses is refused before
the call, since Azurite is more lenient than the service. This module knows nothing of what a row means.

A lost reply: a transaction whose reply never came may have been carried out; this becomes `Unavailable`, as it is not
sent again. After an answer of 500, 503 or 504 azure-data-tables does send it again, and if the first one was carried
out after all, the second meets its own rows: 409, 412 or 404 become `RowConflict`, as if somebody else had written. So
neither error proves that nothing was written, and whoever meets one reads again before deciding; the engine does. Only
`Put` and unconditional `Delete` are simply carried out twice.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from itertools import count
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from azure.core import MatchConditions
from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ResourceExistsError,
    ResourceNotFoundError,
)
from azure.data.tables import TableEntity, UpdateMode
from azure.data.tables.aio import TableClient, TableServiceClient

from provisioning.adapters.row_limits import check_key, check_limit, encode_transaction, split
from provisioning.errors import ConfigError, ProvisioningError, RowConflict, RowTooLarge, Unauthorized, Unavailable
from provisioning.rows import Delete, Insert, Operation, Put, Replace, Row

_CLIENT_OPTIONS: Final[Mapping[str, Any]] = {
    "retry_total": 3,
    "retry_backoff_max": 10,
    "connection_timeout": 10,
    "read_timeout": 60,
}
_POINT_READS = 32
_PREFIX = re.compile(r"[A-Za-z][A-Za-z0-9]{0,31}")
_TOO_LARGE = {"EntityTooLarge", "PropertyValueTooLarge", "TooManyProperties", "RequestBodyTooLarge"}

_T = TypeVar("_T")

# What azure-data-tables takes as one operation of a transaction.
_SdkOperation = tuple[str, Mapping[str, Any], Mapping[str, Any]]


class TablesStore:
    """The state store in the tables of one storage account whose names begin with `prefix`."""

    def __init__(self, service: TableServiceClient, *, prefix: str) -> None:
        if not _PREFIX.fullmatch(prefix):
            raise ConfigError(
                f"The table prefix {prefix!r} must be a letter followed by at most 31 letters and digits."
            )
        self._service = service
        self._prefix = prefix
        self._point_reads = asyncio.Semaphore(_POINT_READS)

    @classmethod
    def from_account_url(
        cls, url: str, credential: AsyncTokenCredential, *, prefix: str = "provisioning"
    ) -> TablesStore:
        """The tables of the account at `url`, opened with `credential`, which the caller closes."""
        try:
            service = TableServiceClient(url, credential=credential, **_CLIENT_OPTIONS)
        except ValueError as error:
            raise ConfigError(
                f"The address of the state tables cannot be used: {error} "
                "It has the form https://ACCOUNT.table.core.windows.net."
            ) from error
        return cls(service, prefix=prefix)

    @classmethod
    def from_connection_string(cls, text: str, *, prefix: str = "provisioning") -> TablesStore:
        try:
            service = TableServiceClient.from_connection_string(text, **_CLIENT_OPTIONS)
        except ValueError:
            # Without the cause: it may quote the connection string, which holds the key.
            raise ConfigError(
                "The connection string of the state tables cannot be read. "
                "It has the form DefaultEndpointsProtocol=https;AccountName=...;AccountKey=...;TableEndpoint=..."
            ) from None
        return cls(service, prefix=prefix)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._service.close()

    async def get(self, table: str, partition: str, key: str) -> Row | None:
        check_key("partition", partition)
        check_key("key", key)
        entity = await self._entity(table, partition, key)
        return None if entity is None else _row(entity)

    async def get_many(self, table: str, keys: Sequence[tuple[str, str]]) -> Mapping[tuple[str, str], Row]:
        rows = await _side_by_side(self.get(table, partition, key) for partition, key in keys)
        return {(row.partition, row.key): row for row in rows if row is not None}

    async def scan(
        self, table: str, partition: str, *, after: str = "", before: str | None = None, limit: int = 1000
    ) -> Sequence[Row]:
        check_key("partition", partition)
        check_limit(limit)
        wanted = "PartitionKey eq @partition and RowKey gt @after"
        parameters = {"partition": partition, "after": after}
        if before is not None:
            wanted += " and RowKey lt @before"
            parameters["before"] = before
        rows: list[Row] = []
        with _translated_errors(f"scan table {table!r}"):
            try:
                # The service may answer a short, even an empty page with more to follow; the iterator goes on.
                async for entity in self._table(table).query_entities(
                    wanted, parameters=parameters, results_per_page=limit
                ):
                    rows.append(_row(entity))
                    if len(rows) == limit:
                        break
            except ResourceNotFoundError:
                return []
        return rows

    async def commit(self, table: str, partition: str, operations: Sequence[Operation]) -> Sequence[str | None]:
        """As the port says. An unconditional `Delete` of an absent row is left out of the transaction, as the service
        would refuse the whole: that the row is absent is read just before, so a row inserted in between stays.
        """
        texts = encode_transaction(table, partition, operations)
        prepared = {
            operation.key: _sdk_operation(partition, operation, text)
            for operation, text in zip(operations, texts, strict=True)
        }
        deleted = {operation.key for operation in operations if operation == Delete(operation.key)}
        etags: dict[str, str | None] = {}
        with _translated_errors(f"write to table {table!r}, partition {partition!r}"):
            while prepared:
                try:
                    etags = await self._submit(table, prepared)
                    break
                except HttpResponseError as error:
                    if error.status_code != HTTPStatus.NOT_FOUND:
                        raise
                    absent = await self._absent(table, partition, deleted & prepared.keys())
                    if not absent:
                        raise
                    prepared = {key: operation for key, operation in prepared.items() if key not in absent}
        return [None if isinstance(operation, Delete) else etags[operation.key] for operation in operations]

    async def _submit(self, table: str, prepared: Mapping[str, _SdkOperation]) -> dict[str, str | None]:
        client = self._table(table)
        try:
            answers = await client.submit_transaction(prepared.values())
        except HttpResponseError as error:
            if _code(error) != "TableNotFound":
                raise
            await self._create_table(table)
            answers = await client.submit_transaction(prepared.values())
        return {key: answer.get("etag") for key, answer in zip(prepared, answers, strict=True)}

    async def _absent(self, table: str, partition: str, keys: set[str]) -> set[str]:
        ordered = sorted(keys)
        found = await _side_by_side(self._entity(table, partition, key, select="RowKey") for key in ordered)
        return {key for key, entity in zip(ordered, found, strict=True) if entity is None}

    async def _entity(self, table: str, partition: str, key: str, select: str | None = None) -> TableEntity | None:
        async with self._point_reads:
            with _translated_errors(f"read table {table!r}, partition {partition!r}, key {key!r}"):
                try:
                    return await self._table(table).get_entity(partition, key, select=select)
                except ResourceNotFoundError:
                    return None

    async def _create_table(self, table: str) -> None:
        try:
            await self._service.create_table(self._prefix + table)
        except ResourceExistsError as error:
            # Another worker was first; but a table that is being deleted has the same status.
            if _code(error) != "TableAlreadyExists":
                raise

    def _table(self, table: str) -> TableClient:
        return self._service.get_table_client(self._prefix + table)


async def _side_by_side(reads: Iterable[Coroutine[None, None, _T]]) -> list[_T]:
    """All results in order; the first failure stops the others, so that nothing reads on behind the caller's back."""
    tasks = [asyncio.create_task(read) for read in reads]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _sdk_operation(partition: str, operation: Operation, text: str) -> _SdkOperation:
    entity: dict[str, Any] = {"PartitionKey": partition, "RowKey": operation.key}
    entity |= {f"d{number}": piece for number, piece in enumerate(split(text))}
    match operation:
        case Insert():
            return "create", entity, {}
        case Put():
            return "upsert", entity, {"mode": UpdateMode.REPLACE}
        case Replace(etag=etag):
            return "update", entity, {"mode": UpdateMode.REPLACE, **_only_if(etag)}
        case Delete(etag=etag):
            return "delete", entity, {} if etag is None else _only_if(etag)


def _only_if(etag: str) -> Mapping[str, Any]:
    return {"etag": etag, "match_condition": MatchConditions.IfNotModified}


def _row(entity: TableEntity) -> Row:
    pieces: list[str] = []
    for number in count():
        piece = entity.get(f"d{number}")
        if piece is None:
            break
        pieces.append(piece)
    return Row(entity["PartitionKey"], entity["RowKey"], "".join(pieces), entity.metadata["etag"] or "")


@contextmanager
def _translated_errors(action: str) -> Iterator[None]:
    try:
        yield
    except ClientAuthenticationError as error:
        raise _unauthorized(action, type(error).__name__) from error
    except HttpResponseError as error:
        raise _error_of_answer(action, error) from error
    except AzureError as error:
        raise Unavailable(
            f"Could not {action}: Azure Tables did not answer ({type(error).__name__}). "
            "Check the address of the account, its firewall and the network."
        ) from error


def _error_of_answer(action: str, error: HttpResponseError) -> ProvisioningError | ValueError:
    status, code = error.status_code, _code(error)
    answer = f"{status} {code}".strip()
    match status:
        case _ if code in {"TableNotFound", "TableBeingDeleted"}:
            return Unavailable(
                f"Could not {action}: {answer}. The table is being deleted; leave it alone for a minute."
            )
        case 404 | 409 | 412:
            return RowConflict(f"Could not {action}: {answer}. A row was written meanwhile. Read it again.")
        case _ if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE or code in _TOO_LARGE:
            return RowTooLarge(f"Could not {action}: {answer}. Store less in a row, or fewer rows at once.")
        case 401 | 403:
            return _unauthorized(action, answer)
        case 400:
            return ValueError(f"Could not {action}: Azure Tables refused the request as malformed ({answer}).")
        case _:
            return Unavailable(f"Could not {action}: Azure Tables answered {answer}. It is tried again later.")


def _unauthorized(action: str, answer: str) -> Unauthorized:
    return Unauthorized(
        f"Could not {action}: Azure Tables refused the credentials ({answer}). Give the app's identity the role "
        "Storage Table Data Contributor on the account, or correct the connection string."
    )


def _code(error: HttpResponseError) -> str:
    code = getattr(error, "error_code", None) or ""
    return str(getattr(code, "value", code))
