"""Test writes, for what no read can tell: whether a record can be created, under a sys_id of our choice, what becomes
of values that are too long, which columns are silently not written. Each makes one record whose name says what it is (a
user is inactive and locked out) and deletes it whatever happens; what cannot be deleted is named.
"""

from __future__ import annotations

import logging
import secrets
import uuid
from collections.abc import Mapping
from urllib.parse import quote

from msgspec import Struct
from msgspec.structs import replace

from provisioning.adapters.servicenow import batch
from provisioning.adapters.servicenow.answers import Answer, record_of, records_of
from provisioning.adapters.servicenow.faults import Fault, ReplyLost
from provisioning.adapters.servicenow.reading import TRIES, Calls
from provisioning.adapters.servicenow.usage import Usage
from provisioning.errors import ProvisioningError
from provisioning.model import Column, Record

logger = logging.getLogger(__name__)

NAME = "provisioning probe"
KEYS = {"sys_user": "user_name", "sys_user_group": "name"}
"""The tables that test records are made in, and the column that holds their name."""
HARMLESS = {"sys_user": {"active": "false", "locked_out": "true"}, "sys_user_group": {"active": "false"}}
VALUE = "provisioning probe"
TOO_LONG = 5
"""Characters by which a value exceeds its column."""
_ECHO = "sysparm_display_value=false&sysparm_exclude_reference_link=true"
_NOT_SENT = Fault("doubt", "InternalServerError", "the instance did not answer the test write", "Try again")


class Trial(Struct, frozen=True):
    """What one test record told. `refused` is why there was none, `unchanged` why it could not be changed. `collides`
    tells whether a second insert with the same sys_id was refused. `cut` maps a column to the characters it kept,
    `shorter` those that kept fewer than the dictionary tells. `dropped` are the columns whose values were not stored,
    `left` says of each record that could not be deleted how to find it.
    """

    table: str
    refused: Fault | None = None
    honoured: bool | None = None
    collides: bool | None = None
    unchanged: Fault | None = None
    cut: dict[str, int] = {}
    shorter: dict[str, int] = {}
    dropped: tuple[str, ...] = ()
    broke: str = ""
    left: tuple[str, ...] = ()


def can_be_tried(usage: Usage) -> bool:
    return usage.adds and usage.table in KEYS


async def try_writes(calls: Calls, usage: Usage, columns: Mapping[str, Column]) -> Trial:
    record = _TestRecord(calls, usage)
    trial = Trial(usage.table)
    try:
        trial = await _try(record, trial, await _texts(record, columns))
    except ProvisioningError as error:
        trial = replace(trial, broke=str(error))
    finally:
        left = await record.delete()
        if left:
            logger.warning("test records are left", extra={"table": usage.table, "records": left})
    return replace(trial, left=tuple(left))


async def _try(record: _TestRecord, trial: Trial, texts: Mapping[str, int]) -> Trial:
    sent = {name: VALUE[:length] if length else VALUE for name, length in texts.items() if name != record.key}
    made = await record.insert(record.name, HARMLESS[record.table] | sent)
    if isinstance(made, Fault):
        # It may have been done all the same: the answer was lost, or only reading back was denied (KB0546297).
        found = await record.find()
        if not found:
            return replace(trial, refused=made)
        made = found[0]
    honoured = made["sys_id"] == record.sys_id
    dropped = tuple(sorted(name for name, value in sent.items() if made.get(name, value) != value))
    trial = replace(trial, honoured=honoured, dropped=dropped)
    if record.usage.changes:
        longer = {
            name: _longer(record, name, length) for name, length in texts.items() if length and name not in dropped
        }
        changed = await record.change(made["sys_id"], longer)
        if isinstance(changed, Fault):
            trial = replace(trial, unchanged=changed)
        else:
            cut = {
                name: len(changed[name]) for name in longer if len(changed.get(name, longer[name])) < len(longer[name])
            }
            shorter = {name: kept for name, kept in cut.items() if kept < texts[name]}
            trial = replace(trial, cut=cut, shorter=shorter)
    if honoured:
        again = await record.insert(f"{record.name} 2", HARMLESS[record.table])
        trial = replace(trial, collides=again.kind == "refused" or None if isinstance(again, Fault) else False)
    return trial


def _longer(record: _TestRecord, name: str, length: int) -> str:
    return (record.name if name == record.key else VALUE).ljust(length + TOO_LONG, "x")


