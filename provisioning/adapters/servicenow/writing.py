"""Writes, one batch at a time, until the fate of each is known: what the instance did not get to is sent again, what
came back without a clear answer is read back by sys_id and compared, then repeated once where it was provably not
applied. Knows no mapping and no link; a sys_id is all it needs.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Mapping, Sequence

from provisioning.adapters.servicenow import batch
from provisioning.adapters.servicenow.answers import Answer, record_of
from provisioning.adapters.servicenow.faults import Fault, ReplyLost
from provisioning.adapters.servicenow.pace import Pace
from provisioning.adapters.servicenow.query import lookups
from provisioning.adapters.servicenow.reading import Calls, Reader
from provisioning.errors import ConfigError, Unavailable
from provisioning.model import (
    DeleteRecord,
    InsertRecord,
    PatchRecord,
    Record,
    Refused,
    Unsettled,
    Write,
    WriteOutcome,
    Written,
)
from provisioning.rules.comparison import loose

logger = logging.getLogger(__name__)

ROUNDS = 4
"""How often one call of `write` sends what the instance did not get to; the rest is the next batch's work."""
SYS_ID = re.compile(r"[0-9A-Za-z_.\-]{1,32}")
"""Not always 32 hex digits: update sets write such as glean_user_role."""

_ECHO = "sysparm_display_value=false&sysparm_exclude_reference_link=true"
_KEYS = {
    "sys_user": ("user_name",),
    "sys_user_group": ("name",),
    "sys_user_grmember": ("group", "user"),
}
_CUT_AT = 40
"""user_name is cut at 40 characters without an error (KB2029092); the shortest limit of a key."""

Doubt = tuple[Write, Fault]


