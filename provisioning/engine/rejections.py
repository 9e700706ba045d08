"""What a person has rejected: one row for each removal that is to be left alone. Knows rows; what a rejection is good
for, and when it ends, is decided elsewhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Collection, Sequence

from msgspec import Struct

from provisioning.engine.keys import AFTER_ALL, bin_of, digest
from provisioning.engine.ports import Store
from provisioning.engine.transactions import commit_each
from provisioning.model import ObjectType
from provisioning.rows import Delete, Operation, Put
from provisioning.rules.review import HarmKind

TABLE = "rejected"
PAGE = 1000
FEW = 20
"""Up to so many objects are asked for one by one, more of them by a range of rows."""


class Rejection(Struct, frozen=True, omit_defaults=True):
    """That what `version` identifies is not to be done to the object. `plan` listed it, `by` says who rejected that,
    `at` when (seconds since 1970). `withdrawn` and `owned` are what the plan knew of a membership.
    """

    object: str
    kind: HarmKind
    version: str
    plan: str
    by: str
    at: float
    withdrawn: bool = False
    owned: bool = False


class Rejections:
    """In the order of the plan's bins: who works on a range of the plan reads as much of them as lies in it."""

    def __init__(self, store: Store, job: str) -> None:
        self._store = store
        self._job = job

    async def add(self, rejections: Sequence[Rejection]) -> None:
        """One for each object: a newer one takes the place of an older one."""
        writes: list[tuple[str, Operation]] = [(self._job, Put(_key(each.object), each)) for each in rejections]
        await commit_each(self._store, TABLE, writes)

    async def load(self, object_keys: Collection[str]) -> dict[str, Rejection]:
        """Those of the objects of which something was rejected."""
        wanted = set(object_keys)
        if len(wanted) <= FEW:
            rows = await self._store.get_many(TABLE, [(self._job, _key(key)) for key in wanted])
            found = [row.decode(Rejection) for row in rows.values()]
            return {each.object: each for each in found}
        bins = sorted({bin_of(key) for key in wanted})
        return {
            each.object: each async for page in self._pages(bins[0], bins[-1]) for each in page if each.object in wanted
        }

    async def of(self, kind: ObjectType, source_id: str) -> list[Rejection]:
        """Of one user or group and all its memberships."""
        name = bin_of(f"{kind}:{source_id}")
        pages = self._pages(name, name) if kind == "group" else self.pages()
        return [each async for page in pages for each in page if source_id in owners_of(each.object, kind)]

    def pages(self) -> AsyncIterator[list[Rejection]]:
        return self._pages("00", "ff")

    async def _pages(self, first: str, last: str) -> AsyncIterator[list[Rejection]]:
        after, before = f"{first}|", f"{last}|{AFTER_ALL}"
        while rows := await self._store.scan(TABLE, self._job, after=after, before=before, limit=PAGE):
            yield [row.decode(Rejection) for row in rows]
            if len(rows) < PAGE:
                return
            after = rows[-1].key

    async def count(self) -> dict[str, int]:
        """By kind of harm."""
        found = Counter([each.kind async for page in self.pages() for each in page])
        return {str(kind): found[kind] for kind in sorted(found)}

    async def remove(self, rejections: Sequence[Rejection]) -> None:
        await commit_each(self._store, TABLE, [(self._job, Delete(_key(each.object))) for each in rejections])


def owners_of(object_key: str, kind: ObjectType) -> tuple[str, ...]:
    """The user, or the group, that an object key is about."""
    name, *ids = object_key.split(":")
    if name == "member":
        return (ids[0],) if kind == "group" else (ids[1],)
    return (ids[0],) if name == kind else ()


def _key(object_key: str) -> str:
    return f"{bin_of(object_key)}|{digest(object_key)[:40]}"
