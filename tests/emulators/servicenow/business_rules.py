"""Business rules that somebody wrote: records of sys_script with a condition that abort an insert, an update or a
deletion. They bind every writer, the Python interface too, as they do in ServiceNow. Scripts are not run.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from tests.emulators.servicenow import errors
from tests.emulators.servicenow.folding import fold
from tests.emulators.servicenow.query import parse

if TYPE_CHECKING:
    from tests.emulators.servicenow.state import Instance

Operation = Literal["insert", "update", "delete"]


def enforce(instance: Instance, table: str, operation: Operation, row: Mapping[str, str]) -> None:
    """Refuses what an active rule of the table aborts; `row` is what would be stored."""
    rules = instance.data("sys_script")
    if not rules.by_key:
        return
    for key in rules.keys_where("collection", fold(table)):
        rule = rules.by_key[key]
        if rule.get("active") != "true" or rule.get("abort_action") != "true":
            continue
        if rule.get(f"action_{operation}") != "true":
            continue
        if instance.evaluation.accepting(table, parse(rule.get("filter_condition", "")))(dict(row)):
            raise errors.aborted_by_rule(table, rule.get("name", ""), rule["sys_id"])
