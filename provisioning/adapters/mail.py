"""Notices by mail, through Microsoft Graph's sendMail: one message to all recipients, plain text. Knows neither what is
told nor when; the session says who we are.
"""

from __future__ import annotations

from collections.abc import Sequence

from provisioning.adapters.graph.answers import Call
from provisioning.adapters.graph.session import GraphSession
from provisioning.errors import Unauthorized
from provisioning.rules.notice_text import lines, subject
from provisioning.rules.notices import Notice, asks_for_action

MAIL = Call(
    "mail as NOTIFY_MAIL_FROM",
    "Mail.Send",
    verb="send",
    suspect="NOTIFY_MAIL_FROM is no mailbox of this tenant, or an address in NOTIFY_MAIL_TO is none",
)
NOTICE_HEADER = "x-provisioning-notice"
"""Carries the notice's id: a mail that arrives twice is known by it."""


class Mail:
    """A channel. `sender` is a mailbox of the tenant, by id or user principal name."""

    def __init__(self, session: GraphSession, sender: str, recipients: Sequence[str]) -> None:
        self._session = session
        self._sender = sender
        self._recipients = recipients

    async def send(self, notice: Notice) -> None:
        """Raises `Unauthorized` without the permission Mail.Send, `Throttled`, and `Unavailable` for the rest."""
        message = {
            "subject": subject(notice),
            "body": {"contentType": "Text", "content": "\n\n".join(lines(notice))},
            "toRecipients": [{"emailAddress": {"address": address}} for address in self._recipients],
            "importance": "high" if asks_for_action(notice.event) else "normal",
            "internetMessageHeaders": [{"name": NOTICE_HEADER, "value": notice.id}],
        }
        try:
            await self._session.send_mail(self._sender, {"message": message, "saveToSentItems": False}, MAIL)
        except Unauthorized as error:
            if error.code != "InsufficientRights":
                raise
            policy = "if it has that, a policy of Exchange keeps this mailbox from the application"
            raise Unauthorized(f"{error}; {policy}", code=error.code) from error
