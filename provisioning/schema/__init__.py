"""Microsoft's synchronizationSchema JSON and what the rules make of it: a `Schema` of typed mappings."""

from provisioning.schema.load import default_schema, load_schema
from provisioning.schema.mappings import (
    ORIGINAL_NAME,
    AttributeMapping,
    AttributeSource,
    ConstantSource,
    ObjectMapping,
    Schema,
)

__all__ = [
    "ORIGINAL_NAME",
    "AttributeMapping",
    "AttributeSource",
    "ConstantSource",
    "ObjectMapping",
    "Schema",
    "default_schema",
    "load_schema",
]
