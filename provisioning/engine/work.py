"""What one step works with: the job's context, the plan it works on, whose entries it writes, its tally, its lease."""

from __future__ import annotations

from dataclasses import dataclass

from provisioning.engine.context import Context
from provisioning.engine.lending import Lending
from provisioning.engine.plan import Plan
from provisioning.engine.shares import Share
from provisioning.engine.tally import Tally
from provisioning.rules.summary import Origin


@dataclass(frozen=True, slots=True)
class Work:
    """`holder` is the name under which the step holds the job's lease; None for work that needs none. `share` is the
    job's claim on the instance, None where nobody else can see it. `lending` is what the step may use of the calls of
    others beside it, None where there are none.
    """

    context: Context
    plan: Plan
    origin: Origin
    tally: Tally
    holder: str | None
    share: Share | None = None
    lending: Lending | None = None
