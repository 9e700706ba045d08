"""`metrics`: the job in numbers, as the API tells them. Reads the state only."""

from __future__ import annotations

import sys

from provisioning.api.metrics import prometheus
from provisioning.cli.running import opened
from provisioning.cli.shell import Exit, Shell
from provisioning.engine.metrics import samples


async def metrics(shell: Shell, *, as_json: bool) -> Exit:
    async with opened(shell) as app:
        found = await samples(app.engine)
    if as_json:
        shell.print_json([{"name": s.name, "labels": dict(s.labels), "value": s.value} for s in found])
    else:
        sys.stdout.write(prometheus(found))
    return Exit.OK
