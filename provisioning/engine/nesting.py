"""Groups within groups: who belongs to an assigned group through other groups, where the job counts them as its
members. Remembers which groups are nested in which, so that a change deep inside is noticed.

A circle of groups ends where it meets itself. Without the setting, only direct members count, as in Entra.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass

from provisioning.engine.keys import AFTER_ALL
from provisioning.engine.ports import Source, Store
from provisioning.engine.transactions import commit_each
from provisioning.errors import Unavailable
from provisioning.model import Member
from provisioning.rows import Delete, Operation, Put, Row

NESTED = "nested"
PAGE = 1000
ASKED_ONE_BY_ONE = 20


@dataclass(frozen=True, slots=True)
class Tree:
    """The users that belong to a group, directly or not, and the groups within it."""

    users: tuple[str, ...]
    groups: frozenset[str]


class Nesting:
    """`enabled` is the job's setting."""

    def __init__(self, store: Store, source: Source, job: str, *, enabled: bool) -> None:
        self._store = store
        self._source = source
        self._job = job
        self.enabled = enabled

    async def expand(self, roots: Collection[str]) -> dict[str, Tree | None]:
        """Each group's tree as Graph has it now, level by level; None for a group that does not exist."""
        lists: dict[str, tuple[Member, ...] | None] = {}
        users: dict[str, dict[str, None]] = {root: {} for root in roots}
        groups: dict[str, set[str]] = {root: set() for root in roots}
        level: dict[str, set[str]] = {root: {root} for root in roots}
        while any(level.values()):
            unread = {group for some in level.values() for group in some} - lists.keys()
            lists |= await self._source.members(sorted(unread)) if unread else {}
            below: dict[str, set[str]] = {}
            for root, some in level.items():
                members = [member for group in some for member in lists[group] or ()]
                users[root] |= dict.fromkeys(member.id for member in members if member.type == "user")
                found = {member.id for member in members if member.type == "group"} if self.enabled else set()
                below[root] = found - groups[root] - {root}
                groups[root] |= below[root]
            level = below
        return {
            root: Tree(tuple(users[root]), frozenset(groups[root])) if lists[root] is not None else None
            for root in roots
        }

    async def remember(self, root: str, groups: Collection[str]) -> None:
        """Stores which groups are within an assigned group. Raises `Unavailable` when one that was there is missing
        from the tree and yet is still a member: the lists that were read contradict each other.
        """
        known = await self.within(root)
        dropped = known - set(groups)
        if dropped:
            pairs = [(parent, group) for group in sorted(dropped) for parent in (root, *sorted(groups))]
            if any((await self._source.are_members(pairs)).values()):
                raise Unavailable(f"Microsoft Graph lists the members of group {root} without a group that it holds")
        await self._change(root, added=set(groups) - known, removed=dropped)

    async def forget(self, root: str) -> None:
        """For a group that gives no access any more: what is within it gives none either."""
        if self.enabled:
            await self._change(root, added=(), removed=await self.within(root))

    async def _change(self, root: str, *, added: Collection[str], removed: Collection[str]) -> None:
        """Both ways to find them: the groups within a group, and the groups that a group is within."""
        writes: list[tuple[str, Operation]] = []
        for group in added:
            writes += [(self._tree(root), Put(group, {})), (self._above(), Put(f"{group}|{root}", {}))]
        for group in removed:
            writes += [(self._tree(root), Delete(group)), (self._above(), Delete(f"{group}|{root}"))]
        await commit_each(self._store, NESTED, writes)

    async def within(self, root: str) -> set[str]:
        """The groups that were last seen within an assigned group."""
        return {row.key async for row in self._rows(self._tree(root))}

    async def roots_of(self, groups: Collection[str]) -> dict[str, set[str]]:
        """The assigned groups that each of these groups is within; groups that are within none are absent."""
        found: dict[str, set[str]] = {}
        if self.enabled:
            for group in groups:
                first, last = f"{group}|", f"{group}|{AFTER_ALL}"
                roots = {row.key.partition("|")[2] async for row in self._rows(self._above(), first, last)}
                if roots:
                    found[group] = roots
        return found

    async def hold(self, pairs: Collection[tuple[str, str]]) -> Mapping[tuple[str, str], bool]:
        """Whether each (assigned group, user) holds right now, directly or through a group within: the read that
        proves that somebody left.
        """
        direct = await self._source.are_members(pairs) if pairs else {}
        doubtful = [pair for pair, holds in direct.items() if not holds] if self.enabled else []
        if not doubtful:
            return direct
        trees = {root: await self.within(root) for root in {root for root, _ in doubtful}}
        asked = [(group, user) for root, user in doubtful for group in sorted(trees[root])]
        through = await self._source.are_members(asked) if asked else {}
        return {
            (root, user): holds or any(through.get((group, user)) for group in trees.get(root, ()))
            for (root, user), holds in direct.items()
        }

    async def groups_of(self, users: Collection[str]) -> dict[str, set[str]]:
        """The assigned groups with groups within them that each user belongs to at present, through whichever."""
        roots = await self._roots() if self.enabled and users else set()
        found: dict[str, set[str]] = defaultdict(set)
        if not roots:
            return found
        if len(users) <= ASKED_ONE_BY_ONE:
            for (root, user), holds in (await self.hold([(root, user) for root in roots for user in users])).items():
                if holds:
                    found[user].add(root)
            return found
        trees = await self.expand(sorted(roots))
        for root, tree in trees.items():
            for user in set(users).intersection(tree.users if tree is not None else ()):
                found[user].add(root)
        return found

    async def _roots(self) -> set[str]:
        return {row.key.partition("|")[2] async for row in self._rows(self._above())}

    async def _rows(self, partition: str, after: str = "", before: str | None = None) -> AsyncIterator[Row]:
        while rows := await self._store.scan(NESTED, partition, after=after, before=before, limit=PAGE):
            for row in rows:
                yield row
            after = rows[-1].key

    def _tree(self, root: str) -> str:
        return f"{self._job}|in|{root}"

    def _above(self) -> str:
        return f"{self._job}|above"
