"""How a stored row looks in an answer: strings everywhere, references as links, the four display modes, dot-walked
fields. Knows the dictionary and how to follow a reference; no HTTP and no writing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from tests.emulators.servicenow import local_time
from tests.emulators.servicenow.dictionary import SECRETS, Column
from tests.emulators.servicenow.parameters import Parameters
from tests.emulators.servicenow.rows import Row

if TYPE_CHECKING:
    from tests.emulators.servicenow.state import Instance

Field = tuple[str, Column, Callable[[Row], str] | None]


class Rendering:
    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._projections: dict[tuple[str, str, int], tuple[Field, ...]] = {}

    def record(self, table: str, row: Row, view: Parameters, by: str) -> dict[str, Any]:
        """Without what `by` may not read."""
        definition = self._instance.dictionary[table]
        hidden = self._instance.acls.forbidden(by, table, "read").union(self._instance.access.unreadable.get(table, ()))
        if view.fields or view.display != "false":
            return {
                path: self._shown(column, row.get(path, "") if read is None else read(row), view)
                for path, column, read in self._projection(table, view.fields)
                if path not in hidden
            }
        shown: dict[str, Any] = {**definition.blank, **row}
        if view.reference_links:
            link = f"{self._instance.url}/api/now/table/"
            for name, target in definition.references.items():
                if value := row.get(name):
                    shown[name] = {"link": f"{link}{target}/{value}", "value": value}
        if "user_password" in shown:
            shown["user_password"] = ""
        for name in hidden:  # what the caller may not read is absent
            shown.pop(name, None)
        return shown

    def _shown(self, column: Column, value: str, view: Parameters) -> Any:
        if column.type in SECRETS:
            value = "********" if view.display != "false" and value else ""
        if column.is_reference and value:
            return self._reference(column, value, view)
        if view.display == "false":
            return value
        display = self._display(column, value)
        return display if view.display == "true" else {"display_value": display, "value": value}

    def _reference(self, column: Column, value: str, view: Parameters) -> Any:
        target = column.reference or "sys_user_group"  # sys_domain points at the group "global"
        link = f"{self._instance.url}/api/now/table/{target}/{value}"
        if view.display == "false":
            return {"link": link, "value": value} if view.reference_links else value
        display = value if column.type == "domain_id" else self._instance.display_of(target, value)
        if view.display == "all":
            both = {"display_value": display, "value": value}
            return {**both, "link": link} if view.reference_links else both
        return {"display_value": display, "link": link} if view.reference_links else display

    def _display(self, column: Column, value: str) -> str | None:
        """With display values an empty choice is null, while every other empty column is ""."""
        if column.type == "glide_date_time":
            return local_time.from_utc(value, self._instance.time_zone())
        if column.choices is None:
            return value
        return column.choices.get(value, value) if value else None

    def _projection(self, table: str, fields: str) -> tuple[Field, ...]:
        columns = self._instance.dictionary[table].columns
        identity = (table, fields, len(columns))
        known = self._projections.get(identity)
        if known is None:
            paths: Iterable[str] = (path.strip() for path in fields.split(",")) if fields else columns
            known = tuple(self._fields(table, paths))
            if len(self._projections) < 256:
                self._projections[identity] = known
        return known

    def _fields(self, table: str, paths: Iterable[str]) -> Iterable[Field]:
        evaluation = self._instance.evaluation
        for path in dict.fromkeys(paths):
            column = evaluation.column(table, path)
            if column is not None:  # unknown names are ignored
                yield path, column, evaluation.getter(table, path) if "." in path else None
