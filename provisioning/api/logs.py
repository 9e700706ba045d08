"""The logs as Graph answers them: /auditLogs/provisioning and /auditLogs/directoryAudits, page by page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from provisioning.api.answers import bad_request, top_of
from provisioning.api.routing import Host, Request
from provisioning.engine.journal import Page
from provisioning.errors import QueryError
from provisioning.rules.log_query import LogQuery, Resource

DEFAULT_TOP, MOST = 100, 1000
KNOWN = frozenset({"$filter", "$orderby", "$top", "$skiptoken"})


async def get_provisioning_logs(request: Request, host: Host) -> dict[str, Any]:
    """What was done to each object, newest first."""
    query = query_of(request.query, "provisioningObjectSummary")
    page = await (await host.app()).engine.context.journal.search(query)
    return page_document(page, request.url, "provisioning")


async def get_audits(request: Request, host: Host) -> dict[str, Any]:
    """What was ordered and changed, newest first."""
    query, context = query_of(request.query, "directoryAudit"), (await host.app()).engine.context
    page = await context.audit.search(query, principal=context.job.application)
    return page_document(page, request.url, "directoryAudits")


def query_of(parameters: Mapping[str, str], resource: Resource) -> LogQuery:
    """What the parameters of an address ask for. Raises `Refusal`."""
    unknown = sorted(name for name in parameters if name.startswith("$") and name not in KNOWN)
    if unknown:
        raise bad_request(f"{', '.join(unknown)} is not supported here: use {', '.join(sorted(KNOWN))}.")
    top = top_of(parameters.get("$top", ""), DEFAULT_TOP, MOST)
    try:
        return LogQuery.parse(
            filter_=parameters.get("$filter", ""),
            order=parameters.get("$orderby", ""),
            top=top,
            skip_token=parameters.get("$skiptoken", ""),
            resource=resource,
        )
    except QueryError as error:
        raise bad_request(f"{error}.") from error


def page_document(page: Page, address: str, collection: str) -> dict[str, Any]:
    """`address` is the one that was asked for; the next page has the same with another token."""
    parts = urlsplit(address)
    context = urlunsplit((parts.scheme, parts.netloc, "/v1.0/$metadata", "", f"auditLogs/{collection}"))
    document: dict[str, Any] = {"@odata.context": context}
    if page.next_token is not None:
        asked = [(name, value) for name, value in parse_qsl(parts.query) if name != "$skiptoken"]
        query = urlencode([*asked, ("$skiptoken", page.next_token)], safe="$'")
        document["@odata.nextLink"] = urlunsplit((parts.scheme, parts.netloc, parts.path, query, ""))
    return {**document, "value": list(page.entries)}
