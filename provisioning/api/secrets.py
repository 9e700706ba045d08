"""Credentials and the settings that Microsoft's API keeps beside them. Credentials are tried and never kept; the
settings are kept and never read back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from provisioning.api import shapes
from provisioning.api.answers import Refusal, bad_request, body_of
from provisioning.api.routing import Host, Request, app_of
from provisioning.errors import ConfigError, ProvisioningError, Throttled

MOST = 100


async def put_secrets(request: Request, host: Host) -> None:
    """Keeps SyncAll, SkipOutOfScopeDeletions, HardDeletesEnabled and SyncNotificationSettings for the next cycle. What
    is not named stays as it is; an empty value takes a setting back. Credentials are refused.
    """
    app = await app_of(request, host)
    given = pairs_of(body_of(request.body, shapes.Secrets)["value"])
    try:
        await app.keep(given, by=request.by)
    except ConfigError as error:
        raise bad_request(f"{error}. Nothing was kept.") from error


async def validate_credentials(request: Request, host: Host) -> None:
    """Whether the instance lets this job in: with its own credentials, or with those of the body."""
    app, asked = await app_of(request, host), body_of(request.body, shapes.CredentialsToTry)
    given = pairs_of([each for each in asked.get("credentials") or () if each is not None])
    saved = bool(asked.get("useSavedCredentials"))
    if saved and given:
        raise bad_request(
            "useSavedCredentials and credentials are both given. The saved ones are for the instance that the app "
            "setting SERVICENOW_INSTANCE names, and are shown to no other: leave the list of credentials empty."
        )
    if not saved and not given:
        raise bad_request("Give credentials, or useSavedCredentials.")
    try:
        await app.try_connection(None if saved else given)
    except Throttled:
        raise
    except ConfigError as error:
        raise bad_request(f"{error}.") from error
    except ProvisioningError as error:
        raise Refusal(400, getattr(error, "code", "Request_BadRequest"), f"{error}") from error


def pairs_of(pairs: Sequence[shapes.Secret]) -> dict[str, str]:
    """Key and value of each. Raises `Refusal`."""
    if len(pairs) > MOST:
        raise bad_request(f"Give at most {MOST} pairs of key and value.")
    names = Counter((pair.get("key") or "").strip().lower() for pair in pairs)
    if "" in names:
        raise bad_request("Each pair must name a key.")
    if twice := [name for name, number in names.items() if number > 1]:
        raise bad_request(f"The key {twice[0][:60]!r} is given twice.")
    return {(pair.get("key") or "").strip(): pair.get("value") or "" for pair in pairs}
