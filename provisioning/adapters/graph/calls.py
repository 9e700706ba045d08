"""What is read from Graph, in words for a person, each with the application permission that opens it. Together they are
the rights that the application needs; Directory.Read.All opens all of them.
"""

from __future__ import annotations

from collections.abc import Mapping

from provisioning.adapters.graph.answers import Call
from provisioning.model import ObjectType

USERS = Call("users", "User.Read.All")
GROUPS = Call("groups", "GroupMember.Read.All")
CHANGES: Mapping[ObjectType, Call] = {
    "user": Call("changes of users", "User.Read.All"),
    "group": Call("changes of groups", "GroupMember.Read.All"),
}
MEMBERS = Call("members of groups", "GroupMember.Read.All")
APPLICATION = Call("the enterprise application", "Application.Read.All")
ASSIGNMENTS = Call("assignments to the enterprise application", "Application.Read.All")
ORGANIZATION = Call("the organization", "User.Read.All")
GRANTS = Call("app role assignments of users and groups", "Directory.Read.All")
DELETED: Mapping[ObjectType, Call] = {
    "user": Call("deleted users", "User.Read.All"),
    "group": Call("deleted groups", "Group.Read.All"),
}
