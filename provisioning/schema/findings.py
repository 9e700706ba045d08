"""What an examination of a schema finds, and where. Knows no JSON and no mapping."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True, slots=True)
class Finding:
    """`error`: the job may not run with it. `warning`: works otherwise than in Entra, or probably not as meant. `note`:
    kept, without effect here. `where` is the place in words; a text with carets has several lines.
    """

    severity: Severity
    where: str
    text: str
    way_out: str = ""

    def __str__(self) -> str:
        told = f"{self.where}: {self.text}"
        if not self.way_out:
            return told
        return f"{told}\n{self.way_out}" if "\n" in told else f"{told}; {self.way_out}"


class Report:
    """Collects findings in the order in which they are made; the same one counts once."""

    def __init__(self) -> None:
        self._found: dict[Finding, None] = {}

    def error(self, where: str, text: str, way_out: str = "") -> None:
        self._found[Finding("error", where, text, way_out)] = None

    def warning(self, where: str, text: str, way_out: str = "") -> None:
        self._found[Finding("warning", where, text, way_out)] = None

    def note(self, where: str, text: str, way_out: str = "") -> None:
        self._found[Finding("note", where, text, way_out)] = None

    def add(self, findings: Iterable[Finding]) -> None:
        self._found.update(dict.fromkeys(findings))

    def add_without_errors(self, findings: Iterable[Finding]) -> None:
        """What would be an error of something that is switched off is a warning."""
        self.add(replace(each, severity="warning") if each.severity == "error" else each for each in findings)

    @property
    def findings(self) -> tuple[Finding, ...]:
        return tuple(self._found)

    @property
    def failed(self) -> bool:
        return any(each.severity == "error" for each in self._found)
