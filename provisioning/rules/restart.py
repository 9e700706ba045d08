"""What a restart resets: Graph's resetScope, its values and what each of them implies. Pure."""

from __future__ import annotations

from typing import Literal, get_args

from provisioning.errors import ConfigError

ResetScope = Literal["None", "ConnectorDataStore", "Escrows", "Watermark", "QuarantineState", "Full", "ForceDeletes"]
SCOPES: tuple[ResetScope, ...] = get_args(ResetScope)
DEFAULT: tuple[ResetScope, ...] = ("Escrows", "Watermark", "QuarantineState")
"""What the portal's restart does: links stay."""
EVERYTHING: tuple[ResetScope, ...] = ("ConnectorDataStore", "Escrows", "Watermark", "QuarantineState")


def parse_scopes(text: str) -> tuple[ResetScope, ...]:
    """A comma-separated resetScope, in whatever case. Nothing means the default; "Full" is all but ForceDeletes, which
    a person must ask for by its name. Raises `ConfigError` for a value that Graph does not have.
    """
    known = {scope.casefold(): scope for scope in SCOPES}
    wanted = [part.strip() for part in text.split(",") if part.strip()]
    for part in wanted:
        if part.casefold() not in known:
            raise ConfigError(f"{part!r} is no resetScope: use {', '.join(SCOPES)}, separated by commas")
    scopes = {known[part.casefold()] for part in wanted}
    if not scopes:
        return DEFAULT
    if len(scopes) > 1 and "None" in scopes:
        raise ConfigError("resetScope None goes with no other: it starts the job and resets nothing")
    if "Full" in scopes:
        scopes |= set(EVERYTHING)
    if "ConnectorDataStore" in scopes:  # without links, only reading everything anew finds anybody
        scopes.add("Watermark")
    return tuple(scope for scope in SCOPES if scope in scopes)


def drops_links(scopes: tuple[ResetScope, ...]) -> bool:
    return "ConnectorDataStore" in scopes
