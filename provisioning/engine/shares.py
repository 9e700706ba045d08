"""Shares out the calls that an instance grants to us among the jobs and on-demand runs of one state store, so that
together they never use more. One row for each instance, changed only by who read it. Knows no call and no step.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field
from msgspec.structs import replace

from provisioning.engine.jobs import JOB
from provisioning.engine.keys import digest
from provisioning.engine.ports import Store
from provisioning.errors import RowConflict
from provisioning.rows import Insert, Operation, Replace

CLAIM_SECONDS, RENEW_BELOW = 120.0, 60.0
"""A claim is renewed with each batch. One that nobody renews is that of a dead process, and a person may be waiting."""
RECOVERY = 30.0
"""Seconds after which one call more is allowed again, once the instance had refused some."""
_KEY = "shares"


class Claim(Struct, frozen=True):
    """Somebody who works with the instance: how many calls they want at once, and how many they were given. A person
    waits for what is `urgent`. What is not renewed ends at `until` (seconds since 1970).
    """

    wants: int
    using: int
    since: float
    until: float
    urgent: bool = False


class Claims(Struct, frozen=True):
    """`limit` is what was left when the instance refused calls at `limited_at`; None when it never did."""

    holders: dict[str, Claim] = field(default_factory=dict)
    limit: int | None = None
    limited_at: float = 0.0

    def usable(self, granted: int, now: float) -> int:
        if self.limit is None:
            return granted
        return min(granted, self.limit + max(0, int((now - self.limited_at) / RECOVERY)))


def alive(claims: Mapping[str, Claim], now: float, lasts: float = CLAIM_SECONDS) -> dict[str, Claim]:
    """Those that somebody may still renew. A clock that was set back leaves claims which would last for days: whoever
    made one and lives claims anew.
    """
    return {name: each for name, each in claims.items() if now < each.until <= now + 2 * lasts}


def fair_share(claims: Mapping[str, Claim], usable: int) -> dict[str, int]:
    """One call for each in turn, urgent claims and then old ones first, until there are no more."""
    order = sorted(claims, key=lambda holder: (not claims[holder].urgent, claims[holder].since, holder))
    shares = dict.fromkeys(order, 0)
    left = usable
    while left:
        hungry = [holder for holder in order if shares[holder] < claims[holder].wants][:left]
        if not hungry:
            break
        for holder in hungry:
            shares[holder] += 1
        left -= len(hungry)
    return shares


def claimed(known: Claims, holder: str, claim: Claim, granted: int) -> Claims:
    """The claims with this one: its fair share, less what others have not given back yet."""
    now = claim.since
    others = alive(known.holders, now, claim.until - now)
    mine = others.pop(holder, None)
    if mine is not None:
        claim = replace(claim, since=mine.since)
    usable = known.usable(granted, now)
    share = fair_share({**others, holder: claim}, usable)[holder]
    free = max(0, usable - sum(each.using for each in others.values()))
    limit = None if usable == granted else known.limit
    return Claims({**others, holder: replace(claim, using=min(share, free))}, limit, known.limited_at)


class Share:
    """What a step knows of its job's claim."""

    def __init__(self, shares: Shares, holder: str, granted: int) -> None:
        self._shares, self._holder, self._granted = shares, holder, granted

    async def keep(self, now: float) -> bool:
        """Renews it. False when somebody else has come who is to get a part of what the job has."""
        return await self._shares.keep(self._holder, granted=self._granted, now=now)


class Shares:
    """The claims on one instance."""

    def __init__(self, store: Store, instance: str) -> None:
        self._store = store
        self._partition = f"instance|{digest(instance)[:16]}"

    async def claim(self, holder: str, wants: int, *, granted: int, now: float, urgent: bool = False) -> int:
        """How many calls the holder may have at once from now on; 0 while others have them all."""
        while True:
            known, etag = await self._load()
            new = claimed(known, holder, Claim(wants, 0, now, now + CLAIM_SECONDS, urgent), granted)
            before, after = known.holders.get(holder), new.holders[holder]
            if (
                before is not None
                and RENEW_BELOW < before.until - now <= 2 * CLAIM_SECONDS
                and before.using == after.using
            ):
                return before.using
            if await self._save(new, etag):
                return after.using

    async def keep(self, holder: str, *, granted: int, now: float) -> bool:
        """Renews a claim as it is. False when it has ended, or is to become smaller: then it is claimed anew."""
        while True:
            known, etag = await self._load()
            living = alive(known.holders, now)
            mine = living.get(holder)
            if mine is None or fair_share(living, known.usable(granted, now))[holder] < mine.using:
                return False
            if mine.until - now > RENEW_BELOW:
                return True
            renewed = {**living, holder: replace(mine, until=now + CLAIM_SECONDS)}
            if await self._save(replace(known, holders=renewed), etag):
                return True

    async def limit(self, granted: int, now: float) -> None:
        """The instance refused calls: half of them, and one more every `RECOVERY` seconds."""
        while True:
            known, etag = await self._load()
            less = max(1, known.usable(granted, now) // 2)
            if await self._save(replace(known, limit=less, limited_at=now), etag):
                return

    async def release(self, holder: str) -> None:
        while True:
            known, etag = await self._load()
            if holder not in known.holders:
                return
            others = {name: each for name, each in known.holders.items() if name != holder}
            if await self._save(replace(known, holders=others), etag):
                return

    async def known(self) -> Claims:
        return (await self._load())[0]

    async def _load(self) -> tuple[Claims, str]:
        row = await self._store.get(JOB, self._partition, _KEY)
        return (row.decode(Claims), row.etag) if row else (Claims(), "")

    async def _save(self, claims: Claims, etag: str) -> bool:
        """False when somebody else was faster."""
        operation: Operation = Replace(_KEY, claims, etag) if etag else Insert(_KEY, claims)
        try:
            await self._store.commit(JOB, self._partition, [operation])
        except RowConflict:
            return False
        return True
