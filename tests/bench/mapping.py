"""How much it costs to take one user through the default mapping, measured against `json.loads` of that user's Graph
JSON in the same run.
"""

from __future__ import annotations

import json
import timeit
from datetime import UTC, datetime

from provisioning.model import SourceObject
from provisioning.rules.attributes import Facts
from provisioning.rules.mapping import Mapper
from provisioning.schema import default_schema
from tests.columns import columns_of
from tests.emulators.graph import Tenant
from tests.emulators.tenant import seed

ROUNDS, REPEATS = 2_000, 9


def ratio() -> float:
    """The fastest of several repeats of both, so that what else the machine does counts least."""
    mapping = default_schema().user
    text = json.dumps(_user(mapping.source_properties), ensure_ascii=False)
    mapper = Mapper(mapping, columns_of(*mapping.columns))
    now = datetime(2026, 1, 1, tzinfo=UTC)
    attributes = json.loads(text)

    def mapped() -> None:
        mapper.evaluate(Facts(SourceObject("user", attributes["id"], attributes)), now)

    mapped()
    loading = min(timeit.repeat(lambda: json.loads(text), number=ROUNDS, repeat=REPEATS))
    mapping_time = min(timeit.repeat(mapped, number=ROUNDS, repeat=REPEATS))
    return mapping_time / loading


def _user(properties: tuple[str, ...]) -> dict:
    """A user with every mapped property, as Graph answers `$select` with them."""
    tenant = Tenant(seed=1)
    seed(tenant, users=200, groups=2, seed=1)
    users = [tenant.objects[key].attributes for key in tenant.users]
    fullest = max(users, key=lambda each: sum(1 for name in properties if each.get(name)))
    names = [name for name in ("id", "accountEnabled", "displayName", *properties) if name != "manager"]
    found = {name: fullest.get(name) for name in names}
    return {**found, "id": "0" * 36, "manager": {"id": "1" * 36}}
