"""A tenant in which everybody is alike, for measuring: each is a member of one group, in turn, and all groups are
assigned; without groups each is assigned directly.
"""

from __future__ import annotations

from tests.emulators.graph import Tenant

DOMAIN = "contoso.example"


def seed_plainly(tenant: Tenant, *, users: int, groups: int) -> None:
    teams = [tenant.add_group(displayName=f"Team {number}", securityEnabled=True) for number in range(groups)]
    for number in range(users):
        name = f"user{number}@{DOMAIN}"
        user = tenant.add_user(
            userPrincipalName=name,
            mail=name,
            displayName=f"User {number}",
            givenName="User",
            surname=f"Number {number}",
            jobTitle="Clerk",
            accountEnabled=True,
        )
        if teams:
            tenant.add_member(teams[number % groups], user)
        else:
            tenant.assign(user)
    for team in teams:
        tenant.assign(team)
