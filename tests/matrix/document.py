"""The part of docs/reliability.md that the tests write: a table for each side, and what the names in it mean. Reads the
tables back, so that a test can compare every cell.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from tests.matrix.calls import ITEM, SIDES, Call
from tests.matrix.cells import RESULTS
from tests.matrix.faults import FAULTS

DOCUMENT = Path(__file__).parent.parent.parent / "docs" / "reliability.md"
BEGIN = "<!-- Written by python -m tests.matrix --write: change nothing by hand from here on -->"
END = "<!-- Until here -->"
IMPOSSIBLE = "·"
Matrix = Mapping[Call, Mapping[str, str]]


def drawn(matrix: Matrix) -> str:
    """The text between the marks."""
    numbers = Counter(result for column in matrix.values() for result in column.values())
    total = sum(numbers.values())
    lines = [
        f"{len(matrix)} kinds of calls, {total} cells. What the names mean, and how often each occurs:",
        "",
        "| result | cells | meaning |",
        "|---|---|---|",
        *(f"| {name} | {numbers[name]} | {meaning} |" for name, meaning in RESULTS.items() if numbers[name]),
        "",
    ]
    for title, calls, upright in _tables(list(matrix)):
        lines += [f"### {title}", "", *_table(matrix, calls, upright=upright), ""]
    return "\n".join(lines)


def _tables(calls: list[Call]) -> list[tuple[str, list[Call], bool]]:
    """The state store knows few faults and many calls, the other sides the opposite."""
    tables = []
    for side in SIDES:
        own = [call for call in calls if call[0] == side]
        if side == SIDES[2]:
            tables.append((f"Commits to {side}", own, False))
            continue
        whole = [call for call in own if not call[1].startswith(ITEM)]
        items = [call for call in own if call[1].startswith(ITEM)]
        reads = [call for call in items if call[1].startswith(f"{ITEM}GET ")]
        writes = [call for call in items if call not in reads]
        tables.append((f"Requests to {side}", whole, True))
        tables.append((f"Reads in batches to {side}", reads, True))
        if writes:
            tables.append((f"Writes in batches to {side}", writes, True))
    return tables


def _table(matrix: Matrix, calls: list[Call], *, upright: bool) -> list[str]:
    faults = list(dict.fromkeys(fault.name for fault in FAULTS if any(map(fault.can_meet, calls))))
    if upright:
        head = ["fault", *(f"`{call[1]}`" for call in calls)]
        rows = [[fault, *(matrix[call].get(fault, IMPOSSIBLE) for call in calls)] for fault in faults]
    else:
        head = ["call", *faults]
        rows = [[f"`{call[1]}`", *(matrix[call].get(fault, IMPOSSIBLE) for fault in faults)] for call in calls]
    return [_row(head), _row(["---"] * len(head)), *map(_row, rows)]


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def write(matrix: Matrix) -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    DOCUMENT.write_text(f"{before}{BEGIN}\n\n{drawn(matrix)}\n{END}{after}", encoding="utf-8")


def written() -> str:
    """What stands between the marks now."""
    return DOCUMENT.read_text(encoding="utf-8").split(BEGIN)[1].split(END)[0].strip()


def documented() -> dict[Call, dict[str, str]]:
    """The matrix as the document shows it."""
    matrix: dict[Call, dict[str, str]] = {}
    side, head = "", []
    for line in written().splitlines():
        if line.startswith("### "):
            side, head = next(each for each in SIDES if line.endswith(each)), []
            continue
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not side or not line.startswith("| ") or set(cells) == {"---"}:
            continue
        if not head:
            head = cells
            continue
        for name, result in zip(head[1:], cells[1:], strict=True):
            call, fault = (name, cells[0]) if head[0] == "fault" else (cells[0], name)
            column = matrix.setdefault((side, call.strip("`")), {})
            if result != IMPOSSIBLE:
                column[fault] = result
    return matrix
