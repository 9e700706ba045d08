"""What reading a record back proves about a write that came back without a clear answer. Pure: a write, the fault that
it met, and the record that a list shows under its sys_id, become the outcome. Knows no calls and no batches.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from provisioning.adapters.servicenow.faults import Fault
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
from provisioning.rules.echo import is_held

_KEYS = {
    "sys_user": ("user_name",),
    "sys_user_group": ("name",),
    "sys_user_grmember": ("group", "user"),
}
_CUT_AT = 40
"""user_name is cut at 40 characters without an error (KB2029092); the shortest limit of a key."""


class Evidence(Struct, frozen=True):
    """`lengths` tells how many characters a column of a table has room for (0: nobody knows); `honours_sys_ids` whether
    the instance takes the ids that we choose, so that a record that it made can be found by them.
    """

    lengths: Callable[[str, str], int]
    honours_sys_ids: bool

    def outcome(self, write: Write, fault: Fault, record: Record | None) -> WriteOutcome | None:
        """None when the write was not applied as it was sent and may be repeated."""
        refused = Refused(fault.code, fault.message, fault.way_out) if fault.kind == "refused" else None
        match write:
            case DeleteRecord():
                return Written({}) if record is None else refused
            case PatchRecord():
                return self._patched(write, fault, record) if record is not None else refused or _GONE
            case InsertRecord():
                if record is not None:
                    return Written(dict(record)) if self._is_ours(write, record) else _COLLISION
                if self.honours_sys_ids or (refused and refused.code != "InsufficientRights"):
                    return refused
                return Unsettled(f"{fault.message}; the instance chooses sys_ids itself, so it cannot be read back")

    def after_repeat(self, write: Write, fault: Fault, record: Record | None) -> WriteOutcome:
        """What a write came to that was read back, repeated, and again not found as it was sent."""
        if fault.kind == "missing":
            verb = "delete" if isinstance(write, DeleteRecord) else "change"
            return Refused(
                "InsufficientRights",
                f"the record exists, and access rules hide it from the integration user that wants to {verb} it (404)",
                f"ServiceNow administrator: let the integration user {verb} this record of {write.table}",
            )
        partly = self._partly(write, fault, record) if record and isinstance(write, PatchRecord) else None
        return partly or Refused(fault.code, fault.message, fault.way_out, transient=True)

    def _is_ours(self, write: InsertRecord, record: Record) -> bool:
        """Whether the record under our sys_id holds the key that we sent, as far as the column has room for it."""
        names = [name for name in _KEYS.get(write.table, ()) if name in write.fields] or list(write.fields)
        return all(_holds(record.get(name), write.fields[name], self.lengths(write.table, name)) for name in names)

    def _patched(self, write: PatchRecord, fault: Fault, record: Record) -> WriteOutcome | None:
        """A value counts as stored when the column holds as much of it as it has room for. Where others are not, the
        instance has not applied the change, or has and dropped or altered a value: a repeat does no harm and tells.
        """
        readable = write.fields.keys() & record.keys()
        if any(self._differs(write, name, record[name]) for name in readable):
            if fault.kind != "refused":
                return None
            return self._partly(write, fault, record) or Refused(fault.code, fault.message, fault.way_out)
        if hidden := write.fields.keys() - readable:
            return Unsettled(f"{fault.message}; these fields cannot be read back: {', '.join(sorted(hidden))}")
        return Written(dict(record))

    def _partly(self, write: PatchRecord, fault: Fault, record: Record) -> Unsettled | None:
        """Whether some fields hold what was sent and did not before, and others do not: nobody knows by whom."""
        stored = [
            name
            for name in sorted(write.fields.keys() & record.keys())
            if not self._differs(write, name, record[name]) and write.before.get(name) != record[name]
        ]
        return Unsettled(f"{fault.message}; yet the record now holds {', '.join(stored)} as sent") if stored else None

    def _differs(self, write: PatchRecord, name: str, stored: str) -> bool:
        return not is_held(write.fields[name], stored, self.lengths(write.table, name))


def _holds(stored: str | None, sent: str, length: int) -> bool:
    if stored is None:
        return False
    return loose(stored) == loose(sent) or (
        len(stored) >= (length or _CUT_AT) and loose(sent).startswith(loose(stored))
    )


_GONE = Refused(
    "InvalidAnchor",
    "the record does not exist, or access rules hide it",
    "Operator: if somebody deleted it, restart the job, which matches again. ServiceNow administrator: else let the "
    "integration user read it",
)
_COLLISION = Refused(
    "Conflict",
    "another record has the sys_id that was chosen for this one",
    "It is tried again by itself under the next sys_id. If it lasts, ServiceNow administrator: look at the record",
    transient=True,
)
