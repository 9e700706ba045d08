"""Templates to replies. Everything that a page shows is escaped where it is put in: people choose their own names."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from provisioning.api.answers import Call, Refusal, Reply
from provisioning.api.routing import Host, Request
from provisioning.dashboard.views.chart import HEIGHT, LEGEND, WIDTH
from provisioning.dashboard.views.wording import Tone, sentence_case
from provisioning.engine.engine import Engine
from provisioning.errors import ConfigError, ObjectError, ProvisioningError, Unavailable

if TYPE_CHECKING:
    from jinja2 import Environment

logger = logging.getLogger(__name__)

FOLDER = Path(__file__).parent
TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
FOREVER = 31_536_000


@dataclass(frozen=True, slots=True)
class Entry:
    """A page that the navigation leads to."""

    name: str
    label: str
    address: str
    icon: str


NAVIGATION = (
    Entry("overview", "Overview", "/dashboard", "overview"),
    Entry("plan", "Plan", "/dashboard/plan", "plan"),
    Entry("logs", "Logs", "/dashboard/logs", "logs"),
)


@dataclass(frozen=True, slots=True)
class Notice:
    """What has just been done."""

    tone: Tone
    text: str


@dataclass(frozen=True, slots=True)
class Frame:
    """What stands around every page. `current` names its entry in the navigation."""

    title: str
    current: str
    instance: str
    by: str
    may_operate: bool
    notice: Notice | None = None
    navigation: tuple[Entry, ...] = NAVIGATION


def may_operate(request: Request) -> bool:
    """Whether the person may order something; a page shows no buttons to who may not."""
    del request
    return True


def page(template: str, frame: Frame, *, status: int = 200, **context: Any) -> Reply:
    html = environment().get_template(template).render(frame=frame, **context)
    return Reply(status, html, {"Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-store"})


def see_other(address: str) -> Reply:
    """After an order: the browser asks for a page, and reloading it orders nothing."""
    return Reply(303, "", {"Location": address})


def form_of(request: Request) -> Mapping[str, str]:
    """Raises `Refusal` for a body that is no form."""
    try:
        return dict(parse_qsl(request.body.decode("ascii"), keep_blank_values=True, max_num_fields=100))
    except (UnicodeError, ValueError) as error:
        raise Refusal(400, "Request_BadRequest", "The body must be a form.") from error


@cache
def environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415 - the API does without

    made = Environment(
        loader=FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals |= {"static": static, "legend": LEGEND, "chart_width": WIDTH, "chart_height": HEIGHT}
    return made


@cache
def static_files() -> Mapping[str, tuple[str, str, str]]:
    """By name: the text, its type, and what tells this version from others."""
    found = {}
    for path in sorted((FOLDER / "static").iterdir()):
        text = path.read_text(encoding="utf-8")
        found[path.name] = (text, TYPES[path.suffix], hashlib.sha256(text.encode()).hexdigest()[:12])
    return found


def static(name: str) -> str:
    """The address of a file, which changes with it."""
    return f"/dashboard/static/{name}?v={static_files()[name][2]}"


def static_reply(name: str) -> Reply:
    """Raises `Refusal`."""
    found = static_files().get(name)
    if found is None:
        raise Refusal(404, "Request_ResourceNotFound", f"There is no file {name}.")
    text, type_, _ = found
    kept = f"private, max-age={FOREVER}, immutable"
    return Reply(200, text, {"Content-Type": f"{type_}; charset=utf-8", "Cache-Control": kept})


Shown = Callable[[Request, Engine, Host], Awaitable[Reply]]


def shown(handler: Shown) -> Callable[[Request, Host], Awaitable[Reply]]:
    """The handler of a page: what goes wrong is told on a page as well, with the way out."""

    async def answer(request: Request, host: Host) -> Reply:
        call = Call()
        try:
            return await handler(request, (await host.app()).engine, host)
        except Refusal as refusal:
            return _failed(request, call, refusal.status, "That did not work", str(refusal))
        except ObjectError as error:
            return _failed(request, call, 404, "Not found", f"{error}: {error.way_out}")
        except ConfigError as error:
            logger.exception("page failed", extra={"request": call.request_id})
            return _failed(request, call, 500, "The job cannot be opened as it is set up", str(error))
        except Unavailable as error:
            logger.exception("page failed", extra={"request": call.request_id})
            return _failed(request, call, 503, "Something that this page needs does not answer", str(error))
        except ProvisioningError as error:
            logger.exception("page failed", extra={"request": call.request_id})
            return _failed(request, call, 409, "That did not work", str(error))

    return answer


def _failed(request: Request, call: Call, status: int, title: str, message: str) -> Reply:
    frame = Frame(title, "", "", request.by, may_operate(request))
    text = sentence_case(message)
    return page("error.html", frame, status=status, title=title, message=text, request_id=call.request_id)
