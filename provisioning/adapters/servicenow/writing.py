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
from provisioning.adapters.servicenow.evidence import Evidence
from provisioning.adapters.servicenow.faults import Fault, ReplyLost, timeout
from provisioning.adapters.servicenow.pace import Pace
from provisioning.adapters.servicenow.query import lookups
from provisioning.adapters.servicenow.reading import Calls, Reader
from provisioning.adapters.servicenow.session import TRIES_WHERE_MOVED
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

logger = logging.getLogger(__name__)

ROUNDS = 4
"""How often one call of `write` sends what the instance did not get to; the rest is the next batch's work."""
SYS_ID = re.compile(r"[0-9A-Za-z_.\-]{1,32}")
"""Not always 32 hex digits: update sets write such as glean_user_role."""

_ECHO = "sysparm_display_value=false&sysparm_exclude_reference_link=true"

Doubt = tuple[Write, Fault]


class Writer:
    """`lengths` tells how many characters a column of a table has room for; 0 where nobody knows. `honours_sys_ids` is
    what is known of the instance before its first insert.
    """

    def __init__(
        self,
        calls: Calls,
        reader: Reader,
        pace: Pace,
        *,
        lengths: Callable[[str, str], int] = lambda _table, _column: 0,
        honours_sys_ids: bool = True,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._calls = calls
        self._lengths = lengths
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
            await self._settle(doubts, outcomes, is_last=True)
        return outcomes

    async def _send(self, writes: Sequence[Write], outcomes: dict[str, WriteOutcome]) -> list[Doubt]:
        """Raises `Unavailable` only as long as nothing has been sent that can have been carried out."""
        doubts: list[Doubt] = []
        stopped: list[Fault] = []
        waiting = sendable = [write for write in writes if _is_sendable(write, outcomes)]
        for turn in range(ROUNDS):
            if not waiting:
                break
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
            unserviced, denied = self._take(waiting, reply, outcomes, doubts)
            again = [write for write, fault in denied if _may_pass(fault, turn)]
            stopped += [fault for _, fault in denied if not _may_pass(fault, turn)]
            if again:
                await self._calls.session.pause(turn + 1)
            goes_on = not unserviced or len(unserviced) < len(waiting)
            waiting = [*again, *self._in_flight(unserviced, len(waiting), doubts)]
            if not goes_on:
                break
        if stopped and len(stopped) == len(sendable):
            raise stopped[0].error(self._calls.session.host)
        _put_off(waiting, "Timeout", "the instance did not get to this write in time", outcomes)
        return doubts

    def _in_flight(self, unserviced: list[Write], sent: int, doubts: list[Doubt]) -> list[Write]:
        """Of what the instance did not get to, all that is safe to send again. The first of them ran when time was up:
        where a repeat could duplicate it, or gets no further, it is looked up first.
        """
        if not unserviced:
            return []
        logger.info("the instance did not get to all of a batch", extra={"sent": sent, "unserviced": len(unserviced)})
        self._pace.overran(sent - len(unserviced))
        first = unserviced[0]
        if len(unserviced) == sent or (isinstance(first, InsertRecord) and not self._honours_sys_ids):
            doubts.append((first, _OVERRAN))
            return unserviced[1:]
        return unserviced

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
        self, writes: Sequence[Write], reply: batch.Reply, outcomes: dict[str, WriteOutcome], doubts: list[Doubt]
    ) -> tuple[list[Write], list[Doubt]]:
        """Files what each item came to; returns those that the instance did not get to, and those that it did not look
        at because of who asked or how much.
        """
        unserviced: list[Write] = []
        denied: list[Doubt] = []
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
                if outcome.kind in {"login", "moved", "throttled"}:
                    denied.append((write, outcome))
                elif _needs_a_look(outcome):
                    doubts.append((write, outcome))
                    continue
                outcome = Refused(outcome.code, outcome.message, outcome.way_out, transient=_is_passing(outcome))
            outcomes[write.key] = outcome
        return unserviced, denied

    def _outcome(self, write: Write, answer: Answer) -> WriteOutcome | Fault:
        record = record_of(answer)
        if isinstance(record, Fault):
            return record
        if isinstance(write, InsertRecord) and record.get("sys_id", write.sys_id) != write.sys_id:
            if self._honours_sys_ids:
                logger.warning("the instance does not honour sys_ids chosen by the client")
            self._honours_sys_ids = False
        return Written(record)

    async def _settle(
        self, doubts: Sequence[Doubt], outcomes: dict[str, WriteOutcome], *, is_last: bool = False
    ) -> list[Doubt]:
        """Reads back what is in doubt; returns what was not applied as it was sent and may be repeated, unless this is
        the last time.
        """
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
        evidence = Evidence(self._lengths, self._honours_sys_ids)
        for write, fault in doubts:
            record = present.get((write.table, write.sys_id))
            outcome = evidence.outcome(write, fault, record)
            if outcome is None and is_last:
                outcome = evidence.after_repeat(write, fault, record)
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
        outcomes[write.key] = Refused("UnprocessableEntity", "this is not a sys_id", "Operator: report it as a defect")
        return False
    fields = () if isinstance(write, DeleteRecord) else write.fields.items()
    for name, value in fields:
        if not value.isascii() and any("\ud800" <= c <= "\udfff" for c in value):
            outcomes[write.key] = Refused(
                "UnprocessableEntity",
                f"the value for {name} holds half a character, which cannot be sent",
                "Entra administrator: correct the attribute at its source",
            )
            return False
    return True


def _needs_a_look(fault: Fault) -> bool:
    """A refusal may only mean that reading back was denied (KB0546297), or that an earlier try made the record; and
    "no record" that access rules hide from this verb what a list shows.
    """
    return fault.kind in {"doubt", "missing", "refused"}


def _may_pass(fault: Fault, turn: int) -> bool:
    """Whether an item is sent again: the API's 403 twice (KB2466644), a 401 once, a pause not at once."""
    return (fault.kind == "moved" and turn < TRIES_WHERE_MOVED - 1) or (fault.kind == "login" and turn == 0)


def _is_passing(fault: Fault) -> bool:
    return fault.kind in {"login", "moved", "throttled", "asleep"}


def _put_off(writes: Sequence[Write], code: str, message: str, outcomes: dict[str, WriteOutcome]) -> None:
    for write in writes:
        outcomes[write.key] = Refused(code, message, "It is tried again by itself", transient=True)


_MISSING = Fault(
    "doubt",
    "InternalServerError",
    "the batch came back without this item",
    "It is retried by itself. If it lasts, operator: look for something in between that changes answers",
)
_OVERRAN = timeout("the batch reached its time limit in this item")
