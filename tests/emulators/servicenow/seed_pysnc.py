"""The records that PySNC's own tests expect of an instance with demo data: some tables of its base system, problems,
administrators, managers of groups, and groups that carry roles with "admin" in their names. It comes on top of the
ordinary seed; well-known ids are ServiceNow's own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tests.emulators.servicenow.seed import ADMIN_ID, ADMIN_ROLE_ID, FINANCE_ID, NATASHA_ID, seed_instance

if TYPE_CHECKING:
    from tests.emulators.servicenow.state import Instance

_New = Callable[..., str]

PROBLEM_ADMIN_ID = "26fbff173b331300ad3cc9bb34efc4bd"
PROBLEMS = 12
LOG_LINES = 650
METADATA = 620
ADMINISTRATORS = 12
_STATES = {"101": "New", "102": "Assess", "103": "Root Cause Analysis", "104": "Fix in Progress", "107": "Closed"}


def _string(name: str, length: int = 40) -> dict[str, Any]:
    return {"name": name, "max_length": length}


def _user(name: str, **properties: Any) -> dict[str, Any]:
    return {"name": name, "type": "reference", "max_length": 32, "reference": "sys_user", **properties}


_TABLES: dict[str, tuple[str, str, list[dict[str, Any]]]] = {
    "problem": (
        "Problem",
        "number",
        [
            {**_string("number"), "default": "javascript:getNextObjNumberPadded();"},
            _string("short_description", 160),
            _string("description", 4000),
            {"name": "state", "type": "integer", "default": "101", "choices": _STATES},
            {"name": "active", "type": "boolean", "default": "true"},
            _user("opened_by", default="javascript:gs.getUserID()"),
            _user("assigned_to"),
        ],
    ),
    "syslog": ("Log", "message", [_string("message", 4000), _string("source", 100), _string("level")]),
    "sys_metadata": ("Application File", "sys_name", [_string("sys_name", 255), _string("sys_class_name", 80)]),
    "alm_asset": ("Asset", "display_name", [_string("display_name", 255)]),
    "bsm_chart": ("Dependency Views chart", "name", [_string("name", 100)]),
}


def seed_pysnc(instance: Instance, **seeded: Any) -> None:
    """Fills an empty instance as `seed_instance` does, with what PySNC wants beside it."""
    seed_instance(instance, **seeded)
    # Displayed date-times differ from stored ones on a developer instance, which is in California.
    instance.set_property("glide.sys.default.tz", "America/Los_Angeles")
    for name, (label, display, columns) in _TABLES.items():
        instance.add_table(name, label=label, display=display, columns=columns)

    def new(table: str, key: str, **fields: Any) -> str:
        sys_id = hashlib.md5(f"pysnc:{table}:{key}".encode(), usedforsecurity=False).hexdigest()
        return instance.insert(table, {"sys_id": sys_id, **fields}, by="admin")["sys_id"]

    instance.update("sys_user", ADMIN_ID, {"department": FINANCE_ID, "user_password": "admin"})
    _people(new)
    _groups(instance, new)
    for number in range(PROBLEMS):
        state = ("101", "102", "103", "104")[number % 4]
        new("problem", str(number), short_description=f"Printer {number} does not print", state=state)
    for number in range(LOG_LINES):
        new("syslog", str(number), message=f"Line {number}", level="0")
    for number in range(METADATA):
        new("sys_metadata", str(number), sys_name=f"File {number}")


def _people(new: _New) -> None:
    new(
        "sys_user",
        "problem.admin",
        sys_id=PROBLEM_ADMIN_ID,
        user_name="problem.admin",
        first_name="Problem",
        last_name="Administrator",
        mobile_phone="+1 555 0100",
    )
    for number in range(ADMINISTRATORS):
        name = f"administrator{number}"
        person = new("sys_user", name, user_name=name, first_name="Administrator", last_name=str(number))
        new("sys_user_has_role", name, user=person, role=ADMIN_ROLE_ID, state="active")


def _groups(instance: Instance, new: _New) -> None:
    new("sys_user_group", "Finance", name="Finance Managers", manager=NATASHA_ID)
    new("sys_user_group", "Problems", name="Problem Managers", manager=PROBLEM_ADMIN_ID)
    for name in ("catalog_admin", "user_admin", "security_admin", "admin"):
        (role,) = instance.find("sys_user_role", name=name)
        group = new("sys_user_group", f"holders of {name}", name=f"Holders of {name}")
        new("sys_group_has_role", name, group=group, role=role["sys_id"])
