"""What a browser is kept from doing for another site: sending orders with somebody's sign-in, reaching a laptop's
server under a name that leads there, showing our pages in a frame, running what is not ours. Pure.

Orders are told from those of another site by what browsers themselves write into each request (`Sec-Fetch-Site`,
`Origin`) and no page can change, so a form needs no token of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from provisioning.api.answers import Refusal

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
DATA_POLICY = "default-src 'none'; frame-ancestors 'none'"
_ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # `no-referrer` would make browsers send `Origin: null` with our own forms.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
YEAR = 31_536_000


def security_headers(content_type: str, *, https: bool) -> dict[str, str]:
    """What goes with every answer. Pages run no script and no style but files of ours: neither may be written into a
    page itself. Nothing about people stays in a browser's cache.
    """
    is_page = content_type.partition(";")[0].strip().casefold() == "text/html"
    own = {
        "Content-Security-Policy": PAGE_POLICY if is_page else DATA_POLICY,
        "Cache-Control": "no-store" if is_page else "no-cache",
        **({"Permissions-Policy": "camera=(), geolocation=(), microphone=()"} if is_page else {}),
        **({"Strict-Transport-Security": f"max-age={YEAR}"} if https else {}),
    }
    return {**_ALWAYS, **own}


def refuse_foreign_sites(method: str, headers: Mapping[str, str], origin: str, *, scripts_welcome: bool) -> None:
    """For a caller whose proof the browser sends by itself: raises `Refusal` where another site made it send this. The
    names of headers are in lower case; `origin` is our own, as in https://app.azurewebsites.net. `scripts_welcome`:
    what is sent by no browser may pass; else an order without either header is refused.
    """
    site, sender = headers.get("sec-fetch-site", "").casefold(), headers.get("origin", "")
    if method.upper() in SAFE_METHODS:
        if site in {"", "same-origin", "none"} or is_navigation(method, headers):
            return
    elif site:
        if site == "same-origin":
            return
    elif sender:
        if _same(sender, origin):
            return
    elif scripts_welcome:
        return
    raise _foreign("The request was sent by another site.")


def is_navigation(method: str, headers: Mapping[str, str]) -> bool:
    """Whether a person opens a page: by a link, a bookmark or the address bar, not in a frame and not from a script."""
    if method.upper() != "GET" or "text/html" not in headers.get("accept", "").casefold():
        return False
    return (
        headers.get("sec-fetch-mode", "navigate").casefold() == "navigate"
        and headers.get("sec-fetch-dest", "document").casefold() == "document"
    )


def refuse_foreign_hosts(headers: Mapping[str, str]) -> None:
    """For a server on a laptop: raises `Refusal` where it is addressed by a name that is not this machine's own, as
    another site does whose name it lets lead here, or where a page from elsewhere asks.
    """
    host = headers.get("host", "").strip()
    if _host_name(f"http://{host}") not in LOOPBACK_NAMES:
        raise _foreign("This server answers to 127.0.0.1 and localhost only.", 421, "MisdirectedRequest")
    sender = headers.get("origin")
    if sender is not None and not _same(sender, f"http://{host}"):
        raise _foreign("The request was sent by another site.")


def _foreign(message: str, status: int = 403, code: str = "Authorization_RequestDenied") -> Refusal:
    return Refusal(status, code, message)


def _same(one: str, other: str) -> bool:
    return bool(one) and one.casefold() == other.casefold()


def _host_name(address: str) -> str:
    try:
        parts = urlsplit(address)
        _ = parts.port
    except ValueError:
        return ""
    if "@" in parts.netloc or parts.path or parts.query or parts.fragment:
        return ""
    return parts.hostname or ""
