"""Delta query of users and groups: first rounds that walk the tenant, later rounds that walk the change
log, pages of both, and the ways a token dies. A page costs what it shows. It knows the calls'
options but not routes, permissions or throttling.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

from . import filters, shapes, tokens
from .behaviour import Duplicate, EmptyPage, ExpireDelta, ExpirePage, Late, Replay, UnknownRemoved
from .log import Event
from .messages import Call, GraphError, bad_request

if TYPE_CHECKING:
    from .log import ChangeLog, LogEntry
    from .records import DirectoryObject
    from .state import Tenant

Kind = Literal["user", "group"]
_REBORN = frozenset({Event.CREATED, Event.RESTORED})
_RELATIONS = {"user": frozenset({"manager"}), "group": frozenset({"members"})}


@dataclass(frozen=True, slots=True)
class Round:
    """Where a client stands; this is what a token says."""

    kind: Kind
    generation: str
    issued: float
    select: tuple[str, ...] | None = None
    ids: tuple[str, ...] | None = None
    first: bool = True
    since: int = 0
    """The sequence number at which this round began."""
    position: int = 0
    member_position: int = 0
    """First rounds of groups: the last member shown of the group after `position`."""
    previous: int = 0
    """Where the round before began, for replays."""
    replaying: bool = False

    @property
    def with_relation(self) -> bool:
        """members@delta comes unasked, manager@delta only when selected."""
        if self.select is None:
            return self.kind == "group"
        return not _RELATIONS[self.kind].isdisjoint(self.select)

    def names(self) -> tuple[str, ...]:
        chosen = self.select if self.select is not None else shapes.DEFAULT[self.kind]
        return tuple(name for name in chosen if name not in _RELATIONS[self.kind])

    def tracks(self, entry: LogEntry) -> bool:
        if self.ids is not None and entry.id not in self.ids:
            return False
        if entry.event in {Event.MANAGER, Event.MEMBER}:
            return self.with_relation
        if entry.event is Event.UPDATED and self.select is not None:
            return not entry.names.isdisjoint(self.select)
        return True


@dataclass(frozen=True, slots=True)
class Page:
    items: list[dict[str, Any]]
    rest: Round
    done: bool


def answer(tenant: Tenant, call: Call, kind: Kind, request_kind: str) -> dict[str, Any]:
    faults = tenant.behaviour.faults
    current = _round(tenant, call, kind, request_kind)
    context = f"{call.base}/$metadata#{kind}s" + (f"({','.join(current.select)})" if current.select else "")
    body: dict[str, Any] = {"@odata.context": context}
    if call.query.get("$deltatoken", "").lower() == "latest":
        current = replace(current, first=False, position=current.since)
        page = Page([], current, done=True)
    elif faults.take(EmptyPage, request_kind):
        page = Page([], current, done=False)
    elif not current.first and faults.take(Late, request_kind):
        page = Page([], current, done=True)
    elif current.first:
        page = _first_users(tenant, current) if kind == "user" else _first_groups(tenant, current)
    else:
        page = _changes(tenant, current, minimal="return=minimal" in call.headers.get("prefer", "").replace(" ", ""))
    items = page.items
    if duplicate := faults.take(Duplicate, request_kind):
        items = items + items[: duplicate.count]
    if unknown := faults.take(UnknownRemoved, request_kind):
        items = [*items, *(_removed(tenant.new_id(), "deleted") for _ in range(unknown.count))]
    rest = replace(page.rest, issued=tenant.clock())
    if page.done:
        # A first round reports again what changed while it was walked: replays are Graph's right.
        start = current.since if current.first else page.rest.position
        rest = replace(
            rest,
            first=False,
            since=start,
            position=start,
            member_position=0,
            previous=0 if current.first else current.since,
            replaying=False,
        )
        body["@odata.deltaLink"] = call.link(deltatoken=tokens.seal(asdict(rest)))
    else:
        body["@odata.nextLink"] = call.link(skiptoken=tokens.seal(asdict(rest)))
    body["value"] = items
    return body


def _round(tenant: Tenant, call: Call, kind: Kind, request_kind: str) -> Round:
    """What the client asks for: the next page, the round after a deltaLink, or a new round."""
    for option in ("$expand", "$orderby", "$search", "$skip", "$count"):
        if option in call.query:
            raise bad_request(f"The query option '{option}' is not supported for delta query.")
    select = tuple(name.strip() for name in call.query.get("$select", "").split(",") if name.strip()) or None
    if select is not None:
        shapes.check_select(select, kind, also=_RELATIONS[kind])
    if call.query.get("$skiptoken"):
        if select is not None:
            raise bad_request("The query options '$select' and '$skiptoken' cannot be combined.")
        return _next_page(tenant, call, kind, request_kind)
    if call.query.get("$deltatoken", "latest").lower() not in {"latest", ""}:
        stored = _later_round(tenant, call, kind, request_kind)
        return stored if select is None else replace(stored, select=select)
    return Round(
        kind=kind,
        generation=tenant.generation,
        issued=tenant.clock(),
        select=select,
        ids=filters.delta_ids(call.query["$filter"]) if "$filter" in call.query else None,
        since=tenant.sequence,
    )


def _next_page(tenant: Tenant, call: Call, kind: Kind, request_kind: str) -> Round:
    if tenant.behaviour.faults.take(ExpirePage, request_kind):
        raise expired_page_token()
    stored = _unseal(tenant, call.query["$skiptoken"], kind)
    if tenant.clock() - stored.issued > tenant.behaviour.page_token_lifetime:
        raise expired_page_token()
    return stored


def _later_round(tenant: Tenant, call: Call, kind: Kind, request_kind: str) -> Round:
    if expired := tenant.behaviour.faults.take(ExpireDelta, request_kind):
        raise _expired(call, expired.shape)
    stored = _unseal(tenant, call.query["$deltatoken"], kind)
    if tenant.clock() - stored.issued > tenant.behaviour.delta_token_lifetime:
        raise _expired(call, "too-old")
    if tenant.behaviour.faults.take(Replay, request_kind):
        return replace(stored, position=stored.previous, replaying=True)
    return stored


def _unseal(tenant: Tenant, text: str, kind: Kind) -> Round:
    content = tokens.unseal(text)
    if content is None or content.get("kind") != kind:
        raise bad_request("Badly formed token.")
    content.pop("nonce")
    for name in ("select", "ids"):
        content[name] = tuple(content[name]) if content[name] is not None else None
    stored = Round(**content)
    if stored.generation != tenant.generation:
        raise sync_state_not_found()
    return stored


def expired_page_token() -> GraphError:
    return GraphError(
        400,
        "Directory_ExpiredPageToken",
        "The specified page token value has expired and can no longer be included in your request.",
    )


def sync_state_not_found() -> GraphError:
    return GraphError(
        400,
        "syncStateNotFound",
        "The sync state generation is not found. The delta token is expired and data must be synchronized again.",
    )


def _expired(call: Call, shape: str) -> GraphError:
    """The three shapes: two documented, and the third what /users/delta really answers."""
    if shape == "gone":
        return GraphError(
            410,
            "resyncRequired",
            "Resync required. Replace any local items with the server's version.",
            Location=call.link(deltatoken=""),
        )
    if shape == "sync-state-not-found":
        return sync_state_not_found()
    return GraphError(400, "Request_UnsupportedQuery", "DeltaLink older than 30 days is not supported.")


# First rounds


def _first_users(tenant: Tenant, current: Round) -> Page:
    if current.ids is not None:
        chosen = [user for user in map(tenant.user, current.ids) if user is not None]
        return Page([_first_user(tenant, current, user) for user in chosen], current, done=True)
    size = tenant.behaviour.delta_page_size
    found = list(islice(tenant.users.after(current.position), size + 1))
    items = [_first_user(tenant, current, tenant.objects[user_id]) for _, user_id in found[:size]]
    if len(found) <= size:
        return Page(items, current, done=True)
    return Page(items, replace(current, position=found[size - 1][0]), done=False)


def _first_user(tenant: Tenant, current: Round, user: DirectoryObject) -> dict[str, Any]:
    item = _state(user, current.names())
    if current.with_relation and user.manager is not None and _named_at_first(tenant, user.manager):
        item["manager@delta"] = [_reference(tenant, user.manager)]
    return item


def _first_groups(tenant: Tenant, current: Round) -> Page:
    """One big group fills whole pages: it is repeated with the next slice of its members."""
    items: list[dict[str, Any]] = []
    room = tenant.behaviour.members_per_delta_page
    position, member_position = current.position, current.member_position
    for number, group_id in tenant.groups.after(position):
        if current.ids is not None and group_id not in current.ids:
            continue
        if len(items) == tenant.behaviour.delta_page_size or room == 0:
            return Page(items, replace(current, position=position, member_position=0), done=False)
        group = tenant.objects[group_id]
        item = _state(group, current.names())
        items.append(item)
        if current.with_relation:
            start = member_position if number == current.position + 1 else 0
            wanted = ((n, key) for n, key in group.members.after(start) if _named_at_first(tenant, key))
            found = list(islice(wanted, room + 1))
            shown = found[:room]
            if shown:
                item["members@delta"] = [_reference(tenant, member) for _, member in shown]
            if len(found) > room:
                at = replace(current, position=number - 1, member_position=shown[-1][0])
                return Page(items, at, done=False)
            room -= len(shown)
        position = number
    return Page(items, current, done=True)


def _named_at_first(tenant: Tenant, object_id: str) -> bool:
    return tenant.behaviour.soft_deleted_in_first_round or tenant.live(object_id) is not None


# Later rounds


def _changes(tenant: Tenant, current: Round, *, minimal: bool) -> Page:
    """Walk the log. An object is shown at its newest change, a membership at its own newest change."""
    log = tenant.user_log if current.kind == "user" else tenant.group_log
    items: dict[str, dict[str, Any]] = {}
    members = 0
    position = current.position
    for entry in log.after(current.position):
        if len(items) >= tenant.behaviour.delta_page_size or members >= tenant.behaviour.members_per_delta_page:
            return Page(list(items.values()), replace(current, position=position), done=False)
        position = entry.number
        if not current.tracks(entry):
            continue
        if entry.event is Event.MEMBER:
            members += _show_member(tenant, current, entry, items, minimal=minimal)
        elif not any(current.tracks(later) for later in log.of(entry.id, entry.number)):
            shown = items.pop(entry.id, {})
            items[entry.id] = _changed(tenant, current, log, entry.id, minimal=minimal)
            if "members@delta" in shown and "@removed" not in items[entry.id]:
                items[entry.id]["members@delta"] = shown["members@delta"]
    return Page(list(items.values()), replace(current, position=tenant.sequence), done=True)


def _show_member(
    tenant: Tenant, current: Round, entry: LogEntry, items: dict[str, dict[str, Any]], *, minimal: bool
) -> int:
    """Add the membership to its group's item, unless a newer entry tells more; how many were added."""
    group = tenant.live(entry.id)
    if group is None or entry.other is None or tenant.membership_number(entry.id, entry.other) != entry.number:
        return 0
    if entry.id not in items:
        items[entry.id] = _changed(tenant, current, tenant.group_log, entry.id, minimal=minimal)
    reference = _reference(tenant, entry.other)
    if entry.other not in group.members:
        reference["@removed"] = {"reason": "deleted"}
    items[entry.id].setdefault("members@delta", []).append(reference)
    return 1


