"""One user or group: in scope or why not, which record it has, each value on both sides, its memberships, what was done
to it, and what provisioning it now would do. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from provisioning.dashboard.views.logs import EntryView, LogLine, entry_view, line_of
from provisioning.dashboard.views.mappings import source_words
from provisioning.dashboard.views.people import ADDRESS, note_of, state_of
from provisioning.dashboard.views.wording import Badge, Tone, counted, moment, sentence_case
from provisioning.engine.linking import SYS_ID
from provisioning.engine.looking import MEMBERSHIPS, Now, Remembered, other_end
from provisioning.model import Create, Decision, Disable, Link, ObjectType, Remove, Skip, Update
from provisioning.rules.comparison import loose
from provisioning.rules.decide import Seen
from provisioning.rules.redaction import REDACTED
from provisioning.rules.scope import in_scope, reasons
from provisioning.schema import AttributeMapping, ObjectMapping
from provisioning.schema.names import OBJECT_FILTER

CHECKS = {
    "IsActive": "Active",
    "Assigned": "Assigned to the application",
    "IsEffectivelyEntitledForProvisioning": "Has a role that entitles",
    "IsInProvisioningScopeDisplayName": "Passes the scoping filters",
}
WOULD = {Create: "create", Update: "update", Disable: "disable", Remove: "delete"}
FOUND = {
    "link": "The record that is linked to it",
    "intent": "A record that an interrupted run had begun to write",
    "attribute": "{count} found by {value}",
    "none": "No record of ServiceNow has {value}",
}


@dataclass(frozen=True, slots=True)
class Facts:
    """`now` is None where a side could not be asked, and `failure` why."""

    at: float
    instance: str
    remembered: Remembered
    mapping: ObjectMapping
    now: Now | None
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    name: str
    state: Badge
    text: str


@dataclass(frozen=True, slots=True)
class Value:
    """One mapped column: what it is made of, and what stands on each side."""

    column: str
    made_of: str
    entra: str
    servicenow: str
    state: Badge


@dataclass(frozen=True, slots=True)
class Membership:
    name: str
    address: str
    state: Badge


@dataclass(frozen=True, slots=True)
class PersonView:
    id: str
    kind: str
    name: str
    tone: Tone
    sentence: str
    details: tuple[str, ...]
    failure: str
    checks: tuple[Check, ...]
    match: tuple[tuple[str, str], ...]
    record: str
    values: tuple[Value, ...]
    unmapped: str
    memberships: tuple[Membership, ...]
    more_memberships: str
    entry: EntryView | None
    history: tuple[LogLine, ...]
    facts: tuple[tuple[str, str], ...]


def person_view(facts: Facts) -> PersonView:
    link, now = facts.remembered.link, facts.now
    entry = entry_view(now.answer.entries[0], {}, facts.at) if now is not None and now.answer.entries else None
    decision = now.decision if now is not None else None
    tone, sentence = _sentence(facts)
    record = decision.match.sys_ids[0] if decision and decision.match and decision.match.sys_ids else link.record or ""
    values = tuple(_values(now, facts)) if now is not None else ()
    return PersonView(
        id=link.id,
        kind=link.type,
        name=_name(facts),
        tone=tone,
        sentence=sentence,
        details=tuple(_details(facts)),
        failure=sentence_case(facts.failure),
        checks=tuple(_checks(decision)) if decision is not None else (),
        match=tuple(_match(decision)) if decision is not None else (),
        record=f"https://{facts.instance}/{facts.mapping.table}.do?sys_id={record}" if record else "",
        values=values,
        unmapped="" if values else "The mappings are not evaluated for who is out of scope and has no record.",
        memberships=tuple(_memberships(facts.remembered)),
        more_memberships=f"The first {MEMBERSHIPS:,}; there are more." if facts.remembered.more else "",
        entry=entry,
        history=tuple(line_of(each, {}, facts.at) for each in facts.remembered.history),
        facts=tuple(_facts(link, facts.at)),
    )


def _name(facts: Facts) -> str:
    link = facts.remembered.link
    live = facts.now.answer.name if facts.now is not None else ""
    return live or facts.remembered.key or link.id


def _sentence(facts: Facts) -> tuple[Tone, str]:
    """How it stands, and what provisioning it now would do."""
    name, link = _name(facts), facts.remembered.link
    if facts.now is None:
        badge = state_of(link)
        return badge.tone, f"{name}: {badge.text.lower()}, as far as the job remembers."
    decision, entry = facts.now.decision, facts.now.answer.entries
    status = entry[0]["provisioningStatusInfo"]["status"] if entry else ""
    if status == "failure":
        return "bad", f"{name} cannot be provisioned."
    if (would := WOULD.get(type(decision.action))) is not None:
        held = ", and the guard against accidental removal would hold that" if facts.now.answer.held else ""
        return "info", f"Provisioning {name} now would {would} the record{held}."
    if not in_scope(decision.scope):
        return "quiet", f"{name} is not in scope."
    if isinstance(decision.action, Skip) and decision.action.reason != "RedundantExport":
        return "warn", f"{name} is left as it is."
    return "good", f"{name} is provisioned, and both sides agree."


def _details(facts: Facts) -> Iterator[str]:
    if facts.now is None:
        return
    decision = facts.now.decision
    entries = facts.now.answer.entries
    error = entries[0]["provisioningStatusInfo"]["errorInformation"] if entries else None
    if error is not None and error["errorCategory"] != "success":
        yield sentence_case(f"{error['reason']} ({error['errorCode']})")
        if error["recommendedAction"]:
            yield sentence_case(error["recommendedAction"])
        return
    if not in_scope(decision.scope):
        yield sentence_case(f"Why: {reasons(decision.scope)}")
    elif isinstance(decision.action, Skip) and decision.action.reason != "RedundantExport":
        yield sentence_case(decision.action.description)


def _checks(decision: Decision) -> Iterator[Check]:
    for each in decision.scope:
        state = Badge("Yes", "good") if each.passed else Badge("No", "warn")
        yield Check(CHECKS.get(each.name, each.name), state, sentence_case(each.detail))


def _match(decision: Decision) -> Iterator[tuple[str, str]]:
    match = decision.match
    if match is None:
        yield "Record", "Nothing was searched for"
        return
    secret = any(match.value == value for value in decision.secrets.values())
    value = REDACTED if secret else match.value or "any of its keys"
    count = counted(len(match.sys_ids), "record")
    yield "How", FOUND[match.how].format(count=count, value=value)
    if match.value:
        yield "Key", value
    for sys_id in match.sys_ids[:5]:
        yield "Record", sys_id
    if decision.lost:
        yield "Lost", f"The record {decision.lost} that was linked is gone; it is matched again"
    if decision.neighbour is not None:
        yield "Another job", f"{decision.neighbour.job} manages the record"


def _values(now: Now, facts: Facts) -> Iterator[Value]:
    seen, decision = now.seen, now.decision
    record = _record(seen, decision)
    desired = seen.assessment.desired
    if desired is None and record is None:
        return
    wanted = _wanted(seen, facts.remembered.names)
    for each in facts.mapping.attributes:
        if each.target == OBJECT_FILTER:
            continue
        yield _value(each, wanted, record, facts.remembered.link, decision)


def _record(seen: Seen, decision: Decision) -> Mapping[str, str] | None:
    found = decision.match.sys_ids[:1] if decision.match is not None else ()
    records = (seen.own, *seen.hits) if seen.own is not None else seen.hits
    return next((each for each in records if each["sys_id"] in found), seen.own)


def _wanted(seen: Seen, names: Mapping[tuple[ObjectType, str], str]) -> Mapping[str, str]:
    """What the mappings make of the source, in words: references by what they are looked up by."""
    desired = seen.assessment.desired
    if desired is None:
        return seen.assessment.leaving.values
    people = {
        column: names.get(("user", source_id), "") or f"user {source_id}"
        for column, source_id in desired.people.items()
    }
    references = {column: ", ".join(each.value for each in found) for column, found in desired.references.items()}
    unique = {column: candidates[0] for column, candidates in desired.unique.items() if candidates}
    return {**unique, **desired.values, **references, **people}


def _value(
    each: AttributeMapping,
    wanted: Mapping[str, str],
    record: Mapping[str, str] | None,
    link: Link,
    decision: Decision,
) -> Value:
    column = each.target
    entra, servicenow = wanted.get(column, ""), (record or {}).get(column, "")
    state = _told(column, decision)
    if state is None and record is None:
        state = Badge("No record", "quiet")
    elif state is None:
        state = _compared(entra, (record or {}).get(column), altered=column in link.altered)
    if column in decision.redacted:
        entra, servicenow = REDACTED if entra else "", REDACTED if servicenow else ""
    return Value(column, source_words(each), entra, servicenow, state)


def _told(column: str, decision: Decision) -> Badge | None:
    """What the decision says of a column."""
    action = decision.action
    if isinstance(action, Create | Update | Disable) and column in action.fields:
        return Badge("Would be written", "info")
    if any(missing.attribute == column for missing in decision.missing) or column in decision.awaits:
        return Badge("Waits for what it refers to", "warn")
    if any(drifted.column == column and drifted.left for drifted in decision.drifted or ()):
        return Badge("Changed in ServiceNow, left", "warn")
    return None


def _compared(entra: str, servicenow: str | None, *, altered: bool) -> Badge:
    """Of what is not to be written."""
    if servicenow is None:
        return Badge("Cannot be read", "warn")
    if not entra:
        return Badge("Nothing to write", "quiet")
    if altered:
        return Badge("ServiceNow keeps another value", "warn")
    agrees = SYS_ID.fullmatch(servicenow) is not None or loose(entra) == loose(servicenow)
    return Badge("Agrees", "good") if agrees else Badge("Left as it is", "quiet")


def _memberships(remembered: Remembered) -> Iterator[Membership]:
    for edge in remembered.edges:
        kind, id_ = other_end(edge, remembered.link.type)
        name = remembered.names.get((kind, id_), "") or f"{kind} {id_}"
        state = Badge("In ServiceNow", "good") if edge.sys_id else Badge("Waits", "warn")
        if edge.protected:
            state = Badge("Left as it is", "quiet")
        yield Membership(name, f"{ADDRESS}/{id_}", state)


def _facts(link: Link, at: float) -> Iterator[tuple[str, str]]:
    yield "Object id", link.id
    yield "Record", link.record or "none"
    if link.origin is not None:
        yield "Came about", "created by this job" if link.origin == "created" else "found in ServiceNow and taken over"
    if link.state is not None:
        since = f" since {moment(link.since, at).text}" if link.since else ""
        yield "State", f"{link.state}{since}"
    grants = grants_words(link.grants)
    if grants:
        yield "In scope by", grants
    if link.escrow is not None:
        yield "Fails", f"{note_of(link)}; again {moment(link.escrow.next_attempt, at).text}"


def grants_words(grants: Sequence[str]) -> str:
    groups = sum(grant.startswith("group:") for grant in grants)
    own = len(grants) - groups
    parts = [f"{counted(own, 'assignment')} of its own"] if own else []
    return " and ".join([*parts, counted(groups, "group")] if groups else parts)
