"""How the configuration changes between two runs: a mapping, a filter, what becomes of those who leave."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import rule

from provisioning.rules.departures import Departures
from tests.mappings import clause
from tests.simulation.scene import Scene
from tests.test_scope_stories import change_users, mapped_to, with_user_filter


class Configuration(Scene):
    @rule(out=st.sampled_from(((), ("DE",), ("GB",))))
    def edit_filter(self, out: tuple[str, ...]) -> None:
        self.ledger.excluded = set(out)
        with_user_filter(self.world, *([[clause("usageLocation", "NOT EQUALS", *out)]] if out else []))

    @rule(source=st.sampled_from(("jobTitle", "givenName", "city")))
    def edit_mapping(self, source: str) -> None:
        """The title is another attribute's from now on."""
        self.ledger.sources["title"] = source
        change_users(self.world, attributes=mapped_to(self.world.schema.user, "title", source).attributes)

    @rule(
        skips=st.booleans(),
        deletes=st.booleans(),
        removes_memberships=st.booleans(),
    )
    def edit_departures(self, *, skips: bool, deletes: bool, removes_memberships: bool) -> None:
        """`skips` is SkipOutOfScopeDeletions: who only lost the access stays as they are."""
        way = "leave" if skips else "disable"
        memberships = "remove" if removes_memberships else "keep"
        self.world.departures = Departures(unassigned=way, filtered=way, memberships=memberships)
        self.world.hard_delete = self.company.hard_delete = "delete" if deletes else "disable"
        self.ledger.skips = skips
        if self.ledger.keeps_memberships == removes_memberships:
            self.ledger.keeps_memberships = not removes_memberships
            self.ledger.kept_some = True
        self.world.restart()
