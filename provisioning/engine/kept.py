"""Settings that are kept with the job's state because somebody gave them over the API, beside those that the app was
started with. A cycle ends with those that it began with, as it does with its schema.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from provisioning.engine.audit import entry_of
from provisioning.engine.context import Context
from provisioning.engine.jobs import JobRows, JobState
from provisioning.rules.audit import Audited, differences


async def in_force(rows: JobRows) -> Mapping[str, str]:
    """Those of an unfinished cycle, else those that were given last."""
    found = await rows.progress()
    if found is not None and not found[0].finished and not found[0].dry_run:
        return found[0].kept
    return (await rows.state())[0].kept


async def keep(context: Context, changes: Mapping[str, str | None], *, by: str) -> None:
    """From the next cycle on; None is for what is kept no longer, and what is not named stays as it is."""
    entry = entry_of("Update provisioning setting or credentials", by, context.now())

    def told(before: JobState, after: JobState) -> Audited | None:
        found = differences(before.kept, after.kept, context.job.hidden_settings)
        return replace(entry, changes=found) if found else None

    def changed(state: JobState) -> JobState:
        kept = {name: value for name, value in {**state.kept, **changes}.items() if value is not None}
        return replace(state, kept=kept)

    await context.rows.change_state(changed, told)