async def _texts(record: _TestRecord, columns: Mapping[str, Column]) -> dict[str, int]:
    """The columns that hold any text, with the length that the dictionary gives them (0: not told): a choice list would
    not take a made-up value.
    """
    texts = {
        name: columns[name].max_length
        for name in record.usage.writes
        if name in columns and columns[name].type == "string" and not columns[name].read_only
    }
    if record.table == "sys_user":
        texts.pop("name", None)  # it is made of the parts of the name, whatever is sent
    query = quote(f"name={record.table}^inactive=false^elementIN{','.join(texts)}", safe="=,.")
    choices = await record.read(f"/api/now/table/sys_choice?sysparm_query={query}&sysparm_fields=element")
    closed = {row.get("element") for row in choices} if not isinstance(choices, Fault) else set()
    return {name: length for name, length in texts.items() if name not in closed}


class _TestRecord:
    """One record of a table, and whatever else comes of trying to make it."""

    def __init__(self, calls: Calls, usage: Usage) -> None:
        self._calls = calls
        self.usage = usage
        self.table = usage.table
        self.key = KEYS[usage.table]
        self.sys_id = uuid.uuid4().hex
        self.name = f"{NAME} {secrets.token_hex(8)}"
        self._made: set[str] = set()
        self._tried = False
        self._unclear = False
        self._found_all = False

    async def insert(self, name: str, fields: Mapping[str, str]) -> Record | Fault:
        unclear, self._unclear, self._tried = self._unclear, True, True
        sent = {"sys_id": self.sys_id, self.key: name, **fields}
        made = record_of(await self._one(batch.change(0, "POST", f"/api/now/table/{self.table}?{_ECHO}", sent)))
        if not isinstance(made, Fault):
            made.setdefault("sys_id", self.sys_id)
            self._made.add(made["sys_id"])
        self._unclear = unclear or (isinstance(made, Fault) and made.code != "Conflict")
        return made

    async def change(self, sys_id: str, fields: Mapping[str, str]) -> Record | Fault:
        url = f"/api/now/table/{self.table}/{sys_id}?{_ECHO}"
        return record_of(await self._one(batch.change(0, "PATCH", url, dict(fields))))

    async def read(self, url: str) -> list[dict[str, str]] | Fault:
        return records_of(await self._one(batch.read(0, url)))

    async def find(self) -> list[Record]:
        """The records that are ours beyond doubt. The second query would need a right that the first does not."""
        found: dict[str, Record] = {}
        for query in (f"sys_id={self.sys_id}", f"{self.key}STARTSWITH{self.name}"):
            rows = await self.read(
                f"/api/now/table/{self.table}?sysparm_query={quote(query, safe='=')}&sysparm_limit=10&{_ECHO}"
            )
            ours = [] if isinstance(rows, Fault) else [row for row in rows if self._is_ours(row)]
            found |= {row["sys_id"]: row for row in ours}
            self._found_all = not isinstance(rows, Fault) and len(ours) == len(rows)
        return list(found.values())

    def _is_ours(self, row: Record) -> bool:
        """A filter that the instance drops brings everybody."""
        if "sys_id" not in row:
            return False
        return row["sys_id"] == self.sys_id or row.get(self.key, "").startswith(self.name)

    async def delete(self) -> list[str]:
        """Deletes all that was made; answers how to find what is left, or may be."""
        if not self._tried:
            return []
        left = set(self._made)
        try:
            left = self._made | {row["sys_id"] for row in await self.find()}
            for sys_id in sorted(left):
                if await self._is_gone(sys_id):
                    left = left - {sys_id}
        except ProvisioningError as error:
            logger.warning("deleting test records broke", extra={"table": self.table, "error": type(error).__name__})
        told = [f"sys_id {sys_id}" for sys_id in sorted(left)]
        return [*told, f"perhaps one named {self.name}"] if self._unclear and not self._found_all else told

    async def _is_gone(self, sys_id: str) -> bool:
        """Not found proves a deletion only after one whose answer was lost: access rules may hide what is there."""
        for attempt in range(TRIES):
            try:
                answer = record_of(await self._one(batch.change(0, "DELETE", f"/api/now/table/{self.table}/{sys_id}")))
            except ReplyLost:
                continue
            if not isinstance(answer, Fault):
                return True
            if answer.kind != "doubt":
                return answer.kind == "missing" and attempt > 0
        return False

    async def _one(self, item: batch.Item) -> Answer:
        reply = await self._calls.batch([item])
        if isinstance(reply, Fault):
            raise reply.error(self._calls.session.host)
        answer = reply.answers.get(item.id)
        if answer is None:
            raise _NOT_SENT.error(self._calls.session.host)
        return answer
