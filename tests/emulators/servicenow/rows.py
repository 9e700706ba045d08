"""The rows of one table with what makes them quick to find: a sorted list of ids and hash indexes that appear with the
first search on a column. Rows are sparse (an absent column is empty) and keyed by the folded sys_id. Knows no
dictionary, no rules and no query language.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping

from tests.emulators.servicenow.folding import fold

Row = dict[str, str]
FEW = 64


class Rows:
    def __init__(self) -> None:
        self.by_key: dict[str, Row] = {}
        self._sorted: list[str] = []
        self._added: list[str] = []
        self._gone: set[str] = set()
        self._indexes: dict[str, dict[str, str | set[str]]] = {}

    def __len__(self) -> int:
        return len(self.by_key)

    def add(self, key: str, row: Row) -> None:
        self.by_key[key] = row
        if key in self._gone:
            self._gone.discard(key)
        else:
            self._added.append(key)
        for column, index in self._indexes.items():
            _enter(index, fold(row.get(column, "")), key)

    def change(self, key: str, changes: Mapping[str, str]) -> None:
        row = self.by_key[key]
        for column, value in changes.items():
            if (index := self._indexes.get(column)) is not None:
                _leave(index, fold(row.get(column, "")), key)
                _enter(index, fold(value), key)
            if value:
                row[column] = value
            else:
                row.pop(column, None)

    def remove(self, key: str) -> Row:
        row = self.by_key.pop(key)
        self._gone.add(key)
        for column, index in self._indexes.items():
            _leave(index, fold(row.get(column, "")), key)
        return row

    def sorted_keys(self) -> list[str]:
        """Every key in order. The list is the store's own: read it, do not keep it."""
        keys = self._sorted
        if self._gone:
            if len(self._gone) > FEW or self._added:
                self._added = [key for key in self._added if key not in self._gone]
                self._sorted = keys = [key for key in keys if key not in self._gone]
            else:
                for key in self._gone:
                    del keys[bisect_left(keys, key)]
            self._gone.clear()
        if self._added:
            if len(self._added) > FEW:
                keys.extend(self._added)
                keys.sort()
            else:
                for key in self._added:
                    insort(keys, key)
            self._added.clear()
        return keys

    def keys_where(self, column: str, folded: str) -> Iterable[str]:
        """The keys of the rows whose column has this folded value, found by the column's index."""
        index = self._indexes.get(column)
        if index is None:
            index = self._indexes[column] = {}
            for key, row in self.by_key.items():
                _enter(index, fold(row.get(column, "")), key)
        hits = index.get(folded)
        if hits is None:
            return ()
        return (hits,) if isinstance(hits, str) else hits


def _enter(index: dict[str, str | set[str]], value: str, key: str) -> None:
    present = index.setdefault(value, key)
    if present is key:
        return
    if isinstance(present, set):
        present.add(key)
    elif present != key:
        index[value] = {present, key}


def _leave(index: dict[str, str | set[str]], value: str, key: str) -> None:
    present = index.get(value)
    if isinstance(present, set):
        present.discard(key)
        if not present:
            del index[value]
    elif present == key:
        del index[value]
