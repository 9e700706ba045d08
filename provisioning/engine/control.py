"""What a person may do to a job from outside: pause it, start it, begin anew with what Microsoft's `resetScope` names
forgotten. Works on the stored state only; sends nothing.
"""

from __future__ import annotations

from typing import Literal, get_args

from msgspec.structs import replace

from provisioning.engine.context import Context
from provisioning.engine.jobs import JobState
from provisioning.engine.managed import PARTITIONS
from provisioning.errors import ConfigError, LeaseLost
from provisioning.model import ObjectType

ResetScope = Literal["None", "ConnectorDataStore", "Escrows", "Watermark", "QuarantineState", "Full", "ForceDeletes"]
DEFAULT: tuple[ResetScope, ...] = ("QuarantineState", "Watermark", "Escrows")
"""What a restart without a scope means, in Entra's portal and here."""
FULL: tuple[ResetScope, ...] = (*DEFAULT, "ConnectorDataStore")


def reset_scopes(text: str) -> frozenset[ResetScope]:
    """`text` holds Microsoft's names with commas between them; none is the default. Raises `ConfigError`."""
    known: dict[str, ResetScope] = {name.lower(): name for name in get_args(ResetScope)}
    names = [part.strip() for part in text.split(",") if part.strip()]
    if unknown := [name for name in names if name.lower() not in known]:
        raise ConfigError(f"resetScope {unknown[0]!r} is not known: use {', '.join(known.values())}")
    scopes = {known[name.lower()] for name in names} or set(DEFAULT)
    return frozenset(scopes - {"Full"} | (set(FULL) if "Full" in scopes else set()))


async def pause(context: Context) -> JobState:
    """A running cycle comes to its end; no other one begins."""
    return await context.rows.change_state(lambda state: replace(state, paused=True))


async def start(context: Context) -> JobState:
    """The job goes on where it stopped, out of quarantine for now."""
    return await context.rows.change_state(lambda state: replace(state, paused=False, quarantine=None))


async def restart(context: Context, scopes: frozenset[ResetScope]) -> JobState:
    """The next cycle begins with what the scopes leave. Links stay, but for ConnectorDataStore and Full: then everybody
    is matched again. Raises `LeaseLost` while a worker drives a cycle.
    """
    await _require_rest(context)
    if "ConnectorDataStore" in scopes:
        await _forget_links(context)
    if "Escrows" in scopes:
        await _forget_failures(context)

    def begun_anew(state: JobState) -> JobState:
        lost = "ConnectorDataStore" in scopes
        return replace(
            state,
            paused=False,
            last_began=0.0,
            quarantine=None if scopes & {"QuarantineState", "None"} else state.quarantine,
            watermarks={} if lost or "Watermark" in scopes else state.watermarks,
            managed={} if lost else state.managed,
        )

    return await context.rows.change_state(begun_anew)


async def _require_rest(context: Context) -> None:
    lease = await context.rows.lease()
    if lease is not None and lease.until > context.now():
        raise LeaseLost(
            f"a cycle of the job is being driven for another {lease.until - context.now():.0f} s at most; nothing was "
            "changed. Pause the job, wait for the cycle to end, and restart it then"
        )


async def _forget_links(context: Context) -> None:
    """And the memberships, with what finds them. Nothing is changed in ServiceNow."""
    kinds: tuple[ObjectType, ...] = ("group", "user")
    for kind in kinds:
        for partition in PARTITIONS:
            while links := await context.links.page(kind, partition, ""):
                for link in links if kind == "group" else ():
                    while edges := await context.edges.page(link.id, ""):
                        await context.edges.forget([(edge.group, edge.member) for edge in edges])
                await context.links.forget(links)


async def _forget_failures(context: Context) -> None:
    """What waits for its next try; what is only suspected to be gone is still to be looked at."""
    everything = context.now() + 10 * 365 * 86400.0
    after = ""
    while due := await context.due.page(everything, after):
        await context.due.remove([row for row, pending in due if not pending.unproven])
        after = due[-1][0].key
