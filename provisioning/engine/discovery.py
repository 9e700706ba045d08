"""Gathers what can be said of every account or every group of the instance: links of all jobs, the records themselves,
and the objects of Entra that have their keys. What follows from it is said by rules/discovery. Writes nothing.

The tenant is read as a list, 999 objects a request, and only with the properties that keys and filters need: 501
requests for 500,000 users. Delta has pages of 200 users (2,500 requests), and a question by key holds 15 values and
costs its own share of Graph's limits even within a batch: 16,667 questions for 250,000 accounts, and none at all where
the key is an expression, which cannot be turned round.

What is kept in memory grows with the instance and with who is assigned, not with the tenant: one row for each record,
found by a digest of its key, and for each page of Entra nothing but what was noted on these rows. With 250,000
accounts, half of them linked, and 500,000 users `make bench` counts 150 MiB at the end and 185 MiB at most.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import UTC, date, datetime
from hashlib import blake2b
from typing import TypeVar

from msgspec import Struct

from provisioning.engine.access import Access, read_access
from provisioning.engine.context import Context
from provisioning.engine.links import Links
from provisioning.errors import ObjectError, Unauthorized
from provisioning.model import Link, ObjectType, Record, SourceObject
from provisioning.rules.comparison import loose
from provisioning.rules.discovery import GONE, Evidence, Standing, State, classify, standing_of
from provisioning.rules.mapping import Key, Mapper
from provisioning.rules.matching import choose_match
from provisioning.rules.protection import Rights, guarded_group, protected_account
from provisioning.rules.redaction import REDACTED
from provisioning.schema import ObjectMapping

NAME = {"user": "user_name", "group": "name"}
ACTIVE, LOGIN, CREATED, WEB = "active", "last_login_time", "sys_created_on", "web_service_access_only"
AT_ONCE = 1000
T = TypeVar("T")
Watch = Callable[[str, int, int | None], None]
"""Told what is being read, how many were, and how many there are, if that is known."""


class Discovered(Struct, frozen=True, gc=False):
    """One record of the instance. `job` is the job whose link holds it, `sources` are the ids of the objects of Entra
    that it is linked to or that have its key. `last_login` is None where nobody has logged in, or it is not told.
    """

    kind: ObjectType
    sys_id: str
    name: str
    state: State
    reason: str
    active: bool
    job: str
    sources: tuple[str, ...]
    last_login: date | None


class _Holder(Struct, gc=False):
    """The link that holds a record, as far as it is needed."""

    job: str
    ours: bool
    source: str
    linked: bool
    released: bool
    written: dict[str, str]


class _Row(Struct, gc=False):
    """What was noted of one record. `values` are those of the gathering's `kept` columns."""

    values: tuple[str, ...]
    active: bool
    seen: date | None
    logged_in: bool
    protection: str
    holder: _Holder | None
    standing: Standing | None = None
    sources: tuple[str, ...] = ()
    ambiguity: str = ""


async def discover(context: Context, kind: ObjectType, jobs: Collection[str], watch: Watch) -> Discovery:
    """Reads both sides and the links of this job and of the other `jobs` of the instance, one call to the instance at a
    time. Raises `Unavailable` when a page cannot be read: nothing is said then.
    """
    with context.target.share(1):
        found = await Discovery.prepared(context, kind)
        for job in dict.fromkeys((context.job.id, *jobs)):
            await found.read_links(Links(context.store, job), job)
        await found.read_records(watch)
        await found.read_sources(watch)
    found.note_twins()
    return found


