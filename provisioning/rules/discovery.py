"""What an account or group of ServiceNow is to provisioning: managed, matched but unassigned, local, ambiguous,
protected or stale. Pure: knows what was gathered of one record, and no other record, side or store.

Where several could be said of a record, the first of these is its state:

    stale        a link of this job holds it, its object in Entra is gone or out of scope, and it is active all the same
    protected    provisioning keeps its hands off it (rules/protection), whether it is linked or not
    managed      a link holds it: of this job, or of another one on the same instance. Also who is in scope and has its
                 key without being linked yet: the next cycle adopts it
    ambiguous    it has its key in common with other records, or with several objects of Entra, or the key differs from
                 Entra's in case or accents only
    unassigned   an object of Entra has its key and is not in the scope of the job
    stale        no object of Entra has its key, it is an active account, and its last login (the day it was created,
                 where nobody has ever logged in) lies more than so many days back. Groups have no logins
    local        no object of Entra has its key

The scope of another job is not known here, so that what only another job's link holds is never stale.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date
from typing import Literal

from msgspec import Struct

from provisioning.errors import ObjectError
from provisioning.model import ObjectType
from provisioning.rules.attributes import Facts
from provisioning.rules.filters import failed_filters
from provisioning.rules.scope import in_scope, reasons, scope_checks
from provisioning.schema.mappings import ScopeFilter

State = Literal["managed", "unassigned", "local", "ambiguous", "protected", "stale"]
STATES: tuple[State, ...] = ("managed", "unassigned", "local", "ambiguous", "protected", "stale")
ATTENTION: tuple[State, ...] = ("stale", "ambiguous", "unassigned")
"""The states that somebody should do something about, the most urgent first."""
GONE_FROM_ENTRA = "not in Microsoft Entra ID any more"


class Standing(Struct, frozen=True, gc=False):
    """Where an object of Entra stands with the job; `unknown` where a filter cannot be evaluated, or it is another
    job's. `why` says why it is out of scope, or why that is not known.
    """

    scope: Literal["in", "out", "unknown"]
    why: str = ""


IN_SCOPE = Standing("in")
GONE = Standing("out", GONE_FROM_ENTRA)


class Evidence(Struct, frozen=True, gc=False):
    """What was gathered of one record. `job` is the job whose link holds it, `ours` whether that is this one, and
    `standing` that of the linked object, else of the only object that has its key. `sources` are the ids of the objects
    of Entra, `ambiguity` says what else has its key, `protection` why it is protected. `seen` is the day of the last
    login, or of its creation when nobody has `logged_in`; None where the instance does not tell.
    """

    kind: ObjectType
    active: bool
    job: str = ""
    ours: bool = False
    standing: Standing | None = None
    sources: tuple[str, ...] = ()
    ambiguity: str = ""
    protection: str = ""
    seen: date | None = None
    logged_in: bool = False


class Verdict(Struct, frozen=True, gc=False):
    """The state, and the reason as part of a sentence."""

    state: State
    reason: str


def classify(found: Evidence, today: date, stale_days: int) -> Verdict:
    """The record's state by the rules at the head of this module."""
    standing = found.standing
    left = found.ours and standing is not None and standing.scope == "out"
    if left and standing is not None and found.active:
        also = f"; protected: {found.protection}" if found.protection else ""
        return Verdict("stale", f"still active, and its {found.kind} in Entra is out of scope: {standing.why}{also}")
    if found.protection:
        return Verdict("protected", found.protection)
    if found.job:
        return Verdict("managed", _how_managed(found))
    if found.ambiguity:
        return Verdict("ambiguous", found.ambiguity)
    if len(found.sources) > 1:
        return Verdict("ambiguous", f"{len(found.sources)} {found.kind}s in Entra have its key")
    if found.sources and standing is not None:
        return _matched(found.kind, standing)
    if (days := _idle(found, today)) > stale_days:
        since = "last logged in" if found.logged_in else "never logged in, and was created"
        return Verdict("stale", f"not in Entra, still active, {since} {days} days ago, on {found.seen}")
    return Verdict("local", f"no {found.kind} in Entra has its key")


def standing_of(
    facts: Facts, grants: Collection[str], scope: ScopeFilter, *, everyone: bool, default_access: bool
) -> Standing:
    """Where an object that Entra has stands, by the same checks as in a cycle."""
    try:
        checks = scope_checks(facts, grants, scope, everyone=everyone, default_access=default_access)
        if not in_scope(checks):
            return Standing("out", reasons(checks))
        if scope.input_groups and (failed := failed_filters(scope.input_groups, facts)) is not None:
            return Standing("out", f"dropped by the input filter: {failed}")
    except ObjectError as error:
        return Standing("unknown", str(error))
    return IN_SCOPE


def _how_managed(found: Evidence) -> str:
    standing = found.standing
    if not found.ours:
        return f"linked by job {found.job}"
    if standing is not None and standing.scope == "out":
        return f"linked by this job, and inactive since its {found.kind} in Entra is out of scope: {standing.why}"
    return "linked by this job"


def _matched(kind: ObjectType, standing: Standing) -> Verdict:
    match standing.scope:
        case "in":
            return Verdict("managed", f"a {kind} in scope has its key: not linked yet, the next cycle adopts it")
        case "out":
            return Verdict("unassigned", f"a {kind} in Entra has its key, but is out of scope: {standing.why}")
        case "unknown":
            return Verdict("unassigned", f"a {kind} in Entra has its key; whether in scope is unknown: {standing.why}")


def _idle(found: Evidence, today: date) -> int:
    if found.kind != "user" or not found.active or found.seen is None:
        return 0
    return (today - found.seen).days
