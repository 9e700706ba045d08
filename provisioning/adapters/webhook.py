"""Notices by webhook: a Teams workflow, Slack, or any address that takes our own JSON with a signature. The address is
a secret, because whoever knows it may write there: nothing here puts more of it than the host into an error.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal
from urllib.parse import urlsplit

import httpx
import msgspec

from provisioning.adapters.http import retry_after
from provisioning.errors import Throttled, Unauthorized, Unavailable
from provisioning.rules.notice_text import lines, subject
from provisioning.rules.notices import Notice, asks_for_action

Format = Literal["teams", "slack", "json"]

TIMEOUT = httpx.Timeout(20.0, connect=10.0)
DEFAULT_PAUSE = 60.0
NOTICE, TIMESTAMP, SIGNATURE = "X-Provisioning-Notice", "X-Provisioning-Timestamp", "X-Provisioning-Signature"
_GONE = frozenset({401, 403, 404, 410})


class Webhook:
    """A channel. `secret` signs the format `json`; `now` is the wall clock in seconds since 1970."""

    def __init__(
        self,
        url: str,
        format_: Format,
        secret: str = "",
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._url = url
        self._host = urlsplit(url).hostname or "the webhook"
        self._format = format_
        self._secret = secret.encode()
        self._now = now
        self._http = httpx.AsyncClient(transport=transport, timeout=TIMEOUT, follow_redirects=False)

    async def aclose(self) -> None:
        await self._http.aclose()

    async def send(self, notice: Notice) -> None:
        """Raises `Unauthorized` when the other side does not know us or the address, `Throttled`, and `Unavailable` for
        the rest.
        """
        body = json.dumps(_BODIES[self._format](notice), ensure_ascii=False).encode()
        headers = {"Content-Type": "application/json", **self._signed(notice, body)}
        try:
            response = await self._http.post(self._url, content=body, headers=headers)
        except httpx.TimeoutException as error:
            raise Unavailable(
                f"the webhook at {self._host} did not answer in time ({type(error).__name__})", code="Timeout"
            ) from error
        except (httpx.RequestError, httpx.InvalidURL) as error:  # the latter by a Location that is none
            raise Unavailable(
                f"no connection to the webhook at {self._host} ({type(error).__name__}): check the network, proxy and "
                "firewall of this machine, and NOTIFY_WEBHOOK_URL"
            ) from error
        self._check(response)

    def _signed(self, notice: Notice, body: bytes) -> Mapping[str, str]:
        if self._format != "json":
            return {}
        at = str(int(self._now()))
        signature = hmac.new(self._secret, b".".join((at.encode(), body)), hashlib.sha256).hexdigest()
        return {NOTICE: notice.id, TIMESTAMP: at, SIGNATURE: f"sha256={signature}"}

    def _check(self, response: httpx.Response) -> None:
        status = response.status_code
        if response.is_success:
            return
        if status == httpx.codes.TOO_MANY_REQUESTS:
            pause = retry_after(response)
            pause = DEFAULT_PAUSE if pause is None else pause
            raise Throttled(f"the webhook at {self._host} asks for a pause of {pause:g} s", retry_after=pause)
        if status in _GONE:
            raise Unauthorized(
                f"the webhook at {self._host} does not take our notices ({status}): it was removed, or its address is "
                "another one now; make a new one and set NOTIFY_WEBHOOK_URL",
                code="Unauthorized",
            )
        if response.is_redirect:
            raise Unavailable(
                f"the webhook at {self._host} leads elsewhere ({status}), which is not followed: set "
                "NOTIFY_WEBHOOK_URL to where it leads"
            )
        raise Unavailable(
            f"the webhook at {self._host} answered {status}: check NOTIFY_WEBHOOK_FORMAT, and what the other side says",
            code="InternalServerError" if response.is_server_error else "InternalError",
        )


def _teams(notice: Notice) -> dict[str, Any]:
    """An Adaptive Card in the message that the workflow "When a Teams webhook request is received" posts."""
    title = {
        "type": "TextBlock",
        "text": subject(notice),
        "weight": "Bolder",
        "size": "Medium",
        "wrap": True,
        "color": "Attention" if asks_for_action(notice.event) else "Good",
    }
    blocks = [{"type": "TextBlock", "text": line, "wrap": True} for line in lines(notice)]
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": [title, *blocks],
    }
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
    return {"type": "message", "attachments": [attachment]}


def _slack(notice: Notice) -> dict[str, Any]:
    """`text` is what a notification of a phone shows; the blocks are the message."""
    header = {"type": "header", "text": {"type": "plain_text", "text": subject(notice)[:150]}}
    said = "\n\n".join(_escaped(line) for line in lines(notice))[:3000]
    return {"text": _escaped(subject(notice)), "blocks": [header, {"type": "section", "text": _mrkdwn(said)}]}


def _mrkdwn(text: str) -> dict[str, str]:
    return {"type": "mrkdwn", "text": text}


def _escaped(text: str) -> str:
    """Slack's three control characters: https://docs.slack.dev/messaging/formatting-message-text"""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _json(notice: Notice) -> dict[str, Any]:
    event = msgspec.to_builtins(notice.event)
    return {
        "id": notice.id,
        "event": event.pop("type"),
        "job": notice.job,
        "instance": notice.instance,
        "at": notice.at,
        "actionRequired": asks_for_action(notice.event),
        "subject": subject(notice),
        "text": "\n".join(lines(notice)),
        "details": event,
    }


_BODIES: Mapping[Format, Callable[[Notice], dict[str, Any]]] = {"teams": _teams, "slack": _slack, "json": _json}
