"""Microsoft's synchronizationSchema: which source attribute goes to which column, and who is in scope."""

from __future__ import annotations

from provisioning.schema.changes import changed_parts
from provisioning.schema.discover import discover
from provisioning.schema.findings import Finding, Severity
from provisioning.schema.load import Examination, default_schema, dump, examine, load_schema
from provisioning.schema.mappings import AttributeMapping, Clause, FilterGroup, ObjectMapping, Schema, ScopeFilter
from provisioning.schema.scope import read_clause
from provisioning.schema.validate import validate

__all__ = [
    "AttributeMapping",
    "Clause",
    "Examination",
    "FilterGroup",
    "Finding",
    "ObjectMapping",
    "Schema",
    "ScopeFilter",
    "Severity",
    "changed_parts",
    "default_schema",
    "discover",
    "dump",
    "examine",
    "load_schema",
    "read_clause",
    "validate",
]
