"""The columns of ServiceNow's users and groups that the default mappings write, as tests of pure rules need them."""

from __future__ import annotations

from provisioning.model import Column

LENGTHS = {"user_name": 40, "title": 60, "first_name": 50, "last_name": 50, "name": 80, "country": 3}
BOOLEANS = ("active", "locked_out")
REFERENCES = {
    "department": "cmn_department",
    "location": "cmn_location",
    "company": "core_company",
    "cost_center": "cmn_cost_center",
    "manager": "sys_user",
}


def columns_of(*names: str) -> dict[str, Column]:
    return {
        name: Column(name, "reference", 32, REFERENCES[name])
        if name in REFERENCES
        else Column(name, "boolean" if name in BOOLEANS else "string", LENGTHS.get(name, 100))
        for name in names
    }
