"""The company whose days the tests of crashes and interleavings are about, and the world on the eve of each day."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

from provisioning.rules.review import Limits
from tests.company import DOMAIN, Company
from tests.crashing import Mortal, mortal_world

EXHAUSTIVE = os.environ.get("CRASHES") == "all"
"""`make test` tries a part of what can be enumerated, spread evenly; CRASHES=all tries everything."""


def small_company(world: Mortal) -> None:
    """Ten people in scope, a chain and a circle of managers, three groups that overlap, and two accounts and a group
    that ServiceNow holds already.
    """
    company, instance = world.company, world.instance
    kim = instance.insert("sys_user", {"user_name": f"kim@{DOMAIN}", "first_name": "Kim", "title": "Clerk"})
    lou = instance.insert("sys_user", {"user_name": f"lou@{DOMAIN}", "active": "false", "locked_out": "true"})
    sales = instance.insert("sys_user_group", {"name": "Sales"})
    (local,) = instance.find("sys_user", user_name="charlie.whitherspoon")
    instance.insert("sys_user_grmember", {"group": sales["sys_id"], "user": local["sys_id"]})
    company.adopted |= {("sys_user", kim["sys_id"]), ("sys_user", lou["sys_id"]), ("sys_user_group", sales["sys_id"])}
    company.remember_foreign()
    company.hire("zoe", department="Communications")
    company.hire("max", direct=False, manager="zoe", department="Engineering", officeLocation="Berlin")
    company.hire("ada", manager="max", department="Engineering", jobTitle="Analyst", employeeId="1")
    company.hire("cy", department="Design")
    company.hire("dee", manager="cy")
    company.report_to("cy", "dee")
    company.hire("eve", accountEnabled=False)
    company.hire("gus", userPrincipalName="gus_partner.example#EXT#@contoso.example", userType="Guest")
    company.hire("hal", direct=False, manager="ada", city="Athens")
    company.hire("ivy", direct=False, department="Astronomy")  # ServiceNow has no such department
    company.hire("kim", jobTitle="Analyst", manager="eve")
    company.hire("lou")
    company.hire("pat", manager="kim")
    company.hire("joe", direct=False)
    company.found("Engineers", "max", "ada", "hal", "ivy", description="Who build")
    company.found("Support", "hal", "ivy", "cy")
    company.found("Sales", "ivy", "gus", "eve", description="Who sell")
    company.found("Others", "joe", "zoe", assigned=False)


def changes(company: Company) -> None:
    """What happens to a company between two cycles, all at once."""
    company.hire("nia", department="Design")
    company.hire("moe", direct=False)
    company.report_to("nia", "moe")
    company.change("ada", surname="King", userPrincipalName=f"ada.king@{DOMAIN}", mail=f"ada.king@{DOMAIN}")
    company.change("cy", department="Engineering")
    company.unassign("kim")
    company.part("Engineers", "hal")
    company.part("Support", "hal")
    company.delete("lou")
    company.delete("pat")
    company.part("Engineers", "max")
    company.join("Support", "max")
    company.part("Engineers", "ivy")
    company.rename_group("Support", displayName="Help Desk")
    company.unassign("Sales")
    company.found("Research", "moe", "ada", "zoe")
    company.assign("Others")
    company.enable("dee", enabled=False)


def returns(company: Company) -> None:
    """Who left comes back, and who was deleted is gone for good."""
    company.restore("lou")
    company.purge("pat")
    company.assign("Sales")
    company.assign("kim")
    company.join("Engineers", "hal")
    company.enable("dee", enabled=True)
    company.enable("eve", enabled=True)
    company.unassign("Others")
    company.report_to("max", None)
    company.report_to("nia", "zoe")
    company.change("lou", jobTitle="Porter")


def names(company: Company) -> None:
    """Who is renamed leaves a name to others, one after the other and to somebody new."""
    company.change("ada", surname="King", userPrincipalName=f"ada.king@{DOMAIN}", mail=f"ada.king@{DOMAIN}")
    company.hire("ada the second", userPrincipalName=f"ada@{DOMAIN}", mail=f"ada@{DOMAIN}")
    company.change("cy", userPrincipalName=f"cyrus@{DOMAIN}")
    company.change("dee", userPrincipalName=f"cy@{DOMAIN}")
    company.rename_group("Engineers", displayName="Makers")
    company.found("another Engineers", "dee", displayName="Engineers")


def purges(company: Company) -> None:
    """Who is gone for good is deleted in ServiceNow, and leaves a name to somebody new."""
    company.purge("pat")
    company.delete("ada")
    company.purge("ada")
    company.hire("ada the second", userPrincipalName=f"ada@{DOMAIN}", manager="zoe")
    company.join("Support", "ada the second")
    company.delete("kim")


STORIES: dict[str, tuple[Callable[[Company], None], ...]] = {
    "the first load": (),
    "a day of changes": (changes,),
    "a day of returns": (changes, returns),
    "a day of names": (names,),
    "a day of purges": (purges,),
}
SETTINGS = {"a day of purges": {"hard_delete": "delete"}}


@cache
def _kept(story: str, *, everyone: bool) -> tuple[object, Mortal]:
    """The world on the eve of a story's last day; kept open for as long as the tests run."""
    manager = mortal_world(everyone=everyone, **SETTINGS.get(story, {}))
    world = manager.__enter__()
    small_company(world)
    for day in STORIES[story]:
        world.company.expect()
        assert not world.settle(), f"before {story}"
        day(world.company)
    world.company.expect()
    return manager, world


def eve_of(story: str, *, everyone: bool = False) -> Mortal:
    return _kept(story, everyone=everyone)[1]


GUARDED = Limits(absolute=500, share=0.05, floor=2)
LEAVERS = ("zoe", "cy", "gus", "pat", "lou")


@contextmanager
def guarded_world() -> Iterator[Mortal]:
    """On the eve of a day on which more leave than may be removed without a person's word, and others are hired."""
    with mortal_world(limits=GUARDED) as world:
        company = world.company
        small_company(world)
        company.expect()
        assert world.settle() == []
        for name in LEAVERS:
            company.unassign(name)
        company.part("Support", "cy")
        company.part("Sales", "gus")
        company.hire("tia", manager="zoe")
        company.change("ada", jobTitle="Director")
        company.held = set(LEAVERS)
        company.expect()
        yield world
