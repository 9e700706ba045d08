"""Writes test records and removes them again: whether an instance honours sys_ids that the client chooses, refuses one
that is taken, and stores every field that is written. Only where a person has allowed it; a record that cannot be
removed is named.
"""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Collection, Mapping

from provisioning.adapters.servicenow import findings
from provisioning.adapters.servicenow.findings import Finding
from provisioning.adapters.servicenow.writing import Writer
from provisioning.model import Column, DeleteRecord, InsertRecord, PatchRecord, Refused, Unsettled, Write, Written

NAMED = {"sys_user": "user_name", "sys_user_group": "name"}
"""The tables that are tried, and the column that names a test record there."""
TEXT = frozenset({"string", "email", "phone_number_e164", "ph_number"})


async def try_writes(
    writer: Writer, tables: Mapping[str, Collection[str]], columns: Mapping[str, Mapping[str, Column]]
) -> tuple[list[Finding], bool | None]:
    """`tables` holds the columns that the job writes. Answers also whether chosen sys_ids are honoured; None where not
    one record could be created.
    """
    found: list[Finding] = []
    honoured: bool | None = None
    for table, name in NAMED.items():
        trial = _Trial(writer, table, name, columns.get(table, {}))
        finding, chosen = await trial.run(tables.get(table, ()))
        found += finding
        honoured = chosen if honoured is None else honoured
    return found, honoured


class _Trial:
    def __init__(self, writer: Writer, table: str, name: str, columns: Mapping[str, Column]) -> None:
        self._writer = writer
        self._table = table
        self._name = name
        self._columns = columns
        self._sys_id = uuid.uuid4().hex

    async def run(self, written: Collection[str]) -> tuple[list[Finding], bool | None]:
        fields = {self._name: f"provisioning-probe-{secrets.token_hex(4)}"}
        if "active" in self._columns:
            fields["active"] = "false"
        outcome = await self._write(InsertRecord("create", self._table, self._sys_id, fields))
        if not isinstance(outcome, Written):
            return [self._refused("created", outcome)], None
        sys_id = outcome.record.get("sys_id", self._sys_id)
        found: list[Finding] = []
        try:
            found.append(await self._patch(sys_id, written))
        finally:
            found += await self._remove(sys_id)
        return found, sys_id == self._sys_id

    async def _patch(self, sys_id: str, written: Collection[str]) -> Finding:
        """Plain texts only: what a reference or a choice takes is not known here."""
        texts = {
            name: "probe"
            for name in sorted(written)
            if name != self._name
            and name in self._columns
            and self._columns[name].type in TEXT
            and not self._columns[name].reference
            and not self._columns[name].read_only
        }
        outcome = await self._write(PatchRecord("change", self._table, sys_id, texts)) if texts else Written({})
        if not isinstance(outcome, Written):
            return self._refused("changed", outcome)
        return findings.of_lost_fields(
            self._table, (name for name, value in texts.items() if outcome.record.get(name, value) != value)
        )

    async def _remove(self, sys_id: str) -> list[Finding]:
        outcome = await self._write(DeleteRecord("remove", self._table, sys_id))
        if isinstance(outcome, Written):
            return []
        return [
            findings.failed(
                f"test record in {self._table}",
                f"it could not be removed again and is left behind, inactive: sys_id {sys_id} ({_why(outcome)})",
                "ServiceNow administrator: delete it. Provisioning itself deletes only where a setting says so",
            )
        ]

    def _refused(self, done: str, outcome: Refused | Unsettled) -> Finding:
        way_out = outcome.way_out if isinstance(outcome, Refused) else "Operator: check again"
        return findings.failed(f"write {self._table}", f"no test record could be {done}: {_why(outcome)}", way_out)

    async def _write(self, write: Write) -> Written | Refused | Unsettled:
        return (await self._writer.write([write]))[write.key]


def _why(outcome: Refused | Unsettled) -> str:
    return outcome.message if isinstance(outcome, Refused) else outcome.reason
