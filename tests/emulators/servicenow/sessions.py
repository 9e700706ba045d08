"""Sessions, for callers that send the cookie back: their calls wait for each other, what waits in too long a line is
thrown away, and a session that was opened before the instance moved it to another node is refused for good. Knows
no slots and no work.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.emulators.servicenow.lane import Lane

if TYPE_CHECKING:
    from tests.emulators.servicenow.messages import Request
    from tests.emulators.servicenow.state import Instance

QUEUE = 10
_MOVES_DIGITS = 8


@dataclass(slots=True)
class Session:
    moves: int  # how often the instance had switched nodes when this session was opened
    lane: Lane = field(default_factory=lambda: Lane(1, QUEUE))


class Sessions:
    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._in_use: dict[str, Session] = {}
        self._opened = 0

    def of(self, request: Request) -> Session | None:
        """The session that the request names, or None where it sends no cookie."""
        name = _cookie(request)
        if not name:
            return None
        session = self._in_use.get(name)
        if session is None:
            session = self._in_use[name] = Session(self._moves_in(name))
        return session

    def is_stale(self, session: Session) -> bool:
        return session.moves != self._instance.node_moves

    def open(self) -> list[tuple[str, str]]:
        """The cookies of a new session. Its name says when it was opened: most are never used again."""
        self._opened += 1
        name = f"{self._instance.node_moves:0{_MOVES_DIGITS}X}{self._opened:0{32 - _MOVES_DIGITS}X}"
        return [
            ("Set-Cookie", f"JSESSIONID={name}; Path=/; HttpOnly"),
            ("Set-Cookie", 'glide_user=""; Max-Age=0; Path=/; HttpOnly'),
            ("Set-Cookie", f"glide_user_route=glide.{name.lower()}; Max-Age=2147483647; Path=/; HttpOnly"),
            ("Set-Cookie", f"glide_session_store={name}; Max-Age=1800; Path=/; HttpOnly"),
        ]

    def _moves_in(self, name: str) -> int:
        try:
            return int(name[:_MOVES_DIGITS], 16) if len(name) == 32 else self._instance.node_moves
        except ValueError:
            return self._instance.node_moves


def _cookie(request: Request) -> str:
    for cookie in request.headers.get("cookie", "").split(";"):
        name, _, value = cookie.strip().partition("=")
        if name == "JSESSIONID":
            return value
    return ""
