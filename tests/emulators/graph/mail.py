"""Outlook behind Graph, as far as an application that sends mail sees it: the message is checked and kept, nothing is
delivered. A mailbox is what a live user with a mail address has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .messages import Call, GraphError, Reply

if TYPE_CHECKING:
    from .state import Tenant


def denied() -> GraphError:
    """Outlook has its own words: for a missing permission, and for a mailbox that a policy keeps from the app."""
    return GraphError(403, "ErrorAccessDenied", "Access is denied. Check credentials and try again.")


def send_mail(tenant: Tenant, call: Call, params: dict[str, str]) -> Reply:
    sender = tenant.user(params["id"])
    if sender is None or sender.deleted_at is not None:
        raise GraphError(404, "ErrorInvalidUser", f"The requested user '{params['id']}' is invalid.")
    if not sender.attributes.get("mail"):
        raise GraphError(
            404,
            "MailboxNotEnabledForRESTAPI",
            "The mailbox is either inactive, soft-deleted, or is hosted on-premise.",
        )
    body = {name.lower(): value for name, value in (call.body or {}).items()}
    message = body.get("message")
    if not isinstance(message, dict):
        raise GraphError(400, "ErrorInvalidParameter", "The parameter 'Message' is missing.")
    recipients = [_address(each) for each in message.get("toRecipients", [])]
    if not recipients or not all(recipients):
        raise GraphError(400, "ErrorInvalidRecipients", "At least one recipient isn't valid.")
    for header in message.get("internetMessageHeaders", []):
        if not header["name"].lower().startswith("x-"):
            raise GraphError(
                400,
                "InvalidInternetMessageHeader",
                f"The internet message header name '{header['name']}' should start with 'x-' or 'X-'.",
            )
    tenant.sent_mail.append({"from": sender.id, "to": recipients, "message": message})
    return Reply(202, "")


def _address(recipient: Any) -> str:
    address = recipient.get("emailAddress", {}).get("address", "") if isinstance(recipient, dict) else ""
    return address if "@" in address else ""