class Discovery:
    """What was gathered of one kind of records. `dangling` counts links whose record the instance does not have,
    `keyless` objects of Entra without a usable key. `notes` say what could not be told.
    """

    def __init__(self, context: Context, kind: ObjectType, mapper: Mapper, columns: Collection[str]) -> None:
        self._context = context
        self.kind: ObjectType = kind
        self._mapper = mapper
        self._mapping: ObjectMapping = mapper.mapping
        self._keys = tuple(tuple(each.target for each in key) for key in self._mapping.matching)
        keys = [name for key in self._keys for name in key]
        self._kept = tuple(dict.fromkeys((NAME[kind], *keys, *(name for name, _ in self._mapping.preferred))))
        self._needed = tuple(dict.fromkeys((*self._kept, *([ACTIVE] if ACTIVE in columns else []))))
        optional = (WEB, LOGIN, CREATED) if kind == "user" else ()
        self._optional = tuple(name for name in optional if name in columns and name not in self._needed)
        self._hidden = set(self._optional)
        self._holders: dict[str, _Holder] = {}
        self._rows: dict[str, _Row] = {}
        self._indexes: dict[tuple[str, ...], dict[bytes, str | list[str]]] = {key: {} for key in self._keys}
        self._records_of: dict[str, str] = {}
        self._same: dict[object, object] = {}
        self.dangling = 0
        self.keyless = 0
        self.notes: list[str] = []

    @classmethod
    async def prepared(cls, context: Context, kind: ObjectType) -> Discovery:
        mapper = await context.identifier(kind)
        columns = (await context.target.dictionary())[mapper.mapping.table]
        return cls(context, kind, mapper, columns)

    def __len__(self) -> int:
        return len(self._rows)

    async def read_links(self, links: Links, job: str) -> None:
        """Before the records: a link tells whether its record is protected. This job's come first, and stay, but for
        records that it has let go of and another job has taken over.
        """
        ours = job == self._context.job.id
        async for page in links.pages(self.kind):
            for link in page:
                known = self._holders.get(link.sys_id) if link.sys_id else None
                if link.sys_id and (known is None or (known.released and not link.released)):
                    written = {name: link.written[name] for name in (WEB, "identity_type") if name in link.written}
                    self._holders[link.sys_id] = _Holder(
                        job, ours, link.id, link.linked, link.released, written or _NOTHING
                    )

    async def read_records(self, watch: Watch) -> None:
        rights = await self._context.rights.of_accounts() if self.kind == "user" else Rights()
        doubt = ""
        async for page in self._context.target.scan(self._mapping.table, (*self._needed, *self._optional)):
            if self.kind == "group":
                unlinked = [record["sys_id"] for record in page.records if record["sys_id"] not in self._holders]
                rights = await self._context.rights.of_groups(unlinked)
            for record in page.records:
                self._note_record(record, rights)
            doubt = page.doubt or doubt
            watch(f"{self.kind}s of ServiceNow", len(self._rows), page.total)
        self.dangling = sum(1 for holder in self._holders.values() if holder.ours)
        self._holders.clear()
        if self.kind == "user" and not self._rows:
            raise Unauthorized(
                f"{self._mapping.table} came back empty, although we are logged in with one of its accounts: row "
                "access rules hide it, or query ACLs on sys_id. Let the integration user read all accounts, and "
                "give it the query_range ACL on sys_id",
                code="InsufficientRights",
            )
        if doubt:
            self.notes.append(doubt)
        if self._rows:
            self.notes += [
                f"the integration user may not read {self._mapping.table}.{name}: {_LOST[name]}"
                for name in self._optional
                if name in self._hidden and name in _LOST
            ]

    def _note_record(self, record: Record, rights: Rights) -> None:
        if absent := [name for name in self._needed if name not in record]:
            raise Unauthorized(
                f"rows of {self._mapping.table} come without {', '.join(absent)}: without it nothing can be said of "
                "them. Let the integration user read these fields",
                code="InsufficientRights",
            )
        sys_id = record["sys_id"]
        holder = self._holders.pop(sys_id, None)
        if holder is not None and holder.ours:
            self._records_of[holder.source] = sys_id
        for name in tuple(self._hidden):
            if name in record:
                self._hidden.discard(name)
        login = _day(record.get(LOGIN, ""))
        # Without the last login, a day of creation would say that nobody had ever logged in.
        created = _day(record.get(CREATED, "")) if login is None and LOGIN in record else None
        values = tuple(self._once(record[name]) if name == ACTIVE else record[name] for name in self._kept)
        row = self._rows[sys_id] = _Row(
            values,
            record.get(ACTIVE, "true") == "true",
            self._once(login or created),
            login is not None,
            self._once(self._protection(record, holder, rights) or ""),
            holder,
        )
        for key in self._keys:
            parts = self._parts(row, key)
            if all(parts):
                index, at = self._indexes[key], _digest(parts)
                match index.get(at):
                    case None:
                        index[at] = sys_id
                    case str(first):
                        index[at] = [first, sys_id]
                    case several:
                        several.append(sys_id)

    def _protection(self, record: Record, holder: _Holder | None, rights: Rights) -> str | None:
        named = self._context.job.policy.protection
        if self.kind == "user":
            link = Link("user", "")
            if holder is not None:
                link = Link(
                    "user", holder.source, sys_id=record["sys_id"], intended=not holder.linked, written=holder.written
                )
            return protected_account(record, link, named, rights)
        return guarded_group(record, named, rights) if holder is None else None

    async def read_sources(self, watch: Watch) -> None:
        """All objects of Entra. Absence from the list proves nothing: the objects of links that it lacks are asked for
        by their ids.
        """
        if not self._context.job.schema.mapping(self.kind).enabled:
            self.notes.append(f"the mapping of {self.kind}s is switched off: Entra's {self.kind}s were not read")
            return
        context, kind = self._context, self.kind
        place = await self._placing()
        link, seen = None, 0
        while True:
            page = await context.source.objects(kind, self._mapping.source_properties, link)
            for source in page.objects:
                place(source)
            seen += len(page.objects)
            watch(f"{kind}s of Entra", seen, None)
            link = page.next_link
            if link is None:
                break
        unseen = [source for source, sys_id in self._records_of.items() if self._rows[sys_id].standing is None]
        read = context.source.users if kind == "user" else context.source.groups
        for start in range(0, len(unseen), AT_ONCE):
            for source in (await read(unseen[start : start + AT_ONCE])).values():
                place(source)
        for source_id in unseen:
            row = self._rows[self._records_of[source_id]]
            row.standing = row.standing or GONE

    async def _placing(self) -> Callable[[SourceObject], None]:
        """What notes an object of Entra on the record that it is linked to, or that has its key."""
        context = self._context
        access: Access = await read_access(context, self.kind, self._mapping)
        default_access = await context.default_access()
        now = datetime.fromtimestamp(context.now(), UTC)

        def standing(source: SourceObject) -> Standing:
            facts, grants = access.facts(source), access.of(source.id)
            everyone, scope = context.job.policy.everyone, self._mapping.scope
            return self._once(standing_of(facts, grants, scope, everyone=everyone, default_access=default_access))

        def place(source: SourceObject) -> None:
            keys = self._keys_of(access, source, now)
            own = self._records_of.get(source.id)
            if own is not None:
                self._rows[own].standing = standing(source)
                self._note_others(keys, own)
            else:
                self._match(source.id, keys, lambda: standing(source))

        return place

    def _keys_of(self, access: Access, source: SourceObject, now: datetime) -> tuple[Key, ...]:
        try:
            desired = self._mapper.evaluate(access.facts(source), now)
        except ObjectError:
            self.keyless += 1
            return ()
        if any(self._context.target.refusal(value) for key in desired.keys for _, value in key.parts):
            self.keyless += 1
            return ()
        return desired.keys

    def _match(self, source_id: str, keys: Sequence[Key], standing: Callable[[], Standing]) -> None:
        """As in a cycle: the first key that something has decides."""
        for key in keys:
            hits = self._hits(key)
            if not hits:
                continue
            try:
                chosen = choose_match(key, [self._record(sys_id) for sys_id in hits], self._mapping.preferred)
            except ObjectError as error:
                for sys_id in hits:
                    self._note_source(self._rows[sys_id], source_id)
                    self._note_ambiguity(sys_id, str(error))
                return
            if chosen is None:
                return
            row = self._rows[chosen.record["sys_id"]]
            if row.holder is None:
                self._note_source(row, source_id)
                row.standing = row.standing or standing()
            for sys_id in chosen.others:
                self._note_ambiguity(sys_id, f"{len(hits)} records have its {_named(key)}: {', '.join(hits[:5])}")
            return

    def _note_others(self, keys: Sequence[Key], own: str) -> None:
        for sys_id in self._hits(keys[0]) if keys else ():
            if sys_id != own:
                self._note_ambiguity(sys_id, f"it has the key of a {self.kind} in Entra whose record is {own}")

    def note_twins(self) -> None:
        """At the end. Of records with one key at most one can be an object's own: where just one has the preferred
        values (an active account), a cycle takes that.
        """
        key, wanted = self._keys[0], self._mapping.preferred
        for sys_ids in self._indexes[key].values():
            if isinstance(sys_ids, str):
                continue
            records = [self._record(sys_id) for sys_id in sys_ids]
            first = [one["sys_id"] for one in records if all(one.get(name) == value for name, value in wanted)]
            spared = first if wanted and len(first) == 1 else []
            text = f"{len(sys_ids)} records have its {' and '.join(key)}: {', '.join(sys_ids[:5])}"
            for sys_id in sys_ids:
                if sys_id not in spared:
                    self._note_ambiguity(sys_id, text)

    def _note_source(self, row: _Row, source_id: str) -> None:
        """Graph may list an object twice. What a link holds is its link's."""
        if row.holder is None and source_id not in row.sources:
            row.sources = (*row.sources, source_id)

    def _note_ambiguity(self, sys_id: str, text: str) -> None:
        row = self._rows[sys_id]
        row.ambiguity = row.ambiguity or text

    def _hits(self, key: Key) -> Sequence[str]:
        found = self._indexes[tuple(name for name, _ in key.parts)].get(_digest([value for _, value in key.parts]), ())
        return (found,) if isinstance(found, str) else found

    def _record(self, sys_id: str) -> Record:
        return {"sys_id": sys_id, **dict(zip(self._kept, self._rows[sys_id].values, strict=True))}

    def _parts(self, row: _Row, key: Sequence[str]) -> list[str]:
        return [row.values[self._kept.index(name)] for name in key]

    def _once(self, value: T) -> T:
        """The same object for equal values, of which there are few."""
        return self._same.setdefault(value, value)  # type: ignore[return-value]

    def records(self, stale_days: int) -> Iterator[Discovered]:
        """All records with their states, in the order in which they were read."""
        today = datetime.fromtimestamp(self._context.now(), UTC).date()
        hides_name = NAME[self.kind] in self._context.job.schema.mapping(self.kind).redacted
        for sys_id, row in self._rows.items():
            holder = row.holder
            evidence = Evidence(
                self.kind,
                row.active,
                job=holder.job if holder else "",
                ours=bool(holder and holder.ours),
                standing=row.standing,
                sources=row.sources,
                ambiguity=row.ambiguity,
                protection=row.protection,
                seen=row.seen,
                logged_in=row.logged_in,
            )
            verdict = classify(evidence, today, stale_days)
            yield Discovered(
                self.kind,
                sys_id,
                REDACTED if hides_name else row.values[0],
                verdict.state,
                verdict.reason,
                row.active,
                evidence.job,
                (holder.source,) if holder else row.sources,
                row.seen if row.logged_in else None,
            )


_NOTHING: dict[str, str] = {}
_LOST = {
    WEB: "accounts for web services only cannot be told, and are not counted as protected",
    LOGIN: "local accounts that nobody uses cannot be told, and count as local",
}


def _named(key: Key) -> str:
    return " and ".join(name for name, _ in key.parts)


def _digest(values: Sequence[str]) -> bytes:
    """As the instance compares; what is equal only here is judged to the letter afterwards."""
    return blake2b("\n".join(map(loose, values)).encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _day(text: str) -> date | None:
    """Of a time as ServiceNow stores it, `2026-11-27 10:00:00` in UTC."""
    try:
        return date.fromisoformat(text[:10])
    except ValueError:
        return None
