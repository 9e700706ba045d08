"""Many conditional writes at once: grouped into the store's transactions, with one row's conflict kept to that row."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from provisioning.engine.ports import Store
from provisioning.errors import RowConflict
from provisioning.rows import MAX_TRANSACTION_ROWS, Operation


async def commit_each(store: Store, table: str, writes: Sequence[tuple[str, Operation]]) -> list[str | RowConflict]:
    """Carries out each (partition, operation); answers each one's new ETag ("" for a deletion) or its conflict.

    Rows of one partition share transactions; when one of them conflicts the others are written one by one. A row that
    is written more than once is written in the order given. Not atomic as a whole. The store may lose the reply of a
    transaction that it carried out and then report a conflict with our own write: callers read again on a conflict,
    which settles that case too.
    """
    rounds: list[dict[str, list[int]]] = []
    seen: dict[tuple[str, str], int] = {}
    for position, (partition, operation) in enumerate(writes):
        place = partition, operation.key
        number = seen[place] = seen.get(place, -1) + 1
        if number == len(rounds):
            rounds.append({})
        rounds[number].setdefault(partition, []).append(position)
    results: list[str | RowConflict] = [""] * len(writes)

    async def commit(partition: str, positions: list[int]) -> None:
        try:
            etags = await store.commit(table, partition, [writes[p][1] for p in positions])
        except RowConflict as conflict:
            if len(positions) == 1:
                results[positions[0]] = conflict
                return
            for position in positions:
                await commit(partition, [position])
            return
        for position, etag in zip(positions, etags, strict=True):
            results[position] = etag or ""

    for by_partition in rounds:
        commits = [
            commit(partition, positions[start : start + MAX_TRANSACTION_ROWS])
            for partition, positions in by_partition.items()
            for start in range(0, len(positions), MAX_TRANSACTION_ROWS)
        ]
        if len(commits) == 1:
            await commits[0]
            continue
        for ended in await asyncio.gather(*commits, return_exceptions=True):  # none may go on once this has returned
            if ended is not None:
                raise ended
    return results
