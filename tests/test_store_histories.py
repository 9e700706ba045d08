"""Random histories of writes: every state store must end, and answer, as a plain dictionary does."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from contextlib import AsyncExitStack

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from provisioning.adapters.overlay import OverlayStore
from provisioning.adapters.sqlite import SqliteStore
from provisioning.adapters.tables import TablesStore
from provisioning.errors import RowConflict
from provisioning.rows import Delete, Insert, Operation, Put, Replace

# Few, so that operations meet; of lengths and planes whose order is easily got wrong.
KEYS = ["A", "a", "a-", "aa", "é", "\uff21", "😀"]
PARTITION = "p"
STALE, CURRENT = "stale", "current"


@st.composite
def operations(draw):
    key, data = draw(st.sampled_from(KEYS)), {"n": draw(st.integers(0, 3))}
    etag = draw(st.sampled_from([STALE, CURRENT]))
    kinds = [Insert(key, data), Put(key, data), Replace(key, data, etag), Delete(key), Delete(key, etag)]
    return draw(st.sampled_from(kinds))


transactions = st.lists(operations(), min_size=1, max_size=4, unique_by=lambda operation: operation.key)
histories = st.lists(transactions, max_size=12)
bounds = st.sampled_from(["", *KEYS])


class Model:
    """What the port promises, on a dictionary of key to (data, ETag)."""

    def __init__(self) -> None:
        self.rows: dict[str, tuple[object, str | None]] = {}
        self.earlier: dict[str, str | None] = {}

    def resolve(self, operation: Operation) -> Operation:
        """The operation with an ETag of the store under test in the place of "current" or "stale"."""
        match operation:
            case Replace(key, data, etag):
                return Replace(key, data, self._etag(key, etag))
            case Delete(key, str() as etag):
                return Delete(key, self._etag(key, etag))
        return operation

    def accepts(self, operation: Operation) -> bool:
        match operation:
            case Insert(key):
                return key not in self.rows
            case Replace(key, _, etag) | Delete(key, str() as etag):
                return key in self.rows and self.rows[key][1] == etag
        return True

    def carry_out(self, operation: Operation, etag: str | None) -> None:
        if operation.key in self.rows:
            self.earlier[operation.key] = self.rows.pop(operation.key)[1]
        if not isinstance(operation, Delete):
            self.rows[operation.key] = (operation.data, etag)

    def scan(self, after: str, before: str | None, limit: int) -> list[tuple[str, object, str | None]]:
        def order(key: str) -> bytes:
            return key.encode("utf-16-be")

        inside = [k for k in self.rows if order(k) > order(after) and (before is None or order(k) < order(before))]
        return [(key, *self.rows[key]) for key in sorted(inside, key=order)][:limit]

    def _etag(self, key: str, wanted: str) -> str:
        current = self.rows.get(key, (None, None))[1]
        earlier = self.earlier.get(key)
        known = [etag for etag in (current, earlier, *self.earlier.values()) if etag]
        if wanted == CURRENT and current:
            return current
        # Azure Tables wants its own form, so a stale ETag is one that a row had earlier.
        outdated = [etag for etag in known if etag != current]
        return outdated[0] if outdated else "W/\"datetime'2020-01-01T00%3A00%3A00.0000000Z'\""


async def replay(store, model: Model, history: Sequence[Sequence[Operation]]) -> None:
    for transaction in history:
        resolved = [model.resolve(operation) for operation in transaction]
        accepted = all(model.accepts(operation) for operation in resolved)
        try:
            etags = await store.commit("link", PARTITION, resolved)
        except RowConflict:
            assert not accepted
            continue
        assert accepted
        for operation, etag in zip(resolved, etags, strict=True):
            assert (etag is None) == isinstance(operation, Delete)
            model.carry_out(operation, etag)


async def compare(store, model: Model, after: str, before: str | None, limit: int) -> None:
    rows = await store.scan("link", PARTITION, after=after, before=before, limit=limit)
    assert [(row.key, row.data, row.etag) for row in rows] == model.scan(after, before, limit)
    found = await store.get_many("link", [(PARTITION, key) for key in KEYS])
    assert {key: (row.data, row.etag) for (_, key), row in found.items()} == model.rows
    for key in KEYS:
        row = await store.get("link", PARTITION, key)
        assert (row and (row.data, row.etag)) == model.rows.get(key)


@settings(max_examples=300, deadline=None)
@given(histories, bounds, st.none() | bounds, st.integers(1, 8))
def test_sqlite_ends_as_a_dictionary_does(history, after, before, limit):
    async def check():
        async with SqliteStore(":memory:") as store:
            model = Model()
            await replay(store, model, history)
            await compare(store, model, after, before, limit)

    asyncio.run(check())


@settings(max_examples=300, deadline=None)
@given(histories, histories, bounds, st.none() | bounds, st.integers(1, 8))
def test_an_overlay_ends_as_a_dictionary_does_and_leaves_its_base_alone(earlier, history, after, before, limit):
    async def check():
        base = SqliteStore(":memory:")
        async with OverlayStore(base, SqliteStore(":memory:")) as store:
            model = Model()
            await replay(base, model, earlier)
            untouched = await base.scan("link", PARTITION)
            await replay(store, model, history)
            await compare(store, model, after, before, limit)
            assert await base.scan("link", PARTITION) == untouched

    asyncio.run(check())


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(histories, bounds, st.none() | bounds, st.integers(1, 8))
def test_azure_tables_end_as_a_dictionary_does(azurite, history, after, before, limit):
    async def check():
        async with AsyncExitStack() as stack:
            store = TablesStore.from_connection_string(azurite, prefix=f"t{secrets.token_hex(8)}")
            await stack.enter_async_context(store)
            model = Model()
            await replay(store, model, history)
            await compare(store, model, after, before, limit)

    asyncio.run(check())
