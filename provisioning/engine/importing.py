"""A schema that somebody gives the job: looked at with everything that is known, and stored for the next cycle
unless it cannot be worked with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from provisioning.engine.context import Context
from provisioning.engine.engine import Engine
from provisioning.engine.schemas import Schemas
from provisioning.errors import ConfigError
from provisioning.schema import Finding, Schema, examine, validate


@dataclass(frozen=True, slots=True)
class Imported:
    """`version` is the one that the document was stored as; None where there is an error among the findings."""

    version: str | None
    findings: Sequence[Finding]


def refuse_roles_of_everybody(schema: Schema, *, everyone: bool) -> None:
    """As in Entra: whoever is in scope without an assignment has no role, and a mapping of roles would empty it."""
    if everyone and (schema.user.reads_roles or schema.group.reads_roles):
        raise ConfigError(
            "SCOPE is all, and a mapping or filter of the schema reads appRoleAssignments, which only assigned users "
            "have: set SCOPE to assigned, or take the app roles out of the schema"
        )


async def look_at(context: Context, document: Any) -> list[Finding]:
    """Everything that is wrong or different with a schema: by itself, and against the instance's dictionary."""
    job = context.job
    asked, _ = await context.rows.state()
    examination = examine(document, strict=job.strict)
    findings = list(examination.findings)
    if examination.schema is None:
        return findings
    try:
        refuse_roles_of_everybody(examination.schema, everyone=job.policy.everyone or asked.kept.get("SCOPE") == "all")
    except ConfigError as error:
        what, _, way_out = str(error).partition(": ")
        findings.append(Finding("error", "the schema", what, way_out))
    columns = await context.target.dictionary()
    return [*findings, *validate(examination.schema, columns, creatable=job.policy.creatable)]


async def import_schema(engine: Engine, document: Any, *, by: str) -> Imported:
    """The next cycle works with it and evaluates everybody again. Raises `Unavailable` where the instance cannot be
    asked for its columns.
    """
    context = engine.context
    findings = await look_at(context, document)
    if any(finding.severity == "error" for finding in findings):
        return Imported(None, findings)
    version = await Schemas(context.store, context.job.id).save(document, by=by, at=context.now())
    return Imported(version, findings)
