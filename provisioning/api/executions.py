"""The cycles of a job page by page, newest first, each as Graph's synchronizationTaskExecution. Graph itself shows no
more of them than the job's status does; address and paging are ours, as those of objectConnections.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from provisioning.api.answers import bad_request, top_of
from provisioning.api.routing import Host, Request, job_of
from provisioning.engine.executions import Execution, task_execution

TYPE = "#microsoft.graph.synchronizationTaskExecution"
DEFAULT_TOP, MOST = 100, 999
_PLACE = re.compile(r"[0-9]{13}\|[^/\\#?\x00-\x1f]{1,200}")


async def list_executions(request: Request, host: Host) -> dict[str, Any]:
    """The cycles that came to rest, newest first."""
    rows = (await job_of(request, host)).context.rows
    top, place = asked_page(request.query.get("$top", ""), request.query.get("$skiptoken", ""))
    found, following = await rows.executions(top, place)
    return page_resource(found, following, request.url.partition("?")[0], top)


def asked_page(top: str, token: str) -> tuple[int, str]:
    """What $top and $skiptoken ask for. Raises `Refusal`."""
    number = top_of(top, DEFAULT_TOP, MOST)
    if not token:
        return number, ""
    try:
        place = base64.urlsafe_b64decode(token.encode("ascii")).decode()
    except (UnicodeError, binascii.Error) as error:
        raise bad_request("$skiptoken is none that this app has given out.") from error
    if _PLACE.fullmatch(place) is None:
        raise bad_request("$skiptoken is none that this app has given out.")
    return number, place


def page_resource(executions: Sequence[Execution], following: str, url: str, top: int) -> dict[str, Any]:
    """`url` is the address that was asked, without its query; `following` is where the next page begins, "" at the
    end.
    """
    page: dict[str, Any] = {"value": [{"@odata.type": TYPE, **task_execution(each)} for each in executions]}
    if following:
        token = base64.urlsafe_b64encode(following.encode()).decode()
        page["@odata.nextLink"] = f"{url}?$top={top}&$skiptoken={quote(token)}"
    return page