def _changed(tenant: Tenant, current: Round, log: ChangeLog, object_id: str, *, minimal: bool) -> dict[str, Any]:
    if object_id in tenant.purged:
        return _removed(object_id, "deleted")
    found = tenant.objects[object_id]
    if found.deleted_at is not None:
        return _removed(object_id, "changed")
    history = log.of(object_id, current.previous if current.replaying else current.since)
    reborn = any(entry.event in _REBORN for entry in history)
    names = current.names()
    if minimal and not reborn:
        touched = frozenset().union(*(entry.names for entry in history))
        names = tuple(name for name in names if name in touched or _moves_with(found, name, touched))
    item = _state(found, names)
    if current.kind == "user" and current.with_relation:
        moves = [entry for entry in history if entry.event is Event.MANAGER]
        # What the client had is told by the first move that it has not seen.
        unseen = [entry for entry in moves if entry.number > current.since] or moves
        before = unseen[0].other if unseen else None
        if before is None and moves and found.manager is None:
            before = moves[-1].other  # an earlier page of this round may have told of that one
        if (moves or reborn) and (references := _manager_change(tenant, found, before)):
            item["manager@delta"] = references
    return item


def _manager_change(tenant: Tenant, user: DirectoryObject, before: str | None) -> list[dict[str, Any]]:
    """Up to two entries, in no promised order: the one who went, the one who came."""
    references = []
    if before is not None and before != user.manager:
        references.append(_reference(tenant, before) | {"@removed": {"reason": "deleted"}})
    if user.manager is not None:
        references.append(_reference(tenant, user.manager))
    return references[::-1] if user.id[-1] in "02468ace" else references


def _moves_with(item: DirectoryObject, name: str, touched: frozenset[str]) -> bool:
    """A change to one directory extension property returns all of the same data type."""
    if not shapes.is_extension(name):
        return False
    kinds = {type(item.attributes.get(other)) for other in touched if shapes.is_extension(other)}
    return type(item.attributes.get(name)) in kinds


# Items


def _state(item: DirectoryObject, names: tuple[str, ...]) -> dict[str, Any]:
    """What was never set is absent; what was cleared is null."""
    shown = {"id": item.id}
    for name in names:
        if name in item.attributes:
            shown[name] = item.attributes[name] if item.attributes[name] is None else shapes.value_of(item, name)
    return shown


def _reference(tenant: Tenant, object_id: str) -> dict[str, Any]:
    found = tenant.objects.get(object_id)
    kind = found.type if found is not None else tenant.purged[object_id]
    return {"@odata.type": f"#microsoft.graph.{kind}", "id": object_id}


def _removed(object_id: str, reason: str) -> dict[str, Any]:
    return {"id": object_id, "@removed": {"reason": reason}}
