"""What stands around a page that is not one of the first four: the same frame, with notices of its own."""

from __future__ import annotations

from collections.abc import Mapping

from provisioning.api.routing import Request
from provisioning.dashboard.pages import Frame, Notice, may_operate
from provisioning.engine.engine import Engine


def framed(request: Request, engine: Engine, title: str, current: str, done: Mapping[str, Notice]) -> Frame:
    """`done` says what each order has come to, by the word that its address ends with."""
    notice = done.get(request.query.get("done", ""))
    return Frame(title, current, engine.instance, request.by, may_operate(request), notice)
