"""A small believable instance before any provisioning: the administrator, an integration user with its OAuth client,
local accounts nobody manages, a few groups and roles, and the reference records that users point at. Deterministic
by its seed; ids of the well-known records are ServiceNow's own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.emulators.servicenow.state import Instance

_New = "Callable[..., str]"

ADMIN_ID = "6816f79cc0a8016401c5a33be04be441"
ADMIN_ROLE_ID = "2831a114c611228501d4ea6c309d626d"
FINANCE_ID = "a581ab703710200044e0bfc8bcbe5de8"
NATASHA_ID = "46c5bf6ca9fe1981010713e3ac7d3384"
INTEGRATION_USER = "svc.provisioning"
CLIENT_ID, CLIENT_SECRET = "provisioning-client", "provisioning-secret"

DEPARTMENTS = ("Finance", "IT", "Sales", "Human Resources", "Development", "Customer Support")
LOCATIONS = ("3 Whitehall Court, London", "Amsterdam", "Berlin", "New York", "Singapore")
COMPANIES = ("Contoso", "Contoso Netherlands", "Fabrikam")
COST_CENTERS = ("Engineering", "Sales", "Administration")
BUILDINGS = ("Headquarters", "Annex")
_LOCAL = (
    ("abel.tuter", "Abel", "Tuter", "true"),
    ("beth.anglin", "Beth", "Anglin", "true"),
    ("charlie.whitherspoon", "Charlie", "Whitherspoon", "true"),
    ("david.loo", "David", "Loo", "false"),
)
_GROUPS = ("Service Desk", "Network", "Hardware", "CAB Approval")
_ROLES = ("itil", "user_admin", "personalize_dictionary", "security_admin", "catalog_admin")


def seed_instance(
    instance: Instance,
    *,
    departments: Sequence[str] = DEPARTMENTS,
    locations: Sequence[str] = LOCATIONS,
    companies: Sequence[str] = COMPANIES,
    cost_centers: Sequence[str] = COST_CENTERS,
    buildings: Sequence[str] = BUILDINGS,
    seed: int = 1,
) -> None:
    """Fills an empty instance. Repeating it on a seeded one breaks a unique key, as it would in ServiceNow."""

    def new(table: str, key: str, **fields: str) -> str:
        sys_id = hashlib.md5(f"{seed}:{table}:{key}".encode(), usedforsecurity=False).hexdigest()
        return instance.insert(table, {"sys_id": sys_id, **fields}, by="system")["sys_id"]

    number = hashlib.md5(f"{seed}:instance".encode(), usedforsecurity=False).hexdigest()
    new("sys_properties", "instance_id", name="instance_id", value=number)
    new("sys_properties", "instance_name", name="instance_name", value="emulator")
    _accounts(instance, new)
    for name in departments:
        if name == "Finance":
            new("cmn_department", name, name=name, sys_id=FINANCE_ID, dept_head=NATASHA_ID)
        else:
            new("cmn_department", name, name=name)
    places = [new("cmn_location", name, name=name) for name in locations]
    for name in companies:
        new("core_company", name, name=name)
    for number, name in enumerate(cost_centers, 1):
        new("cmn_cost_center", name, name=name, code=f"CC{number:03}")
    for name in buildings:
        new("cmn_building", name, name=name, location=places[0] if places else "")
    _groups(instance, new)


def _accounts(instance: Instance, new: _New) -> None:
    new(
        "sys_user",
        "admin",
        sys_id=ADMIN_ID,
        user_name="admin",
        first_name="System",
        last_name="Administrator",
        email="admin@example.com",
    )
    new(
        "sys_user",
        "natasha",
        sys_id=NATASHA_ID,
        user_name="natasha.ingram",
        first_name="Natasha",
        last_name="Ingram",
        email="natasha.ingram@example.com",
        department=FINANCE_ID,
    )
    new(
        "sys_user",
        INTEGRATION_USER,
        user_name=INTEGRATION_USER,
        first_name="Provisioning",
        last_name="Integration",
        web_service_access_only="true",
        internal_integration_user="true",
    )
    instance.accounts.passwords[INTEGRATION_USER] = CLIENT_SECRET
    instance.accounts.add_client(CLIENT_ID, CLIENT_SECRET, user=INTEGRATION_USER)
    for user_name, first, last, active in _LOCAL:
        new(
            "sys_user",
            user_name,
            user_name=user_name,
            first_name=first,
            last_name=last,
            email=f"{user_name}@example.com",
            active=active,
            locked_out="false" if active == "true" else "true",
        )


def _groups(instance: Instance, new: _New) -> None:
    new("sys_user_role", "admin", sys_id=ADMIN_ROLE_ID, name="admin", elevated_privilege="false")
    roles = {name: new("sys_user_role", name, name=name) for name in _ROLES}
    new("sys_user_has_role", "admin", user=ADMIN_ID, role=ADMIN_ROLE_ID, state="active")
    (integration,) = instance.find("sys_user", user_name=INTEGRATION_USER)
    for name in ("user_admin", "itil", "personalize_dictionary"):
        new("sys_user_has_role", f"svc {name}", user=integration["sys_id"], role=roles[name], state="active")
    groups = [new("sys_user_group", name, name=name, description=f"{name} (local)") for name in _GROUPS]
    new("sys_group_has_role", "service desk", group=groups[0], role=roles["itil"])
    for user in instance.rows("sys_user", "user_nameINabel.tuter,beth.anglin"):
        new("sys_user_grmember", user["user_name"], user=user["sys_id"], group=groups[0])