class Writer:
    """`honours_sys_ids` is what is known of the instance before its first insert."""

    def __init__(
        self,
        calls: Calls,
        reader: Reader,
        pace: Pace,
        *,
        honours_sys_ids: bool = True,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._calls = calls
        self._reader = reader
        self._pace = pace
        self._now = now
        self._honours_sys_ids = honours_sys_ids

    async def write(self, writes: Sequence[Write]) -> dict[str, WriteOutcome]:
        outcomes: dict[str, WriteOutcome] = {}
        doubts = await self._send(writes, outcomes)
        again = await self._settle(doubts, outcomes)
        if again:
            doubts = await self._repeat(again, outcomes)
            for write, fault in await self._settle(doubts, outcomes):
                outcomes[write.key] = Refused(fault.code, fault.message, fault.way_out, transient=True)
        return outcomes

    async def _send(self, writes: Sequence[Write], outcomes: dict[str, WriteOutcome]) -> list[Doubt]:
        """Raises `Unavailable` only as long as nothing has been sent that can have been carried out."""
        doubts: list[Doubt] = []
        waiting = [write for write in writes if _is_sendable(write, outcomes)]
        for turn in range(ROUNDS):
            if not waiting:
                return doubts
            try:
                reply = await self._post(waiting)
            except ReplyLost as lost:
                if lost.code == "Timeout":
                    self._pace.overran(len(waiting) // 2)
                fault = Fault("doubt", lost.code, str(lost), "It is looked up before anything else is done")
                return [*doubts, *((write, fault) for write in waiting)]
            except Unavailable as error:
                if turn == 0:
                    raise
                _put_off(waiting, error.code, str(error), outcomes)
                return doubts
            unserviced = self._take(waiting, reply, outcomes, doubts, alone=turn == 0)
            if unserviced:
                logger.info(
                    "the instance did not get to all of a batch",
                    extra={"sent": len(waiting), "unserviced": len(unserviced)},
                )
                self._pace.overran(len(waiting) - len(unserviced))
                in_flight = unserviced[0]
                nothing_done = len(unserviced) == len(waiting)
                if nothing_done or (isinstance(in_flight, InsertRecord) and not self._honours_sys_ids):
                    # It ran when time was up. Where a repeat could duplicate it, or gets no further, look first.
                    doubts.append((in_flight, _OVERRAN))
                    unserviced = unserviced[1:]
                if nothing_done:
                    waiting = unserviced
                    break
            waiting = unserviced
        _put_off(waiting, "Timeout", "the instance did not get to this write in time", outcomes)
        return doubts

    async def _repeat(self, again: Sequence[Doubt], outcomes: dict[str, WriteOutcome]) -> list[Doubt]:
        try:
            return await self._send([write for write, _ in again], outcomes)
        except Unavailable as error:
            # The first try was proven not to have been applied, and this one was not sent.
            _put_off([write for write, _ in again], error.code, str(error), outcomes)
            return []

    async def _post(self, writes: Sequence[Write]) -> batch.Reply:
        items = [_item(at, write) for at, write in enumerate(writes)]
        began = self._now()
        reply = await self._calls.batch(items)
        if isinstance(reply, Fault):
            error = reply.error(self._calls.session.host)
            if isinstance(error, Unavailable):
                raise error
            raise Unavailable(str(error), code=reply.code)
        self._pace.measured(len(reply.answers), reply.seconds or self._now() - began)
        return reply

    def _take(
        self,
        writes: Sequence[Write],
        reply: batch.Reply,
        outcomes: dict[str, WriteOutcome],
        doubts: list[Doubt],
        *,
        alone: bool,
    ) -> list[Write]:
        """Files what each item came to; returns those that the instance did not get to."""
        unserviced: list[Write] = []
        faults: list[Fault] = []
        for at, write in enumerate(writes):
            answer = reply.answers.get(str(at))
            if answer is None:
                if str(at) in reply.unserviced:
                    unserviced.append(write)
                else:
                    doubts.append((write, _MISSING))
                continue
            outcome = self._outcome(write, answer)
            if isinstance(outcome, Fault):
                faults.append(outcome)
                if _needs_a_look(write, outcome):
                    doubts.append((write, outcome))
                    continue
                outcome = Refused(outcome.code, outcome.message, outcome.way_out, transient=_is_passing(outcome))
            outcomes[write.key] = outcome
        if alone and len(faults) == len(writes) and all(fault.kind in {"login", "throttled"} for fault in faults):
            raise faults[0].error(self._calls.session.host)
        return unserviced

    def _outcome(self, write: Write, answer: Answer) -> WriteOutcome | Fault:
        record = record_of(answer)
        if isinstance(record, Fault):
            if record.kind == "missing" and isinstance(write, DeleteRecord):
                return Written({})
            return record
        if isinstance(write, InsertRecord) and record.get("sys_id", write.sys_id) != write.sys_id:
            if self._honours_sys_ids:
                logger.warning("the instance does not honour sys_ids chosen by the client")
            self._honours_sys_ids = False
        return Written(record)

    async def _settle(self, doubts: Sequence[Doubt], outcomes: dict[str, WriteOutcome]) -> list[Doubt]:
        """Reads back what is in doubt; returns the writes that were provably not applied and may be repeated."""
        if not doubts:
            return []
        logger.info("writes without a clear answer are read back", extra={"writes": len(doubts)})
        try:
            present = await self._present([write for write, _ in doubts])
        except (Unavailable, ConfigError) as error:
            for write, fault in doubts:
                outcomes[write.key] = Unsettled(f"{fault.message}; reading back failed too: {error}")
            return []
        again: list[Doubt] = []
        for write, fault in doubts:
            outcome = self._seen(write, fault, present.get((write.table, write.sys_id)))
            if outcome is None:
                again.append((write, fault))
            else:
                outcomes[write.key] = outcome
        return again

    async def _present(self, writes: Sequence[Write]) -> Mapping[tuple[str, str], Record]:
        ids: dict[str, list[str]] = {}
        for write in writes:
            ids.setdefault(write.table, []).append(write.sys_id)
        asked = [each for table, sys_ids in ids.items() for each in lookups(table, "sys_id", sys_ids, ())]
        found = await self._reader.rows(asked)
        return {(lookup.table, row["sys_id"]): row for lookup, rows in found for row in rows}

    def _seen(self, write: Write, fault: Fault, record: Record | None) -> WriteOutcome | None:
        """What reading back proves; None when the write was not applied and may be repeated."""
        refused = Refused(fault.code, fault.message, fault.way_out) if fault.kind == "refused" else None
        match write:
            case DeleteRecord():
                return Written({}) if record is None else None
            case PatchRecord():
                if record is None:
                    return _GONE
                if any(record.get(name, value) != value for name, value in write.fields.items()):
                    return refused
                if hidden := write.fields.keys() - record.keys():
                    return Unsettled(f"{fault.message}; these fields cannot be read back: {', '.join(sorted(hidden))}")
                return Written(dict(record))
            case InsertRecord():
                if record is not None:
                    return Written(dict(record)) if _is_ours(write, record) else _COLLISION
                if refused:
                    return refused
                if not self._honours_sys_ids:
                    return Unsettled(f"{fault.message}; the instance chooses sys_ids itself, so it cannot be read back")
                return None


def _item(at: int, write: Write) -> batch.Item:
    match write:
        case InsertRecord():
            fields = {"sys_id": write.sys_id, **write.fields}
            return batch.change(at, "POST", f"/api/now/table/{write.table}?{_ECHO}", fields)
        case PatchRecord():
            url = f"/api/now/table/{write.table}/{write.sys_id}?{_ECHO}"
            return batch.change(at, "PATCH", url, write.fields)
        case DeleteRecord():
            return batch.change(at, "DELETE", f"/api/now/table/{write.table}/{write.sys_id}")


def _is_sendable(write: Write, outcomes: dict[str, WriteOutcome]) -> bool:
    """One value that no JSON can hold, or an id that would break out of the path, must not stop the batch."""
    if not SYS_ID.fullmatch(write.sys_id):
        outcomes[write.key] = Refused("UnprocessableEntity", "this is not a sys_id", "Report it as a defect")
        return False
    fields = () if isinstance(write, DeleteRecord) else write.fields.items()
    for name, value in fields:
        if not value.isascii() and any("\ud800" <= c <= "\udfff" for c in value):
            outcomes[write.key] = Refused(
                "UnprocessableEntity",
                f"the value for {name} holds half a character, which cannot be sent",
                "Correct the attribute at its source",
            )
            return False
    return True


def _needs_a_look(write: Write, fault: Fault) -> bool:
    """A refusal may only mean that reading back was denied (KB0546297), or that an earlier try made the record."""
    return fault.kind == "doubt" or (fault.kind == "refused" and not isinstance(write, DeleteRecord))


def _is_passing(fault: Fault) -> bool:
    return fault.kind in {"login", "throttled", "asleep"}


def _is_ours(write: InsertRecord, record: Record) -> bool:
    """Whether the record under our sys_id holds the key that we sent, as far as the column has room for it."""
    names = [name for name in _KEYS.get(write.table, ()) if name in write.fields] or list(write.fields)
    return all(_holds(record.get(name), write.fields[name]) for name in names)


def _holds(stored: str | None, sent: str) -> bool:
    if stored is None:
        return False
    return loose(stored) == loose(sent) or (len(stored) >= _CUT_AT and loose(sent).startswith(loose(stored)))


def _put_off(writes: Sequence[Write], code: str, message: str, outcomes: dict[str, WriteOutcome]) -> None:
    for write in writes:
        outcomes[write.key] = Refused(code, message, "It is tried again by itself", transient=True)


_GONE = Refused(
    "InvalidAnchor",
    "the record does not exist, or access rules hide it",
    "If somebody deleted it, a restart matches again; else let the integration user read it",
)
_COLLISION = Refused(
    "Conflict",
    "another record has the sys_id that was chosen for this one",
    "It is tried again by itself under the next sys_id; if it lasts, look at the record with this sys_id",
)
_MISSING = Fault("doubt", "InternalServerError", "the batch came back without this item", "It is retried by itself")
_OVERRAN = Fault("doubt", "Timeout", "the batch reached its time limit in this item", "It is retried by itself")
