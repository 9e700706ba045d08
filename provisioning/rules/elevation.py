"""What a refused membership means when its group carries security_admin: ServiceNow then lets nobody change the members
who does not hold that role elevated (KB0758037). Pure; knows sys_ids and numbers, and not how they were found out.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from provisioning.model import Create, Decision, Refused, Remove, WriteOutcome
from provisioning.rules.protection import SECURITY_ADMIN

GUARDED = "SecurityAdminGroup"
Verdict = Refused | str | None
"""What was found out of a group: how each of its memberships is refused; why that could not be read; or None, it does
not carry the role, so that a refusal has another reason."""


def group_of(decision: Decision) -> str:
    """The sys_id of the group whose membership is to be written; "" for anything else."""
    if not decision.object.startswith("member:"):
        return ""
    match decision.action:
        case Create(fields=ends) | Remove(before=ends):
            return ends.get("group", "")
        case _:
            return ""


def may_be_guarded(outcome: WriteOutcome) -> bool:
    """Whether an ACL refused the write. What passes by itself has another reason."""
    match outcome:
        case Refused(code="InsufficientRights", transient=False):
            return True
        case _:
            return False


def guarded(group: str, waiting: int) -> Refused:
    """How the memberships of a group are refused that carries the role."""
    wait = "1 membership of it waits" if waiting == 1 else f"{waiting:,} memberships of it wait"
    return Refused(
        GUARDED,
        f"the group {group} carries the role {SECURITY_ADMIN}, and ServiceNow lets nobody change its members who does "
        f"not hold that role elevated; {wait}",
        "ServiceNow administrator: with elevated rights, change the members in ServiceNow, or take the role "
        f"{SECURITY_ADMIN} off the group; or Entra administrator: exclude the group from the scope of the job",
    )


def explained(outcome: WriteOutcome, group: str, verdicts: Mapping[str, Verdict]) -> WriteOutcome:
    """The outcome of a membership, with what was found out of its group."""
    if not isinstance(outcome, Refused) or not may_be_guarded(outcome):
        return outcome
    match verdicts.get(group):
        case Refused() as refused:
            return refused
        case str(why):
            text = f"whether the group {group} carries the role {SECURITY_ADMIN}, which would explain it, is not known"
            way_out = f"{outcome.way_out}; let it read sys_group_has_role, and name of sys_user_role, for the reason"
            return replace(outcome, message=f"{outcome.message}; {text}: {why}", way_out=way_out)
        case _:
            return outcome
