"""What the source side of one object says: whether it is in scope, and what its record should then hold. Pure: knows
the object, its grants and the mappings; no record and no link.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from provisioning.errors import ObjectError
from provisioning.model import DriftPolicy, ScopeCheck
from provisioning.rules.attributes import Facts
from provisioning.rules.departures import Departures
from provisioning.rules.filters import failed_filters
from provisioning.rules.mapping import Desired, Leaving, Mapper
from provisioning.rules.protection import Protection
from provisioning.rules.scope import in_scope, scope_checks, unfiltered_checks


@dataclass(frozen=True, slots=True)
class Policy:
    """What the job says about scope and removal. `default_access` tells whether the role Default Access entitles:
    `auto` as Entra does, only where the application has no other role to assign. `nested_groups` counts the members of
    groups within an assigned group as its own. `creatable` are the tables in which records may be created for
    references to point to, at most `create_limit` in a cycle. `departures` says what becomes of the records of those
    who leave, `protection` names the records that are, or are not, protected, `drift` says what becomes of values that
    others changed in ServiceNow, where the mapping does not.
    """

    everyone: bool = False
    default_access: Literal["auto", "include", "exclude"] = "auto"
    nested_groups: bool = False
    creatable: tuple[str, ...] = ()
    create_limit: int = 50
    departures: Departures = field(default_factory=Departures)
    protection: Protection = field(default_factory=Protection)
    drift: DriftPolicy = "report"


@dataclass(frozen=True, slots=True)
class Assessment:
    """`desired` is what an object in scope should have, `leaving` what is left of one that is out of it. `error` says
    why neither could be told. `dropped` names the input filter that an object with access did not pass: it is left as
    it is. Who is disabled or has no access is out of scope all the same.
    """

    checks: tuple[ScopeCheck, ...] = ()
    desired: Desired | None = None
    leaving: Leaving = field(default_factory=Leaving)
    error: ObjectError | None = None
    dropped: str | None = None


def assess(
    mapper: Mapper, facts: Facts, grants: Collection[str], now: datetime, *, everyone: bool, default_access: bool
) -> Assessment:
    """The assessment of an object that was read. Raises nothing."""
    scope = mapper.mapping.scope
    checks = unfiltered_checks(facts, grants, everyone=everyone, default_access=default_access)
    try:
        if (
            in_scope(checks)
            and scope.input_groups
            and (failed := failed_filters(scope.input_groups, facts)) is not None
        ):
            return Assessment(checks, dropped=failed)
        if in_scope(checks) and scope.groups:
            checks = scope_checks(facts, grants, scope, everyone=everyone, default_access=default_access)
        if in_scope(checks):
            return Assessment(checks, desired=mapper.evaluate(facts, now))
        return Assessment(checks, leaving=mapper.on_leaving(_soft_deleted(facts), now))
    except ObjectError as error:
        return Assessment(checks, error=error)


def assess_gone(
    mapper: Mapper, grants: Collection[str], now: datetime, *, everyone: bool, default_access: bool
) -> Assessment:
    """The assessment of an object that Entra does not have any more: out of scope, whatever else is true."""
    checks = unfiltered_checks(None, grants, everyone=everyone, default_access=default_access)
    try:
        return Assessment(checks, leaving=mapper.on_leaving(None, now))
    except ObjectError as error:
        return Assessment(checks, error=error)


def _soft_deleted(facts: Facts) -> Facts:
    return Facts(facts.source, soft_deleted=True, roles=facts.roles, member_of=facts.member_of)
