"""Finds the rows that a parsed query selects: checks its fields against the dictionary (and drops what is unknown, as
the instance does), answers from an index where one clause allows it, else scans and remembers the result until the
next write. Knows no HTTP and no rules.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from tests.emulators.servicenow.comparison import FIELD_RELATIONS, sort_key, test_for
from tests.emulators.servicenow.dictionary import Column, Table
from tests.emulators.servicenow.folding import fold
from tests.emulators.servicenow.query import EVERYTHING, Condition, Group, NotEmulated, Order, Query, parse
from tests.emulators.servicenow.related import RELATIONS, Related
from tests.emulators.servicenow.rows import Row, Rows

SCAN_RATHER_THAN = 8  # an index that leaves more than a row in this many is no help
REMEMBERED = 8  # results of scans
_NO_INDEX = frozenset({"boolean", "integer", "decimal", "float", "currency"})


class World(Protocol):
    """What evaluation asks of the instance."""

    version: int

    def definition(self, table: str) -> Table | None: ...
    def data(self, table: str) -> Rows: ...
    def property(self, name: str) -> str: ...
    def run_script(self, script: str, by: str) -> str: ...


@dataclass(frozen=True, slots=True)
class Selection:
    """The keys of the selected rows in order; the list may belong to the store."""

    keys: list[str]
    start: int = 0

    def __len__(self) -> int:
        return len(self.keys) - self.start

    def window(self, offset: int, limit: int) -> list[str]:
        return self.keys[self.start + offset : self.start + offset + limit]

    def only(self, accepts: Callable[[Row], bool], by_key: Mapping[str, Row]) -> Selection:
        return Selection([key for key in self.keys[self.start :] if accepts(by_key[key])])


class Evaluation:
    def __init__(self, world: World) -> None:
        self._world = world
        self._remembered: OrderedDict[tuple[str, Query], tuple[int, list[str]]] = OrderedDict()

    def select(self, table: str, query: Query, by: str = "admin") -> Selection:
        """The rows that match: all rows when every part of the query was dropped, which is the trap to emulate. `by`
        is whose question it is, for scripts that ask.
        """
        query, complete = self._understood(table, query, by)
        if not complete and self._world.property("glide.invalid_query.returns_no_rows") == "true":
            return Selection([])
        if query.related:
            tests = [self._has_related(table, one) for one in query.related]
            by_key = self._world.data(table).by_key
            keys = self._matching(table, replace(query, related=()))
            return Selection([key for key in keys if all(test(by_key[key]) for test in tests)])
        cursor, query = _split_off_cursor(query)
        keys = self._matching(table, query)
        return Selection(keys, bisect_right(keys, fold(cursor)) if cursor else 0)

    def accepting(self, table: str, query: Query) -> Callable[[Row], bool]:
        """The query as a predicate over one row."""
        query, _ = self._understood(table, query, "admin")
        predicates = [self._predicate(table, group) for group in query.groups]
        related = [self._has_related(table, one) for one in query.related]

        def accepting(row: Row) -> bool:
            matches = not predicates or any(accepts(row) for accepts in predicates)
            return matches and all(has(row) for has in related)

        return accepting

    def column(self, table: str, path: str) -> Column | None:
        """The column at the end of a dot-walk, or None where any step is unknown."""
        definition = self._world.definition(table)
        steps = path.split(".")
        for step in steps[:-1]:
            if definition is None or not (target := definition.references.get(step)):
                return None
            definition = self._world.definition(target)
        return definition.columns.get(steps[-1]) if definition else None

    def getter(self, table: str, path: str) -> Callable[[Row], str]:
        """Reads the value at the end of a dot-walk; empty where a reference leads nowhere."""
        if "." not in path:
            return lambda row: row.get(path, "")
        steps = path.split(".")
        stores: list[tuple[str, Rows]] = []
        for step in steps[:-1]:
            table = self._world.definition(table).references[step]
            stores.append((step, self._world.data(table)))
        last = steps[-1]

        def read(row: Row) -> str:
            for step, store in stores:
                found = store.by_key.get(fold(row.get(step, "")))
                if found is None:
                    return ""
                row = found
            return row.get(last, "")

        return read

    def _understood(self, table: str, query: Query, by: str) -> tuple[Query, bool]:
        if query is EVERYTHING:
            return query, True
        groups: list[Group] = []
        complete = not query.dropped
        for group in query.groups:
            kept = tuple(clause for all_of in group if (clause := tuple(c for c in all_of if self._is_known(table, c))))
            complete = complete and sum(map(len, kept)) == sum(map(len, group))
            if kept:
                groups.append(tuple(tuple(self._evaluated(c, by) for c in clause) for clause in kept))
        order = tuple(o for o in query.order if self.column(table, o.field) is not None)
        return Query(tuple(groups), order, related=query.related), complete

    def _is_known(self, table: str, condition: Condition) -> bool:
        if self.column(table, condition.field) is None:
            return False
        return condition.operator not in FIELD_RELATIONS or self.column(table, condition.value) is not None

    def _evaluated(self, condition: Condition, by: str) -> Condition:
        # A value that starts with `javascript:` is evaluated on the server: the hole a client must close.
        if condition.value.lstrip()[:11].lower() != "javascript:":
            return condition
        return replace(condition, value=self._world.run_script(condition.value.lstrip()[11:], by))

    def _matching(self, table: str, query: Query) -> list[str]:
        rows = self._world.data(table)
        if not query.groups:
            return self._in_order(table, query.order, rows.sorted_keys())
        candidates = [self._candidates(table, rows, group) for group in query.groups]
        if None not in candidates:
            found: set[str] = set()
            for group, keys in zip(query.groups, candidates, strict=True):
                accepts = self._predicate(table, group)
                found.update(key for key in keys if accepts(rows.by_key[key]))
            return self._in_order(table, query.order, sorted(found))
        return self._scan(table, query, rows)

    def _scan(self, table: str, query: Query, rows: Rows) -> list[str]:
        remembered = self._remembered.get((table, query))
        if remembered and remembered[0] == self._world.version:
            self._remembered.move_to_end((table, query))
            return remembered[1]
        accepting = [self._predicate(table, group) for group in query.groups]
        by_key = rows.by_key
        if len(accepting) == 1:
            (accepts,) = accepting
            keys = [key for key in rows.sorted_keys() if accepts(by_key[key])]
        else:
            keys = [key for key in rows.sorted_keys() if any(accepts(by_key[key]) for accepts in accepting)]
        keys = self._in_order(table, query.order, keys)
        self._remembered[table, query] = (self._world.version, keys)
        if len(self._remembered) > REMEMBERED:
            self._remembered.popitem(last=False)
        return keys

    def _candidates(self, table: str, rows: Rows, group: Group) -> Iterable[str] | None:
        """The smallest set of keys that an index yields for one clause of the group; None where a scan is better."""
        best: list[Iterable[str]] | None = None
        fewest = max(len(rows) // SCAN_RATHER_THAN, 64)
        for clause in group:
            hits: list[Iterable[str]] = []
            for condition in clause:
                found = self._indexed(table, rows, condition)
                if found is None:
                    break
                hits.extend(found)
            else:
                size = sum(len(one) for one in hits)
                if size <= fewest:
                    best, fewest = hits, size
        if best is None:
            return None
        return {key for keys in best for key in keys}

    def _indexed(self, table: str, rows: Rows, condition: Condition) -> list[Iterable[str]] | None:
        if condition.operator not in {"=", "IN"} or "." in condition.field:
            return None
        if self._world.definition(table).columns[condition.field].type in _NO_INDEX:
            return None
        values = condition.value.split(",") if condition.operator == "IN" else [condition.value]
        folded = [fold(value) for value in values]
        if condition.operator == "=" and folded[0] in {"", "null"}:
            folded = [""]
        if condition.field == "sys_id":
            return [(key,) for key in folded if key in rows.by_key]
        return [rows.keys_where(condition.field, value) for value in folded]

    def _predicate(self, table: str, group: Group) -> Callable[[Row], bool]:
        clauses = [[self._test(table, condition) for condition in clause] for clause in group]
        if len(clauses) == 1 and len(clauses[0]) == 1:
            return clauses[0][0]
        return lambda row: all(any(test(row) for test in clause) for clause in clauses)

    def _test(self, table: str, condition: Condition) -> Callable[[Row], bool]:
        read = self.getter(table, condition.field)
        column = self.column(table, condition.field)
        if condition.operator in FIELD_RELATIONS:
            relation, other = FIELD_RELATIONS[condition.operator], self.getter(table, condition.value)
            key = sort_key(column)
            return lambda row: relation(key(read(row)), key(other(row)))
        test = test_for(condition.operator, condition.value, column)
        if "." not in condition.field:
            name = condition.field
            return lambda row: test(row.get(name, ""))
        return lambda row: test(read(row))

    def _has_related(self, table: str, related: Related) -> Callable[[Row], bool]:
        """Counts the related rows once, by the value that ties them to this table."""
        columns = self.column(table, related.field), self.column(related.other, related.other_field)
        if None in columns:
            raise NotEmulated(f"{table}.{related.field} {related.other}.{related.other_field}")
        tie, by_key = self.getter(related.other, related.other_field), self._world.data(related.other).by_key
        selection = self.select(related.other, parse(related.query))
        counted = Counter(fold(tie(by_key[key])) for key in selection.window(0, len(by_key)))
        read, holds = self.getter(table, related.field), RELATIONS[related.relation]
        return lambda row: holds(counted[fold(read(row))], related.number)

    def _in_order(self, table: str, order: tuple[Order, ...], keys: list[str]) -> list[str]:
        """Rows come by sys_id, as from the primary key, unless the query says otherwise."""
        if not order or order[0] == Order("sys_id"):
            return keys
        keys = list(keys)
        by_key = self._world.data(table).by_key
        for one in reversed(order):
            read, key_of = self.getter(table, one.field), sort_key(self.column(table, one.field))
            keys.sort(key=lambda key: key_of(read(by_key[key])), reverse=one.descending)
        return keys


def _split_off_cursor(query: Query) -> tuple[str, Query]:
    """Takes `sys_id>CURSOR` out of a query in sys_id order, so that every page shares one remembered result."""
    if len(query.groups) == 1 and (not query.order or query.order[0] == Order("sys_id")):
        for clause in query.groups[0]:
            if len(clause) == 1 and clause[0].field == "sys_id" and clause[0].operator == ">":
                rest = tuple(other for other in query.groups[0] if other is not clause)
                return clause[0].value, Query((rest,) if rest else (), query.order)
    return "", query
